"""The questions of chapter 11: five estimates from a config, and three about terms that promise too much."""

import math
import random
from collections.abc import Sequence

from gptcore.account import cache_bytes, n_parameters, parameters, training_bytes
from gptcore.config import ModelConfig
from pages.kit.quiz import Choice, Numeric, Question

CLOSE = 0.05  # relative error that an estimate may have


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    config = _shape(draw)
    return [
        weights(config),
        cache(config, draw.choice((1024, 2048, 4096))),
        memory(config),
        first_loss(draw),
        operations(config),
        Choice(name="llama_style", right="family"),
        Choice(name="constant", right="depends", numbers={"share": draw.choice((30, 43))}),
        Choice(name="assistant", right="other_data"),
    ]


def _shape(draw: random.Random) -> ModelConfig:
    """A tied LLaMA-style shape with grouped-query attention."""
    width = draw.choice((512, 768, 1024))
    return ModelConfig(
        vocab_size=draw.choice((32_000, 50_000)),
        context_length=4096,
        d_model=width,
        n_layers=draw.choice((8, 12, 16)),
        n_heads=8,
        n_kv_heads=draw.choice((2, 4)),
        d_ff=draw.choice((3, 4)) * width,
    )


def _sizes(config: ModelConfig) -> dict[str, object]:
    return {
        "v": config.vocab_size,
        "c": config.d_model,
        "layers": config.n_layers,
        "h": config.n_heads,
        "kv": config.n_kv_heads,
        "d": config.head_dim,
        "f": config.d_ff,
    }


def weights(config: ModelConfig) -> Numeric:
    """Estimate 1: millions of parameters."""
    n, counts = n_parameters(config), parameters(config)
    return Numeric(
        name="weights",
        right=n / 1e6,
        tolerance=CLOSE,
        unit="million parameters",
        numbers=_sizes(config),
        mistakes={
            "no_list": (n - counts["embedding"]) / 1e6,
            "two_matrices": (n - counts["feedforward"] / 3) / 1e6,
            "two_lists": (n + counts["embedding"]) / 1e6,
        },
    )


def cache(config: ModelConfig, n_tokens: int) -> Numeric:
    """Estimate 2: megabytes of KV cache in bf16."""
    right = cache_bytes(config, n_tokens, bytes_per_value=2) / 1e6
    return Numeric(
        name="cache",
        right=right,
        tolerance=CLOSE,
        unit="MB",
        numbers={
            **{name: value for name, value in _sizes(config).items() if name in ("layers", "h", "kv", "d")},
            "n": n_tokens,
        },
        mistakes={"keys_only": right / 2, "query_heads": right * config.n_heads / config.n_kv_heads},
    )


def memory(config: ModelConfig) -> Numeric:
    """Estimate 3: gigabytes to train in fp32, before activations."""
    n = n_parameters(config)
    return Numeric(
        name="memory",
        right=training_bytes(config) / 1e9,
        tolerance=CLOSE,
        unit="GB",
        numbers={"millions": n / 1e6},
        mistakes={"weights_only": 4 * n / 1e9, "no_moments": 8 * n / 1e9},
    )


def first_loss(draw: random.Random) -> Numeric:
    """Estimate 4: the loss of a uniform prediction."""
    size = draw.choice((2048, 8192, 32_000, 50_257, 128_256))
    return Numeric(
        name="first_loss",
        right=math.log(size),
        tolerance=CLOSE,
        unit="nats",
        numbers={"v": size},
        mistakes={"bits": math.log2(size), "tens": math.log10(size)},
    )


def operations(config: ModelConfig) -> Numeric:
    """Estimate 5: FLOPs to train on one token, by the rule of thumb."""
    n = n_parameters(config)
    return Numeric(
        name="operations",
        right=6 * n / 1e6,
        tolerance=CLOSE,
        unit="million FLOPs",
        numbers={"millions": n / 1e6},
        mistakes={"forward": 2 * n / 1e6, "backward": 4 * n / 1e6},
    )
