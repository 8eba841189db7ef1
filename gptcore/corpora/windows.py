"""Token ids in windows: how a text is dealt out in batches for training and for validation."""

import math

import torch
from torch import Tensor


class Windows:
    """Batches of windows for training: every token is a target once an epoch, in ever new windows.

    The ids are read as a ring, the first token after the last (which is the end of a text, so that a new one starts).
    An epoch starts anywhere on the ring and goes round it once. What is left when no further window fits goes before
    the next epoch, and a batch that an epoch can't fill is filled from the next, so nothing is dropped. Only the
    token that starts an epoch is asked for after what ended the one before.

    The order is drawn by a `torch.Generator` that depends on the seed and the epoch alone, so two numbers say
    where a run stands.
    """

    def __init__(self, ids: Tensor, context_length: int, batch_size: int, seed: int = 0) -> None:
        """Deal out ids (N,); ValueError where they don't fill one window and its targets."""
        _check_sizes(context_length, batch_size)
        if len(ids) < context_length + 1:
            raise ValueError(
                f"{len(ids)} tokens are too few for a window of {context_length} and its targets; use "
                f"context_length={max(len(ids) - 1, 1)} or less, or a longer text."
            )
        self.ids, self.context_length, self.batch_size, self.seed = ids, context_length, batch_size, seed
        self._begin(epoch=0)

    def _draw(self, epoch: int) -> tuple[int, torch.Generator]:
        """The random place where an epoch starts on the ring, and the generator for its order."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        return int(torch.randint(len(self.ids), (), generator=generator)), generator

    def _begin(self, epoch: int) -> None:
        start, generator = self._draw(epoch)
        length = self.context_length
        # A target needs the token before it: the very first epoch takes it from the ring, and each later one
        # begins with what the epochs before it left over, which is 1 … length tokens.
        n_left = 1 + epoch * len(self.ids) % length
        left_from = (self._draw(epoch - 1)[0] if epoch else start) - n_left
        self._left = (left_from + torch.arange(n_left)) % len(self.ids)  # places on the ring
        self.epoch, self.n_taken, self._start = epoch, 0, start
        self._order = torch.randperm((n_left + len(self.ids) - 1) // length, generator=generator)

    def _read(self, chosen: Tensor) -> Tensor:
        """The windows of these numbers: (N,) -> (N, T + 1)."""
        steps = chosen.unsqueeze(1) * self.context_length + torch.arange(self.context_length + 1)
        n_left = len(self._left)
        places = (self._start + steps - n_left) % len(self.ids)
        places = torch.where(steps < n_left, self._left[steps.clamp(max=n_left - 1)], places)
        # Not self.ids[places]: that starts threads for a few kilobytes, and on a busy machine waits 10 ms for
        # them (index_select: 0.01 ms).
        return self.ids.index_select(0, places.flatten()).view_as(places)

    def next(self) -> tuple[Tensor, Tensor]:
        """The next batch: inputs and targets (B, T) int64, where targets are the inputs one token later."""
        rows: list[Tensor] = []
        n_missing = self.batch_size
        while n_missing:
            if self.n_taken == len(self._order):
                self._begin(self.epoch + 1)
            chosen = self._order[self.n_taken : self.n_taken + n_missing]
            rows.append(self._read(chosen))
            self.n_taken += len(chosen)
            n_missing -= len(chosen)
        batch = torch.cat(rows).long()
        return batch[:, :-1].contiguous(), batch[:, 1:].contiguous()

    def state(self) -> dict[str, int]:
        """Where the dealing stands, in numbers that JSON can hold."""
        return {"epoch": self.epoch, "n_taken": self.n_taken, "n_tokens": len(self.ids)}

    def restore(self, state: dict[str, int]) -> None:
        """Go on exactly where `state` was taken, on the same ids, sizes and seed."""
        if state["n_tokens"] != len(self.ids):
            raise ValueError(
                f"This run was trained on a text of {state['n_tokens']} tokens, and this one has "
                f"{len(self.ids)}; resume it on its own text."
            )
        self._begin(state["epoch"])
        if not 0 <= state["n_taken"] <= len(self._order):
            raise ValueError(
                f"This checkpoint is damaged: it has used {state['n_taken']} windows of an epoch of "
                f"{len(self._order)}."
            )
        self.n_taken = state["n_taken"]


def split_windows(batch: Tensor, n_pieces: int) -> Tensor:
    """Split every window of a batch into pieces of equal length: (B, T) -> (B * n, T / n).

    Where T does not divide, into the most pieces that do: a window of 250 is split in two and not in four.
    """
    return batch.reshape(-1, batch.shape[1] // math.gcd(n_pieces, batch.shape[1]))


def fixed_batches(
    ids: Tensor, context_length: int, batch_size: int, n_batches: int
) -> list[tuple[Tensor, Tensor]]:
    """The same windows at every call, spread evenly over ids (N,) and never overlapping, for validation.

    Returns up to `n_batches` pairs of inputs and targets (B, T) int64; the last may have fewer rows, so weigh each
    by its `targets.numel()`. Where the text is shorter than a window, there is one window of all of it.
    """
    _check_sizes(context_length, batch_size)
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens are too few for a loss; use 2 or more.")
    length = min(context_length, len(ids) - 1)
    n_windows = min((len(ids) - 1) // length, batch_size * n_batches)
    last_start = len(ids) - 1 - length
    starts = [last_start * i // max(n_windows - 1, 1) for i in range(n_windows)]
    windows = ids.unfold(0, length + 1, 1)[starts].long()
    return [(rows[:, :-1].contiguous(), rows[:, 1:].contiguous()) for rows in windows.split(batch_size)]


def _check_sizes(context_length: int, batch_size: int) -> None:
    for name, value in (("context_length", context_length), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1.")
