"""Packed weights: the same model to the last digit or two, made anew when the weights change."""

import gc
import warnings
import weakref

import pytest
import torch

from gptcore.config import PRESETS
from gptcore.generation.batch import generate_batch
from gptcore.generation.beam import beam_search
from gptcore.generation.fast_model import FastModel
from gptcore.generation.packed_weights import PackedLinear, can_pack
from gptcore.generation.sampling import Sampling, generate
from gptcore.generation.speculative import CachedModel, speculate
from gptcore.model import GPT

pytestmark = pytest.mark.skipif(
    not can_pack(torch.bfloat16), reason="this processor gains nothing by packing"
)


def n_packed(model) -> int:
    return sum(isinstance(part, PackedLinear) for part in model.modules())


@pytest.mark.parametrize("changes", [{}, {"bias": "all", "ffn": "gelu"}, {"tie_embeddings": False}])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 1), (2, 12)])
@torch.no_grad()
def test_a_packed_model_errs_no_more_than_a_plain_one(lively, random_ids, changes, shape):
    exact = lively(context_length=64, **changes)
    narrow = lively(context_length=64, **changes).bfloat16()
    ids = random_ids(*shape)
    expected = exact(ids)
    ours = FastModel(narrow).model
    assert n_packed(ours) == 4 * exact.config.n_layers + 1
    error = (ours(ids).float() - expected).norm() / expected.norm()
    plain = (narrow(ids).float() - expected).norm() / expected.norm()
    assert error <= 1.25 * plain


@torch.no_grad()
def test_large_matrices_in_full_precision_are_packed_and_agree():
    config = PRESETS["nano"].model.replace(vocab_size=5000, d_model=256, d_ff=3000, n_layers=2)
    model = GPT(config).eval()
    ours = FastModel(model).model
    assert n_packed(ours) == 2 * 2 + 1  # gate and up, down, and the output layer; the rest is too small
    ids = torch.arange(20)[None]
    torch.testing.assert_close(ours(ids), model(ids), atol=1e-5, rtol=1e-5)


def test_what_does_not_gain_stays_as_it_is(lively, monkeypatch):
    for plain in (lively(), lively().bfloat16().train()):
        assert not FastModel(plain).is_packed and FastModel(plain).model is plain
    monkeypatch.setattr("gptcore.generation.packed_weights.MOST_BYTES", 1000)
    assert not FastModel(lively().bfloat16()).is_packed


@torch.no_grad()
def test_a_packed_model_follows_its_weights(lively, random_ids):
    model = lively().bfloat16()
    first = FastModel(model).model
    assert FastModel(model).model is first
    assert first.embedding.weight is model.embedding.weight
    before = first(random_ids(1, 5))
    model.layers[0].feedforward.down_proj.weight.mul_(2)
    assert FastModel(model).model is not first
    after = FastModel(model).model(random_ids(1, 5))
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, model(random_ids(1, 5)), atol=0.15, rtol=0.05)


def test_a_packed_model_goes_with_the_model(lively):
    model = lively().bfloat16()
    twin = weakref.ref(FastModel(model).model)
    del model
    gc.collect()
    assert twin() is None


def test_all_who_generate_write_the_same(lively):
    model = lively(context_length=128).bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = [step.token_id for step in generate(model, [1, 2], 20, temperature=0)]
    assert generate_batch(model, torch.tensor([[1, 2]]), 20, Sampling(temperature=0)) == [first]
    assert beam_search(model, [1, 2], 20, n_beams=1).best.token_ids == tuple(first)
    draft = lively(context_length=128, seed=1).bfloat16()
    assert n_packed(CachedModel(draft).model.model)
    cycles = speculate(model, draft, [1, 2], 20, n_ahead=3, temperature=0)
    assert [token for cycle in cycles for token in cycle.token_ids] == first
