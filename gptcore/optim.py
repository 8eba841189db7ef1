"""How weights move: which of them decay, how fast they learn at each step, and the optimizer that moves them."""

import math

import torch
from torch import nn

from gptcore.config import TrainConfig


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Part the weights in two: matrices, which decay, and gains and biases, which do not.

    Decay pulls a weight towards zero. For a matrix that is a preference for simple maps; a norm's gain has
    its rest at 1, and pulling it to zero would only shrink the signal.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW over the model's weights (Loshchilov and Hutter 2017), in torch's fused form."""
    return torch.optim.AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def warmup_length(config: TrainConfig, n_steps: int) -> int:
    """Return the steps of warm-up: as configured, but at most a tenth of the run."""
    return min(config.warmup_steps, n_steps // 10)


def learning_rate(step: int, config: TrainConfig, n_steps: int) -> float:
    """Return the rate of step 0, 1, …, n_steps - 1: a linear warm-up, then half a cosine down.

    The first step already has a rate above zero, the last warm-up step the full one, and the cosine ends at
    `min_learning_rate` (Loshchilov and Hutter 2016). It depends on the step alone, so a resumed run follows it.
    """
    warmup = warmup_length(config, n_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, n_steps - warmup))
    height = 0.5 * (1 + math.cos(math.pi * progress))
    return config.min_learning_rate + height * (config.learning_rate - config.min_learning_rate)
