"""Claims about speculative decoding: how much faster it is, and whether the text stays the target's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from gptcore.checkpoint import SHIPPED
from gptcore.corpora.encoding import encode_documents
from gptcore.experiments.claims import Claim, Repetition, Spread, by_median, by_range
from gptcore.experiments.timing import single_thread
from gptcore.formats import load
from gptcore.generation.sampling import generate
from gptcore.generation.speculative import (
    Cycle,
    Draft,
    NgramDraft,
    acceptance_rate,
    first_layers,
    residual_distribution,
    speculate,
)
from gptcore.model import GPT
from gptcore.stories.writer import write_stories

ACCEPTANCE_RATES = (0.5, 0.7, 0.8, 0.9)
AHEAD, DRAFT_COST = 5, 0.1  # tokens drafted a cycle, and what one costs in passes of the target
ROUNDS = 5


def _drawn_speedups(n_cycles: int = 20_000) -> Iterator[Repetition]:
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(n_cycles, AHEAD, generator=generator)
        yield {
            f"α = {chance:g}": float((draws < chance).long().cumprod(-1).sum(-1).float().mean() + 1)
            / (1 + AHEAD * DRAFT_COST)
            for chance in ACCEPTANCE_RATES
        }


def _law_off_by() -> Iterator[Repetition]:
    """How far the distribution of the output is from the target's own, over all drafts, and that of a mistake."""
    model, tokenizer = load(SHIPPED)
    draft = first_layers(model, model.config.n_layers // 2)
    for story in write_stories(3, seed=10**6):
        ids = torch.tensor([tokenizer.encode(story.text)[:64]])
        with torch.inference_mode():
            p, q = (torch.softmax(one(ids)[0].double(), -1) for one in (model, draft))
        kept, rejected = torch.minimum(p, q), 1 - acceptance_rate(p, q).unsqueeze(-1)
        yield {
            "as published": float(
                (kept + rejected * residual_distribution(p, q) - p).abs().sum(-1).amax() / 2
            ),
            "refused ones drawn from p": float((kept + rejected * p - p).abs().sum(-1).amax() / 2),
        }


@dataclass(frozen=True, slots=True)
class SpeculativeTiming:
    """One text by speculative decoding, and as many tokens one by one, in turns so that both meet the same load.

    The seconds are those of the quickest of each, which other work disturbs least: a token without a draft, a drafted
    token, and the target's pass over all drafted tokens of a cycle.
    """

    cycles: tuple[Cycle, ...]
    seconds_per_token: float
    seconds_per_draft: float
    seconds_per_check: float

    @property
    def n_tokens(self) -> int:
        return sum(len(cycle.token_ids) for cycle in self.cycles)

    @property
    def n_drafted(self) -> int:
        return sum(len(cycle.drafted) for cycle in self.cycles)

    @property
    def n_judged(self) -> int:
        """Drafted tokens that were verified: all up to the first rejected one of each cycle."""
        return sum(token.kept is not None for cycle in self.cycles for token in cycle.drafted)

    @property
    def n_kept(self) -> int:
        return sum(token.kept is True for cycle in self.cycles for token in cycle.drafted)

    @property
    def acceptance(self) -> float:
        """The fraction α of verified tokens that were accepted; 0 where none was drafted."""
        return self.n_kept / max(1, self.n_judged)

    @property
    def speedup(self) -> float:
        """How many times as fast speculative decoding was by the clock; below 1 it was slower."""
        seconds = self.n_drafted * self.seconds_per_draft + len(self.cycles) * self.seconds_per_check
        return self.n_tokens * self.seconds_per_token / seconds


def time_speculative(
    model: GPT,
    draft: GPT | Draft,
    ids: Sequence[int],
    n_new: int,
    *,
    n_ahead: int,
    seed: int,
    **filters,
) -> SpeculativeTiming:
    """Generate speculatively and one by one, in turns, and time both; each runs for a few tokens first."""
    choices = {"seed": seed, **filters}
    short = list(ids)[:4]
    for _ in generate(model, short, 2 * n_ahead, n_alternatives=0, **choices):
        pass
    for _ in speculate(model, draft, short, 2 * n_ahead, n_ahead=n_ahead, **choices):
        pass
    cycles, plain = [], []
    alone = generate(model, ids, n_new, n_alternatives=0, **choices)
    for cycle in speculate(model, draft, ids, n_new, n_ahead=n_ahead, **choices):
        cycles.append(cycle)
        plain += [step.seconds for step in islice(alone, len(cycle.token_ids))]
    # The first cycle reads the prompt too, and the last may draft less.
    rest = [cycle for cycle in cycles[1:] if len(cycle.drafted) == n_ahead] or cycles
    return SpeculativeTiming(
        cycles=tuple(cycles),
        seconds_per_token=min(plain[1:] or plain),
        seconds_per_draft=min([cycle.draft_seconds / max(1, cycle.draft_calls) for cycle in rest]),
        seconds_per_check=min([cycle.target_seconds for cycle in rest]),
    )


def _exact(measured: Mapping[str, Spread]) -> str:
    off = measured["as published"]
    return "holds" if off.low > 1e-6 else "holds not" if off.high < 1e-6 else "depends"


def _guessed_ahead() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    known = encode_documents([story.text for story in write_stories(300)], tokenizer)
    drafts = {
        "its first layer": first_layers(model, 1),
        "a table of counts": NgramDraft(known, tokenizer.vocab_size),
    }
    ids = tokenizer.encode("Once upon a time")
    with single_thread():
        for seed in range(ROUNDS):
            yield {
                name: time_speculative(model, draft, ids, 64, n_ahead=AHEAD - 1, seed=seed).speedup
                for name, draft in drafts.items()
            }


CLAIMS = (
    Claim(
        name="speculative_3x",
        chapter=9,
        slogan="Speculative decoding is 3 times as fast",
        source="Leviathan et al. 2022 and Chen et al. 2023 report 2 to 3 times for large models.",
        how=f"20,000 simulated cycles for acceptance probabilities from 0.5 to 0.9, {AHEAD} tokens drafted "
        f"per cycle, each at {DRAFT_COST:g} of the target's cost. Measured: tokens divided by cost, "
        "five seeds. The claim holds for a probability at which every seed reaches 3.",
        unit="times as fast",
        headline="α = 0.8",
        measure=_drawn_speedups,
        judge=by_range(lambda ratio: ratio >= 3),
        transfers="The arithmetic is the same. The acceptance probability depends on how similar both models "
        "are, the cost on both sizes. A device that is already fully used has no capacity left to "
        "verify drafts.",
    ),
    Claim(
        name="speculative_here",
        chapter=9,
        slogan="Speculative decoding makes any model faster",
        source="An overgeneralization of Leviathan et al. 2022 and Chen et al. 2023, who run large models on large "
        "devices.",
        how=f"The shipped model generates 64 tokens one by one, and with {AHEAD - 1} drafted tokens per "
        "cycle. Its own first layer or an n-gram table of 300 stories drafts them. One thread, median "
        "seconds, five seeds. The claim holds for a draft model with which the median run is faster. "
        "Within 10% of this limit the verdict is “depends”.",
        unit="times as fast",
        headline="a table of counts",
        labels={
            "its first layer": "draft: first layer",
            "a table of counts": "draft: n-gram table",
        },
        measure=_guessed_ahead,
        judge=by_median(lambda ratio: ratio > 1, within=0.1),
        timed=True,
        transfers="This measurement says nothing about other sizes. Speculative decoding pays off if a pass over a few "
        "tokens costs hardly more than over one, as on a GPU that reads billions of weights. The draft model "
        "must be cheap by comparison.",
        nothing=1.0,
    ),
    Claim(
        name="speculative_approximates",
        chapter=9,
        slogan="Speculative decoding trades quality for speed",
        source="A conclusion from the fact that a weaker model proposes most of the tokens.",
        how="The exact output distribution at 64 positions of three stories, over every token the draft "
        "model could propose, against the target's own; half of the shipped model's layers are the "
        "draft. For comparison a common mistake: a rejected token resampled from p. The claim holds if "
        "more than one token in a million would differ.",
        unit="of sampled tokens differ",
        headline="as published",
        labels={
            "refused ones drawn from p": "rejected tokens resampled from p",
        },
        measure=_law_off_by,
        judge=_exact,
        transfers="Exactly the same for any two models with one vocabulary. Some programs accept drafts by "
        "looser rules to gain more; those do change the text.",
    ),
)
