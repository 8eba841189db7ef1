"""Chapter 9: the step that makes speculative decoding exact."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def accept_or_resample(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    """Return the probability of each output token, given the drafted token: p, q (V,) -> (V,).

    q are the draft model's probabilities, p the target's. The drafted token is accepted with probability min(1, p/q).
    Otherwise a token is sampled from max(0, p - q), normalized to sum to 1.
    """
    accepted = min(1.0, float(p[drafted] / q[drafted]))
    out = torch.zeros_like(p)
    if accepted < 1.0:
        left = torch.clamp(p - q, min=0.0)
        out = (1.0 - accepted) * left / left.sum()
    out[drafted] += accepted
    return out


def _mixed(p: Tensor, accepted: float, left: Tensor, drafted: int) -> Tensor:
    out = (1.0 - accepted) * left
    out[drafted] += accepted
    return out


def _left(p: Tensor, q: Tensor) -> Tensor:
    left = torch.clamp(p - q, min=0.0)
    return left / left.sum() if left.sum() > 0 else left


def _ratio(p: Tensor, q: Tensor, drafted: int) -> float:
    return min(1.0, float(p[drafted] / q[drafted]))


def _from_the_target(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, _ratio(p, q, drafted), p.clone(), drafted)


def _upside_down(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, min(1.0, float(q[drafted] / p[drafted])), _left(p, q), drafted)


def _by_target_alone(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, float(p[drafted]), _left(p, q), drafted)


def _not_scaled(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, _ratio(p, q, drafted), torch.clamp(p - q, min=0.0), drafted)


def _absolute(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    gap = (p - q).abs()
    return _mixed(p, _ratio(p, q, drafted), gap / gap.sum() if gap.sum() > 0 else gap, drafted)


def _draft_again(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, _ratio(p, q, drafted), q.clone(), drafted)


def _wrong_way(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, _ratio(p, q, drafted), _left(q, p), drafted)


def _not_capped(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return _mixed(p, float(p[drafted] / q[drafted]), _left(p, q), drafted)


def _nothing_left(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    left = torch.clamp(p - q, min=0.0)
    return _mixed(p, _ratio(p, q, drafted), left / left.sum(), drafted)


def _target_itself(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    return p.clone()


def _cases() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.softmax(2 * torch.randn(5, generator=generator), dim=-1) for _ in range(2))
    for drafted in range(5):
        yield Case(label=f"token {drafted} of five drafted", arguments={"p": p, "q": q, "drafted": drafted})
    same = torch.tensor([0.5, 0.25, 0.25])
    yield Case(label="both models agree", arguments={"p": same, "q": same.clone(), "drafted": 1})
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    yield Case(label="the target forbids the token", arguments={"p": p, "q": q, "drafted": 2})


EXERCISE = Exercise(
    name="accept_or_resample",
    chapter=9,
    title="Accept or resample",
    task="A draft model proposes a token, and the target model checks it. Compute the probability of each output token "
    "for a given draft. Averaged over all drafts, it must be exactly the target's probability.",
    solution=accept_or_resample,
    cases=_cases,
    tolerance=1e-6,
    mistakes=(
        Mistake(
            name="resampled from the target",
            says="After a rejection you sample from p. Accepted drafts already account for min(p, q) of it; sample "
            "from what remains, max(0, p - q).",
            wrong=_from_the_target,
        ),
        Mistake(
            name="ratio upside down",
            says="The acceptance probability is p/q, not q/p: a token that is more probable under the target than "
            "under the draft is always accepted.",
            wrong=_upside_down,
        ),
        Mistake(
            name="accepted by p alone",
            says="You accept with probability p. The draft already proposed the token with probability q, so the two "
            "multiply to p·q; dividing by q makes it p.",
            wrong=_by_target_alone,
        ),
        Mistake(
            name="not made to sum to 1",
            says="What remains, max(0, p - q), sums to less than 1. Divide it by its sum before you sample from it.",
            wrong=_not_scaled,
        ),
        Mistake(
            name="absolute difference",
            says="Where q is larger than p, nothing is missing: those entries are 0, not |p - q|.",
            wrong=_absolute,
        ),
        Mistake(
            name="draft asked again",
            says="After a rejection you sample from the draft model again, so its errors remain. Sample from what "
            "remains of the target, max(0, p - q).",
            wrong=_draft_again,
        ),
        Mistake(
            name="the difference the other way",
            says="This is max(0, q - p), what the draft model proposes too often. You need max(0, p - q), what it "
            "proposes too rarely.",
            wrong=_wrong_way,
        ),
        Mistake(
            name="no cap at 1",
            says="p/q can be above 1, and a probability cannot: use min(1, p/q).",
            wrong=_not_capped,
        ),
        Mistake(
            name="nothing left to draw from",
            says="If both models agree, p - q is 0 everywhere and you divide 0 by 0. Nothing is rejected then, so "
            "there is nothing to resample.",
            wrong=_nothing_left,
        ),
        Mistake(
            name="the target itself",
            says="This is p, whatever was drafted. That is the average over all drafts; given one draft, the drafted "
            "token is more probable.",
            wrong=_target_itself,
        ),
    ),
)
