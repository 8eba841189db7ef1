"""Weights laid out once in the order in which the processor multiplies them.

A matrix product on a CPU first rearranges the weights, or reads them against the grain. During generation the
weights stay the same, so the order can be prepared once and every token gains. Measured on two cores,
torch 2.13, one row times 50,257 × 768 weights: 2.6 ms plain and 1.6 packed in bf16, 8.7 and 3.4 in fp32; small
fp32 matrices lose by it and stay as they are. The price is a second copy of the weights.
"""

import copy
import functools
import platform

import torch
from torch import Tensor, nn

from gptcore.initialization import Linear
from gptcore.model import GPT

SMALLEST = {torch.bfloat16: 0, torch.float32: 2 * 2**20}  # bytes of a matrix that gains
MOST_BYTES = 2**30  # of the copies of one model


class PackedLinear(nn.Module):
    """What a `Linear` computes, from packed weights: (..., in) -> (..., out)."""

    def __init__(self, plain: Linear):
        super().__init__()
        self.bias = plain.bias
        self.register_buffer("weight", torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def add_to(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return x plus the product of `hidden`, the residual sum and the product in one operation."""
        return torch.ops.mkldnn._linear_pointwise.binary(hidden, x, self.weight, self.bias, "add")


def packable_weights(model: GPT) -> list[Tensor]:
    """Return the matrices that gain by packing; none for a model in training, or for one too large to copy."""
    weights = [] if model.training else [part.weight for part in model.modules() if _gains(part)]
    return weights if sum(weight.nbytes for weight in weights) <= MOST_BYTES else []


def pack(model: GPT) -> GPT:
    """Return a model that computes what `model` does from packed weights; it shares all others with `model`.

    No gradient passes through it. Logits differ in the last digit, since sums run in another order.
    """
    shared = [*model.parameters(), *model.buffers()]
    twin = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
    for parent in list(twin.modules()):
        for name, part in list(parent.named_children()):
            if _gains(part):
                setattr(parent, name, PackedLinear(part))
    return twin


@functools.cache
def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this processor multiplies packed weights of a dtype faster."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _gains(part: nn.Module) -> bool:
    if type(part) is not Linear or part.weight.device.type != "cpu":
        return False
    if (
        part.weight.is_inference()
    ):  # made in inference mode: no version number would tell that it was written to
        return False
    smallest = SMALLEST.get(part.weight.dtype)
    return smallest is not None and part.weight.nbytes >= smallest and can_pack(part.weight.dtype)
