"""The kit: labs that reset, vary and link; predictions; progress; search; lesson links; figures of numbers."""

import doctest
import gc
import importlib
import json
import math
import random
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from streamlit.testing.v1 import AppTest

import pages.labs
from explainers import library
from pages.kit import (
    book,
    diagram,
    dim_colors,
    grids,
    lab,
    latex,
    links,
    models,
    plots,
    progress,
    prompt,
    quiz,
    search,
    units,
    words,
)
from pages.kit.claim import ago
from tests.app.reading import opener

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", [latex, plots, quiz, units])
def test_examples_in_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0


def script():
    import streamlit as st

    from pages.kit import controls, lab, prompt
    from pages.kit.controls import Dial

    with lab.frame("t_one", "A lab"):
        width = controls.value_slider("Width", "t_one_d", (4, 16, 64), 16)
        many = controls.integer("Many", "t_one_n", Dial("", 1, 9, 1, "help"), 3)
        part = controls.number("Part", "t_one_p", 0.0, 1.0, 0.5, 0.1, "help")
        on = controls.switch("On", "t_one_s")
        word = controls.dropdown("Word", "t_one_w", ("a", "b"))
        numbers = prompt.matrix_input(
            "t_one_q", ((0.8, 0.1), (-0.2, 0.7)), rows="ab", columns="xy", label="Q"
        )
        st.text(f"{width} {many} {part} {on} {word} {prompt.matrix_text(numbers)}")
        lab.predict(
            "t_one", "More or less?", ("less", "more"), right=1, because="It grows.", then={"t_one_d": 64}
        )
    lab.folded_lab("t_more", "More", lambda: st.text("inside"))


FIRST = "16 3 0.5 False a .8,.1;-.2,.7"


def run(**parameters) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    for key, value in parameters.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> list[str]:
    return [text.value for text in app.text]


def test_a_lab_goes_back_to_where_it_began():
    app = run()
    assert said(app) == [FIRST]
    app.select_slider(key="t_one_d").set_value(64)
    app.slider(key="t_one_n").set_value(9)
    app.toggle(key="t_one_s").set_value(True).run()
    assert said(app) != [FIRST]
    app.button(key="t_one_reset").click().run()
    assert said(app) == [FIRST]


def test_a_surprise_is_legal_and_differs():
    app, seen = run(), set()
    for _ in range(6):
        app.button(key="t_one_surprise").click().run()
        assert not app.exception and not app.warning
        seen.add(said(app)[0])
    assert len(seen) > 3


def test_a_prediction_is_told_and_its_button_sets_the_lab():
    app = run()
    assert not app.success and not app.info
    app.radio(key="t_one_guess").set_value(0).run()
    assert any("Not quite: more. It grows." in info.value for info in app.info)
    app.radio(key="t_one_guess").set_value(1).run()
    assert any("Correct. It grows." in found.value for found in app.success)
    app.button(key="t_one_then").click().run()
    assert said(app)[0].startswith("64 ")


def test_a_matrix_comes_from_its_link_and_an_illegal_one_is_told():
    assert said(run(t_one_q="1,2;3,-.5"))[0].endswith("1,2;3,-.5")
    app = run(t_one_q="1,2;3")
    assert said(app) == [FIRST]
    assert any("2 rows separated by semicolons" in warning.value for warning in app.warning)


def test_more_experiments_cost_nothing_until_they_are_opened():
    assert "inside" not in said(run())
    assert "inside" in said(run(t_more="true"))


def test_a_lesson_link_holds_widgets_still():
    app = run(lock="t_one_d,t_one_s")
    assert app.select_slider(key="t_one_d").disabled and app.toggle(key="t_one_s").disabled
    assert not app.slider(key="t_one_n").disabled
    app.button(key="t_one_surprise").click().run()
    assert said(app)[0].startswith("16 ") and " False " in said(app)[0]
    assert run(lock="all").slider(key="t_one_n").disabled


@pytest.mark.parametrize(
    "rule", [links.Number(1, 9), links.Number(0.0, 1.0, 0.1), links.Choice(["4", "16"]), links.Switch()]
)
def test_a_random_value_is_one_a_link_may_ask_for(rule):
    default = {"Number": 1.0 if rule == links.Number(0.0, 1.0, 0.1) else 1, "Choice": 4, "Switch": False}
    for seed in range(20):
        value = lab.random_value(rule, default[type(rule).__name__], random.Random(seed))
        assert rule.refuses(links.format_value(value)) is None


def test_matrices_are_checked():
    rule = links.Matrix(2, 2, -1, 1)
    assert rule.refuses(".5,-.5;1,0") is None
    for wrong in ("", "1,2", ".5,.5;.5", "2,0;0,0", "a,b;c,d", ".1,.1;.1,.1;.1,.1"):
        assert "2 rows" in rule.refuses(wrong)


def test_a_matrix_is_written_short_and_read_back():
    assert prompt.matrix_text(((0.8, 0.1), (-0.2, 10.5))) == ".8,.1;-.2,10.5"


def steps_script():
    import streamlit as st

    from pages.kit import links
    from pages.kit.worked_example import Steps

    links.restore_sticky()
    with Steps(4, key="four") as step:
        for name in "abcd":
            if step(name):
                st.text(name)
    st.text("below")


def test_a_lesson_link_opens_so_many_steps_and_a_button_the_next():
    app = AppTest.from_function(steps_script)
    app.query_params["step"] = "2"
    app.run()
    assert said(app) == ["a", "b", "below"]
    app.button[0].click().run()
    assert said(app) == ["a", "b", "c", "below"]
    app.button[0].click().run()
    assert said(app) == ["a", "b", "c", "d", "below"]


def test_each_step_has_a_tab_until_all_are_asked_for():
    app = AppTest.from_function(steps_script).run()
    assert [(tab.label, [text.value for text in tab.text]) for tab in app.tabs] == [
        (f"Step {number}", [name]) for number, name in enumerate("abcd", 1)
    ]
    app.toggle(key="four_all").set_value(True).run()
    assert said(app) == ["a", "b", "c", "d", "below"] and not app.tabs


# Progress


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b'{"passed": 7, "last": {}}', b"null"])
def test_progress_that_cannot_be_read_is_begun_again(data, own_runs):
    def reader():
        import streamlit as st

        from pages.kit import progress

        st.text(f"{progress.passed_in(5)} {progress.last_page()}")

    own_runs.mkdir(parents=True)
    (own_runs / "progress.json").write_bytes(data)
    app = AppTest.from_function(reader).run()
    assert not app.exception and app.text[0].value == "0 None"


def test_progress_is_kept_in_the_runs_folder(own_runs):
    def script():
        from pages.kit import progress

        progress.tick("c5.one", "c5.two", "c5.one")
        progress.visit("attention")

    assert not AppTest.from_function(script).run().exception
    kept = json.loads((own_runs / "progress.json").read_text(encoding="utf-8"))
    assert kept == {"passed": ["c5.one", "c5.two"], "last": "attention"}

    def later():
        import streamlit as st

        from pages.kit import progress

        st.text(f"{progress.passed_in(5)} {progress.passed_in(4)} {progress.last_page()}")

    assert said(AppTest.from_function(later).run()) == ["2 0 attention"]


def test_two_tabs_take_nothing_from_each_other(own_runs):
    def script():
        import streamlit as st

        from pages.kit import progress

        if name := st.query_params.get("name"):
            progress.tick(name)
        st.text(f"{progress.passed_in(5)}")

    tabs = [AppTest.from_function(script).run() for _ in range(2)]
    for tab, name in zip(tabs, ("c5.one", "c5.two")):
        tab.query_params["name"] = name
        tab.run()
    assert json.loads((own_runs / "progress.json").read_text(encoding="utf-8"))["passed"] == [
        "c5.one",
        "c5.two",
    ]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"passed": 3}', '{"passed": [1, {}], "last": []}', "x"])
def test_what_anybody_can_write_is_taken_with_care(text):
    assert progress._parse(text) == {"passed": [], "last": None}


@pytest.mark.parametrize("text", ["", "!", "!!!", "%7B%22passed%22%3A3%7D", "%7B", "x" * 50])
def test_a_cookie_that_anybody_can_write_is_taken_with_care(text):
    assert progress._parse_cookie(text) == {"passed": [], "last": None}


def test_cookies_of_both_editions_are_read():
    state = {"passed": ["c5.why_mask", "done.5", "c0.a!b"], "last": "attention"}
    assert progress._parse_cookie("attention!c5.why_mask!done.5!c0.a%21b") == state
    assert progress._parse_cookie(quote(json.dumps(state, separators=(",", ":")))) == state


def test_all_that_can_be_passed_fits_into_a_cookie():
    """Every question, chapter, prediction and case: a learner who finishes the book loses none of it."""
    labs = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py"))
    predictions = re.findall(r'predict\(\s*f?"(c\d+_\w+)', labs)
    banks = {
        path.stem: words.questions(path.stem).sections for path in (words.TEXT / "en/questions").glob("*.md")
    }
    names = [f"c{int(file[:2])}.{name}" for file, sections in banks.items() for name in sections]
    names += [f"{name.split('_')[0]}.{name}.predicted" for name in predictions]
    names += [f"done.{chapter}" for chapter in range(12)]
    names += [f"c8.case_{case}{end}" for case in range(1, 11) for end in ("", "_right")]
    assert len(banks) == 12 and len(predictions) > 30
    assert len(progress.BETWEEN.join(["attention", *names])) < progress.MOST_BYTES


def test_whatever_passes_a_check_has_the_browser_keep_it():
    """A fragment runs without the header, so it writes the cookie itself; an import runs the whole page again."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py")}
    ticking = {name for name, source in sources.items() if "progress.tick(" in source}
    assert {name for name in ticking if "progress.write_cookie(" not in sources[name]} == {"my_work.py"}
    assert "st.rerun()" in sources["my_work.py"]


# Search


def test_search_finds_a_heading_before_a_word_in_the_text():
    found = search.find("mask", [("05_attention", "5 · Attention"), ("09_inference", "9 · Inference")])
    assert "mask" in found[0].heading.lower()


def test_search_means_short_words_whole_and_shows_no_formulas():
    assert search._begins("he", ("he", "looks", "whether"))
    assert not search._begins("he", ("heads", "shares")) and search._begins("hea", ("heads", "shares"))
    assert search.plain("divided by $\\sqrt d$, [[n]] times") == "divided by …, … times"


def test_search_wants_every_word_and_takes_beginnings():
    files = [("05_attention", "5 · Attention"), ("09_inference", "9 · Inference")]
    assert search.find("repet penal", files)[0].file == "09_inference"
    assert search.find("penalty zebra", files) == []
    assert search.find("  ", files) == []


def test_search_reads_the_explainers_too_by_title_summary_heading_and_text():
    def topics(query):
        return [one.file for one in search.find_explainers(query)]

    assert topics("rotary embed")[0] == "rotary-embeddings", "the title"
    assert topics("crowd toss coin") == ["why-divide-by-root-d"], "the text"
    found = search.find_explainers("testing for leaks")
    assert (found[0].file, found[0].heading) == ("causal-masking", "Testing for leaks")
    summary = library.explainer("scaling").summary.split(",")[0]
    assert "scaling" in topics(summary)
    assert len(topics("softmax")) == len(set(topics("softmax"))) == search.MOST_EXPLAINERS
    assert topics("softmax zebra") == []


def test_the_sidebar_leads_from_a_word_to_an_explainer():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    app.text_input(key="search_book").set_value("testing for leaks").run()
    assert not app.exception
    links = [link.proto for link in app.get("page_link") if link.proto.label.startswith("Causal masking")]
    assert [link.query_string for link in links] == ["topic=causal-masking"]


# Figures


def test_no_cell_text_above_32():
    small = grids.heatmap([[0.5] * 4] * 4, rows="abcd", columns="abcd", numbers=".2f")
    assert small.figure.data[0].text is not None
    n = 40
    large = grids.heatmap([[0.5] * n] * n, rows=["r"] * n, columns=["c"] * n, numbers=".2f")
    assert large.figure.data[0].text is None
    assert len(large.figure.layout.xaxis.ticktext) <= grids.MOST_NAMES


def test_a_large_matrix_is_averaged_for_drawing():
    n = 3 * grids.MOST_CELLS
    values = [[float(i == j) for j in range(n)] for i in range(n)]
    drawn = grids.heatmap(values, rows=["r"] * n, columns=["c"] * n).figure.data[0]
    assert len(drawn.z) <= grids.MOST_CELLS
    assert sum(map(sum, drawn.z)) / len(drawn.z) ** 2 == pytest.approx(1 / n)


def test_a_forbidden_cell_is_left_empty():
    picture = grids.matrix([[1.0, -math.inf], [0.5, 0.25]], rows="ab", columns="ab", name="scores")
    assert picture.figure.data[0].z[0][1] is None
    assert "−∞" in picture.alt


PICTURES = {
    "heatmap": lambda: grids.heatmap([[0.1]], rows="a", columns="a"),
    "curves": lambda: plots.curves(
        [1, 2], {"a": plots.Band([1, 2], [0, 1], [2, 3])}, x_title="x", y_title="y"
    ),
    "columns": lambda: plots.columns(["a"], {"b": [1.0]}, y_title="y"),
    "treemap": lambda: plots.treemap({"a": 3, "b": 1}, whole="all", unit="weights", letters={"a": "V"}),
    "clocks": lambda: plots.rotation_dials([0.0, 1.0], ["a", "b"], other=[1.0, 2.0]),
    "scatter": lambda: plots.scatter({"a": [(0, 1, "x")]}, x_title="x", y_title="y"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_figure_has_words_and_no_webgl(name):
    figure, alt = PICTURES[name]()
    assert alt.endswith(".") and json.loads(figure.to_json())
    assert not [trace for trace in figure.data if "gl" in trace.type or "3d" in trace.type]
    assert figure.layout.uirevision


def test_a_dimension_has_one_color_and_it_reads_on_any_page():
    assert len(set(dim_colors.COLORS.values())) == len(dim_colors.COLORS) == 7
    assert dim_colors.color("S") == dim_colors.color("T")
    ink = luminance(dim_colors.INK)
    for shade in dim_colors.COLORS.values():
        assert (luminance(shade) + 0.05) / (ink + 0.05) > 4.5


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_how_long_ago_is_said_as_people_say_it():
    from datetime import datetime, timedelta

    now = datetime.fromisoformat("2026-01-02T12:00:00+00:00")
    for seconds, said_ago in (
        (5, "just now"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (90_000, "1 day ago"),
    ):
        assert ago((now - timedelta(seconds=seconds)).isoformat(), now) == said_ago


def test_a_page_computes_with_one_thread_and_a_large_model_with_all(monkeypatch):
    importlib.reload(pages.labs)
    models.ModelHandle(str(models.shipped_path()), -1).load()
    assert torch.get_num_threads() == 1
    monkeypatch.setattr(models, "LARGE", 1000)
    monkeypatch.setattr("gptcore.resources.available_cores", lambda: 3)
    try:
        models.ModelHandle(str(models.shipped_path()), -2).load()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_what_a_page_has_read_in_is_not_looked_through_at_every_move(own_runs):
    book._read_in.clear()
    gc.unfreeze()
    app = opener("04_positions.py")()
    frozen = gc.get_freeze_count()
    assert frozen > 100_000  # torch alone is more
    app.run()
    assert gc.get_freeze_count() <= frozen  # once: what a visit leaves behind is collected


def test_a_side_input_of_a_diagram_stands_right_before_the_box_it_goes_into():
    nodes = [diagram.Node(name, name) for name in ("ids", "table", "x", "positions", "rotate", "out")]
    pairs = (
        ("ids", "table"), ("table", "x"), ("x", "rotate"), ("positions", "rotate"), ("rotate", "out"),
        ("out", "ids"),
    )  # fmt: skip
    edges = [diagram.Edge(*pair) for pair in pairs]
    rank = diagram.ranks(nodes, edges)
    assert [rank[name] for name in ("ids", "table", "x", "rotate", "out")] == [0, 1, 2, 3, 4]
    assert rank["positions"] == rank["x"]
    assert diagram.lanes(nodes, edges)["positions"] == (1, 2)
    with pytest.raises(ValueError, match="nowhere"):
        diagram.ranks(nodes, [diagram.Edge("ids", "nowhere")])
