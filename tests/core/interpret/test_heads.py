"""Heads: scores on attention made up for the purpose, a head switched off, and what a mask keeps from moving."""

import pytest
import torch

from gptcore.interpret import heads
from gptcore.lessons.by_hand import STEPS, attention, head_by_hand
from gptcore.tracing import trace


def pattern(shift: int, n: int = 6) -> torch.Tensor:
    """One head that always looks `shift` back, or at the first token: (1, 1, T, T)."""
    place = torch.arange(n)
    return torch.nn.functional.one_hot((place - shift).clamp(min=0), n).float()[None, None]


def test_scores_are_one_for_the_head_they_describe_and_low_for_others():
    assert heads.previous_token(pattern(1)).item() == 1
    assert heads.current_token(pattern(0)).item() == 1
    assert heads.first_token(pattern(99)).item() == 1
    assert heads.previous_token(pattern(0)).item() == 0
    assert heads.current_token(pattern(1)).item() == 0


def test_weights_are_those_of_the_trace_and_sum_to_one(lively, random_ids):
    model = lively(n_kv_heads=2)
    seen = trace(model, random_ids(7))
    found = heads.weights(seen)
    assert found.shape == (2, 4, 7, 7)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 4, 7))
    assert torch.equal(found[1], seen["layers.1.attention.weights"][0])


def test_what_is_handed_over_is_weight_times_length(lively, random_ids):
    seen = trace(lively(n_kv_heads=2), random_ids(5))
    handed = heads.weighted_value_norms(seen)
    value = seen["layers.0.attention.v"][0, 1]  # key head 1 serves query heads 2 and 3
    expected = seen["layers.0.attention.weights"][0, 3] * value.norm(dim=-1)
    torch.testing.assert_close(handed[0, 3], expected)


def test_a_head_switched_off_is_a_copy_and_changes_only_its_share(lively, random_ids):
    model, ids = lively(), random_ids(1, 6)
    before = model(ids)
    off = heads.without_head(model, 1, 2)
    assert torch.equal(model(ids), before)  # the shared model is as it was
    assert not torch.allclose(off(ids), before)
    mixed, whole = {}, {}
    off(ids, trace=mixed), model(ids, trace=whole)
    width = model.config.head_dim
    weight = model.layers[1].attention.o_proj.weight[:, 2 * width : 3 * width]
    share = whole["layers"]["1"]["attention"]["mixed"][:, 2] @ weight.T
    difference = whole["layers"]["1"]["attention_output"] - mixed["layers"]["1"]["attention_output"]
    torch.testing.assert_close(difference, share, atol=1e-5, rtol=1e-4)


def _storages(model) -> dict[str, int]:
    return {name: weight.data_ptr() for name, weight in model.named_parameters(remove_duplicate=False)}


def test_a_model_without_a_head_copies_one_matrix_and_a_model_without_mask_none(lively):
    model = lively()
    mine, off = _storages(model), _storages(heads.without_head(model, 1, 2))
    assert {name for name in mine if mine[name] != off[name]} == {"layers.1.attention.o_proj.weight"}
    free = heads.without_mask(model)
    assert _storages(free) == mine
    assert len(list(free.parameters())) == len(list(model.parameters()))


def test_with_a_mask_nothing_before_a_change_moves_and_without_it_all_does(lively):
    model, ids = lively(), list(range(10))
    far = heads.logit_changes(model, ids, 6, 40)
    assert torch.equal(far[:6], torch.zeros(6)) and (far[6:] > 0).all()
    leaking = heads.logit_changes(heads.without_mask(model), ids, 6, 40)
    assert (leaking > 0).all()


def test_induction_by_chance_is_what_a_model_with_equal_weights_scores(small):
    from gptcore.model import GPT

    model = GPT(small(context_length=80))
    with torch.no_grad():
        for block in model.layers:
            block.attention.qkv_proj.weight.zero_()  # all scores 0: every head looks everywhere alike
    torch.testing.assert_close(
        heads.induction(model), torch.full((2, 4), heads.induction_baseline(80)), atol=1e-4, rtol=0
    )


def test_steps_by_hand_are_those_of_plain_python():
    q, k, v = (torch.randn(3, 2, generator=torch.Generator().manual_seed(i)) for i in range(3))
    steps = attention(q, k, v, torch.eye(2))
    raw = [[sum(a * b for a, b in zip(x, y)) for y in k.tolist()] for x in q.tolist()]
    assert steps.raw.tolist() == [pytest.approx(row, abs=1e-6) for row in raw]
    torch.testing.assert_close(steps.exponentials / steps.sums[:, None], steps.weights)
    torch.testing.assert_close(steps.weights.sum(-1), torch.ones(3))
    assert (steps.struck.sum(-1)[:2] < 1).all()  # zeros written after the softmax leave less than 1
    torch.testing.assert_close(steps.output, steps.mixed)


def test_one_head_on_all_tokens_is_the_models_own(lively, random_ids):
    model = lively(n_kv_heads=2)
    seen = trace(model, random_ids(5))
    found = head_by_hand(model, seen, 1, 3, list(range(5)))
    torch.testing.assert_close(found.steps.weights, seen["layers.1.attention.weights"][0, 3])
    torch.testing.assert_close(found.steps.mixed, seen["layers.1.attention.mixed"][0, 3])
    shares = [head_by_hand(model, seen, 1, head, list(range(5))).steps.output for head in range(4)]
    torch.testing.assert_close(sum(shares), seen["layers.1.attention_output"][0], atol=1e-5, rtol=1e-4)


def test_the_steps_a_page_shows_are_the_operations_the_layer_records(lively, random_ids):
    seen = trace(lively(), random_ids(5))
    prefix = "layers.0.attention."
    recorded = {name.removeprefix(prefix) for name in seen if name.startswith(prefix)} | {"attention_output"}
    assert {name for _, names in STEPS for name in names} == recorded
