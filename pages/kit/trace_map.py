"""A map of one forward pass, every stage of which can be opened: tokens across, depth downwards.

The map is drawn here, as SVG; a small component (trace_map.js, trace_map.css) walks over it, so that a step is a
redraw of one panel in the browser and asks the server for nothing. The same files make the page one can keep.
"""

import base64
import json
import math
import struct
import zlib
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
JS = (HERE / "trace_map.js").read_text(encoding="utf-8")
MAP_CSS = (HERE / "trace_map_drawing.css").read_text(encoding="utf-8")
HTML = '<div class="trace-map"></div>'

MORE, LESS = (42, 134, 196), (213, 94, 0)  # what is above zero and what is below, in light and in dark
GUTTER, MARGIN, HEAD, FOOT = 110, 44, 66, 74
ON_PAGE, ON_PAPER = 604, 1000  # widths: beside the panel, and as a picture of its own
NARROWEST, WIDEST = 22.0, 56.0  # of a column
THIN, STREAM, WORD, BAND, GAP = 9, 22, 12, 34, 12

_COMPONENT = st.components.v2.component("glassbox_trace_map", html=HTML, css=CSS, js=JS)


@dataclass(frozen=True, slots=True)
class TraceMap:
    """A drawn pass: tokens, stages in order, who looks at whom in each layer, and how much of it is new.

    `kept` stages of earlier tokens come from the cache; `fresh` is how many of the last tokens were computed.
    """

    tokens: tuple[str, ...]
    stages: tuple[StageValues, ...]
    links: Sequence[Sequence[tuple[int, int, float]]]
    fresh: int
    before: int = 0  # tokens of the text that stand before the first one drawn
    was: tuple[str, ...] = ()  # the words that would have been said without the change

    def index_of(self, name: str) -> int:
        """The index of a stage by its name, 0 for a name that is none."""
        return next((i for i, stage in enumerate(self.stages) if stage.name == name), 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands on the map, in pixels."""

    x: float
    column: float
    width: float
    height: float
    tops: tuple[float, ...]
    heights: tuple[float, ...]
    bands: tuple[float, ...]  # where the curves of each layer begin


def layout(drawing: TraceMap, wide: int = ON_PAGE) -> Layout:
    """Give every stage its row: the stream's are taller, and between the weights and what they mix curves have room."""
    column = max(NARROWEST, min(WIDEST, (wide - GUTTER - MARGIN) / len(drawing.tokens)))
    y, tops, heights, bands = float(HEAD), [], [], []
    before = drawing.stages[0].layer
    for stage in drawing.stages:
        if stage.layer != before:
            y += GAP
            before = stage.layer
        height = STREAM if stage.is_stream else THIN
        tops.append(y)
        heights.append(height)
        y += height + (3 if stage.is_stream else 1.5)
        if stage.kind == "weights":
            bands.append(y)
            y += BAND
    return Layout(
        GUTTER,
        column,
        GUTTER + column * len(drawing.tokens) + MARGIN,
        y + FOOT,
        tuple(tops),
        tuple(heights),
        tuple(bands),
    )


def legible(token: str) -> str:
    """A token's text with its spaces visible and what cannot be printed, or stand in SVG, by its number."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in visible(token))


def png(pixels: Sequence[Sequence[tuple[int, int, int, int]]]) -> str:
    """A picture of these pixels (red, green, blue, opacity) as an address that stands in a document."""
    lines = b"".join(b"\0" + bytes(part for pixel in row for part in pixel) for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 6, 0, 0, 0)
    whole = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(whole).decode()


def pixel_color(value: float) -> tuple[int, int, int, int]:
    """The color of a number from -1 to 1: its sign is the hue, its size the opacity."""
    size = min(1.0, abs(value)) ** 1.2
    return (*(MORE if value >= 0 else LESS), round(255 * size))


def _strip(stage: StageValues, n_tokens: int) -> str:
    """One row of the map: each token's strip with a gap to its left, in which the stream runs."""
    width = stage.strip.shape[1]
    gap = max(1, round(width * 0.22))
    clear = [(0, 0, 0, 0)] * (width + gap)
    row = clear * (n_tokens - stage.n_rows)
    for strip in stage.strip.tolist():
        row = row + [(0, 0, 0, 0)] * gap + [pixel_color(value) for value in strip]
    return png([row])


def svg(drawing: TraceMap, titles: Mapping[str, str], words: Mapping[str, str], wide: int = ON_PAGE) -> str:
    """The whole map as SVG: rows of strips, the stream in every column, curves for who looks at whom.

    `titles` names each kind of stage, `words` holds the few that stand on the map.
    """
    at, n = layout(drawing, wide), len(drawing.tokens)
    middle = [at.x + at.column * (i + 0.5) for i in range(n)]
    lane = [at.x + at.column * i + at.column * 0.09 for i in range(n)]
    old = n - drawing.fresh
    out = [
        f'<svg class="map" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at.width:.0f} {at.height:.0f}" '
        f'width="{at.width:.0f}" height="{at.height:.0f}" role="img" aria-label="{escape(words["map_alt"])}">',
        f"<style>{MAP_CSS}</style>",
        f'<rect class="paper" width="{at.width:.0f}" height="{at.height:.0f}"/>',
    ]
    out += [
        f'<rect class="plate" x="{at.x - 3}" y="{top}" width="{at.width - at.x - 4:.1f}" '
        f'height="{bottom - top:.1f}" rx="6"/>'
        for _, top, bottom in _plates(drawing, at)
    ]
    foot = at.tops[-1] + at.heights[-1]
    for i in range(n):
        kind = "lane" if i >= old else "lane old"
        out.append(
            f'<line class="{kind}" x1="{lane[i]:.1f}" x2="{lane[i]:.1f}" y1="{at.tops[0]}" y2="{foot}"/>'
        )
    if old:
        out.append(
            f'<rect class="old" x="{at.x}" y="{at.tops[0] - 2}" width="{at.column * old:.1f}" '
            f'height="{foot - at.tops[0] + 4:.1f}"/>'
        )
    for stage, top in zip(drawing.stages, at.tops):
        y = top + WORD if stage.is_stream else top
        if stage.strip.any():
            kept = ' class="kept"' if stage.n_rows > drawing.fresh else ""
            out.append(
                f'<image{kept} x="{at.x}" y="{y}" width="{at.column * n:.1f}" height="{THIN}" '
                f'preserveAspectRatio="none" href="{_strip(stage, n)}"/>'
            )
        if stage.is_stream:
            out += _said(drawing, stage, at, top)
    out += _curves(drawing, at, middle)
    out += _answers(drawing, at, middle, foot)
    out.append("<!--marks-->")
    out += _edges(drawing, at, middle, titles, words)
    return "".join([*out, "</svg>"])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _plates(drawing: TraceMap, at: Layout) -> list[tuple[int, float, float]]:
    """Each layer with the top and the bottom of its part of the map."""
    found = []
    for layer in sorted({stage.layer for stage in drawing.stages if stage.layer is not None}):
        inside = [i for i, stage in enumerate(drawing.stages) if stage.layer == layer]
        found.append((layer, at.tops[inside[0]] - 4, at.tops[inside[-1]] + at.heights[inside[-1]] + 3))
    return found


def _edges(
    drawing: TraceMap,
    at: Layout,
    middle: Sequence[float],
    titles: Mapping[str, str],
    words: Mapping[str, str],
) -> list[str]:
    """The names of the stages on the left and the tokens above: two groups that stay in sight when the map moves."""
    out = [
        f'<g class="gutter"><rect class="paper" width="{at.x - 3}" height="{at.height:.0f}"/>',
    ]
    for layer, top, bottom in _plates(drawing, at):
        out.append(
            f'<rect class="plate" x="4" y="{top}" width="{at.x - 7:.1f}" height="{bottom - top:.1f}" rx="6"/>'
            f'<text class="layer" transform="translate(15 {(top + bottom) / 2:.1f}) rotate(-90)">'
            f"{escape(words['map_layer'])} {layer + 1}</text>"
        )
    for stage, top, height in zip(drawing.stages, at.tops, at.heights):
        strong = " strong" if stage.is_stream else ""
        out.append(
            f'<text class="name{strong}" x="{at.x - 8}" y="{top + height / 2 + 3:.1f}">'
            f"{escape(titles[stage.kind])}</text>"
        )
    out.append(f'</g><g class="header"><rect class="paper" width="{at.width:.0f}" height="{HEAD - 4}"/>')
    for i, token in enumerate(drawing.tokens):
        out.append(
            f'<text class="token" transform="translate({middle[i] - 1:.1f} {HEAD - 9}) rotate(-48)">'
            f"{escape(_short(legible(token), 11))}</text>"
        )
    out.append("</g>")
    return out


def _said(drawing: TraceMap, stage: StageValues, at: Layout, top: float) -> list[str]:
    """On the stream: the word it would say if it stopped here."""
    out, most = [], int(at.column / 4.9)
    final = [row[0][0] for row in drawing.stages[-1].said]
    first = len(drawing.tokens) - stage.n_rows
    for i, row in enumerate(stage.said):
        word, _, share = row[0]
        settled = " final" if word == final[i] else ""
        x, y = at.x + at.column * (first + i + 0.57), top + WORD - 3
        out.append(
            f'<text class="said{settled}" x="{x:.1f}" y="{y:.1f}" '
            f'opacity="{0.45 + 0.55 * share:.2f}">{escape(_short(legible(word).lstrip("␣") or "␣", most))}</text>'
        )
    return out


def _curves(drawing: TraceMap, at: Layout, middle: Sequence[float]) -> list[str]:
    """Who looks at whom: from the key above to the query below, for all tokens faintly, for one in full."""
    by_query: dict[int, list[str]] = {}
    for band, layer in zip(at.bands, drawing.links):
        for query, key, weight in layer:
            x0, x1, y0, y1 = middle[key], middle[query], band, band + BAND - 3
            by_query.setdefault(query, []).append(
                f'<path d="M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + 20:.1f} {x1:.1f} {y1 - 20:.1f} {x1:.1f} {y1:.1f}" '
                f'stroke-width="{0.6 + 4.5 * weight:.1f}" opacity="{0.25 + 0.75 * weight:.2f}"/>'
            )
    return [f'<g class="curves" data-t="{query}">{"".join(paths)}</g>' for query, paths in by_query.items()]


def _answers(drawing: TraceMap, at: Layout, middle: Sequence[float], foot: float) -> list[str]:
    """At the foot: the word each token says comes next, and how sure it is."""
    out, last = [], drawing.stages[-1]
    first = len(drawing.tokens) - last.n_rows
    for i, row in enumerate(last.said):
        word, _, share = row[0]
        x = middle[first + i]
        was = drawing.was[first + i] if drawing.was else word
        other = " other" if was != word else ""
        half = at.column * 0.36
        out.append(
            f'<rect class="sure" x="{x - half:.1f}" y="{foot + 5}" width="{2 * half * share:.1f}" height="4" rx="2"/>'
            f'<text class="answer{other}" transform="translate({x - 2:.1f} {foot + 20}) rotate(48)">'
            f"{escape(_short(legible(word), 11))}</text>"
        )
    return out


def selection_frames(
    drawing: TraceMap, stage: int, token: int, other: int | None, wide: int = ON_PAGE
) -> str:
    """The frame around the stage and tokens on view, for a map that stands still."""
    at = layout(drawing, wide)
    top, bottom = at.tops[0] - 4, at.tops[-1] + at.heights[-1] + 2
    columns = [("mark-column", token)] + ([("mark-column other", other)] if other is not None else [])
    out = [
        f'<rect class="{name}" x="{at.x + at.column * i:.1f}" y="{top}" width="{at.column:.1f}" '
        f'height="{bottom - top:.1f}"/>'
        for name, i in columns
    ]
    y, height = at.tops[stage], at.heights[stage]
    out.append(
        f'<rect class="mark-row" x="{at.x}" y="{y - 1}" width="{at.column * len(drawing.tokens):.1f}" '
        f'height="{height + 2}"/>'
    )
    out.append(
        f'<rect class="mark-cell" x="{at.x + at.column * token:.1f}" y="{y - 1.5}" width="{at.column:.1f}" '
        f'height="{height + 3}" rx="2"/>'
    )
    return "".join(out)


def static_svg(
    drawing: TraceMap,
    titles: Mapping[str, str],
    words: Mapping[str, str],
    stage: int,
    token: int,
    other: int | None,
) -> str:
    """The map as a picture of its own, with the stage and token on view marked and that token's looks drawn."""
    drawn = svg(drawing, titles, words, ON_PAPER)
    lit = drawn.replace(f'<g class="curves" data-t="{token}">', '<g class="curves on">')
    at = layout(drawing, ON_PAPER)
    signed = (
        f'<text class="signature" x="{at.width - 12:.0f}" y="{at.height - 10:.0f}">'
        f"{escape(words['signature'].format(of=len(drawing.stages)))}</text>"
    )
    return lit.replace("<!--marks-->", selection_frames(drawing, stage, token, other, ON_PAPER) + signed)


def widget_data(
    drawing: TraceMap, drawn: str, known: Mapping[str, Any], at: Mapping[str, Any]
) -> dict[str, Any]:
    """What the browser gets: the map, every stage with its numbers, the words, and where to begin."""
    place = layout(drawing)
    goes: dict[str, list[str]] = {}
    for stage in drawing.stages:
        for name in stage.inputs:
            goes.setdefault(name, []).append(stage.name)
    return {
        "svg": drawn,
        "tokens": [legible(token) for token in drawing.tokens],
        "fresh": drawing.fresh,
        "before": drawing.before,
        "x": place.x,
        "column": place.column,
        "stages": [
            {
                "name": stage.name,
                "kind": stage.kind,
                "layer": stage.layer,
                "stream": stage.is_stream,
                "shape": [[letter, size, dim_colors.color(letter) or ""] for letter, size in stage.shape],
                "rows": stage.n_rows,
                "columns": stage.n_columns,
                "groups": stage.groups,
                "bin": stage.bin,
                "scale": _figure(stage.scale),
                "values": base64.b64encode(stage.values.numpy().tobytes()).decode(),
                "from": list(stage.inputs),
                "to": goes.get(stage.name, []),
                "form": stage.working.form,
                "numbers": [[_figure(value) for value in row] for row in stage.working.numbers],
                "said": [[[legible(w), _figure(z), _figure(p)] for w, z, p in row] for row in stage.said],
                "y": top,
                "h": height,
            }
            for stage, top, height in zip(drawing.stages, place.tops, place.heights)
        ],
        **known,
        "at": dict(at),
    }


def _figure(value: float) -> float | None:
    """A number to four figures; one that is none becomes null."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def widget(given: Mapping[str, Any], *, key: str, on_look) -> None:
    """Put the map on the page; `on_look` is called a moment after the visitor has come to rest somewhere."""
    _COMPONENT(key=key, data=dict(given), on_look_change=on_look)


def html_page(given: Mapping[str, Any], title: str, *notes: str) -> str:
    """The map as one HTML file that needs nothing else: the same picture, to be walked through anywhere."""
    # No tag inside a token may begin or end a script.
    body = json.dumps(dict(given)).replace("<", "\\u003c")
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{ALONE}{CSS}</style></head>"
        f'<body><h1>{escape(title)}</h1><div id="root">{HTML}</div>'
        f'{below}<script type="module">{JS}\n'
        f'traceMap({{ data: {body}, parentElement: document.querySelector("#root"), setStateValue() {{}} }})\n'
        "</script></body></html>"
    )


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
