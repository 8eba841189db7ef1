"""A run ends within a step, an evaluation or a sample, and resumes as if the unfinished step had never begun."""

import copy
import threading

import pytest

from gptcore.config import ModelConfig, TrainConfig
from gptcore.training import interruption
from gptcore.training.loop import train

CONFIG = TrainConfig(
    steps=6,
    batch_size=2,
    accumulation=4,
    learning_rate=0.01,
    seed=5,
    n_evals=2,
    n_samples=1,
    eval_batches=3,
    threads=1,
    precision="fp32",
    attention_path="fused",
)


class SetAfter(threading.Event):
    """A flag that sets itself when it has been looked at so many times."""

    def __init__(self, n_looks: int):
        super().__init__()
        self.n_left = n_looks

    def is_set(self) -> bool:
        self.n_left -= 1
        if self.n_left <= 0:
            self.set()
        return super().is_set()


@pytest.fixture(scope="module")
def model_config(tokenizer):
    shape = {"context_length": 16, "d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 24, "dropout": 0.2}
    return ModelConfig(vocab_size=tokenizer.vocab_size, **shape)


def moves(events) -> dict[int, tuple]:
    return {
        event.step: (event.loss, event.grad_norm, event.tokens) for event in events if event.event == "step"
    }


@pytest.mark.parametrize("fault", ["none", "leaking_gradients"])
def test_a_run_ended_at_any_look_resumes_bit_for_bit(fault, model_config, corpus, tokenizer, monkeypatch):
    undone, restore = [], interruption.Undo.restore
    monkeypatch.setattr(interruption.Undo, "restore", lambda undo: undone.append(undo) or restore(undo))
    config = CONFIG.replace(fault=fault)
    whole = list(train(model_config, config, corpus, tokenizer))
    weights = whole[-1].model.state_dict()
    for n_looks in range(1, 60, 3):
        begun, saved = [], None
        for event in train(model_config, config, corpus, tokenizer, stop=SetAfter(n_looks)):
            saved = copy.deepcopy(event.state) if event.event == "checkpoint" else saved
            begun.append(event)
        assert begun[-1].event == "done"
        if begun[-1].reason == "steps":
            break
        assert begun[-1].reason == "stopped"
        assert saved["tokens"] == saved["step"] * 4 * 2 * 16
        rest = list(train(model_config, config, corpus, tokenizer, resume=saved))
        assert moves(begun) | moves(rest) == moves(whole)
        for name, weight in rest[-1].model.state_dict().items():
            assert weight.equal(weights[name]), (n_looks, name)
    assert len(undone) > 3


def test_a_step_of_a_billion_parts_ends_when_its_seconds_are_over(model_config, corpus, tokenizer):
    config = CONFIG.replace(accumulation=10**9, steps=None, seconds=0.2)
    seen = list(train(model_config, config, corpus, tokenizer))
    assert (seen[-1].event, seen[-1].reason, seen[-1].step) == ("done", "seconds", 0)


@pytest.mark.parametrize("wanted", ["eval", "sample"])
def test_an_evaluation_and_a_sample_are_left_unfinished(wanted, model_config, corpus, tokenizer, monkeypatch):
    monkeypatch.setattr(interruption, "FINAL_SECONDS", 0.0)  # nor is there time for them at the end
    stop = threading.Event()
    seen = []
    for event in train(model_config, CONFIG, corpus, tokenizer, stop=stop):
        seen.append(event.event)
        if (event.event, wanted) in (("start", "eval"), ("eval", "sample")):
            stop.set()
    assert wanted not in seen
    assert seen[-2:] == ["checkpoint", "done"]
