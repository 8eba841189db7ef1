"""How long a preset would take here, from its operations and a rate, and whether it fits into memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from gptcore.account import forward_flops, n_parameters, training_bytes
from gptcore.config import PRESETS


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a preset's own run asks for; `steps` is None where the run's length is given in seconds."""

    preset: str
    n_parameters: int
    state_bytes: int  # weights, gradients and two moments, before any activation
    flops_per_step: float
    steps: int | None
    run_seconds: float | None

    def seconds_per_step(self, rate: float) -> float:
        """Return the seconds of a step at `rate` operations a second."""
        return self.flops_per_step / rate

    def seconds(self, rate: float) -> float:
        """Return the seconds of the whole run at `rate` operations a second."""
        return self.run_seconds if self.steps is None else self.steps * self.seconds_per_step(rate)


def budgets() -> Mapping[str, Budget]:
    """Return what every preset asks for, by name."""
    found = {}
    for name, preset in PRESETS.items():
        train, config = preset.train, preset.model
        forward = sum(forward_flops(config, config.context_length, train.batch_size).values())
        found[name] = Budget(
            preset=name,
            n_parameters=n_parameters(config),
            state_bytes=training_bytes(config),
            flops_per_step=3.0 * forward * train.accumulation,
            steps=train.steps,
            run_seconds=train.seconds,
        )
    return found
