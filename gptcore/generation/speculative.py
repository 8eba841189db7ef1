"""Speculative decoding: a cheap draft proposes a few tokens, and the target checks them in one pass.

The text follows exactly the distribution of the target alone (Leviathan et al. 2022; Chen et al. 2023). The draft
decides how many tokens a pass gives, and not which.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gptcore.generation.fast_model import FastModel
from gptcore.generation.sampling import Sampling, check_prompt, distribution, draw, seeded
from gptcore.model import GPT


def acceptance(p: Tensor, q: Tensor, drafted: Tensor) -> Tensor:
    """Return the probability min(1, p/q) to accept each token: p, q (..., K, V), drafted (..., K) -> (..., K)."""
    ids = drafted.unsqueeze(-1)
    return (p.gather(-1, ids) / q.gather(-1, ids)).clamp(max=1.0).squeeze(-1)


def residual_distribution(p: Tensor, q: Tensor) -> Tensor:
    """Return max(0, p - q) made to sum to 1: (..., V), (..., V) -> (..., V). Where they are equal: p.

    It is what the draft proposes too rarely; drawing from it after a rejection makes up for that.
    """
    residual = (p - q).clamp(min=0.0)
    total = residual.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, residual / total, p)


def acceptance_rate(p: Tensor, q: Tensor) -> Tensor:
    """Return the probability α that a token drawn from q is accepted, sum(min(p, q)): (..., V), (..., V) -> (...)."""
    return torch.minimum(p, q).sum(dim=-1)


def verify(p: Tensor, q: Tensor, drafted: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return how many drafted tokens are accepted (...), and the one token (...) that follows them.

    `p` (..., K+1, V) are the target's probabilities, its row behind the last draft included; `q` (..., K, V) those
    `drafted` (..., K) were drawn with. Each is accepted with its probability until one is rejected. What follows is
    drawn from the residual distribution there; where all are accepted nothing was proposed, so it is all of p: the
    bonus token.
    """
    accepted = acceptance(p[..., :-1, :], q, drafted)  # (..., K)
    uniform = torch.rand(accepted.shape, generator=generator, dtype=accepted.dtype, device=accepted.device)
    n_kept = (uniform < accepted).long().cumprod(dim=-1).sum(dim=-1)  # (...)
    proposed = torch.cat((q, torch.zeros_like(p[..., -1:, :])), dim=-2)  # (..., K+1, V)
    residual = residual_distribution(p, proposed)
    row = n_kept[..., None, None].expand(*n_kept.shape, 1, p.shape[-1])
    return n_kept, draw(residual.gather(-2, row).squeeze(-2), generator).squeeze(-1)


def expected_tokens(acceptance: float, n_ahead: int) -> float:
    """Return the tokens a cycle gives on average: those accepted, and one that the target draws itself.

    This is 1 + α + … + α^K = (1 - α^(K+1)) / (1 - α), if every draft is accepted with the same probability α.

    >>> expected_tokens(1.0, 5), expected_tokens(0.0, 5)
    (6.0, 1.0)
    """
    return float(sum(acceptance**k for k in range(n_ahead + 1)))


def expected_speedup(acceptance: float, n_ahead: int, draft_cost: float) -> float:
    """Return how many times as fast speculative decoding is: tokens a cycle over its cost (Leviathan et al. 2022).

    A cycle drafts `n_ahead` tokens at `draft_cost` passes of the target each, then checks them in one pass.

    >>> round(expected_speedup(0.8, 5, 0.1), 2), round(expected_speedup(0.5, 5, 0.1), 2)
    (2.46, 1.31)
    """
    return expected_tokens(acceptance, n_ahead) / (1 + n_ahead * draft_cost)


class Draft(Protocol):
    """What can propose tokens: it gives logits for the next one, and can be rolled back."""

    vocab_size: int
    context_length: int | None  # None: any length

    def logits(self, ids: Sequence[int], n_last: int = 1) -> Tensor:
        """Return the logits of what follows each of the last `n_last` tokens: (n_last, V)."""

    def roll_back(self, length: int) -> None:
        """Forget what was read after the first `length` tokens."""


class CachedModel:
    """A model with a cache of its own, reading a text that grows and is cut back."""

    def __init__(self, model: GPT, capacity: int | None = None):
        self.model = FastModel(model)
        self.vocab_size, self.context_length = model.config.vocab_size, model.config.context_length
        self.cache = self.model.new_cache(capacity=capacity)

    @torch.inference_mode()
    def logits(self, ids: Sequence[int], n_last: int = 1) -> Tensor:
        """Return the logits of what follows each of the last `n_last` tokens: (n_last, V).

        Only what the cache has not seen goes through the model, at least those `n_last`.
        """
        fresh = list(ids[self.cache.length :])
        if len(fresh) == 1:
            return self.model.step(fresh[0], self.cache).unsqueeze(0)
        return self.model.last_logits(torch.tensor(fresh, device=self.model.device), self.cache, n_last)

    def roll_back(self, length: int) -> None:
        """Forget what was read after the first `length` tokens."""
        self.cache.keep(min(length, self.cache.length))


class NgramDraft:
    """A draft that costs next to nothing: an n-gram table of what followed the last tokens in some text.

    The longest context of up to `order - 1` tokens that the text holds decides; a token it never saw there gets
    nothing, which costs acceptance and no exactness.
    """

    context_length = None

    def __init__(self, ids: Sequence[int] | Tensor, vocab_size: int, order: int = 4):
        ids = torch.as_tensor(ids).tolist()
        if not ids or order < 1:
            raise ValueError("an n-gram table needs at least one token and an order of at least 1")
        self.vocab_size, self.order = vocab_size, order
        self.followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for length in range(order):
            for end in range(length, len(ids)):
                self.followers[tuple(ids[end - length : end])][ids[end]] += 1

    def logits(self, ids: Sequence[int], n_last: int = 1) -> Tensor:
        """Return the logarithms of the counts after each of the last `n_last` tokens, -inf for none: (n_last, V)."""
        rows = torch.full((n_last, self.vocab_size), -torch.inf)
        for row, end in enumerate(range(len(ids) - n_last + 1, len(ids) + 1)):
            counts = self._after(ids[max(0, end - self.order + 1) : end])
            rows[row, list(counts)] = torch.tensor(list(counts.values()), dtype=rows.dtype).log()
        return rows

    def _after(self, context: Sequence[int]) -> Counter[int]:
        known = (tuple(context[start:]) for start in range(len(context) + 1))
        return next(self.followers[tokens] for tokens in known if tokens in self.followers)

    def roll_back(self, length: int) -> None:
        """Do nothing: a table remembers no text."""


def first_layers(model: GPT, n_layers: int) -> GPT:
    """Return a model of the first layers alone, with the same weights and no copy of them: a draft for itself.

    Norm and output layer are those behind the last layer (Zhang et al. 2023 and Elhoushi et al. 2024 draft so).
    Raises ValueError for more layers than there are.
    """
    if not 0 < n_layers <= model.config.n_layers:
        raise ValueError(f"n_layers={n_layers} must be from 1 to the model's {model.config.n_layers} layers")
    shallow = GPT(model.config.replace(n_layers=n_layers))
    shallow.embedding, shallow.positions = model.embedding, model.positions
    shallow.layers = torch.nn.ModuleList(model.layers[:n_layers])
    shallow.final_norm, shallow.output = model.final_norm, model.output
    shallow.training = model.training
    return shallow


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftToken:
    """One drafted token: the probability q the draft drew it with, p the target gives it, and what became of it.

    `kept` is None where a token before it was rejected: it continues a text that was not written, so it was not
    verified.
    """

    token_id: int
    q: float
    p: float
    kept: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cycle:
    """One round of drafting and verifying.

    `next_id` is the target's own token: drawn in place of the rejected one, or the bonus token after the last
    (`is_bonus`). `token_ids` is what the text grew by, cut before a stop token. Calls are passes; the table of
    counts has some too. `draft_seconds` and `target_seconds` are what they took.
    """

    drafted: tuple[DraftToken, ...]
    next_id: int
    is_bonus: bool
    token_ids: tuple[int, ...]
    draft_calls: int
    target_calls: int
    draft_seconds: float
    target_seconds: float


@torch.inference_mode()
def speculate(
    target: GPT,
    draft: GPT | Draft,
    ids: Sequence[int] | Tensor,
    max_new_tokens: int,
    *,
    n_ahead: int = 4,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    stop_ids: Collection[int] = (),
) -> Generator[Cycle, None, str]:
    """Continue one sequence of ids as `generate` does, several tokens a pass of the target: a `Cycle` for each.

    The filters act on both models, so p and q are what either would draw with. The texts follow the same
    distribution as those of `generate`, and at temperature 0 they are the same; at others a seed gives another text,
    since more numbers are drawn. Returns why it ended: `length`, `stop` or `context`. Raises ValueError as
    `generate` does, for models with different vocabularies, and for fewer than one token ahead.
    """
    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    text = torch.as_tensor(ids, dtype=torch.int64).flatten().tolist()
    proposer = CachedModel(draft) if isinstance(draft, GPT) else draft
    check_pair(target, proposer)
    context = min(target.config.context_length, proposer.context_length or target.config.context_length)
    check_prompt(text, target.config.vocab_size, context)
    if n_ahead < 1:
        raise ValueError(f"n_ahead={n_ahead} must be at least 1, the tokens drafted per cycle")
    generator = seeded(seed)
    end, reason = min((len(text) + max_new_tokens, "length"), (context + 1, "context"))
    checker = CachedModel(target)
    while len(text) < end:
        n_drafted = min(n_ahead, end - len(text) - 1)
        cycle, stopped = _cycle(checker, proposer, text, n_drafted, sampling, generator, stop_ids)
        text += cycle.token_ids
        yield cycle
        if stopped:
            return "stop"
    return reason


def _cycle(
    target: CachedModel,
    draft: Draft,
    text: list[int],
    n_ahead: int,
    sampling: Sampling,
    generator: torch.Generator,
    stop_ids: Collection[int],
) -> tuple[Cycle, bool]:
    """Draft `n_ahead` tokens after the text and verify them; return the cycle, and whether it met a stop token."""
    started = time.perf_counter()
    drafted, q = _draft(draft, text, n_ahead, sampling, generator)
    drafted_at = time.perf_counter()
    p = _probabilities(target.logits(text + drafted, len(drafted) + 1), text, drafted, sampling)
    drafted_ids = torch.tensor(drafted, dtype=torch.int64)
    n_kept, next_id = map(int, verify(p, q, drafted_ids, generator))
    # The keys and values of rejected tokens are dropped; those of accepted ones need no second pass.
    target.roll_back(len(text) + n_kept)
    draft.roll_back(len(text) + n_kept)
    new = [*drafted[:n_kept], next_id]
    stopped = next((index for index, token_id in enumerate(new) if token_id in stop_ids), None)
    tokens = tuple(
        DraftToken(
            token_id=token_id,
            q=float(q[index, token_id]),
            p=float(p[index, token_id]),
            kept=None if index > n_kept else index < n_kept,
        )
        for index, token_id in enumerate(drafted)
    )
    cycle = Cycle(
        drafted=tokens,
        next_id=next_id,
        is_bonus=n_kept == len(drafted),
        token_ids=tuple(new[:stopped]),
        draft_calls=len(drafted),
        target_calls=1,
        draft_seconds=drafted_at - started,
        target_seconds=time.perf_counter() - drafted_at,
    )
    return cycle, stopped is not None


def check_pair(target: GPT, draft: Draft) -> None:
    """Raise ValueError for a draft whose tokens are not the target's."""
    if target.config.vocab_size != draft.vocab_size:
        raise ValueError(
            f"the draft model has {draft.vocab_size} tokens and the target {target.config.vocab_size}; "
            "choose a draft model with the target's tokenizer"
        )


def _draft(
    draft: Draft, text: list[int], n: int, sampling: Sampling, generator: torch.Generator
) -> tuple[list[int], Tensor]:
    """Return `n` tokens the draft proposes after the text, and the probabilities (n, V) they were drawn with."""
    drafted, q = [], torch.zeros(0, draft.vocab_size, dtype=torch.float64)
    for _ in range(n):
        row = _probabilities(draft.logits(text + drafted), text + drafted, [], sampling)
        drafted.append(int(draw(row, generator)))
        q = torch.cat((q, row))
    return drafted, q


def _probabilities(logits: Tensor, text: list[int], drafted: list[int], sampling: Sampling) -> Tensor:
    """Return the distribution after each of the last tokens: logits (K+1, V) -> probabilities (K+1, V), float64.

    Row k has seen the text and the first k drafted tokens; the repetition penalty covers those and no more. The
    result is on the CPU, since Apple's GPUs have no float64.
    """
    logits, seen = logits.cpu(), None
    if sampling.repetition_penalty != 1.0:
        rows = [text + drafted[:k] + text[:1] * (len(drafted) - k) for k in range(len(drafted) + 1)]
        seen = torch.tensor(rows)
    # In float64: rounding must not leave a rejected token with nothing to draw in its place.
    probabilities = distribution(logits, sampling, seen).double()
    return probabilities / probabilities.sum(dim=-1, keepdim=True)
