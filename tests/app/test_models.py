"""A handle is the key of what is computed from a model, and models are read once."""

import gc
import os
import weakref

import pytest
import streamlit as st
import torch

from gptcore import checkpoint
from gptcore.config import ModelConfig
from gptcore.model import GPT
from pages.kit import forward, initialization, models
from pages.kit.models import ModelHandle
from pages.kit.story_data import story_tokenizer
from pages.labs.inference import cached as inference


@pytest.fixture
def saved(tmp_path):
    """A folder with a model in it, and a function that puts another one there."""
    tokenizer = story_tokenizer()

    def write(seed: int):
        config = ModelConfig(
            vocab_size=tokenizer.vocab_size, context_length=16, d_model=8, n_layers=1, n_heads=1
        )
        checkpoint.save(GPT(config, seed=seed), tokenizer, tmp_path / "latest")
        os.utime(tmp_path / "latest", ns=(seed, seed))  # whatever the clock of the file system can tell apart

    write(1)
    return tmp_path, write


def test_a_newer_checkpoint_is_another_handle_and_another_model(saved):
    folder, write = saved
    before = ModelHandle.of(folder)
    assert ModelHandle.of(folder) == before
    first = before.model
    write(2)
    after = ModelHandle.of(folder)
    assert after != before
    assert not first.embedding.weight.equal(after.model.embedding.weight)


def test_a_cached_function_takes_equal_handles_for_one(saved):
    folder, write = saved
    read = []

    @st.cache_data
    def width(handle: ModelHandle) -> int:
        read.append(handle)
        return handle.config.d_model

    assert width(ModelHandle.of(folder)) == width(ModelHandle.of(folder)) == 8
    assert len(read) == 1
    write(2)
    assert width(ModelHandle.of(folder)) == 8
    assert len(read) == 2


def test_two_handles_share_one_model_and_a_snapshot_has_its_own():
    assert models.shipped().model is models.shipped().model
    first, last = models.snapshots(models.shipped())[0], models.snapshots(models.shipped())[-1]
    assert first.step == 0 < last.step
    initialization.initial_model.clear()  # another test may have filled it while other models were cached
    assert initialization.initial_model(models.shipped()) is first.handle.model
    assert forward.continuation(first.handle, "Once", 3) != forward.continuation(models.shipped(), "Once", 3)


def test_snapshots_are_kept_one_at_a_time_and_their_embedding_matrices_alone():
    handles = [snapshot.handle for snapshot in models.snapshots(models.shipped())]
    assert len(handles) > 2
    initialization.initial_model.clear()
    inference._draft.clear()
    matrices, kept = [], []
    for handle in handles:
        matrices.append(models.embedding_matrix(handle))
        kept.append(weakref.ref(handle.model))
        assert torch.equal(matrices[-1], handle.model.embedding.weight)
    gc.collect()
    assert [model() is not None for model in kept] == [False] * (len(handles) - 1) + [True]


def test_a_handle_knows_the_name_and_the_training_of_its_model(saved):
    folder, _ = saved
    assert models.shipped().name == models.SHIPPED
    assert models.shipped().learned_from_stories()
    assert ModelHandle.of(folder).name == folder.name
    assert initialization.initial_model(ModelHandle.of(folder)) is None  # no run says how it began
