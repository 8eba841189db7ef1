"""How a model knows the position of a token: rotary embedding, and the schemes it replaced.

A scheme can act on the embeddings before the first block (`embed`), or give the `angles` by which `apply_rope`
rotates queries and keys in every attention layer. Learned and sinusoidal positions do the first, RoPE the second.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gptcore.initialization import Embedding


def inverse_frequencies(head_dim: int, theta: float, scaling=None) -> Tensor:
    """Return the frequency of each pair of dimensions, its rotation from one position to the next: (D/2,) radians.

    Pair i rotates by theta^(-2i/D): the first pair fastest, one radian a position, the last slowest (Su et al.
    2021, section 3.2.2). `scaling` is a RopeScaling, or None.
    """
    if scaling is not None and scaling.kind == "ntk":
        theta = theta * scaling.factor ** (head_dim / (head_dim - 2))
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    if scaling is None or scaling.kind == "ntk":
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    return _llama3_frequencies(frequencies, scaling)


def _llama3_frequencies(frequencies: Tensor, scaling) -> Tensor:
    """Lower only the frequencies that never complete a rotation within the trained context.

    Between the two wavelengths that `low_freq_factor` and `high_freq_factor` name, the factor is blended.
    """
    n_turns = (
        scaling.original_context_length * frequencies / (2 * math.pi)
    )  # rotations within the trained context
    blend = (n_turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept = blend.clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor


def rope_table(
    head_dim: int, n_positions: int, theta: float = 10_000.0, scaling=None
) -> tuple[Tensor, Tensor]:
    """Return cos and sin of every position's angle for every pair, each (n_positions, D)."""
    positions = torch.arange(n_positions, dtype=torch.float32)
    angles = torch.outer(positions, inverse_frequencies(head_dim, theta, scaling))  # (n_positions, D/2)
    # Dimension i is paired with dimension i + D/2, as in Hugging Face's Llama, so both halves share angles.
    angles = torch.cat((angles, angles), dim=-1)  # (n_positions, D)
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair of a query or key by its position's angle: (B, heads, T, D) -> (B, heads, T, D)."""
    first, second = x.chunk(2, dim=-1)
    rotated_90 = torch.cat((-second, first), dim=-1)
    return x * cos + rotated_90 * sin


class NoPositions(nn.Module):
    """Add no position information; a causal mask still lets the model tell earlier tokens from later ones."""

    def __init__(self, d_model: int, head_dim: int, context_length: int, theta: float, scaling=None):
        super().__init__()

    def embed(self, x: Tensor, start: int) -> Tensor:
        """Add positions to embeddings (B, T, C) whose first token is at position `start`."""
        return x

    def angles(self, start: int, n_tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """Return cos and sin, each (T, D), for queries and keys from position `start` on, or None to leave them."""
        return None


class RotaryPositions(NoPositions):
    """RoPE: rotate queries and keys so that their dot product depends on their distance (Su et al. 2021)."""

    def __init__(self, d_model: int, head_dim: int, context_length: int, theta: float, scaling=None):
        super().__init__(d_model, head_dim, context_length, theta, scaling)
        cos, sin = rope_table(head_dim, context_length, theta, scaling)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def angles(self, start: int, n_tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        here = slice(start, start + n_tokens)
        return self.cos[here].to(dtype), self.sin[here].to(dtype)


class LearnedPositions(NoPositions):
    """A table with one learned vector a position, added to the embedding, as in GPT-2."""

    def __init__(self, d_model: int, head_dim: int, context_length: int, theta: float, scaling=None):
        super().__init__(d_model, head_dim, context_length, theta, scaling)
        self.table = Embedding(context_length, d_model)

    def embed(self, x: Tensor, start: int) -> Tensor:
        return x + self.table.weight[start : start + x.shape[1]]


class SinusoidalPositions(NoPositions):
    """A fixed table of sines and cosines of many wavelengths, added to the embedding (Vaswani et al. 2017).

    The 2017 paper scales embeddings by sqrt(d_model) before it adds a table of size 1; ours start about as
    small as GPT-2's, so the table is scaled down instead, to the same standard deviation of 0.02.
    """

    def __init__(self, d_model: int, head_dim: int, context_length: int, theta: float, scaling=None):
        super().__init__(d_model, head_dim, context_length, theta, scaling)
        angles = torch.outer(torch.arange(context_length).float(), inverse_frequencies(d_model, 10_000.0))
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)  # sine and cosine alternate
        self.register_buffer("table", 0.02 * math.sqrt(2) * table, persistent=False)

    def embed(self, x: Tensor, start: int) -> Tensor:
        return x + self.table[start : start + x.shape[1]].to(x.dtype)


POSITIONS: dict[str, type[NoPositions]] = {
    "rope": RotaryPositions,
    "learned": LearnedPositions,
    "sinusoidal": SinusoidalPositions,
    "none": NoPositions,
}
