"""Chapter 8: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import math
import random
from collections.abc import Sequence

import torch

from gptcore.config import TrainConfig
from gptcore.lessons import by_hand
from gptcore.training.optim import learning_rate
from pages.kit.quiz import Bug, Choice, Numeric, Question

BUGGY = (
    "for _ in range(accumulation):",
    "    ids, targets = windows.next()",
    "    loss = model.loss(ids, targets)",
    "    loss.backward()",
    "clip_grad_norm_(model.parameters(), 1.0)",
    "optimizer.step()",
    "optimizer.zero_grad()",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        cost(draw),
        first_step(draw),
        rate(draw),
        unequal(draw),
        per_byte(draw),
        Choice(name="flat", right="few_tokens"),
        Choice(name="below_floor", right="leak"),
        Bug(name="find_bug", lines=BUGGY, right=3),
    ]


def cost(draw: random.Random) -> Numeric:
    """The loss of one prediction from three logits."""
    logits = [draw.randint(0, 30) / 10 for _ in range(3)]
    target = draw.randrange(3)
    entropy = by_hand.cross_entropy(torch.tensor(logits), target)
    return Numeric(
        name="cost",
        right=entropy.loss,
        tolerance=0.01,
        unit="nats",
        numbers={
            "a": logits[0],
            "b": logits[1],
            "c": logits[2],
            "target": ("first", "second", "third")[target],
            "p": entropy.probabilities[target].item(),
        },
        mistakes={
            "probability": entropy.probabilities[target].item(),
            "bits": entropy.loss / 0.6931471805599453,
        },
    )


def first_step(draw: random.Random) -> Numeric:
    """A weight after AdamW's first update."""
    weight, gradient = draw.choice((0.5, 0.8, 1.2)), draw.choice((0.002, 0.03, 4.0))
    rate = draw.choice((0.01, 0.02))
    step = by_hand.adamw_step(weight, [gradient], rate=rate, decay=0.0, beta1=0.9, beta2=0.98)
    return Numeric(
        name="first_step",
        right=step.weight,
        tolerance=1e-4,
        numbers={"w": weight, "g": gradient, "rate": rate},
        mistakes={
            "plain_descent": weight - rate * gradient,
            "not_freed": weight - rate * step.first / step.second**0.5,
            "wrong_way": weight + rate,
        },
    )


def rate(draw: random.Random) -> Numeric:
    """The learning rate of one step of the schedule."""
    peak, n_steps, warmup = draw.choice((3e-4, 6e-4, 1e-3)), 1000, 100
    step = draw.choice((280, 325, 775, 820))
    config = TrainConfig(steps=n_steps, learning_rate=peak, min_learning_rate=0.0, warmup_steps=warmup)
    progress = (step - warmup) / (n_steps - warmup)
    return Numeric(
        name="rate",
        right=1000 * learning_rate(step, config, n_steps),
        tolerance=0.01,
        unit="thousandths",
        numbers={"full": 1000 * peak, "steps": n_steps, "warmup": warmup, "step": step, "share": progress},
        mistakes={
            "full_rate": 1000 * peak,
            "rising": 1000 * peak * step / n_steps,
            "straight_line": 1000 * peak * (1 - progress),
        },
    )


def unequal(draw: random.Random) -> Numeric:
    """The loss of a batch in two parts of unequal length."""
    short, long = draw.choice((100, 200)), draw.choice((300, 600))
    first, second = draw.randint(30, 40) / 10, draw.randint(15, 25) / 10
    return Numeric(
        name="unequal",
        right=(short * first + long * second) / (short + long),
        tolerance=0.005,
        unit="nats",
        numbers={"short": short, "long": long, "first": first, "second": second},
        mistakes={"mean_of_means": (first + second) / 2, "last_only": second, "sum": first + second},
    )


def per_byte(draw: random.Random) -> Numeric:
    """Bits per byte from nats per token."""
    loss, width = draw.randint(20, 34) / 10, draw.choice((2.5, 3.2, 4.0))
    return Numeric(
        name="per_byte",
        right=loss / math.log(2) / width,
        tolerance=0.01,
        unit="bits per byte",
        numbers={"loss": loss, "width": width, "perplexity": math.exp(loss)},
        mistakes={
            "nats": loss / width,
            "per_token": loss / math.log(2),
            "multiplied": loss / math.log(2) * width,
        },
    )
