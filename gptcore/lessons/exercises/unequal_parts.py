"""Chapter 8: a batch read in parts of unequal length."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.lessons.exercises import Case, Exercise, Mistake


def gradient_of_parts(weight: Tensor, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the gradient that one batch of all tokens would give, part after part: weight (V, C) -> (V, C).

    Each part is (x, targets), x (n, C) and targets (n,), and n differs from part to part. The scores of a part
    are x @ weight.T. The loss of the whole batch is the mean of -ln p over all its tokens.
    """
    weight = weight.detach().requires_grad_()
    n_tokens = sum(len(targets) for _, targets in parts)
    for x, targets in parts:
        loss = F.cross_entropy(x @ weight.T, targets, reduction="sum") / n_tokens
        loss.backward()
    return weight.grad


def _gradients(weight: Tensor, parts, reduction: str = "mean") -> list[Tensor]:
    gradients = []
    for x, targets in parts:
        leaf = weight.detach().clone().requires_grad_()
        F.cross_entropy(x @ leaf.T, targets, reduction=reduction).backward()
        gradients.append(leaf.grad)
    return gradients


def _mean_of_means(weight: Tensor, parts) -> Tensor:
    return sum(_gradients(weight, parts)) / len(parts)


def _sum_of_means(weight: Tensor, parts) -> Tensor:
    return sum(_gradients(weight, parts))


def _sum(weight: Tensor, parts) -> Tensor:
    return sum(_gradients(weight, parts, "sum"))


def _last_part(weight: Tensor, parts) -> Tensor:
    return _gradients(weight, parts)[-1]


def _padded(weight: Tensor, parts) -> Tensor:
    longest = max(len(targets) for _, targets in parts)
    return sum(_gradients(weight, parts, "sum")) / (longest * len(parts))


def _halved_each_turn(weight: Tensor, parts) -> Tensor:
    total = torch.zeros_like(weight)
    for turn, gradient in enumerate(_gradients(weight, parts), 1):
        total = total + gradient / turn
    return total


def _weighted_twice(weight: Tensor, parts) -> Tensor:
    n_tokens = sum(len(targets) for _, targets in parts)
    sums = _gradients(weight, parts, "sum")
    return sum(gradient * len(targets) for gradient, (_, targets) in zip(sums, parts)) / n_tokens


def _moved_between(weight: Tensor, parts) -> Tensor:
    n_tokens = sum(len(targets) for _, targets in parts)
    total, moved = torch.zeros_like(weight), weight.detach().clone()
    for part in parts:
        gradient = _gradients(moved, [part], "sum")[0] / n_tokens
        total, moved = total + gradient, moved - gradient
    return total


def _cases() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    for label, lengths in (
        ("two parts, one three times as long", (2, 6)),
        ("three parts", (1, 5, 3)),
        ("four parts, the last the longest", (2, 3, 4, 9)),
    ):
        parts = [
            (torch.randn(n, 4, generator=generator), torch.randint(5, (n,), generator=generator))
            for n in lengths
        ]
        weight = torch.randn(5, 4, generator=generator)
        yield Case(label=label, arguments={"weight": weight, "parts": parts})


EXERCISE = Exercise(
    name="unequal_parts",
    chapter=8,
    title="One batch in unequal parts",
    task="A batch does not fit and is read in parts of different lengths. Write the gradient so that it equals, to "
    "1e-6, the one of the whole batch at once.",
    solution=gradient_of_parts,
    cases=_cases,
    imports="import torch\nfrom collections.abc import Sequence\nfrom torch import Tensor\n"
    "from torch.nn import functional as F\n",
    mistakes=(
        Mistake(
            name="mean of means",
            says="Each part counts the same here, however few tokens it has. A token in a short part then pulls harder "
            "than one in a long part; divide each sum by the tokens of the whole batch.",
            wrong=_mean_of_means,
        ),
        Mistake(
            name="sum of means",
            says="The means are added and never divided: twice as many parts would give twice the gradient.",
            wrong=_sum_of_means,
        ),
        Mistake(
            name="not divided",
            says="This is the gradient of the sum over all tokens. Divide by how many there are, or a larger batch "
            "takes larger steps.",
            wrong=_sum,
        ),
        Mistake(
            name="last part only",
            says="Only the last part is left: the gradient was set to zero between the parts. Zero it once, before the "
            "first.",
            wrong=_last_part,
        ),
        Mistake(
            name="divided by the padded size",
            says="You divide by the longest part times the number of parts. Padding is no token and must not count.",
            wrong=_padded,
        ),
        Mistake(
            name="divided by the turn",
            says="The first part is divided by 1, the second by 2 and so on. All parts have the same divisor, known "
            "before the first: the tokens of the whole batch.",
            wrong=_halved_each_turn,
        ),
        Mistake(
            name="weighted twice",
            says="The sum over a part has its length in it already. Multiplying by the length again makes long parts "
            "count by its square.",
            wrong=_weighted_twice,
        ),
        Mistake(
            name="moved between the parts",
            says="The weights moved before the batch was over, so the later parts were asked about another model. "
            "Accumulate first, step once.",
            wrong=_moved_between,
        ),
    ),
)
