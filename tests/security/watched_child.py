"""A child process that does one thing with what a stranger sent, and reports what it opened, reached and took.

Run as `python watched_child.py JOB`, with JOB a JSON file: the zips to import, whether to resume what came of them, and
where files may be read. It prints one JSON object. The hook is Python's own (`sys.addaudithook`), so it sees every
open and every connection of Python code, whoever makes it.
"""

import json
import os
import resource
import sys
import traceback
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CPU_SECONDS = 40  # after which the process is killed: nothing here may go on for ever
SYSTEM = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/dev/shm")


class Watch:
    """What has been opened outside the folders allowed, and every connection."""

    def __init__(self, readable: list[str], writable: list[str]):
        self.readable = tuple(os.path.realpath(path) + "/" for path in [*readable, *writable])
        self.writable = tuple(os.path.realpath(path) + "/" for path in writable)
        self.outside: set[str] = set()
        self.is_on = True

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.is_on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int):
                return
            path = os.path.realpath(os.fsdecode(path))
            is_write = bool(flags & WRITING)
            allowed = self.writable if is_write else self.readable
            if not (path + "/").startswith(allowed) and not path.startswith(SYSTEM):
                self.outside.add(f"{'write' if is_write else 'read'} {path}")
        elif event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
            self.outside.add(f"{event} {arguments[:2]!r}")
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.symlink", "os.link", "shutil.rmtree"):
            if any(isinstance(part, int) and part >= 0 for part in arguments[1:]):
                return  # relative to a folder that is open, as shutil.rmtree does below the folder it reports
            paths = [part for part in arguments[:2] if isinstance(part, (str, bytes, os.PathLike))]
            for path in (os.path.realpath(os.fsdecode(part)) for part in paths):
                if not (path + "/").startswith(self.writable):
                    self.outside.add(f"{event} {path}")


def most_memory() -> float:
    """Return the largest resident memory this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def do(act, *arguments, **named) -> tuple[object, dict]:
    """Return what a call returns, and what is to be said of it: a refusal in a sentence, or a traceback."""
    try:
        return act(*arguments, **named), {}
    except (ValueError, OSError) as error:
        return None, {"refused": str(error)}
    except BaseException:
        return None, {"traceback": traceback.format_exc()}


def main(job: dict) -> None:
    import gptcore.runs.execute  # noqa: F401
    import gptcore.training.loop  # noqa: F401
    from gptcore.runs import queue
    from gptcore.runs.archive import import_work
    from gptcore.runs.jobs import find_kind

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    if job.get("memory_mb"):  # so that what takes gigabytes fails soon
        resource.setrlimit(resource.RLIMIT_DATA, (job["memory_mb"] * 1_000_000,) * 2)
    watch = Watch([*job["readable"], sys.prefix, sys.base_prefix, *sys.path], job["writable"])
    data = [Path(path).read_bytes() for path in job["zips"]]
    sys.addaudithook(watch)
    before, said = most_memory(), []
    for one in data:
        taken, outcome = do(import_work, one, owner="b")
        said.append(outcome)
        for run in taken[0] if taken and job.get("resume") else ():
            _, outcome = do(queue.submit_resume, run, owner="b")
            if not outcome:
                settings = {"folder": str(run.folder)}
                _, outcome = do(find_kind("resume", "gptcore.runs.execute").work, settings, lambda part: None)
            said.append(outcome)
    watch.is_on = False
    print(json.dumps({"said": said, "outside": sorted(watch.outside), "grown_mb": most_memory() - before}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
