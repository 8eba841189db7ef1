"""Recorded steps: the very numbers of the model's own, whatever the model is made of."""

import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from gptcore.cache import KVCache
from gptcore.generation.fast_model import WORTH_RECORDING, FastModel
from gptcore.generation.sampling import draw, generate
from gptcore.positions import POSITIONS


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("n_kv_heads", [4, 1])
@pytest.mark.parametrize("window", [None, 5])
@torch.inference_mode()
def test_a_recorded_step_is_the_models_own_bit_for_bit(lively, random_ids, position, n_kv_heads, window):
    model = lively(
        position=position, n_heads=4, n_kv_heads=n_kv_heads, window=window, context_length=64
    ).eval()
    ids = random_ids(1, 60)
    recorded, plain = (KVCache(model.config, capacity=62) for _ in range(2))
    model.hidden(ids[:, :3], recorded)
    model.hidden(ids[:, :3], plain)
    for token_id in ids[0, 3:].tolist():
        ours = FastModel(model).step(token_id, recorded)
        theirs = model.output(model.hidden(torch.tensor([[token_id]]), plain)[:, -1])[0]
        assert torch.equal(ours, theirs)
    assert FastModel(model).is_recorded
    assert recorded.length == plain.length == 60


@torch.inference_mode()
def test_recordings_serve_any_cache_and_follow_the_weights(lively, random_ids):
    model = lively(context_length=64).eval()
    list(generate(model, [1], WORTH_RECORDING + 5))
    assert FastModel(model).is_recorded
    model.layers[0].feedforward.down_proj.weight.mul_(2)
    ids = random_ids(1, 30)
    for capacity in (40, 64):
        cache, twin = (KVCache(model.config, capacity=capacity) for _ in range(2))
        model.hidden(ids, cache), model.hidden(ids, twin)
        expected = model.output(model.hidden(torch.tensor([[7]]), twin)[:, -1])[0]
        assert torch.equal(FastModel(model).step(7, cache), expected)


def test_a_model_in_another_precision_is_recorded_anew(lively):
    model = lively(context_length=64).eval()
    list(generate(model, [1], WORTH_RECORDING + 5))
    model.bfloat16()
    narrow = [step.token_id for step in generate(model, [1], 40)]
    assert narrow == [step.token_id for step in generate(model, [1], 40, use_cache=True)]
    assert FastModel(model).is_recorded


def test_threads_that_record_and_play_at_once_get_the_texts_of_one_after_the_other(lively):
    def text(model, seed):
        return [step.token_id for step in generate(model, [1 + seed], 60, seed=seed)]

    alone = lively(context_length=64).eval()
    expected = [text(alone, seed) for seed in range(8)]
    shared = lively(context_length=64).eval()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda seed: text(shared, seed), range(8))) == expected
    assert FastModel(shared).is_recorded


def test_recording_says_nothing_on_the_console(lively):
    model = lively(context_length=64).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(generate(model, [1], WORTH_RECORDING + 5))
    assert FastModel(model).is_recorded


def test_a_model_in_training_is_never_recorded(lively):
    model = lively(context_length=64).train()
    list(generate(model, [1], WORTH_RECORDING + 5))
    assert not FastModel(model).is_recorded


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
