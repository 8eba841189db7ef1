"""What a visitor types: a prompt that travels in the URL, its pieces, and small tables of numbers.

These inputs cannot be bound to the URL by Streamlit: a prompt may be longer than a link should be, and an edited
table is not text. So the kit writes them there itself, as long as they are short.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from pages.kit import links
from pages.kit.chips import Chip, visible

if TYPE_CHECKING:
    from gptcore.tokenizer import Tokenizer

# No `step`: an editor with one cuts what is typed between two steps, and 0.77 would become 0.7.
_ALL_DIGITS = f"%.{links.DIGITS}g"
_WORD = re.compile(r"'s\b|[A-Za-z]+|[^\sA-Za-z]")


def text_input(
    label: str, key: str, default: str, examples: Sequence[str] = (), *, help: str | None = None
) -> str:
    """A prompt with examples to click on. A long one is used all the same, but stays out of the URL."""
    kept, first = f"{key}_kept", f"{key}_first"
    if key not in st.session_state:
        # A widget forgets its value at a page switch. The value it begins with is handed to the widget and not
        # put into its state: what a run puts there is lost in the browser when the run ends in a rerun.
        requested = links.read(key, links.Text(), default)
        st.session_state[first] = st.session_state.get(kept, requested)
    else:
        links.check(key, links.Text())
    if examples:
        st.pills(
            "Prompts to try",
            list(examples),
            key=f"{key}_example",
            label_visibility="collapsed",
            on_change=_take_example,
            args=(key,),
        )
    typed = st.text_input(label, st.session_state[first], key=key, help=help, disabled=links.locked(key))
    st.session_state[kept] = typed
    links.write(key, typed, default)
    return typed


def _take_example(key: str) -> None:
    if chosen := st.session_state[f"{key}_example"]:
        st.session_state[key] = chosen
        st.session_state[f"{key}_example"] = None


def token_chips(text: str, tokenizer: "Tokenizer", known: Callable[[str], bool] | None = None) -> list[Chip]:
    """The tokens of a text as chips, hatched where they belong to a word of which `known` says no."""
    strange = _strange_bytes(text, known) if known else set()
    chips, position = [], 0
    for token_id in tokenizer.encode(text):
        size = len(tokenizer.token_bytes(token_id))
        unknown = any(at in strange for at in range(position, position + size))
        chips.append(
            Chip(
                visible(tokenizer.token_text(token_id)),
                "unknown" if unknown else "plain",
                f"token {token_id}"
                + (", part of a word that was not in the training text" if unknown else ""),
            )
        )
        position += size
    return chips


def _strange_bytes(text: str, known: Callable[[str], bool]) -> set[int]:
    """The byte ranges of unknown words and characters."""
    strange: set[int] = set()
    for match in _WORD.finditer(text):
        word = match.group()
        if word != '"' and not known(word):
            start = len(text[: match.start()].encode("utf-8", "surrogatepass"))
            strange |= set(range(start, start + len(word.encode("utf-8", "surrogatepass"))))
    return strange


def number_column(
    key: str,
    names: Sequence[str],
    default: Sequence[float],
    *,
    column: str,
    low: float,
    high: float,
    note: str = "",
) -> list[float]:
    """A column of numbers to edit, in the URL as `key=2,1,0.5`; what is empty or out of range is refused."""
    default = [float(value) for value in default]
    editor, kept = f"{key}_editor", f"{key}_kept"
    rule = links.Numbers(len(default), low, high)
    requested = links.read(key, rule, default, now=st.session_state.get(kept))
    st.session_state.setdefault(kept, requested)
    if editor not in st.session_state:
        # A new editor, as after a page switch, starts from what was there last.
        st.session_state[f"{key}_base"] = list(st.session_state[kept])
    base = st.session_state[f"{key}_base"]
    edited = st.data_editor(
        {note or "name": list(names), column: base},
        key=editor,
        hide_index=True,
        num_rows="fixed",
        disabled=True if links.locked(key) else [note or "name"],
        column_config={
            column: st.column_config.NumberColumn(
                min_value=low, max_value=high, required=True, format=_ALL_DIGITS
            )
        },
    )
    values = [_within(value, low, high, old) for value, old in zip(edited[column], base, strict=True)]
    st.session_state[kept] = values
    links.write(key, _as_text(values), _as_text(default))
    return values


def _within(value: float | None, low: float, high: float, old: float) -> float:
    return float(value) if value is not None and low <= value <= high else float(old)


def _as_text(values: Sequence[float]) -> str:
    return ",".join(map(links.format_value, values))


Matrix = tuple[tuple[float, ...], ...]
_ROW = "row"  # the heading over the names of the rows


def matrix_input(
    key: str,
    default: Sequence[Sequence[float]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    label: str,
    low: float = -10.0,
    high: float = 10.0,
) -> Matrix:
    """A small matrix to edit, in the URL as `key=.8,.1;-.2,.7`; what is empty or out of range is refused."""
    editor, kept = f"{key}_editor", f"{key}_kept"
    default = tuple(tuple(float(value) for value in row) for row in default)
    rule = links.Matrix(len(rows), len(columns), low, high)
    requested = links.read(key, rule, default, now=st.session_state.get(kept))
    links.watch(links.Bound(key, rule, matrix_text(default)))
    st.session_state.setdefault(kept, requested)
    if editor not in st.session_state:
        st.session_state[f"{key}_base"] = st.session_state[kept]
    base: Matrix = st.session_state[f"{key}_base"]
    st.caption(label)
    edited = st.data_editor(
        {_ROW: list(rows), **{name: [row[j] for row in base] for j, name in enumerate(columns)}},
        key=editor,
        hide_index=True,
        num_rows="fixed",
        disabled=True if links.locked(key) else [_ROW],
        alt=label,
        column_config={
            _ROW: st.column_config.TextColumn(width="small"),
            **{
                name: st.column_config.NumberColumn(
                    min_value=low, max_value=high, required=True, format=_ALL_DIGITS
                )
                for name in columns
            },
        },
    )
    values = tuple(
        tuple(_within(edited[name][i], low, high, base[i][j]) for j, name in enumerate(columns))
        for i in range(len(rows))
    )
    st.session_state[kept] = values
    links.write(key, matrix_text(values), matrix_text(default))
    return values


def matrix_text(values: Sequence[Sequence[float]]) -> str:
    """A matrix as a link carries it: rows parted by semicolons, `.8,.1;-.2,.7`."""
    return ";".join(",".join(_short(value) for value in row) for row in values)


def _short(value: float) -> str:
    text = links.format_value(float(value))
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def set_matrix(key: str, text: str) -> None:
    """Put a matrix, written as in a link, into its editor. For callbacks."""
    st.session_state[f"{key}_kept"] = tuple(tuple(map(float, row.split(","))) for row in text.split(";"))
    st.session_state.pop(f"{key}_editor", None)
