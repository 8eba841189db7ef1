"""Claims about attention: why scores are scaled, what the fused kernel saves, what fewer key heads save, what a
mask is for."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from gptcore.attention import allowed_pairs, attention_weights, explicit_attention, fused_attention
from gptcore.cache import KVCache
from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS, ModelConfig
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.windows import fixed_batches
from gptcore.experiments.claims import Claim, Progress, Repetition, by_median, by_range
from gptcore.experiments.paired_training import SHAPE_IN_WORDS, STEPS, train_variants
from gptcore.experiments.timing import processor_seconds, single_thread
from gptcore.formats import load
from gptcore.interpret.heads import without_mask
from gptcore.model import GPT
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import Tokenizer

WIDTHS = (4, 16, 64, 256, 1024)
N_KEYS = 16
QUERIES_AT_ONCE = 32
LENGTHS = (64, 256, 1024)
HEADS, HEAD_DIM = 4, 32
ROUNDS = 5
LARGEST_FP16 = 65_504.0
SCALES: dict[str, Callable[[int], float]] = {
    "no scale": lambda width: 1.0,
    "1/√d": lambda width: width**-0.5,
    "1/d": lambda width: 1 / width,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Softness:
    """What a softmax over scores of one width and one scale looks like, means over many queries."""

    spread: float  # standard deviation of the scaled scores
    entropy: float  # of the weights, as a share of its most, ln(n_keys)
    largest: float  # the largest weight of a row
    gradient: float  # mean of w(1 - w): how much a weight answers its own score
    highest: float  # the largest score before the scale, in absolute value
    example: tuple[float, ...]  # the weights of one query, sorted


def softness(
    width: int, scale: str, *, seed: int = 0, n_queries: int = 256, n_keys: int = N_KEYS
) -> Softness:
    """Return what softmax makes of the scores of random queries and keys, each number drawn with variance 1."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(n_queries, width, generator=generator)
    factor = SCALES[scale](width)
    parts = []
    for some in q.split(QUERIES_AT_ONCE):  # each query has keys of its own: for all, 67 MB
        k = torch.randn(len(some), n_keys, width, generator=generator)
        seen: dict[str, Tensor] = {}
        weights = attention_weights(some.unsqueeze(1), k, factor, trace=seen)
        parts.append((weights.squeeze(1), seen["scores"].squeeze(1)))
    w, scores = (torch.cat(part) for part in zip(*parts))  # (queries, keys)
    entropy = torch.special.entr(w).sum(-1).mean() / math.log(n_keys)
    return Softness(
        spread=float(scores.std()),
        entropy=float(entropy),
        largest=float(w.amax(-1).mean()),
        gradient=float((w * (1 - w)).mean()),
        highest=float(scores.abs().amax() / factor),
        example=tuple(sorted(w[0].tolist(), reverse=True)),
    )


def _entropies() -> Iterator[Repetition]:
    for seed in range(5):
        yield {f"d = {width}": softness(width, "no scale", seed=seed).entropy for width in WIDTHS}


def _entropies_by_d() -> Iterator[Repetition]:
    for seed in range(5):
        yield {f"d = {width}": softness(width, "1/d", seed=seed).entropy for width in WIDTHS}


def _room_left() -> Iterator[Repetition]:
    for seed in range(5):
        yield {
            f"d = {width}": LARGEST_FP16 / softness(width, "no scale", seed=seed).highest for width in WIDTHS
        }


def random_qkv(length: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return random queries, keys and values of one text of this length: (1, H, T, D) each."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(1, HEADS, length, HEAD_DIM, generator=generator) for _ in range(3))
    return q, k, v


def both_paths(length: int) -> dict[str, Callable[[], Tensor]]:
    """Return the explicit and the fused computation of one causal attention, ready to be called."""

    q, k, v = random_qkv(length)
    allowed, scale = allowed_pairs(length, length, causal=True, window=None), HEAD_DIM**-0.5
    return {
        "explicit": lambda: explicit_attention(q, k, v, scale, allowed),
        "fused": lambda: fused_attention(q, k, v, scale, allowed, triangle=True),
    }


def _times_as_fast() -> Iterator[Repetition]:
    calls = {length: both_paths(length) for length in LENGTHS}
    with single_thread():
        for _ in range(ROUNDS):
            yield {
                f"T = {length}": processor_seconds(paths["explicit"]) / processor_seconds(paths["fused"])
                for length, paths in calls.items()
            }


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most bytes torch held at once during a call, beyond what was there before it."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    held = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def _growth() -> Iterator[Repetition]:
    paths = {length: both_paths(length) for length in LENGTHS}
    peaks = {name: {n: peak_bytes(paths[n][name]) for n in LENGTHS} for name in ("explicit", "fused")}
    for shorter, longer in pairwise(LENGTHS):
        # The exponent: how many times as much memory for twice the length, as a power of two.
        yield {
            name: math.log(at[longer] / at[shorter]) / math.log(longer / shorter)
            for name, at in peaks.items()
        }


def _shape(n_kv_heads: int) -> ModelConfig:
    return PRESETS["nano"].model.replace(n_heads=8, head_dim=16, n_kv_heads=n_kv_heads)


def _cache_ratios() -> Iterator[Repetition]:
    whole = KVCache(_shape(8)).n_bytes
    yield {
        f"{8 // k} queries to a key head": whole / KVCache(_shape(k)).n_bytes / (8 // k) for k in (4, 2, 1)
    }


def _weights_saved() -> Iterator[Repetition]:
    def count(n_kv_heads: int) -> int:
        return sum(weight.numel() for weight in GPT(_shape(n_kv_heads)).parameters())

    whole = count(8)
    yield {f"{8 // k} queries to a key head": 100 * (1 - count(k) / whole) for k in (4, 2, 1)}


def loss_on_fresh_stories(model: GPT, tokenizer: Tokenizer, *, seed: int = 0, n: int = 20) -> float:
    """Return a model's mean loss, in nats a token, on stories that no training run has read."""
    texts = [story.text for story in write_stories(n, seed=900_000 + 1000 * seed)]
    length = min(256, model.config.context_length)
    batches = fixed_batches(encode_documents(texts, tokenizer), length, 2, 2)
    with torch.inference_mode():
        return statistics.fmean(float(model.loss(*batch)) for batch in batches)


def _unmasked_losses() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    free = without_mask(model)
    for seed in range(3):
        with_mask, without = (
            loss_on_fresh_stories(variant, tokenizer, seed=seed) for variant in (model, free)
        )
        yield {"without the mask": without - with_mask}


@dataclass(frozen=True, kw_only=True, slots=True)
class CausalFlag:
    """Which key each new token may see, 1 or 0, rightly and by torch's flag; and how far the outputs part."""

    right: list[list[float]]
    torchs: list[list[float]]
    wrong: int  # new tokens with another output
    difference: float


def causal_flag(n_new: int, n_cached: int, *, seed: int = 0) -> CausalFlag:
    """Return what `scaled_dot_product_attention(is_causal=True)` does with a cache, found by running it.

    What it allows is read from its output: with the identity as values the output is the weights.
    """

    n_keys = n_new + n_cached
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(1, 1, n_new, HEAD_DIM, generator=generator)
    k = torch.randn(1, 1, n_keys, HEAD_DIM, generator=generator)
    theirs = F.scaled_dot_product_attention(q, k, torch.eye(n_keys)[None, None], is_causal=True)
    allowed = allowed_pairs(n_new, n_keys, causal=True, window=None)
    right = attention_weights(q, k, HEAD_DIM**-0.5, allowed)
    apart = (theirs - right).abs().amax(-1).flatten()
    return CausalFlag(
        right=(right[0, 0] > 0).float().tolist(),
        torchs=(theirs[0, 0] > 0).float().tolist(),
        wrong=int((apart > 1e-5).sum()),
        difference=float(apart.max()),
    )


def paths_differ(model: GPT, n_tokens: int, *, seed: int = 0) -> tuple[int, float]:
    """Return how many random tokens were read, and how far the logits of both attention paths lie apart."""
    n_tokens = min(n_tokens, model.config.context_length)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(model.config.vocab_size, (1, n_tokens), generator=generator)
    with torch.inference_mode():
        return n_tokens, float((model(ids, path="explicit") - model(ids, path="fused")).abs().max())


def _quality_lost() -> Iterator[Repetition | Progress]:
    ways = {f"{kv} of 4 key heads": {"n_kv_heads": kv} for kv in (4, 2, 1)}
    whole, *fewer = ways
    return train_variants(
        ways, lambda trained: {name: trained[name].loss - trained[whole].loss for name in fewer}
    )


CLAIMS = (
    Claim(
        name="softmax_scale",
        chapter=5,
        slogan="Without 1/√d attention collapses onto one token",
        source="Vaswani et al. 2017, section 3.2.1: dot products grow large and push the softmax into regions of "
        "extremely small gradients.",
        how=f"Random queries and {N_KEYS} keys each, components with variance 1, scores not scaled. "
        "Measured: the entropy of the attention weights as a fraction of ln 16. The claim holds if it "
        "is below a quarter.",
        unit="of the maximum entropy",
        headline="d = 64",
        measure=_entropies,
        judge=by_range(lambda entropy: entropy < 0.25),
        transfers="The law is exact: the dot product of two vectors of d independent components with variance 1 "
        "has a standard deviation of √d. A trained model can learn smaller queries, so at small d it "
        "can work without the factor.",
    ),
    Claim(
        name="divide_by_d",
        chapter=5,
        slogan="Dividing by d works as well as by √d",
        source="A common question in classes.",
        how=f"The same random queries and {N_KEYS} keys, scores divided by d. The claim holds if the "
        "attention weights have less than 95% of the maximum entropy, so that they still select "
        "something.",
        unit="of the maximum entropy",
        headline="d = 64",
        measure=_entropies_by_d,
        judge=by_range(lambda entropy: entropy < 0.95),
        transfers="It fails at every size: with 1/d the scores' standard deviation is 1/√d, which approaches 0 as "
        "d grows.",
    ),
    Claim(
        name="scale_overflow",
        chapter=5,
        slogan="1/√d prevents overflow of the scores",
        source="Repeated in many tutorials; the original paper (Vaswani et al. 2017) gives small gradients as the "
        "reason.",
        how="The largest number fp16 holds, 65,504, divided by the largest unscaled score of 256 random "
        "queries. The claim holds if the ratio is below 2.",
        unit="times below fp16's maximum",
        headline="d = 64",
        measure=_room_left,
        judge=by_range(lambda room: room < 2),
        transfers="Scores of trained models are larger than random ones, yet far from 65,504; bf16 and fp32 "
        "reach 10 to the 38.",
    ),
    Claim(
        name="fused_faster",
        chapter=5,
        slogan="Flash attention is 4 times as fast",
        source="Dao et al. 2022 report 2 to 4 times on GPUs, for long texts.",
        how=f"The forward pass of causal attention with {HEADS} heads of {HEAD_DIM} in fp32, step by step "
        "against torch's fused kernel. They take turns on one thread for five rounds, in processor time. The "
        "claim holds for a length at which the median ratio is at least 4. Within 10% "
        "of this limit the verdict is “depends”.",
        unit="times as fast",
        headline="T = 1024",
        measure=_times_as_fast,
        judge=by_median(lambda ratio: ratio >= 4, within=0.1),
        timed=True,
        transfers="The gain usually grows with the length. The factor depends on the head width, the mask, "
        "the precision and above all the device.",
    ),
    Claim(
        name="fused_memory",
        chapter=5,
        slogan="Flash attention makes memory linear in the length",
        source="Dao et al. 2022.",
        how="The peak number of bytes torch allocated during one call, at lengths 64 to 1,024. Measured: "
        "the exponent p in T to the p, between neighboring lengths. The claim holds for an "
        "implementation whose exponent stays below 1.5.",
        unit="exponent of T",
        headline="fused",
        labels={
            "explicit": "step by step",
        },
        measure=_growth,
        judge=lambda measured: (
            "holds" if measured["fused"].high < 1.5 <= measured["explicit"].low else "holds not"
        ),
        transfers="The same on any device that has such a kernel: it never stores the T × T attention weights.",
    ),
    Claim(
        name="gqa_cache",
        chapter=5,
        slogan="Grouped-query attention shrinks the KV cache by the group size",
        source="Ainslie et al. 2023.",
        how="The bytes of KV caches for 8 query heads and 8, 4, 2 and 1 key/value heads. Measured: the "
        "saving divided by the group size. The claim holds if that is 1.",
        unit="of the promised factor",
        headline="8 queries to a key head",
        labels={
            "2 queries to a key head": "2 query heads per key/value head",
            "4 queries to a key head": "4 query heads per key/value head",
            "8 queries to a key head": "8 query heads per key/value head",
        },
        measure=_cache_ratios,
        judge=by_range(lambda ratio: abs(ratio - 1) < 1e-9),
        transfers="Exactly the same for every model: the cache stores keys and values, and no queries.",
    ),
    Claim(
        name="gqa_weights",
        chapter=5,
        slogan="Grouped-query attention makes the model much smaller",
        source="Often concluded from the smaller cache.",
        how="The parameters of the nano shape with 8 query heads and 4, 2 and 1 key/value heads. The claim "
        "holds if at least a quarter of them disappears.",
        unit="% fewer parameters",
        headline="8 queries to a key head",
        labels={
            "2 queries to a key head": "2 query heads per key/value head",
            "4 queries to a key head": "4 query heads per key/value head",
            "8 queries to a key head": "8 query heads per key/value head",
        },
        measure=_weights_saved,
        judge=by_range(lambda percent: percent >= 25),
        transfers="The saving is less than the fraction of parameters in the key and value projections: at most "
        "about a sixth of a block.",
    ),
    Claim(
        name="mask_for_training",
        chapter=5,
        slogan="The causal mask is for training only",
        source="Often concluded from the fact that generation produces one token at a time.",
        how="The shipped model reads stories it has not seen in one forward pass, with its mask and "
        "without. The claim holds if the loss changes by less than 0.01 nats per token.",
        unit="nats per token higher",
        headline="without the mask",
        measure=_unmasked_losses,
        judge=by_range(lambda more: abs(more) < 0.01),
        transfers="The same for every causal model: a prompt is processed in one forward pass, and its tokens must "
        "not attend to later ones.",
    ),
    Claim(
        name="kv_heads_quality",
        chapter=5,
        slogan="Fewer key/value heads cost quality",
        source="Ainslie et al. 2023, table 1: multi-query a little below multi-head, grouped-query near it.",
        how=f"{SHAPE_IN_WORDS}, 4 query heads and 4, 2 and 1 key/value heads, {STEPS} steps on the stories, "
        "three seeds. Measured: the validation loss minus that with 4 key/value heads and the same "
        "seed. The claim holds if it rises by more than 0.02 nats with every seed.",
        unit="nats per token higher",
        headline="1 of 4 key heads",
        labels={
            "2 of 4 key heads": "2 key/value heads for 4 query heads",
            "1 of 4 key heads": "1 key/value head for 4 query heads",
        },
        measure=_quality_lost,
        judge=by_range(lambda more: more > 0.02),
        transfers="This measurement does not answer that: after so few steps, such a small difference says "
        "little about a model of 7 billion parameters.",
        kind="train",
        nothing=0.0,
    ),
)
