"""What a link asks for: parameters of the URL, checked before the widgets that read them are made.

Streamlit drops a value it cannot use without a word. `check` runs just before a bound widget, says
which value was refused and by which rule, and lets the widget fall back to its default. The parameters
in `STICKY` belong to the visit and not to a page: Streamlit forgets them at a page switch, `restore_sticky`
restores them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import streamlit as st

from gptcore import __version__

STICKY = ("run", "model", "seed", "hide", "lock", "step", "note", "present")
LONGEST = 300  # characters; a longer text never travels in a link
_STICKY_STATE = "kept_parameters"
_REFUSED_STATE = "refused_parameters"
_place: ContextVar[Callable[..., object]] = ContextVar("place", default=st.warning)
_watched: ContextVar["list[Bound] | None"] = ContextVar("watched", default=None)
_ON_PAGE_STATE = "bound_on_page"


class Rule(Protocol):
    """What a parameter may be; `refuses` gives the rule as a clause, or None for a legal value."""

    def refuses(self, value: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, in steps of `step` from `low`; whole when all three are."""

    low: float
    high: float
    step: float = 1

    def refuses(self, value: str) -> str | None:
        whole = all(float(x).is_integer() for x in (self.low, self.high, self.step))
        kind = "a whole number" if whole else "a number"
        rule = f"it must be {kind} from {self.low:g} to {self.high:g}"
        if self.step != 1 and whole:
            rule += f" in steps of {self.step:g}"
        try:
            number = float(value)
        except ValueError:
            return rule
        if not self.low <= number <= self.high:  # also refuses NaN
            return rule
        steps = (number - self.low) / self.step
        return rule if whole and abs(steps - round(steps)) > 1e-6 else None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values listed, written as in the link."""

    options: Sequence[str]

    def refuses(self, value: str) -> str | None:
        if value in self.options:
            return None
        return "it must be one of " + ", ".join(map(str, self.options))


@dataclass(frozen=True, slots=True)
class Text:
    """A short text; longer ones never travel in a link."""

    longest: int = LONGEST

    def refuses(self, value: str) -> str | None:
        return None if len(value) <= self.longest else f"it must be at most {self.longest} characters long"


@dataclass(frozen=True, slots=True)
class Numbers:
    """A list of `count` numbers from `low` to `high`, parted by commas."""

    count: int
    low: float
    high: float

    def refuses(self, value: str) -> str | None:
        rule = f"it must be {self.count} numbers from {self.low:g} to {self.high:g}, parted by commas"
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            return rule
        legal = len(numbers) == self.count and all(self.low <= number <= self.high for number in numbers)
        return None if legal else rule


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of numbers from `low` to `high`: rows parted by semicolons, numbers by commas."""

    rows: int
    columns: int
    low: float
    high: float

    def refuses(self, value: str) -> str | None:
        rule = (
            f"it must be {self.rows} rows parted by semicolons, each {self.columns} numbers "
            f"from {self.low:g} to {self.high:g} parted by commas"
        )
        inner = Numbers(self.columns, self.low, self.high)
        rows = value.split(";")
        legal = len(rows) == self.rows and all(inner.refuses(row) is None for row in rows)
        return None if legal else rule


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off, as Streamlit writes it."""

    def refuses(self, value: str) -> str | None:
        return None if value.lower() in ("true", "false") else "it must be true or false"


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
    """Forget the widgets of another page."""
    if st.session_state.get("bound_page") != page:
        st.session_state["bound_page"] = page
        st.session_state[_ON_PAGE_STATE] = {}


def refusal(key: str, value: str, rule: Rule) -> str | None:
    """One sentence that names the parameter, its value and the rule it breaks, or None."""
    clause = rule.refuses(value)
    if clause is None:
        return None
    shown = value if len(value) <= 40 else value[:40] + "…"
    # Backquotes would end the code span the value is shown in.
    return f"The link asks for `{key}={shown.replace('`', '')}`, which is not used: {clause}."


def check(key: str, rule: Rule, default: object = None) -> None:
    """Tell the visitor, at this place, when the link's value for `key` is refused.

    Call it just before the widget bound to `key` is made. The sentence stays for this visit until the
    visitor moves that widget: Streamlit takes the value out of the URL at once, so it is remembered here.
    With a `default` the lab around the widget can reset it.
    """
    watch(Bound(key, rule, default))
    refused = st.session_state.setdefault(_REFUSED_STATE, {})
    value = st.session_state.get(key)
    if key in st.query_params and (sentence := refusal(key, st.query_params[key], rule)):
        refused[key] = (sentence, None)
    elif key in refused:
        sentence, seen = refused[key]
        if seen is None:
            refused[key] = (sentence, value)
        elif value != seen:
            del refused[key]
    if key in refused:
        _place.get()(refused[key][0], icon=":material/link_off:")


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


def restore_sticky() -> None:
    """Remember the sticky parameters of this URL and restore those a page switch has dropped."""
    kept = st.session_state.setdefault(_STICKY_STATE, {})
    for key in STICKY:
        if key in st.query_params:
            kept[key] = st.query_params[key]
        elif key in kept:
            st.query_params[key] = kept[key]


def set_sticky(key: str, value: str | None) -> None:
    """Set a sticky parameter in the URL and for all pages to come; None takes it away."""
    if key not in STICKY:
        raise ValueError(f"{key} is not one of the kept parameters {', '.join(STICKY)}")
    kept = st.session_state.setdefault(_STICKY_STATE, {})
    if value is None:
        kept.pop(key, None)
        if key in st.query_params:
            del st.query_params[key]
    else:
        kept[key] = st.query_params[key] = value


def sticky_value(key: str) -> str | None:
    """The value of a sticky parameter, from the URL or from an earlier page of this visit."""
    return st.query_params.get(key) or st.session_state.get(_STICKY_STATE, {}).get(key)


def hidden(part: str) -> bool:
    """Whether the lesson link leaves this part out: ?hide=measured,check."""
    return part in (sticky_value("hide") or "").split(",")


def locked(key: str) -> bool:
    """Whether the lesson link holds this widget still: ?lock=c5_d, or ?lock=all for every one."""
    names = (sticky_value("lock") or "").split(",")
    return key in names or "all" in names


def step() -> int | None:
    """The number of steps of a worked example the lesson link opens, or None for all."""
    given = sticky_value("step") or ""
    return int(given) if given.isdigit() and 0 < int(given) < 100 else None


def lesson_seed() -> int | None:
    """The seed a lesson link gives a whole class, or None."""
    given = sticky_value("seed") or ""
    return int(given) if given.isdigit() and len(given) <= 6 else None


def format_value(value: object) -> str:
    """A widget's value as Streamlit writes it into a link."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def full_link(bound: Iterable[Bound]) -> dict[str, str]:
    """Every value of these widgets as a link carries it, defaults included, and the app's version."""
    values = {widget.key: st.session_state.get(widget.key, widget.default) for widget in bound}
    view = {key: format_value(value) for key, value in values.items() if value is not None}
    short = {key: value for key, value in view.items() if len(value) <= LONGEST}
    return {**short, "v": __version__}
