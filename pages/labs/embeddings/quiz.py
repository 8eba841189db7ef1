"""Chapter 3: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import random
from collections.abc import Sequence

import torch

from gptcore.account import parameters
from gptcore.config import ModelConfig
from gptcore.interpret.embedding_table import WAYS, cosines, embedding_gradient, single_update
from pages.kit.quiz import Bug, Choice, Numeric, Question

BUGGY = (
    "gradient = torch.zeros(n_rows, width)",
    "for one, back in zip(ids, above):",
    "    gradient[one] = back",
    "table = table - rate * gradient",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        cosine(draw),
        repeated(draw),
        tables(draw),
        rows_moved(draw),
        Choice(name="tied_moves", right="all", numbers={"v": draw.choice((500, 2048, 32_000))}),
        Choice(name="dimension", right="turn", numbers={"k": draw.randint(3, 120)}),
        Choice(name="sums", right="inputs_out"),
        Bug(name="find_bug", lines=BUGGY, right=3),
    ]


def _vector(draw: random.Random) -> list[float]:
    return [draw.choice((-9, -6, -4, -2, 2, 3, 5, 8)) / 10 for _ in range(2)]


def cosine(draw: random.Random) -> Numeric:
    """The cosine of two short vectors."""
    a, b = _vector(draw), _vector(draw)
    while (
        abs(_dot(a, b)) < 0.1
        or abs(_dot(a, a) - 1) < 0.1
        or abs(_dot(a, b) ** 2 - _dot(a, a) * _dot(b, b)) < 0.02
    ):
        a, b = _vector(draw), _vector(draw)
    right = float(cosines(torch.tensor([a]), torch.tensor([b])))
    mistakes = {"dot": _dot(a, b), "squares": _dot(a, b) / (_dot(a, a) * _dot(b, b))}
    return Numeric(
        name="cosine",
        right=right,
        tolerance=0.01,
        numbers={"a1": a[0], "a2": a[1], "b1": b[0], "b2": b[1], "dot": _dot(a, b)},
        mistakes={name: wrong for name, wrong in mistakes.items() if abs(wrong - right) > 0.03 * abs(right)},
    )


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b))


def repeated(draw: random.Random) -> Numeric:
    """The first component of the gradient of a row whose token occurs twice."""
    first, second, other = draw.sample((0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 3)
    token = draw.randint(2, 9)
    gradient = embedding_gradient([token, 1, token], torch.tensor([[first], [other], [second]]), 10)
    return Numeric(
        name="repeated",
        right=round(float(gradient[token, 0]), 6),
        tolerance=0.005,
        numbers={"token": token, "first": first, "other": other, "second": second},
        mistakes={
            "last": second,
            "mean": (first + second) / 2,
            "everything": first + second + other,
        },
    )


def tables(draw: random.Random) -> Numeric:
    """The parameters of both matrices of an untied model."""
    v, c = draw.choice((2048, 8000, 32_000)), draw.choice((128, 256, 512))
    shape = ModelConfig(
        vocab_size=v, context_length=64, d_model=c, n_layers=1, n_heads=2, tie_embeddings=False
    )
    counted = parameters(shape)
    return Numeric(
        name="tables",
        right=counted["embedding"] + counted["output"],
        tolerance=0.001,
        numbers={"v": v, "c": c},
        mistakes={"one": float(counted["embedding"]), "sum": float(2 * (v + c))},
    )


def rows_moved(draw: random.Random) -> Numeric:
    """The number of rows that one step changes in an untied model."""
    ids = [draw.randint(0, 15) for _ in range(draw.randint(5, 7))]
    ids[1] = ids[0]
    last = next(token for token in range(16) if token not in ids)
    ids.append(last)
    n_changed = int((single_update(ids, WAYS[0]).far > 0).sum())
    return Numeric(
        name="rows_moved",
        right=n_changed,
        tolerance=0.0,
        numbers={"ids": " ".join(map(str, ids)), "last": last},
        mistakes={
            name: float(wrong)
            for name, wrong in {"places": len(ids) - 1, "with_last": n_changed + 1, "all": 16}.items()
            if wrong != n_changed
        },
    )
