"""The decode step against the model's own forward, for every architecture, and where it leaves the work to that."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from gptcore.cache import CacheFull, KVCache
from gptcore.config import BIASES, NORM_POSITIONS, PRESETS, RopeScaling
from gptcore.feedforward import FEEDFORWARDS, ReLUMLP
from gptcore.generation.decode_step import knows
from gptcore.generation.fast_model import FastModel
from gptcore.generation.sampling import draw, generate
from gptcore.model import GPT
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS

PARTS = [  # each norm in each position, and every other part several times
    {"norm": norm, "norm_position": position_of_norm, "ffn": ffn, "position": position, "bias": bias}
    for (norm, position_of_norm), ffn, position, bias in zip(
        [*itertools.product(NORMS, NORM_POSITIONS)] * 3,
        itertools.cycle(FEEDFORWARDS),
        itertools.cycle([*POSITIONS, "rope"]),
        itertools.cycle(reversed(BIASES)),
    )
]
CHOICES = [
    {"n_kv_heads": 2},
    {"n_kv_heads": 1, "window": 5},
    {"qk_norm": True, "n_kv_heads": 2},
    {"residual": False},
    {"score_scale": 0.7},
    {"head_dim": 6},
    {"tie_embeddings": False},
    {"dropout": 0.3},
    {"embedding_scale": 5.5, "score_cap": 2.0, "logit_cap": 3.0, "n_kv_heads": 2},
    {"qk_norm": True, "qk_norm_width": "all", "n_kv_heads": 2},
    {"rotary_fraction": 0.5, "rope_pattern": "rn"},
    {"window": 5, "window_pattern": "wf", "window_rope_theta": 100.0, "norm_position": "pre+branch"},
    *(
        {"rope_scaling": RopeScaling(kind=kind, factor=4.0, original_context_length=12)}
        for kind in ("linear", "ntk", "llama3", "yarn")
    ),
]


def own_logits(model, ids):
    """Return the model's own logits (B, V) of what follows ids (B, T), without a cache."""
    return model(ids)[:, -1]


@pytest.mark.parametrize("changes", PARTS + CHOICES, ids=str)
@torch.inference_mode()
def test_the_step_gives_the_logits_of_the_models_own_forward(lively, random_ids, changes):
    model, ids = lively(**changes), random_ids(3, 24)
    fast = FastModel(model)
    assert fast.has_step
    cache = fast.new_cache(3)
    fast.next_logits(ids[:, :4], cache)
    for end in range(5, 25):
        ours = fast.next_logits(ids[:, end - 1 : end], cache)
        if end in (5, 24):
            expected = own_logits(model, ids[:, :end])
            assert (ours - expected).norm() <= 1e-5 * expected.norm()
    assert cache.length == 24
    with pytest.raises(CacheFull):
        fast.step(7, cache)


@pytest.mark.parametrize(
    "changes",
    [{}, {"window": 4, "n_kv_heads": 2}, {"position": "learned"}, {"position": "sinusoidal"}],
    ids=str,
)
@torch.inference_mode()
def test_rows_of_unequal_length_give_what_each_gives_alone(lively, random_ids, changes):
    model, ids, lengths = lively(**changes), random_ids(3, 12), (2, 9, 5)
    fast = FastModel(model)
    cache = fast.new_cache(3)
    cache.keys.fill_(1e4), cache.values.fill_(1e4)  # as memory may hold where nothing was written yet
    for row, length in enumerate(lengths):
        alone = fast.new_cache(1)
        fast.next_logits(ids[row : row + 1, :length], alone)
        cache.copy_rows([row], alone)
    seen = torch.tensor(lengths)
    for step in range(3):
        fresh = torch.stack([ids[row, length + step] for row, length in enumerate(lengths)])
        ours = fast.next_logits(fresh.unsqueeze(1), cache, seen + step)
        for row, length in enumerate(lengths):
            expected = own_logits(model, ids[row : row + 1, : length + step + 1])[0]
            assert (ours[row] - expected).norm() <= 1e-5 * expected.norm()


@torch.inference_mode()
def test_a_step_in_bf16_errs_no_more_than_the_models_own(lively, random_ids):
    ids = random_ids(2, 20)
    ours, own = [], []
    for changes in ({}, {"n_kv_heads": 2, "qk_norm": True}, {"norm_position": "pre+branch", "bias": "all"}):
        exact, narrow = lively(**changes), lively(**changes).bfloat16()
        fast = FastModel(narrow)
        cache, twin = fast.new_cache(2), fast.new_cache(2)
        fast.next_logits(ids[:, :3], cache), narrow.hidden(ids[:, :3], twin)
        for end in range(4, 21):
            expected = own_logits(exact, ids[:, :end])
            by_step = fast.next_logits(ids[:, end - 1 : end], cache).float()
            by_model = narrow(ids[:, end - 1 : end], twin)[:, -1].float()
            ours.append((by_step - expected).norm() / expected.norm())
            own.append((by_model - expected).norm() / expected.norm())
    assert sum(ours) <= 1.25 * sum(own)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_the_step_follows_the_weights_and_any_cache(mode, lively, random_ids):
    with mode():  # weights made in inference mode count no changes, so nothing may be copied from them
        model, ids = lively(), random_ids(1, 15)
        list(generate(model, [1], 5))
        model.layers[0].feedforward.down_proj.weight.mul_(2)
        model.layers[1].attention_pre_norm.weight.mul_(3)
        for capacity in (16, 20):
            cache = KVCache(model.config, capacity=capacity)
            model.hidden(ids, cache)
            expected = own_logits(model, torch.cat((ids, torch.tensor([[7]])), dim=1))[0]
            torch.testing.assert_close(FastModel(model).step(7, cache), expected, rtol=1e-5, atol=1e-4)


def test_a_model_in_another_precision_gets_another_step(lively):
    model = lively(context_length=64)
    list(generate(model, [1], 5))
    model.bfloat16()
    assert FastModel(model).has_step and FastModel(model).new_cache().keys.dtype == torch.bfloat16
    assert len(list(generate(model, [1], 40))) == 40


def test_threads_that_share_a_model_write_what_each_would_alone(lively):
    def text(model, seed):
        return [step.token_id for step in generate(model, [1 + seed], 60, seed=seed)]

    expected = [text(lively(context_length=64), seed) for seed in range(8)]
    shared = lively(context_length=64)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda seed: text(shared, seed), range(8))) == expected


class _Shifted(ReLUMLP):
    def forward(self, x, trace=None):
        return super().forward(x) + 1


@torch.inference_mode()
def test_what_the_step_does_not_know_goes_through_the_models_own_forward(lively, random_ids):
    ids = random_ids(1, 6)
    hooked = lively()
    hooked.layers[1].register_forward_hook(lambda part, given, x: x + 1)
    other_part = lively()
    other_part.layers[0].feedforward = _Shifted(32, 48).requires_grad_(False)
    nn.init.ones_(other_part.layers[0].feedforward.up_proj.weight)
    nn.init.ones_(other_part.layers[0].feedforward.down_proj.weight)
    for model in (hooked, other_part):
        fast = FastModel(model)
        assert not fast.has_step
        cache = fast.new_cache()
        fast.next_logits(ids[:, :5], cache)
        torch.testing.assert_close(fast.next_logits(ids[:, 5:], cache), own_logits(model, ids))
    assert not knows(lively().train())


def test_the_step_knows_every_preset_and_notices_a_part_put_in_later(lively):
    for preset in PRESETS.values():
        assert knows(GPT(preset.model.replace(vocab_size=8, d_ff=8)).eval())
    model = lively()
    assert FastModel(model).has_step
    model.layers[0].feedforward = _Shifted(32, 48)
    assert not FastModel(model).has_step


def test_draws_follow_the_probabilities_and_never_hit_what_has_none():
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 0.3, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]])
    generator = torch.Generator().manual_seed(0)
    n = 20_000
    drawn = torch.cat([draw(probabilities, generator) for _ in range(n)], dim=1)
    counts = torch.stack([torch.bincount(row, minlength=6) for row in drawn])
    assert (counts[probabilities == 0] == 0).all()
    spread = (n * probabilities * (1 - probabilities)).sqrt()
    for row, column in itertools.product(range(2), range(6)):
        assert abs(counts[row, column] - n * probabilities[row, column]) <= 4.5 * spread[row, column]
