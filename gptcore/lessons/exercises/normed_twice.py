"""Chapter 6: a sub-layer with a norm on its input and one on its output, with gains stored as in Gemma."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def normed_twice(
    x: Tensor, compute: Callable[[Tensor], Tensor], gain_before: Tensor, gain_behind: Tensor, eps: float
) -> Tensor:
    """Return the residual stream after one sub-layer with a norm on its input and one on its output: x is (T, C).

    `compute` is the sub-layer without norms. Both norms are RMSNorms with ε inside the root. The gains (C,) are
    stored minus 1, as in Gemma: zeros mean a gain of 1. `gain_before` belongs to the norm on the input,
    `gain_behind` to the one on the output. The residual stream itself is not normalized.
    """
    rms = (x.square().mean(-1, keepdim=True) + eps).sqrt()
    h = compute((1 + gain_before) * x / rms)
    rms = (h.square().mean(-1, keepdim=True) + eps).sqrt()
    return x + (1 + gain_behind) * h / rms


def _norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    return (1 + gain) * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def _gain_without_one(x, compute, gain_before, gain_behind, eps):
    return x + _norm(compute(_norm(x, gain_before - 1, eps)), gain_behind - 1, eps)


def _stream_normed(x, compute, gain_before, gain_behind, eps):
    h = _norm(x, gain_before, eps)
    return h + _norm(compute(h), gain_behind, eps)


def _on_the_sum(x, compute, gain_before, gain_behind, eps):
    return _norm(x + compute(_norm(x, gain_before, eps)), gain_behind, eps)


def _no_residual(x, compute, gain_before, gain_behind, eps):
    return _norm(compute(_norm(x, gain_before, eps)), gain_behind, eps)


def _only_before(x, compute, gain_before, gain_behind, eps):
    return x + compute(_norm(x, gain_before, eps))


def _only_behind(x, compute, gain_before, gain_behind, eps):
    return x + _norm(compute(x), gain_behind, eps)


def _by_length(x, compute, gain_before, gain_behind, eps):
    def norm(v: Tensor, gain: Tensor) -> Tensor:
        return (1 + gain) * v / (v.square().sum(-1, keepdim=True) + eps).sqrt()

    return x + norm(compute(norm(x, gain_before)), gain_behind)


def _mean_taken(x, compute, gain_before, gain_behind, eps):
    def norm(v: Tensor, gain: Tensor) -> Tensor:
        return _norm(v - v.mean(-1, keepdim=True), gain, eps)

    return x + norm(compute(norm(x, gain_before)), gain_behind)


def _over_tokens(x, compute, gain_before, gain_behind, eps):
    def norm(v: Tensor, gain: Tensor) -> Tensor:
        return (1 + gain) * v / (v.square().mean(0, keepdim=True) + eps).sqrt()

    return x + norm(compute(norm(x, gain_before)), gain_behind)


def _gains_swapped(x, compute, gain_before, gain_behind, eps):
    return normed_twice(x, compute, gain_behind, gain_before, eps)


def _eps_outside(x, compute, gain_before, gain_behind, eps):
    def norm(v: Tensor, gain: Tensor) -> Tensor:
        return (1 + gain) * v / (v.square().mean(-1, keepdim=True).sqrt() + eps)

    return x + norm(compute(norm(x, gain_before)), gain_behind)


def _cases() -> Iterator[Case]:
    draw = torch.Generator().manual_seed(6)
    for label, n_tokens, width, size, eps in (
        ("three tokens of four numbers", 3, 4, 1.0, 1e-5),
        ("a large stream", 2, 6, 50.0, 1e-5),
        ("a stream near zero, where ε matters", 2, 4, 0.01, 1e-2),
    ):
        matrix = torch.randn(width, width, generator=draw)
        yield Case(
            label=label,
            arguments={
                "x": size * (torch.randn(n_tokens, width, generator=draw) + 0.5),
                "compute": lambda h, matrix=matrix: torch.tanh(h @ matrix) + 0.3,
                "gain_before": torch.randn(width, generator=draw) / 4,
                "gain_behind": torch.randn(width, generator=draw) / 4,
                "eps": eps,
            },
        )


EXERCISE = Exercise(
    name="normed_twice",
    chapter=6,
    title="A sub-layer with two norms",
    task="Write a sub-layer that normalizes its input and its output, with gains stored minus 1.",
    solution=normed_twice,
    cases=_cases,
    tolerance=1e-4,
    imports="from collections.abc import Callable\n\nimport torch\nfrom torch import Tensor\n",
    mistakes=(
        Mistake(
            name="gain without 1",
            says="You multiplied by the stored gains. They are stored minus 1, so the factor is 1 + gain; with "
            "stored gains of zero, your sub-layer would add nothing.",
            wrong=_gain_without_one,
        ),
        Mistake(
            name="stream normed",
            says="You added the update to the normalized copy. Add it to x itself, which is not normalized.",
            wrong=_stream_normed,
        ),
        Mistake(
            name="norm on the sum",
            says="The second norm is applied to the sum, which is post-norm. Apply it to the output instead.",
            wrong=_on_the_sum,
        ),
        Mistake(
            name="no residual",
            says="The plus sign is missing: the sub-layer replaces the residual stream instead of adding to it.",
            wrong=_no_residual,
        ),
        Mistake(
            name="only before",
            says="The output is added without a norm; the norm on the output is missing.",
            wrong=_only_before,
        ),
        Mistake(
            name="only behind",
            says="The sub-layer reads x without a norm; the norm on the input is missing.",
            wrong=_only_behind,
        ),
        Mistake(
            name="divided by the length",
            says="You divided by the root of the sum of squares. RMS uses the mean: the result has length √C, not 1.",
            wrong=_by_length,
        ),
        Mistake(
            name="mean subtracted",
            says="The mean was subtracted, which is LayerNorm. RMSNorm subtracts nothing.",
            wrong=_mean_taken,
        ),
        Mistake(
            name="over the tokens",
            says="You took the mean of squares over the tokens. Take it over the components of one token: its norm "
            "must not depend on other tokens.",
            wrong=_over_tokens,
        ),
        Mistake(
            name="gains swapped",
            says="The two gains are swapped.",
            wrong=_gains_swapped,
        ),
        Mistake(
            name="ε outside the root",
            says="ε is added after the root. Add it inside; the difference shows where x is small.",
            wrong=_eps_outside,
        ),
    ),
)
