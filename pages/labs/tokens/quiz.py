"""Chapter 2: its questions. Words are drawn from a seed, answers are computed by the tokenizer."""

import math
import random
from collections.abc import Sequence

from gptcore.lessons import bpe_steps
from gptcore.tokenizer import Tokenizer, story_tokenizer
from pages.kit.chips import visible
from pages.kit.quiz import Bug, Choice, Numeric, Question

TEXTS = (
    "low lower lowest slow",
    "ring sing king bring",
    "hat that chat what",
    "ten tent often token",
    "star start art part",
)
NEW = {
    "low lower lowest slow": "glow",
    "ring sing king bring": "wing",
    "hat that chat what": "bat",
    "ten tent often token": "kitten",
    "star start art part": "cart",
}
LETTERS = ("é", "ü", "水", "가", "🐢", "🎉")
BUGGY = (
    "word = list(pre_token)",
    "while pairs := [pair for pair in zip(word, word[1:]) if pair in rank]:",
    "    pair = max(pairs, key=lambda pair: len(pair[0] + pair[1]))",
    "    word = joined(word, pair)",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the words of this seed."""
    draw = random.Random(seed)
    return [
        first_count(draw),
        encoded(draw),
        byte_tokens(draw),
        vocabulary(draw),
        Choice(name="space", right="two_ids", numbers={"word": draw.choice(("cat", "king", "river"))}),
        Choice(name="by_gradient", right="counting"),
        compare(draw),
        Bug(name="find_bug", lines=BUGGY, right=3),
    ]


def _trained(text: str, n_merges: int):
    return Tokenizer.train(text, 256 + n_merges, special_tokens=(), shrink=True)


def first_count(draw: random.Random) -> Numeric:
    """The count of the pair that is merged first."""
    text = draw.choice(TEXTS)
    tokenizer = _trained(text, 0)
    best, *others = bpe_steps.pairs(text, tokenizer)
    lower = next(pair.count for pair in others if pair.count < best.count)
    return Numeric(
        name="first_count",
        right=best.count,
        tolerance=0.0,
        numbers={
            "text": text,
            "pair": tokenizer.token_text(best.left) + tokenizer.token_text(best.right),
            "ties": len(bpe_steps.tied_pairs([best, *others])),
        },
        mistakes={"next_pair": lower},
    )


def encoded(draw: random.Random) -> Numeric:
    """The tokens of a new word after three merges."""
    text = draw.choice(TEXTS)
    tokenizer = _trained(text, 3)
    new = NEW[text]
    count = len(tokenizer.encode_slowly(new))
    merges = ", ".join(
        f"{visible(tokenizer.token_text(merge.left))} + {visible(tokenizer.token_text(merge.right))}"
        for merge in tokenizer.merges
    )
    mistakes = {"letters": float(len(new))}
    if count != 1:
        mistakes["one_word"] = 1.0
    return Numeric(
        name="encoded",
        right=count,
        tolerance=0.0,
        numbers={
            "merges": merges,
            "word": new,
            "parts": "·".join(tokenizer.token_text(i) for i in tokenizer.encode_slowly(new)),
        },
        mistakes=mistakes,
    )


def byte_tokens(draw: random.Random) -> Numeric:
    """The number of tokens of a character that the tokenizer never saw in training."""
    letter, times = draw.choice(LETTERS), draw.randint(2, 5)
    count = len(story_tokenizer().encode(letter * times))
    return Numeric(
        name="byte_tokens",
        right=count,
        tolerance=0.0,
        numbers={"letter": letter, "times": times, "each": len(letter.encode())},
        mistakes={"characters": float(times), "one_sign": float(len(letter.encode()))},
    )


def vocabulary(draw: random.Random) -> Numeric:
    """The size of a vocabulary, from its number of merges."""
    merges, special = draw.choice((1000, 8000, 32_000, 50_000)), draw.randint(1, 4)
    return Numeric(
        name="vocabulary",
        right=256 + merges + special,
        tolerance=0.0,
        numbers={"merges": merges, "special": special},
        mistakes={"no_bytes": float(merges + special), "no_special": float(256 + merges)},
    )


def compare(draw: random.Random) -> Numeric:
    """Bits per byte from nats per token."""
    loss, ratio = draw.choice((1.2, 1.5, 1.8, 2.4)), draw.choice((2.0, 2.5, 4.0))
    return Numeric(
        name="compare",
        right=loss / math.log(2) / ratio,
        tolerance=0.01,
        unit="bits per byte",
        numbers={"loss": loss, "ratio": ratio},
        mistakes={
            "per_token": loss / math.log(2),
            "nats": loss / ratio,
            "times": loss / math.log(2) * ratio,
        },
    )
