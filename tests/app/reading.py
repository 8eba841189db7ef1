"""How tests open a page and read what stands on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # for one run of a page: the first one imports torch


def opener(file: str) -> Callable[..., AppTest]:
    """Return the function that opens a page of `pages/`, with values as a link gives them."""

    def open_page(**parameters: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).switch_page(f"pages/{file}")
        for key, value in parameters.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return open_page


def opened_once(open_page: Callable[..., AppTest], **parameters: str):
    """Return a fixture: the page, opened once for the tests of a module that only read it."""

    @pytest.fixture(scope="module")
    def page(tmp_path_factory) -> Iterator[AppTest]:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            patch.setenv("GLASSBOX_RUNS", str(tmp_path_factory.mktemp("runs")))
            yield open_page(**parameters)

    return page


def said(app: AppTest) -> str:
    return "\n".join(piece.value for piece in app.markdown)


def said_in_a_line(app: AppTest) -> str:
    return " ".join(said(app).split())


def formulas(app: AppTest) -> str:
    return "\n".join(piece.value for piece in app.latex)
