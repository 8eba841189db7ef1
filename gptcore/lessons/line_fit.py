"""The smallest model that learns: a straight line with two weights, moved downhill by its own gradient.

All that a large model does while it learns is here, small enough to be computed by hand: a prediction, a loss,
a gradient, a step, and held-out points to check with.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class LinearModel(nn.Module):
    """A straight line with two weights, the smallest linear model: x (N,) -> w·x + b (N,)."""

    def __init__(self, w: float = 0.0, b: float = 0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.b = nn.Parameter(torch.tensor(b))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x + self.b


class LinearLayer(nn.Module):
    """Many linear models side by side, each with a slope for every input: x (..., n_in) -> (..., n_out)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


@dataclass(frozen=True, kw_only=True, slots=True)
class DescentStep:
    """One step of gradient descent: the weights before it, the loss there and its slope for each weight."""

    step: int
    w: float
    b: float
    loss: float
    slope_w: float
    slope_b: float


def squared_error(guess: Tensor, truth: Tensor) -> Tensor:
    """Return the mean of the squared errors, one number however many points there are."""
    return ((guess - truth) ** 2).mean()


def descend(
    x: Tensor, y: Tensor, rate: float, n_steps: int, *, w: float = 0.0, b: float = 0.0
) -> Iterator[DescentStep]:
    """Yield the state of a line on points x, y (N,), before each gradient-descent step and after the last."""
    model = LinearModel(w, b)
    for step in range(n_steps + 1):
        loss = squared_error(model(x), y)
        loss.backward()
        yield _descent_step(step, model, loss)
        with torch.no_grad():
            for weight in model.parameters():
                weight -= rate * weight.grad
                weight.grad = None


def _descent_step(step: int, model: LinearModel, loss: Tensor) -> DescentStep:
    numbers = (model.w, model.b, loss, model.w.grad, model.b.grad)
    w, b, loss, slope_w, slope_b = (float(number.detach()) for number in numbers)
    return DescentStep(step=step, w=w, b=b, loss=loss, slope_w=slope_w, slope_b=slope_b)


@dataclass(frozen=True, kw_only=True, slots=True)
class ByHand:
    """The same numbers as from autograd, each written out: (N,) tensors and their means."""

    guesses: Tensor
    errors: Tensor
    squares: Tensor
    loss: float
    slopes_w: Tensor  # 2 · error · x, point by point
    slopes_b: Tensor  # 2 · error
    slope_w: float
    slope_b: float


def by_hand(x: Tensor, y: Tensor, w: float, b: float) -> ByHand:
    """Return predictions, errors, loss and gradient of a line on points x, y (N,), by the chain rule."""
    guesses = w * x + b
    errors = guesses - y
    slopes_w, slopes_b = 2 * errors * x, 2 * errors
    return ByHand(
        guesses=guesses,
        errors=errors,
        squares=errors**2,
        loss=float((errors**2).mean()),
        slopes_w=slopes_w,
        slopes_b=slopes_b,
        slope_w=float(slopes_w.mean()),
        slope_b=float(slopes_b.mean()),
    )


def loss_at(x: Tensor, y: Tensor, w: float, b: float) -> float:
    """Return the loss of one line on points x, y (N,)."""
    return float(squared_error(w * x + b, y))


def loss_map(x: Tensor, y: Tensor, ws: list[float], bs: list[float]) -> list[list[float]]:
    """Return the loss of every pair of weights, a row for each b and a column for each w."""
    w, b = torch.tensor(ws)[None, :, None], torch.tensor(bs)[:, None, None]
    return ((w * x + b - y) ** 2).mean(-1).tolist()


def best(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the weights of least loss; of several, the smallest (Gauss's least squares)."""
    table = torch.stack([x, torch.ones_like(x)], dim=1)
    w, b = (torch.linalg.pinv(table) @ y).tolist()
    return w, b


def max_learning_rate(x: Tensor) -> float:
    """Return the learning rate above which gradient descent diverges.

    It is 2 over the largest curvature of the loss, which for a line depends on the points' x alone: a step
    from the side of a valley lands farther up on the other side where the valley is narrower than that.
    """
    mean, mean_square = float(x.mean()), float((x**2).mean())
    largest = (1 + mean_square) + math.sqrt((1 - mean_square) ** 2 + 4 * mean**2)
    return 2 / largest
