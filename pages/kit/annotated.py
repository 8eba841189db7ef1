"""Real source beside notes: each line with its note, both lit up together.

The notes of `gptcore.attention.attention_weights` stand in
``pages/text/en/notes/attention.attention_weights.md``: a heading with the line's own text between backquotes,
and the note below it. A note begins with its kind: `why:` stands open, `shape:` and `what:` wait behind a switch.
Lines need no number, so the notes hold for as long as the text of the line does; a test fails when a line has
no note or a note no line.
"""

import ast
import inspect
import io
import keyword
import re
import textwrap
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptcore.formats.syntax_tree import parse_python, source_lines
from pages.kit import escape, links, words

KINDS = ("why", "shape", "what")
HEART_LINES = 15  # of a longer source, shown until the rest is asked for
_HEADING = re.compile(r"^## +`(.+)` *$", re.MULTILINE)
_NOTE = re.compile(r"^(why|shape|what): *", re.IGNORECASE)


class NotesError(ValueError):
    """Notes that do not fit the code they belong to."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note on a line; `kind` is why, shape or what."""

    line: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines of source that make one statement, or a comment, or the docstring; numbers count from 1."""

    first: int
    last: int
    text: str  # the first line without its indentation: what a note is keyed by
    needs_note: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The source of an object as written in its file."""

    name: str  # dotted, from its module on: Attention.forward
    file: str
    start: int
    lines: tuple[str, ...]


@lru_cache(maxsize=64)
def source(name: str) -> Source:
    """The source of `attention.Attention.forward`: a module of gptcore and the object in it."""
    module, path = _module(name)
    shown = import_module(module)
    where = module.replace(".", "/") + ".py"
    for part in path:
        shown = getattr(shown, part)
    lines, start = source_lines(inspect.unwrap(shown))
    whole = textwrap.dedent("".join(lines)).rstrip().splitlines()
    return Source(".".join(path), where, start, tuple(whole))


def _module(name: str) -> tuple[str, list[str]]:
    """The module that a dotted name begins with, and the names inside it that follow."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(["gptcore", *parts[:count]])
        try:
            spec = find_spec(module)
        except ModuleNotFoundError:
            continue
        if spec is not None:
            return module, parts[count:]
    raise NotesError(f"gptcore has no module for {name}")


def statements(lines: Sequence[str]) -> list[Statement]:
    """The logical lines of a source: a call over five lines is one, a comment block is one."""
    text = "\n".join(lines) + "\n"
    docstrings = _docstrings(text)
    logical_lines: list[Statement] = []
    begin = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        if token.type == tokenize.COMMENT and begin is None:
            row = token.start[0]
            if logical_lines and logical_lines[-1].last == row - 1 and logical_lines[-1].text.startswith("#"):
                logical_lines[-1] = Statement(logical_lines[-1].first, row, logical_lines[-1].text, False)
            else:
                logical_lines.append(Statement(row, row, lines[row - 1].strip(), False))
            continue
        begin = begin or token.start[0]
        if token.type == tokenize.NEWLINE:
            logical_lines.append(
                Statement(begin, token.start[0], _key(lines[begin - 1]), begin not in docstrings)
            )
            begin = None
    return logical_lines


@lru_cache(maxsize=64)
def _statements(lines: tuple[str, ...]) -> tuple[Statement, ...]:
    return tuple(statements(lines))


def _key(line: str) -> str:
    """A line as notes name it: no indentation, no comment at its end."""
    return re.sub(r" {2}#.*$", "", line).strip()


def _docstrings(text: str) -> set[int]:
    tree = parse_python(text)
    nodes = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.Module))]
    bodies = [node.body[0] for node in nodes if node.body and isinstance(node.body[0], ast.Expr)]
    return {body.lineno for body in bodies if isinstance(body.value, ast.Constant)}


def notes_file(name: str) -> Path:
    """The file with the notes of an object."""
    return words.TEXT / words.LANGUAGE / "notes" / f"{name}.md"


def notes(name: str) -> list[Note]:
    """The notes of an object, in the order of the file; raises NotesError for a note without a kind."""
    path = notes_file(name)
    if not path.exists():
        raise NotesError(f"there is no file of notes {path.name}")
    pieces = _HEADING.split(path.read_text(encoding="utf-8"))[1:]
    written = []
    for line, body in zip(pieces[::2], pieces[1::2]):
        note = " ".join(body.split())
        if not (match := _NOTE.match(note)):
            raise NotesError(f"the note on {line!r} must begin with one of {', '.join(KINDS)}")
        written.append(Note(line, match[1].lower(), note[match.end() :]))
    return written


def statements_with_notes(name: str) -> list[tuple[Statement, Note | None]]:
    """Every statement with its note; raises NotesError where a line has no note or a note no line.

    A line that occurs twice takes the first note the first time and the second the second time, if there are two.
    """
    waiting: dict[str, list[Note]] = {}
    for note in notes(name):
        waiting.setdefault(note.line, []).append(note)
    taken: set[str] = set()
    pairs: list[tuple[Statement, Note | None]] = []
    for statement in _statements(source(name).lines):
        if not statement.needs_note:
            pairs.append((statement, None))
            continue
        mine = waiting.get(statement.text)
        if not mine:
            raise NotesError(f"{name}: the line {statement.text!r} has no note")
        pairs.append((statement, mine.pop(0) if len(mine) > 1 else mine[0]))
        taken.add(statement.text)
    if lost := sorted(set(waiting) - taken):
        raise NotesError(f"{name}: there is no line {lost[0]!r} for its note")
    return pairs


_CSS = """
.code { font-size: 0.82rem; color: var(--st-text-color); border: 1px solid var(--st-border-color);
  border-radius: 0.5rem; overflow: hidden; }
.row { display: grid; grid-template-columns: minmax(0, 1.3fr) minmax(0, 1fr); position: relative; }
.row.wide { grid-template-columns: minmax(0, 1fr); }
.row:hover, .row:focus-within, .row:focus { background: var(--st-secondary-background-color); outline: none; }
.row:focus-visible { box-shadow: inset 3px 0 0 var(--st-primary-color); }
.row.why { border-left: 3px solid var(--st-primary-color); }
.row.other { border-left: 3px solid transparent; }
pre { margin: 0; padding: 0.12rem 0.6rem; font-family: var(--st-code-font); line-height: 1.4; }
.line { white-space: pre-wrap; overflow-wrap: anywhere; padding-left: calc(2.6em + var(--in)); min-height: 1.4em;
  text-indent: calc(-2.6em - var(--in)); }
pre .n { color: var(--st-text-color); opacity: 0.75; user-select: none; display: inline-block; width: 2.6em;
  text-indent: 0; }
pre .k { font-weight: 700; } pre .s, pre .c { font-style: italic; opacity: 0.85; }
.gap { padding: 0.15rem 0.9rem; font-family: var(--st-font); font-size: 0.78rem; opacity: 0.7;
  background: var(--st-secondary-background-color); }
.note { padding: 0.12rem 0.7rem; font-family: var(--st-font); line-height: 1.35; }
.note b { font-weight: 600; } .note code { font-family: var(--st-code-font); font-size: 0.95em; }
.note.closed { display: none; }
.row:hover .note.closed, .row:focus .note.closed {
  display: block; position: absolute; right: 0; top: 0; width: 38%; z-index: 2; padding-bottom: 0.5rem;
  background: var(--st-secondary-background-color); border-radius: 0 0 0 0.5rem; box-sizing: border-box;
  box-shadow: -4px 4px 8px -6px var(--st-text-color);
}
@media (max-width: 700px) {
  .row { grid-template-columns: minmax(0, 1fr); }
  .note { padding: 0 0.7rem 0.5rem 1.2rem; }
  .row:hover .note.closed, .row:focus .note.closed { position: static; width: auto; box-shadow: none; }
}
"""

_JS = """
export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".code")
  box.setAttribute("aria-label", data.label)
  const gap = n => {
    const line = document.createElement("div")
    line.className = "gap"; line.textContent = n + (n === 1 ? " more line" : " more lines")
    return line
  }
  const rows = data.rows.map(row => {
    const line = document.createElement("div")
    line.className = "row " + (row.kind === "why" ? "why" : "other") + (row.note && row.open ? "" : " wide")
    const pre = document.createElement("pre")
    row.lines.forEach((spans, i) => {
      const text = document.createElement("div")
      const width = (spans.map(span => span[1]).join("").match(/^ */)[0].length + 2) + "ch"
      text.className = "line"; text.style.setProperty("--in", width)
      const number = document.createElement("span")
      number.className = "n"; number.textContent = row.first + i; number.setAttribute("aria-hidden", "true")
      text.append(number)
      for (const [kind, piece] of spans) {
        const span = document.createElement("span"); span.className = kind; span.textContent = piece
        text.append(span)
      }
      pre.append(text)
    })
    const note = document.createElement("div")
    note.className = "note" + (row.note && !row.open ? " closed" : "")
    if (row.note) {
      line.tabIndex = 0
      row.note.split("`").forEach((piece, i) => {
        const part = document.createElement(i % 2 ? "code" : "span")
        part.textContent = piece; note.append(part)
      })
    }
    line.append(pre, note)
    return line
  })
  box.replaceChildren(...(data.before ? [gap(data.before)] : []), ...rows, ...(data.after ? [gap(data.after)] : []))
}
"""

_COMPONENT = st.components.v2.component(
    "glassbox_annotated", html='<div class="code" role="group"></div>', css=_CSS, js=_JS
)


def code(name: str, *, key: str) -> None:
    """The source of a gptcore object next to its notes; of a long one the part with the most reasons first.

    Pass the name as a constant, such as "attention.Attention.forward": a test finds every one that is shown.
    """
    _code(name, key)


def tabs(*titles: str) -> Sequence[DeltaGenerator]:
    """Tabs for the objects of a chapter, named after them, so that the page is no longer than the longest."""
    return st.tabs([escape.markdown(title) for title in titles])  # as code they would break at any letter


@st.fragment
def _code(name: str, key: str) -> None:
    shown, pairs = source(name), statements_with_notes(name)
    bind_notes = links.check(f"{key}_all", links.Switch(), False)
    bind_whole = links.check(f"{key}_whole", links.Switch(), False)
    first, last = heart(pairs)
    is_long = last - first < len(shown.lines) - 1
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f"`{shown.name}` in `{shown.file}`, line {shown.start}", width="stretch")
        whole = is_long and st.toggle(
            f"Show all {len(shown.lines)} lines", key=f"{key}_whole", bind=bind_whole
        )
        every = st.toggle("Notes on every line", key=f"{key}_all", bind=bind_notes)
    if whole or not is_long:
        first, last = 1, len(shown.lines)
    spans = _highlighted(shown.lines)
    rows = [
        {
            "first": shown.start + statement.first - 1,
            "lines": spans[statement.first - 1 : statement.last],
            "note": note.text if note else "",
            "kind": note.kind if note else "",
            "open": bool(note) and (every or note.kind == "why"),
        }
        for statement, note in pairs
        if first <= statement.first and statement.last <= last
    ]
    left_out = {"before": first - 1, "after": len(shown.lines) - last}
    _COMPONENT(key=key, data={"rows": rows, "label": f"Code of {name}, line by line, with notes", **left_out})


def heart(pairs: Sequence[tuple[Statement, Note | None]]) -> tuple[int, int]:
    """The first and last line of the part of a source that opens first: all of a short one.

    Of a long one it is the run of statements within `HEART_LINES` that has the most notes with a reason.
    """
    n_lines = pairs[-1][0].last
    if n_lines <= HEART_LINES + 3:
        return 1, n_lines
    best, chosen = -1, (1, n_lines)
    for begin, (statement, _) in enumerate(pairs):
        inside = [pair for pair in pairs[begin:] if pair[0].last - statement.first < HEART_LINES]
        reasons = sum(note is not None and note.kind == "why" for _, note in inside)
        if inside and statement.needs_note and reasons > best:
            best, chosen = reasons, (statement.first, inside[-1][0].last)
    return chosen


@lru_cache(maxsize=64)
def _highlighted(lines: tuple[str, ...]) -> list[list[tuple[str, str]]]:
    """Each line as spans of (kind, text): k keyword, s string, c comment, p all else."""
    marks: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    text = "\n".join(lines) + "\n"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = {tokenize.STRING: "s", tokenize.COMMENT: "c"}.get(token.type, "")
        if token.type == tokenize.NAME and keyword.iskeyword(token.string):
            kind = "k"
        if not kind:
            continue
        for row in range(token.start[0], token.end[0] + 1):
            begin = token.start[1] if row == token.start[0] else 0
            end = token.end[1] if row == token.end[0] else len(lines[row - 1])
            marks[row - 1].append((begin, end, kind))
    spans = []
    for line, marked in zip(lines, marks):
        parts, at = [], 0
        for begin, end, kind in marked:
            parts += [("p", line[at:begin]), (kind, line[begin:end])]
            at = end
        spans.append([part for part in [*parts, ("p", line[at:])] if part[1]])
    return spans
