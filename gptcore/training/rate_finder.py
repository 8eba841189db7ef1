"""The learning-rate finder: the rate grows exponentially while a copy of the model trains.

Smith 2015, "Cyclical learning rates for training neural networks", section 3.3. While the learning rate is too small
the loss stays constant; then it falls; at one that is too large it rises again. One sweep takes seconds, where
training once at each rate takes as many runs as there are rates.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from gptcore.config import PRESETS, TrainConfig
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.windows import Windows
from gptcore.model import GPT
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import story_tokenizer
from gptcore.training.faults import SHAPE
from gptcore.training.optim import make_optimizers

MEMORY = 0.9  # of the smoothed loss: what a step leaves of the ones before
GIVEN_UP = 1.0  # nats above its lowest at which the smoothed loss has nothing more to tell
N_STEPS = 120
N_STORIES = 400
SAFETY = 10  # the suggested rate is the one of the lowest loss divided by this


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepStep:
    """One step of a sweep: its rate, the loss before it moved, and the mean over the last dozen steps."""

    rate: float
    loss: float
    smooth: float


def exponential_rates(lowest: float, highest: float, n_steps: int) -> list[float]:
    """Return rates from the lowest to the highest, each the same number of times the one before.

    >>> [round(rate, 4) for rate in exponential_rates(0.001, 1, 4)]
    [0.001, 0.01, 0.1, 1.0]
    """
    return [lowest * (highest / lowest) ** (step / max(1, n_steps - 1)) for step in range(n_steps)]


def sweep(
    model: GPT,
    config: TrainConfig,
    windows: Windows,
    *,
    lowest: float = 1e-5,
    highest: float = 3.0,
    n_steps: int = N_STEPS,
) -> Iterator[SweepStep]:
    """Train a copy of a model at ever higher rates; yield each step, the model itself stays as it was.

    It ends early if the loss becomes NaN, or rises `GIVEN_UP` nats above its lowest.
    """
    model = copy.deepcopy(model).train()
    optimizers = make_optimizers(model, config, "fp32")
    smooth, best = 0.0, math.inf
    for step, rate in enumerate(exponential_rates(lowest, highest, n_steps), 1):
        loss = _step(model, optimizers, config, rate, *windows.next())
        smooth = MEMORY * smooth + (1 - MEMORY) * loss
        mean = smooth / (1 - MEMORY**step)  # bias-corrected, as AdamW's moment estimates are
        best = min(best, mean)
        yield SweepStep(rate=rate, loss=loss, smooth=mean)
        if not mean < best + GIVEN_UP:
            return


def _step(model: GPT, optimizers: list, config: TrainConfig, rate: float, ids, targets) -> float:
    """Update the weights once at this rate; return the loss before."""
    loss = model.loss(ids, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item()


def suggest_rate(tried: Sequence[SweepStep]) -> float:
    """Return the rate at which the smoothed loss was lowest, divided by `SAFETY`.

    At the lowest point the loss is about to turn up, so a run that stayed there would be at the edge. A tenth is the
    usual rule of thumb. Raises ValueError where nothing was tried.
    """
    finite = [step for step in tried if math.isfinite(step.smooth)]
    if not finite:
        raise ValueError("no learning rate gave a finite loss; start the sweep from a lower one")
    return min(finite, key=lambda step: step.smooth).rate / SAFETY


def on_stories(optimizer: str, *, seed: int = 0, n_steps: int = N_STEPS) -> Iterator[SweepStep]:
    """Sweep a newly initialized small model of nano's kind on stories, with this `optimizer`."""
    preset = PRESETS["nano"]
    config = preset.train.replace(optimizer=optimizer)
    shape = preset.model.replace(**SHAPE)
    texts = (story.text for story in write_stories(N_STORIES, seed=seed))
    windows = Windows(
        encode_documents(texts, story_tokenizer()), shape.context_length, config.batch_size, seed
    )
    yield from sweep(GPT(shape, seed=seed), config, windows, n_steps=n_steps)
