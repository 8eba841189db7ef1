"""The training loop: read windows of text, measure the surprise, move the weights, and say what happened.

`train` is a generator of events. It prints nothing, writes nothing and knows nobody who watches; whoever
wants a run kept writes down what it yields (`runs.py`), and whoever wants it to end sets a flag.
"""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Event as Flag

import torch
from torch import Tensor

from gptcore.config import ModelConfig, TrainConfig
from gptcore.corpora.documents import Corpus
from gptcore.corpora.encoding import bytes_per_token, prepare_corpus
from gptcore.corpora.windows import Windows, fixed_batches, split_windows
from gptcore.generation.packed_weights import forget
from gptcore.generation.sampling import Sampling, generate_batch
from gptcore.model import GPT
from gptcore.stories.scores import check
from gptcore.tokenizer import Tokenizer
from gptcore.training import events
from gptcore.training.devices import Trial, autocast, choose, pick_device
from gptcore.training.distributed import ALONE, Shared, Team
from gptcore.training.faults import PARTS
from gptcore.training.optim import clip_gradients, learning_rate, window_cuts

CHECKPOINT_SECONDS = 10.0  # a killed run loses at most this much
OVERRUN = 1.25  # a run whose machine slows down may take this many times the seconds it was given
SAMPLE_STORIES = 8
SAMPLE_TOKENS = 180
SAMPLING = Sampling(temperature=0.8)


@dataclass
class Trainer:
    """Everything that changes while a model trains; what a checkpoint holds."""

    model: GPT
    optimizers: list[torch.optim.Optimizer]
    windows: Windows
    scaler: torch.amp.GradScaler
    total_steps: int
    way: Trial
    team: Team = ALONE
    loss: Shared | None = None
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def __post_init__(self):
        self.loss = self.loss or Shared(self.model, self.team)

    def place(self) -> dict[str, float]:
        """Return the three numbers every event carries."""
        return {"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 4)}


def train(
    model_config: ModelConfig,
    config: TrainConfig,
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    stop: Flag | None = None,
    device: torch.device | None = None,
    resume: dict | None = None,
    notes: Iterable[str] = (),
    team: Team = ALONE,
) -> Iterator[events.Event]:
    """Train a model on a corpus; yield what happens, the finished model with the last event.

    The run ends after `config.steps` (or the steps its `config.seconds` were found to hold), or at the next
    step once `stop` is set; either way nothing learned is lost. `resume` is the state of a `Checkpointed`
    event, `notes` are sentences for whoever watches. With a `team` of several processes each calls this with
    the same arguments, and the first one alone evaluates and samples. Raises ValueError where corpus, tokenizer
    and sizes do not fit together.
    """
    if tokenizer.vocab_size != model_config.vocab_size:
        raise ValueError(
            f"vocab_size={model_config.vocab_size} is not the tokenizer's {tokenizer.vocab_size}"
        )
    if config.window_length is not None and config.window_length > model_config.context_length:
        raise ValueError(
            f"window_length={config.window_length} is more than context_length={model_config.context_length}"
        )
    parts = PARTS[config.fault]
    train_ids, val_ids, shortened = prepare_corpus(parts.text(corpus), tokenizer, model_config.context_length)
    length = config.window_length or model_config.context_length
    length = min(length, len(train_ids) - 1)
    team.check(config)
    device = device or team.device or pick_device()
    model = GPT(model_config, seed=config.seed).to(device)
    windows = parts.windows(train_ids, length, config.batch_size, config.seed)
    batches = parts.batches(val_ids, length, config.batch_size, config.eval_batches)
    judge = Judge(corpus, tokenizer, batches, bytes_per_token(val_ids, tokenizer))

    if resume is None:
        probe = fixed_batches(train_ids, length, config.batch_size, 1)[0]
        way, trials = team.measured(choose, model, config, *(part.to(device) for part in probe))
    else:
        way, trials = Trial(**resume["way"]), []
    torch.set_num_threads(way.threads)
    torch.manual_seed(config.seed)  # dropout is the one draw without a generator of its own
    state = Trainer(
        model=model,
        optimizers=parts.optimizers(model, config, way.precision),
        windows=windows,
        scaler=torch.amp.GradScaler(device.type, enabled=way.precision == "fp16"),
        total_steps=config.steps or 0,
        way=way,
        team=team,
        loss=Shared(model, team, config.compile),
    )
    if resume is not None:
        restore(state, resume)
    else:
        state.total_steps = team.share(config.steps or judge.affordable_steps(state, config))
        yield events.Start(
            **state.place(),
            config={"model": model_config.to_dict(), "train": config.to_dict(), "corpus": corpus.name},
            n_parameters=sum(p.numel() for p in model.parameters()),
            total_steps=state.total_steps,
            floor=judge.floor(val_ids),
            uniform=math.log(model_config.vocab_size),
            unigram=unigram_entropy(train_ids),
            bigram=bigram_loss(train_ids, val_ids),
            bytes_per_token=judge.bytes_per_token,
            device=str(device),
            precision=way.precision,
            attention_path=way.attention_path,
            threads=way.threads,
            measured=[{name: getattr(t, name) for name in Trial.__slots__} for t in trials],
            notes=[*notes, *shortened, *team.notes(config)],
        )
        yield from judge.look(state)
        yield events.Checkpointed(**state.place(), state=snapshot(state))
    yield from _loop(state, config, judge, stop or Flag())


def _loop(state: Trainer, config: TrainConfig, judge: "Judge", stop: Flag) -> Iterator[events.Event]:
    """Step until the run is over, evaluating, sampling and keeping the state on the way."""
    evals = milestones(config.n_evals, state.total_steps)
    samples = milestones(config.n_samples, state.total_steps)
    recent: deque[tuple[float, int]] = deque([(state.seconds, state.tokens)], maxlen=20)
    saved_at, saved_step = state.seconds, state.step
    reason = "steps"
    while state.step < state.total_steps:
        late = config.seconds is not None and state.seconds > OVERRUN * config.seconds
        stopped, late = state.team.agree(stop.is_set(), late)
        if stopped:
            reason = "stopped"
            break
        if late:
            reason = "seconds"
            break
        started = time.perf_counter()
        loss, rate, grad_norm = train_step(state, config)
        state.seconds += time.perf_counter() - started
        recent.append((state.seconds, state.tokens))
        speed = (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0])
        yield events.Trained(
            **state.place(), loss=loss, lr=rate, grad_norm=grad_norm, tokens_per_second=round(speed, 1)
        )
        if not math.isfinite(loss):
            yield events.Failed(
                **state.place(),
                reason=f"the loss became {loss} at step {state.step}; start again with a lower learning rate",
            )
            return
        if state.step in evals:
            yield from judge.evaluate(state)
        if state.step in samples:
            yield from judge.sample(state)
        if state.seconds - saved_at > CHECKPOINT_SECONDS or state.step in samples:
            saved_at, saved_step = state.seconds, state.step
            yield events.Checkpointed(**state.place(), state=snapshot(state))
        recent[-1] = (state.seconds, state.tokens)
    if reason != "steps":
        yield from judge.look(state)
    if saved_step != state.step:
        yield events.Checkpointed(**state.place(), state=snapshot(state))
    yield events.Done(**state.place(), reason=reason, model=state.model.eval())


def train_step(state: Trainer, config: TrainConfig) -> tuple[float, float, float]:
    """Move the weights once; return the loss before the move, the learning rate and the gradient's norm.

    The gradient is the mean over `accumulation` batches of equal size, and so is the loss.
    """
    rate = learning_rate(state.step, config, state.total_steps)
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
    model, device = state.model.train(), state.model.device
    total = torch.zeros((), device=device)
    cuts = window_cuts(state.step, config, state.total_steps)
    state.team.draw_apart(config.seed, state.step)
    for turn in range(config.accumulation):
        ids, targets = (
            split_windows(state.team.rows(part), cuts).to(device) for part in state.windows.next()
        )  # (B, T)
        with state.loss.until(last=turn == config.accumulation - 1):
            with autocast(device, state.way.precision):
                loss = state.loss(ids, targets, path=state.way.attention_path) / config.accumulation
            state.scaler.scale(loss).backward()
        total += loss.detach()
        state.tokens += targets.numel() * state.team.size
    total = state.team.mean(total)
    for optimizer in state.optimizers:
        state.scaler.unscale_(optimizer)
    grad_norm = clip_gradients(model, config.grad_clip)
    for optimizer in state.optimizers:
        state.scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
    state.scaler.update()
    state.step += 1
    return total.item(), rate, grad_norm.item()


def milestones(count: int, total_steps: int) -> set[int]:
    """Return `count` steps of a run at which to look, closer together early on, the last step among them."""
    return {max(1, round(total_steps * (i / count) ** 1.5)) for i in range(1, count + 1)}


def unigram_entropy(ids: Tensor) -> float:
    """Return the loss in nats a token of a guess that knows how often each token occurs, and nothing else."""
    counts = torch.bincount(ids).double()
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * shares.log()).sum())


def bigram_loss(train_ids: Tensor, val_ids: Tensor, trust: float = 2.0) -> float:
    """Return the loss in nats a token of a table that counts which token followed which.

    Counts are blended with how often a token occurs at all, as if `trust` more had been drawn from there, so
    that a pair never seen still has a chance. Like a model, the table reads one text and is asked about another.
    """
    size = int(max(train_ids.max(), val_ids.max())) + 1
    singles = torch.bincount(train_ids, minlength=size).double()
    pairs, counts = torch.unique(train_ids[:-1] * size + train_ids[1:], return_counts=True)
    asked = val_ids[:-1] * size + val_ids[1:]
    place = torch.searchsorted(pairs, asked).clamp(max=len(pairs) - 1)
    seen = torch.where(pairs[place] == asked, counts[place], 0)
    alone = (singles + 1) / (singles.sum() + size)
    chance = (seen + trust * alone[val_ids[1:]]) / (singles[val_ids[:-1]] + trust)
    return float(-chance.log().mean())


class Judge:
    """What a run is looked at with: fixed validation windows, and texts the model writes."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, batches: list, n_bytes_per_token: float):
        self.corpus, self.tokenizer, self.batches = corpus, tokenizer, batches
        self.bytes_per_token = n_bytes_per_token
        self.tells_stories = corpus.entropy is not None
        self.prompt = "" if self.tells_stories else _opening(corpus.validation[0], tokenizer)

    def floor(self, val_ids: Tensor) -> float | None:
        """Return the entropy of the stories' own grammar in nats a token, None for other texts."""
        return sum(self.corpus.entropy) / len(val_ids) if self.tells_stories else None

    def affordable_steps(self, state: Trainer, config: TrainConfig) -> int:
        """Return how many steps fit into the run's seconds, what it takes to look at them set aside."""
        started = time.perf_counter()
        list(self.evaluate(state))
        evaluating = time.perf_counter() - started
        list(self.sample(state))
        sampling = time.perf_counter() - started - evaluating
        # An untrained model ends no story, so what it takes to sample it is the most that it will ever take.
        looking = min(config.n_evals * evaluating + 0.6 * config.n_samples * sampling, 0.2 * config.seconds)
        state.seconds = 0.0
        return max(1, int((config.seconds - looking) / (state.way.seconds_per_step * config.accumulation)))

    def look(self, state: Trainer) -> Iterator[events.Event]:
        yield from self.evaluate(state)
        yield from self.sample(state)

    @torch.inference_mode()
    def evaluate(self, state: Trainer) -> Iterator[events.Event]:
        """Measure the loss on the validation windows; the time it takes counts as training time."""
        if not state.team.leads:
            return
        started = time.perf_counter()
        model = state.model.eval()
        total, count = 0.0, 0
        for ids, targets in self.batches:
            with autocast(model.device, state.way.precision):
                loss = model.loss(
                    ids.to(model.device), targets.to(model.device), path=state.way.attention_path
                )
            total, count = total + loss.item() * targets.numel(), count + targets.numel()
        state.seconds += time.perf_counter() - started
        loss = total / count
        yield events.Evaluated(
            **state.place(),
            val_loss=loss,
            perplexity=math.exp(min(loss, 700.0)),
            bits_per_byte=loss / math.log(2) / self.bytes_per_token,
        )

    def sample(self, state: Trainer) -> Iterator[events.Event]:
        """Let the model write: eight stories that are scored, or one continuation of the text."""
        if not state.team.leads:
            return
        started = time.perf_counter()
        model, tokenizer = state.model.eval(), self.tokenizer
        prompt = [tokenizer.eot_id, *tokenizer.encode(self.prompt)]
        rows = SAMPLE_STORIES if self.tells_stories else 1
        ids = torch.tensor([prompt[-model.config.context_length // 2 :]] * rows)
        room = min(SAMPLE_TOKENS, model.config.context_length - 1)
        texts = generate_batch(model, ids, room, SAMPLING, seed=0, stop_id=tokenizer.eot_id)
        forget(model)  # its weights change with the next step
        written = [self.prompt + tokenizer.decode(text) for text in texts]
        ladder = check("\n\n".join(written)).to_dict() if self.tells_stories else None
        state.seconds += time.perf_counter() - started
        yield events.Sampled(**state.place(), text=written[0], prompt=self.prompt, ladder=ladder)


def _opening(text: str, tokenizer: Tokenizer) -> str:
    """Return the first few words of a text the model has not read, to be continued."""
    return tokenizer.decode(tokenizer.encode(text.lstrip()[:200])[:12])


def snapshot(state: Trainer) -> dict:
    """Return all a run needs to go on as if it had never stopped: tensors by name, and plain numbers."""
    tensors = {}
    for place, optimizer in enumerate(state.optimizers):
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{place}.{index}.{name}": value for name, value in moments.items()}
    return {
        "model": state.model,
        "optimizer": tensors,
        "noise": torch.get_rng_state(),
        "windows": state.windows.state(),
        "scaler": state.scaler.state_dict(),
        "way": {name: getattr(state.way, name) for name in Trial.__slots__},
        "total_steps": state.total_steps,
        **{name: getattr(state, name) for name in ("step", "tokens", "seconds")},
    }


def restore(state: Trainer, saved: dict) -> None:
    """Put a snapshot's numbers back in place; the inverse of `snapshot`."""
    state.model.load_state_dict(saved["model"].state_dict())
    for place, optimizer in enumerate(state.optimizers):
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in saved["optimizer"].items():
            where, index, name = key.split(".", 2)
            if int(where) == place:
                moments.setdefault(int(index), {})[name] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.windows.restore(saved["windows"])
    state.scaler.load_state_dict(saved["scaler"])
    torch.set_rng_state(saved["noise"])
    for name in ("total_steps", "step", "tokens", "seconds"):
        setattr(state, name, saved[name])
