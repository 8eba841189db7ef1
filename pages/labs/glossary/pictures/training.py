"""Pictures of training, one per term."""

import math

import torch

from gptcore.account import n_parameters, training_bytes
from gptcore.config import PRESETS, TrainConfig
from gptcore.lessons.by_hand import adamw_step
from gptcore.lessons.line_fit import descend, loss_at, max_learning_rate
from gptcore.lessons.number_formats import store
from gptcore.training.optim import learning_rate
from pages.kit import curves, event_log
from pages.kit.chips import Chip
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import HEIGHT, PROBABILITIES, bars, curve


def surprise() -> Picture:
    return curve(
        PROBABILITIES,
        {"loss": [-math.log(p) for p in PROBABILITIES]},
        "probability of the correct token",
        "nats",
    )


def perplexity() -> Picture:
    losses = [n / 4 for n in range(21)]
    return curve(losses, {"perplexity": [math.exp(x) for x in losses]}, "loss, nats per token", "perplexity")


def coin_entropy() -> Picture:
    """The entropy of a coin, in nats."""
    probabilities = PROBABILITIES[:-1]
    nats = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in probabilities]
    return curve(probabilities, {"entropy": nats}, "probability of heads", "nats", mark_x=0.5)


def shipped_losses() -> Picture:
    return curves.loss(event_log.shipped(), log_x=True, height=300)


def loss_by_weight() -> Picture:
    x, y = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-2.0, 0.0, 2.0])
    weights = [n / 4 for n in range(17)]
    return curve(weights, {"loss": [loss_at(x, y, w, 0.0) for w in weights]}, "weight", "loss", mark_x=2.0)


def learning_rates() -> Picture:
    x, y = torch.tensor([-1.5, 0.0, 1.5]), torch.tensor([-3.0, 0.0, 3.0])
    top = max_learning_rate(x)
    losses = {
        f"{fraction:g} of the largest stable rate": [
            max(state.loss, 1e-6) for state in descend(x, y, fraction * top, 10)
        ]
        for fraction in (0.05, 0.5, 1.05)
    }
    return curve(list(range(11)), losses, "step", "loss", log_y=True)


def schedule(warmup: int) -> Picture:
    steps = 400
    config = TrainConfig(learning_rate=3e-3, min_learning_rate=1e-4, warmup_steps=warmup)
    step_numbers = list(range(0, steps, 4))
    return curve(
        step_numbers,
        {"learning rate": [learning_rate(n, config, steps) for n in step_numbers]},
        "step",
        "learning rate",
    )


def _moved(gradient: float, rate: float, decay: float) -> list[float]:
    settings = {"rate": rate, "decay": decay, "beta1": 0.9, "beta2": 0.95}
    return [adamw_step(1.0, [gradient] * n, **settings).weight for n in range(1, 9)]


def adam_steps() -> Picture:
    weights = {f"gradient {g:g}": _moved(g, 0.1, 0.0) for g in (0.01, 100.0)}
    return curve(list(range(1, 9)), weights, "step", "parameter value")


def weight_decay(percent: int) -> Picture:
    weights = {"no gradient": _moved(0.0, 1.0, percent / 100)}
    return curve(list(range(1, 9)), weights, "step", "parameter value", y_range=(0.0, 1.05))


def clipped_norm() -> Picture:
    sizes = [n / 10 for n in range(1, 41)]
    return curve(
        sizes,
        {"clipped": [min(size, 1.0) for size in sizes], "unclipped": sizes},
        "gradient norm",
        "norm after clipping",
    )


def tokens_per_step(parts: int) -> Picture:
    preset = PRESETS["nano"]
    batch, length = preset.train.batch_size, preset.model.context_length
    names = ("one micro-batch", f"{parts} micro-batches")
    return bars(names, [batch * length, parts * batch * length], "tokens per step")


def checkpoint_size() -> Picture:
    n = n_parameters(PRESETS["small"].model)
    sizes = {"parameters only": 4 * n, "full training state": training_bytes(PRESETS["small"].model)}
    return bars(list(sizes), [n_bytes / 1e6 for n_bytes in sizes.values()], "MB, preset small", ".0f")


def bf16_bits(tenths: int) -> list[Chip]:
    bits = store(tenths / 10, "bf16")
    return [
        Chip(bits.sign, "plain", "sign"),
        Chip(bits.exponent, "new", "exponent"),
        Chip(bits.fraction, "chosen", "fraction"),
        Chip(f"= {bits.value:g}", "faint", "stored value"),
    ]


def tokens_per_process(processes: int) -> Picture:
    preset = PRESETS["small"]
    each = preset.train.batch_size * preset.model.context_length / processes
    return bars([f"process {n + 1}" for n in range(processes)], [each] * processes, "tokens per batch")


def late_abilities() -> Picture:
    picture = curves.story_score_finding(event_log.shipped())
    picture.figure.update_layout(height=HEIGHT + 100)
    return picture
