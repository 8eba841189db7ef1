"""Training broken on purpose: each fault does what it says, shows in the config, resumes, and is told by its curves."""

import copy
import math

import pytest
import torch

from gptcore import config
from gptcore.config import PRESETS, ModelConfig, TrainConfig
from gptcore.corpora.documents import Corpus
from gptcore.corpora.windows import Windows
from gptcore.model import GPT
from gptcore.runs.plan import make_plan
from gptcore.runs.request import RunRequest, split_settings
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import story_tokenizer
from gptcore.training import faults
from gptcore.training.faults import FAULTS, HEALTHY, LOOP_VARIANTS, Curves, diagnose
from gptcore.training.loop import train

FIXED = {"threads": 1, "precision": "fp32", "attention_path": "fused"}
CONFIG = TrainConfig(
    steps=8, batch_size=2, seed=5, n_evals=2, n_samples=2, eval_batches=1, optimizer="muon",
    **FIXED,
)  # fmt: skip
FALLING = [7.6 - 6.6 * step / 99 for step in range(100)]


@pytest.fixture
def shape(tokenizer):
    return ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=32, d_model=32, n_layers=1, n_heads=2, d_ff=48
    )


def curves(losses=FALLING, val=(7.6, 3.0, 1.3), floor=0.4, norm=0.5) -> Curves:
    return Curves(
        losses=losses, val_losses=val, grad_norms=[norm] * 100, uniform=7.6, unigram=5.2, floor=floor
    )


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (curves(), HEALTHY),
        (curves(val=(7.6, 3.0, 0.2)), "no causal mask"),
        (curves(val=(6.4, 0.3, 0.1)), "targets not shifted"),
        (curves(losses=[7.6, 6.0, 5.4] * 20, val=(7.6, 6.0, 5.4)), "learning rate × 300"),
        (curves(losses=[7.6, math.nan], val=(7.6, math.nan)), "learning rate × 300"),
        (curves(val=(7.6, 3.0, 7.9), floor=None), "tiny text"),
        (curves(losses=[*FALLING, *[0.3] * 100], val=(7.6, 3.1, 3.0), floor=None), "tiny text"),
        (curves(norm=1.6), HEALTHY),
        (curves(norm=20.0), "gradients leak"),
    ],
)
def test_the_rule_tells_each_fault_by_its_curves(seen, found):
    assert diagnose(seen) == found


def test_the_curves_of_events_are_their_columns_and_a_missing_number_is_none_at_all():
    place = {"step": 1, "tokens": 1, "seconds": 1.0}
    seen = Curves.of(
        [
            {"event": "start", "uniform": 7.6, "unigram": 5.0, "floor": None},
            {"event": "step", **place, "loss": None, "grad_norm": 2.0},
            {"event": "eval", **place, "val_loss": 6.0},
        ]
    )
    assert math.isnan(seen.losses[0])
    assert (seen.val_losses, seen.grad_norms, seen.uniform) == ([6.0], [2.0], 7.6)
    with pytest.raises(ValueError, match="has no events"):
        Curves.of([])


def test_every_fault_a_config_may_name_has_its_parts():
    assert set(LOOP_VARIANTS) == set(config.FAULTS)
    for settings in FAULTS.values():
        assert set(settings) <= {"fault", "causal", "learning_rate", "grad_clip"}


def test_targets_that_are_not_shifted_are_the_inputs():
    ids = torch.arange(200)
    parts = LOOP_VARIANTS["unshifted_targets"]
    for inputs, targets in (parts.windows(ids, 16, 4, 0).next(), *parts.batches(ids, 16, 4, 2)):
        assert torch.equal(inputs, targets)
    assert torch.equal(parts.windows(ids, 16, 4, 3).next()[0], Windows(ids, 16, 4, 3).next()[0])


def test_a_tiny_text_is_held_to_the_same_validation(corpus):
    small = LOOP_VARIANTS["tiny_text"].text(corpus)
    assert small.validation == corpus.validation
    assert sum(map(len, small.train)) == faults.TINY_CHARACTERS
    assert corpus.train[0].startswith(small.train[0])


@pytest.mark.parametrize(("name", "left"), [("none", False), ("leaking_gradients", True)])
def test_what_leaks_is_the_gradient_of_the_step_before(shape, name, left):
    model = GPT(shape)
    optimizers = LOOP_VARIANTS[name].optimizers(model, CONFIG)
    ids = torch.arange(32).view(1, 32)
    model.loss(ids, ids).backward()
    before = {key: weight.grad.clone() for key, weight in model.named_parameters()}
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    kept = {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}
    assert kept.keys() == (before.keys() if left else set())
    assert all(torch.equal(kept[key], before[key]) for key in kept)


def test_a_broken_run_says_so_and_resumes_to_the_same_losses(shape, corpus, tokenizer):
    broken = CONFIG.replace(fault="leaking_gradients")
    seen = []
    for event in train(shape, broken, corpus, tokenizer):
        seen.append(copy.deepcopy(event) if event.event == "checkpoint" else event)
    assert seen[0].config["train"]["fault"] == "leaking_gradients"
    middle = next(event for event in seen if event.event == "checkpoint" and 0 < event.step < 8)
    rest = list(train(shape, broken, corpus, tokenizer, resume=middle.state))
    after = [event.loss for event in seen if event.event == "step" and event.step > middle.step]
    assert [event.loss for event in rest if event.event == "step"] == after
    healthy = [event.loss for event in train(shape, CONFIG, corpus, tokenizer) if event.event == "step"]
    assert healthy[-len(after) :] != after


def test_a_broken_run_is_another_request_than_the_healthy_one():
    keys = {RunRequest(steps=20, settings={"threads": 1} | settings).key for settings in FAULTS.values()}
    assert len(keys) == len(FAULTS)


@pytest.fixture(scope="module")
def few_stories():
    """A corpus of stories small enough to read in seconds, and a tokenizer of 512 tokens."""
    stories = write_stories(400, seed=0)
    held_out = stories[340:]
    corpus = Corpus(
        name="stories",
        train=tuple(story.text for story in stories[:340]),
        validation=tuple(story.text for story in held_out),
        entropy=tuple(story.entropy for story in held_out),
    )
    return corpus, story_tokenizer().first(255)


# Looking ahead is learned, not built in: a hundred steps are too few for it, and the long test has it.
@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"no causal mask"}))
def test_a_short_run_is_told_by_its_curves(fault, few_stories):
    corpus, tokenizer = few_stories
    for_model, for_training = split_settings(FAULTS[fault])
    shape = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, d_model=32, n_layers=2, n_heads=2, d_ff=96
    ).replace(**for_model)
    short = PRESETS["nano"].train.replace(
        seconds=None, steps=100, batch_size=4, n_evals=5, n_samples=0, eval_batches=2, **FIXED, **for_training
    )
    seen = [event.to_dict() for event in train(shape, short, corpus, tokenizer)]
    assert diagnose(Curves.of(seen)) == fault


def tell(fault: str, seed: int, **changes) -> str:
    """Train with this fault and return what the rule says of it."""
    settings = faults.settings(fault) | changes
    plan = make_plan(RunRequest(settings=settings, steps=faults.STEPS, seed=seed))
    seen = train(plan.model, plan.train, plan.corpus, plan.tokenizer)
    return diagnose(Curves.of(event.to_dict() for event in seen))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_in_ten_of_ten_seeds(fault, seed):
    assert tell(fault, seed) == fault
