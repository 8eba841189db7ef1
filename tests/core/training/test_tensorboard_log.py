"""What TensorBoard shows of a run: its scalars and samples, step by step, also after it was resumed."""

import sys

import pytest

pytest.importorskip("tensorboard", reason="the optional package tensorboard is not installed")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gptcore.__main__ import main
from gptcore.runs import execute
from gptcore.runs.request import RunRequest
from gptcore.training.tensorboard_log import FOLDER, log_events

SETTINGS = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16, "threads": 1}
SETTINGS |= {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_samples": 2, "n_evals": 3}


@pytest.fixture
def request_for(tmp_path, text):
    (tmp_path / "animals.txt").write_text(text)
    return lambda steps: RunRequest(corpus=str(tmp_path / "animals.txt"), steps=steps, settings=SETTINGS)


def logged(run) -> EventAccumulator:
    accumulator = EventAccumulator(str(run / FOLDER))
    accumulator.Reload()
    return accumulator


def test_every_step_evaluation_and_sample_is_logged(request_for, tmp_path):
    run = tmp_path / "run"
    events = list(log_events(execute.start(request_for(6), run), run))
    shown = logged(run)
    for kind, field, tag in (
        ("step", "loss", "training/loss"),
        ("step", "lr", "training/lr"),
        ("eval", "val_loss", "validation/val_loss"),
        ("eval", "bits_per_byte", "validation/bits_per_byte"),
    ):
        expected = [(event.step, getattr(event, field)) for event in events if event.event == kind]
        assert [point.step for point in shown.Scalars(tag)] == [step for step, _ in expected]
        assert [point.value for point in shown.Scalars(tag)] == pytest.approx(
            [value for _, value in expected]
        )
    (tag,) = shown.Tags()["tensors"]
    samples = [event for event in events if event.event == "sample"]
    assert [part.step for part in shown.Tensors(tag)] == [event.step for event in samples]
    assert shown.Tensors(tag)[-1].tensor_proto.string_val[0].decode() == samples[-1].text


def test_what_a_resumed_run_does_again_is_logged_once(request_for, tmp_path):
    run = tmp_path / "run"
    events = log_events(execute.start(request_for(8), run), run)
    for event in events:
        if event.event == "checkpoint" and event.step > 0:
            break
    for _ in range(2):
        last = next(events)  # after the checkpoint: these steps are taken again
    assert last.step > event.step
    events.close()
    list(log_events(execute.resume(run), run))
    assert [point.step for point in logged(run).Scalars("training/loss")] == list(range(1, 9))


def test_a_run_that_ends_before_its_first_checkpoint_leaves_nothing(request_for, tmp_path):
    events = log_events(execute.start(request_for(8), tmp_path / "run"), tmp_path / "run")
    next(events)
    events.close()
    assert not (tmp_path / "run").exists()


def test_without_the_package_it_is_one_sentence_and_nothing_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(["train", "--log", "tensorboard", "--steps", "2", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert said == (
        "error: --log tensorboard needs the package tensorboard, which is not installed; run: pip install tensorboard\n"
    )
    assert not (tmp_path / "run").exists()
