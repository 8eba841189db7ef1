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


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return what moves the model's weights: AdamW for all of them, or Muon for the blocks' matrices.

    AdamW (Loshchilov and Hutter 2017) is torch's fused one. Muon (Jordan et al. 2024) turns each matrix's
    update into one that stretches all directions alike; embeddings, gains and biases stay with AdamW. Muon's
    steps are scaled to AdamW's size (Liu et al. 2025), so one learning rate serves both.
    """
    if config.optimizer == "adamw":
        return [_adamw(parameter_groups(model, config.weight_decay), config)]
    inner = {id(weight) for weight in model.layers.parameters() if weight.dim() == 2}
    groups = parameter_groups(model, config.weight_decay)
    for group in groups:
        group["params"] = [weight for weight in group["params"] if id(weight) not in inner]
    muon = torch.optim.Muon(
        [weight for weight in model.layers.parameters() if id(weight) in inner],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, _adamw(groups, config)]


def _adamw(groups: list[dict], config: TrainConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


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
