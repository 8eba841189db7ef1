"""Cross-entropy from the last hidden vectors, with at most one copy of the logits in memory.

It computes `F.cross_entropy(x @ table.T, targets)`, and a test checks that they agree. But logits are the largest
tensor of a step (B·T·V numbers), and that call keeps four copies: in low precision, in float32, their log-softmax,
and the gradient. Here a few rows at a time are converted to float32, scored and overwritten with their own
gradient, which is known at once: softmax(logits), minus 1 at the target.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SMALLEST = 1e-30  # a probability that float32 still holds to seven digits
NUMBERS_AT_ONCE = 2**19  # in float32: 2 MB, which stay in a core's cache
ROWS_AT_ONCE = 8192  # of a table's gradient: 50,257 in one product take 1.6 times as long in bf16 on a CPU


def _negative_log(p: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Return -ln p (N, 1); from the logits (N, V) if some p is too small for a float to tell from 0."""
    # torch.compile cannot branch on a value; it fuses the second form with the passes it makes anyway.
    if not torch.compiler.is_compiling() and p.min() > SMALLEST:
        return -p.log()
    return logits.float().logsumexp(dim=-1, keepdim=True) - logits.gather(1, targets)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, table: Tensor, targets: Tensor, product: Callable) -> Tensor:
        low = table.to(x.dtype)
        logits = product(x, low.T)  # (N, V)
        n_rows = max(1, NUMBERS_AT_ONCE // logits.shape[1]) if x.device.type == "cpu" else len(x)
        negative_logs = []
        for rows, wanted in zip(logits.split(n_rows), targets.unsqueeze(1).split(n_rows)):
            probabilities = torch.softmax(rows, dim=-1, dtype=torch.float32)
            negative_logs.append(_negative_log(probabilities.gather(1, wanted), rows, wanted))
            rows.copy_(probabilities.scatter_add_(1, wanted, torch.full_like(negative_logs[-1], -1.0)))
        ctx.save_for_backward(x, low, logits)  # which now hold the loss's gradient by logit, times N
        ctx.table_dtype, ctx.product = table.dtype, product
        return torch.cat(negative_logs).mean()

    @staticmethod
    def backward(ctx, outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, table, gradient = ctx.saved_tensors
        scale = (outer / len(x)).to(x.dtype)
        scaled = x * scale
        by_table = torch.empty_like(table, dtype=ctx.table_dtype)
        for rows, part in zip(gradient.T.split(ROWS_AT_ONCE), by_table.split(ROWS_AT_ONCE)):
            part.copy_(ctx.product(rows, scaled))  # and widened on the way, where the table is wider than x
        return ctx.product(gradient, table) * scale, by_table, None, None


def cross_entropy(x: Tensor, table: Tensor, targets: Tensor, product: Callable = torch.mm) -> Tensor:
    """Return the mean of -ln p(target) in nats, p = softmax(x @ table.T): x (N, C), table (V, C), targets (N,).

    The products run in x's precision, exponentials and sums in float32; `product` multiplies two matrices.
    Differentiable once.
    """
    return _CrossEntropy.apply(x, table, targets, product)
