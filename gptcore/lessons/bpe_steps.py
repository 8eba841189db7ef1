"""A tokenizer taken apart: which pairs compete, how one piece is put together, what a text costs."""

import codecs
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from gptcore.bpe import count_pre_tokens
from gptcore.tokenizer import Merge, Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two adjacent tokens, and how often they occur."""

    left: int
    right: int
    count: int


def pairs(texts: str | Iterable[str], tokenizer: Tokenizer) -> list[Pair]:
    """Return the pairs of neighboring tokens in a text, in the order in which training would merge them.

    The highest count comes first, and among equals the pair with the smallest ids. No pair crosses a cut.
    """
    pieces = count_pre_tokens([texts] if isinstance(texts, str) else texts, tokenizer.pattern)
    counts: Counter[tuple[int, int]] = Counter()
    for piece, times in pieces.items():
        for pair in pairwise(tokenizer.encode_slowly(piece)):
            counts[pair] += times
    best_first = sorted(counts, key=lambda pair: (-counts[pair], pair))
    return [Pair(left=left, right=right, count=counts[left, right]) for left, right in best_first]


def tied_pairs(competing: list[Pair]) -> list[Pair]:
    """Return the pairs with the highest count; the first of them is merged."""
    return [pair for pair in competing if pair.count == competing[0].count] if competing else []


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeStep:
    """One moment of encoding a piece: its tokens now, and the merge that led here (None at the start)."""

    ids: tuple[int, ...]
    merge: Merge | None


def merge_steps(piece: str, tokenizer: Tokenizer) -> list[MergeStep]:
    """Return how a piece is encoded, merge by merge: always the earliest learned that fits, wherever it fits."""
    merges = {(merge.left, merge.right): merge for merge in tokenizer.merges}
    bare = tokenizer.first(0)
    ids = bare.encode_slowly(piece)
    moments = [MergeStep(ids=tuple(ids), merge=None)]
    while fitting := [merges[pair] for pair in pairwise(ids) if pair in merges]:
        merge = min(fitting, key=lambda candidate: candidate.id)
        ids = apply_merge(ids, merge)
        moments.append(MergeStep(ids=tuple(ids), merge=merge))
    return moments


def apply_merge(ids: Iterable[int], merge: Merge) -> list[int]:
    """Return ids with one merge made, left to right, never overlapping."""
    out: list[int] = []
    for token in ids:
        if out and out[-1] == merge.left and token == merge.right:
            out[-1] = merge.id
        else:
            out.append(token)
    return out


def longest_match(piece: str, tokenizer: Tokenizer) -> list[int]:
    """Return what taking the longest token from the left would give. BPE does not do this."""
    data, ids = piece.encode(), []
    longest = max(map(len, tokenizer.ranks))
    while data:
        size = next(n for n in range(min(longest, len(data)), 0, -1) if data[:n] in tokenizer.ranks)
        ids.append(tokenizer.ranks[data[:size]])
        data = data[size:]
    return ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a text takes under one tokenizer."""

    n_tokens: int
    n_bytes: int
    n_characters: int

    @property
    def bytes_per_token(self) -> float:
        return self.n_bytes / self.n_tokens if self.n_tokens else 0.0


def cost(text: str, tokenizer: Tokenizer) -> Cost:
    """Return the tokens, bytes and characters of a text."""
    return Cost(
        n_tokens=len(tokenizer.encode(text)),
        n_bytes=len(text.encode("utf-8", "replace")),
        n_characters=len(text),
    )


def streamed_text(tokens: Iterable[bytes]) -> tuple[list[str], list[str]]:
    """Return what a reader sees token by token: each decoded alone, and with unfinished characters held back."""

    tokens = list(tokens)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [token.decode("utf-8", "replace") for token in tokens], [decoder.decode(token) for token in tokens]
