"""Is what a block prints what the text shows? Words must be the same, numbers near."""

import re
from itertools import zip_longest

_NUMBER = re.compile(r"(?<![\w.])[-−+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?")


def numbers(text: str) -> list[tuple[float, float]]:
    """The numbers of a text as (value, unit of the last digit written); the unit of a whole number is 0.

    >>> numbers("12 heads, 0.458 and 1e-6")
    [(12.0, 0.0), (0.458, 0.001), (1e-06, 1e-06)]
    """
    found = []
    for match in _NUMBER.finditer(text):
        written = match[0].rstrip(",.").replace(",", "").replace("−", "-")
        mantissa, _, exponent = written.partition("e")
        decimals = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(exponent or 0) - decimals) if decimals or exponent else 0.0
        found.append((float(written), unit))
    return found


def differences(expected: str, printed: str, tolerance: float | None) -> list[str]:
    """What differs, a sentence a line; empty where the block prints what the text shows.

    Spacing is free. A number may be off by one unit of its last digit, or by `tolerance` times itself where
    that is more; with None numbers are not compared at all.
    """
    found = []
    for place, (wanted, got) in enumerate(zip_longest(expected.splitlines(), printed.splitlines()), start=1):
        if wanted is None or got is None or not _alike(wanted, got, tolerance):
            found.append(f"line {place}: the text shows {wanted!r}, the block prints {got!r}")
    return found


def _alike(wanted: str, got: str, tolerance: float | None) -> bool:
    if [_NUMBER.sub("#", line).split() for line in (wanted,)] != [_NUMBER.sub("#", got).split()]:
        return False
    if tolerance is None:
        return True
    pairs = zip(numbers(wanted), numbers(got), strict=True)
    return all(abs(a - b) <= max(unit * 1.001, tolerance * abs(a)) for (a, unit), (b, _) in pairs)
