"""A model prepared for generation: shared by everyone who generates, freed when it is released or goes."""

import gc
import weakref

import pytest
import torch

from gptcore.generation.fast_model import FastModel, release
from gptcore.generation.packed_weights import can_pack
from gptcore.generation.sampling import generate


def test_what_was_prepared_goes_with_the_model(lively):
    model = lively(context_length=64)
    list(generate(model, [1], 5))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor gains nothing by packing")
def test_packed_weights_are_shared_until_the_model_is_released(lively):
    model = lively(context_length=64).bfloat16().eval()
    packed = FastModel(model)
    assert packed.is_packed and FastModel(model).model is packed.model
    release(model)
    assert FastModel(model).model is not packed.model
