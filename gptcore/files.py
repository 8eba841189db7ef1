"""Files that are whole or not there: written beside their place, synced to the disk, and renamed into it.

A process may be killed and a disk may fill at any moment. Whoever reads finds what stood there before or what
was meant to stand there, and never half of it.
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
PAUSES = (0.01, 0.03, 0.1, 0.3, 1.0)  # seconds between tries to move what somebody is reading


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON, in one move."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one move; raises OSError where the disk refuses, and then leaves what stood there."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o644)  # mkstemp makes it private, but a run is there to be shared
        move(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def move(source: Path, target: Path) -> None:
    """Rename a file, also over one that is there, or a folder.

    Windows refuses while a process has either of them open, as a page may for a moment, so this tries again.
    Raises OSError where the last try is refused too.
    """
    for pause in PAUSES:
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(pause)
    source.replace(target)


def sync_file(path: Path) -> None:
    """Have a file reach the disk. It is opened for writing, since Windows syncs no other."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def open_file(path: str | Path) -> BinaryIO:
    """Open a file for reading.

    Raises OSError where there is none, and for a folder, a device or a pipe, which may never end; its `strerror`
    says which.
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
    """Return what is in a file; raises OSError as `open_file`, and where it has more than `most_bytes`."""
    with open_file(path) as file:
        data = b""
        if os.fstat(file.fileno()).st_size <= most_bytes:
            data = file.read(most_bytes + 1)  # some files in /proc say that they are empty
            if len(data) <= most_bytes:
                return data
    raise OSError(errno.EFBIG, f"it is larger than the {most_bytes:,} bytes that are read", str(path))


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty where there is none that can be read."""
    try:
        value = json.loads(read_bytes(path, MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_bounded_json(path: str | Path, most_bytes: int, most_values: int) -> Any:
    """Return what a JSON file from a stranger holds, if it has at most so many bytes, and commas and brackets.

    Raises OSError as `read_bytes` does, and ValueError in a few words for too many values and for what is not JSON:
    with NaN, with a number beyond any float, or with half a character.
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
    """Have the names in a folder reach the disk, where the system can be asked to."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_checksums(folder: Path) -> None:
    """Write the checksum of every file in a folder beside them."""
    write_json(folder / CHECKSUMS, {path.name: _checksum(path) for path in sorted(folder.iterdir())})


def find_damaged(folder: Path, names: Iterable[str]) -> str | None:
    """Return the first of these files that is not what was written; None if there is none, or no checksum.

    A checksum tells a disk's error or a broken copy. It does not protect from changes on purpose.
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
    """A fresh folder that takes the place of `folder` when the block ends well, and vanishes when it does not.

    With `keep`, the folder that stood there before is kept under that name, so that one whole folder exists at
    any moment. With `checksums` they are written before the folder takes its place.
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
