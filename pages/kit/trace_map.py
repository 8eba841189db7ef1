"""A map of one forward pass, every number of which can be asked for its formula: tokens across, stages downwards.

The map is drawn in the browser by a component (trace_map.css and the files of trace_map_js), from the numbers sent
once. A step, a zoom and every frame of the motion ask the server for nothing. Only the operands of a number that was
chosen are asked for; a second component without a picture carries them, so that the map is not sent again. The same
files make the page that can be kept.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from gptcore.interpret.stage_values import StageValues
from pages.kit import dim_colors
from pages.kit.chips import visible

HERE = Path(__file__).parent
CSS = (HERE / "trace_map.css").read_text(encoding="utf-8")
PARTS = ("numbers", "drawing", "pens", "motion", "camera", "formula", "panel", "export", "map")
JS = "\n".join((HERE / "trace_map_js" / f"{name}.js").read_text(encoding="utf-8") for name in PARTS)
HTML = '<div class="trace-map"></div>'
ZOOMS = ("model", "block", "part", "stage", "cell")

CELLS_JS = """
let listening = null

export default function ({ data }) {
  const tell = () => window.dispatchEvent(new CustomEvent("glassbox-cells", { detail: data }))
  window.removeEventListener("glassbox-cells-wanted", listening)
  listening = tell
  window.addEventListener("glassbox-cells-wanted", tell)
  tell()
  return () => window.removeEventListener("glassbox-cells-wanted", tell)
}
"""

_MAP = st.components.v2.component("glassbox_trace_map", html=HTML, css=CSS, js=JS)
_CELLS = st.components.v2.component("glassbox_trace_map_cells", html="<div></div>", js=CELLS_JS)


@dataclass(frozen=True, slots=True)
class TraceMap:
    """A pass to draw: tokens, stages in order, attention between tokens in each layer, and how much of it is new.

    `links` holds (query, key, weight) for each layer; `fresh` is how many of the last tokens were computed.
    """

    tokens: tuple[str, ...]
    stages: tuple[StageValues, ...]
    links: Sequence[Sequence[tuple[int, int, float]]]
    fresh: int
    before: int = 0  # tokens of the text before the first one drawn
    was: tuple[str, ...] = ()  # the most probable next tokens without the change

    def index_of(self, name: str) -> int:
        """The index of a stage by its name, 0 for a name that is none."""
        return next((i for i, stage in enumerate(self.stages) if stage.name == name), 0)


def legible(token: str) -> str:
    """A token's text with its spaces visible, and its unprintable characters by their numbers."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in visible(token))


def widget_data(drawing: TraceMap, known: Mapping[str, Any]) -> dict[str, Any]:
    """What the browser gets: every stage with its numbers, attention, and the words in `known`."""
    following: dict[str, list[str]] = {}
    for stage in drawing.stages:
        for name in stage.inputs:
            following.setdefault(name, []).append(stage.name)
    return {
        "tokens": [legible(token) for token in drawing.tokens],
        "fresh": drawing.fresh,
        "before": drawing.before,
        "was": [legible(token) for token in drawing.was],
        "links": [[[query, key, number(weight)] for query, key, weight in layer] for layer in drawing.links],
        "stages": [_stage_data(stage, following.get(stage.name, [])) for stage in drawing.stages],
        **known,
    }


def _stage_data(stage: StageValues, following: list[str]) -> dict[str, Any]:
    """One stage as the browser gets it; `sources` tells which of its neighbors a thinned column was taken from."""
    data = {
        "name": stage.name,
        "kind": stage.kind,
        "layer": stage.layer,
        "stream": stage.is_stream,
        "shape": [[letter, size, dim_colors.color(letter) or ""] for letter, size in stage.shape],
        "rows": stage.n_rows,
        "columns": stage.n_columns,
        "groups": stage.groups,
        "bin": stage.bin,
        "scale": number(stage.scale),
        "values": _encoded(stage.values.numpy()),
        "from": list(stage.inputs),
        "to": following,
        "form": stage.working.form,
        "numbers": numbers(stage.working.numbers),
        "said": [[[legible(w), number(z), number(p), i] for w, z, p, i in row] for row in stage.said],
    }
    if stage.columns is not None:
        data["sources"] = _encoded((stage.columns % stage.bin).numpy().astype("<u2"))
    return data


def _encoded(array: Any) -> str:
    return base64.b64encode(array.tobytes()).decode()


def numbers(rows: Sequence[Sequence[float]]) -> list[list[float | None]]:
    """The operands of formulas as the browser gets them: a column, which is exact, and numbers to four figures."""
    return [[int(row[0]), *map(number, row[1:])] for row in rows]


def number(value: float) -> float | None:
    """A number to four figures, a whole number as it is; one that is not finite becomes null."""
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.4g}")


def widget(given: Mapping[str, Any], *, key: str, on_look) -> None:
    """Put the map on the page; `on_look` is called a moment after the visitor has come to rest somewhere."""
    _MAP(key=key, data=dict(given), on_look_change=on_look)


def send_cells(cells: Mapping[str, Any], *, key: str) -> None:
    """Send the formulas of some numbers to the map on this page: its id, the stage, the token, their operands."""
    _CELLS(key=key, data=dict(cells))


def page_parts(title: str, *notes: str) -> tuple[str, str]:
    """A page that needs nothing else: what comes before and after the map's numbers, which the browser puts in."""
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    begin = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{ALONE}{CSS}</style></head>"
        f'<body><h1>{escape(title)}</h1><div id="root">{HTML}</div>'
        f'{below}<script type="module">{JS}\ntraceMap({{ data: '
    )
    end = ', parentElement: document.querySelector("#root"), setStateValue() {} })\n</script></body></html>'
    return begin, end


# What Streamlit's theme says on a page of the app, for a page that stands alone.
ALONE = """
:root { --st-text-color: #06111A; --st-background-color: #FFFFFF; --st-secondary-background-color: #F3F5F7;
  --st-border-color: #D5DBE0; --st-primary-color: #0072B2; --st-link-color: #0072B2; --st-orange-color: #D55E00;
  --st-green-color: #009E73; --st-font: system-ui, sans-serif; --st-code-font: ui-monospace, monospace; }
@media (prefers-color-scheme: dark) { :root { --st-text-color: #E6EBEF; --st-background-color: #12181D;
  --st-secondary-background-color: #1C252C; --st-border-color: #35424C; --st-primary-color: #2A86C4;
  --st-link-color: #56B4E9; --st-orange-color: #E69F00; --st-green-color: #2BBF94; } }
body { margin: 1rem auto; max-width: 90rem; padding: 0 1rem; font-family: var(--st-font);
  color: var(--st-text-color); background: var(--st-background-color); }
h1 { font-size: 1.3rem; font-weight: 600; }
p { max-width: 46rem; line-height: 1.5; }
"""
