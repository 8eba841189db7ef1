"""Chapter 5: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import random
from collections.abc import Sequence

import torch

from gptcore.account import cache_bytes, parameters
from gptcore.config import ModelConfig
from gptcore.lessons import by_hand as computed
from pages.kit.quiz import Bug, Choice, Numeric, Order, Question

BUGGY = (
    "scores = (q * scale) @ k.transpose(-2, -1)",
    "weights = torch.softmax(scores, dim=-1)",
    "weights = weights.masked_fill(~allowed, 0.0)",
    "mixed = weights @ v",
)
LINES = (
    "scores = (q * scale) @ k.transpose(-2, -1)",
    "scores = scores.masked_fill(~allowed, -math.inf)",
    "weights = torch.softmax(scores, dim=-1)",
    "mixed = weights @ v",
    "output = o_proj(mixed.transpose(1, 2).flatten(2))",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        by_hand(draw),
        Choice(name="why_minus_infinity", right="sums"),
        Choice(name="why_root", right="spread", numbers={"d": draw.choice((64, 128, 256))}),
        cache(draw),
        weights_saved(draw),
        Choice(name="flag_with_cache", right="first_key", numbers=_cached(draw)),
        Bug(name="find_bug", lines=BUGGY, right=3),
        Order(name="order_lines", lines=LINES, accepts=lambda order: list(order) == sorted(order)),
    ]


def _cached(draw: random.Random) -> dict[str, int]:
    cached, new = draw.randint(4, 9), draw.randint(2, 3)
    return {"cached": cached, "new": new, "right": cached + 1, "all": cached + new}


def by_hand(draw: random.Random) -> Numeric:
    """The attention weight of the second of two tokens on the first, from their queries and keys."""

    def pair() -> list[float]:
        return [draw.randint(-9, 9) / 10 for _ in range(2)]

    query, keys = pair(), [pair(), pair()]
    while abs(sum(q * (a - b) for q, a, b in zip(query, *keys))) < 0.3:
        query, keys = pair(), [pair(), pair()]  # nearly equal scores make a trivial question
    q, k = torch.tensor([[0.0, 0.0], query]), torch.tensor(keys)
    steps = computed.attention(q, k, torch.eye(2), torch.eye(2))
    unscaled = computed.attention(q, k, torch.eye(2), torch.eye(2), scale=1.0)
    by_d = computed.attention(q, k, torch.eye(2), torch.eye(2), scale=0.5)
    return Numeric(
        name="by_hand",
        right=steps.weights[1, 0].item(),
        tolerance=0.004,
        numbers={
            "q1": query[0], "q2": query[1],
            "a1": keys[0][0], "a2": keys[0][1],
            "b1": keys[1][0], "b2": keys[1][1],
            "s1": steps.scores[1, 0].item(), "s2": steps.scores[1, 1].item(),
        },
        mistakes={
            "the_other": steps.weights[1, 1].item(),
            "no_scale": unscaled.weights[1, 0].item(),
            "by_d": by_d.weights[1, 0].item(),
        },
    )  # fmt: skip


def _shape(draw: random.Random, kv: int):
    width = draw.choice((64, 128))
    return ModelConfig(
        vocab_size=32_000,
        context_length=8192,
        d_model=8 * width,
        n_layers=draw.choice((12, 16, 24, 32)),
        n_heads=8,
        n_kv_heads=kv,
    )


def cache(draw: random.Random) -> Numeric:
    """The megabytes of a cache with two key/value heads."""
    config, tokens = _shape(draw, 2), draw.choice((1000, 2000, 4000))
    n_bytes = cache_bytes(config, tokens, bytes_per_value=2) / 1e6
    return Numeric(
        name="cache_bytes",
        right=n_bytes,
        unit="MB",
        numbers={
            "layers": config.n_layers,
            "width": config.head_dim,
            "tokens": tokens,
            "kv": config.n_kv_heads,
            "h": config.n_heads,
        },
        mistakes={
            "keys_only": n_bytes / 2,
            "query_heads": n_bytes * config.n_heads / config.n_kv_heads,
            "one_layer": n_bytes / config.n_layers,
            "four_bytes": 2 * n_bytes,
        },
    )


def weights_saved(draw: random.Random) -> Numeric:
    """The percentage of attention parameters saved by 2 key/value heads instead of 8."""
    config = _shape(draw, 8).replace(n_layers=1)
    fewer = config.replace(n_kv_heads=2)
    saved = parameters(config)["attention"] - parameters(fewer)["attention"]
    return Numeric(
        name="weights_saved",
        right=100 * saved / parameters(config)["attention"],
        unit="percent",
        tolerance=0.02,
        numbers={"c": config.d_model, "d": config.head_dim},
        mistakes={"as_the_cache": 75.0, "keys_only": 100 * saved / 2 / parameters(config)["attention"]},
    )
