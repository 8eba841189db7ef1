"""Tuning on answers: only answers count, the base model stays as it was, and instructions come to be followed."""

import torch

from gptcore.checkpoint import SHIPPED
from gptcore.formats import load
from gptcore.training.finetune import (
    HELD_OUT,
    TEMPLATE,
    batch,
    fraction_followed,
    make_example,
    make_examples,
    single_token_names,
    tune,
)


def test_the_loss_counts_the_answer_and_its_end_only():
    _, tokenizer = load(SHIPPED)
    one, longer = (
        make_example("Mira", story, tokenizer) for story in ("She sang.", "She sang and sang and sang again.")
    )
    ids, targets, counts = batch([one, longer], 64, tokenizer.eot_id)
    assert ids.shape == targets.shape == counts.shape
    said = tokenizer.decode(targets[0][counts[0]].tolist())
    assert said == "She sang.<|endoftext|>"
    assert TEMPLATE.format(name="Mira") in tokenizer.decode(ids[0].tolist())


def test_held_out_names_are_never_taught():
    _, tokenizer = load(SHIPPED)
    held_out = single_token_names(tokenizer)[:HELD_OUT]
    for one in make_examples(tokenizer, 20):
        prompt = tokenizer.decode(one.ids[: one.n_prompt])
        assert not any(f" {name}:" in prompt for name in held_out)


def test_tuning_changes_a_copy_and_lowers_the_loss_on_one_example():
    model, tokenizer = load(SHIPPED)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    losses = [loss for loss, _ in tune(model, tokenizer, 2, batch_size=1)]
    assert len(losses) == 2
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_an_answer_follows_where_it_speaks_of_the_name():
    assert fraction_followed(["Mira sang.", "He sang."], ["Mira", "Tom"]) == 0.5
