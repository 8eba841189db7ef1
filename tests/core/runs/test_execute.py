"""Requests carried out: the directory they leave, what they refuse, and how signals end them."""

import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from gptcore.config import ConfigError
from gptcore.corpora.documents import Corpus, CorpusError
from gptcore.files import read_json, write_json
from gptcore.runs import execute
from gptcore.runs.kept_text import keep_text, load_kept_text
from gptcore.runs.request import RunRequest, parse_settings
from gptcore.runs.run import Run, RunError

SIZES = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16, "threads": 1}
FIXED = {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_samples": 0, "n_evals": 1}


@pytest.fixture
def request_for(tmp_path, text):
    """A function that returns the request for a tiny run."""
    (tmp_path / "animals.txt").write_text(text)

    def request_for(steps: int = 3, **fields) -> RunRequest:
        corpus = str(tmp_path / "animals.txt")
        return RunRequest(corpus=corpus, steps=steps, settings=SIZES | FIXED, **fields)

    return request_for


def test_a_run_describes_itself_as_the_first_edition_did(tmp_path):
    old = read_json(Path(__file__).parents[2] / "first_edition" / "requests" / "config.json")
    request = RunRequest.from_dict(old)
    events = list(execute.start(request, tmp_path / "run"))
    assert [event.event for event in events][-1] == "done"
    new = read_json(tmp_path / "run" / "config.json")
    assert set(new) == set(old)
    assert parse_settings(new["settings"]) == parse_settings(old["settings"])
    differ = ("settings", "versions", "start")
    assert {k: v for k, v in new.items() if k not in differ} == {
        k: v for k, v in old.items() if k not in differ
    }
    assert new["start"]["config"] == old["start"]["config"]
    assert RunRequest.from_dict(new) == request


def test_a_sealed_request_whose_text_changed_is_refused_and_leaves_nothing(request_for, tmp_path, text):
    sealed = request_for().sealed()
    assert list(execute.start(sealed, tmp_path / "first"))[-1].event == "done"
    (tmp_path / "animals.txt").write_text(text + "One more line.\n")
    with pytest.raises(ConfigError, match=r"corpus .*animals.txt has changed since"):
        next(execute.start(sealed, tmp_path / "second"))
    assert not (tmp_path / "second").exists()
    assert list(execute.start(replace(sealed, hashes=()), tmp_path / "third"))[-1].event == "done"


def test_a_request_that_training_itself_refuses_leaves_nothing(request_for, tmp_path):
    request = request_for()
    request = replace(request, settings=dict(request.settings) | {"precision": "fp16"})
    with pytest.raises(ConfigError, match="fp16"):
        list(execute.start(request, tmp_path / "above" / "run"))
    assert not (tmp_path / "above").exists()
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ConfigError, match="fp16"):
        list(execute.start(request, own))
    assert list(own.iterdir()) == []


@pytest.mark.parametrize(
    "names",
    [
        ["lock"],
        ["lock", "tokenizer.json"],
        ["lock", "tokenizer.json", "corpus.txt", ".config.json-x1y2"],
        [
            "lock",
            "tokenizer.json",
            "corpus.txt",
            "config.json",
            "events.jsonl",
            ".latest-abcd/model.safetensors",
        ],
    ],
)
def test_a_folder_in_which_a_run_was_killed_before_its_first_checkpoint_is_free(request_for, tmp_path, names):
    folder = tmp_path / "run"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"event": "start", "step": 0}\n')
    assert list(execute.start(request_for(), folder))[-1].event == "done"
    assert Run(folder).last_event()["reason"] == "steps"
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    "names",
    [["corpus.txt"], ["tokenizer.json", "config.json"], ["lock", "mine.txt"], ["lock", "history/000000/x"]],
)
def test_a_folder_that_holds_something_else_is_refused_and_stays_as_it_is(request_for, tmp_path, names):
    folder = tmp_path / "run"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        list(execute.start(request_for(), folder))
    assert all((folder / name).read_text() == "mine" for name in names)


def test_a_log_with_steps_is_not_begun_again(request_for, tmp_path):
    folder = tmp_path / "run"
    list(execute.start(request_for(), folder))
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    with pytest.raises(RunError, match="is not empty"):
        list(execute.start(request_for(), folder))


def test_a_signal_ends_a_run_with_everything_saved_and_it_can_be_resumed(request_for, tmp_path):
    run = Run(tmp_path / "run")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    seen = []
    for event in execute.start(request_for(steps=40), run.folder):
        seen.append(event.event)
        if event.event == "step" and event.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
    assert seen[-1] == "done" and run.last_event()["reason"] == "stopped" and run.can_resume()
    assert {number: signal.getsignal(number) for number in before} == before
    first = run.last_event()["step"]
    assert first < 40
    events = list(execute.resume(run.folder))
    assert events[0].step >= first and run.is_finished()
    with pytest.raises(RunError, match="is finished; there is nothing to resume"):
        next(execute.resume(run.folder))


def test_a_run_can_be_trained_in_a_thread(request_for, tmp_path):
    """Only the main thread may handle signals; elsewhere they stay with it."""
    events = []
    thread = threading.Thread(target=lambda: events.extend(execute.start(request_for(), tmp_path / "run")))
    thread.start()
    thread.join()
    assert events[-1].event == "done"


def test_what_cannot_be_carried_out_is_said_before_anything_is_written(request_for, tmp_path):
    with pytest.raises(RunError, match="is not a run"):
        next(execute.resume(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="must be divisible by n_heads=3"):
        next(execute.start(RunRequest(steps=2, settings={"n_heads": 3}), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change", [{"batch_size": 2**26}, {"d_model": 2**16, "n_layers": 64}, {"d_ff": 10**9}]
)
def test_what_cannot_fit_into_memory_is_refused_with_both_numbers_and_leaves_nothing(
    request_for, tmp_path, change
):
    request = request_for()
    request = replace(request, settings=dict(request.settings) | {"eval_batches": 1} | change)
    with pytest.raises(ConfigError, match=r"needs [\d,.]+ GB of memory, and [\d,.]+ GB are"):
        next(execute.start(request, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def half_done(request: RunRequest, folder: Path) -> int:
    """Train until the second checkpoint after the start, and be killed; return the step of the first of them."""
    settings = dict(request.settings) | {"n_samples": 4}
    checkpoints = []
    for event in execute.start(replace(request, settings=settings), folder):
        if event.event == "checkpoint" and event.step > 0:
            checkpoints.append(event.step)
        if len(checkpoints) == 2:
            break
    return checkpoints[0]


def losses_of(events) -> list[float]:
    return [event.loss for event in events if event.event == "step"]


def test_a_resumed_run_reads_no_text_but_its_own(request_for, tmp_path, monkeypatch):
    half_done(request_for(steps=12), tmp_path / "run")
    secret = tmp_path / "secret.txt"
    secret.write_text((tmp_path / "animals.txt").read_text())
    config = read_json(tmp_path / "run" / "config.json")
    write_json(tmp_path / "run" / "config.json", config | {"corpus": str(secret)})
    (tmp_path / "run" / "corpus.txt").unlink()
    with pytest.raises(CorpusError, match=r"does not contain the text .* --corpus FILE"):
        next(execute.resume(tmp_path / "run"))
    *_, done = execute.resume(tmp_path / "run", corpus=str(secret))  # named by who sits at the machine
    assert (done.event, done.step) == ("done", 12)


def test_a_flipped_bit_is_told_and_the_checkpoint_before_it_is_used(request_for, tmp_path, caplog):
    whole = losses_of(execute.start(request_for(steps=12), tmp_path / "whole"))
    step = half_done(request_for(steps=12), tmp_path / "run")
    weights = tmp_path / "run" / "latest" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-9] ^= 4
    weights.write_bytes(data)
    assert losses_of(execute.resume(tmp_path / "run")) == whole[step:]
    (sentence,) = [record.getMessage() for record in caplog.records]
    assert "model.safetensors does not match its checksum" in sentence and f"at step {step}" in sentence
    assert Run(tmp_path / "run").config()["notes"][-1] == sentence


def test_documents_of_a_data_set_are_kept_one_by_one(tmp_path):
    corpus = Corpus(name="hub:some/set", train=("One.", "Two\n\nlines."), validation=("Three.",))
    keep_text(tmp_path, corpus)
    assert load_kept_text(tmp_path, "hub:some/set") == corpus
    (tmp_path / "corpus.json").write_text('{"name": "x", "train": [3], "validation": []}')
    with pytest.raises(CorpusError, match=r"corpus\.json is damaged"):
        load_kept_text(tmp_path, "hub:some/set")


def test_a_run_on_several_files_resumes_when_they_are_gone(tmp_path, text):
    rows = "".join(f'{{"body": "{line}", "n": 1}}\n' for line in text.splitlines())
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "more.txt").write_text(text + "\n<|endoftext|>\n" + text)
    files = "\n".join(str(tmp_path / name) for name in ("rows.jsonl", "more.txt"))
    request = RunRequest(corpus=files, text_field="body", steps=12, settings=SIZES | FIXED)
    whole = losses_of(execute.start(request, tmp_path / "whole"))
    half_done(request, tmp_path / "run")
    assert Run(tmp_path / "run").config()["text_field"] == "body"
    for path in (tmp_path / "rows.jsonl", tmp_path / "more.txt"):
        path.unlink()
    resumed = losses_of(execute.resume(tmp_path / "run"))
    assert 0 < len(resumed) < 12 and resumed == whole[-len(resumed) :]


STATES = {
    "a number far too large": {"total_steps": 10**30},
    "less than nothing": {"seconds": -1.0},
    "a word": {"step": "four"},
    "more windows than there are": {"windows": {"epoch": 0, "n_taken": 10**9, "n_tokens": 1}},
    "another precision": {"way": {"precision": "fp8", "attention_path": "fused", "threads": 1}},
    "no windows": {"windows": None},
}


@pytest.mark.parametrize("fault", STATES)
def test_a_damaged_state_is_one_sentence(request_for, tmp_path, fault):
    half_done(request_for(steps=12), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "previous")
    path = tmp_path / "run" / "latest" / "state.json"
    write_json(path, read_json(path) | STATES[fault])
    (path.parent / "checksums.json").unlink()
    with pytest.raises(ValueError, match=r"state|windows|text of") as refused:
        list(execute.resume(tmp_path / "run"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("change", ["shape", "missing", "unknown weight", "random state"])
def test_moment_estimates_that_fit_no_weight_are_one_sentence(request_for, tmp_path, change):
    half_done(request_for(steps=12), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "previous")
    path = tmp_path / "run" / "latest" / "state.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("exp_avg"))
    if change == "shape":
        tensors[name] = tensors[name][:1].contiguous()
    elif change == "missing":
        del tensors[name]
    elif change == "unknown weight":
        tensors["optimizer.0.999.momentum_buffer"] = tensors[name].clone()
    else:
        tensors["noise"] = tensors["noise"][:100]
    save_file(tensors, path)
    (path.parent / "checksums.json").unlink()
    with pytest.raises(ValueError, match="not match"):
        list(execute.resume(tmp_path / "run"))
