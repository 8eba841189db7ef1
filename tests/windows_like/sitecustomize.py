"""What Windows lacks or refuses, taken away from every Python process that has this folder on its path.

Libraries that do without on Windows are imported first and keep here what they use on other systems.
"""

import asyncio  # noqa: F401 - see above
import fcntl
import os
import select
import selectors
import signal
import subprocess  # noqa: F401 - see above
import sys
import types

import psutil
from filelock import FileLock  # noqa: F401 - see above

ABSENT = {
    os: "fork forkpty getegid geteuid getgid getloadavg getpgid getpriority getuid killpg mkfifo nice "
    "sched_getaffinity set_blocking setpgid setpriority setsid statvfs sysconf WIFSIGNALED WNOHANG WTERMSIG",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGXCPU alarm pthread_sigmask setitimer",
    select: "epoll poll",
}
kill, fsync, replace = os.kill, os.fsync, os.replace


def kill_with_a_signal(pid: int, signum: int) -> None:
    if signum == 0:
        raise OSError(87, "signal 0 is Ctrl-C on Windows")
    kill(pid, signum)


def sync_what_can_be_written(handle: int) -> None:
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(9, "Bad file descriptor")
    fsync(handle)


def replace_no_folder(source: str, target: str, **_) -> None:
    if os.path.isdir(target):
        raise PermissionError(13, "Permission denied", str(target))
    replace(source, target)


def rename_onto_nothing(source: str, target: str, **_) -> None:
    if os.path.lexists(target):
        raise FileExistsError(17, "File exists", str(target))
    replace(source, target)


def select_no_pipe(*_):
    raise OSError(10038, "an operation was attempted on something that is not a socket")


psutil.signal = types.SimpleNamespace(**vars(signal))
psutil._psposix.os = types.SimpleNamespace(**vars(os))
os.kill, os.fsync, os.replace, os.rename = (
    kill_with_a_signal,
    sync_what_can_be_written,
    replace_no_folder,
    rename_onto_nothing,
)
selectors.DefaultSelector = select_no_pipe
for module, names in ABSENT.items():
    for name in names.split():
        delattr(module, name)
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
