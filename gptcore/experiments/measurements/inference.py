"""Claims about generation: what a KV cache saves, what it leaves as it was, and what a repetition penalty does."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from gptcore.cache import KVCache
from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS, ModelConfig
from gptcore.experiments.claims import Claim, Repetition, Spread, by_median, by_range
from gptcore.experiments.timing import processor_seconds, single_thread
from gptcore.formats import load
from gptcore.generation.fast_model import FastModel
from gptcore.generation.sampling import penalize_repetition
from gptcore.model import GPT
from gptcore.stories.writer import write_stories

NEW_TOKENS = (32, 128, 248)
VOCABULARIES = (2048, 50_257)
WITHOUT = 48  # tokens written without a cache
COUNTED = (16, 32, 64, 128)
PROMPT = 8
ROUNDS = 5
WIDE = {
    "vocab_size": 16_384,
    "d_model": 768,
    "n_layers": 2,
    "n_heads": 12,
    "d_ff": 2048,
}  # beyond a core's cache


def _nano(vocab_size: int = 2048) -> GPT:
    return GPT(PRESETS["nano"].model.replace(vocab_size=vocab_size)).eval()


LANES = ("all positions scored", "last position scored", "cache")


def _seconds(model: GPT, stops: Sequence[int], lane: str) -> list[float]:
    """Return the processor's seconds after so many new tokens, greedily, in one of three lanes."""
    ids = list(range(1, PROMPT + 1))
    cache = KVCache(model.config) if lane == "cache" else None
    started, taken = time.process_time(), []
    with torch.inference_mode(), single_thread():
        for n_new in range(1, max(stops) + 1):
            fresh = torch.tensor([ids if cache is None else ids[cache.length :]])
            if lane == "all positions scored":
                logits = model(fresh)[0, -1]
            else:
                logits = model.output(model.hidden(fresh, cache)[:, -1])[0]
            ids.append(int(logits.argmax()))
            if n_new in stops:
                taken.append(time.process_time() - started)
    return taken


def _times_as_fast() -> Iterator[Repetition]:
    model = _nano()
    for lane in LANES:
        _seconds(model, (4,), lane)
    for _ in range(2):
        slow, fast = (_seconds(model, NEW_TOKENS, lane) for lane in (LANES[0], LANES[2]))
        yield {f"{n} tokens": a / b for n, a, b in zip(NEW_TOKENS, slow, fast)}


def _without_the_cache() -> Iterator[Repetition]:
    models = {size: _nano(size) for size in VOCABULARIES}
    for model in models.values():
        _seconds(model, (2,), LANES[0])
    for _ in range(3):
        yield {
            f"V = {size:,}": _seconds(model, (WITHOUT,), LANES[0])[0]
            / _seconds(model, (WITHOUT,), LANES[1])[0]
            for size, model in models.items()
        }


def _half_the_bytes() -> Iterator[Repetition]:
    with single_thread():
        narrow, wide = (GPT(PRESETS["nano"].model.replace(**changes)).eval() for changes in ({}, WIDE))
        lanes = {
            "128 wide": (narrow, _packed),
            "768 wide": (wide, _packed),
            "768 wide, not packed": (wide, _as_it_is),
        }
        calls = {
            name: [
                _next_token(way(copy.deepcopy(model).to(kind))) for kind in (torch.float32, torch.bfloat16)
            ]
            for name, (model, way) in lanes.items()
        }
        with torch.inference_mode():
            for _ in range(ROUNDS):
                yield {
                    name: processor_seconds(full) / processor_seconds(half)
                    for name, (full, half) in calls.items()
                }


def _packed(model: GPT) -> GPT:
    return FastModel(model).model


def _as_it_is(model: GPT) -> GPT:
    return model


def _next_token(model: GPT) -> Callable[[], object]:
    """Return the call that puts one more token behind a short text through a model, again and again."""
    cache = KVCache(model.config, dtype=model.dtype, capacity=PROMPT + 1)
    with torch.inference_mode():
        model.hidden(torch.ones(1, PROMPT, dtype=torch.int64), cache)
    one = torch.ones(1, 1, dtype=torch.int64)

    def newest() -> object:
        cache.keep(PROMPT)
        return model.output(model.hidden(one, cache))

    return newest


def pairs_compared(n_tokens: int, *, cached: bool) -> int:
    """Return how many query-key pairs of one head are compared while a text grows to `n_tokens`, counted in a trace."""
    shape = {"vocab_size": 16, "d_model": 4, "n_layers": 1, "n_heads": 1, "d_ff": 4}
    model = GPT(ModelConfig(context_length=n_tokens, **shape)).eval()
    cache = KVCache(model.config) if cached else None
    count = 0
    with torch.inference_mode():
        for length in range(1, n_tokens + 1):
            seen: dict = {}
            model(torch.ones(1, 1 if cached else length, dtype=torch.int64), cache, seen, path="explicit")
            weights = next(value for name, value in _leaves(seen) if name.endswith("attention.weights"))
            count += int((weights > 0).sum())
    return count


def _leaves(seen: dict, above: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in seen.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _exponents() -> Iterator[Repetition]:
    counts = {
        lane: [pairs_compared(length, cached=lane == "with a cache") for length in COUNTED]
        for lane in ("with a cache", "without")
    }
    for i, (short, long) in enumerate(pairwise(COUNTED)):
        yield {
            lane: math.log(pairs[i + 1] / pairs[i]) / math.log(long / short) for lane, pairs in counts.items()
        }


def _cached_scores_off_by() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    models = {"fp32": model.eval()}
    models["bf16"] = load(SHIPPED)[0].eval().to(torch.bfloat16)
    with torch.inference_mode():
        for story in write_stories(3, seed=10**6):
            ids = torch.tensor([tokenizer.encode(story.text)[:64]])
            differences = {}
            for name, network in models.items():
                full_pass = network(ids)[0].float()
                cache = KVCache(network.config, dtype=network.dtype)
                single = torch.stack(
                    [
                        network(ids[:, position : position + 1], cache)[0, -1].float()
                        for position in range(ids.shape[1])
                    ]
                )
                differences[name] = float((single - full_pass).abs().amax() / full_pass.std())
            yield differences


def made_likelier(way: str, *, penalty: float = 1.3, n_stories: int = 5) -> float:
    """Return the fraction of used tokens that a repetition penalty makes likelier, on the shipped model's scores.

    `way` is `multiplying`, `dividing`, or `by sign`, which divides what is positive and multiplies what is negative.
    """
    model, tokenizer = load(SHIPPED)
    ways = {
        "multiplying": lambda scores, seen: scores.scatter(-1, seen, scores[seen] * penalty),
        "dividing": lambda scores, seen: scores.scatter(-1, seen, scores[seen] / penalty),
        "by sign": lambda scores, seen: penalize_repetition(scores, seen, penalty),
    }
    risen = said = 0
    for story in write_stories(n_stories, seed=10**6):
        ids = torch.tensor([tokenizer.encode(story.text)[:64]])
        with torch.inference_mode():
            scores, seen = model(ids)[0, -1], ids[0].unique()
        risen += int((ways[way](scores, seen)[seen] > scores[seen]).sum())
        said += len(seen)
    return risen / said


def _penalized() -> Iterator[Repetition]:
    yield {way: made_likelier(way) for way in ("multiplying", "dividing", "by sign")}


@dataclass(frozen=True, slots=True)
class NextToken:
    """Milliseconds until the next token, after texts of several lengths, with a cache and without."""

    lengths: tuple[int, ...]
    without: tuple[float, ...]
    cached: tuple[float, ...]


def next_token(model: GPT, lengths: Sequence[int], repeats: int = 5) -> NextToken:
    """Time one more token after texts of these lengths, the quickest of several turns: what the rest disturbs least."""

    calls: list[Callable[[], object]] = []
    for length in lengths:
        ids = torch.ones(1, length, dtype=torch.int64)
        cache = KVCache(model.config, dtype=model.dtype, device=model.device)

        def whole(ids=ids) -> None:
            model.output(model.hidden(ids)[:, -1])

        def newest(ids=ids, cache=cache) -> None:
            cache.length = ids.shape[1] - 1
            model.output(model.hidden(ids[:, -1:], cache)[:, -1])

        with torch.inference_mode():
            model.hidden(ids[:, :-1], cache)
        calls += [whole, newest]
    with torch.inference_mode():
        quickest = _quickest(calls, repeats)
    return NextToken(tuple(lengths), tuple(quickest[::2]), tuple(quickest[1::2]))


def _quickest(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the milliseconds of each call, all in turn: what disturbs for a while disturbs few turns of each."""
    best = [math.inf] * len(calls)
    for turn in range(repeats + 1):
        for place, call in enumerate(calls):
            started = time.perf_counter()
            call()
            if turn:  # the first is not counted
                best[place] = min(best[place], 1000 * (time.perf_counter() - started))
    return best


def greedy_from(model: GPT, ids: Sequence[int], n_new: int, *, shift: int) -> list[int]:
    """Yield greedily decoded tokens one by one with a cache, each new one told a place `shift` beside its own.

    With `shift=0` it is what `generate` gives at temperature 0; any other is a mistake made on purpose.
    """
    cache, new = KVCache(model.config, dtype=model.dtype, device=model.device), []
    with torch.inference_mode():
        logits = model.output(model.hidden(torch.tensor([list(ids)]), cache)[:, -1])[0]
        for _ in range(n_new):
            new.append(int(logits.argmax()))
            if cache.length == cache.capacity:
                break
            place = max(0, cache.length - shift)
            fresh = torch.tensor([new[-1:]])
            logits = model.output(model.forward_hidden(fresh, place, cache)[:, -1])[0]
            cache.advance(1)
    return new


def _growth(measured: Mapping[str, Spread]) -> str:
    cached = measured["with a cache"]
    return "holds" if cached.high < 1.2 else "holds not" if cached.low > 1.5 else "depends"


CLAIMS = (
    Claim(
        name="cache_speedup",
        chapter=9,
        slogan="The KV cache makes generation 100 times as fast",
        source="Tutorials that count the tokens that go through the model, without and with a cache.",
        how="Greedy decoding of 32, 128 and 248 tokens with the nano shape: a full forward pass with "
        "logits at every position, against a KV cache. One thread, processor time, two rounds. The "
        "claim holds for a length at which the ratio is at least 100. Within 10% "
        "of this limit the verdict is “depends”.",
        unit="times as fast",
        headline="248 tokens",
        measure=_times_as_fast,
        judge=by_median(lambda ratio: ratio >= 100, within=0.1),
        timed=True,
        transfers="The gain grows with the length everywhere. The factor depends on the shape, the device, and "
        "how many tokens a processor handles at nearly the cost of one.",
    ),
    Claim(
        name="cache_alone",
        chapter=9,
        slogan="All of that speed-up comes from the cache",
        source="Comparisons in which the slow version computes logits at every position and the fast one only "
        "at the last.",
        how=f"{WITHOUT} tokens without a cache, logits at every position against logits at the last only, "
        "with vocabularies of 2,048 and 50,257. One thread, processor time, three rounds. The claim "
        "holds if the median gain from skipping the other positions is less than a quarter.",
        unit="times as fast without a cache",
        headline="V = 50,257",
        measure=_without_the_cache,
        judge=by_median(lambda ratio: ratio < 1.25),
        timed=True,
        transfers="The larger the vocabulary relative to the model, the larger this part. In a model of billions "
        "of parameters it is small.",
    ),
    Claim(
        name="cache_linear",
        chapter=9,
        slogan="With a KV cache the cost of a text is linear in its length",
        source="A conclusion from the fact that one token at a time goes through the model.",
        how="Query-key pairs are counted in the trace for texts of 16, 32, 64 and 128 tokens. Measured "
        "between neighboring lengths: the k for which the number of pairs grows as n to the power k. The "
        "claim holds if the exponent with a cache stays below 1.2.",
        unit="exponent of the length",
        headline="with a cache",
        measure=_exponents,
        judge=_growth,
        transfers="Exactly the same: attention over a whole text is quadratic with a cache and cubic without. "
        "With a cache, the rest of the model is linear, and is most of the work until texts are long.",
    ),
    Claim(
        name="cache_approximates",
        chapter=9,
        slogan="The KV cache is an approximation",
        source="A conclusion from texts that diverge after a while in low precision.",
        how="The shipped model reads three stories in one forward pass, and token by token with a cache. "
        "Measured: the largest difference of a logit, in standard deviations of the logits. The claim "
        "holds in a precision where it exceeds 0.001.",
        unit="standard deviations of the logits",
        headline="fp32",
        measure=_cached_scores_off_by,
        judge=by_range(lambda off: off > 1e-3),
        transfers="The cache stores the same numbers that would be computed again. Only the order of sums differs, "
        "so the difference is of the size of rounding errors: larger in bf16, on every device.",
    ),
    Claim(
        name="half_bytes",
        chapter=9,
        slogan="Half the bytes per weight, twice the tokens per second",
        source="The reasoning: to generate a token every weight is read once, and bf16 has half the bytes of "
        "fp32.",
        how="One more token with a cache, fp32 time over bf16 time: the nano shape (128 wide), and 27 "
        "million parameters (768 wide), packed by the library and not packed. One thread, processor "
        "time, five rounds. The claim holds if the median ratio is at least 2. Within 10% "
        "of this limit the verdict is “depends”.",
        unit="times as fast in bf16",
        headline="768 wide",
        measure=_half_the_bytes,
        judge=by_median(lambda ratio: ratio >= 2, within=0.1),
        nothing=1.0,
        timed=True,
        transfers="It holds where reading the weights dominates: large models, one text at a time. A model that "
        "fits into a processor's cache waits for other things, and an unpacked layout can cost more "
        "than the bytes save.",
    ),
    Claim(
        name="penalty_multiplies",
        chapter=9,
        slogan="A repetition penalty multiplies the logits of repeated tokens",
        source="A short form of Keskar et al. 2019, whose formula divides; both versions are found in code.",
        how="The shipped model's logits after five stories. Those of tokens already used are multiplied by "
        "1/1.3, by 1.3, or by whichever lowers them given their sign. Measured: the fraction that "
        "rises. The claim holds if none does.",
        unit="of used tokens become more probable",
        headline="multiplying",
        measure=_penalized,
        judge=lambda measured: by_range(lambda share: share == 0)(
            {way: measured[way] for way in ("multiplying", "dividing")}
        ),
        transfers="The same: logits can be positive or negative, so no single factor lowers them all. Dividing the "
        "positive ones and multiplying the negative ones does.",
    ),
)
