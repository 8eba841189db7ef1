"""The KV cache: the keys and values of all earlier positions, so that attention does not recompute them.

The cache belongs to the caller, never to the model, so one model serves many callers at once.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from gptcore.config import ModelConfig


class CacheFull(ValueError):
    """More tokens than the capacity of the cache."""


class KVCache:
    """Keys and values of up to `capacity` positions in every layer, allocated once.

    Both tensors are (L, B, K, capacity, D). Keys are stored after their rotation. `length` positions are
    filled; every sequence of the batch has the same length.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int = 1,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        capacity: int | None = None,
    ):
        self.capacity = config.context_length if capacity is None else min(capacity, config.context_length)
        shape = (config.n_layers, batch_size, config.n_kv_heads, self.capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def reserve(self, n_tokens: int) -> None:
        """Raise CacheFull if `n_tokens` more don't fit."""
        if self.length + n_tokens > self.capacity:
            raise CacheFull(
                f"{self.length} cached and {n_tokens} new tokens exceed the cache's capacity of "
                f"{self.capacity}; create it with a larger capacity"
            )

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values (B, K, T, D); return all seen so far (B, K, S, D)."""
        n_new = keys.shape[2]
        all_keys, all_values = self.keys[layer], self.values[layer]  # (B, K, capacity, D)
        all_keys.narrow(2, self.length, n_new).copy_(keys)
        all_values.narrow(2, self.length, n_new).copy_(values)
        seen = self.length + n_new
        return all_keys.narrow(2, 0, seen), all_values.narrow(2, 0, seen)

    def advance(self, n_tokens: int) -> None:
        """Count `n_tokens` as seen, once every layer has stored them."""
        self.length += n_tokens

    def keep(self, length: int) -> None:
        """Keep the first `length` positions and drop the others, which are overwritten later.

        Raises ValueError for a length greater than the current one.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"length={length} must be from 0 to the {self.length} positions in the cache")
        self.length = length

    def clear(self) -> None:
        """Drop everything and write zeros, for rows of unequal length, in which short rows have unwritten
        positions."""
        self.keys.zero_()
        self.values.zero_()
        self.length = 0

    def copy_rows(self, rows: Sequence[int], other: Self) -> None:
        """Fill these rows with the rows of another cache, in order; the other cache may have fewer and shorter
        rows."""
        seen = other.length
        self.keys[:, rows, :, :seen] = other.keys[:, :, :, :seen]
        self.values[:, rows, :, :seen] = other.values[:, :, :, :seen]
        self.length = max(self.length, seen)

    def take(self, rows: Tensor) -> None:
        """Continue with these rows of the batch, in this order; a row may appear several times or not at all."""
        self.keys, self.values = self.keys.index_select(1, rows), self.values.index_select(1, rows)

    @property
    def n_bytes(self) -> int:
        """Bytes allocated: 2 · L · B · K · capacity · D · bytes a value."""
        return self.keys.nbytes + self.values.nbytes

    @property
    def n_bytes_used(self) -> int:
        """Bytes of the positions filled so far."""
        return self.n_bytes * self.length // self.capacity
