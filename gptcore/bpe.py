"""The algorithm of byte-pair encoding: how merges are learned from text, and how they are applied to a piece of it.

`tokenizer.Tokenizer` is built on these functions; its module shows a worked example.

Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016);
on bytes instead of characters since Radford et al., GPT-2 (2019).
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

import regex

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
"""How GPT-2 cuts text into pieces: 's and the like, letters, digits, other signs, each with at most one
space before it, and white space. This is tiktoken's spelling of it, which gives the same pieces as the
original and never backtracks. `regex` and tiktoken agree on it up to letters and digits that one of them
knows from a newer Unicode."""

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
BYTE_ORDER = bytes(_PRINTABLE + [byte for byte in range(256) if byte not in _PRINTABLE])
"""The byte that each of the ids 0 … 255 stands for: GPT-2's order, visible signs first."""

_ID_OF_BYTE = {byte: token_id for token_id, byte in enumerate(BYTE_ORDER)}


class TokenizerError(ValueError):
    """A tokenizer can't be made, read or used as asked; the message says what to do."""


def _as_word(piece: bytes) -> str:
    """Write a piece as a word whose characters are token ids: `chr(id)`, one character a byte.

    With ids as characters a pair is a string of two and a merge is `word.replace(pair, chr(new_id))`:
    left to right, never overlapping, at the speed of C.
    """
    return piece.decode("latin-1").translate(_ID_OF_BYTE)


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 can hold, by U+FFFD, and join those that pair up.

    A str from a broken file name or from JavaScript can hold them. tiktoken does exactly this.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def compile_pattern(pattern: str) -> regex.Pattern:
    """Compile a pattern that cuts text into pieces; raises TokenizerError for what is no regular expression."""
    try:
        return regex.compile(pattern)
    except (regex.error, TypeError) as error:
        raise TokenizerError(f"The pattern {pattern!r} is not a regular expression: {error}.") from error


def count_pre_tokens(texts: Iterable[str], pattern: str = GPT2_PATTERN) -> Counter[str]:
    """Count the pieces that the pattern cuts the texts into; the merges are learned from these counts.

    A megabyte of English holds 200,000 pieces and only some 10,000 different ones.
    """
    find = compile_pattern(pattern).finditer
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(map(regex.Match.group, find(replace_surrogates(text))))
    return counts


def learn_merges(
    piece_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2
) -> list[tuple[int, int, int]]:
    """Learn at most `n_merges` merges, each as (left id, right id, count); fewer if the text has no more.

    The counts of all pairs are kept up to date instead of being taken anew for every merge: a merge
    touches only the words that hold its pair, and in them only the neighbours of the pair.
    """
    words = [_as_word(piece.encode()) for piece in piece_counts]
    frequencies = list(piece_counts.values())
    pair_counts: Counter[str] = Counter()
    words_with: defaultdict[str, set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in map("".join, pairwise(word)):
            pair_counts[pair] += frequencies[index]
            words_with[pair].add(index)

    # The heap's top is the highest count, then the smallest pair of ids. A pair is pushed when it is born
    # and its count can only fall afterwards (what a later merge adds always contains the newer token), so
    # an entry that is out of date stands too high: it is put right when it comes up, and not before.
    queue = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(queue)
    merges: list[tuple[int, int, int]] = []
    while queue and len(merges) < n_merges:
        count, pair = heapq.heappop(queue)
        if -count != pair_counts[pair]:
            heapq.heappush(queue, (-pair_counts[pair], pair))
            continue
        if -count < max(min_frequency, 1):
            break
        left, right = pair
        new = chr(len(BYTE_ORDER) + len(merges))
        merges.append((ord(left), ord(right), -count))

        born: Counter[str] = Counter()
        for index in words_with.pop(pair):
            parts = words[index].split(pair)
            words[index] = new.join(parts)
            frequency = frequencies[index]
            for i in range(1, len(parts)):  # the new token stands between parts[i - 1] and parts[i]
                changes = []
                if parts[i - 1]:
                    before = parts[i - 1][-1]
                    changes.append((before + left, before + new))
                elif i > 1:  # nothing between two merges: the new token beside itself
                    changes.append((right + left, new + new))
                if parts[i]:
                    after = parts[i][0]
                    changes.append((right + after, new + after))
                for old_pair, new_pair in changes:
                    pair_counts[old_pair] -= frequency
                    born[new_pair] += frequency
                    words_with[new_pair].add(index)
        pair_counts.update(born)
        for new_pair, new_count in born.items():
            heapq.heappush(queue, (-new_count, new_pair))
    return merges


def merge_piece(piece: bytes, new_ids: Mapping[str, int]) -> list[int]:
    """Apply to one piece the earliest merge that fits, wherever it fits, until none does.

    `new_ids` gives for each pair, written as two characters, the id of the token it becomes.
    """
    word = _as_word(piece)
    while len(word) > 1:
        pairs = map("".join, pairwise(word))
        pair = min(pairs, key=lambda pair: new_ids.get(pair, math.inf))
        if pair not in new_ids:
            break
        word = word.replace(pair, chr(new_ids[pair]))
    return [ord(character) for character in word]
