"""Chapter 1: the gradient found by trying, to check the one found by rule."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def numeric_gradient(loss: Callable[[Tensor], Tensor], weights: Tensor, step: float) -> Tensor:
    """Return how the loss changes with each weight, found by moving them one at a time: (N,).

    `loss` takes weights (N,) and gives one number. Move each weight by `step` in both directions, while the
    others stay fixed, and divide the difference of the losses by 2 · `step`.
    """
    gradient = torch.zeros_like(weights)
    for index in range(len(weights)):
        move = torch.zeros_like(weights)
        move[index] = step
        gradient[index] = (loss(weights + move) - loss(weights - move)) / (2 * step)
    return gradient


def _one_side(loss, weights, step):
    gradient = torch.zeros_like(weights)
    for index in range(len(weights)):
        move = torch.zeros_like(weights)
        move[index] = step
        gradient[index] = (loss(weights + move) - loss(weights)) / step
    return gradient


def _half_the_distance(loss, weights, step):
    return 2 * numeric_gradient(loss, weights, step)


def _not_divided(loss, weights, step):
    return 2 * step * numeric_gradient(loss, weights, step)


def _all_at_once(loss, weights, step):
    move = torch.full_like(weights, step)
    return torch.ones_like(weights) * (loss(weights + move) - loss(weights - move)) / (2 * step)


def _never_put_back(loss, weights, step):
    gradient = torch.zeros_like(weights)
    for index in range(len(weights)):
        weights[index] += step
        above = loss(weights)
        weights[index] -= 2 * step
        gradient[index] = (above - loss(weights)) / (2 * step)
    return gradient


def _downhill(loss, weights, step):
    return -numeric_gradient(loss, weights, step)


def _cases() -> Iterator[Case]:
    def valley(weights: Tensor) -> Tensor:
        return 3 * weights[0] ** 2 + 5 * weights[0] * weights[-1] + weights.square().sum()

    def curved(weights: Tensor) -> Tensor:
        return weights.sin().sum() + 4 * weights.prod() + weights.pow(3).sum()

    x = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    y = torch.tensor([1.1, 1.4, 2.1, 2.4], dtype=torch.float64)

    def line(weights: Tensor) -> Tensor:
        return ((weights[0] * x + weights[1] - y) ** 2).mean()

    for label, loss, weights in (
        ("the line of the chapter, from 0 and 0", line, (0.0, 0.0)),
        ("the line, past its lowest point", line, (0.9, 1.5)),
        ("a crooked valley in three weights", valley, (0.5, -0.25, 1.0)),
        ("a curved loss in four weights", curved, (0.3, -0.8, 1.2, 0.4)),
    ):
        given = {"loss": loss, "weights": torch.tensor(weights, dtype=torch.float64), "step": 1e-3}
        yield Case(label=label, arguments=given)


EXERCISE = Exercise(
    name="numeric_gradient",
    chapter=1,
    title="A numerical gradient",
    task="Find the gradient of any loss without autograd, by moving each weight a little in both "
    "directions; it must agree with autograd to 1e-4.",
    solution=numeric_gradient,
    cases=_cases,
    mistakes=(
        Mistake(
            name="one side only",
            says="The weight moves in one direction only, so the result is off by half the curvature times the "
            "step. With both directions, that part cancels.",
            wrong=_one_side,
        ),
        Mistake(
            name="half the distance",
            says="The answer is twice too large: the two points are 2 · step apart, not step.",
            wrong=_half_the_distance,
        ),
        Mistake(
            name="not divided",
            says="This is how much the loss changes, not how steeply: divide by the distance between the "
            "two points.",
            wrong=_not_divided,
        ),
        Mistake(
            name="all at once",
            says="All weights move together, so every entry holds the slope of that one direction. Move one "
            "at a time.",
            wrong=_all_at_once,
        ),
        Mistake(
            name="never put back",
            says="A weight that has been moved stays where it is while the next one is tried. Put it back "
            "first.",
            wrong=_never_put_back,
        ),
        Mistake(
            name="downhill",
            says="The sign is turned: the gradient points to where the loss grows. Only the step goes "
            "against it.",
            wrong=_downhill,
        ),
    ),
    imports="from collections.abc import Callable\n\nimport torch\nfrom torch import Tensor\n",
    tolerance=1e-4,
)
