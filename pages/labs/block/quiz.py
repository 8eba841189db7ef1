"""The questions of chapter 6. A seed draws the numbers, and the library computes the answers."""

import math
import random
from collections.abc import Sequence

import torch

from gptcore.feedforward import GELUMLP, SwiGLU
from gptcore.lessons.by_hand import activation_curve
from gptcore.norms import LayerNorm, rms_norm
from pages.kit.quiz import Bug, Choice, Numeric, Order, Question

BUGGY = (
    "x = attention_norm(x)",
    "x = x + attention(x)",
    "h = feedforward_norm(x)",
    "x = x + feedforward(h)",
)
LINES = (
    "h = input_norm(x)",
    "h = compute(h)",
    "h = output_norm(h)",
    "x = x + h",
    "return x",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        rms_by_hand(draw),
        Choice(name="forgets", right="scale", numbers={"factor": draw.choice((3, 5, 10))}),
        gated_by_hand(draw),
        width_of_the_other(draw),
        factors(draw),
        Choice(name="who_mixes", right="attention"),
        Choice(name="faster", right="compared", numbers={"percent": 15}),
        Bug(name="find_bug", lines=BUGGY, right=1),
        Order(name="order_lines", lines=LINES, accepts=lambda order: list(order) == sorted(order)),
    ]


def rms_by_hand(draw: random.Random) -> Numeric:
    """The first component of three after RMSNorm."""

    def vector() -> list[float]:
        return [draw.choice((-1, 1)) * draw.randint(1, 9) / 2 for _ in range(3)]

    x = vector()
    while abs(sum(x)) < 1 or len(set(map(abs, x))) < 3:
        x = vector()  # with a mean near 0, both norms give the same result
    right = rms_norm(torch.tensor(x), torch.ones(3), 1e-5)[0].item()
    return Numeric(
        name="rms_by_hand",
        right=right,
        numbers={"a": x[0], "b": x[1], "c": x[2], "rms": x[0] / right},
        mistakes={
            "by_length": right / math.sqrt(3),
            "layer_norm": LayerNorm(3)(torch.tensor(x))[0].item(),
            "no_root": x[0] / (x[0] / right) ** 2,
        },
    )


def gated_by_hand(draw: random.Random) -> Numeric:
    """One hidden unit of SwiGLU from its gate and its up projection."""
    z, up = draw.choice((-2, -1, 2, 3)) * 1.0, draw.choice((-5, -4, 4, 5)) * 1.0
    silu = activation_curve("SiLU", (z,)).values[0]
    return Numeric(
        name="gated_by_hand",
        right=silu * up,
        numbers={"z": z, "up": up, "silu": silu},
        mistakes={
            "no_up": silu,
            "sigmoid_only": up / (1 + math.exp(-z)),
            "no_bend": z * up,
            "bent_up": z * activation_curve("SiLU", (up,)).values[0],
        },
    )


def width_of_the_other(draw: random.Random) -> Numeric:
    """The width at which SwiGLU has as many parameters as a plain MLP."""
    c = draw.choice((96, 192, 384, 768))
    plain = GELUMLP(c, 4 * c)
    n_weights = sum(weight.numel() for weight in plain.parameters())
    right = n_weights / (SwiGLU.n_matrices * c)
    return Numeric(
        name="same_weights",
        right=right,
        tolerance=0.004,
        numbers={"c": c, "f": 4 * c, "n": n_weights},
        mistakes={"same_width": 4.0 * c, "by_four": n_weights / (4 * c)},
    )


def factors(draw: random.Random) -> Numeric:
    """The factor of a gradient over a few residual layers whose branches have the same derivative."""
    slope, n = draw.choice((-0.3, 0.1, 0.2, 0.5)), draw.choice((3, 4, 5))
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y = x
    for _ in range(n):
        y = y + slope * y
    (right,) = torch.autograd.grad(y, x)
    return Numeric(
        name="factors",
        right=right.item(),
        numbers={"slope": slope, "n": n, "factor": 1 + slope},
        mistakes={"no_residual": slope**n, "added": 1 + n * slope, "one": 1.0},
    )
