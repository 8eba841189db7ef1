"""Pictures of attention, one per term."""

import math

import torch

from gptcore.account import cache_bytes
from gptcore.attention import allowed_pairs
from gptcore.lessons.by_hand import attention
from gptcore.lessons.by_hand import softmax as steps
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import chips, forward, generation_figures, grids, models
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import bars, curve, sentence_trace

Q = ((0.8, 0.1), (-0.2, 0.7), (0.5, -0.4))
K = ((0.6, -0.3), (0.1, 0.5), (-0.4, 0.8))
V = ((0.4, 0.9), (-0.3, 0.2), (0.7, -0.1))


def _map(layer: int, head: int) -> Picture:
    traced = sentence_trace()
    names = [chips.visible(token) for token in traced.tokens]
    values = traced.seen[f"layers.{layer - 1}.attention.weights"][0, head - 1].tolist()
    return grids.heatmap(values, rows=names, columns=names, revision="attention")


def attention_by_layer(layer: int) -> Picture:
    return _map(layer, 1)


def attention_by_head(head: int) -> Picture:
    return _map(2, head)


def _three(what: str):
    steps = attention(*(torch.tensor(values) for values in (Q, K, V)), torch.eye(2))
    names = [f"token {n}" for n in (1, 2, 3)]
    return grids.matrix(
        getattr(steps, what).tolist(),
        rows=names,
        columns=names,
        name=what,
        row_title="query",
        column_title="key",
    )


def raw_scores() -> Picture:
    return _three("raw")


def scaled_scores() -> Picture:
    return _three("scores")


def score_deviation() -> Picture:
    widths = (4, 16, 64, 256)
    curves = {"without √d": [math.sqrt(d) for d in widths], "with √d": [1.0 for _ in widths]}
    return curve(widths, curves, "head width d", "standard deviation of a random score", log_x=True)


def causal_mask(n: int, window: int | None = None) -> Picture:
    allowed = allowed_pairs(n, n, causal=True, window=window)
    values = [[1.0] * n for _ in range(n)] if allowed is None else allowed.float().tolist()
    names = [str(position) for position in range(1, n + 1)]
    back = "all earlier ones" if window is None else f"the {window - 1} before it"
    return grids.heatmap(
        values,
        rows=names,
        columns=names,
        revision="mask",
        height=320,
        alt=f"A token attends to itself and {back}.",
    )


def sliding_window(window: int) -> Picture:
    return causal_mask(10, window)


def cache_by_heads() -> Picture:
    shape = PUBLISHED["LLaMA 3 8B"].config
    sizes = [cache_bytes(shape.replace(n_kv_heads=k), 8192, bytes_per_value=2) / 1e9 for k in (32, 8, 1)]
    return bars(
        ("32 key/value heads", "8 (as published)", "1"), sizes, "KV cache at 8,192 tokens, bf16, in GB", ".2f"
    )


def score_memory() -> Picture:
    lengths = (512, 1024, 2048, 4096, 8192)
    heads = PUBLISHED["LLaMA 3 8B"].config.n_heads
    return curve(
        lengths,
        {"all attention scores": [2 * heads * n * n / 1e9 for n in lengths]},
        "tokens",
        "scores of one layer, bf16, in GB",
    )


def induction() -> Picture:
    use = models.shipped()
    scores = forward.induction_scores(use)
    return grids.matrix(
        scores,
        rows=[f"layer {n + 1}" for n in range(len(scores))],
        columns=[f"head {n + 1}" for n in range(len(scores[0]))],
        name="induction score",
        signed=False,
    )


def softmax(tenths: int) -> Picture:
    scores = (2.0, 1.0, 0.5, 0.1)
    probabilities = steps(torch.tensor(scores), tenths / 10).probabilities.tolist()
    return generation_figures.probability_bars([f"score {score:g}" for score in scores], probabilities)
