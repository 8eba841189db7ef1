"""Run directories: written by one process, read by any, and never half there."""

import copy
import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import gptcore
from gptcore import runs
from gptcore.checkpoint import CheckpointError, load
from gptcore.config import ModelConfig, TrainConfig
from gptcore.runs import Recorder, Run, RunError, read_state, start
from gptcore.training import train

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
    recorder.describe({"corpus": "animals", "model": shape.to_dict()}, tokenizer, "".join(corpus.train))
    states, seen = {}, []
    for event in recorder.record(train(shape, CONFIG, corpus, tokenizer)):
        seen.append(event)
        if event.event == "checkpoint":
            states[event.step] = copy.deepcopy(event.state)
    recorder._lock.release()
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


def test_a_state_read_back_is_the_state_that_was_kept(recorded):
    folder, _, states = recorded
    kept, read = states[12], read_state(folder)
    assert set(read) == set(kept)
    assert {n: read[n] for n in ("step", "tokens", "seconds", "total_steps", "way", "scaler")} == {
        n: kept[n] for n in ("step", "tokens", "seconds", "total_steps", "way", "scaler")
    }
    assert read["windows"] == kept["windows"]
    assert torch.equal(read["noise"], kept["noise"])
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
    recorder.describe({}, tokenizer, None)
    for event in recorder.record(train(shape, CONFIG, corpus, tokenizer)):
        if event.event == "step" and event.step == 9:
            break
    recorder._lock.release()
    assert Run(folder).state() == "interrupted"
    with (folder / "events.jsonl").open("a") as log:
        log.write('{"event": "step", "ste')  # the kill came in the middle of a line

    state = read_state(folder)
    assert 0 < state["step"] < 9
    again = Recorder(folder, resume=True)
    again.reopen(tokenizer, {}, state["step"])
    assert Run(folder).state() == "running"
    *_, done = again.record(train(shape, CONFIG, corpus, tokenizer, resume=state))
    again._lock.release()
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
    with pytest.raises(RunError, match="being trained in by another process"):
        Recorder(tmp_path / "run", resume=True)
    recorder._lock.release()


def test_an_empty_directory_may_be_given_and_a_discarded_run_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    Recorder(tmp_path / "empty").discard()
    assert not (tmp_path / "empty").exists()


def test_a_run_without_a_checkpoint_cannot_be_resumed(recorded, tmp_path, tokenizer, lively):
    with pytest.raises(CheckpointError, match="no folder"):
        read_state(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="holds no model"):
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
        time.sleep(0.05)
    raise AssertionError(f"still {run.state()} after {seconds} s: {run.failure()}")


def test_a_run_is_started_watched_and_stopped(tmp_path, monkeypatch, text):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    (tmp_path / "animals.txt").write_text(text)
    sizes = ["d_model=16", "n_heads=2", "n_layers=1", "vocab_size=280", "context_length=16", "threads=1"]
    fixed = ["batch_size=2", "precision=fp32", "attention_path=fused", "n_samples=1", "n_evals=1"]
    run = start(["--corpus", str(tmp_path / "animals.txt"), "--steps", "1000000", "--set", *sizes, *fixed])
    try:
        assert run.state() in ("starting", "running")
        assert waited(run, {"running", "failed", "done"}) == "running"
        deadline = time.monotonic() + 60
        while not any(event["event"] == "step" for event in run.events()[0]):
            assert time.monotonic() < deadline, run.failure()
            time.sleep(0.05)
        same = Run.by_id(run.id)  # as another process would see it
        assert same.state() == "running"
        assert [found.id for found in runs.list_runs()] == [run.id]
        same.stop()
        assert waited(same, {"done", "failed", "interrupted"}) == "done"
        assert run.process.wait(30) == 0
    finally:
        run.process.kill()
    last = same.events()[0][-1]
    assert (last["event"], last["reason"]) == ("done", "stopped")
    model, _ = load(run.folder)
    assert model.config.d_model == 16


def test_a_run_that_could_not_begin_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    run = start(["--corpus", str(tmp_path / "nowhere.txt"), "--steps", "5"])
    run.process.wait(60)
    assert run.state() == "failed"
    assert "nowhere.txt" in run.failure()
    assert Run.by_id(run.id).state() == "failed"


def test_runs_live_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    assert runs.runs_folder() == tmp_path
    monkeypatch.delenv("GLASSBOX_RUNS")
    monkeypatch.chdir(tmp_path)
    assert runs.runs_folder() == Path("runs").absolute()
    assert runs.list_runs() == []
