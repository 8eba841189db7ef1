"""Atomic files: written to a temporary name, fsynced, and renamed.

A process may be killed and a disk may fill at any moment. A reader finds either the old contents or the new ones,
never a part.
"""

import contextlib
import errno
import json
import math
import os
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

MAX_JSON_BYTES = 200_000_000  # the largest tokenizers that are published have a fifth of it
CHECKSUMS = "checksums.json"  # in a folder: the CRC-32 of each of its files, as hexadecimal digits
BLOCK_BYTES = 1 << 22
PAUSES = (0.01, 0.03, 0.1, 0.3, 1.0)  # seconds between attempts to rename a file that is being read


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; raises OSError if writing fails, and leaves the old file."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o644)  # mkstemp makes it private, but a run may be read by others
        move(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def move(source: Path, target: Path) -> None:
    """Rename a file, replacing an existing one, or a folder.

    On Windows this fails while a process has either of them open, as a page may for a moment, so it is tried several
    times. Raises OSError if the last attempt fails.
    """
    for pause in PAUSES:
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(pause)
    source.replace(target)


def sync_file(path: Path) -> None:
    """Write a file through to the disk. It is opened for writing, because Windows requires that."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def open_file(path: str | Path) -> BinaryIO:
    """Open a file for reading.

    Raises OSError for a missing file, a folder, a device or a pipe; its `strerror` says which.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:
        raise OSError(errno.EINVAL, "this is not a valid file name", repr(str(path))) from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe; choose a file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path, most_bytes: int) -> bytes:
    """Return the contents of a file; raises OSError as `open_file` does, and for more than `most_bytes`."""
    with open_file(path) as file:
        data = b""
        if os.fstat(file.fileno()).st_size <= most_bytes:
            data = file.read(most_bytes + 1)  # some files in /proc say that they are empty
            if len(data) <= most_bytes:
                return data
    raise OSError(errno.EFBIG, f"it is larger than the {most_bytes:,} bytes that are read", str(path))


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if it cannot be read."""
    try:
        value = json.loads(read_bytes(path, MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_bounded_json(path: str | Path, most_bytes: int, most_values: int) -> Any:
    """Return the contents of an untrusted JSON file with limits on its bytes and its number of values.

    Raises OSError as `read_bytes` does, and ValueError for too many values and for invalid JSON, including NaN,
    numbers too large for a float and lone surrogates.
    """
    data = read_bytes(path, most_bytes)
    if sum(map(data.count, (b",", b"[", b"{"))) > most_values:
        raise ValueError("it contains too many values")  # 64 MB of [] would take 1.4 GB of memory
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse_number, parse_float=_finite)
        if b"\\ud" in data or b"\\uD" in data:  # a surrogate, which is fine as one of two
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError("it is not valid JSON") from error
    return content


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is not valid JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def sync_folder(folder: Path) -> None:
    """Write the names in a folder through to the disk, if the system supports it."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_checksums(folder: Path) -> None:
    """Write a file with the checksums of all files in a folder."""
    write_json(folder / CHECKSUMS, {path.name: _checksum(path) for path in sorted(folder.iterdir())})


def find_damaged(folder: Path, names: Iterable[str]) -> str | None:
    """Return the first of these files that does not match its checksum; None if all match or have none.

    A checksum detects disk errors and incomplete copies. It does not protect against deliberate changes.
    """
    written = read_json(folder / CHECKSUMS)
    return next(
        (name for name in names if name in written and written[name] != _checksum(folder / name)), None
    )


def _checksum(path: Path) -> str | None:
    """Return the CRC-32 of a file, which costs a tenth of reading it; None where it cannot be read."""
    checksum = 0
    if not path.is_file():  # reading a pipe or a device may never end
        return None
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                checksum = zlib.crc32(block, checksum)
    except OSError:
        return None
    return f"{checksum:08x}"


class replacing:
    """A new folder that replaces `folder` when the block succeeds, and is deleted when it fails.

    With `keep`, the old folder is kept under that name, so that a complete folder exists at any moment. With
    `checksums`, they are written before the folder is replaced.
    """

    def __init__(self, folder: Path, keep: Path | None = None, *, checksums: bool = False):
        self.folder, self.keep, self.checksums = folder, keep, checksums

    def __enter__(self) -> Path:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.fresh = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}-", dir=self.folder.parent))
        self.fresh.chmod(0o755)  # mkdtemp makes it private, but a run is there to be shared
        return self.fresh

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            shutil.rmtree(self.fresh, ignore_errors=True)
            return
        try:
            if self.checksums:
                write_checksums(self.fresh)
            for path in self.fresh.iterdir():
                sync_file(path)
            sync_folder(self.fresh)
        except OSError:  # a disk may refuse as late as here
            shutil.rmtree(self.fresh, ignore_errors=True)
            raise
        old = self.keep or self.folder.with_name(f".{self.folder.name}-old")
        if self.folder.exists():  # else a killed process left only the one kept before: it stays
            shutil.rmtree(old, ignore_errors=True)
            move(self.folder, old)
        move(self.fresh, self.folder)
        sync_folder(self.folder.parent)
        if self.keep is None:
            shutil.rmtree(old, ignore_errors=True)


def disk_bytes(folder: Path) -> int:
    """Return what a folder holds, in bytes."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # it was removed meanwhile
            continue
    return total
