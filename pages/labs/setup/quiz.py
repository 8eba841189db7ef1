"""Chapter 1: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import random
from collections.abc import Sequence

import torch

from gptcore.account import n_parameters, training_bytes
from gptcore.config import PRESETS
from gptcore.lessons import line_fit, shapes
from pages.kit.quiz import Bug, Choice, Numeric, Order, Question

LOOP = (
    "loss = squared_error(model(x), y)",
    "loss.backward()",
    "weight -= rate * weight.grad",
    "weight.grad = None",
)
FINITE_DIFFERENCES = (
    "change = torch.zeros_like(weights)",
    "change[i] = step",
    "difference = loss(weights + change) - loss(weights - change)",
    "gradient[i] = difference / step",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        one_step(draw),
        flies_off(draw),
        Choice(name="kept_aside", right="overfits"),
        one_cell(draw),
        broadcast(draw),
        Choice(name="view_shares", right="changes", numbers={"n": draw.choice((6, 12, 24))}),
        state(draw),
        Choice(name="small_on_gpu", right="start"),
        Order(name="order_loop", lines=LOOP, accepts=lambda order: list(order) == sorted(order)),
        Bug(name="find_bug", lines=FINITE_DIFFERENCES, right=4),
    ]


def one_step(draw: random.Random) -> Numeric:
    """The weight w after one step from 0 and 0, on two points."""
    xs = draw.sample((1, 2, 3, 4), 2)
    ys = [draw.randint(1, 5) for _ in range(2)]
    rate = draw.choice((0.05, 0.1))
    x, y = torch.tensor(xs, dtype=torch.float32), torch.tensor(ys, dtype=torch.float32)
    first, second = line_fit.descend(x, y, rate, 1)
    return Numeric(
        name="one_step",
        right=second.w,
        tolerance=0.005,
        numbers={"x1": xs[0], "y1": ys[0], "x2": xs[1], "y2": ys[1], "rate": rate, "slope": first.slope_w},
        mistakes={
            "uphill": -second.w,
            "no_two": second.w / 2,
            "sum": 2 * second.w,
            "weight_b": second.b,
            "slope_only": first.slope_w,
        },
    )


def flies_off(draw: random.Random) -> Choice:
    """A loss that grows by a factor at every step."""
    factor = draw.choice((3, 4, 5))
    losses = ", ".join(str(2 * factor**step) for step in range(4))
    return Choice(name="flies_off", right="lower", numbers={"losses": losses})


def one_cell(draw: random.Random) -> Numeric:
    """One entry of a matrix product."""
    while True:
        a = [[draw.randint(-3, 5) for _ in range(2)] for _ in range(2)]
        b = [[draw.randint(-3, 5) for _ in range(2)] for _ in range(2)]
        table = shapes.dot_products(
            torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32)
        )
        right, transposed, one_product = table[1, 0].item(), table[0, 1].item(), float(a[1][0] * b[1][0])
        if len({right, transposed, one_product}) == 3 and right != 0:
            break
    return Numeric(
        name="one_cell",
        right=right,
        tolerance=1e-6,
        numbers={
            f"{name}{i + 1}{j + 1}": m[i][j]
            for name, m in (("a", a), ("b", b))
            for i in (0, 1)
            for j in (0, 1)
        },
        mistakes={"turned": transposed, "cell_by_cell": one_product},
    )


def broadcast(draw: random.Random) -> Numeric:
    """How many numbers a sum of a column and a row has."""
    rows, columns = draw.sample(range(3, 10), 2)
    shape = shapes.broadcast((rows, 1), (1, columns))
    return Numeric(
        name="broadcast",
        right=shape[0] * shape[1],
        tolerance=1e-6,
        numbers={"rows": rows, "columns": columns},
        mistakes={"added": rows + columns, "longer": max(rows, columns)},
    )


def state(draw: random.Random) -> Numeric:
    """The megabytes that training keeps between steps."""
    nano = PRESETS["nano"].model
    config = nano.replace(d_model=draw.choice((64, 128, 256)), n_layers=draw.choice((2, 4, 8)), d_ff=384)
    held, weights = training_bytes(config) / 1e6, n_parameters(config)
    return Numeric(
        name="state",
        right=held,
        unit="MB",
        numbers={"weights": weights},
        mistakes={"weights_only": held / 4, "no_moments": held / 2},
    )
