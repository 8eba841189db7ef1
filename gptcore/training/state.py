"""Everything that changes while a model trains, and how a checkpoint keeps it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.config import TrainConfig
from gptcore.corpora.windows import Windows
from gptcore.model import GPT
from gptcore.training.devices import ExecutionPlan
from gptcore.training.distributed import SINGLE, DistributedLoss, ProcessGroup
from gptcore.training.interruption import Ending
from gptcore.training.optim import Muon, move_position

PROGRESS = ("total_steps", "step", "tokens", "seconds")
REVISION = ("revised_at", "revised_position")


@dataclass
class TrainingState:
    """Everything that changes while a model trains; what a checkpoint holds."""

    model: GPT
    optimizers: list[torch.optim.Optimizer]
    windows: Windows
    scaler: torch.amp.GradScaler
    total_steps: int
    plan: ExecutionPlan
    group: ProcessGroup = SINGLE
    loss: DistributedLoss | None = None
    ending: Ending | None = None  # None: nothing ends what has begun
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    revised_at: int = 0  # the step at which `total_steps` became what it is
    revised_position: float = 0.0  # of that step in the schedule

    def __post_init__(self):
        self.loss = self.loss or DistributedLoss(self.model, self.group)

    @property
    def position(self) -> float:
        """Where this step is in the schedule of `total_steps`: at `step`, unless they were revised.

        After a revision the learning rate continues from where it was, and what is left of the schedule is spread
        evenly over the steps that are left.
        """
        left = self.total_steps - self.revised_position
        stride = left / max(1, self.total_steps - self.revised_at)
        return self.revised_position + (self.step - self.revised_at) * stride

    def revise(self, total_steps: int, config: TrainConfig) -> None:
        """Give the run another number of steps, from this step on."""
        position = move_position(self.position, config, self.total_steps, total_steps)
        self.total_steps, self.revised_at, self.revised_position = total_steps, self.step, position

    def count_seconds(self, seconds: float) -> None:
        """Count what an evaluation or a checkpoint took as training time, which begins with the first step."""
        if self.step > 0:
            self.seconds += seconds

    def check_ending(self, turn: int) -> None:
        """Raise Interrupted where the step under way is not to go on, once it has begun: from micro-batch 1 on."""
        if turn > 0 and self.ending is not None:
            self.ending.check_step()

    def cuts_evaluation(self) -> bool:
        """Return whether the evaluation or the sample under way is to be left unfinished."""
        return self.ending is not None and self.ending.cuts_evaluation()

    def progress(self) -> dict[str, float]:
        """Return the three numbers every event carries."""
        return {"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 4)}


def snapshot(state: TrainingState) -> dict:
    """Return all a run needs to resume as if it had never stopped: tensors by name, and plain numbers."""
    tensors = {}
    for number, optimizer in enumerate(state.optimizers):
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{number}.{index}.{name}": value for name, value in moments.items()}
    return {
        "model": state.model,
        "optimizer": tensors,
        "rng_state": torch.get_rng_state(),
        "windows": state.windows.state(),
        "scaler": state.scaler.state_dict(),
        "plan": state.plan.to_dict(),
        **{name: getattr(state, name) for name in (*PROGRESS, *REVISION)},
    }


def restore(state: TrainingState, saved: dict) -> None:
    """Put a snapshot's numbers back; the inverse of `snapshot`. Raises ValueError where they do not fit the run."""
    try:
        state.model.load_state_dict(saved["model"].state_dict())
        for number, optimizer in enumerate(state.optimizers):
            _restore_moments(optimizer, number, saved["optimizer"])
        state.scaler.load_state_dict(saved["scaler"])
        torch.set_rng_state(saved["rng_state"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"this checkpoint does not match its run: {reason}") from error
    state.windows.restore(saved["windows"])
    for name in PROGRESS:
        setattr(state, name, saved[name])
    for name in REVISION:  # which earlier versions did not know
        setattr(state, name, saved.get(name, 0))


def _restore_moments(optimizer: torch.optim.Optimizer, number: int, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer, the run's `number`th, its moment estimates back; raises ValueError for those of another."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        optimizer_number, index, name = key.split(".", 2)
        if int(optimizer_number) == number:
            moments.setdefault(int(index), {})[name] = value
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    names = {"momentum_buffer"} if isinstance(optimizer, Muon) else {"step", "exp_avg", "exp_avg_sq"}
    for index, values in moments.items():
        fits = 0 <= index < len(weights) and names <= values.keys()
        if not fits or any(value.shape != weights[index].shape for n, value in values.items() if n != "step"):
            raise ValueError(
                f"the checkpoint's moment estimates {number}.{index} do not match a weight of this run"
            )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
