"""The algorithm of byte-pair encoding: how text is split into pre-tokens, how merges are learned, and how they are
applied.

`tokenizer.Tokenizer` is built on these functions; its module shows a worked example.

Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016);
on bytes instead of characters since Radford et al., GPT-2 (2019).
"""

import heapq
import math
import reprlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice, pairwise

import regex

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
"""How GPT-2 cuts text into pieces: 's and the like, letters, digits, other signs, each with at most one
space before it, and white space. This is tiktoken's spelling of it, which gives the same pieces as the
original and never backtracks. `regex` and tiktoken agree on it up to letters and digits that one of them
knows from a newer Unicode."""

KNOWN_PATTERNS = frozenset(
    {
        GPT2_PATTERN,
        # GPT-2 as written in its own repository and in Hugging Face's files
        r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
        # GPT-4 (cl100k_base)
        r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"""
        r"""|\s+(?!\S)|\s""",
        # GPT-4o (o200k_base)
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
        r"""|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
        r"""|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
        # Llama 3, and Qwen, which cuts every digit
        r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"""
        r"""|\s+(?!\S)|\s+""",
        r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"""
        r"""|\s+(?!\S)|\s+""",
    }
)
"""The patterns of published models. Each takes time proportional to the text, whatever the text, and leaves no
character out: they need no time limit, and tiktoken, which nobody can interrupt, may run them."""

MAX_TOKENS = (
    1 << 20
)  # every id is below; the largest vocabularies have a quarter, and chr() ends at 1.1 million
MAX_TOKENS_BYTES = (
    1 << 26
)  # of all tokens together: 40 merges, each of the one before with itself, make a terabyte

MAX_SPECIAL_TOKENS = 1 << 14
MAX_SPECIAL_BYTES = 1 << 17  # of all special tokens together; tiktoken can search for no more
LONGEST_SPECIAL_TOKEN = 512  # bytes
LONGEST_PATTERN = 2000  # characters; the longest in use has a third of that
MOST_REPEATS = 10_000  # what the counts {n} of a pattern may multiply to: `regex` writes each repetition out
PATTERN_SECONDS = 1.0  # CPU time in which a pattern must split …
PATTERN_CHARACTERS = (
    100_000  # … this many characters, or the whole text; known patterns split 5 million per second
)
_SEARCH_SECONDS = 1e-7  # more for each character: one match may be as long as the text
_MATCHES = 4096  # matches between two checks of the time
_SHORT_TEXT = 100  # characters

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
BYTE_ORDER = bytes(_PRINTABLE + [byte for byte in range(256) if byte not in _PRINTABLE])
"""The byte that each of the ids 0 … 255 stands for: GPT-2's order, visible signs first."""

_ID_OF_BYTE = {byte: token_id for token_id, byte in enumerate(BYTE_ORDER)}


class TokenizerError(ValueError):
    """A tokenizer can't be built, read or used; the message says what to do."""


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


@lru_cache(maxsize=64)
def compile_pattern(pattern: str, flags: int = 0) -> regex.Pattern:
    """Compile a pattern that splits text into pre-tokens.

    Raises TokenizerError for an invalid regular expression, for syntax that no tokenizer needs, and for a pattern
    that is too slow on texts chosen to be hard for it. Files are untrusted.
    """
    if pattern in KNOWN_PATTERNS:
        return regex.compile(pattern, flags)
    if not isinstance(pattern, str):
        raise TokenizerError(f"The pattern {shortened(pattern)} must be a regular expression, as text.")
    if len(pattern) > LONGEST_PATTERN or _repeats(pattern) > MOST_REPEATS:
        raise TokenizerError(
            f"The pattern {shortened(pattern)} is too long or repeats too much; use the pattern of a "
            "known tokenizer."
        )
    if unsupported := _UNSUPPORTED.search(_SETS_AND_ESCAPES.sub("x", pattern)):
        raise TokenizerError(
            f"The pattern {shortened(pattern)} uses {shortened(unsupported.group())}, which is not "
            "supported; remove it."
        )
    try:
        compiled = regex.compile(pattern, flags)
    except (regex.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise TokenizerError(
            f"The pattern {shortened(pattern)} is not a valid regular expression: {error}."
        ) from error
    cut_texts(compiled, [_hard_text(pattern)])
    return compiled


# Escapes, \p{…} among them, and [sets]: what they hold is not syntax. \K and \G change where a match begins, and
# stay.
_SETS_AND_ESCAPES = regex.compile(r"\\[pPxuUN]\{[^}]*+\}|\\[^KG]|\[\^?\]?(?:\\.|[^\]\\])*+\]", regex.DOTALL)
# After (? only groups, lookaround and the flags i, m and s: no recursion, which takes all memory, no search from
# right to left, no free spacing. No fuzzy counts such as {e<=3}.
_UNSUPPORTED = regex.compile(
    r"\(\?(?!:|=|!|>|<|P<|[ims]*(?:-[ims]+)?[:)])..?|\(\*|\\[KG]|\{(?!\d*(?:,\d*)?\})[^}]*[\p{L}<=][^}]*\}",
    regex.DOTALL,
)


def _repeats(pattern: str) -> int:
    """Return the product of all counts {n} and {n,m}, as if they were nested."""
    counts = regex.findall(r"\{([0-9]*+)(?:,([0-9]*+))?\}", pattern)
    if any(len(number) > 2 for count in counts for number in count):
        return MOST_REPEATS + 1
    return math.prod(max(1, *(int(number or 1) for number in count)) for count in counts)


def _hard_text(pattern: str) -> str:
    """Return long runs of every kind of character and of what the pattern names, which make backtracking show."""
    words = regex.findall(r"\w+|\W", pattern)
    units = [*"a1A !\n_é中\u0301'", "aA", "a ", " \n", "a1", "aA1! \n", *dict.fromkeys(words + list(pattern))]
    return "\0".join((unit * 1000)[:1000] for unit in units[: PATTERN_CHARACTERS // 1001])


def shortened(value: object) -> str:
    """Return a value from a file for a message: on one line and shortened."""
    return _SHORT.repr(value)


def cut_texts(cut: regex.Pattern, texts: Iterable[str], *, only_matches: bool = False) -> Iterable[str]:
    """Return the matches of a pattern in texts, and the text between them unless `only_matches` drops it.

    A pattern that is not known to be fast must split every 100,000 characters within a second of CPU time; otherwise
    TokenizerError is raised.
    """
    if cut.pattern in KNOWN_PATTERNS:
        return chain.from_iterable(map(regex.Match.group, cut.finditer(text)) for text in texts)
    pieces: list[str] = []
    parts_of: dict[str, list[str]] = {}  # of the short texts, which are words that occur again and again
    n_characters, started = 0, time.thread_time()
    for text in texts:
        if text in parts_of:
            pieces += parts_of[text]
            continue
        n_before, end, over, found = len(pieces), 0, False, None
        allowed = PATTERN_SECONDS + _SEARCH_SECONDS * len(text)
        while not over:
            # The timeout only interrupts. It counts the CPU time of all threads, and ours is what matters.
            found = found or cut.finditer(text, end, timeout=1.05 * allowed)
            matches: list[regex.Match] = []
            try:
                matches.extend(islice(found, _MATCHES))
                over = len(matches) < _MATCHES
            except TimeoutError:
                found = None
            begin, end = end, _take_pieces(pieces, text, end, matches, only_matches)
            n_characters += (len(text) if over else end) - begin
            if n_characters >= PATTERN_CHARACTERS:
                n_characters, started = 0, time.thread_time()
            elif time.thread_time() - started > allowed:
                raise TokenizerError(
                    f"The pattern {shortened(cut.pattern)} takes too long to split a text; use a tokenizer with a "
                    "simpler pattern."
                )
        if end < len(text) and not only_matches:
            pieces.append(text[end:])
        if len(text) < _SHORT_TEXT:
            parts_of[text] = pieces[n_before:]
    return pieces


def _take_pieces(
    pieces: list[str], text: str, end: int, matches: Sequence[regex.Match], only_matches: bool
) -> int:
    """Append matches, and the text between them, from `end` on; return where the last match ends."""
    if not matches:
        return end
    last = matches[-1].end()
    whole_pieces = list(map(regex.Match.group, matches))
    if "" not in whole_pieces and sum(map(len, whole_pieces)) == last - end:  # nothing lies between
        pieces += whole_pieces
        return last
    for match in matches:
        if match.start() > end and not only_matches:
            pieces.append(text[end : match.start()])
        if match.group():
            pieces.append(match.group())
        end = match.end()
    return end


def count_pre_tokens(texts: Iterable[str], pattern: str = GPT2_PATTERN) -> Counter[str]:
    """Count the pre-tokens of the texts; the merges are learned from these counts.

    A megabyte of English has 200,000 pre-tokens, of which only about 10,000 are distinct.
    """
    cut = compile_pattern(pattern)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(cut_texts(cut, [replace_surrogates(text)]))
    return counts


def learn_merges(
    piece_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2
) -> list[tuple[int, int, int]]:
    """Learn at most `n_merges` merges, each as (left id, right id, count); fewer if the text has no more.

    The counts of all pairs are updated instead of recounted for every merge: a merge changes only the words that
    contain its pair, and in them only the neighbors of the pair.
    """
    words = [_as_word(piece.encode()) for piece in piece_counts]
    frequencies = list(piece_counts.values())
    pair_counts: Counter[str] = Counter()
    words_with: defaultdict[str, set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in map("".join, pairwise(word)):
            pair_counts[pair] += frequencies[index]
            words_with[pair].add(index)

    # The heap's top is the highest count, then the smallest pair of ids. A pair is pushed when it first occurs, and
    # afterward its count can only fall, because a later merge adds only pairs with the newer token. So an outdated
    # entry is too high, and is corrected when it is popped.
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
            for i in range(1, len(parts)):  # the new token is between parts[i - 1] and parts[i]
                changes = []
                if parts[i - 1]:
                    before = parts[i - 1][-1]
                    changes.append((before + left, before + new))
                elif i > 1:  # two adjacent merges: the new token next to itself
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


def make_tokens(pairs: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of every token: the single bytes, then the concatenation of each pair of ids."""
    if len(BYTE_ORDER) + len(pairs) > MAX_TOKENS:
        raise TokenizerError(
            f"{len(pairs):,} merges make more tokens than the {MAX_TOKENS:,} allowed; use a smaller "
            "tokenizer."
        )
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    n_bytes = len(tokens)
    for left, right in pairs:
        if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
            raise TokenizerError(
                f"Merge {len(tokens)} joins the tokens {shortened(left)} and {shortened(right)}, which must "
                "both come before it; the file is damaged."
            )
        n_bytes += len(tokens[left]) + len(tokens[right])
        if n_bytes > MAX_TOKENS_BYTES:
            raise TokenizerError(
                f"The tokens have more than {MAX_TOKENS_BYTES:,} bytes in total at merge {len(tokens)}; use a "
                "smaller tokenizer."
            )
        tokens.append(tokens[left] + tokens[right])
    return tokens


def check_special_tokens(special_tokens: Mapping[str, int]) -> None:
    """Raise TokenizerError for special tokens that are too many, too long or not text, or whose ids are not free."""
    if len(special_tokens) > MAX_SPECIAL_TOKENS:
        raise TokenizerError(
            f"{len(special_tokens):,} special tokens exceed the limit of {MAX_SPECIAL_TOKENS:,}."
        )
    if "" in special_tokens or len(set(special_tokens.values())) < len(special_tokens):
        raise TokenizerError("Special tokens must be text with distinct ids.")
    if (highest := max(special_tokens.values(), default=0)) >= MAX_TOKENS:
        raise TokenizerError(f"The id {shortened(highest)} must be below {MAX_TOKENS:,}.")
    try:
        lengths = [len(text.encode()) for text in special_tokens]
    except UnicodeEncodeError as error:
        raise TokenizerError("A special token contains half a character; use its complete text.") from error
    if max(lengths, default=0) > LONGEST_SPECIAL_TOKEN or sum(lengths) > MAX_SPECIAL_BYTES:
        raise TokenizerError(
            f"Special tokens may have {LONGEST_SPECIAL_TOKEN} bytes each and {MAX_SPECIAL_BYTES:,} in "
            "total, and these exceed that."
        )


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


def pairs_from_ranks(ranks: Mapping[bytes, int]) -> list[tuple[int, int]]:
    """Recover the merges from tokens in order: what the earlier merges leave of a token is its pair."""
    tokens = sorted(ranks, key=ranks.__getitem__)
    new_ids: dict[str, int] = {}
    for new_id, token in enumerate(tokens[len(BYTE_ORDER) :], start=len(BYTE_ORDER)):
        pair = merge_piece(token, new_ids)
        if len(pair) != 2 or ranks[token] != new_id:
            raise TokenizerError("This vocabulary is not made of byte-level merges in GPT-2's byte order.")
        new_ids[chr(pair[0]) + chr(pair[1])] = new_id
    return [(ord(left), ord(right)) for left, right in new_ids]


def split_otherwise(tokens: Sequence[bytes], new_ids: Mapping[str, int]) -> bool:
    """Return whether the merges make some token's own bytes into other tokens.

    Then merging whatever two neighbors make a known token, as tiktoken does, gives other ids than merging the
    learned pairs. Merges that were learned from a text never do this.
    """
    return any(merge_piece(tokens[new_id], new_ids) != [new_id] for new_id in new_ids.values())


def replay_merges(ids: list[int | None], rules: Mapping[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Merge ids by rules (left, right) -> (rank, new id): always the lowest rank, and of equals the leftmost.

    A merge may make a pair whose rank is lower than its own, so pairs wait in a heap and are looked at again
    when they come up.
    """
    after = [*range(1, len(ids)), None]
    before = [None, *range(len(ids) - 1)]
    pairs = map(rules.get, pairwise(ids))
    queue = [(rule[0], index, rule[1]) for index, rule in enumerate(pairs) if rule is not None]
    heapq.heapify(queue)

    def offer(index: int | None) -> None:
        if index is not None and after[index] is not None:
            rule = rules.get((ids[index], ids[after[index]]))
            if rule is not None:
                heapq.heappush(queue, (rule[0], index, rule[1]))

    while queue:
        _, index, new = heapq.heappop(queue)
        right = after[index]
        if ids[index] is None or right is None:
            continue
        if rules.get((ids[index], ids[right]), (0, None))[1] != new:  # one of the two has changed since
            continue
        ids[index], ids[right] = new, None
        after[index] = after[right]
        if after[right] is not None:
            before[after[right]] = index
        offer(before[index])
        offer(index)
    return [token_id for token_id in ids if token_id is not None]
