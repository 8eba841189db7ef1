"""What every attack begins with: a real run, made once, that a copy of is harmed."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from gptcore.runs import execute
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the pages are scripts beside app.py and not an installed package

import explainers  # noqa: E402, F401 - AppTest puts pages/ first on the path, whose explainers.py would stand for it

WORDS = "The fox saw the heron by the river. The otter helped the mole near the mill.\n"
SETTINGS = {
    "d_model": 16,
    "n_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 1,
    "context_length": 16,
    "vocab_size": 280,
    "batch_size": 2,
    "n_evals": 1,
    "n_samples": 1,
    "eval_batches": 1,
    "threads": 1,
    "precision": "fp32",
    "attention_path": "fused",
}


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def paused_run(tmp_path_factory) -> Run:
    """A run of a tiny model on a text file, paused early and able to go on. Never change it: `copied` is for that."""
    folder = tmp_path_factory.mktemp("made")
    text = folder / "words.txt"
    text.write_text(WORDS * 200)
    request = RunRequest(corpus=str(text), tokenizer="train", steps=1_000_000, settings=SETTINGS)
    run = Run(folder / "runs" / "paused")
    for event in execute.start(request, run.folder):
        if event.event == "step" and event.step == 3:
            run.pause()
    (run.folder / "control.json").unlink()
    assert run.state() == "paused" and run.can_resume()
    return run


@pytest.fixture
def runs_folder(tmp_path, monkeypatch) -> Path:
    """A runs folder of its own for each test, empty at the start."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("GLASSBOX_RUNS", str(folder))
    return folder


@pytest.fixture
def copied(paused_run, runs_folder):
    """A function that puts a copy of the paused run into the runs folder under an id."""

    def copy(run_id: str, folder: Path = runs_folder) -> Run:
        shutil.copytree(paused_run.folder, folder / run_id)
        return Run(folder / run_id)

    return copy
