"""Several processes, one run: each takes its rows of every batch, and together they take the step one would.

`torchrun --nproc-per-node=N -m gptcore train …` starts N processes, ranks 0 … N - 1, that find each other through
environment variables. All hold the whole model (data parallel, DDP); after the backward pass the gradients are
averaged, so every rank moves its copy alike. Rank 0 leads: it measures, evaluates, samples and writes the run.
"""

import contextlib
import os
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gptcore.config import ConfigError, TrainConfig
from gptcore.resources import available_cores, process_identity, process_is_running
from gptcore.training.devices import Compiled, ExecutionPlan
from gptcore.training.events import Event, Failed
from gptcore.training.fast_loss import training_loss

PATIENCE = timedelta(minutes=30)  # rank 0 may evaluate and write for long while the others wait
LOST = ("connection", "peer", "broken pipe", "socket", "timed out", "timeout", "nccl")


def is_launched() -> bool:
    """Return whether torchrun started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1 and {"RANK", "MASTER_ADDR"} <= set(os.environ)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessGroup:
    """The processes of one run as one of them sees them; by default there is only one."""

    rank: int = 0
    size: int = 1
    local_size: int = 1  # how many of them share this machine
    device: torch.device | None = None
    members: tuple[tuple[int, int], ...] = ()  # of each rank: a number for its machine, and its process id

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def check(self, config: TrainConfig) -> None:
        """Raise ConfigError unless a batch can be split evenly between the processes."""
        if config.batch_size % self.size:
            raise ConfigError(
                f"batch_size={config.batch_size} must be divisible by the {self.size} processes that split it"
            )

    def notes(self, config: TrainConfig) -> list[str]:
        """Return what a reader of the run should know about its processes."""
        if self.size == 1:
            return []
        rows = config.batch_size // self.size
        return [
            f"{self.size} processes train together, each on {rows} of a batch's {config.batch_size} windows."
        ]

    def rows(self, batch: Tensor) -> Tensor:
        """Return this rank's rows of a batch (B, T), which all ranks draw alike: (B / size, T)."""
        n_rows = len(batch) // self.size
        return batch[self.rank * n_rows : (self.rank + 1) * n_rows]

    def measure_plan(
        self, pick: Callable, model: nn.Module, config: TrainConfig, *probe: Tensor
    ) -> tuple[ExecutionPlan, list]:
        """Have every rank time its rows at once, as they will be trained on; return what rank 0 measured.

        Averaging the gradients is timed too and added to the time of a step.
        """
        if self.size == 1:
            return pick(model, config, *probe)
        if config.threads == "auto":
            config = config.replace(threads=max(1, available_cores() // self.local_size))
        plan, trials = pick(model, config, *map(self.rows, probe))
        plan = replace(plan, seconds_per_step=plan.seconds_per_step + self._averaging_seconds(model))
        return self.broadcast(plan), trials

    def _averaging_seconds(self, model: nn.Module, n_trials: int = 5) -> float:
        gradient = torch.zeros(sum(weight.numel() for weight in model.parameters()), device=self.device)
        seconds = []
        for _ in range(n_trials):
            started = time.perf_counter()
            dist.all_reduce(gradient)
            gradient[0].item()  # waits for the device
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value on every rank."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def any_rank(self, *flags: bool) -> tuple[bool, ...]:
        """Return each flag as true on every rank where it is true on any: a signal may reach one of them only."""
        if self.size == 1:
            return flags
        votes = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return tuple(map(bool, votes.tolist()))

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of the ranks' values, the same on each."""
        if self.size > 1:
            dist.all_reduce(value)
            value /= self.size
        return value

    def seed_rank(self, seed: int, step: int) -> None:
        """Seed each rank's dropout differently, by the step alone, so that a run can resume."""
        if self.size > 1:
            torch.manual_seed((seed * 1_000_003 + step * self.size + self.rank) % 2**63)

    def guard_events(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield the events; where another rank is lost, end with a `Failed` event instead of an exception."""
        last = None
        try:
            for last in events:
                yield last
        except RuntimeError as error:
            if self.size == 1 or not any(word in str(error).lower() for word in LOST):
                raise
            progress = {name: getattr(last, name, 0) for name in ("step", "tokens", "seconds")}
            yield Failed(**progress, reason=self.lost_rank(), resumes=True)

    def lost_rank(self) -> str:
        """Return the sentence that says which rank ended before its time."""
        time.sleep(0.5)  # the parent process notices its end a moment after we do
        machine_here = self.members[self.rank][0]
        gone = [
            str(rank)
            for rank, (machine, process) in enumerate(self.members)
            if machine == machine_here and not process_is_running(process_identity(process))
        ]
        who = f"rank {' and '.join(gone)}" if gone else "another rank"
        return (
            f"{who} of the {self.size} processes ended before the run did; "
            "resume it, with as many processes or fewer, to go on from its last checkpoint"
        )


SINGLE = ProcessGroup()


class DistributedLoss:
    """A model's loss; in a group of several processes its gradients become the mean over the group."""

    def __init__(self, model: nn.Module, group: ProcessGroup, compile: bool = False):
        self._loss: nn.Module | Callable = Compiled(model.loss) if compile else partial(training_loss, model)
        if group.size > 1:
            ids = [group.device.index] if group.device.type == "cuda" else None
            # Buffers are tables of sines that never change, so there is nothing in them to bring in line.
            self._loss = DistributedDataParallel(
                _LossModule(model), device_ids=ids, forward_sync_buffers=False
            )

    def __call__(self, ids: Tensor, targets: Tensor, *, path: str) -> Tensor:
        return self._loss(ids, targets, path=path)

    def accumulate(self, last: bool) -> AbstractContextManager:
        """Return the context of one of several batches that add up: gradients are averaged with the last alone."""
        if last or not isinstance(self._loss, DistributedDataParallel):
            return nullcontext()
        return self._loss.no_sync()


class _LossModule(nn.Module):
    """A model's loss as a forward pass, which is what DDP watches."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, targets: Tensor, path: str) -> Tensor:
        return training_loss(self.model, ids, targets, path=path)


def exit_process(status: int) -> NoReturn:
    """End this process of a group with a status, at once: torch's threads may abort an orderly end."""
    if dist.is_initialized():
        with contextlib.suppress(Exception):  # another rank may be gone
            dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def join_process_group() -> ProcessGroup:
    """Return the process group torchrun started this process in: NCCL between GPUs, gloo between CPUs.

    Raises ConfigError where a machine is to run more processes than it has GPUs.
    """
    if not is_launched():
        return SINGLE
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    device, backend = torch.device("cpu"), "gloo"
    if torch.cuda.is_available():
        n_gpus = torch.cuda.device_count()
        if local_size > n_gpus:
            raise ConfigError(
                f"{local_size} processes need {local_size} GPUs, and this machine has {n_gpus}; start fewer "
                "processes"
            )
        device, backend = torch.device("cuda", local_rank), "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=PATIENCE)
    own = torch.tensor([zlib.crc32(socket.gethostname().encode()), os.getpid()])
    members = [torch.empty_like(own) for _ in range(size)]
    dist.all_gather(members, own)
    return ProcessGroup(
        rank=rank,
        size=size,
        local_size=local_size,
        device=device,
        members=tuple((int(machine), int(process)) for machine, process in members),
    )
