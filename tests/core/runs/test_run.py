"""Run directories: written by one process, read by any, and never half there."""

import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
import run_logs
import torch
from safetensors.torch import load_file

import gptcore
from gptcore.__main__ import main
from gptcore.checkpoint import CheckpointError
from gptcore.config import ModelConfig, TrainConfig
from gptcore.formats import load
from gptcore.resources import process_is_running
from gptcore.runs import queue, records, worker_pool
from gptcore.runs import run as runs
from gptcore.runs.expected_wait import seconds_left
from gptcore.runs.recorder import Recorder, read_state
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, RunError
from gptcore.training.events import Revised
from gptcore.training.loop import train

CONFIG = TrainConfig(
    steps=12,
    batch_size=2,
    learning_rate=0.01,
    n_evals=2,
    n_samples=3,
    eval_batches=1,
    threads=1,
    precision="fp32",
    attention_path="fused",
)


@pytest.fixture(scope="module")
def shape(tokenizer):
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=16,
        d_model=16,
        n_layers=1,
        n_heads=2,
        d_ff=16,
        dropout=0.1,
    )


@pytest.fixture(scope="module")
def recorded(shape, corpus, tokenizer, tmp_path_factory):
    """A finished run: its folder, its events, and the states it was asked to keep."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    recorder = Recorder(folder)
    recorder.describe({"corpus": "animals", "model": shape.to_dict()}, tokenizer, corpus)
    states, seen = {}, []
    for event in recorder.record(train(shape, CONFIG, corpus, tokenizer)):
        seen.append(event)
        if event.event == "checkpoint":
            states[event.step] = copy.deepcopy(event.state)
    recorder.close()
    return folder, seen, states


def test_a_run_is_its_files(recorded):
    folder, _, _ = recorded
    kept = {path.name for path in folder.iterdir()} - {"lock"}
    assert kept == {
        "config.json",
        "tokenizer.json",
        "corpus.txt",
        "events.jsonl",
        "latest",
        "previous",
        "history",
    }
    assert Run(folder).state() == "done"


def test_the_log_holds_every_event(recorded):
    folder, seen, _ = recorded
    lines, end = Run(folder).events()
    assert [(line["event"], line["step"]) for line in lines] == [(event.event, event.step) for event in seen]
    assert end == (folder / "events.jsonl").stat().st_size
    assert Run(folder).events(end) == ([], end)


def test_the_log_may_be_read_while_a_line_is_being_written(recorded, tmp_path):
    folder, _, _ = recorded
    log = (folder / "events.jsonl").read_bytes()
    run, copied = Run(tmp_path), tmp_path / "events.jsonl"
    assert run.events() == ([], 0)
    place, lines = 0, []
    for end in range(0, len(log) + 1, 97):
        copied.write_bytes(log[:end])
        fresh, place = run.events(place)
        lines += fresh
    copied.write_bytes(log)
    lines += run.events(place)[0]
    assert lines == [json.loads(line) for line in log.splitlines()]


def test_the_config_says_what_was_asked_for_and_what_was_found(recorded):
    folder, _, _ = recorded
    config = Run(folder).config()
    assert config["format"] == runs.FORMAT
    assert config["corpus"] == "animals"
    found = {"total_steps": 12, "precision": "fp32", "attention_path": "fused", "threads": 1}
    assert found.items() <= config["found"].items()
    assert config["versions"]["torch"] == torch.__version__


def test_a_revised_number_of_steps_is_in_the_log_the_config_and_the_expected_wait(
    tmp_path, tokenizer, corpus
):
    recorder = Recorder(tmp_path / "run")
    recorder.describe({"corpus": "animals"}, tokenizer, corpus)
    revised = Revised(step=20, tokens=200, seconds=2.0, total_steps=60)
    seen = list(recorder.record([run_logs.start(500), revised, run_logs.trained(30, 2.0)]))
    recorder.close()
    run = Run(tmp_path / "run")
    assert run.config()["found"] == {**run.config()["found"], "total_steps": 60, "threads": 1}
    assert [event["event"] for event in run.events()[0]] == ["start", "revision", "step"]
    assert run.events()[0][1]["total_steps"] == 60 and seen[1] == revised
    assert seconds_left(run) == pytest.approx(30 * 0.01)


def test_a_state_is_stored_under_the_names_that_earlier_versions_wrote(recorded):
    folder, _, states = recorded
    tensors = load_file(folder / "latest" / "state.safetensors")
    numbers = json.loads((folder / "latest" / "state.json").read_text())
    assert torch.equal(tensors["noise"], states[12]["rng_state"]) and numbers["way"] == states[12]["plan"]
    assert "rng_state" not in tensors and "plan" not in numbers


def test_a_state_read_back_is_the_state_that_was_kept(recorded):
    folder, _, states = recorded
    kept, (read, damage) = states[12], read_state(folder)
    assert damage is None
    assert set(read) == set(kept)
    assert {n: read[n] for n in ("step", "tokens", "seconds", "total_steps", "plan", "scaler")} == {
        n: kept[n] for n in ("step", "tokens", "seconds", "total_steps", "plan", "scaler")
    }
    assert read["windows"] == kept["windows"]
    assert torch.equal(read["rng_state"], kept["rng_state"])
    assert read["optimizer"].keys() == kept["optimizer"].keys()
    assert all(torch.equal(read["optimizer"][name], kept["optimizer"][name]) for name in kept["optimizer"])
    for name, weight in kept["model"].state_dict().items():
        assert torch.equal(read["model"].state_dict()[name], weight)


def test_the_history_holds_the_weights_alone_from_step_0_on(recorded):
    folder, _, states = recorded
    history = sorted((folder / "history").iterdir())
    assert [int(path.name) for path in history] == sorted(states)
    assert history[0].name == "000000"
    for path in history:
        assert not (path / "state.json").exists()
        weight = load_file(path / "model.safetensors")["embedding.weight"]
        assert torch.equal(weight, states[int(path.name)]["model"].embedding.weight.bfloat16())


def test_a_run_loads_as_the_model_it_ended_with(recorded):
    folder, seen, _ = recorded
    model, _ = load(folder)
    assert torch.equal(model.embedding.weight, seen[-1].model.embedding.weight)


def test_a_run_left_in_the_middle_goes_on_to_the_same_numbers(recorded, shape, corpus, tokenizer, tmp_path):
    """Stop listening after a few steps, as a killed process does, and resume from the files alone."""
    whole_folder, whole, _ = recorded
    folder = tmp_path / "killed"
    recorder = Recorder(folder)
    recorder.describe({"format": runs.FORMAT}, tokenizer, None)
    for event in recorder.record(train(shape, CONFIG, corpus, tokenizer)):
        if event.event == "step" and event.step == 9:
            break
    recorder.close()
    assert Run(folder).state() == "interrupted"
    with (folder / "events.jsonl").open("a") as log:
        log.write('{"event": "step", "ste')  # the kill came in the middle of a line

    state, _ = read_state(folder)
    assert 0 < state["step"] < 9
    again = Recorder(folder, resume=True)
    again.reopen(tokenizer, {}, state["step"])
    assert Run(folder).state() == "running"
    *_, done = again.record(train(shape, CONFIG, corpus, tokenizer, resume=state))
    again.close()
    assert Run(folder).state() == "done"
    ours, theirs = done.model.state_dict(), whole[-1].model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    losses = [(e["step"], e["loss"]) for e in Run(folder).events()[0] if e["event"] == "step"]
    assert losses == [(e["step"], e["loss"]) for e in Run(whole_folder).events()[0] if e["event"] == "step"]


def test_a_directory_that_cannot_be_a_run_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(RunError, match="full is not empty"):
        Recorder(tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["note.txt"]
    with pytest.raises(RunError, match=r"not empty|cannot be written"):
        Recorder(tmp_path / "full" / "note.txt")
    with pytest.raises(RunError, match="cannot be written"):
        Recorder(tmp_path / "full" / "note.txt" / "below")
    with pytest.raises(RunError, match="cannot be written"):
        Recorder("/proc/nowhere")
    with pytest.raises(RunError, match="is not a run"):
        Recorder(tmp_path / "full", resume=True)


def test_one_process_trains_in_a_directory(recorded, tmp_path):
    recorder = Recorder(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="another process is training in"):
        Recorder(tmp_path / "run", resume=True)
    recorder.close()


def test_an_empty_directory_may_be_given_and_a_discarded_run_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    Recorder(tmp_path / "empty").discard()
    assert not any((tmp_path / "empty").iterdir())
    Recorder(tmp_path / "new" / "below").discard()
    assert not (tmp_path / "new").exists()


def test_a_run_without_a_checkpoint_cannot_be_resumed(recorded, tmp_path, tokenizer, lively):
    with pytest.raises(CheckpointError, match="no file or folder"):
        read_state(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="does not contain a model"):
        read_state(tmp_path)
    model = gptcore.save(lively(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "model")
    with pytest.raises(CheckpointError, match="no training state"):
        read_state(model)


@pytest.mark.parametrize("name", ["../secrets", "", "a/b", "A B", "x" * 65, "nowhere", ".."])
def test_only_runs_of_the_runs_folder_are_found_by_id(tmp_path, monkeypatch, name):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    (tmp_path / "secrets").mkdir()
    with pytest.raises(RunError, match="there is no run"):
        Run.by_id(name)


def waited(run: Run, until: set[str], seconds: float = 60.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = run.state()
        if state in until:
            return state
        time.sleep(0.03)
    raise AssertionError(f"still {run.state()} after {seconds} s: {run.failure()}")


def wait_for_steps(run: Run, more_than: int = 0, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not any(event["event"] == "step" and event["step"] > more_than for event in run.events()[0]):
        assert time.monotonic() < deadline, run.failure()
        time.sleep(0.03)


OVER = {"done", "failed", "interrupted", "paused"}
SIZES = ["d_model=16", "n_heads=2", "n_layers=1", "vocab_size=280", "context_length=16", "threads=1"]
FIXED = ["batch_size=2", "precision=fp32", "attention_path=fused", "n_samples=1", "n_evals=1", "dropout=0.1"]


@pytest.fixture
def ask(tmp_path, monkeypatch, text):
    """A function that asks for a tiny run and launches what may run."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    (tmp_path / "animals.txt").write_text(text)

    def begin(steps: int = 1_000_000, **others) -> Run:
        words = ["--corpus", str(tmp_path / "animals.txt"), "--steps", str(steps), "--set", *SIZES, *FIXED]
        run = queue.submit(RunRequest.from_arguments(words), **others)
        tend()
        return run

    yield begin
    for run in runs.list_runs():
        with runs.folder_lock(run.folder.parent):  # so that nothing is launched meanwhile
            launched = run.request().get("launched") or {}
            runs.request_file(run.folder).unlink(missing_ok=True)
        if process_is_running(launched):
            os.kill(launched["pid"], signal.SIGKILL)


def tend() -> None:
    worker_pool.shared().poll(runs.runs_folder())


def kill(run: Run) -> None:
    os.kill(run.request()["launched"]["pid"], signal.SIGKILL)
    waited(run, OVER)


def go_on(run: Run) -> None:
    queue.submit_resume(run)
    tend()


def test_a_run_is_watched_paused_resumed_and_stopped(ask):
    run = ask()
    assert run.is_under_way()
    wait_for_steps(run)
    same = Run.by_id(run.id)  # as another process would see it
    assert (same.state(), same.action()) == ("running", "pause")
    assert runs.list_runs() == [run]
    same.pause()
    assert waited(run, OVER) == "paused"
    assert (run.last_event()["reason"], run.action()) == ("paused", "resume")
    step = run.last_event()["step"]
    go_on(run)
    assert run.is_under_way()
    wait_for_steps(run, more_than=step)
    assert "paused" not in [event.get("reason") for event in run.events()[0]]
    with pytest.raises(RunError, match="stop it first"):
        runs.delete(run)
    same.stop()
    assert waited(same, OVER) == "done"
    assert (same.last_event()["reason"], same.action(), same.is_finished()) == ("stopped", "resume", False)
    model, _ = load(run.folder)
    assert model.config.d_model == 16
    runs.delete(run)
    assert runs.list_runs() == [] and not list(runs.runs_folder().glob(f"*{run.id}*"))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "ctrl-c"])
def test_a_run_asked_to_end_by_a_signal_saves(ask, signum):
    run = ask()
    wait_for_steps(run)
    os.kill(run.request()["launched"]["pid"], signum)
    assert waited(run, OVER) == "done"
    last = [event for event in run.events()[0] if event["event"] == "checkpoint"][-1]
    assert last["step"] == run.last_event()["step"] and run.can_resume()


def test_a_finished_run_is_finished(ask):
    run = ask(steps=3)
    assert waited(run, OVER) == "done"
    assert run.action() is None
    with pytest.raises(RunError, match="is finished"):
        queue.submit_resume(run)
    assert run.is_finished()
    assert main(["resume", str(run.folder)]) == 2


def test_a_run_that_could_not_begin_says_why(ask, tmp_path):
    run = queue.submit(RunRequest(corpus=str(tmp_path / "nowhere.txt"), steps=5))
    tend()
    assert waited(run, OVER) == "failed"
    assert "nowhere.txt" in run.failure()
    assert Run.by_id(run.id).state() == "failed"
    assert run.action() == "delete"


def damaged_latest(run):
    weights = run.folder / "latest" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def damaged_state(run):
    (run.folder / "latest" / "state.safetensors").write_bytes(b"")


def lost_latest(run):
    shutil.rmtree(run.folder / "latest")


def lost_log(run):
    (run.folder / "events.jsonl").unlink()


@pytest.mark.parametrize("harm", [damaged_latest, damaged_state, lost_latest, lost_log])
def test_a_killed_run_whose_files_were_harmed_goes_on(ask, harm):
    run = ask(steps=1_000_000)
    wait_for_steps(run)
    run.pause()
    waited(run, OVER)
    go_on(run)
    wait_for_steps(run, more_than=run.last_event().get("step", 0) + 5)
    kill(run)
    assert (run.state(), run.action()) == ("interrupted", "resume")
    harm(run)
    if harm is not lost_log:
        load(run.folder)
    go_on(run)
    assert waited(run, {"running", "failed"}) == "running", run.failure()
    wait_for_steps(run)
    first = run.events()[0][0]
    assert first["event"] == "start" and first["total_steps"] == 1_000_000
    run.stop()
    assert waited(run, OVER) == "done"
    assert not [path for path in run.folder.glob(".*") if path.is_dir()]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"format": "glassbox-run-9"}', "another version of Glassbox"),
        ("{", "cannot be read"),
        (None, "lost its"),
    ],
)
def test_a_directory_of_another_version_or_without_its_config_is_told(ask, content, words):
    run = ask(steps=3)
    waited(run, OVER)
    while run.is_locked():  # its process has said all, and is on its way out
        time.sleep(0.02)
    (run.folder / "events.jsonl").write_bytes(
        b"\n".join((run.folder / "events.jsonl").read_bytes().splitlines()[:-1]) + b"\n"
    )
    config = run.folder / "config.json"
    config.write_text(content) if content else config.unlink()
    assert (run.state(), run.action()) == ("failed", "delete")
    assert words in run.failure() and "\n" not in run.failure()
    with pytest.raises(RunError, match=words):
        queue.submit_resume(run)
    assert main(["resume", str(run.folder)]) == 2


def test_a_clock_that_jumps_changes_no_state(ask, monkeypatch):
    run = ask(steps=3)
    waited(run, OVER)
    other = ask()
    for jump in (-1e9, 1e9):
        monkeypatch.setattr(time, "time", lambda jump=jump: 1.7e9 + jump)
        for path in runs.runs_folder().rglob("*"):
            if path.is_file() and path.name != "lock":
                os.utime(path, (1.7e9 - jump, 1.7e9 - jump))
        assert run.state() == "done"
        assert other.is_under_way()


def test_a_lab_keeps_its_last_state_alone(ask):
    run = ask(steps=30, lab=True)
    assert waited(run, OVER) == "done"
    kept = {path.name for path in run.folder.iterdir()} - {"lock", "corpus.txt"}
    assert kept == {"config.json", "tokenizer.json", "events.jsonl", "latest"}
    assert run.config()["lab"] is True


def test_a_run_ends_when_its_time_is_up_though_nobody_watches(ask, monkeypatch):
    monkeypatch.setenv("GLASSBOX_SECONDS", "0.5")
    run = ask()
    assert waited(run, OVER) == "done"
    assert run.last_event()["reason"] == "seconds" and run.is_finished()
    assert run.last_event()["seconds"] < 5


def test_a_run_is_named_and_its_owner_is_in_its_config(ask):
    run = ask(steps=3, owner="somebody")
    runs.rename(run, "  my  first ")
    waited(run, OVER)
    assert run.name() == "my first"
    assert run.config()["owner"] == "somebody" and run.owners() == ["somebody"]
    assert runs.list_runs("somebody") == [run] and runs.list_runs("another") == []
    with pytest.raises(RunError, match="use at most 60"):
        runs.rename(run, "x" * 61)


def test_two_runs_differ_in_what_they_differ(ask):
    first, second = ask(steps=3), ask(steps=4)
    for run in (first, second):
        tend()
        waited(run, OVER)
    different = runs.differences([first, second])
    assert different == {"steps": [3, 4], "total_steps": [3, 4]}
    assert runs.differences([first, first]) == {}


def test_a_long_log_is_thinned_and_not_cut(tmp_path):
    log = [run_logs.start(5001)]
    for step in range(1, 5001):
        log.append(run_logs.trained(step, 1.0))
        if step % 500 == 0:
            log.append(run_logs.evaluated(step, 1.0))
    log.append(run_logs.trained(5001, 1.0))
    run_logs.write(tmp_path, log)
    every, end = Run(tmp_path).events()
    few, same_end = Run(tmp_path).events(most_steps=100)
    assert end == same_end and len(every) == len(log)
    steps = [event["step"] for event in few if event["event"] == "step"]
    assert len(steps) <= 102 and steps[-1] == 5001
    assert max(after - before for before, after in pairwise(steps)) <= 5001 / 100 + 1
    assert [event for event in few if event["event"] != "step"] == [
        event for event in every if event["event"] != "step"
    ]


def test_runs_live_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    assert runs.runs_folder() == tmp_path
    monkeypatch.delenv("GLASSBOX_RUNS")
    monkeypatch.chdir(tmp_path)
    assert runs.runs_folder() == Path("runs").absolute()
    assert runs.list_runs() == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB; needs the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    try:
        made = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_leaves_a_clear_state_and_the_last_good_checkpoint(ask, small_disk, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(small_disk / "runs"))
    run = ask(steps=1_000_000)
    wait_for_steps(run)
    other = runs.runs_folder() / "other.txt"
    other.write_text("somebody's notes")
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 4096)
    assert waited(run, OVER) == "failed"
    assert "No space left on device" in run.failure() and "\n" not in run.failure()
    assert run.action() == "resume"
    load(run.folder)
    read_state(run.folder)
    assert other.read_text() == "somebody's notes"
    lines = (run.folder / "events.jsonl").read_bytes().splitlines()
    assert all(records.parse_event(line) for line in lines)
    (small_disk / "ballast").unlink()
    go_on(run)
    assert waited(run, {"running"}) == "running"
    run.stop()
    assert waited(run, {"done", "failed"}) == "done", run.failure()
