"""Normalizing the size of a vector: RMSNorm, and the LayerNorm it replaced."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide a vector by its root mean square, then scale each dimension: (..., C) -> (..., C).

    The formula in full, for reading; `RMSNorm` calls torch's own, and a test checks that they agree.
    """
    # In float32 for any input: a mean of squares loses its small terms in 8 bits of mantissa.
    wide = x.float()
    inverse_rms = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (weight * (wide * inverse_rms)).to(x.dtype)


class RMSNorm(nn.Module):
    """Divide a vector by its root mean square, then scale each dimension: (..., C) -> (..., C).

    No mean is subtracted and nothing is added, unlike LayerNorm (Zhang and Sennrich 2019).
    """

    def __init__(self, width: int, eps: float = 1e-5, bias: bool = False):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    @staticmethod
    def n_weights(width: int, bias: bool) -> int:
        return width

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class LayerNorm(nn.Module):
    """Subtract a vector's mean, divide by its standard deviation, scale and shift: (..., C) -> (..., C).

    Ba, Kiros and Hinton 2016; GPT-2's norm. The shift is left out if the model has no biases.
    """

    def __init__(self, width: int, eps: float = 1e-5, bias: bool = False):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    @staticmethod
    def n_weights(width: int, bias: bool) -> int:
        return width * (1 + bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class NoNorm(nn.Identity):
    """Return the vector unchanged, for the lab that shows what a norm is for."""

    def __init__(self, width: int, eps: float = 1e-5, bias: bool = False):
        super().__init__()

    @staticmethod
    def n_weights(width: int, bias: bool) -> int:
        return 0


NORMS: dict[str, type[nn.Module]] = {"rmsnorm": RMSNorm, "layernorm": LayerNorm, "none": NoNorm}
