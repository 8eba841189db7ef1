"""Keeping numbers in range: RMSNorm and the LayerNorm it replaced, and soft caps."""

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
        wide = x.to(self.weight.dtype)  # a bf16 product under autocast; torch's kernel takes one type
        return F.rms_norm(wide, self.weight.shape, self.weight, self.eps).to(x.dtype)


class AllHeadsNorm(RMSNorm):
    """RMSNorm over all heads of a token together, as OLMo 2 normalizes its queries: (B, H, T, D) -> (B, H, T, D)."""

    def forward(self, x: Tensor) -> Tensor:
        together = x.transpose(1, 2).flatten(2)  # (B, T, H·D)
        return super().forward(together).unflatten(-1, (x.shape[1], -1)).transpose(1, 2)


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


def soft_cap(x: Tensor, cap: float | None) -> Tensor:
    """Return numbers moved smoothly to within ±cap, or as they are without a cap: same shape (Gemma 2)."""
    return x if cap is None else cap * torch.tanh(x / cap)


NORMS: dict[str, type[nn.Module]] = {"rmsnorm": RMSNorm, "layernorm": LayerNorm, "none": NoNorm}
