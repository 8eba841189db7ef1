"""Chapter 4: rotate by the paper's pairs, and find the order of dimensions that turns them into ours."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def turn_neighbours(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    """Rotate queries x (T, D), the first at position `start`, pairing neighboring dimensions: (0, 1), (2, 3), …

    Pair i rotates by theta^(-2i/D) radians per position. Return the rotated queries (T, D), and the order of
    dimensions that turns neighbors into halves: rotated[:, order] is what `gptcore.positions.apply_rope` makes of
    x[:, order].
    """
    width = x.shape[-1]
    frequencies = theta ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(start, start + len(x)), frequencies)
    first, second = x[:, 0::2], x[:, 1::2]
    a = first * angles.cos() - second * angles.sin()
    b = first * angles.sin() + second * angles.cos()
    rotated = torch.stack((a, b), dim=-1).flatten(-2)
    return rotated, [*range(0, width, 2), *range(1, width, 2)]


def _halves(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    width = x.shape[-1]
    order = [*range(0, width, 2), *range(1, width, 2)]
    back = torch.tensor(order).argsort()
    turned, _ = turn_neighbours(x[:, back], start, theta)
    return turned[:, order], order


def _from_zero(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    return turn_neighbours(x, 0, theta)


def _other_way(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    flipped = x * torch.tensor([1.0, -1.0]).repeat(x.shape[-1] // 2)
    turned, order = turn_neighbours(flipped, start, theta)
    return turned * torch.tensor([1.0, -1.0]).repeat(x.shape[-1] // 2), order


def _too_slow(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    return turn_neighbours(x, start, theta**0.5)


def _left_apart(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    turned, order = turn_neighbours(x, start, theta)
    return turned[:, order], order


def _inverse_order(x: Tensor, start: int, theta: float) -> tuple[Tensor, list[int]]:
    turned, order = turn_neighbours(x, start, theta)
    return turned, torch.tensor(order).argsort().tolist()


def _cases() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(4)
    for label, n_tokens, width, start, theta in (
        ("one token at position 1, width 4", 1, 4, 1, 10_000.0),
        ("three tokens from position 0, width 4", 3, 4, 0, 10_000.0),
        ("four tokens from position 0, width 8", 4, 8, 0, 10_000.0),
        ("two tokens after five cached, width 8", 2, 8, 5, 10_000.0),
        ("another base, width 6", 3, 6, 2, 100.0),
    ):
        x = torch.randn(n_tokens, width, generator=generator)
        yield Case(label=label, arguments={"x": x, "start": start, "theta": theta})


EXERCISE = Exercise(
    name="neighbour_pairs",
    chapter=4,
    title="Pair neighbors, and convert to halves",
    task="The RoPE paper pairs neighboring dimensions, the library pairs halves. Rotate queries by the paper's "
    "pairs, and find the order of dimensions that turns these pairs into halves.",
    solution=turn_neighbours,
    cases=_cases,
    tolerance=1e-5,
    mistakes=(
        Mistake(
            name="halves",
            says="You paired dimension i with i + D/2, as the library does. Pair neighbors here: x[:, 0::2] "
            "and x[:, 1::2].",
            wrong=_halves,
        ),
        Mistake(
            name="no offset",
            says="The first row is rotated as if it were at position 0. With a cache, the new tokens begin at `start`.",
            wrong=_from_zero,
        ),
        Mistake(
            name="rotated the other way",
            says="Each pair is rotated by minus its angle. The first component becomes a cos − b sin, the second "
            "a sin + b cos. If keys were rotated this way too, scores would still depend on the distance, but "
            "no trained weights would fit.",
            wrong=_other_way,
        ),
        Mistake(
            name="exponent i/D",
            says="The frequencies fall too slowly from pair to pair: pair i rotates by theta^(-2i/D), with the 2.",
            wrong=_too_slow,
        ),
        Mistake(
            name="pairs left apart",
            says="The angles are right, but all first components come before all second ones. Put each pair back into "
            "its own dimensions: stack along a new last dimension, then flatten.",
            wrong=_left_apart,
        ),
        Mistake(
            name="inverse order",
            says="The order you return is the inverse, from halves to neighbors. At width 4 both orders "
            "are the same, from width 6 on they differ.",
            wrong=_inverse_order,
        ),
    ),
)
