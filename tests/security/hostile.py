"""What a stranger may send: "My work" zips made of a real run, and every way to harm one."""

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from gptcore.runs.archive import export_work
from gptcore.runs.run import Run

Files = dict[str, bytes]


def work_files(run: Run) -> Files:
    """Return the members of a run's "My work" zip, by name."""
    with zipfile.ZipFile(io.BytesIO(export_work([run]))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_json(files: Files, name: str, change: Callable[[Any], Any]) -> Files:
    """Return the files with one JSON file changed; `change` gets its value and may return another one."""
    value = json.loads(files[name])
    changed = change(value)
    return files | {name: json.dumps(value if changed is None else changed).encode()}


def member(files: Files, end: str) -> str:
    """Return the full name of the run's file that ends so."""
    return next(name for name in files if name.endswith(f"/{end}") and name.count("/") == 2 + end.count("/"))


def without_words(files: Files) -> Files:
    """Return the files without the run's text, so that resuming must find it elsewhere."""
    return {name: content for name, content in files.items() if not name.endswith("corpus.txt")}


# Ways to harm the zip itself. Each takes the files of a run and returns the bytes that are sent.


def _written(files: Files, write: Callable[[zipfile.ZipFile], None]) -> bytes:
    buffer = io.BytesIO(zipped(files))
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        write(archive)
    return buffer.getvalue()


def named(name: str) -> Callable[[Files], bytes]:
    """Return what adds a member of this name."""
    return lambda files: _written(files, lambda archive: archive.writestr(name, b"{}"))


def symlink(files: Files) -> bytes:
    link = zipfile.ZipInfo(member(files, "corpus.txt"))
    link.create_system, link.external_attr = 3, 0o120777 << 16
    rest = {name: content for name, content in files.items() if name != link.filename}
    return _written(rest, lambda archive: archive.writestr(link, b"/etc/passwd"))


def twice(files: Files) -> bytes:
    name = member(files, "config.json")
    return _written(files, lambda archive: archive.writestr(name, files[name]))


def _patched(files: Files, signature: bytes, offset: int, value: bytes) -> bytes:
    """Return the zip with a field of every local (PK34) or central (PK12) header overwritten."""
    data = bytearray(zipped(files))
    at = data.find(signature)
    while at >= 0:
        data[at + offset : at + offset + len(value)] = value
        at = data.find(signature, at + 4)
    return bytes(data)


def encrypted(files: Files) -> bytes:
    return _patched(files, b"PK\x01\x02", 8, struct.pack("<H", 1))


def strange_compression(files: Files) -> bytes:
    return _patched(files, b"PK\x01\x02", 10, struct.pack("<H", 97))


def small_sizes(files: Files) -> bytes:
    """Say of every file that it has ten bytes."""
    return _patched(files, b"PK\x01\x02", 24, struct.pack("<I", 10))


def huge_sizes(files: Files) -> bytes:
    return _patched(files, b"PK\x01\x02", 24, struct.pack("<I", 2**32 - 2))


def wrong_checksums(files: Files) -> bytes:
    return _patched(files, b"PK\x01\x02", 16, b"\0\0\0\0")


def wrong_offsets(files: Files) -> bytes:
    return _patched(files, b"PK\x01\x02", 42, struct.pack("<I", 2**31))


def zip64(files: Files) -> bytes:
    """Say that sizes stand in a zip64 field, which is not there."""
    return _patched(files, b"PK\x01\x02", 20, b"\xff" * 8)


def truncated(files: Files) -> bytes:
    data = zipped(files)
    return data[: len(data) // 2]


def bomb(files: Files) -> bytes:
    return zipped(files | {member(files, "corpus.txt"): b"\0" * 30_000_000})


def many_runs(files: Files) -> bytes:
    return zipped(files | {f"runs/r{number}/config.json": b"{}" for number in range(5_000)})


ZIPS: dict[str, Callable[[Files], bytes]] = {
    "parent": named("../outside.txt"),
    "absolute": named("/tmp/outside.txt"),
    "inner parent": named("runs/../../outside/config.json"),
    "backslash": named("runs\\..\\..\\outside.txt"),
    "null byte": named("runs/x/config.json\0.txt"),
    "request file": named("runs/paused.request.json"),
    "lock": named("runs/paused/lock"),
    "control": named("runs/paused/control.json"),
    "pickle": named("runs/paused/latest/optimizer.pt"),
    "upper case": named("runs/PAUSED/config.json"),
    "folder": named("runs/paused/latest/config.json/"),
    "symlink": symlink,
    "duplicate": twice,
    "encrypted": encrypted,
    "compression": strange_compression,
    "small sizes": small_sizes,
    "huge sizes": huge_sizes,
    "checksums": wrong_checksums,
    "offsets": wrong_offsets,
    "zip64": zip64,
    "truncated": truncated,
    "bomb": bomb,
    "many runs": many_runs,
    "no zip": lambda files: b"hello",
    "empty": lambda files: b"",
    "empty zip": lambda files: zipped({}),
}


# Ways to harm the weights. Each takes the bytes of a safetensors file and returns others.


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a safetensors file with its header changed."""
    header, tensors = _header(data)
    changed = change(header)
    encoded = json.dumps(header if changed is None else changed).encode()
    return len(encoded).to_bytes(8, "little") + encoded + tensors


def _first(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name != "__metadata__")


def not_numbers(data: bytes) -> bytes:
    """Make every float32 weight NaN."""
    length = 8 + int.from_bytes(data[:8], "little")
    return data[:length] + struct.pack("<f", float("nan")) * ((len(data) - length) // 4)


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "header length": lambda data: (2**63 - 1).to_bytes(8, "little") + data[8:],
    "header beyond the file": lambda data: (len(data) + 1).to_bytes(8, "little") + data[8:],
    "header no JSON": lambda data: data[:8] + b"\xff" + data[9:],
    "header a list": lambda data: with_header(data, lambda header: []),
    "deep header": lambda data: (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "dtype": lambda data: with_header(data, lambda header: _first(header).update(dtype="I8")),
    "unknown dtype": lambda data: with_header(data, lambda header: _first(header).update(dtype="X9")),
    "shape": lambda data: with_header(data, lambda header: _first(header)["shape"].append(2**40)),
    "negative shape": lambda data: with_header(data, lambda header: _first(header).update(shape=[-1])),
    "offsets": lambda data: with_header(data, lambda header: _first(header).update(data_offsets=[0, 2**50])),
    "missing tensor": lambda data: with_header(
        data, lambda header: {k: v for k, v in [*header.items()][:-1]}
    ),
    "extra tensor": lambda data: with_header(data, lambda header: header.update(extra=dict(_first(header)))),
    "truncated": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"\0" * 1000,
    "empty": lambda data: b"",
    "pickle": lambda data: b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "NaN": not_numbers,
}
