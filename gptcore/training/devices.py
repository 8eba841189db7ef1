"""What this machine can do: its device, its precisions, and which way to run a training step is fastest here.

What is measured is decided once, at the start of a run, and stored with it.
"""

import copy
import ctypes
import math
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gptcore.config import ConfigError, TrainConfig
from gptcore.model import GPT
from gptcore.resources import available_cores, available_memory, return_freed_memory
from gptcore.training.fast_loss import training_loss
from gptcore.training.optim import clip_gradients, make_optimizers
from gptcore.training.remembered_plans import recall, remember, situation

MEASURING_SECONDS = 0.6  # for all plans together
QUIET = 0.7  # of the wall's time spent on a processor, by one thread at least
TRIAL_TOKENS = 512  # of a batch, to compare plans on
TRIAL_SECONDS = 0.05  # for a plan, where a step takes less
CLEARLY = 0.95  # of the time of an earlier, more promising plan, which a later one must beat to be chosen
HOPELESS = 2.0  # times the best plan's step: the first step, which is a slow one, of a plan given up
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device() -> torch.device:
    """Return the accelerator if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_memory(device: torch.device) -> int:
    """Return the bytes of memory in which a model is trained: a GPU's own, or the machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return available_memory()


def precisions(device: torch.device) -> tuple[str, ...]:
    """Return the precisions worth measuring on a device; all keep the weights themselves in fp32."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return ("fp32", "fp16")
    return ("fp32", "bf16")


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Return the context in which matrix products run in `precision` while weights stay in fp32."""
    return torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32")


def steady_heap() -> None:
    """Ask glibc to keep freed memory for the next step instead of returning it to the system.

    A step frees and takes the same few large tensors; by default each goes back to the kernel and comes again
    as zeroed pages. Does nothing where the C library is another. It is for a process of its own that trains.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # names from malloc.h
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    """One way to run a training step, and the seconds a step took with it."""

    precision: str
    attention_path: str
    threads: int
    seconds_per_step: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def pick_execution_plan(
    model: GPT, config: TrainConfig, ids: Tensor, targets: Tensor
) -> tuple[ExecutionPlan, list[ExecutionPlan]]:
    """Return the fastest plan that the config leaves open, and all that were timed on ids and targets (B, T).

    Where there is nothing to choose and no length to estimate, nothing is timed. A choice made before on this machine,
    for this shape and torch, is remembered (`remembered_plans`). Raises ConfigError for a precision the device lacks.
    """
    choices = _open_choices(config, model.device)
    if len(choices) == 1 and config.steps is not None:
        return ExecutionPlan(*choices[0], 0.0), []
    name = situation(model.config, config, ids.shape, model.device, choices[0][2])
    if (remembered := recall(name)) is not None:
        chosen, *trials = (ExecutionPlan(**plan) for plan in remembered)
        return chosen, trials
    wall, processor = time.perf_counter(), time.process_time()
    chosen, trials = _measure(choices, model, config, ids, targets)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return_freed_memory()  # other plans needed more than the one chosen
    if processor > QUIET * wall:  # else other programs had the cores, and the next run may find them free
        remember(name, [plan.to_dict() for plan in (chosen, *trials)])
    return chosen, trials


def _open_choices(config: TrainConfig, device: torch.device) -> list[tuple[str, str, int]]:
    """Return the plans worth timing, as precision, path and threads: the most promising first."""
    if config.precision == "fp16" and device.type == "cpu":
        raise ConfigError("precision=fp16 needs a GPU; on a CPU choose fp32, bf16 or auto")
    threads = available_cores() if config.threads == "auto" else config.threads
    kinds = precisions(device)[::-1] if config.precision == "auto" else (config.precision,)
    # torch.compile fuses the model's own operations, and has no use for those fused by hand.
    fast = () if config.compile else ("fast",)
    paths = (*fast, "explicit", "fused") if config.attention_path == "auto" else (config.attention_path,)
    fewer = [1] if config.threads == "auto" and threads > 1 and device.type == "cpu" else []
    return [(kind, path, count) for path in paths for kind in kinds for count in (threads, *fewer)]


def _measure(
    choices: list[tuple[str, str, int]], model: GPT, config: TrainConfig, ids: Tensor, targets: Tensor
) -> tuple[ExecutionPlan, list[ExecutionPlan]]:
    """Time choices that differ from the best so far in one thing: precision, path or number of threads.

    Of plans that are about as fast, the earlier one is chosen: which is first then is noise, and it takes less memory.
    A few rows of the batch are enough to compare. A choice whose first step is far behind is not pursued. Once
    `MEASURING_SECONDS` are over, only another number of threads is tried: on a busy machine it decides most.
    """
    rows = max(1, min(len(ids), TRIAL_TOKENS // ids.shape[1]))
    trials: list[ExecutionPlan] = []
    until = time.perf_counter() + MEASURING_SECONDS
    for choice in choices:
        best = _best(trials) if trials else None
        late = best is not None and best.threads == choice[2] and time.perf_counter() > until
        if late or (best is not None and _differences(best, choice) > 1):
            continue
        limit = math.inf if best is None else HOPELESS * best.seconds_per_step
        seconds = time_step(model, config, ids[:rows], targets[:rows], *choice, TRIAL_SECONDS, limit)
        trials.append(ExecutionPlan(*choice, seconds))
    scaled = [replace(trial, seconds_per_step=trial.seconds_per_step * len(ids) / rows) for trial in trials]
    chosen = scaled[trials.index(_best(trials))]
    if config.seconds is not None and rows < len(ids):
        # How many steps the run will have is estimated from this number, so it is taken from the whole batch.
        choice = chosen.precision, chosen.attention_path, chosen.threads
        seconds = time_step(model, config, ids, targets, *choice, TRIAL_SECONDS)
        chosen = replace(chosen, seconds_per_step=seconds)
    return chosen, scaled


def _best(trials: list[ExecutionPlan]) -> ExecutionPlan:
    best = trials[0]
    for trial in trials[1:]:
        if trial.seconds_per_step < CLEARLY * best.seconds_per_step:
            best = trial
    return best


def _differences(plan: ExecutionPlan, choice: tuple[str, str, int]) -> int:
    return sum(a != b for a, b in zip((plan.precision, plan.attention_path, plan.threads), choice))


class Compiled:
    """A loss compiled by torch.compile; where compiling fails, the loss itself, with a one-sentence warning."""

    def __init__(self, loss: Callable[..., Tensor]):
        self._plain, self._fast = loss, torch.compile(loss)

    def __call__(self, *args, **options) -> Tensor:
        if self._fast is not None:
            try:
                return self._fast(*args, **options)
            except (RuntimeError, OSError) as error:  # no compiler, or one that cannot build this
                self._fast = None
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"training goes on without torch.compile: {reason}", stacklevel=2)
        return self._plain(*args, **options)


def time_step(
    model: GPT,
    config: TrainConfig,
    ids: Tensor,
    targets: Tensor,
    precision: str,
    path: str,
    threads: int,
    seconds: float,
    limit: float = math.inf,
) -> float:
    """Return the seconds of a full training step on a copy of the model: the fast quarter's of all but the first.

    At least two steps are taken, and more until `seconds` are over. What disturbs a step only ever makes it slower.
    Where the first step takes longer than `limit` it is the only one.
    """
    torch.set_num_threads(threads)
    scratch = copy.deepcopy(model)
    optimizers = make_optimizers(scratch, config, precision)
    times, until = [], time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < until:
        started = time.perf_counter()
        with autocast(model.device, precision):
            loss = training_loss(scratch, ids, targets, path=path)
        loss.backward()
        clip_gradients(scratch, config.grad_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - started)
        if times[0] > limit:
            return times[0]
    counted = sorted(times[1:])
    return counted[len(counted) // 4]
