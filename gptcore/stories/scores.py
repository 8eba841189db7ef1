"""Story scores: four measures of a text that is meant to be stories, and what tables of word counts score.

1. *grammar*: the fraction of sentences that the parser accepts. 2. *new*: the fraction of all sentences that are
accepted and occur in no default training story. A table reaches a high grammar score by copying; this score separates
copying from learning. 3. *pronouns*: the fraction of he, him, his, himself, she, her, herself that fit the story:
someone of that gender has been mentioned earlier in the same sentence or in the sentence before it, by name, by a
noun such as *queen*, or by a pronoun that was itself right. A noun such as *baker* has the gender of the name it was
first introduced with ("a baker named Nora"). 4. *names*: the fraction of name mentions that belong to someone
introduced in this story. Any name in a story's first sentence introduces, later only "named X" and "name was X" or
"name is X" do; introductions are not counted. A capitalized word the world does not know, inside a sentence, counts
as a wrong name.

In stories of the writer, grammar, pronouns and names are exactly 1.
"""

import random
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice

import numpy as np

from gptcore.stories.lexicon import FOLK_COMMON, GENDER, NOUN_GENDER
from gptcore.stories.parser import accepts
from gptcore.stories.printing import join_tokens, read_tokens
from gptcore.stories.shipped_stories import default_sentences, default_texts
from gptcore.stories.writer import N_STORIES

VALIDATION_FRACTION = 0.05
N_TRAINING = N_STORIES - int(N_STORIES * VALIDATION_FRACTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryScores:
    """The four scores: counts of sentences, then fractions from 0 to 1; None where there was nothing to judge."""

    sentences: int
    accepted: int
    rate: float
    new: float
    pronouns: float | None
    names: float | None

    def to_dict(self) -> dict[str, int | float | None]:
        """The scores by name, as JSON takes them."""
        return asdict(self)


def split_stories(text: str) -> list[str]:
    """The stories of a text: separated by blank lines."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


passages = split_stories  # the name under which the first edition's `gptcore.ladder` offered it


_END = re.compile(r'"|[.?!]"?')


def split_sentences(passage: str) -> list[str]:
    """The finished sentences of a passage; a last one without its full stop is left out.

    A quote that ends in a mark goes on when a lower-case word follows ("Why?" asked Mira.) and ends
    the sentence otherwise.
    """
    sentences, start, inside = [], 0, False
    for match in _END.finditer(passage):
        mark, end = match.group(), match.end()
        if mark == '"':
            inside = not inside
            continue
        follower = passage[end : end + 2].strip()
        if inside and mark.endswith('"') and follower[:1].islower():
            inside = False
            continue
        inside = mark.endswith('"') and not inside
        if end == len(passage) or passage[end] == " ":
            sentences.append(passage[start:end].strip())
            start, inside = end, False
    return sentences


PRONOUN_GENDER = dict.fromkeys(("he", "him", "his", "himself"), "m") | dict.fromkeys(
    ("she", "her", "herself"), "f"
)


def _is_name(token: str) -> bool:
    return token in GENDER or (token[:1].isupper() and token != "I")


def _introduced(sentences: Sequence[list[str]]) -> list[set[int]]:
    """For each sentence of a passage the indices of the tokens that introduce a name."""
    introductions = []
    for i, tokens in enumerate(sentences):
        by_form = {
            j
            for j in range(1, len(tokens))
            if _is_name(tokens[j])
            and (tokens[j - 1] == "named" or (tokens[j - 1] in ("was", "is") and tokens[j - 2] == "name"))
        }
        introductions.append({j for j, token in enumerate(tokens) if _is_name(token)} if i == 0 else by_form)
    return introductions


def judge_pronouns(sentences: Sequence[list[str]]) -> tuple[int, int]:
    """(right, all) pronouns of a passage, given as lists of tokens."""
    right = total = 0
    last, tied = {}, {}
    for i, (tokens, introduced) in enumerate(zip(sentences, _introduced(sentences), strict=True)):
        for j in introduced:
            nouns = [token for token in tokens[:j] if token in _COMMON or token in NOUN_GENDER]
            if nouns and nouns[-1] in _COMMON:
                tied.setdefault(nouns[-1], GENDER.get(tokens[j]))
        for token in tokens:
            gender = PRONOUN_GENDER.get(token)
            if gender is None:
                mentioned = GENDER.get(token) or NOUN_GENDER.get(token) or tied.get(token)
                if mentioned:
                    last[mentioned] = i
                continue
            total += 1
            if last.get(gender, -2) >= i - 1:
                right += 1
                last[gender] = i
    return right, total


_COMMON = frozenset(FOLK_COMMON)


def judge_names(sentences: Sequence[list[str]]) -> tuple[int, int]:
    """(right, all) mentions of names in a passage, introductions not counted."""
    right = total = 0
    known = set()
    for tokens, introduced in zip(sentences, _introduced(sentences), strict=True):
        known |= {tokens[j] for j in introduced}
        for j, token in enumerate(tokens):
            if _is_name(token) and j not in introduced:
                total += 1
                right += token in known
    return right, total


class Numbers:
    """Whole numbers below 2**63, of which one can be looked up: eight bytes each, where a set takes about 90."""

    def __init__(self, numbers: Iterable[int]):
        self._sorted = np.unique(np.fromiter(numbers, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, number: int) -> bool:
        place = int(self._sorted.searchsorted(number))
        return place < len(self) and int(self._sorted[place]) == number


@cache
def training_sentences() -> Numbers:
    """Hashes of all sentences of the default training stories; made once in a process."""
    stories = islice(default_sentences(), N_TRAINING)
    return Numbers(hash(sentence) for sentences in stories for sentence in sentences)


def score_text(text: str) -> StoryScores:
    """The scores of a text, its stories separated by blank lines; all zero where no sentence is finished."""
    stories = [split_sentences(passage) for passage in split_stories(text)]
    sentences = [sentence for story in stories for sentence in story]
    known = training_sentences()
    accepted = [sentence for sentence in sentences if accepts(sentence)]
    tokens = [[read_tokens(sentence) for sentence in story] for story in stories]
    return StoryScores(
        sentences=len(sentences),
        accepted=len(accepted),
        rate=len(accepted) / max(1, len(sentences)),
        new=sum(hash(sentence) not in known for sentence in accepted) / max(1, len(sentences)),
        pronouns=_fraction(judge_pronouns(story) for story in tokens),
        names=_fraction(judge_names(story) for story in tokens),
    )


def _fraction(counts: Iterable[tuple[int, int]]) -> float | None:
    counts = list(counts)
    right, total = (sum(count[i] for count in counts) for i in (0, 1))
    return right / total if total else None


class WordTable:
    """Texts as the numbers of their words and marks, so that n-gram tables of any order can be drawn from.

    The table itself is never written out: to draw the word after a context is to draw one of the positions
    where the context occurs and to read on, which has the same probabilities.
    """

    STORY_END = "\n\n"

    def __init__(self, documents: Iterable[str]):
        numbers = {self.STORY_END: 0}
        ids = array("Q")
        for document in documents:
            inside = False
            for token in _WORD.findall(document):
                if token == '"':
                    token, inside = ("”", False) if inside else ("“", True)
                ids.append(numbers.setdefault(token, len(numbers)))
            ids.append(0)
        if not ids:
            raise ValueError("An n-gram table needs at least one document.")
        self.words = list(numbers)
        self.ids = np.frombuffer(ids, dtype=np.uint64)

    def _contexts(self, length: int) -> np.ndarray:
        """For each position a hash of the `length` words before it; before a story stands its end mark, repeated."""
        places = np.arange(len(self.ids), dtype=np.int32)
        since_start = places - np.maximum.accumulate(np.where(np.roll(self.ids, 1) == 0, places, np.int32(0)))
        hashes = np.zeros(len(self.ids), dtype=np.uint64)
        for back in range(length, 0, -1):  # in place: there are 3 million positions
            hashes *= _FACTOR
            hashes += np.where(since_start >= back, np.roll(self.ids, back), np.uint64(0))
            hashes += np.uint64(1)
        return hashes

    def sample(self, order: int, n_sentences: int, seed: int = 0) -> str:
        """Stories drawn from the table of this order (2: each word given the one before), separated by blank lines.

        They go on until at least `n_sentences` sentences are there and a story ends. No back-off is needed:
        the words of a context were read off the text together.
        """
        if order < 2:
            raise ValueError(f"order={order} must be at least 2, so that there is a context.")
        hashes = self._contexts(order - 1)
        positions = np.argsort(hashes, kind="stable")
        table, ids = hashes[positions], self.ids
        del hashes
        rng = random.Random(seed).random
        stories, tokens, n = [], [], 0
        while n < n_sentences or tokens:
            context = [0] * max(0, order - 1 - len(tokens)) + tokens[
                len(tokens) - order + 1 if len(tokens) >= order else 0 :
            ]
            key = 0
            for word in context:
                key = (key * int(_FACTOR) + word + 1) & _MASK
            key = np.uint64(key)
            low, high = table.searchsorted(key), table.searchsorted(key, side="right")
            word = int(ids[positions[low + int(rng() * (high - low))]])
            if word:
                tokens.append(word)
                n += self.words[word] in ".?"
            else:
                stories.append(join_tokens([self.words[token] for token in tokens]))
                tokens = []
        return "\n\n".join(stories)


_WORD = re.compile(r"'s\b|[A-Za-z]+|[^\sA-Za-z]")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MASK = 2**64 - 1


def sample_table(documents: Iterable[str], order: int, n_sentences: int, seed: int = 0) -> str:
    """Text drawn from the word n-gram table of the documents (order 2: bigrams), stories separated by blank lines."""
    return WordTable(documents).sample(order, n_sentences, seed)


@cache
def table_scores(
    orders: tuple[int, ...] = (3, 5, 7),
    n_sentences: int = 2_000,
    seed: int = 0,
    documents: tuple[str, ...] | None = None,
) -> dict[int, StoryScores]:
    """The scores that tables of the default training stories reach, by order: what a model has to beat.

    `documents` are these stories, where the caller has them in memory.
    """
    table = WordTable(documents or [text for text, _ in default_texts()[:N_TRAINING]])
    return {order: score_text(table.sample(order, n_sentences, seed)) for order in orders}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A beginning whose next word depends on one name alone, told with a name of either gender."""

    male: str
    female: str
    male_word: str
    female_word: str
    words_back: int


_PROBES = (
    (
        "Once upon a time {name} lived in a small cottage with a red roof near the sea, and every morning",
        "Tom",
        "Mira",
    ),
    (
        "A long time ago {name} lived all alone near the forest. "
        "When the nights were long and cold and the wind howled over the hills,",
        "Leo",
        "Anna",
    ),
    (
        "In an old hut by the river lived a child named {name}. "
        "When there was no fire in the room and it was dark in the house,",
        "Ben",
        "Nora",
    ),
    (
        "Once upon a time {name} lived in a quiet house with a green roof near the mountains, and every evening",
        "Finn",
        "Lena",
    ),
)


def reference_probe() -> tuple[Probe, ...]:
    """Beginnings in which only a name, fourteen words back or more, says whether " he" or " she" is next.

    In each the pronoun is the most probable next word of the stories, and the name is the only word with a gender.
    """
    return tuple(
        Probe(
            male=text.format(name=male),
            female=text.format(name=female),
            male_word=" he",
            female_word=" she",
            words_back=len(re.findall(r"[A-Za-z]+", text.split("{name}")[1])) + 1,
        )
        for text, male, female in _PROBES
    )
