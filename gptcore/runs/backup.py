"""A runs folder as zip files, for the person who hosts it: unpacked into an empty runs folder, they are that folder.

What one zip holds stays below a size, so that a page can hand it out from memory.
"""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gptcore.files import disk_bytes

PART_BYTES = 200_000_000  # of files in one zip, unless a single run has more
LEFT_OUT = ("lock", ".lock")


def parts(folder: Path, part_bytes: int = PART_BYTES) -> list[list[str]]:
    """Return what each zip holds: the names of entries of the folder, in order, a run's files in one zip."""
    found: list[list[str]] = []
    room = 0
    for names in _entries(folder):
        size = sum(_size(folder / name) for name in names)
        if not found or size > room:
            found.append([])
            room = part_bytes
        found[-1] += names
        room -= size
    return found


def part_bytes(folder: Path, names: Iterable[str]) -> int:
    """Return the bytes of the files in a zip, before they are compressed."""
    return sum(_size(folder / name) for name in names)


def write_part(folder: Path, names: Iterable[str], target: BinaryIO) -> None:
    """Write these entries of a runs folder as a zip.

    A run may train meanwhile: a file that is gone when its turn comes is left out. Its checkpoints have checksums, so
    a run that is resumed from the zip takes the last one that is whole.
    """
    with zipfile.ZipFile(
        target, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
    ) as archive:
        for path in (path for name in names for path in _files(folder / name)):
            try:
                archive.write(path, path.relative_to(folder).as_posix())
            except FileNotFoundError:
                continue


def _entries(folder: Path) -> Iterator[list[str]]:
    """Yield the names in the folder that belong together: a run, its request and its log."""
    together: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or path.is_symlink():
            continue  # being unpacked or deleted
        together.setdefault(path.name.split(".")[0], []).append(path.name)
    yield from together.values()


def _files(path: Path) -> list[Path]:
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in inside if file.is_file() and not file.is_symlink() and file.name not in LEFT_OUT]


def _size(path: Path) -> int:
    try:
        return disk_bytes(path) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0
