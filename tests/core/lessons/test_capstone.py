"""The capstone: a class of another's making with our weights; what is wrong with it is named where it first shows."""

import inspect

import pytest
import torch

from gptcore.lessons.exercises import _own_gpt, check, get_exercise
from gptcore.lessons.exercises.gpt import differences

EXERCISE = get_exercise("gpt")


def changed(**parts: type) -> type:
    return type("GPT", (_own_gpt.GPT,), {"block": type("Block", (_own_gpt.Block,), parts)})


def test_the_solution_stands_on_torch_alone_in_about_a_hundred_lines():
    source = inspect.getsource(_own_gpt)
    assert "gptcore" not in source and len(source.splitlines()) <= 110


def test_every_tensor_of_the_solution_agrees():
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load

    model, _ = load(SHIPPED)
    found = differences(EXERCISE.solution, model, torch.tensor([[5, 900, 17, 3]]))
    assert len(found) == 2 + 13 * model.config.n_layers + 1
    assert max(far for _, far in found) < 1e-3


def test_a_table_that_is_tied_and_a_class_with_other_insides_pass():
    class Tied(_own_gpt.GPT):
        def __init__(self, config):
            super().__init__(config)
            del self.lm_head

        def forward(self, ids):
            x = self.embed_tokens(ids)
            for layer in self.layers:
                x = layer(x)
            return self.norm(x) @ self.embed_tokens.weight.T

    assert check(EXERCISE, Tied).passed


def test_the_first_tensor_that_differs_is_named_with_its_layer():
    class Half(_own_gpt.MLP):
        def __init__(self, config):
            super().__init__(config)
            self.count = len(made)
            made.append(self)

        def forward(self, x):
            return super().forward(x) * (0.5 if self.count == 2 else 1.0)

    made = []
    verdict = check(EXERCISE, changed(mlp_kind=Half))
    assert not verdict.passed and verdict.mistake is None
    assert "what comes out of layers.2.mlp (layers.2.feedforward_output)" in verdict.says
    assert "it should be" in verdict.says


def test_weights_that_do_not_fit_are_named():
    class Short(_own_gpt.GPT):
        def __init__(self, config):
            super().__init__(config.replace(d_ff=100))

    class Spare(_own_gpt.GPT):
        def __init__(self, config):
            super().__init__(config)
            self.extra = torch.nn.Parameter(torch.zeros(1))

    assert (
        "layers.0.mlp.gate_proj.weight has the shape (100, 128) and should be" in check(EXERCISE, Short).says
    )
    assert "a parameter extra that the checkpoint does not have" in check(EXERCISE, Spare).says
    assert "Your class has no" in check(EXERCISE, lambda config: torch.nn.Linear(1, 1)).says


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda self, ids: None, "returns nothing"),
        (lambda self, ids: self.embed_tokens(ids), "the shape is"),
        (lambda self, ids: ids / 0 + undefined, "NameError"),  # noqa: F821
    ],
)
def test_whatever_a_class_does_ends_in_a_sentence(wrong, says):
    learner = type("GPT", (_own_gpt.GPT,), {"forward": wrong})
    verdict = check(EXERCISE, learner)
    assert not verdict.passed and says in verdict.says
