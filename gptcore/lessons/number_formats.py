"""How a number is kept in 32 or 16 bits: its sign, its exponent, its fraction, and what is lost."""

from dataclasses import dataclass

import torch

# name: the dtype, whole numbers of as many bits to read it by, bits of the exponent, bits of the fraction
FORMATS = {
    "fp32": (torch.float32, torch.int32, 8, 23),
    "bf16": (torch.bfloat16, torch.int16, 8, 7),
    "fp16": (torch.float16, torch.int16, 5, 10),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredNumber:
    """A number as one format keeps it: the bits as text, and the value they stand for."""

    sign: str
    exponent: str
    fraction: str
    value: float
    largest: float  # finite number the format holds
    next_above_one: float  # distance from 1 to the next larger number


def store(value: float, name: str) -> StoredNumber:
    """Return a number as a format stores it."""
    dtype, whole, n_exponent, n_fraction = FORMATS[name]
    stored = torch.tensor(value, dtype=torch.float64).to(dtype)
    n_bits = 1 + n_exponent + n_fraction
    bits = format(int(stored.view(whole)) % 2**n_bits, f"0{n_bits}b")
    return StoredNumber(
        sign=bits[0],
        exponent=bits[1 : 1 + n_exponent],
        fraction=bits[1 + n_exponent :],
        value=float(stored),
        largest=torch.finfo(dtype).max,
        next_above_one=torch.finfo(dtype).eps,
    )


def repeated_addition(start: float, move: float, n_moves: int, name: str) -> float:
    """Return where a number ends that is moved again and again and kept in this format in between."""
    dtype = FORMATS[name][0]
    total, step = torch.tensor(start, dtype=dtype), torch.tensor(move, dtype=dtype)
    for _ in range(n_moves):
        total = total + step
    return float(total)
