"""One explainer as data: front matter, prose, blocks of code and what they print, read from its Markdown file.

    ---
    title: …            summary: one sentence       chapter: 5       order: 2
    theme: attention    know_before: [attention-step-by-step, softmax]
    ---

A ``python`` fence is a block; a ``text`` fence right behind it is what the block prints. Each block runs by
itself, unless its fence says ``python continues``: then it goes on where the block before it ended. Behind
``text`` may stand how near a number must come: ``within 5%``, or ``measured`` for numbers that are this
machine's own.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from explainers.constants import Constant, ConstantError, find

WORDS_A_MINUTE = 180
# One outline for all, so that a reader knows where to look.
OUTLINE = (
    "What it is",
    "Where it fits in the model",
    "Why it is needed",
    "History",
    "How it works",
    "Common misconceptions",
    "Summary",
    "Sources",
)
THEMES = ("text in and out", "positions", "attention", "the block", "learning", "writing", "the large view")
_KEYS = ("title", "summary", "chapter", "order", "theme", "know_before")
_FENCE = re.compile(r"^```(?P<kind>\w*)(?: (?P<more>.+))?$")
_WITHIN = re.compile(r"^within (?P<percent>\d+(?:\.\d+)?)%$")
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


class ExplainerError(ValueError):
    """A file that does not keep to the form, or a topic that is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A piece of code and what it prints. `tolerance` is relative; None if numbers are measured on every run."""

    number: int  # 1, 2, … on its page
    code: str
    expected: str
    tolerance: float | None
    continues: bool
    constants: tuple[Constant, ...]

    @property
    def draws(self) -> bool:
        """Whether the block ends in a figure, which it names `figure`."""
        return re.search(r"^figure = ", self.code, re.MULTILINE) is not None


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """One topic: what its file says about it, and its parts in the order they are read."""

    topic: str  # the name of its file and its address
    title: str
    summary: str
    chapter: int
    order: int
    theme: str
    know_before: tuple[str, ...]
    body: str
    parts: tuple[str | Block, ...]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(part for part in self.parts if isinstance(part, Block))

    @cached_property
    def prose(self) -> str:
        """All that is neither code nor its output."""
        return "\n\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(_HEADING.findall(self.prose))

    @property
    def n_words(self) -> int:
        return len(self.prose.split())

    @property
    def minutes(self) -> int:
        """Minutes it takes to read, playing not counted."""
        return max(1, round(self.n_words / WORDS_A_MINUTE))

    def chain(self, number: int) -> tuple[Block, ...]:
        """The blocks that have to run, in order, for block `number` to have what it goes on from."""
        last = self.block(number)
        first = number
        while self.blocks[first - 1].continues:
            first -= 1
        return (*self.blocks[first - 1 : number - 1], last)

    @property
    def passages(self) -> tuple[tuple[str | Block, ...], ...]:
        """The parts in groups: blocks that go on from each other, with the prose between them, are one."""
        groups: list[list[str | Block]] = []
        for place, part in enumerate(self.parts):
            following = next((later for later in self.parts[place:] if isinstance(later, Block)), None)
            begun = bool(groups) and isinstance(groups[-1][-1 if isinstance(part, str) else 0], Block)
            joins = begun and following is not None and following.continues
            if joins:
                groups[-1].append(part)
            else:
                groups.append([part])
        return tuple(map(tuple, groups))

    def block(self, number: int) -> Block:
        """Block 1, 2, …; raises ExplainerError where there is none of this number."""
        if not 1 <= number <= len(self.blocks):
            raise ExplainerError(
                f"{self.topic} has {len(self.blocks)} blocks, so block {number} does not exist"
            )
        return self.blocks[number - 1]


def read(path: Path) -> Explainer:
    """Read one file; raises ExplainerError that says what is wrong in it."""
    topic, text = path.stem, path.read_text(encoding="utf-8")
    try:
        front, body = _part_front_matter(text)
        return Explainer(topic=topic, **front, body=body, parts=tuple(_parts(body)))
    except (ExplainerError, ConstantError) as error:
        raise ExplainerError(f"{path.name}: {error}") from error


def _part_front_matter(text: str) -> tuple[dict, str]:
    opening, _, rest = text.partition("---\n")
    matter, found, body = rest.partition("\n---\n")
    if opening or not found:
        raise ExplainerError("the file must begin with front matter between two lines of ---")
    values = dict(line.split(": ", 1) for line in matter.splitlines() if ": " in line)
    if tuple(values) != _KEYS:
        raise ExplainerError(f"the front matter must have {', '.join(_KEYS)}, in this order, one per line")
    if values["theme"] not in THEMES:
        raise ExplainerError(f"theme {values['theme']!r} must be one of {', '.join(THEMES)}")
    for key in ("chapter", "order"):
        if not values[key].isdigit():
            raise ExplainerError(f"{key} {values[key]!r} must be a whole number")
        values[key] = int(values[key])
    before = values["know_before"].strip("[]").split(",")
    values["know_before"] = tuple(topic.strip() for topic in before if topic.strip())
    return values, body.strip() + "\n"


def _parts(body: str) -> list[str | Block]:
    parts: list[str | Block] = []
    lines = body.splitlines()
    prose: list[str] = []
    i = n_blocks = 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        if not fence or fence["kind"] != "python":
            prose.append(lines[i])
            i += 1
            continue
        code, i = _inside(lines, i)
        after = next((j for j in range(i, len(lines)) if lines[j].strip()), None)
        shown = _FENCE.match(lines[after]) if after is not None else None
        expected, tolerance = "", 0.0
        if shown and shown["kind"] == "text":
            expected, i = _inside(lines, after)
            tolerance = _tolerance(shown["more"])
        n_blocks += 1
        if fence["more"] not in (None, "continues") or (fence["more"] and n_blocks == 1):
            raise ExplainerError(
                f"block {n_blocks}: a fence is `python` or, after the first, `python continues`"
            )
        if text := "\n".join(prose).strip():
            parts.append(text)
        prose = []
        block = Block(
            number=n_blocks,
            code=code,
            expected=expected,
            tolerance=tolerance,
            continues=fence["more"] == "continues",
            constants=find(code),
        )
        parts.append(block)
    if text := "\n".join(prose).strip():
        parts.append(text)
    return parts


def _inside(lines: list[str], opening: int) -> tuple[str, int]:
    """What stands in the fence that opens at this line, and the line after it."""
    for closing in range(opening + 1, len(lines)):
        if lines[closing] == "```":
            return "\n".join(lines[opening + 1 : closing]) + "\n", closing + 1
    raise ExplainerError(f"the fence that opens with {lines[opening]!r} is never closed")


def _tolerance(more: str | None) -> float | None:
    if more is None or more == "measured":
        return 0.0 if more is None else None
    if match := _WITHIN.match(more):
        return float(match["percent"]) / 100
    raise ExplainerError(f"`text {more}` is invalid; after text write nothing, `within 5%` or `measured`")
