"""What a link asks for: parameters of the URL, each read by the rule of the control it belongs to.

Every parameter of every page goes through this module. A rule knows what its control takes, `parse` turns the text
into that value or refuses it. `check` runs just before a widget that Streamlit binds to the URL, `read` gives the
value of what no widget binds, and both say which value was refused and by which rule. Streamlit by itself would drop
it without a word, or use what it makes of `4_0`. The parameters in `STICKY` belong to the visit and not to a page:
Streamlit forgets them at a page switch, `restore_sticky` restores those that are legal.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st
from streamlit.errors import StreamlitAPIException

from gptcore import __version__
from gptcore.runs.run import RUN_ID
from pages.kit import escape

LONGEST = 300  # characters; a longer text never travels in a link
DIGITS = 12  # of a number in a link: as many as its editor shows
MOST_LISTED = 12  # values that a refusal lists
_STICKY_STATE = "kept_parameters"
_REFUSED_STATE = "refused_parameters"
_place: ContextVar[Callable[..., object]] = ContextVar("place", default=st.warning)
_watched: ContextVar["list[Bound] | None"] = ContextVar("watched", default=None)
_ON_PAGE_STATE = "bound_on_page"
# As a control writes it: no spaces, underscores, signs of other scripts, infinity or NaN, which Python would take.
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"-?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")


class Refused(ValueError):
    """A value that a rule does not allow; the message is the rule as a clause."""


class Rule(ABC):
    """What a parameter may be."""

    __slots__ = ()

    @abstractmethod
    def parse(self, text: str) -> Any:
        """The value of a text in a link; raises Refused."""

    def refuses(self, text: str) -> str | None:
        """The rule as a clause where it refuses a text, None where the text is legal."""
        try:
            self.parse(text)
        except Refused as refused:
            return str(refused)
        return None


@dataclass(frozen=True, slots=True)
class Number(Rule):
    """A number from `low` to `high`, in steps of `step` from `low`; whole when all three are."""

    low: float
    high: float
    step: float = 1

    def parse(self, text: str) -> float:
        whole = all(float(x).is_integer() for x in (self.low, self.high, self.step))
        rule = f"it must be {'a whole number' if whole else 'a number'} from {self.low:g} to {self.high:g}"
        if self.step != 1 and whole:
            rule += f" in steps of {self.step:g}"
        number = _number(text, rule, whole=whole)
        if not self.low <= number <= self.high:
            raise Refused(rule)
        if whole and (number - self.low) % self.step:
            raise Refused(rule)
        return number


@dataclass(frozen=True, slots=True)
class Choice(Rule):
    """One of the values listed, written as in the link; `earlier` maps old names of values to present ones."""

    options: Sequence[str]
    earlier: Mapping[str, str] = field(default_factory=dict)

    def parse(self, text: str) -> str:
        text = self.earlier.get(text, text)
        if text in self.options:
            return text
        listed = ", ".join(map(str, self.options[:MOST_LISTED]))
        more = len(self.options) - MOST_LISTED
        raise Refused(f"it must be one of {listed}" + (f" or {more} more" if more > 0 else ""))


@dataclass(frozen=True, slots=True)
class Text(Rule):
    """A short text without control characters, line ends aside; longer ones never travel in a link."""

    longest: int = LONGEST

    def parse(self, text: str) -> str:
        if len(text) > self.longest:
            raise Refused(f"it must be at most {self.longest} characters long")
        if escape.has_controls(text):
            raise Refused("it must not contain control characters")
        return text


@dataclass(frozen=True, slots=True)
class Numbers(Rule):
    """A list of `count` numbers from `low` to `high`, separated by commas."""

    count: int
    low: float
    high: float

    def parse(self, text: str) -> list[float]:
        rule = f"it must be {self.count} numbers from {self.low:g} to {self.high:g}, separated by commas"
        parts = text.split(",", self.count)
        numbers = [_number(part, rule) for part in parts]
        if len(numbers) != self.count or not all(self.low <= number <= self.high for number in numbers):
            raise Refused(rule)
        return numbers


@dataclass(frozen=True, slots=True)
class Positions(Rule):
    """Different positions from 1 to `last`, `count` of them, separated by commas."""

    count: int
    last: int

    def parse(self, text: str) -> list[int]:
        rule = f"it must be {self.count} different positions from 1 to {self.last}, separated by commas"
        positions = [_number(part, rule, whole=True) for part in text.split(",", self.count)]
        if len(set(positions)) != self.count or len(positions) != self.count:
            raise Refused(rule)
        if not all(1 <= position <= self.last for position in positions):
            raise Refused(rule)
        return positions


@dataclass(frozen=True, slots=True)
class Matrix(Rule):
    """A matrix of numbers from `low` to `high`: rows separated by semicolons, numbers by commas."""

    rows: int
    columns: int
    low: float
    high: float

    def parse(self, text: str) -> tuple[tuple[float, ...], ...]:
        rule = (
            f"it must be {self.rows} rows separated by semicolons, each {self.columns} numbers "
            f"from {self.low:g} to {self.high:g} separated by commas"
        )
        rows = text.split(";", self.rows)
        try:
            matrix = tuple(tuple(Numbers(self.columns, self.low, self.high).parse(row)) for row in rows)
        except Refused as refused:
            raise Refused(rule) from refused
        if len(matrix) != self.rows:
            raise Refused(rule)
        return matrix


@dataclass(frozen=True, slots=True)
class Cell(Rule):
    """A cell of a matrix, row and column counted from 1 in the link and from 0 in the value: "5,2" is (4, 1)."""

    rows: int
    columns: int

    def parse(self, text: str) -> tuple[int, int]:
        rule = f"it must be a row from 1 to {self.rows} and a column from 1 to {self.columns}, separated by a comma"
        numbers = [_number(part, rule, whole=True) for part in text.split(",", 2)]
        if len(numbers) != 2 or not (1 <= numbers[0] <= self.rows and 1 <= numbers[1] <= self.columns):
            raise Refused(rule)
        return int(numbers[0]) - 1, int(numbers[1]) - 1


def cell_text(cell: tuple[int, int]) -> str:
    """A cell, counted from 0, as a link carries it.

    >>> cell_text((4, 1))
    '5,2'
    """
    return f"{cell[0] + 1},{cell[1] + 1}"


@dataclass(frozen=True, slots=True)
class Switch(Rule):
    """On or off, as Streamlit writes it."""

    def parse(self, text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise Refused("it must be true or false")
        return text.lower() == "true"


@dataclass(frozen=True, slots=True)
class Names(Rule):
    """Names of controls, parts or runs, separated by commas."""

    most: int = 60

    def parse(self, text: str) -> list[str]:
        names = text.split(",", self.most)
        if len(names) > self.most or not all(RUN_ID.fullmatch(name) for name in names if name):
            raise Refused(
                f"it must be at most {self.most} names of letters, digits, - and _, separated by commas"
            )
        return [name for name in names if name]


@dataclass(frozen=True, slots=True)
class RunId(Rule):
    """The id of a run."""

    def parse(self, text: str) -> str:
        if not RUN_ID.fullmatch(text):
            raise Refused("it must be the id of a run")
        return text


STICKY: Mapping[str, Rule] = {
    "run": RunId(),
    "model": RunId(),
    "seed": Number(0, 999_999),
    "hide": Names(),
    "lock": Names(),
    "step": Number(1, 99),
    "note": Text(),
    "present": Choice(("1", "true")),  # true in links of the first edition
    "path": Choice(("short", "full")),
}


def _number(text: str, rule: str, *, whole: bool = False) -> float:
    if not (_WHOLE if whole else _DECIMAL).fullmatch(text):
        raise Refused(rule)
    return int(text) if whole else float(text)


@dataclass(frozen=True, slots=True)
class Bound:
    """A widget that lives in the URL: its parameter, what it may be, and what it is by default."""

    key: str
    rule: Rule
    default: object = None


@contextmanager
def watched() -> Iterator[list[Bound]]:
    """Collect the widgets checked inside the block: what a lab resets, varies and puts into a link."""
    bound: list[Bound] = []
    token = _watched.set(bound)
    try:
        yield bound
    finally:
        _watched.reset(token)


def watch(bound: Bound) -> None:
    """Count a widget among those of this page, and of the lab around it."""
    on_page()[bound.key] = bound
    if (around := _watched.get()) is not None:
        around.append(bound)


def on_page() -> dict[str, Bound]:
    """The bound widgets seen on this page during this visit, by parameter."""
    return st.session_state.setdefault(_ON_PAGE_STATE, {})


def begin_page(page: str) -> None:
    """Forget the widgets of another page and its refused values."""
    before = st.session_state.get("bound_page")
    if before != page:
        if before is not None:
            st.session_state[_REFUSED_STATE] = {}
        st.session_state["bound_page"] = page
        st.session_state[_ON_PAGE_STATE] = {}


def refusal(key: str, value: str | Sequence[str], rule: Rule) -> escape.Markdown | None:
    """One sentence that names the parameter, its value and the rule it breaks, or None.

    `value` is what a link gives once, or all it gives for this parameter: one value is asked for once.
    """
    values = [value] if isinstance(value, str) else list(value)
    clause = rule.refuses(values[0]) if len(values) == 1 else "it may occur only once in a link"
    if clause is None:
        return None
    shown = " ".join(f"{key}={one[:40]}{'…' if len(one) > 40 else ''}" for one in values[:3])
    return escape.Markdown(
        f"The link asks for {escape.code(shown)}, which was ignored: {escape.markdown(clause)}."
    )


def check(
    key: str, rule: Rule, default: object = None, *, now: object = None
) -> Literal["query-params"] | None:
    """How the widget made next is bound to the URL; a value of the link that is refused is told at this place.

    Pass what it returns as the widget's `bind`: Streamlit would still use some of what the rule refuses, so a widget
    whose link was refused is bound once the visitor has moved it. Until then the sentence stays. With a `default` the
    lab around the widget can reset it. `now` is the present value of an input that keeps it under another name.
    """
    watch(Bound(key, rule, default))
    refused = st.session_state.setdefault(_REFUSED_STATE, {})
    value = st.session_state.get(key) if now is None else now
    if (given := st.query_params.get_all(key)) and (sentence := refusal(key, given, rule)):
        refused[key] = (sentence, default if value is None else value)
        with suppress(StreamlitAPIException):  # of a widget already bound: unbinding it takes the value away
            del st.query_params[key]
    elif key in refused and value is not None:
        sentence, seen = refused[key]
        if seen is None:
            refused[key] = (sentence, value)
        elif value != seen:
            del refused[key]
            if now is None:
                st.session_state[key] = (
                    value  # so that Streamlit writes it into the URL as it binds the widget
                )
    if key not in refused:
        return "query-params"
    _place.get()(refused[key][0], icon=":material/link_off:")
    return None


def rename(key: str, rule: Choice) -> bool:
    """Give the value of an old link its present name, before its widget is made; True in the run that does so."""
    given = st.query_params.get_all(key)
    if len(given) != 1 or given[0] in rule.options or given[0] not in rule.earlier:
        return False
    with suppress(StreamlitAPIException):
        del st.query_params[key]
    st.session_state[key] = rule.earlier[given[0]]
    return True


def read(key: str, rule: Rule, default: Any, *, now: object = None) -> Any:
    """The value a link gives for a parameter that no widget binds, or the default; a refused one is told."""
    value = asked(key, rule, default)
    check(key, rule, now=now)
    return value


def asked(key: str, rule: Rule, default: Any) -> Any:
    """The same in silence, for what `read` tells elsewhere on the page."""
    given = st.query_params.get_all(key)
    return default if not given or refusal(key, given, rule) else rule.parse(given[0])


def gives(key: str, value: object) -> bool:
    """Whether the URL gives this value for a parameter now; None asks whether it gives none."""
    return st.query_params.get(key) == value


def forget(key: str) -> None:
    """Take a parameter that no widget binds out of the URL."""
    st.query_params.pop(key, None)


@contextmanager
def show_refusals_here() -> Iterator[None]:
    """Have refusals from inside the block told at this place: inside a closed expander nobody reads them."""
    token = _place.set(st.container().warning)
    try:
        yield
    finally:
        _place.reset(token)


def write(key: str, text: str, default: str, longest: int = LONGEST) -> None:
    """Put a short text that no widget can bind into the URL; the default and long texts leave it."""
    if text == default or len(text) > longest:
        if key in st.query_params:
            del st.query_params[key]
    elif st.query_params.get(key) != text:
        st.query_params[key] = text


def restore_sticky(**rules: Rule) -> None:
    """Keep the sticky parameters of this URL and restore those a page switch has dropped; tell what is refused.

    `rules` are those that only the caller can know, such as which runs there are.
    """
    kept = st.session_state.setdefault(_STICKY_STATE, {})
    for key, rule in STICKY.items():
        given = [value for value in st.query_params.get_all(key) if value]
        if given and (sentence := refusal(key, given, rules.get(key, rule))):
            st.warning(sentence, icon=":material/link_off:")
            if kept.get(key) in given:  # legal once: a run that has been deleted since
                del kept[key]
        elif given:
            kept[key] = given[0]
        elif key in kept:
            st.query_params[key] = kept[key]


def set_sticky(key: str, value: str | None) -> None:
    """Set a sticky parameter in the URL and for all pages to come; None takes it away.

    Raises ValueError for another parameter and for a value that its rule refuses.
    """
    if key not in STICKY:
        raise ValueError(f"{key} is not one of the kept parameters {', '.join(STICKY)}")
    kept = st.session_state.setdefault(_STICKY_STATE, {})
    if value is None:
        kept.pop(key, None)
        if key in st.query_params:
            del st.query_params[key]
    else:
        STICKY[key].parse(value)
        kept[key] = st.query_params[key] = value


def sticky_value(key: str) -> str | None:
    """The legal value of a sticky parameter, from the URL or from an earlier page of this visit."""
    given = st.query_params.get_all(key)
    if len(given) == 1 and given[0] and STICKY[key].refuses(given[0]) is None:
        return given[0]
    return st.session_state.get(_STICKY_STATE, {}).get(key)


def _sticky(key: str) -> Any:
    """A sticky parameter as the value it stands for, or None."""
    value = sticky_value(key)
    return STICKY[key].parse(value) if value else None


def is_full_path() -> bool:
    """Whether the visitor reads whole chapters, and not the short path through them."""
    return sticky_value("path") != "short"


def hidden(part: str) -> bool:
    """Whether the lesson link leaves this part out: ?hide=measured,check."""
    return part in (_sticky("hide") or ())


def locked(key: str) -> bool:
    """Whether the lesson link holds this widget still: ?lock=c5_d, or ?lock=all for every one."""
    names = _sticky("lock") or ()
    return key in names or "all" in names


def step() -> int | None:
    """The number of steps of a worked example the lesson link opens, or None for all."""
    return _sticky("step")


def lesson_seed() -> int | None:
    """The seed a lesson link gives a whole class, or None."""
    return _sticky("seed")


def format_value(value: object) -> str:
    """A widget's value as Streamlit writes it into a link."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def full_link(bound: Iterable[Bound]) -> dict[str, str]:
    """Every value of these widgets as a link carries it, defaults included, and the app's version.

    Cells are left to the address itself: choosing one does not run the lab again that draws this link.
    """
    values = {
        widget.key: st.session_state.get(widget.key, widget.default)
        for widget in bound
        if not isinstance(widget.rule, Cell)
    }
    view = {key: format_value(value) for key, value in values.items() if value is not None}
    short = {key: value for key, value in view.items() if len(value) <= LONGEST}
    return {**short, "v": __version__}
