"""The cleaner: what nobody needs goes, and nothing else."""

import os
import time

import pytest

from gptcore.files import read_json, write_json
from gptcore.resources import process_identity
from gptcore.runs import run as runs
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.limits import LAB_SECONDS, Limits
from gptcore.runs.request import RunRequest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A runs folder of its own."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs" / "texts").mkdir(parents=True)
    return tmp_path / "runs"


def limits(**changes: str) -> Limits:
    named = {f"GLASSBOX_{name.upper()}": value for name, value in changes.items()}
    return Limits.from_environment(named, cores=4, memory=16_000_000_000)


def launched(name: str, *, lab: bool = False) -> runs.Run:
    """A run whose process, this one, has been launched and has not yet written anything."""
    run = runs.Run(runs.runs_folder() / name)
    alive = process_identity(os.getpid()) | {"log_size": 0}
    values = {"owners": ["a"], "lab": lab, "asked": time.time(), "waiting": False, "launched": alive}
    write_json(runs.request_file(run.folder), values)
    return run


def end(run: runs.Run) -> None:
    path = runs.request_file(run.folder)
    write_json(path, read_json(path) | {"launched": {"pid": 0, "born": 0, "log_size": 0}})


def test_lab_runs_go_after_an_hour_by_a_clock_that_cannot_be_set(folder, monkeypatch):
    lab, kept = launched("one", lab=True), launched("two")
    now = [1000.0]
    cleaner = Cleaner(clock=lambda: now[0])
    assert cleaner.clean(folder, limits()) == []
    for run in (lab, kept):
        end(run)
    assert cleaner.clean(folder, limits()) == []
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert cleaner.clean(folder, limits()) == []
    now[0] += LAB_SECONDS + 60
    assert cleaner.clean(folder, limits()) == [lab.id]
    assert runs.list_runs() == [kept]
    assert Cleaner(clock=lambda: now[0]).clean(folder, limits(keep_hours="1")) == [kept.id]


def test_what_a_killed_process_left_half_written_goes_after_an_hour(folder):
    now = [1000.0]
    left = [folder / f"{mark}abc" for mark in runs.UNPACKING] + [folder / ".run-going"]
    for path in left:
        (path / "part").mkdir(parents=True)
    (folder / "claims").mkdir()
    for path in (folder / ".run.request.json-abc", folder / "claims" / ".gqa_cache.progress-abc"):
        path.write_text("{")
        left.append(path)
    with runs.folder_lock(folder):
        cleaner = Cleaner(clock=lambda: now[0])
    assert cleaner.clean(folder, limits()) == []
    now[0] += LAB_SECONDS + 60
    assert sorted(cleaner.clean(folder, limits())) == sorted(path.name for path in left)
    assert not any(path.exists() for path in left) and (folder / ".lock").exists()


@pytest.mark.parametrize("written_by", ["this edition", "the first edition"])
def test_texts_go_once_no_run_will_read_them(folder, written_by):
    texts = folder / "texts"
    for name in ("wanted.txt", "unwanted.txt"):
        (texts / name).write_text("The fox sat by the river.\n" * 50)
    wanted = RunRequest(corpus=str(texts / "wanted.txt"), steps=2)
    named = {"request": wanted.to_dict()}
    if written_by == "the first edition":
        named = {"arguments": list(wanted.arguments())}
    record = {"owners": ["a"], **named, "waiting": True, "turn": 0, "sequence": 1}
    write_json(folder / "one.request.json", record)
    cleaner = Cleaner()
    assert cleaner.clean(folder, limits()) == []  # it may have been written a moment ago
    assert cleaner.clean(folder, limits()) == ["unwanted.txt"]
    assert cleaner.clean(folder, limits()) == []
    assert [path.name for path in texts.iterdir()] == ["wanted.txt"]
