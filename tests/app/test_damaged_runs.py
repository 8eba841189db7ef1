"""Whatever a run folder holds, the pages that show it say one sentence and go on, and its owner can delete it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.files import write_json
from gptcore.runs.run import Run, request_file
from tests.app.reading import opener

FINISHED = Path(__file__).resolve().parents[1] / "first_edition" / "runs" / "finished"


def write(name: str, data: bytes | str) -> Callable[[Path], object]:
    """A damage that puts other data into a file of a run."""
    return lambda run: (run / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def cut(name: str) -> Callable[[Path], object]:
    """A damage that keeps the first half of a file."""
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[: (run / name).stat().st_size // 2])


def edit(name: str, **fields) -> Callable[[Path], object]:
    """A damage that gives fields of a JSON file other values."""
    return lambda run: write_json(run / name, json.loads((run / name).read_text()) | fields)


def events(*lines: str) -> Callable[[Path], object]:
    """A damage that leaves these events alone."""
    return write("events.jsonl", "".join(f"{line}\n" for line in lines))


def one_step(run: Path) -> None:
    """A run that has a single step and a single score, from which no line can be drawn."""
    kept = [line for line in (run / "events.jsonl").read_text().splitlines() if json.loads(line)["step"] <= 1]
    events(*kept)(run)


def odd_history(run: Path) -> None:
    for name in ("²", "٤", "000000000000000000000000001", "latest", "-1"):
        shutil.copytree(run / "latest", run / "history" / name)
    kept = next(
        folder for folder in (run / "history").iterdir() if folder.name.isascii() and folder.name.isdigit()
    )
    (kept / "model.safetensors").write_bytes(b"no weights")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda run: [shutil.rmtree(run), run.mkdir()],
    "no_config": lambda run: (run / "config.json").unlink(),
    "cut_config": cut("config.json"),
    "list_config": write("config.json", "[1, 2]"),
    "deep_config": write("config.json", "[" * 100_000),
    "wrong_model": edit("config.json", model={"d_model": "wide", "n_layers": None}),
    "wrong_notes": edit("config.json", notes=[1, {"a": 2}], corpus_name=7, created="yesterday"),
    "huge_model": edit("config.json", model={"d_model": 10**12, "n_layers": 10**12, "vocab_size": 1}),
    "no_events": lambda run: (run / "events.jsonl").unlink(),
    "wrong_events": events(
        '{"event": "done", "step": 5}', '{"event": "step"}', "null", '{"event": [], "step": {}}'
    ),
    "wrong_numbers": events(
        '{"event": "step", "step": "5", "tokens": [], "seconds": "x", "loss": {}, "lr": null}'
    ),
    "infinite": events('{"event": "eval", "step": 1, "tokens": 1, "seconds": 1e999, "val_loss": Infinity}'),
    "one_step": one_step,
    "odd_history": odd_history,
    "cut_weights": cut("latest/model.safetensors"),
    "no_weights": write("latest/model.safetensors", b"\xff" * 64),
    "cut_model": cut("latest/config.json"),
    "wrong_shape": edit("latest/config.json", model={"d_model": 24}),
    "no_tokenizer": lambda run: (run / "latest" / "tokenizer.json").unlink(),
    "wrong_tokenizer": write("latest/tokenizer.json", '{"merges": [[1]], "pattern": "("}'),
}


@pytest.fixture
def damaged(own_runs) -> dict[str, Run]:
    """One run for each damage."""
    own_runs.mkdir(parents=True)
    for name, harm in DAMAGES.items():
        folder = own_runs / name
        shutil.copytree(FINISHED, folder)
        harm(folder)
        write_json(request_file(folder), {"owners": ["home"], "asked": 1.0, "name": name})
    return {name: Run(own_runs / name) for name in DAMAGES}


def test_each_damaged_run_is_shown_and_can_be_deleted(damaged):
    app = opener("runs.py")()
    assert len(app.dataframe[0].value) == len(damaged)
    for name, run in damaged.items():
        app.selectbox(key="runs_one").set_value(name).run()
        assert not app.exception, name
        app.button(key="runs_delete").click().run()
        assert not app.exception, name
        assert not run.folder.exists() and not request_file(run.folder).exists(), name
    assert app.info  # nothing is left to list


def test_the_link_of_a_damaged_run_opens(damaged):
    app = opener("08_training.py")()
    for name in damaged:
        app.query_params["run"] = name
        app.run()
        assert not app.exception, name


def test_damaged_runs_are_compared(damaged):
    names = list(damaged)
    for first in range(0, len(names), 6):
        opener("runs.py")(runs_compared=",".join(names[first : first + 6]))


def script():
    import streamlit as st

    from pages.kit import models, session

    session.choose_model()
    handle = session.model_in_use()
    handle.load()
    models.snapshots(handle)
    handle.learned_from_stories()
    st.write(handle.name)


def test_a_model_that_cannot_be_used_gives_way_to_the_shipped_one(damaged):
    used = {}
    for name in damaged:
        app = AppTest.from_function(script, default_timeout=60)
        app.query_params["model"] = name
        app.query_params["run"] = name
        app.run()
        assert not app.exception, name
        used[name] = app.markdown[-1].value
        assert used[name] == name or len(app.warning) == 1, name
    assert used["one_step"] == "one_step"
    for name in ("cut_weights", "no_weights", "wrong_shape", "no_tokenizer", "wrong_tokenizer"):
        assert used[name] == "shipped"


PAGES = ["00_overview.py", "05_attention.py", "09_inference.py", "10_script.py", "arena.py", "journey.py"]
QUICK = {
    ("00_overview.py", "odd_history"),
    ("05_attention.py", "cut_weights"),
    ("10_script.py", "wrong_model"),
}


@pytest.mark.parametrize(
    ("page", "name"),
    [
        pytest.param(page, name, marks=() if (page, name) in QUICK else pytest.mark.long)
        for page in PAGES
        for name in DAMAGES
    ],
)
def test_a_page_works_on_with_a_damaged_run_as_its_model(page, name, damaged):
    opener(page)(model=name, run=name)
