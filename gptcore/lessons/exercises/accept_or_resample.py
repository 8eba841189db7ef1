"""Chapter 9: the step that makes speculative decoding exact."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def accept_or_resample(p: Tensor, q: Tensor, drafted: int) -> Tensor:
    """Return with what chance each token comes out, once the draft has drawn one: p, q (V,) -> (V,).

    q are the draft model's probabilities, p the target's. The drafted token is accepted with probability min(1, p/q).
    Otherwise another is drawn from max(0, p - q), made to sum to 1.
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
    task="A small model drafts a token, a large one checks it. Write what comes out for a given draft, so that over "
    "all drafts each token comes out exactly as often as the large model alone would draw it.",
    solution=accept_or_resample,
    cases=_cases,
    tolerance=1e-6,
    mistakes=(
        Mistake(
            name="resampled from the target",
            says="After a refusal you draw from p. The tokens that were accepted have had their share of p already; "
            "draw from what is left of it, max(0, p - q).",
            wrong=_from_the_target,
        ),
        Mistake(
            name="ratio upside down",
            says="The chance to accept is p/q, not q/p: a token that the target likes better than the draft is always "
            "accepted.",
            wrong=_upside_down,
        ),
        Mistake(
            name="accepted by p alone",
            says="Accepted with the chance p. The draft has drawn it with the chance q already, so the two multiply to "
            "p·q; dividing by q brings it back to p.",
            wrong=_by_target_alone,
        ),
        Mistake(
            name="not made to sum to 1",
            says="What is left, max(0, p - q), sums to less than 1. Divide it by its sum before you draw from it.",
            wrong=_not_scaled,
        ),
        Mistake(
            name="absolute difference",
            says="Where the draft is above the target nothing is missing: those places are 0, not |p - q|.",
            wrong=_absolute,
        ),
        Mistake(
            name="draft asked again",
            says="After a refusal you draw from the draft again. It would repeat its own preferences; draw from what "
            "the target has left, max(0, p - q).",
            wrong=_draft_again,
        ),
        Mistake(
            name="the difference the other way",
            says="This is max(0, q - p): what the draft has too much of. Missing is max(0, p - q).",
            wrong=_wrong_way,
        ),
        Mistake(
            name="no cap at 1",
            says="p/q can be above 1, and a chance cannot: take min(1, p/q).",
            wrong=_not_capped,
        ),
        Mistake(
            name="nothing left to draw from",
            says="Where both models agree, p - q is 0 everywhere and you divide 0 by 0. Nothing is refused there, so "
            "nothing need be drawn.",
            wrong=_nothing_left,
        ),
        Mistake(
            name="the target itself",
            says="This is p, whatever was drafted. So it comes out on average over all drafts; for one draft given, "
            "the drafted token has a larger chance.",
            wrong=_target_itself,
        ),
    ),
)
