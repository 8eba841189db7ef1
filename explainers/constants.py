"""Constants with a range: `d_k = 64  # 2 … 1024, doubling; width of a head` is a slider in the app.

After the range may stand how the values step, and after a semicolon what the constant means. A value comes
from a visitor's link, so it is checked here by type and range before it is written into any code.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = r"-?\d[\d_]*(?:\.\d+)?(?:e-?\d+)?"
_LINE = re.compile(
    rf"^(?P<name>[A-Za-z_]\w*) = (?P<default>{_NUMBER})  # (?P<low>{_NUMBER}) … (?P<high>{_NUMBER})"
    rf"(?:, (?:(?P<doubling>doubling)|step (?P<step>{_NUMBER})))?(?:; (?P<note>.+))?$"
)


class ConstantError(ValueError):
    """A value that a constant may not take, or a range that makes no sense."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """One constant of a block and the values a reader may give it: whole numbers when all its numbers are."""

    name: str
    default: float
    low: float
    high: float
    step: float
    doubling: bool
    note: str

    @property
    def whole(self) -> bool:
        return isinstance(self.step, int)

    @property
    def options(self) -> tuple[float, ...]:
        """The values of a doubling constant: low, 2·low, 4·low, … up to high."""
        return tuple(self.low * 2**n for n in range(int(math.log2(self.high / self.low)) + 1))

    def check(self, value: object) -> float:
        """Return the value as this constant takes it; raises ConstantError with the rule it breaks."""
        kind = int if self.whole else (int, float)
        good = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
        noun = "a whole number" if self.whole else "a number"
        rule = f"{self.name}={value!r}: give {noun} from {self.low:g} to {self.high:g}"
        if not good or not self.low <= value <= self.high:
            raise ConstantError(rule)
        if self.doubling and value not in self.options:
            raise ConstantError(f"{rule}, one of {', '.join(f'{option:g}' for option in self.options)}")
        if self.whole and (value - self.low) % self.step:
            raise ConstantError(f"{rule}, in steps of {self.step}")
        return value if self.whole else float(value)


def find(code: str) -> tuple[Constant, ...]:
    """The constants of a block that carry a range, from top to bottom; raises ConstantError for a bad range."""
    return tuple(_read(match) for line in code.splitlines() if (match := _LINE.match(line)))


def put(code: str, values: Mapping[str, object]) -> str:
    """The block with these values in place of the defaults; raises ConstantError for one that is not legal."""
    constants = {constant.name: constant for constant in find(code)}
    if unknown := sorted(set(values) - set(constants)):
        raise ConstantError(f"the block has no adjustable constant {', '.join(unknown)}")
    lines = code.splitlines()
    for i, line in enumerate(lines):
        match = _LINE.match(line)
        if match and match["name"] in values:
            value = constants[match["name"]].check(values[match["name"]])
            lines[i] = f"{match['name']} = {value!r}{line[match.end('default') :]}"
    return "\n".join(lines) + "\n"


def _read(match: re.Match[str]) -> Constant:
    numbers = [match[part] for part in ("default", "low", "high")]
    whole = not any(mark in number for number in (*numbers, match["step"] or "") for mark in ".e")
    default, low, high = (int(number) if whole else float(number) for number in numbers)
    if match["step"]:
        step = int(match["step"]) if whole else float(match["step"])
    else:
        step = 1 if whole else 10.0 ** math.floor(math.log10((high - low) / 100))
    constant = Constant(
        name=match["name"],
        default=default,
        low=low,
        high=high,
        step=step,
        doubling=match["doubling"] is not None,
        note=match["note"] or "",
    )
    for value in (low, high, default):
        constant.check(value)
    return constant
