"""The training loop: read windows of text, compute the loss, update the weights, and say what happened.

`train` is a generator of events. It prints nothing and writes nothing. To store a run, write what it yields
(`gptcore.runs.recorder`); to stop it, set a flag.
"""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from threading import Event as Flag

import torch
from torch import Tensor

from gptcore.account import check_memory, model_bytes, step_bytes
from gptcore.checkpoint import is_finite
from gptcore.config import ModelConfig, TrainConfig
from gptcore.corpora.documents import Corpus
from gptcore.corpora.encoding import bytes_per_token, prepare_corpus
from gptcore.corpora.windows import Windows, fixed_batches, split_windows
from gptcore.model import GPT
from gptcore.resources import return_freed_memory
from gptcore.tokenizer import Tokenizer
from gptcore.training import events
from gptcore.training.devices import ExecutionPlan, autocast, device_memory, pick_device, pick_execution_plan
from gptcore.training.distributed import SINGLE, DistributedLoss, ProcessGroup
from gptcore.training.evaluation import Evaluator, bigram_loss, unigram_entropy
from gptcore.training.faults import LOOP_VARIANTS
from gptcore.training.interruption import Ending, Interrupted, Undo
from gptcore.training.optim import clip_gradients, learning_rate, window_cuts
from gptcore.training.state import TrainingState, restore, snapshot
from gptcore.training.time_budget import CHECKPOINT_SECONDS, TimeBudget


def train(
    model_config: ModelConfig,
    config: TrainConfig,
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    stop: Flag | None = None,
    device: torch.device | None = None,
    resume: dict | None = None,
    weights: Mapping[str, Tensor] | None = None,
    notes: Iterable[str] = (),
    group: ProcessGroup = SINGLE,
) -> Iterator[events.Event]:
    """Train a model on a corpus; yield what happens, the finished model with the last event.

    The run ends after `config.steps` (or as many as fit into `config.seconds`, see `time_budget`), or once `stop` is
    set, which is looked at between micro-batches; no finished step is lost. `resume` is the state of a `Checkpointed`
    event, `weights` are those of a trained model to start from, `notes` are sentences for the reader of the events. In
    a `group` of several processes each calls this with the same arguments, and the first one alone evaluates and
    samples. Raises ValueError where corpus, tokenizer and sizes do not fit together.
    """
    is_trained = weights is not None or resume is not None
    _check_sizes(model_config, config, tokenizer, may_be_padded=is_trained)
    parts = LOOP_VARIANTS[config.fault]
    train_ids, val_ids, shortened = prepare_corpus(parts.text(corpus), tokenizer, model_config.context_length)
    length = min(config.window_length or model_config.context_length, len(train_ids) - 1)
    group.check(config)
    device = device or group.device or pick_device()
    _check_memory(model_config, config, length, device, group)
    model = _new_model(model_config, config, weights).to(device)
    batches = parts.batches(val_ids, length, config.batch_size, config.eval_batches)
    evaluator = Evaluator(corpus, tokenizer, batches, bytes_per_token(val_ids, tokenizer))
    if resume is None:
        probe = fixed_batches(train_ids, length, config.batch_size, 1)[0]
        plan, trials = group.measure_plan(pick_execution_plan, model, config, *(x.to(device) for x in probe))
    else:
        plan, trials = ExecutionPlan(**resume["plan"]), ()
    windows = parts.windows(train_ids, length, config.batch_size, config.seed)
    state = _fresh_state(model, config, windows, plan, group)
    budget = TimeBudget(model_config, config, length, evaluator)
    state.ending = Ending(stop or Flag(), config, group)
    if resume is not None:
        restore(state, resume)
    else:
        state.total_steps = budget.first_estimate(plan.seconds_per_step)  # the same plan on every rank
        yield events.Start(
            **state.progress(),
            **_facts(model_config, config, corpus, train_ids, val_ids),
            n_parameters=sum(p.numel() for p in model.parameters()),
            total_steps=state.total_steps,
            floor=evaluator.floor(val_ids),
            bytes_per_token=evaluator.bytes_per_token,
            device=str(device),
            **{name: getattr(plan, name) for name in ("precision", "attention_path", "threads")},
            measured=[trial.to_dict() for trial in trials],
            notes=[*notes, *shortened, *group.notes(config)],
        )
        yield from evaluator.evaluate_and_sample(state)
        yield from _checkpoint(state, budget)
    yield from _loop(state, config, evaluator, budget)


def _check_sizes(
    model_config: ModelConfig, config: TrainConfig, tokenizer: Tokenizer, *, may_be_padded: bool
) -> None:
    """Raise ValueError where the tokenizer or the windows do not fit the model.

    A published model may have a vocabulary that is padded to a round number: with more ids than its tokenizer.
    """
    is_padded = may_be_padded and tokenizer.vocab_size < model_config.vocab_size
    if tokenizer.vocab_size != model_config.vocab_size and not is_padded:
        raise ValueError(
            f"vocab_size={model_config.vocab_size} must equal the tokenizer's {tokenizer.vocab_size}"
        )
    if config.window_length is not None and config.window_length > model_config.context_length:
        raise ValueError(
            f"window_length={config.window_length} must be at most "
            f"context_length={model_config.context_length}"
        )


def _check_memory(
    model_config: ModelConfig, config: TrainConfig, window: int, device: torch.device, group: ProcessGroup
) -> None:
    """Raise ConfigError where the device has no room for a step, or the machine none for the model."""
    needed = step_bytes(model_config, config, config.batch_size // group.size, window)
    check_memory(needed, "one step of this training", available=device_memory(device))
    check_memory(model_bytes(model_config), "this model")


def _new_model(model_config: ModelConfig, config: TrainConfig, weights: Mapping[str, Tensor] | None) -> GPT:
    """Return a model as it is before the first step: initialized, or with the weights of a trained one."""
    model = GPT(model_config, seed=config.seed)
    if weights is not None:
        model.load_state_dict(weights)
    return model


def _fresh_state(
    model: GPT, config: TrainConfig, windows: Windows, plan: ExecutionPlan, group: ProcessGroup
) -> TrainingState:
    """Return the state of a run before its first step, and set the process up as its plan says."""
    torch.set_num_threads(plan.threads)
    torch.manual_seed(config.seed)  # dropout is the one draw without a generator of its own
    return TrainingState(
        model=model,
        optimizers=LOOP_VARIANTS[config.fault].optimizers(model, config, plan.precision),
        windows=windows,
        scaler=torch.amp.GradScaler(model.device.type, enabled=plan.precision == "fp16"),
        total_steps=config.steps or 0,
        plan=plan,
        group=group,
        loss=DistributedLoss(model, group, config.compile),
    )


def _facts(
    model_config: ModelConfig, config: TrainConfig, corpus: Corpus, train_ids: Tensor, val_ids: Tensor
) -> dict:
    """Return what a `Start` event says of the run's config and text: the losses it will be compared with."""
    facts = {
        "config": {"model": model_config.to_dict(), "train": config.to_dict(), "corpus": corpus.name},
        "uniform": math.log(model_config.vocab_size),
        "unigram": unigram_entropy(train_ids),
        "bigram": bigram_loss(train_ids, val_ids),
    }
    return_freed_memory()  # what encoding and counting the text took
    return facts


def _loop(
    state: TrainingState, config: TrainConfig, evaluator: Evaluator, budget: TimeBudget
) -> Iterator[events.Event]:
    """Step until the run is over, evaluating, sampling and keeping the state on the way."""
    return_freed_memory()  # what the first evaluation took
    recent: deque[tuple[float, int]] = deque([(state.seconds, state.tokens)], maxlen=20)
    saved_at, saved_step = state.seconds, state.step
    reason = None
    while state.step < state.total_steps and (reason := state.ending.reason(state.seconds)) is None:
        started, cuts = time.perf_counter(), window_cuts(state.position, config, state.total_steps)
        moved = _step_or_undo(state, config)
        state.seconds += (taken := time.perf_counter() - started)
        if moved is None:
            continue  # the run ends here
        loss, rate, grad_norm = moved
        recent.append((state.seconds, state.tokens))
        speed = (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0])
        yield events.Trained(
            **state.progress(), loss=loss, lr=rate, grad_norm=grad_norm, tokens_per_second=round(speed, 1)
        )
        if not math.isfinite(loss):
            yield _diverged(state, f"the loss became {loss}")
            return
        budget.count_step(taken, cuts)
        is_due = budget.is_fixed_with(state) or state.seconds - saved_at > CHECKPOINT_SECONDS
        if (total_steps := budget.revised_steps(state)) is not None:
            state.revise(total_steps, config)
            yield events.Revised(**state.progress(), total_steps=total_steps)
        evaluates, samples = budget.is_evaluated(state), budget.is_sampled(state)
        if (evaluates or samples) and not is_finite(state.model.eval()):
            yield _diverged(state, "the weights or the logits became nan or infinite")
            return
        if evaluates:
            yield from evaluator.evaluate(state)
        if samples:
            yield from evaluator.sample(state)
        if is_due or samples:
            saved_at, saved_step = state.seconds, state.step
            yield from _checkpoint(state, budget)
        recent[-1] = (state.seconds, state.tokens)
    yield from _end(state, evaluator, budget, reason, is_saved=saved_step == state.step)


def _end(
    state: TrainingState, evaluator: Evaluator, budget: TimeBudget, reason: str | None, is_saved: bool
) -> Iterator[events.Event]:
    """Evaluate and sample once more where the run ends before its last step, and keep the state."""
    state.ending.begin_final()
    if reason is not None:
        yield from evaluator.evaluate_and_sample(state)
    elif evaluator.was_cut:  # told to end as the last step was evaluated
        yield from evaluator.evaluate(state)
    if not is_saved:
        yield from _checkpoint(state, budget)
    yield events.Done(**state.progress(), reason=reason or "steps", model=state.model.eval())


def _checkpoint(state: TrainingState, budget: TimeBudget) -> Iterator[events.Event]:
    """Hand out the state; what its reader does with it counts as training time."""
    started = time.perf_counter()
    yield events.Checkpointed(**state.progress(), state=snapshot(state))
    budget.checkpointing = time.perf_counter() - started
    state.count_seconds(budget.checkpointing)


def _diverged(state: TrainingState, what: str) -> events.Failed:
    return events.Failed(
        **state.progress(), reason=f"{what} at step {state.step}; start again with a lower learning rate"
    )


def _step_or_undo(state: TrainingState, config: TrainConfig) -> tuple[float, float, float] | None:
    """Return what `train_step` does, or None where the run is to end before the step is over: it is undone."""
    state.ending.begin_step(state.seconds)
    undo = Undo(state) if config.accumulation > 1 else None
    try:
        return train_step(state, config)
    except Interrupted:
        undo.restore()
        return None


def train_step(state: TrainingState, config: TrainConfig) -> tuple[float, float, float]:
    """Update the weights once; return the loss before the update, the learning rate and the gradient norm.

    The gradient is the mean over `accumulation` batches of equal size, and so is the loss.
    """
    rate = learning_rate(state.position, config, state.total_steps)
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
    model, device = state.model.train(), state.model.device
    total = torch.zeros((), device=device)
    cuts = window_cuts(state.position, config, state.total_steps)
    state.group.seed_rank(config.seed, state.step)
    for turn in range(config.accumulation):
        state.check_ending(turn)
        ids, targets = (
            split_windows(state.group.rows(part), cuts).to(device) for part in state.windows.next()
        )  # (B, T)
        with state.loss.accumulate(last=turn == config.accumulation - 1):
            with autocast(device, state.plan.precision):
                loss = state.loss(ids, targets, path=state.plan.attention_path) / config.accumulation
            state.scaler.scale(loss).backward()
        total += loss.detach()
        state.tokens += targets.numel() * state.group.size
    total = state.group.mean(total)
    for optimizer in state.optimizers:
        state.scaler.unscale_(optimizer)
    grad_norm = clip_gradients(model, config.grad_clip)
    for optimizer in state.optimizers:
        state.scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
    state.scaler.update()
    state.step += 1
    return total.item(), rate, grad_norm.item()
