"""Small models trained for a claim: several variants with the same seeds, reporting progress.

A claim about training is about the difference between two variants. The same seed gives each variant the same first
weights and the same windows of text, so that nothing else differs; several seeds separate the difference from chance.
Nothing is left to be measured at the start of a run (precision, path, threads), so that the same seed on the same
machine gives the same number.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from gptcore.experiments.claims import Progress, Repetition
from gptcore.model import GPT
from gptcore.runs.plan import make_plan
from gptcore.runs.request import RunRequest
from gptcore.tokenizer import Tokenizer
from gptcore.training.loop import train

SEEDS = (1, 2, 3)
STEPS = 120
SHAPE = {"d_model": 64, "n_layers": 3, "n_heads": 4, "d_ff": 192, "context_length": 128}
SHAPE_IN_WORDS = "Models of width 64 with 3 blocks and a context of 128"
FIXED = {"threads": 1, "precision": "fp32", "attention_path": "fused", "n_samples": 0, "n_evals": 1}

Variant = Mapping[str, object]  # settings that differ from the nano preset and `SHAPE`


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """A model at the end of its training, and its validation loss in nats per token; NaN if it failed."""

    model: GPT | None
    tokenizer: Tokenizer
    loss: float


def train_variant(variant: Variant, *, steps: int = STEPS, seed: int = 1) -> Iterator[float | TrainedModel]:
    """Train a small model on the stories; yield the fraction done after each step, and the outcome at the end."""

    plan = make_plan(RunRequest(steps=steps, seed=seed, settings=FIXED | SHAPE | variant))
    loss, model = math.nan, None
    for event in train(plan.model, plan.train, plan.corpus, plan.tokenizer):
        match event.event:
            case "step":
                yield event.step / steps
            case "eval":
                loss = event.val_loss
            case "failed":
                loss = math.nan
            case "done":
                model = event.model
    yield TrainedModel(model=model, tokenizer=plan.tokenizer, loss=loss)


def train_variants(
    variants: Mapping[str, Variant],
    conclude: Callable[[Mapping[str, TrainedModel]], Repetition],
    *,
    steps: int = STEPS,
    seeds: Sequence[int] = SEEDS,
) -> Iterator[Repetition | Progress]:
    """Train every variant with every seed; yield progress, and what `conclude` returns for each seed's outcomes."""
    n_done, n_all = 0, len(variants) * len(seeds)
    for seed in seeds:
        outcomes: dict[str, TrainedModel] = {}
        for name, variant in variants.items():
            for progress in train_variant(variant, steps=steps, seed=seed):
                if isinstance(progress, TrainedModel):
                    outcomes[name] = progress
                else:
                    yield Progress((n_done + progress) / n_all)
            n_done += 1
        yield conclude(outcomes)


def train_constant_rate(
    model: GPT,
    optimizer: Optimizer,
    ids: Tensor,
    *,
    steps: int,
    length: int,
    batch_size: int = 8,
    seed: int = 0,
) -> Iterator[float]:
    """Train a model on random windows of some ids at a constant learning rate; yield the fraction done after each
    step."""
    draw = torch.Generator().manual_seed(seed)
    for step in range(1, steps + 1):
        starts = torch.randint(len(ids) - length, (batch_size,), generator=draw).tolist()
        rows = torch.stack([ids[start : start + length + 1] for start in starts])
        optimizer.zero_grad()
        model.loss(rows[:, :-1], rows[:, 1:]).backward()
        optimizer.step()
        yield step / steps
