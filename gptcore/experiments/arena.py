"""Two architectures on the same batches: equalized, each at its best of several learning rates, over several seeds.

The learning rate changes a small run's loss more than most parts do, so each arm is judged at its best one. A single
seed proves nothing, so means are compared with their standard error. A match is a list of ordinary runs: train those
that `plan` lists and pass their last losses to `judge`.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from gptcore.account import forward_flops, n_parameters
from gptcore.config import PRESETS, ConfigError, ModelConfig, TrainConfig
from gptcore.model import GPT
from gptcore.runs.request import RunRequest, parse_settings, split_settings

EQUAL_IN = ("parameters", "flops", "seconds")
ARMS = ("a", "b")
RATES = (0.002, 0.005, 0.0125)
SEEDS = (0, 1, 2)
STEPS = 300
SECONDS = 30.0
CONTEXT = 128  # the window too: a position that is never trained would be a wasted row of a learned table
CHANCE = 0.05  # of a difference as large between two arms that are alike
VERDICTS = ("clear", "within the noise", "open")
STYLES: Mapping[str, Mapping[str, Any]] = {
    "LLaMA-style": {"norm": "rmsnorm", "ffn": "swiglu", "position": "rope", "bias": "none"},
    "GPT-2-style": {"norm": "layernorm", "ffn": "gelu", "position": "learned", "bias": "all"},
}
_ROUND = 8  # a feed-forward width that memory and vector units like
_NEAR = 0.005  # of the parameters: how far a round width may be off before the exact one is taken


def style(name: str, shape: ModelConfig, **changes: Any) -> ModelConfig:
    """Return a shape with the parts of one family, and further fields changed; raises ConfigError."""
    if name not in STYLES:
        raise ConfigError(f"style={name!r} must be one of {', '.join(STYLES)}")
    return shape.replace(**{**STYLES[name], **changes})


def train_config(**changes: Any) -> TrainConfig:
    """Return how both arms are trained; settings that a run would measure are fixed, so that both are equal."""
    fixed = {
        "seconds": None,
        "steps": STEPS,
        "batch_size": 8,
        "window_length": None,
        "grow_windows": False,
        "optimizer": "adamw",
        "beta2": 0.95,
        "precision": "fp32",
        "attention_path": "fused",
        "threads": 1,
        "n_evals": 8,
        "eval_batches": 8,
        "n_samples": 3,
    }
    return PRESETS["nano"].train.replace(**{**fixed, **changes})


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Two configs to compare and the terms of the comparison. `train` gives the length of arm a's runs, in steps or
    seconds.

    Both arms read windows of the same length in batches of the same size; the window is the shorter of the two
    contexts. The learning rate and the seed of `train` are replaced by each of `rates` and `seeds`.
    """

    a: ModelConfig
    b: ModelConfig
    train: TrainConfig
    equal_in: str = "parameters"
    rates: tuple[float, ...] = RATES
    seeds: tuple[int, ...] = SEEDS

    def __post_init__(self):
        if self.equal_in not in EQUAL_IN:
            raise ConfigError(f"equal_in={self.equal_in!r} must be one of {', '.join(EQUAL_IN)}")
        if self.a.vocab_size != self.b.vocab_size:
            raise ConfigError(
                f"vocab_size={self.a.vocab_size} and {self.b.vocab_size} must be equal, because a loss per "
                "token compares only models with the same tokenizer"
            )
        for name in ("rates", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigError(
                    f"{name}={','.join(map(str, values))} must be one or more values, each only once"
                )
        if any(rate <= 0 for rate in self.rates):
            raise ConfigError(f"rates={','.join(map(str, self.rates))} must all be greater than 0")
        if self.train.grow_windows:
            raise ConfigError(
                "grow_windows=true changes the cost of a step during a run; set it to false for a comparison"
            )
        if (self.train.seconds is not None) != (self.equal_in == "seconds"):
            unit = "seconds" if self.equal_in == "seconds" else "steps"
            raise ConfigError(f"arms equal in {self.equal_in} need a length in {unit}; set {unit}")

    @property
    def window(self) -> int:
        """The tokens of a window, the same for both arms."""
        return self.train.window_length or min(self.a.context_length, self.b.context_length)


def parse_match(
    *,
    styles: tuple[str, str] = tuple(STYLES),
    settings: tuple[Sequence[str], Sequence[str], Sequence[str]] = ((), (), ()),
    equal_in: str = "parameters",
    steps: int | None = None,
    seconds: float | None = None,
    rates: Sequence[float] | None = None,
    seeds: Sequence[int] | None = None,
) -> Match:
    """Return the match that FIELD=VALUE words describe: for both arms or the training, for arm a, for arm b.

    The shape is the nano preset's with a context of `CONTEXT` tokens. Raises ConfigError.
    """
    shared, training = split_settings(parse_settings(settings[0]))
    models = []
    for name, words in zip(styles, settings[1:], strict=True):
        own, not_of_a_model = split_settings(parse_settings(words))
        if not_of_a_model:
            raise ConfigError(f"{', '.join(not_of_a_model)} applies to both arms; set it with --set")
        models.append(style(name, PRESETS["nano"].model.replace(context_length=CONTEXT), **{**shared, **own}))
    if seconds is not None:
        training |= {"steps": None, "seconds": seconds}
    elif steps is not None:
        training |= {"steps": steps}
    elif equal_in == "seconds":
        training |= {"steps": None, "seconds": SECONDS}
    return Match(
        a=models[0],
        b=models[1],
        train=train_config(**training),
        equal_in=equal_in,
        rates=tuple(rates or RATES),
        seeds=tuple(seeds or SEEDS),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One arm of a match as it will be trained; `steps` is None if its length is in seconds."""

    model: ModelConfig
    steps: int | None
    n_parameters: int
    flops_per_step: int

    @property
    def flops(self) -> int | None:
        """The multiplications and additions of one run."""
        return None if self.steps is None else self.steps * self.flops_per_step


@dataclass(frozen=True, kw_only=True, slots=True)
class EqualArms:
    """Both arms after equalizing, and the change: `field` of arm b from `before` to `after`."""

    a: Arm
    b: Arm
    field: str | None = None
    before: int | None = None
    after: int | None = None

    def __getitem__(self, arm: str) -> Arm:
        return {"a": self.a, "b": self.b}[arm]

    def remaining_difference(self) -> dict[str, float]:
        """Return by what fraction arm b still exceeds arm a, in parameters, FLOPs a step and FLOPs a run."""
        pairs = {
            "parameters": (self.a.n_parameters, self.b.n_parameters),
            "FLOPs a step": (self.a.flops_per_step, self.b.flops_per_step),
            "FLOPs a run": (self.a.flops, self.b.flops),
        }
        return {name: b / a - 1 for name, (a, b) in pairs.items() if a and b}


def equalize(match: Match) -> EqualArms:
    """Adjust arm b to arm a and nothing else: its d_ff to equal parameters, or its steps to equal FLOPs.

    For equal seconds nothing is adjusted: each run gets the same time and measures how many steps fit. Raises
    ConfigError if no width makes the arms equal to 1%.
    """
    a, b = match.a, match.b
    steps = match.train.steps
    if match.equal_in == "parameters":
        fitted = b.replace(d_ff=_fitting_width(b, n_parameters(a)))
        changed = ("d_ff", b.d_ff, fitted.d_ff)
        return _equal_arms(match, fitted, steps, changed if fitted != b else (None,) * 3)
    if match.equal_in == "flops":
        ratio = flops_per_step(a, match) / flops_per_step(b, match)
        steps_b = max(1, round(steps * ratio))
        return _equal_arms(match, b, steps_b, ("steps", steps, steps_b) if steps_b != steps else (None,) * 3)
    return _equal_arms(match, b, None, (None,) * 3)


def _equal_arms(match: Match, b: ModelConfig, steps: int | None, changed: tuple) -> EqualArms:
    arms = (
        Arm(
            model=model,
            steps=n,
            n_parameters=n_parameters(model),
            flops_per_step=flops_per_step(model, match),
        )
        for model, n in ((match.a, match.train.steps), (b, steps))
    )
    field, before, after = changed
    return EqualArms(a=next(arms), b=next(arms), field=field, before=before, after=after)


def check_account(even: EqualArms) -> None:
    """Raise ConfigError if a part has other weights than it declares to the account, as a plugin's may."""
    for arm in ARMS:
        built = sum(weight.numel() for weight in GPT(even[arm].model).parameters())
        if built != even[arm].n_parameters:
            raise ConfigError(
                f"arm {arm} has {built:,} parameters, and its parts count {even[arm].n_parameters:,}; correct "
                "the plugin's n_weights or n_matrices"
            )


def flops_per_step(config: ModelConfig, match: Match) -> int:
    """Return the FLOPs of one training step's matrix products: forward, and twice that backward."""
    forward = forward_flops(config, match.window, match.train.batch_size)
    return 3 * sum(forward.values()) * match.train.accumulation


def _fitting_width(config: ModelConfig, target: int) -> int:
    """Return the d_ff that brings a config nearest to a number of parameters; a round one if that is close enough."""
    at_one, at_two = (n_parameters(config.replace(d_ff=width)) for width in (1, 2))
    exact = max(1, 1 + round((target - at_one) / (at_two - at_one)))
    rounded = max(_ROUND, _ROUND * round(exact / _ROUND))
    width = rounded if _off(config, rounded, target) <= _NEAR else exact
    if _off(config, width, target) > 0.01:
        smallest = n_parameters(config.replace(d_ff=1))
        raise ConfigError(
            f"no d_ff gives arm b the {target:,} parameters of arm a, because with d_ff=1 it has "
            f"{smallest:,}; change its width or depth, or make the arms equal in flops"
        )
    return width


def _off(config: ModelConfig, width: int, target: int) -> float:
    return abs(n_parameters(config.replace(d_ff=width)) / target - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One run of a match: its arm, learning rate and seed, and the request that trains it."""

    arm: str
    rate: float
    seed: int
    request: RunRequest

    @property
    def name(self) -> str:
        """A directory name, such as a-0.005-0."""
        return f"{self.arm}-{self.rate:g}-{self.seed}"


@lru_cache(maxsize=64)
def plan(match: Match, corpus: str = "stories", plugin: str | None = None) -> tuple[Planned, ...]:
    """Return every run, seed by seed and alternating the arms, so that an interrupted match has complete seeds.

    Which windows a run reads depends on text, window, batch size and seed alone, so both arms read the same windows
    in the same order; the arm that trains longer reads more.
    """
    even = equalize(match)
    planned = []
    for seed, rate, arm in itertools.product(match.seeds, match.rates, ARMS):
        train = match.train.replace(
            learning_rate=rate, window_length=match.window, seed=seed, steps=even[arm].steps
        )
        # Whatever the text, the tokens are those of the stories: a vocabulary that shrank would undo what was
        # made equal.
        request = RunRequest.of(even[arm].model, train, corpus=corpus, tokenizer="story", plugin=plugin)
        planned.append(Planned(arm=arm, rate=rate, seed=seed, request=request))
    return tuple(planned)


def differs_from(planned: Planned, config: Mapping[str, Any]) -> bool:
    """Return whether a run's `config.json` has other settings than these; False for an empty one."""
    if not config:
        return False
    try:
        other = RunRequest.from_dict(config)
        return _choices(other) != _choices(planned.request)
    except ConfigError:
        return True


def _choices(request: RunRequest) -> tuple:
    return request.configs(), request.corpus, request.tokenizer


class Result(NamedTuple):
    """The result of one run: its last validation loss in nats per token, infinite if the run failed."""

    arm: str
    rate: float
    seed: int
    loss: float


def last_loss(events: Iterable[Mapping[str, Any]]) -> float | None:
    """Return a finished run's last validation loss from its events: infinity if it failed, None if it is not
    finished."""
    loss, over = math.inf, False
    for event in events:
        if event["event"] == "eval":
            loss = event["val_loss"] if event["val_loss"] is not None else math.inf
        elif event["event"] == "failed":
            return math.inf
        elif event["event"] == "done":
            over = event["reason"] in ("steps", "seconds")
    return loss if over else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmResult:
    """An arm at one learning rate: the last losses of its seeds in nats per token. `edge` says whether it is the
    lowest or highest rate."""

    rate: float
    losses: tuple[float, ...]
    edge: str | None = None  # lowest, highest: a better rate may lie beyond

    @property
    def mean(self) -> float:
        return statistics.fmean(self.losses)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The outcome of a match: `word` is one of VERDICTS, `winner` the arm with the lower mean.

    `difference` is how much lower, in nats per token; `standard_error` that of the difference, pooled over both arms;
    `chance` how often two equal arms would be at least as far apart (Student's t, both sides).
    """

    word: str
    winner: str | None = None
    best: Mapping[str, ArmResult]
    difference: float = math.nan
    standard_error: float = math.nan
    chance: float = math.nan
    apart: bool = False  # every seed of one arm below every seed of the other


def arm_results(results: Iterable[Result], match: Match) -> dict[str, list[ArmResult]]:
    """Return each arm's results at the learning rates whose seeds are all finished."""
    known = {(result.arm, result.rate, result.seed): result.loss for result in results}
    ends = {min(match.rates): "lowest", max(match.rates): "highest"} if len(match.rates) > 1 else {}
    table: dict[str, list[ArmResult]] = {arm: [] for arm in ARMS}
    for arm, rate in itertools.product(ARMS, match.rates):
        losses = tuple(known[key] for seed in match.seeds if (key := (arm, rate, seed)) in known)
        if len(losses) == len(match.seeds):
            table[arm].append(ArmResult(rate=rate, losses=losses, edge=ends.get(rate)))
    return table


def judge(results: Iterable[Result], match: Match) -> Verdict:
    """Compare both arms, each at the rate with its lowest mean of last losses.

    `clear` if every seed of one arm ends below every seed of the other *and* two equal arms would differ this much in
    less than 5% of cases; otherwise `within the noise`. `open` while runs are missing, with a single seed, or if an
    arm failed at every rate. With three seeds each, the first condition holds by chance in 10% of cases, so it is not
    enough.
    """
    table = arm_results(results, match)
    best = {arm: min(rows, key=lambda standing: standing.mean) for arm, rows in table.items() if rows}
    complete = all(len(table[arm]) == len(match.rates) for arm in ARMS)
    if not complete or len(match.seeds) < 2 or any(math.isinf(arm.mean) for arm in best.values()):
        return Verdict(word="open", best=best)
    a, b = best["a"], best["b"]
    difference = abs(a.mean - b.mean)
    error = math.sqrt(sum(statistics.variance(arm.losses) for arm in (a, b)) / len(match.seeds))
    chance = p_value(difference / error if error else math.inf * difference, 2 * len(match.seeds) - 2)
    apart = max(a.losses) < min(b.losses) or max(b.losses) < min(a.losses)
    return Verdict(
        word="clear" if apart and chance < CHANCE else "within the noise",
        winner="a" if a.mean < b.mean else "b",
        best=best,
        difference=difference,
        standard_error=error,
        chance=chance,
        apart=apart,
    )


def p_value(t: float, freedom: int) -> float:
    """Return the two-sided p-value of a t statistic, for an even number of degrees of freedom.

    The series for even degrees (Abramowitz and Stegun 26.7.4), which needs no integral.

    >>> round(p_value(2.776, 4), 3)
    0.05
    """
    if math.isnan(t):  # no difference and no variance
        return 1.0
    if freedom < 2 or freedom % 2:
        raise ValueError(f"freedom={freedom} must be an even number greater than 0")
    angle = math.atan(t / math.sqrt(freedom))
    term, total = 1.0, 1.0
    for k in range(1, freedom // 2):
        term *= math.cos(angle) ** 2 * (2 * k - 1) / (2 * k)
        total += term
    return max(0.0, 1.0 - math.sin(angle) * total)


def standard_errors_needed(n_seeds: int, chance: float = CHANCE) -> float:
    """Return how many standard errors a difference must have, with so many seeds an arm, to be this rare by chance.

    >>> round(standard_errors_needed(3), 2)
    2.78
    """
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(middle, 2 * n_seeds - 2) > chance else (low, middle)
    return high
