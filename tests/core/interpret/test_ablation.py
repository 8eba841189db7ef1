"""What a pass is without one of its parts, compared with models that never had it."""

import copy

import pytest
import torch

from gptcore.interpret import heads
from gptcore.interpret.ablation import PARTS, Ablation
from gptcore.model import GPT
from gptcore.tracing import ChangeError, trace

PLACES = ["pre", "branch", "pre+branch", "post"]


def without(model: GPT, ids, **part) -> torch.Tensor:
    return trace(model, ids, changes=Ablation(**part).changes(model.config))["logits"]


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_a_silent_head_is_one_whose_output_weights_are_zero(lively, random_ids, kv_heads):
    model, ids = lively(n_kv_heads=kv_heads, bias="all"), random_ids(1, 8)
    torch.testing.assert_close(
        without(model, ids, part="head", layer=1, head=2),
        trace(heads.without_head(model, 1, 2), ids)["logits"],
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("part", ["attention", "feedforward", "layer"])
def test_a_silent_layer_adds_nothing(lively, random_ids, place, part):
    model, ids = lively(norm_position=place), random_ids(1, 8)
    plain = trace(model, ids)
    seen = trace(model, ids, changes=Ablation(part=part, layer=1).changes(model.config))
    before = "layers.0.after_feedforward" + ("_normed" if place == "post" else "")
    if part != "feedforward":
        assert torch.equal(seen["layers.1.after_attention"], seen[before])
    else:
        assert torch.equal(seen["layers.1.after_attention"], plain["layers.1.after_attention"])
    if part != "attention":
        after = "layers.1.after_attention" + ("_normed" if place == "post" else "")
        assert torch.equal(seen["layers.1.after_feedforward"], seen[after])


def test_without_rotation_the_model_is_one_without_positions(lively, random_ids):
    model, ids = lively(), random_ids(1, 8)
    other = GPT(model.config.replace(position="none")).eval()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(without(model, ids, part="rotation"), trace(other, ids)["logits"])


def test_what_does_not_exist_is_refused_in_a_sentence(small):
    with pytest.raises(ChangeError, match="must be one of head, attention"):
        Ablation(part="tail")
    for part in PARTS[:4]:
        with pytest.raises(ChangeError, match="layers go from 0 to 1"):
            Ablation(part=part, layer=2).changes(small())
    with pytest.raises(ChangeError, match="heads go from 0 to 3"):
        Ablation(part="head", head=4).changes(small())
    with pytest.raises(ChangeError, match="position=learned has no rotation"):
        Ablation(part="rotation").changes(small(position="learned"))
