"""Chapter 7: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import random
from collections.abc import Sequence

from gptcore.account import forward_flops, n_parameters, parameters, training_bytes
from gptcore.config import ModelConfig
from gptcore.experiments.measurements.model import tying_saves
from pages.kit.quiz import Choice, Numeric, Order, Question

LINES = (
    "x = embedding(ids)",
    "x = x + attention(norm(x))",
    "x = x + feedforward(norm(x))",
    "x = final_norm(x)",
    "logits = output(x)",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        layer(draw),
        share(draw),
        heads(draw),
        memory(draw),
        operations(draw),
        Choice(name="lens_first", right="itself"),
        Choice(name="scale", right="power"),
        Order(name="order_lines", lines=LINES, accepts=lambda order: list(order) == sorted(order)),
    ]


def _shape(draw: random.Random, **changes) -> ModelConfig:
    width = draw.choice((128, 256, 512))
    shape = {
        "vocab_size": draw.choice((8192, 32_000, 50_257)),
        "context_length": 512,
        "d_model": width,
        "n_layers": draw.choice((4, 6, 8)),
        "n_heads": 8,
        "d_ff": draw.choice((3, 4)) * width,
    }
    return ModelConfig(**shape | changes)


def layer(draw: random.Random) -> Numeric:
    """The parameters of one block."""
    config = _shape(draw, n_layers=1, n_kv_heads=draw.choice((2, 4)))
    counts = parameters(config)
    block = counts["attention"] + counts["feedforward"] + 2 * config.d_model
    c, f = config.d_model, config.d_ff
    all_heads = parameters(config.replace(n_kv_heads=8))
    return Numeric(
        name="layer",
        right=block,
        tolerance=1e-5,
        unit="parameters",
        numbers={"c": c, "f": f, "h": 8, "kv": config.n_kv_heads, "d": config.head_dim},
        mistakes={
            "two_matrices": block - c * f,
            "all_heads": block - counts["attention"] + all_heads["attention"],
            "no_norms": block - 2 * c,
        },
    )


def share(draw: random.Random) -> Numeric:
    """What tying saves, as a percentage of the untied model's parameters."""
    config = _shape(draw, vocab_size=draw.choice((32_000, 50_257)))
    of_tied = config.vocab_size * config.d_model / n_parameters(config)
    return Numeric(
        name="share",
        right=100 * tying_saves(config),
        unit="percent",
        tolerance=0.01,
        numbers={
            "v": config.vocab_size,
            "c": config.d_model,
            "inside": n_parameters(config) - config.vocab_size * config.d_model,
        },
        mistakes={"of_tied": 100 * of_tied, "round_figure": 30.0 if tying_saves(config) < 0.29 else 20.0},
    )


def heads(draw: random.Random) -> Choice:
    """What twice the heads cost in parameters."""
    config = _shape(draw)
    return Choice(
        name="heads",
        right="none",
        numbers={"c": config.d_model, "h": config.n_heads, "h2": 2 * config.n_heads,
                 "d": config.head_dim, "d2": config.head_dim // 2},
    )  # fmt: skip


def memory(draw: random.Random) -> Numeric:
    """The memory of training with AdamW in fp32 before activations."""
    millions = draw.choice((17, 60, 124, 350))
    config = _shape(draw)
    each = training_bytes(config) / n_parameters(config)
    return Numeric(
        name="memory",
        right=each * millions / 1000,
        unit="GB",
        numbers={"millions": millions, "each": each},
        mistakes={
            "weights_only": 4 * millions / 1000,
            "no_moments": 8 * millions / 1000,
            "one_moment": 12 * millions / 1000,
        },
    )


def operations(draw: random.Random) -> Numeric:
    """The FLOPs of the output layer for one token."""
    config = _shape(draw)
    each = forward_flops(config, 1)["output"]
    return Numeric(
        name="operations",
        right=each / 1e6,
        unit="million FLOPs",
        numbers={"v": config.vocab_size, "c": config.d_model},
        mistakes={"one_each": each / 2e6, "training": 3 * each / 1e6},
    )
