"""Training time of a preset on this machine, from its FLOPs and a measured rate, and its memory."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gptcore.account import forward_flops, n_parameters, training_bytes
from gptcore.config import PRESETS, ModelConfig
from gptcore.model import GPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a preset's run needs; `steps` is None if its length is given in seconds."""

    preset: str
    n_parameters: int
    state_bytes: int  # weights, gradients and two moments, before any activation
    flops_per_step: float
    steps: int | None
    run_seconds: float | None

    def seconds_per_step(self, rate: float) -> float:
        """Return the seconds of a step at `rate` FLOP/s."""
        return self.flops_per_step / rate

    def seconds(self, rate: float) -> float:
        """Return the seconds of the whole run at `rate` FLOP/s."""
        return self.run_seconds if self.steps is None else self.steps * self.seconds_per_step(rate)


def budgets() -> Mapping[str, Budget]:
    """Return the budget of every preset by name."""
    by_preset = {}
    for name, preset in PRESETS.items():
        train, config = preset.train, preset.model
        forward = sum(forward_flops(config, config.context_length, train.batch_size).values())
        by_preset[name] = Budget(
            preset=name,
            n_parameters=n_parameters(config),
            state_bytes=training_bytes(config),
            flops_per_step=3.0 * forward * train.accumulation,
            steps=train.steps,
            run_seconds=train.seconds,
        )
    return by_preset


def training_flops_per_second(
    config: ModelConfig, n_tokens: int, batch_size: int = 2, repeats: int = 3
) -> float:
    """Return the FLOP/s of forward and backward passes on this machine, the fastest of several; the rest of a step
    (clipping, the optimizer) adds a few percent of time."""
    model = GPT(config)
    ids = torch.randint(
        config.vocab_size, (batch_size, n_tokens + 1), generator=torch.Generator().manual_seed(0)
    )
    times = []
    for _ in range(1 + repeats):  # the first pass pays for what later ones find ready
        started = time.perf_counter()
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        times.append(time.perf_counter() - started)
    return 3.0 * sum(forward_flops(config, n_tokens, batch_size).values()) / min(times[1:])
