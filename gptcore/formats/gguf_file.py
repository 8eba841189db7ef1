"""Reading a GGUF file, the format of llama.cpp: metadata by name, and a table of weights in one of 30 number formats.

    magic "GGUF" · version · number of tensors · number of metadata entries
    metadata: name, type, value …
    tensors:  name, shape, type, where its data starts …
    data, each tensor's aligned

The `gguf` library knows the number formats and turns each into float32. The head is read here: the library's
reader believes every count and length it finds, and makes several arrays of each string (10 s for a vocabulary
of 49,152 tokens against 0.2 s). A file from a stranger is held against its own size before anything is allocated.

Source: the specification in ggml's repository, docs/gguf.md.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from gptcore.bpe import shortened
from gptcore.files import open_file

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # the first had counts of 32 bits, and was in use for a month
MAX_STRINGS = 1 << 22  # in all metadata: the largest vocabularies have a million tokens and merges
MAX_DIMENSIONS = 4
LONGEST_NAME = 1 << 16  # bytes
_SMALLEST_ENTRY, _SMALLEST_TENSOR = 13, 24  # bytes, with a name of none

_STRING, _ARRAY, _BOOL = gguf.GGUFValueType.STRING, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.BOOL
_NUMBERS = {
    kind: np.dtype(name).newbyteorder("<")
    for kind, name in (
        (gguf.GGUFValueType.UINT8, "u1"),
        (gguf.GGUFValueType.INT8, "i1"),
        (gguf.GGUFValueType.UINT16, "u2"),
        (gguf.GGUFValueType.INT16, "i2"),
        (gguf.GGUFValueType.UINT32, "u4"),
        (gguf.GGUFValueType.INT32, "i4"),
        (gguf.GGUFValueType.FLOAT32, "f4"),
        (gguf.GGUFValueType.UINT64, "u8"),
        (gguf.GGUFValueType.INT64, "i8"),
        (gguf.GGUFValueType.FLOAT64, "f8"),
        (_BOOL, "u1"),
    )
}
_PLAIN = {
    gguf.GGMLQuantizationType.F32: "<f4",
    gguf.GGMLQuantizationType.F16: "<f2",
    gguf.GGMLQuantizationType.F64: "<f8",
}


class GgufError(ValueError):
    """A GGUF file that cannot be used, said in one sentence."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One row of the table: `shape` is torch's, the last dimension varies fastest."""

    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    start: int  # of its data, in the file
    n_bytes: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The head of a file: metadata by name, strings and numbers as Python's, arrays of numbers as NumPy's."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]

    def read(self, name: str) -> Tensor:
        """Return a tensor as float32, read from the file and dequantized now."""
        entry = self.tensors[name]
        with open_file(self.path) as file:
            file.seek(entry.start)
            data = np.frombuffer(file.read(entry.n_bytes), np.uint8)
        if len(data) < entry.n_bytes:
            raise GgufError(f"{self.path} has become shorter while it was read")
        if entry.kind in _PLAIN:
            values = data.view(_PLAIN[entry.kind]).astype(np.float32)
        else:
            values = gguf.quants.dequantize(data.reshape(-1, _row_bytes(entry)), entry.kind)
        return torch.from_numpy(values.reshape(entry.shape))


@lru_cache
def _is_readable(kind: gguf.GGMLQuantizationType) -> bool:
    """Return whether the library turns a format into numbers, tried on one block of it."""
    try:
        gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return kind in _PLAIN
    return True


def _row_bytes(entry: TensorEntry) -> int:
    block, n_bytes = gguf.GGML_QUANT_SIZES[entry.kind]
    return entry.shape[-1] // block * n_bytes


def read_head(path: str | Path) -> GgufFile:
    """Return what a file holds, without its weights; raises GgufError for what is none or is not whole.

    Raises OSError where the file cannot be opened.
    """
    path = Path(path)
    with open_file(path) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise GgufError(f"{path} is not a GGUF file; its first four bytes say so")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Head(path, data).read()
            except struct.error:
                raise GgufError(f"{path} ends before its head does; download it again") from None
            except (UnicodeDecodeError, MemoryError, OverflowError) as error:
                raise GgufError(
                    f"{path} is damaged: its head is not readable ({type(error).__name__})"
                ) from error


class _Head:
    """A place in a file that moves on with each value read; reading beyond the end is a struct.error."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at, self.n_strings = path, data, len(MAGIC), 0

    def read(self) -> GgufFile:
        version, n_tensors, n_entries = self._unpack("<IQQ")
        if version not in VERSIONS:
            swapped = version & 0xFFFF == 0
            what = "is big-endian" if swapped else f"has version {version}"
            raise GgufError(f"{self.path} {what}; versions 2 and 3 are read, little-endian as most files are")
        if n_entries * _SMALLEST_ENTRY + n_tensors * _SMALLEST_TENSOR > len(self.data):
            raise self._damaged(
                f"it says that it holds {n_tensors:,} tensors and {n_entries:,} metadata entries"
            )
        metadata: dict[str, Any] = {}
        for _ in range(n_entries):
            name = self._name()
            if name in metadata:
                raise self._damaged(f"it holds {shortened(name)} twice")
            metadata[name] = self._value(self._unpack("<I")[0], name)
        table = [self._tensor() for _ in range(n_tensors)]
        start = self._data_start(metadata.get("general.alignment", gguf.GGUF_DEFAULT_ALIGNMENT))
        tensors: dict[str, TensorEntry] = {}
        for name, shape, kind, offset in table:
            if name in tensors:
                raise self._damaged(f"it holds the tensor {shortened(name)} twice")
            tensors[name] = self._entry(name, shape, kind, start + offset)
        return GgufFile(self.path, metadata, tensors)

    def _damaged(self, what: str) -> GgufError:
        return GgufError(f"{self.path} is damaged: {what}, and it has {len(self.data):,} bytes")

    def _unpack(self, form: str) -> tuple:
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def _bytes(self, n_bytes: int, what: str) -> bytes:
        if n_bytes > len(self.data) - self.at:
            raise self._damaged(f"{what} has {n_bytes:,} bytes")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def _name(self) -> str:
        (length,) = self._unpack("<Q")
        if length > LONGEST_NAME:
            raise self._damaged(f"a name in it has {length:,} bytes")
        return self._bytes(length, "a name in it").decode("utf-8")

    def _string(self, name: str) -> str:
        self.n_strings += 1
        if self.n_strings > MAX_STRINGS:
            raise self._damaged(f"its metadata holds more than {MAX_STRINGS:,} texts")
        (length,) = self._unpack("<Q")
        return self._bytes(length, f"a text in {shortened(name)}").decode("utf-8", "replace")

    def _value(self, kind: int, name: str) -> Any:
        if kind == _STRING:
            return self._string(name)
        if kind == _ARRAY:
            return self._array(name)
        if kind not in _NUMBERS:
            raise self._damaged(f"{shortened(name)} is of the unknown type {kind}")
        data = self._bytes(_NUMBERS[kind].itemsize, shortened(name))
        (number,) = np.frombuffer(data, _NUMBERS[kind])
        if kind == gguf.GGUFValueType.FLOAT32:
            return float(str(number))  # 1e-05, as it was before it was stored, not 9.999999747378752e-06
        return bool(number) if kind == _BOOL else number.item()

    def _array(self, name: str) -> list[str] | np.ndarray:
        kind, length = self._unpack("<IQ")
        if kind == _STRING:
            if length * 8 > len(self.data) - self.at:
                raise self._damaged(f"{shortened(name)} has {length:,} texts")
            return [self._string(name) for _ in range(length)]
        if kind not in _NUMBERS:
            raise self._damaged(f"{shortened(name)} is a list of the unknown type {kind}")
        return np.frombuffer(self._bytes(length * _NUMBERS[kind].itemsize, shortened(name)), _NUMBERS[kind])

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._name()
        (n_dimensions,) = self._unpack("<I")
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            raise self._damaged(f"{shortened(name)} has {n_dimensions:,} dimensions")
        shape = self._unpack(f"<{n_dimensions}Q")
        kind, offset = self._unpack("<IQ")
        return name, shape[::-1], kind, offset

    def _data_start(self, alignment: object) -> int:
        if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
            raise self._damaged(f"its alignment is {shortened(alignment)}")
        return -(-self.at // alignment) * alignment

    def _entry(self, name: str, shape: tuple[int, ...], number: int, start: int) -> TensorEntry:
        known = {kind.value: kind for kind in gguf.GGML_QUANT_SIZES}
        kind = known.get(number)
        if kind is None or not _is_readable(kind):
            what = kind.name if kind is not None else f"number {number}"
            raise GgufError(
                f"{self.path} stores {shortened(name)} in the format {what}, which the gguf library does not read"
            )
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        n_bytes = math.prod(shape) // block * block_bytes
        if 0 in shape or shape[-1] % block or start + n_bytes > len(self.data):
            sizes = " × ".join(map(str, shape))
            raise self._damaged(f"{shortened(name)} is {sizes} numbers from byte {start:,} on")
        return TensorEntry(shape, kind, start, n_bytes)
