"""The questions of chapter 9. Numbers are drawn from a seed; the library computes the answers."""

import random
from collections.abc import Sequence

import torch

from gptcore.generation.beam import length_normalized
from gptcore.generation.speculative import expected_speedup, expected_tokens
from gptcore.lessons import by_hand as computed
from pages.kit.quiz import Bug, Choice, Numeric, Order, Question

BUGGY = (
    "cache = KVCache(config)",
    "logits = output(hidden(ids, cache)[:, -1])",
    "for _ in range(max_new_tokens):",
    "    ids = torch.cat((ids, pick(logits)), dim=1)",
    "    logits = output(hidden(ids, cache)[:, -1])",
)
LINES = (
    "logits = penalize_repetition(logits, seen, penalty)",
    "logits = logits / temperature",
    "logits = keep_top_p(logits, p)",
    "probabilities = torch.softmax(logits, dim=-1)",
    "token_id = draw(probabilities, generator)",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        by_hand(draw),
        pushed(draw),
        Choice(name="what_is_linear", right="quadratic"),
        Choice(name="approximates", right="exact"),
        normalised(draw),
        draft_quiz(draw),
        Bug(name="find_bug", lines=BUGGY, right=5),
        Order(name="order_lines", lines=LINES, accepts=lambda order: list(order) == sorted(order)),
    ]


def by_hand(draw: random.Random) -> Numeric:
    """The probability of the first of two tokens at a temperature."""
    first = draw.randint(10, 25) / 10
    second = first - draw.randint(5, 12) / 10
    temperature = draw.choice((0.5, 2.0))
    logits = torch.tensor([first, second])
    probability = computed.softmax(logits, temperature).probabilities[0].item()
    return Numeric(
        name="by_hand",
        right=probability,
        tolerance=0.005,
        numbers={"a": first, "b": second, "t": temperature, "gap": (first - second) / temperature},
        mistakes={
            "no_temperature": computed.softmax(logits, 1.0).probabilities[0].item(),
            "multiplied": computed.softmax(logits, 1 / temperature).probabilities[0].item(),
            "the_other": 1 - probability,
        },
    )


def pushed(draw: random.Random) -> Numeric:
    """The number of tokens that go through the model without a cache, divided by that with one."""
    prompt, new = draw.choice((10, 20, 50)), draw.choice((100, 200, 400))
    without, cached = sum(range(prompt, prompt + new)), prompt + new - 1
    return Numeric(
        name="pushed",
        right=without / cached,
        tolerance=0.02,
        unit="times",
        numbers={"prompt": prompt, "new": new, "without": without, "cached": cached},
        mistakes={"all_equal": float(new), "by_tokens": without / new},
    )


def normalised(draw: random.Random) -> Choice:
    """Which of two finished texts wins a beam search at a length penalty."""
    short, long = draw.choice(((3, 6), (4, 8), (4, 10)))
    per_token = draw.choice((0.5, 0.6, 0.7))
    totals = (-round(short * per_token * 1.2, 2), -round(long * per_token, 2))
    penalty = draw.choice((0.0, 1.0))
    totals_normalized = [length_normalized(total, n, penalty) for total, n in zip(totals, (short, long))]
    return Choice(
        name="normalised",
        right="short" if totals_normalized[0] > totals_normalized[1] else "long",
        numbers={
            "short": short,
            "long": long,
            "short_total": totals[0],
            "long_total": totals[1],
            "penalty": penalty,
            "short_score": totals_normalized[0],
            "long_score": totals_normalized[1],
        },
    )


def draft_quiz(draw: random.Random) -> Numeric:
    """The speedup of speculative decoding."""
    chance, n_ahead, cost = draw.choice((0.5, 0.6, 0.8)), draw.choice((2, 3)), draw.choice((0.1, 0.2))
    return Numeric(
        name="ahead",
        right=expected_speedup(chance, n_ahead, cost),
        tolerance=0.01,
        unit="times as fast",
        numbers={
            "chance": chance,
            "k": n_ahead,
            "c": cost,
            "tokens": expected_tokens(chance, n_ahead),
            "cost": 1 + n_ahead * cost,
        },
        mistakes={
            "no_cost": expected_tokens(chance, n_ahead),
            "no_bonus": (expected_tokens(chance, n_ahead) - 1) / (1 + n_ahead * cost),
            "all_accepted": (n_ahead + 1) / (1 + n_ahead * cost),
        },
    )
