"""A description of this machine for the chapter on setup: device, cores, memory and precisions."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from gptcore.resources import available_cores
from gptcore.training.devices import pick_device, precisions

# How processors name their units for products in bf16, if the system reports them.
BF16_UNITS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve", *BF16_UNITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The device training would use, and its properties; None if the system does not report one."""

    device: str
    name: str
    threads: int
    memory_bytes: int | None
    precisions: tuple[str, ...]
    bf16_units: bool | None
    python: str
    torch: str


def describe() -> Machine:
    """Return this machine as training sees it."""
    device = pick_device()
    name, memory = processor()
    units = _bf16_units()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, memory, units = (
            properties.name,
            properties.total_memory,
            torch.cuda.is_bf16_supported(including_emulation=False),
        )
    return Machine(
        device=device.type,
        name=name,
        threads=available_cores(),
        memory_bytes=memory,
        precisions=precisions(device),
        bf16_units=units,
        python=platform.python_version(),
        torch=torch.__version__,
    )


def in_one_line() -> str:
    """Return the processor, what it has for matrix products, the threads torch uses, and how busy the machine is."""
    flags = set(_flags() or ())
    features = [name for name in FEATURES if name in flags] or [torch.backends.cpu.get_cpu_capability()]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    threads = torch.get_num_threads()
    return (
        f"{processor()[0]}, {', '.join(features)}; {threads} threads of {available_cores()} cores{load}; "
        + (f"Python {platform.python_version()}, torch {torch.__version__}")
    )


def processor() -> tuple[str, int | None]:
    """Return the processor's name and the bytes of memory, if the system reports them; without importing torch."""
    name = next((value for key, value in _lines("/proc/cpuinfo") if key == "model name"), "")
    memory = next((value for key, value in _lines("/proc/meminfo") if key == "MemTotal"), None)
    return name or platform.processor() or platform.machine(), int(
        memory.split()[0]
    ) * 1024 if memory else None


def _bf16_units() -> bool | None:
    flags = _flags()
    return None if flags is None else bool(set(flags) & set(BF16_UNITS))


def _flags() -> list[str] | None:
    """Return the processor's features by Linux's names, None on another system."""
    flags = next((v for key, v in _lines("/proc/cpuinfo") if key.lower() in ("flags", "features")), None)
    return None if flags is None else flags.split()


def _lines(file: str) -> list[tuple[str, str]]:
    """The lines `key : value` of one of Linux's files; none on another system."""
    if sys.platform != "linux":
        return []
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
