"""Depth: gradients along a stack against autograd by hand, writers that sum to the stream, what mixes tokens."""

import math

import pytest
import torch
from torch.nn import functional as F

from gptcore.interpret.gradient_depth import (
    at_initialization,
    gradient_factors,
    moved_by_token_change,
    profile,
    residual_updates,
    stack_config,
    without_block,
)
from gptcore.model import GPT
from gptcore.tracing import trace

PLACES = ("pre", "branch", "pre+branch", "post")
IDS = torch.randint(64, (2, 9), generator=torch.Generator().manual_seed(3))


def model(**changes) -> GPT:
    return GPT(stack_config(3, norm_eps=1e-5).replace(**changes), seed=1).eval()


@pytest.mark.parametrize("place", PLACES)
def test_the_gradient_before_the_first_block_is_that_of_the_embedding(place):
    one = model(norm_position=place, tie_embeddings=False)
    found = profile(one, IDS[:, :-1], IDS[:, 1:])
    x = one.embedding(IDS[:, :-1]).detach().requires_grad_()
    one.embedding.register_forward_hook(lambda *_: x)
    loss = F.cross_entropy(one(IDS[:, :-1]).flatten(0, 1), IDS[:, 1:].flatten())
    loss.backward()
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    assert found.gradient_norms[0] == pytest.approx(x.grad.norm().item(), rel=1e-4)
    assert len(found.gradient_norms) == len(found.sizes) == one.config.n_layers + 1


def test_a_profile_leaves_nothing_on_the_model():
    one = model()
    profile(one, IDS[:, :-1], IDS[:, 1:])
    assert all(weight.grad is None for weight in one.parameters())


def test_without_residuals_the_exponent_of_the_ratio_grows_with_the_depth():
    def powers(n: int) -> float:
        cut, whole = (
            at_initialization(stack_config(n, residual=on)).gradient_norms[0] for on in (False, True)
        )
        return math.log10(cut / whole)

    assert 0.5 < powers(12) < powers(24) < powers(48) < 10
    assert powers(48) > 5


def test_with_the_usual_eps_a_cut_stack_dies_and_a_whole_one_does_not():
    cut, whole = (at_initialization(stack_config(24, residual=on, norm_eps=1e-5)) for on in (False, True))
    assert cut.gradient_norms[0] == 0 < whole.gradient_norms[0]
    assert max(whole.gradient_norms) / min(whole.gradient_norms) < 3


@pytest.mark.parametrize("place", ("pre", "branch", "post"))
def test_at_birth_no_place_of_the_norm_loses_its_pull(place):
    pulls = at_initialization(stack_config(24, norm_position=place, norm_eps=1e-5)).relative_gradients[1:]
    assert max(pulls) / min(pulls) < 10


@pytest.mark.parametrize("place", ("pre", "branch", "pre+branch"))
def test_what_is_written_sums_to_the_last_stream(place):
    one = model(norm_position=place)
    found = residual_updates(trace(one, IDS[0]), one.config)
    assert [w.name for w in found][:3] == ["embedding", "attention 1", "feedforward 1"]
    assert sum(w.fraction for w in found) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("changes", ({"norm_position": "post"}, {"residual": False}))
def test_shares_are_none_where_the_stream_is_no_sum(changes):
    one = model(**changes)
    found = residual_updates(trace(one, IDS[0]), one.config)
    assert all(math.isnan(w.fraction) for w in found) and all(w.size >= 0 for w in found)


def test_a_silent_block_is_a_model_with_one_block_less():
    one = model()
    shorter = GPT(one.config.replace(n_layers=2)).eval()
    weights = one.state_dict()
    kept = {name: weights[name.replace("layers.1.", "layers.2.")] for name in shorter.state_dict()}
    shorter.load_state_dict(kept)
    with torch.inference_mode():
        wanted = shorter.loss(IDS[:, :-1], IDS[:, 1:]).item()
    assert without_block(one, 1, IDS[:, :-1], IDS[:, 1:]) == pytest.approx(wanted, rel=1e-5)


def test_a_branch_that_cancels_the_stream_wipes_the_gradient_out():
    one = GPT(stack_config(1, norm_eps=1e-5).replace(ffn="relu", norm="none", bias="all", d_ff=128)).eval()
    with torch.no_grad():  # relu(x) - relu(-x) = x, so that the branch is -x and its slope -1
        eye = torch.eye(64)
        one.layers[0].feedforward.up_proj.weight.copy_(torch.cat((eye, -eye)))
        one.layers[0].feedforward.down_proj.weight.copy_(torch.cat((-eye, eye), dim=1))
    found = gradient_factors(one, IDS[0].tolist(), 0, 3)
    assert found.max() < 1e-5


def test_the_feed_forward_layer_moves_no_other_token_and_attention_moves_later_ones():
    attention, feedforward = moved_by_token_change(model(), IDS[0].tolist(), 4)
    assert [at for at, far in enumerate(feedforward) if far > 0] == [4]
    assert all(far == 0 for far in attention[:4]) and all(far > 0 for far in attention[4:])
