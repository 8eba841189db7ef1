"""Every page of the book opens, from `app.py` and from a bookmark on a freshly started server."""

import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.runs.execute import start
from gptcore.runs.request import RunRequest
from pages.kit.book import HOST, TABLE

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60  # torch may be imported for the first time
SHOW_THE_MODEL = ("home", "overview", "attention", "block", "model", "inference", "journey")
rows = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.url)


def open_page(row) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    return app.switch_page(f"pages/{row.file}").run()


def check(app: AppTest, row) -> None:
    assert not app.exception
    assert [title.value for title in app.title] == [row.title]
    assert "Model in use" in [box.label for box in app.sidebar.selectbox]


@rows
def test_page_opens_cold_by_its_own_link(row):
    check(open_page(row), row)


@rows
def test_page_opens_directly_without_the_app(row):
    check(AppTest.from_file(str(ROOT / "pages" / row.file), default_timeout=SECONDS).run(), row)


@rows
def test_page_opens_after_the_app_has_run(row):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).run()
    assert not app.exception
    check(app.switch_page(f"pages/{row.file}").run(), row)


def test_the_app_opens_its_first_page():
    check(AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).run(), TABLE[0])


@rows
def test_page_draws_its_sidebar_once(row):
    app = open_page(row)
    app.run()
    check(app, row)
    assert len(app.sidebar.selectbox) == 1


@pytest.fixture(scope="module")
def short_context(tmp_path_factory) -> Path:
    """A runs folder with one run, of a model whose context is shorter than every built-in prompt."""
    runs = tmp_path_factory.mktemp("runs")
    shape = {
        "d_model": 16,
        "n_layers": 1,
        "n_heads": 2,
        "n_kv_heads": 1,
        "context_length": 8,
        "vocab_size": 300,
    }
    settings = shape | {"batch_size": 2, "n_samples": 1, "n_evals": 1}
    text = str(ROOT / "explainers" / "rmsnorm.md")
    request = RunRequest(settings=settings, corpus=text, tokenizer="train", steps=2)
    assert [event.event for event in start(request, runs / "short")][-1] == "done"
    return runs


@pytest.mark.parametrize("row", [row for row in TABLE if row.url in SHOW_THE_MODEL], ids=lambda row: row.url)
def test_page_opens_with_a_model_of_a_short_context(row, short_context, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(short_context))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).switch_page(f"pages/{row.file}")
    app.query_params["model"] = "short"
    check(app.run(), row)
    assert app.sidebar.selectbox(key="model_chosen").value == "short"


def test_table_and_files_agree():
    files = {path.name for path in (ROOT / "pages").glob("*.py")} - {"__init__.py"}
    assert {row.file for row in (*TABLE, HOST)} == files
    for field in ("file", "url", "title"):
        values = [getattr(row, field) for row in TABLE]
        assert len(set(values)) == len(values), field


def test_the_first_words_wait_for_no_large_library():
    """The front page and chapter 0 write them once these are imported: a fresh server reads in torch after that."""
    large = ("torch", "numpy", "pandas", "transformers")  # Streamlit itself imports Plotly
    ours = "pages.kit.book, pages.kit.front, pages.kit.living_model"
    program = f"import sys, {ours}; print([m for m in {large} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.strip() == "[]", said.stdout + said.stderr


def test_no_page_loads_sympy():
    """Some calls of torch load it, although they need none of it: 35 MB for every server."""
    program = f"""
import sys
import explainers  # AppTest puts pages/ first on the path, whose explainers.py would stand for it
from streamlit.testing.v1 import AppTest
for file in {[row.file for row in TABLE]}:
    assert not AppTest.from_file(f"pages/{{file}}", default_timeout={SECONDS}).run().exception
    if "sympy" in sys.modules:
        print(file)
print("all opened")
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout == "all opened\n", said.stdout + said.stderr
