"""Every page with every widget at each extreme, and with random combinations: no exception.

Six combinations a page in the normal run; hundreds, and each widget by itself, with `pytest -m long`.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.kit.book import TABLE

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
rows = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.url)
LONG_TEXT = "the king and the dragon " * 20
# Widgets that choose another model, or that only search: they belong to the sidebar and to their own tests.
NOT_HERE = {"model_chosen", "search_book"}


def opened(row) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    app = app.switch_page(f"pages/{row.file}").run()
    assert not app.exception
    return app


def widgets(app: AppTest) -> list[tuple[object, list]]:
    """Every widget that can be set, with its values: lowest first, highest last."""
    found: list[tuple[object, list]] = []
    for one in app.slider:
        middle = one.min + (one.max - one.min) // (one.step or 1) // 2 * (one.step or 1)
        found.append((one, [one.min, middle, one.max]))
    found += [(one, list(one.options)) for kind in ("select_slider", "selectbox") for one in app.get(kind)]
    found += [(one, [False, True]) for kind in ("toggle", "checkbox") for one in app.get(kind)]
    found += [(one, [one.min, one.max]) for one in app.number_input if one.max is not None]
    found += [(one, ["", "a", LONG_TEXT]) for one in app.text_input]
    found += [(one, list(one.options)) for one in app.segmented_control]
    usable = [
        (one, values) for one, values in found if values and one.key not in NOT_HERE and not one.disabled
    ]
    return usable


def put(widget, value) -> None:
    if widget.type == "selectbox":
        widget.select_index(widget.options.index(value))
    elif widget.type == "select_slider" and not isinstance(widget.value, str):
        widget.set_value(type(widget.value)(value))
    else:
        widget.set_value(value)


def turn(app: AppTest, choose: Callable[[list], object]) -> AppTest:
    """Set every widget at once and run."""
    chosen = [(widget.key, choose(values)) for widget, values in widgets(app)]
    for (widget, _), (_, value) in zip(widgets(app), chosen, strict=True):
        put(widget, value)
    app.run()
    assert not app.exception, (chosen, [error.message for error in app.exception])
    return app


@rows
def test_every_widget_at_each_extreme_and_random_combinations(row):
    draw, app = random.Random(5), opened(row)
    turn(app, lambda values: values[0])
    turn(app, lambda values: values[-1])
    for _ in range(6):
        turn(app, draw.choice)


@pytest.mark.long
@rows
def test_hundreds_of_random_combinations(row):
    draw, app = random.Random(7), opened(row)
    for _ in range(300):
        turn(app, draw.choice)


@pytest.mark.long
@rows
def test_each_widget_by_itself_at_each_extreme(row):
    app = opened(row)
    for key in [widget.key for widget, _ in widgets(app)]:
        for end in (0, -1):
            if key not in {widget.key for widget, _ in widgets(app)}:  # another one has taken it away
                app = opened(row)
            widget, values = next((w, v) for w, v in widgets(app) if w.key == key)
            put(widget, values[end])
            app.run()
            assert not app.exception, (key, values[end])
