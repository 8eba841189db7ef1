"""Sampling: how the next token is drawn from the logits, and how a text is generated token by token.

The filters act in the order the field has settled on (Hugging Face's too): repetition penalty, temperature,
top-k, top-p, min-p. Each works on the last dimension, so a batch is filtered row by row.
"""

import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.cache import KVCache
from gptcore.config import MAX_SEED
from gptcore.generation.fast_model import FastModel
from gptcore.model import GPT

LARGEST_PENALTY = 1e6  # of repetition: beyond it scores would leave float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a token is drawn from the logits. Raises ValueError for values without meaning.

    Temperature 0, or one that float32 cannot tell from it, is greedy: the highest score wins. `top_k` keeps the k
    highest; `top_p` the fewest whose probabilities reach p, the one that crosses it included (Holtzman et al. 2020);
    `min_p` those at least that fraction of the best one's probability (Nguyen et al. 2024); a `repetition_penalty`
    above 1 makes tokens that already occur less likely (Keskar et al. 2019).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature={self.temperature} must be a number of at least 0")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k} must be at least 1, so that one token remains")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} must be greater than 0 and at most 1")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p={self.min_p} must be from 0 to 1")
        if not self.repetition_penalty > 0:
            raise ValueError(f"repetition_penalty={self.repetition_penalty} must be greater than 0")
        least, most = 1 / LARGEST_PENALTY, LARGEST_PENALTY
        if not least <= self.repetition_penalty <= most:
            raise ValueError(
                f"repetition_penalty={self.repetition_penalty} must be from {least:g} to {most:g}"
            )

    @property
    def is_greedy(self) -> bool:
        """Whether the highest score wins."""
        return self.temperature < torch.finfo(torch.float32).tiny


def penalize_repetition(logits: Tensor, seen: Tensor | None, penalty: float) -> Tensor:
    """Make the tokens in `seen` (..., S), if any, less likely: logits (..., V) -> (..., V).

    A positive score is divided and a negative one multiplied, so that either falls.
    """
    if seen is None or penalty == 1.0:
        return logits
    scores = logits.gather(-1, seen)
    return logits.scatter(-1, seen, torch.where(scores > 0, scores / penalty, scores * penalty))


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k highest logits to -inf: (..., V) -> (..., V). Logits equal to the k-th stay too."""
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Set to -inf all but the fewest tokens whose probabilities sum to p: (..., V) -> (..., V)."""
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = torch.softmax(ordered, dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # what the likelier ones hold together
    beyond = before >= p
    beyond[..., 0] = False  # the best token always stays
    return logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)


def keep_min_p(logits: Tensor, min_p: float) -> Tensor:
    """Set to -inf the tokens less likely than `min_p` times the most likely: (..., V) -> (..., V)."""
    probabilities = torch.softmax(logits, dim=-1)
    return logits.masked_fill(probabilities < min_p * probabilities.amax(dim=-1, keepdim=True), -torch.inf)


def distribution(logits: Tensor, sampling: Sampling, seen: Tensor | None = None) -> Tensor:
    """Return the probabilities a token is drawn with: logits (..., V) -> (..., V).

    `seen` (..., S) are the ids so far, for the repetition penalty. Greedy gives all to the first of the best.
    """
    logits = penalize_repetition(logits.float(), seen, sampling.repetition_penalty)
    if sampling.is_greedy:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, best, 1.0)
    # The best score is moved to 0 first, so that a tiny temperature sends the others to -inf and not it to inf.
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return torch.softmax(logits, dim=-1)


def seeded(seed: int) -> torch.Generator:
    """Return a generator that draws what the seed says. Raises ValueError for a seed that torch does not take.

    Its numbers come from the CPU wherever the model is, so a seed means the same text on every device.
    """
    if not 0 <= seed < MAX_SEED:
        raise ValueError(f"seed={seed} must be from 0 to 2**63 - 1")
    return torch.Generator().manual_seed(seed)


def draw(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one token from each row: probabilities (..., V) -> ids (..., 1). Raises ValueError as `draw_at` does."""
    return draw_at(
        probabilities, torch.rand(probabilities[..., :1].shape, generator=generator, dtype=torch.float64)
    )


def draw_at(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Draw one token from each row by a uniform number from 0 to 1: (..., V), (..., 1) on the CPU -> ids (..., 1).

    This is inverse transform sampling: the token in whose interval of the cumulative sum the uniform number falls.
    In float64, so that rounding never hits a token of probability 0, and on the CPU, since Apple's GPUs have no
    float64. A third of the time of `multinomial`. Raises ValueError for probabilities that are NaN, of which no
    interval holds a number.
    """
    ends = probabilities.cpu().double().cumsum(dim=-1)
    if ends[..., -1].isnan().any():
        raise ValueError(
            "the model's logits are NaN, so no token can be sampled; its weights are damaged, load it again"
        )
    return torch.searchsorted(ends, uniform * ends[..., -1:], right=True).to(probabilities.device)


def pick_token(
    logits: Tensor, sampling: Sampling, generator: torch.Generator, seen: Tensor | None = None
) -> Tensor:
    """Choose the next token of each row, the most probable one at temperature 0, otherwise a random sample: (..., V)
    -> ids (..., 1)."""
    if sampling.is_greedy:  # nothing to filter, nothing to draw
        return penalize_repetition(logits.float(), seen, sampling.repetition_penalty).argmax(
            dim=-1, keepdim=True
        )
    return draw(distribution(logits, sampling, seen), generator)


def likeliest(probabilities: Tensor, count: int) -> list[tuple[int, float]]:
    """Return the `count` most probable tokens of probabilities (V,), best first, as pairs of id and probability."""
    if count == 0:
        return []
    best = probabilities.topk(min(count, len(probabilities)))
    return list(zip(best.indices.tolist(), best.values.tolist()))


@dataclass(frozen=True, slots=True)
class Step:
    """One new token.

    `probability` is the model's own for the token, and `alternatives` are its most probable (id, probability), before
    any filter. `seconds` is the time the token took; the first one's includes preparing the model and reading the
    prompt.
    """

    token_id: int
    probability: float
    alternatives: list[tuple[int, float]]
    seconds: float


class _Window:
    """The tokens the model may attend to, and the one way to get the next logits from them.

    The model is prepared for the first of them, so that the time of the first token includes it.
    """

    def __init__(self, model: GPT, ids: list[int], use_cache: bool, capacity: int):
        self.model, self.ids, self.use_cache = model, ids, use_cache
        self.capacity = capacity
        self.fast: FastModel | None = None
        self.cache: KVCache | None = None

    def next_logits(self) -> Tensor:
        """Return the scores (V,) for the token after the last.

        With a cache only the tokens it has not seen go through the model; without one, all of them do, every
        time. The output layer is applied to the last position alone either way.
        """
        if self.fast is None:
            self.fast = FastModel(self.model)
        if self.use_cache and self.cache is None:
            self.cache = self.fast.new_cache(capacity=self.capacity)
        fresh = self.ids[self.cache.length :] if self.cache is not None else self.ids
        if self.cache is not None and len(fresh) == 1:
            return self.fast.step(fresh[0], self.cache)
        return self.fast.next_logits(torch.tensor([fresh], device=self.model.device), self.cache)[0]

    def slide(self) -> None:
        """Continue from the last half of the context, recomputed: every kept token has a new position."""
        self.ids = self.ids[-max(1, self.model.config.context_length // 2) :]
        self.capacity = self.model.config.context_length
        self.cache = None


@torch.inference_mode()
def generate(
    model: GPT,
    ids: Sequence[int] | Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    use_cache: bool = True,
    seed: int = 0,
    stop_ids: Collection[int] = (),
    n_alternatives: int = 10,
    past_context: str = "stop",
) -> Generator[Step, None, str]:
    """Continue one sequence of ids, a `Step` for each new token.

    Returns why it ended (the value of `yield from`): `length` after `max_new_tokens`, `stop` before a token of
    `stop_ids`, `context` when the context is full. With `past_context="slide"` it goes on instead, over the last half
    of the context, which is recomputed with and without a cache. Raises ValueError for an empty prompt, an id outside
    the vocabulary, or a prompt longer than the context (unless it may slide).
    """
    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    ids = torch.as_tensor(ids, dtype=torch.int64).flatten().tolist()
    context = model.config.context_length
    if past_context not in ("stop", "slide"):
        raise ValueError(f"past_context={past_context!r} must be 'stop' or 'slide'")
    check_prompt(ids, model.config.vocab_size, context if past_context == "stop" else None)
    device = model.device
    generator = seeded(seed)
    window = _Window(model, list(ids), use_cache, min(context, len(ids) + max_new_tokens))
    if len(ids) > context:
        window.slide()
    seen = list(ids)
    for _ in range(max_new_tokens):
        started = time.perf_counter()
        if len(window.ids) > context:
            window.slide()
        logits = window.next_logits()
        penalized = torch.tensor(seen, device=device) if repetition_penalty != 1.0 else None
        token_id = int(pick_token(logits, sampling, generator, penalized))
        if token_id in stop_ids:
            return "stop"
        own = torch.softmax(logits.float(), dim=-1)
        alternatives = likeliest(own, n_alternatives)
        window.ids.append(token_id)
        seen.append(token_id)
        yield Step(token_id, float(own[token_id]), alternatives, time.perf_counter() - started)
        if len(window.ids) > context and past_context == "stop":
            return "context"
    return "length"


def check_prompt(ids: Sequence[int], vocab_size: int, context: int | None) -> None:
    """Raise ValueError for an empty prompt, an id outside the vocabulary, or more ids than the context holds."""
    if not ids:
        raise ValueError("the prompt is empty; pass the end-of-text token to start a new document")
    outside = next((i for i in ids if not 0 <= i < vocab_size), None)
    if outside is not None:
        raise ValueError(f"token id {outside} must be from 0 to {vocab_size - 1}, the model's vocabulary")
    if context is not None and len(ids) > context:
        raise ValueError(
            f"the prompt has {len(ids)} tokens and the model's context is {context}; shorten the prompt"
        )
