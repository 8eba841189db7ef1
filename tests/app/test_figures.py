"""Figures are pure: numbers in, a figure and its words out."""

import ast
import dataclasses
import json
import math
from pathlib import Path

import plotly.graph_objects as go
import pytest
import run_logs

import pages
from gptcore.config import PRESETS
from pages.kit import chips, curves, figures, generation_figures, plots
from pages.kit.figures import MOST_POINTS, Line, add_lines, empty_figure, thin
from pages.kit.history import History, late_gains


def events(n_steps=100, *, floor=2.0, ladder=True, total=200):
    """The events of an invented run whose loss halves its distance to the floor every 10 steps."""
    yield {"event": "start", "total_steps": total, "uniform": 7.6, "unigram": 5.5, "floor": floor}
    for step in range(n_steps + 1):
        loss = 2.0 + 5.6 * 0.5 ** (step / 10)
        place = {"step": step, "tokens": 100 * step, "seconds": step / 10}
        if step:
            yield {
                "event": "step",
                **place,
                "loss": loss,
                "lr": 1e-3,
                "grad_norm": 1.0,
                "tokens_per_second": 5e4,
            }
        if step % 10 == 0:
            scores = {"rate": min(1, step / 40), "new": 0.3, "pronouns": 0.5, "names": step / n_steps}
            yield {"event": "eval", **place, "val_loss": loss + 0.1}
            yield {"event": "sample", **place, "text": "A", "ladder": scores if ladder else None}


@pytest.fixture
def history():
    return History.of(events())


TABLES = {order: {"rate": 0.5, "new": 0.2, "pronouns": 0.6, "names": None} for order in (3, 5, 7)}
DRAWINGS = {
    "loss": curves.loss,
    "loss_log": lambda h: curves.loss(h, log_x=True),
    "learning_rate": curves.learning_rate,
    "gradient_norm": curves.gradient_norm,
    "speed": curves.speed,
    "ladder": curves.story_scores,
    "ladder_tables": lambda h: curves.story_scores(h, TABLES, log_x=True),
    "finding": curves.story_score_finding,
}
drawings = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)


def test_a_revised_number_of_steps_is_the_one_that_is_left_to_do():
    first = list(events(50, total=200))
    history = History.of(first)
    at = {"step": 50, "tokens": 5_000, "seconds": 5.0}
    history.add([{"event": "revision", **at, "total_steps": 100}])
    assert (history.total_steps, history.fraction_done) == (100, 0.5)
    assert history.seconds_left == pytest.approx(5.0)


@drawings
def test_every_figure_has_words_and_serialises(draw, history):
    figure, alt = draw(history)
    assert alt.strip() and alt.endswith(".")
    assert json.loads(figure.to_json())


@drawings
def test_every_figure_stands_before_the_first_step(draw):
    figure, alt = draw(History())
    assert isinstance(figure, go.Figure) and alt


@drawings
def test_no_figure_uses_webgl(draw, history):
    assert not [trace for trace in draw(history).figure.data if "gl" in trace.type or "3d" in trace.type]


@drawings
def test_zoom_survives_an_update_and_not_another_run(draw):
    revisions = [
        draw(History.of(events(n), name=name)).figure.layout.uirevision
        for n, name in ((20, "one"), (90, "one"), (90, "two"))
    ]
    assert revisions[0] == revisions[1] != revisions[2]


def test_loss_draws_every_known_level_and_no_other(history):
    named = [note.text for note in curves.loss(history).figure.layout.annotations]
    assert named == ["uniform 7.60", "unigram 5.50", "floor 2.00"]
    without = curves.loss(History.of(events(floor=None))).figure.layout.annotations
    assert [note.text for note in without] == ["uniform 7.60", "unigram 5.50"]


def test_x_axis_stands_still_while_a_run_goes_on():
    ranges = [curves.loss(History.of(events(n))).figure.layout.xaxis.range for n in (10, 60)]
    assert ranges[0] == ranges[1] == (0, 200)


def test_ladder_leaves_out_what_a_table_does_not_know(history):
    names = [trace.text[1] for trace in curves.story_scores(history, TABLES).figure.data if trace.text]
    assert names.count("3-gram") == 3  # not for the names, which are None


def test_a_loss_that_is_no_number_leaves_a_gap():
    broken = {
        "step": 1,
        "tokens": 1,
        "seconds": 1,
        "loss": None,
        "lr": 1,
        "grad_norm": None,
        "tokens_per_second": 1,
    }
    history = History.of([{"event": "step", **broken}])
    assert math.isnan(history.loss[0])
    assert curves.loss(history).figure


def test_history_grows_as_if_read_at_once():
    whole, parts = History.of(events()), History()
    told = list(events())
    for event in told:
        parts.add([event])
    assert parts == whole


def test_seconds_left_is_the_pace_so_far(history):
    assert history.seconds_left == pytest.approx(10.0)  # 100 steps took 10 s, 100 are to come


def test_late_gains_measure_what_the_loss_hides(history):
    gains = late_gains(history)
    # Nine tenths of the fall to the last value: 0.5 ** (step / 10) first below about 0.1 at step 40.
    assert gains.step == 40
    assert gains.names_then == pytest.approx(0.4) and gains.names_now == pytest.approx(1.0)
    assert gains.loss_moved < 0.1 * gains.loss_all + 1e-9


def test_late_gains_are_unknown_without_scores_or_without_a_fall():
    assert late_gains(History.of(events(ladder=False))) is None
    assert late_gains(History()) is None


def test_thinning_keeps_the_mean_and_the_end():
    x, y = list(range(5000)), [float(value % 7) for value in range(5000)]
    thin_x, thin_y = thin(x, y)
    assert len(thin_x) == len(thin_y) <= MOST_POINTS
    assert thin_x[-1] == 4999
    assert sum(thin_y) / len(thin_y) == pytest.approx(3.0, abs=0.1)
    assert thin(x[:10], y[:10]) == (x[:10], y[:10])


def test_levels_without_a_value_are_left_out():
    figure = empty_figure(x="x", y="y")
    add_lines(figure, [Line("a", None), Line("b", math.nan), Line("c", 1.0)], [0, 1])
    assert len(figure.data) == 1


@pytest.mark.parametrize("log_y", [False, True])
def test_the_name_of_a_level_stands_on_its_line(log_y):
    figure, _ = plots.curves(
        [1, 2], {"a": [3.0, 900.0]}, x_title="x", y_title="y", log_y=log_y, lines=[Line("b", 100.0), Line("c", 0.0)]
    )  # fmt: skip
    at = [note.y for note in figure.layout.annotations]
    assert at == ([2.0] if log_y else [100.0, 0.0])  # of a note on a logarithmic axis plotly wants the power
    assert figure.data[1].y == (100.0, 100.0)  # and of a curve the value


def test_bars_tell_cut_off_tokens_from_kept_ones():
    figure, alt = generation_figures.probability_bars(
        [" a", "b", "b"], [0.5, 0.3, 0.2], after=[0.625, 0.375, 0.0], chosen=1
    )
    (bar,) = figure.data
    assert sum(bar.x) == 1 and bar.text == ("50.0% → 62.5%", "30.0% → 37.5%", "20.0%")
    assert bar.marker.color[0] == bar.marker.color[1] != bar.marker.color[2]
    assert bar.marker.pattern.shape == ("", "", "/")
    assert bar.marker.line.width == (0, 3, 0)
    assert figure.layout.yaxis.ticktext == ("␣a", "b", "b")  # equal texts stay two bars
    assert "1 of the tokens shown are filtered out" in alt


@pytest.mark.parametrize(("token", "shown"), [(" the", "␣the"), ("\n", "⏎"), ("  ", "␣␣"), ("", "(empty)")])
def test_spaces_and_line_ends_are_visible(token, shown):
    assert chips.visible(token) == shown


def test_time_per_token_is_in_milliseconds_from_the_first_position():
    figure, alt = generation_figures.time_per_token(
        {"cache off": [0.001, 0.002], "cache on": [0.001, 0.001]}, 10
    )
    assert figure.data[0].x == (10, 11)
    assert figure.data[0].y == (1.0, 2.0)
    assert "cache off: last token 2.0 ms" in alt


def test_names_on_a_map_do_not_lie_upon_each_other_and_can_all_be_pointed_at():
    near = [(0.0, 0.0, "here"), (0.01, 0.001, "beside"), (1.0, 1.0, "far")]
    dots = plots.scatter({"a": near}, x_title="x", y_title="y").figure.data[0]
    assert list(dots.text) == ["here", "", "far"]
    assert list(dots.hovertext) == ["here", "beside", "far"]


def test_a_search_is_drawn_with_every_token_its_fate_and_both_paths():
    from pages.kit import trees

    fates = ("kept", "kept", "cut", "ended", "greedy")
    leaves = [
        trees.Leaf(token="", row=0, parent=0, fate="kept"),
        trees.Leaf(token=" the", row=1, parent=0, fate="kept"),
        trees.Leaf(token=" <a & long one>", row=1, parent=0, fate="cut"),
        trees.Leaf(token=".", row=2, parent=1, fate="ended", note="p 50%"),
        trees.Leaf(token=" end", row=2, parent=2, fate="greedy"),
    ]
    picture = trees.beam_tree(leaves, best=[1, 3], greedy=[2, 4], root="… so")
    boxes = {box.text: box for box in picture.figure.layout.annotations}
    assert list(boxes) == ["… so", "␣the", "␣&lt;a &amp; lon…", ".", "␣end"]
    assert boxes["."].bgcolor == trees.BOXES["ended"][0]
    assert boxes["."].hovertext == "p 50%"
    assert [boxes["␣the"].y, boxes["␣end"].y] == [1, 2]
    considered, greedy, best = picture.figure.data
    assert [len(line.x) for line in (considered, greedy, best)] == [12, 6, 6]
    assert best.x[:2] == (boxes["… so"].x, boxes["␣the"].x)
    assert all(one in trees.BOXES for one in fates)
    assert "Best: the." in picture.alt
    assert "1 dropped" in picture.alt


def history_of(*events) -> History:
    return History.of([event.to_dict() for event in events])


def test_the_axis_of_a_long_run_grows_with_it_until_all_of_it_is_shown():
    def end(step: int) -> float:
        events = [run_logs.trained(n, 5.0) for n in range(1, step + 1)]
        return curves.loss(history_of(run_logs.start(10_000), *events)).figure.layout.xaxis.range[1]

    assert [end(step) for step in (2, 50, 100)] == [64, 128, 256]
    assert end(2_600) == 10_000


def test_what_is_left_follows_the_pace_of_the_last_steps():
    slow = [dataclasses.replace(run_logs.trained(n, 5.0), seconds=1.0 + n) for n in range(11, 21)]
    events = [run_logs.start(40), *(run_logs.trained(n, 5.0) for n in range(1, 11)), *slow]
    assert history_of(*events).seconds_left == pytest.approx(20.0)  # of one second each, not of a tenth


def test_a_run_that_was_given_seconds_is_over_when_they_are():
    config = {"model": PRESETS["nano"].model.to_dict(), "train": {"seconds": 10.0}, "corpus": "stories"}
    late = [dataclasses.replace(run_logs.trained(n, 5.0), seconds=float(n)) for n in range(1, 11)]
    running = history_of(run_logs.start(100, config=config), *late)
    assert running.fraction_done == pytest.approx(0.8)  # of the 12.5 s after which it ends in any case
    assert running.seconds_left == pytest.approx(2.5)
    over = history_of(run_logs.start(100, config=config), *late, run_logs.done(10, "seconds"))
    assert over.fraction_done == 1.0


def test_every_chart_of_the_pages_goes_through_the_one_function_that_shows_figures():
    charts = (
        "plotly_chart",
        "mermaid_chart",
        "line_chart",
        "bar_chart",
        "altair_chart",
        "pyplot",
        "graphviz_chart",
    )
    callers = {
        path
        for path in Path(pages.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in charts
    }
    assert callers == {Path(figures.__file__)}
