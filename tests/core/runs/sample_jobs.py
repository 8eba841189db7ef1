"""Kinds of jobs for tests of the worker pool."""

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from gptcore.runs.jobs import BACKGROUND, INTERACTIVE, job_kind


@job_kind("double", slots=INTERACTIVE, seconds=60)
def _double(settings, report):
    print("words" * 1000)
    return {"twice": 2 * settings["n"], "nice": psutil.Process().nice(), "torch": "torch" in sys.modules}


@job_kind("complain", slots=INTERACTIVE, seconds=60)
def _complain(settings, report):
    raise ValueError("three heads do not\nfit")


@job_kind("die", slots=INTERACTIVE, seconds=60)
def _die(settings, report):
    os.kill(os.getpid(), 9)


@job_kind("sleep", slots=BACKGROUND, seconds=0.3)
def _sleep(settings, report):
    _hold(settings, report)


@job_kind("hold", slots=BACKGROUND, seconds=600)
def _hold(settings, report):
    """Make a temporary folder, say where it is and who this is, and do nothing until somebody ends this."""
    report({"pid": os.getpid(), "folder": tempfile.mkdtemp()})
    while not Path(settings.get("until", "/nowhere")).exists():
        time.sleep(0.01)


@job_kind("greedy", slots=INTERACTIVE, seconds=60, memory_mb=3_000)
def _greedy(settings, report):
    return len(bytearray(settings["bytes"]))


@job_kind("settings", slots=INTERACTIVE, seconds=60)
def _settings(settings, report):
    return {name: value for name, value in os.environ.items() if name.startswith("GLASSBOX_")}


@job_kind("product", slots=INTERACTIVE, seconds=60)
def product(settings, report):
    import torch

    numbers = torch.arange(float(settings["n"])).reshape(-1, 64)
    return (numbers.T @ numbers).sum().item()
