"""What this machine can do: its device, its precisions, and which way to run a training step is fastest here.

What is measured is decided once, at the start of a run, and stored with it.
"""

import copy
import ctypes
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from gptcore.config import ConfigError, TrainConfig
from gptcore.model import GPT
from gptcore.resources import available_cores, available_memory
from gptcore.training.optim import clip_gradients, make_optimizers

CLOSE = 1.15  # times as long as the fastest plan
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
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
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
    model: GPT, config: TrainConfig, ids: torch.Tensor, targets: torch.Tensor, seconds: float = 2.0
) -> tuple[ExecutionPlan, list[ExecutionPlan]]:
    """Time every plan that the config leaves open; return the fastest and all that were tried.

    Trials run on a copy, on real windows ids and targets (B, T), and share about `seconds` between them; those that
    come close to the fastest are timed once more.
    """
    device = model.device
    paths = ("explicit", "fused") if config.attention_path == "auto" else (config.attention_path,)
    kinds = precisions(device) if config.precision == "auto" else (config.precision,)
    if config.precision == "fp16" and device.type == "cpu":
        raise ConfigError("precision=fp16 needs a GPU; on a CPU choose fp32, bf16 or auto")
    most = available_cores()
    threads = most if config.threads == "auto" else config.threads
    pairs = [(kind, path) for kind in kinds for path in paths]
    fewer = [1] if config.threads == "auto" and most > 1 and device.type == "cpu" else []
    if len(pairs) + len(fewer) == 1 and config.steps is not None:
        seconds = 0.0  # nothing to choose, and no length to estimate
    trial_seconds = seconds / (len(pairs) + len(fewer))

    def timed(*choices) -> ExecutionPlan:
        return ExecutionPlan(*choices, _time_step(model, config, ids, targets, *choices, trial_seconds))

    def fastest(trials: list[ExecutionPlan]) -> ExecutionPlan:
        return min(trials, key=lambda trial: trial.seconds_per_step)

    trials = [timed(*pair, threads) for pair in pairs]
    trials += [timed(fastest(trials).precision, fastest(trials).attention_path, count) for count in fewer]
    limit = CLOSE * fastest(trials).seconds_per_step
    close = [trial for trial in trials if trial.seconds_per_step <= limit]
    if len(close) > 1:
        # Few steps of a large model fit into one trial, so a single disturbed step must not decide.
        again = {trial: timed(trial.precision, trial.attention_path, trial.threads) for trial in close}
        trials = [fastest([trial, again.get(trial, trial)]) for trial in trials]
    return fastest(trials), trials


class Compiled:
    """A loss compiled by torch.compile; where compiling fails, the loss itself, with a one-sentence warning."""

    def __init__(self, loss: Callable[..., torch.Tensor]):
        self._plain, self._fast = loss, torch.compile(loss)

    def __call__(self, *args, **options) -> torch.Tensor:
        if self._fast is not None:
            try:
                return self._fast(*args, **options)
            except (RuntimeError, OSError) as error:  # no compiler, or one that cannot build this
                self._fast = None
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"training goes on without torch.compile: {reason}", stacklevel=2)
        return self._plain(*args, **options)


def _time_step(model, config, ids, targets, precision, path, threads, seconds) -> float:
    """Return the seconds of a full training step: the fast quarter's, after one that is not counted.

    What disturbs a step only ever makes it slower, and the first few are slow by themselves.
    """
    torch.set_num_threads(threads)
    scratch = copy.deepcopy(model)
    optimizers = make_optimizers(scratch, config, precision)
    times, until = [], time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < until:
        started = time.perf_counter()
        with autocast(model.device, precision):
            loss = scratch.loss(ids, targets, path=path)
        loss.backward()
        clip_gradients(scratch, config.grad_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - started)
    counted = sorted(times[1:])
    return counted[len(counted) // 4]
