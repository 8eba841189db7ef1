"""The questions of chapter 4. A seed draws the numbers, and the library computes the answers."""

import math
import random
from collections.abc import Sequence

import torch

from gptcore.config import RopeScaling
from gptcore.lessons import by_hand
from gptcore.positions import inverse_frequencies
from pages.kit.quiz import Bug, Choice, Numeric, Question

NEIGHBOURS = (
    "frequencies = theta ** (-torch.arange(0, width, 2) / width)",
    "angles = torch.outer(torch.arange(len(x)), frequencies)",
    "first, second = x[:, 0::2], x[:, 1::2]",
    "a = first * angles.cos() - second * angles.sin()",
    "b = first * angles.sin() + second * angles.cos()",
    "rotated = torch.cat((a, b), dim=-1)",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        turned(draw),
        score(draw),
        slowest(draw),
        Choice(name="what_is_turned", right="queries_keys"),
        Choice(name="any_length", right="unseen"),
        linear(draw),
        Choice(name="no_positions", right="second_layer", numbers={"layers": draw.randint(2, 6)}),
        Bug(name="neighbours_bug", lines=NEIGHBOURS, right=6),
    ]


def turned(draw: random.Random) -> Numeric:
    """The first component of a pair that rotates by 1 radian per position."""
    a, b = (draw.choice([-1, 1]) * draw.randint(3, 9) / 10 for _ in range(2))
    at = draw.choice((2, 3, 4, 5))
    pair = torch.tensor([a, b])

    def first(position: int) -> float:
        return by_hand.rotate(pair, position).rotated[0]

    # Rotating the mirror image is the same as rotating in the opposite direction.
    (opposite, _) = by_hand.rotate(torch.tensor([a, -b]), at).rotated
    degrees = a * math.cos(math.radians(at)) - b * math.sin(math.radians(at))
    return Numeric(
        name="turned",
        right=first(at),
        tolerance=0.01,
        numbers={"a": a, "b": b, "at": at, "second": by_hand.rotate(pair, at).rotated[1]},
        mistakes={
            "other_way": opposite,
            "one_late": first(at + 1),
            "one_early": first(at - 1),
            "degrees": degrees,
        },
    )


def score(draw: random.Random) -> Numeric:
    """The score of two vectors further on in the text, from their score at its beginning."""
    q, k = (torch.tensor([draw.randint(2, 9) / 10, draw.randint(-9, -2) / 10]) for _ in range(2))
    distance, shift = draw.randint(2, 6), draw.choice((30, 50, 100))

    def compare(at: int, key_at: int) -> float:
        return by_hand.rotated_score(q, k, at, key_at)

    return Numeric(
        name="score",
        right=compare(distance + shift, shift),
        tolerance=0.01,
        numbers={
            "at": distance,
            "known": compare(distance, 0),
            "back": compare(0, distance),
            "at2": distance + shift,
            "key2": shift,
        },
        mistakes={"back_again": compare(0, distance)},
    )


def slowest(draw: random.Random) -> Numeric:
    """The wavelength of the slowest pair, in tokens."""
    width, base = draw.choice((8, 16, 32, 64)), draw.choice((1000, 10_000, 500_000))
    frequencies = inverse_frequencies(width, base).tolist()
    return Numeric(
        name="slowest",
        right=math.tau / frequencies[-1],
        tolerance=0.02,
        unit="tokens",
        numbers={"d": width, "base": base, "last": width - 2},
        mistakes={"radian": 1 / frequencies[-1], "one_further": math.tau * base, "fastest": math.tau},
    )


def linear(draw: random.Random) -> Numeric:
    """How far the fastest pair rotates per token when all angles are divided by a factor."""
    factor, width = draw.choice((2, 4, 8)), 64
    fastest = {
        kind: float(inverse_frequencies(width, 10_000.0, RopeScaling(kind=kind, factor=factor))[0])
        for kind in ("linear", "ntk")
    }
    return Numeric(
        name="linear",
        right=fastest["linear"],
        unit="radians",
        numbers={"factor": factor, "ntk": fastest["ntk"]},
        mistakes={"ntk": fastest["ntk"], "faster": float(factor)},
    )
