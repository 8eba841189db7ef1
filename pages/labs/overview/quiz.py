"""Chapter 0: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import math
import random
from collections.abc import Sequence

import torch

from gptcore.config import ModelConfig
from gptcore.generation.sampling import Sampling, distribution
from pages.kit.quiz import Bug, Choice, Numeric, Order, Question

STAGES = (
    "split the text into tokens",
    "look up a row of the embedding matrix for each token",
    "apply the blocks",
    "normalize the last row",
    "compute a score for every token of the vocabulary",
    "turn the scores into probabilities (softmax)",
    "sample one token and append it",
)
COST = (
    "probabilities = torch.softmax(logits, dim=-1)",
    "targets = ids",
    "given = probabilities[torch.arange(len(targets)), targets]",
    "loss = -given.log().mean()",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        by_hand(draw),
        surprise(draw),
        scores(draw),
        Choice(name="looks_up", right="new"),
        Choice(name="while_you_chat", right="text"),
        Choice(name="sure", right="reading", numbers={"p": draw.choice((60, 70, 80))}),
        Order(name="order_stages", lines=STAGES, accepts=lambda order: list(order) == sorted(order)),
        Bug(name="find_bug", lines=COST, right=2),
    ]


def by_hand(draw: random.Random) -> Numeric:
    """The softmax probability of the first of three logits."""
    logits = sorted((draw.randint(-5, 30) / 10 for _ in range(3)), reverse=True)
    while logits[0] - logits[1] < 0.3 or sum(logits) < 0.5:
        logits = sorted((draw.randint(-5, 30) / 10 for _ in range(3)), reverse=True)
    probabilities = distribution(torch.tensor(logits), Sampling()).tolist()
    return Numeric(
        name="by_hand",
        right=probabilities[0],
        tolerance=0.006,
        numbers={"a": logits[0], "b": logits[1], "c": logits[2]},
        mistakes={
            "no_exponential": logits[0] / sum(logits),
            "second": probabilities[1],
            "odds": probabilities[0] / (1 - probabilities[0]),
        },
    )


def surprise(draw: random.Random) -> Numeric:
    """The loss of a token that was given this probability."""
    p = draw.choice((0.45, 0.2, 0.05, 0.3))
    return Numeric(
        name="surprise",
        right=-math.log(p),
        unit="nats",
        numbers={"p": p},
        mistakes={
            "bits": -math.log2(p),
            "ten": -math.log10(p),
            "sign": math.log(p),
            "rest": -math.log(1 - p),
        },
    )


def scores(draw: random.Random) -> Numeric:
    """How many logits one forward pass over a text computes."""
    config = ModelConfig(
        vocab_size=draw.choice((2048, 4096)), context_length=256, d_model=128, n_layers=4, n_heads=4
    )
    tokens = draw.choice((5, 6, 8, 12))
    return Numeric(
        name="scores",
        right=tokens * config.vocab_size,
        tolerance=1e-6,
        numbers={"tokens": tokens, "vocabulary": config.vocab_size, "width": config.d_model},
        mistakes={"one_row": config.vocab_size, "stream": tokens * config.d_model},
    )
