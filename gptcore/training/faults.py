"""Training broken on purpose: what each fault changes, and the rule that distinguishes it from a healthy run.

Some faults are a setting (no causal mask, a rate 300 times too high). The others are mistakes in the loop itself,
and `TrainConfig.fault` names them: `LOOP_VARIANTS` holds the changed parts of the loop under that name. So a broken
run says in its config what it is, is another run than the healthy one, and resumes like any.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from gptcore.config import PRESETS, TrainConfig
from gptcore.corpora.documents import Corpus
from gptcore.corpora.windows import Windows, fixed_batches
from gptcore.training.optim import make_optimizers

TINY_CHARACTERS = 6_000  # about ten stories
NO_CLIPPING = 1e9  # a length no gradient has
ACCUMULATED_NORM = (
    5.0  # times the length that gradients of these models have: what only a heap of them reaches
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopVariant:
    """What the training loop is put together from; the defaults are the healthy ones."""

    text: Callable[[Corpus], Corpus] = lambda corpus: corpus
    windows: Callable[..., Windows] = Windows
    batches: Callable[..., list[tuple[Tensor, Tensor]]] = fixed_batches
    optimizers: Callable[..., list[torch.optim.Optimizer]] = make_optimizers


class UnshiftedWindows(Windows):
    """Windows whose targets are the inputs themselves, not the inputs one token later."""

    def next(self) -> tuple[Tensor, Tensor]:
        inputs, _ = super().next()
        return inputs, inputs


def unshifted_batches(*arguments: Any) -> list[tuple[Tensor, Tensor]]:
    """Return `fixed_batches` with the inputs for targets: code that forgets the shift forgets it here too."""
    return [(inputs, inputs) for inputs, _ in fixed_batches(*arguments)]


def tiny_text(corpus: Corpus) -> Corpus:
    """Return a corpus that has only the beginning of its training text; what is held out stays."""
    documents, room = [], TINY_CHARACTERS
    for document in corpus.train:
        documents.append(document[:room])
        room -= len(document)
        if room <= 0:
            break
    return Corpus(
        name=corpus.name, train=tuple(documents), validation=corpus.validation, entropy=corpus.entropy
    )


def unreset_optimizers(
    model: nn.Module, config: TrainConfig, precision: str = "bf16"
) -> list[torch.optim.Optimizer]:
    """Return `make_optimizers` with a `zero_grad` that forgets to: each gradient comes on top of the last.

    What is left over stands in the optimizer's state, so that a checkpoint holds it and a resumed run has it.
    """
    optimizers = make_optimizers(model, config, precision)
    for optimizer in optimizers:
        optimizer.zero_grad = functools.partial(_keep_gradients, optimizer)
        optimizer.register_load_state_dict_post_hook(_put_gradients_back)
    return optimizers


def _keep_gradients(optimizer: torch.optim.Optimizer, set_to_none: bool = True) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                optimizer.state[weight]["left_over"] = weight.grad


def _put_gradients_back(optimizer: torch.optim.Optimizer) -> None:
    for weight, state in optimizer.state.items():
        weight.grad = state["left_over"].clone()


LOOP_VARIANTS = {
    "none": LoopVariant(),
    "unshifted_targets": LoopVariant(windows=UnshiftedWindows, batches=unshifted_batches),
    "tiny_text": LoopVariant(text=tiny_text),
    "leaking_gradients": LoopVariant(optimizers=unreset_optimizers),
}

HEALTHY = "healthy"
FAULTS: dict[str, dict[str, Any]] = {
    HEALTHY: {},
    "no causal mask": {"causal": False},
    "targets not shifted": {"fault": "unshifted_targets"},
    "learning rate × 300": {"learning_rate": 300 * PRESETS["nano"].train.learning_rate},
    "tiny text": {"fault": "tiny_text"},
    # With clipping the heap is cut to length 1 at every step: it acts as momentum, and no curve tells.
    "gradients leak": {"fault": "leaking_gradients", "grad_clip": NO_CLIPPING},
}  # by the name a page gives it: the settings in which the run differs from a healthy one

# The runs of which the rule below is asked: small, seconds long. A long test asks it of ten seeds of each.
STEPS = 240
SHAPE = {"d_model": 64, "n_layers": 2, "n_heads": 2, "n_kv_heads": 2, "d_ff": 192, "context_length": 64}
SETTINGS = SHAPE | {
    "batch_size": 4, "precision": "fp32", "attention_path": "fused", "threads": 1, "n_evals": 12, "n_samples": 3
}  # fmt: skip


def settings(fault: str) -> dict[str, Any]:
    """Return what a short run with this fault of `FAULTS` sets, to be trained for `STEPS` steps on the stories."""
    return SETTINGS | FAULTS[fault]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """What a run shows of itself: all that the rule may look at. Losses are in nats a token."""

    losses: Sequence[float]
    val_losses: Sequence[float]
    grad_norms: Sequence[float]
    uniform: float
    unigram: float
    floor: float | None

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Self:
        """Return the curves of a run's events, as plain dictionaries; raises ValueError where it never began."""
        by_kind: dict[str, list[Mapping[str, Any]]] = {}
        for event in events:
            by_kind.setdefault(event["event"], []).append(event)
        if "start" not in by_kind:
            raise ValueError("this run has no events, so it has no curves")
        steps, start = by_kind.get("step", []), by_kind["start"][0]
        return cls(
            losses=[_number(event["loss"]) for event in steps],
            val_losses=[_number(event["val_loss"]) for event in by_kind.get("eval", [])],
            grad_norms=[_number(event["grad_norm"]) for event in steps],
            uniform=start["uniform"],
            unigram=start["unigram"],
            floor=start["floor"],
        )

    @property
    def last_loss(self) -> float:
        """The mean training loss of the last tenth of the steps."""
        recent = _last_tenth(self.losses)
        return sum(recent) / len(recent)

    @property
    def last_norm(self) -> float:
        """The smallest norm of a gradient, before it was clipped, in the last tenth of the steps."""
        return min(_last_tenth(self.grad_norms))


def _last_tenth(values: Sequence[float]) -> Sequence[float]:
    return values[-max(1, len(values) // 10) :]


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # a log has null where a loss was no number


def diagnose(curves: Curves) -> str:
    """Return which of `FAULTS` a run's curves show, by questions asked in this order.

    Is the validation loss below the floor, the entropy of the text itself? Then the answer leaks in. If it was far
    below a uniform prediction before the first step, targets are not shifted: with tied embeddings an untrained
    model already prefers the token it reads. Otherwise the model attends to later tokens.
    Is the training loss far below the validation loss? Then the text is tiny and was memorized. Is the last
    validation loss hardly below what token frequencies alone reach, or NaN? Then the learning rate is too high. Does
    the gradient norm at the end never fall below `ACCUMULATED_NORM`? Then gradients leak. Otherwise the curves show
    no fault.
    """
    last = curves.val_losses[-1] if curves.val_losses else math.nan
    if curves.floor is not None and last < curves.floor:
        initial = curves.val_losses[0]
        return "targets not shifted" if initial < curves.uniform - 0.5 else "no causal mask"
    if curves.last_loss < last - 0.5:
        return "tiny text"
    if not last < curves.unigram - 0.1:
        return "learning rate × 300"
    if curves.last_norm > ACCUMULATED_NORM:
        return "gradients leak"
    return HEALTHY
