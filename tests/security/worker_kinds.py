"""Kinds of jobs that take what they should not."""

import os
import subprocess
import sys
import time

from gptcore.runs.jobs import INTERACTIVE, job_kind

HOARD = "kept = bytearray({n_bytes}); print('full', flush=True); import time; time.sleep(600)"


@job_kind("spin", slots=INTERACTIVE, seconds=600, cpu_seconds=1)
def _spin(settings, report):
    while True:
        pass


@job_kind("hoard", slots=INTERACTIVE, seconds=600)
def _hoard(settings, report):
    """Have a process of its own take memory, wait until it has it, and do nothing."""
    code = HOARD.format(n_bytes=settings["n_bytes"])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        report(child.pid)
        time.sleep(600)


@job_kind("wait", slots=INTERACTIVE, seconds=600)
def _wait(settings, report):
    report(os.getpid())
    time.sleep(600)


@job_kind("add", slots=INTERACTIVE, seconds=60)
def _add(settings, report):
    return settings["a"] + settings["b"]
