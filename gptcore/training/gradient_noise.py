"""Gradient noise: how well the gradient of a few windows agrees with that of many.

McCandlish et al. 2018, "An empirical model of large-batch training": a batch's gradient is the true one plus noise
whose variance falls as one over the batch's size. And gradient accumulation gives the gradient of the whole batch
if the sum over the parts is divided by their number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.model import GPT


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientAgreement:
    """The cosine between the gradient of a batch and that of the reference: 1 is the same direction."""

    size: int  # windows in the batch
    cosines: tuple[float, ...]  # one a draw


def batch_gradient(
    model: GPT, ids: Tensor, targets: Tensor, *, parts: int = 1, divide: bool = True
) -> Tensor:
    """Return the gradient of the mean loss over ids and targets (B, T), all weights in one row.

    With `parts` it is accumulated over as many equal parts; without `divide` the sum is not divided, the classic
    mistake. The model itself does not change. Raises ValueError if the parts are not equal.
    """
    if len(ids) % parts:
        raise ValueError(f"{len(ids)} windows cannot be split into {parts} equal parts; choose a divisor")
    total = torch.zeros(())
    for inputs, part_targets in zip(ids.chunk(parts), targets.chunk(parts), strict=True):
        loss = model.loss(inputs, part_targets)
        pieces = torch.autograd.grad(loss, list(model.parameters()))
        total = total + torch.cat([piece.flatten() for piece in pieces])
    return total / parts if divide else total


def accumulation_error(model: GPT, ids: Tensor, targets: Tensor, parts: int) -> tuple[float, float]:
    """Return the relative error of the accumulated gradient, and the relative norm of the sum without division."""
    whole = batch_gradient(model, ids, targets)
    divided, summed = (
        batch_gradient(model, ids, targets, parts=parts, divide=divide) for divide in (True, False)
    )
    return ((divided - whole).norm() / whole.norm()).item(), (summed.norm() / whole.norm()).item()


def gradient_agreements(
    model: GPT, ids: Tensor, targets: Tensor, sizes: Sequence[int], n_draws: int
) -> Iterator[GradientAgreement]:
    """Compare batches of each size, `n_draws` of them, with one of all the windows left; ids, targets (B, T)."""
    n_asked = n_draws * sum(sizes)
    if n_asked >= len(ids):
        raise ValueError(f"{len(ids)} windows are too few for {n_asked} and a reference; use a longer text")
    reference = batch_gradient(model, ids[n_asked:], targets[n_asked:])
    start = 0
    for size in sizes:
        cosines = []
        for _ in range(n_draws):
            rows = slice(start, start + size)
            sample = batch_gradient(model, ids[rows], targets[rows])
            cosines.append(torch.cosine_similarity(sample, reference, dim=0).item())
            start += size
        yield GradientAgreement(size=size, cosines=tuple(cosines))
