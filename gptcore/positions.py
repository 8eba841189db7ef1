"""How a model knows the position of a token: rotary embedding, and the schemes it replaced.

A scheme can act on the embeddings before the first block (`embed`), or give the `angles` by which `apply_rope`
rotates queries and keys in every attention layer. Learned and sinusoidal positions do the first, RoPE the second.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcore.initialization import Embedding


def inverse_frequencies(head_dim: int, theta: float, scaling=None, fraction: float = 1.0) -> Tensor:
    """Return the frequency of each pair of dimensions, its rotation from one position to the next: (D/2,) radians.

    Pair i rotates by theta^(-2i/D): the first pair fastest, one radian a position, the last slowest (Su et al.
    2021, section 3.2.2). `scaling` is a RopeScaling, or None. Of a `fraction` of the pairs, D is that fraction of
    the head, and the other pairs do not rotate.
    """
    width = round(fraction * head_dim)
    if scaling is not None and scaling.kind == "ntk":
        theta = theta * scaling.factor ** (width / (width - 2))
    frequencies = theta ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    if scaling is not None and scaling.kind == "linear":
        frequencies = frequencies / scaling.factor
    if scaling is not None and scaling.kind in _KEPT:
        kept = _KEPT[scaling.kind](frequencies, theta, scaling)
        frequencies = kept * frequencies + (1 - kept) * frequencies / scaling.factor
    return F.pad(frequencies, (0, (head_dim - width) // 2))


def _llama3_kept(frequencies: Tensor, theta: float, scaling) -> Tensor:
    """Return how much of each frequency is kept, from 0 to 1: (D/2,), by its rotations within the trained context.

    Between the numbers of rotations `low_freq_factor` and `high_freq_factor`, it grows with that number.
    """
    n_rotations = scaling.original_context_length * frequencies / (2 * math.pi)
    kept = (n_rotations - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return kept.clamp(0, 1)


def _yarn_kept(frequencies: Tensor, theta: float, scaling) -> Tensor:
    """Return how much of each frequency is kept, from 0 to 1: (D/2,), by the index of its pair.

    Between the pairs that rotate `high_freq_factor` and `low_freq_factor` times within the trained context, it falls
    evenly from pair to pair (Peng et al. 2023, section 3.2).
    """
    n_pairs = len(frequencies)

    def pair(n_rotations: float) -> float:
        return (
            n_pairs
            * math.log(scaling.original_context_length / (n_rotations * 2 * math.pi))
            / math.log(theta)
        )

    first, last = pair(scaling.high_freq_factor), pair(scaling.low_freq_factor)
    if scaling.whole_pairs:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * n_pairs - 1)
    falling = (torch.arange(n_pairs) - first) / (last - first or 0.001)
    return 1 - falling.clamp(0, 1)


_KEPT = {"llama3": _llama3_kept, "yarn": _yarn_kept}


def rope_table(
    head_dim: int, n_positions: int, theta: float = 10_000.0, scaling=None, fraction: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return cos and sin of every position's angle for every pair, each (n_positions, D)."""
    positions = torch.arange(n_positions, dtype=torch.float32)
    frequencies = inverse_frequencies(head_dim, theta, scaling, fraction)
    angles = torch.outer(positions, frequencies)  # (n_positions, D/2)
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
    """RoPE: rotate queries and keys so that their dot product depends on their distance (Su et al. 2021).

    `fraction` is how much of a head rotates.
    """

    def __init__(
        self,
        d_model: int,
        head_dim: int,
        context_length: int,
        theta: float,
        scaling=None,
        fraction: float = 1.0,
    ):
        super().__init__(d_model, head_dim, context_length, theta, scaling)
        cos, sin = rope_table(head_dim, context_length, theta, scaling, fraction)
        if scaling is not None and scaling.kind == "yarn":
            # Longer queries and keys make the attention weights sharper, which YaRN found long contexts to need.
            rotates = inverse_frequencies(head_dim, theta, scaling, fraction).repeat(2) > 0  # (D,)
            cos, sin = torch.where(rotates, cos * scaling.table_factor, cos), sin * scaling.table_factor
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
