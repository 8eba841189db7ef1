"""What a visitor, a link, an imported run or a model wrote is shown as it was written, never as Markdown or HTML."""

import json
import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.files import write_json
from gptcore.runs.run import Run, rename, request_file
from pages.kit import curves, escape, generation_figures, grids, plots, words
from pages.kit.history import History
from tests.app.reading import opener

FINISHED = Path(__file__).resolve().parents[1] / "first_edition" / "runs" / "finished"
LINK = "http://evil.example"
HOSTILE = {
    "emphasis": "**bold** _it_ ~~gone~~",
    "link": f"[a]({LINK})",
    "image": f"![a]({LINK}/x.png)",
    "bare address": f"{LINK}/x www.evil.example a@evil.example",
    "tag": f'<a href="{LINK}">a</a><script>alert(1)</script>',
    "formula": "$x^2$ and $$y$$",
    "directive": ":red[a] :material/home: :smile: :blue-badge[b]",
    "code": "`a` ``b`` `",
    "block": "# a\n\n> b\n\n- c\n\n1. d\n\n===",
    "entity": "&lt;b&gt; &#42;",
    "table": "a | b",
    "control": "a\x00b\x1b[31m",
    "arrow": "a -> b <- c -- d",
}
NAME = f"**N** [n]({LINK}) <b>x</b> :red[r] $1$"
NOTE = f"[note]({LINK}) ![i]({LINK}/i.png) **note**"
CORPUS = f"*c* [c]({LINK}).txt"
READ_AS_MARKDOWN = [
    "markdown",
    "caption",
    "info",
    "error",
    "warning",
    "success",
    "title",
    "header",
    "subheader",
]
READ_AS_MARKDOWN += ["button", "radio", "button_group", "metric"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_text_is_left_for_markdown_to_read(text):
    escaped = escape.markdown(text)
    shown = escaped.replace("\u2060", "")
    for mark in "*_`[]<$|~":
        assert shown.count(mark) == shown.count(f"\\{mark}")
    assert "http://" not in escaped and "www." not in escaped and "\n" not in escaped
    assert escape.markdown(escaped) is escaped


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_code_span_ends_where_it_should(text):
    span = escape.code(text)
    assert span.count("`") == 2 and span[0] == span[-1] == "`" and "\n" not in span


def test_a_sentence_keeps_its_code_and_nothing_else():
    said = escape.sentence(f"`d_model` (3) is odd in **this** [file]({LINK})")
    assert said.startswith("`d_model` (3) is odd in \\*\\*this") and "[file\\](" in said


def test_words_take_text_as_text_and_markdown_as_markdown():
    filled = words.fill(
        "Of [[who]], `[[who]]` and [[ours]]", {"who": "`*x*", "ours": escape.Markdown("**y**")}
    )
    assert filled == "Of \\`\\*x\\*, `ˋ*x*` and **y**"


@pytest.mark.parametrize("text", [HOSTILE["tag"], "%{x} $a$ &amp;"])
def test_figures_show_names_as_text(text):
    history = History(
        name="a", steps=[1], loss=[1.0], tokens_seen=[1], seconds=[1.0], eval_steps=[1], val_loss=[1.0]
    )
    pictures = [
        plots.curves([1, 2], {text: [1.0, 2.0]}, x_title="x", y_title="y"),
        plots.columns([text], {text: [1.0]}, y_title="y"),
        plots.signed([text], [1.0], y_title="y", alt=""),
        plots.scatter({text: [(0.0, 0.0, text)]}, x_title="x", y_title="y"),
        grids.heatmap([[0.5]], rows=[text], columns=[text]),
        generation_figures.probability_bars([text], [0.5]),
        curves.comparison({text: history}),
    ]
    for picture in pictures:
        drawn = json.dumps(picture.figure.to_plotly_json(), default=list)
        assert "<a href" not in drawn and "<script" not in drawn
        assert ("%{x} $" not in drawn and "&amp;amp;" in drawn) or "tag" not in text


@pytest.fixture
def hostile_run(own_runs) -> Run:
    """A finished run whose every text is hostile."""
    own_runs.mkdir(parents=True)
    shutil.copytree(FINISHED, own_runs / "hostile")
    run = Run(own_runs / "hostile")
    config = json.loads((run.folder / "config.json").read_text()) | {"notes": [NOTE], "corpus_name": CORPUS}
    (run.folder / "config.json").write_text(json.dumps(config))
    write_json(request_file(run.folder), {"owners": ["home"], "asked": 1.0})
    rename(run, NAME)
    return run


def read_as_markdown(app: AppTest) -> list[str]:
    """Every text of a page that Streamlit reads as Markdown."""
    found = []
    for kind in READ_AS_MARKDOWN:
        for element in app.get(kind):
            found += [getattr(element, "label", "") or "", getattr(element, "value", "") or ""]
            if kind in ("radio", "button_group"):
                found += [str(option) for option in element.options]
    return [text for text in found if isinstance(text, str)]


@pytest.mark.parametrize(
    ("page", "parameters"),
    [
        ("runs.py", {"run": "hostile", "note": NOTE}),
        ("00_overview.py", {"model": "hostile", "c0_prompt": f"Once **[a]({LINK})** <b>x</b>"}),
        ("10_script.py", {"model": "hostile"}),
        ("08_training.py", {"run": "hostile"}),
        ("02_tokens.py", {"c2_text": f"**[a]({LINK})** <b>", "c2_new": f"[a]({LINK})"}),
        ("05_attention.py", {"c5_heads_text": f"Once [a]({LINK}) <b>x</b> **y**"}),
        ("journey.py", {"j_text": f"Once [a]({LINK}) <b>x</b> **y**"}),
    ],
)
def test_no_page_reads_outside_text_as_markdown(page, parameters, hostile_run):
    app = opener(page)(**parameters)
    shown = read_as_markdown(app)
    outside_code = [re.sub(r"`[^`\n]*`", "", text) for text in shown]
    assert [text for text in outside_code if f"]({LINK}" in text or re.search(r"(?<!\\)<b>x", text)] == []
    if "run" in parameters:
        assert any(escape.sentence(NOTE) == text for text in shown)
