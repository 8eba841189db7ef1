"""Every number that defines a model or a training run, validated on construction.

Configs are frozen, compare by value and are hashable, so a config can be a cache key. Optional sizes (`None`) are
filled in on construction, so two ways to write the same model compare equal.
"""

import math
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, replace
from itertools import cycle
from typing import Any, NamedTuple, Self

from gptcore.feedforward import FEEDFORWARDS
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS

NORM_POSITIONS = ("pre", "post", "branch", "pre+branch")
BIASES = ("none", "qkv", "attention", "mlp", "all")
QK_NORM_WIDTHS = ("head", "all")
SCALINGS = ("linear", "ntk", "llama3", "yarn", "dynamic")
MAX_SEED = 2**63  # what torch's generators take
OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
TORCH_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
ATTENTION_PATHS = ("auto", "fast", "explicit", "fused")
FAULTS = ("none", "unshifted_targets", "tiny_text", "leaking_gradients")  # what they do: faults.py


# The largest value of each field: far above any model ever trained (Llama 3 405B has 126 layers, d_model=16384 and
# d_ff=53248), and small enough for torch's integers and float32. What a machine can hold is less: `account`.
LARGEST = {
    name: largest
    for largest, names in (
        (1.0, ("rotary_fraction",)),
        (4096, ("n_layers", "threads")),
        (10**6, ("n_heads", "n_kv_heads")),
        (1e6, ("norm_eps", "score_scale", "score_cap", "logit_cap", "embedding_scale", "weight_decay")),
        (1e6, ("factor", "low_freq_factor", "high_freq_factor", "attention_factor")),
        (1e6, ("learning_rate", "min_learning_rate")),
        (10**7, ("d_model", "head_dim", "n_evals", "n_samples")),
        (10**8, ("vocab_size",)),
        (10**9, ("context_length", "d_ff", "window", "original_context_length")),
        (10**9, ("batch_size", "accumulation", "window_length", "eval_batches")),
        (1e9, ("seconds",)),  # 31 years
        (1e15, ("rope_theta", "window_rope_theta")),
        (10**18, ("steps", "warmup_steps")),
        (1e30, ("grad_clip",)),
    )
    for name in names
}


class ConfigError(ValueError):
    """A setting that cannot work; the message names the field, its value and the rule."""


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ConfigError(sentence)


def _number(config: object, kind: type, *names: str, least: float | None = None, above: float | None = None):
    """Check that fields hold a number of this kind, at least `least`, strictly above `above`, and not too large."""
    noun = "a whole number" if kind is int else "a number"
    for name in names:
        value = getattr(config, name)
        good = isinstance(value, (int,) if kind is int else (int, float)) and not isinstance(value, bool)
        finite = good and (isinstance(value, int) or math.isfinite(value))  # isfinite takes no very large int
        _require(finite, f"{name}={_shown(value)} must be {noun}")
        _require(least is None or value >= least, f"{name}={_shown(value)} must be at least {least}")
        _require(above is None or value > above, f"{name}={_shown(value)} must be greater than {above}")
        largest = LARGEST.get(name, value)
        _require(value <= largest, f"{name}={_shown(value)} must be at most {largest:,}")


def _fractions(config: object, *names: str) -> None:
    for name in names:
        _number(config, float, name, least=0)
        _require(getattr(config, name) < 1, f"{name}={getattr(config, name)} must be less than 1")


def _shown(value: object) -> str:
    """Return a value as it was written, with the middle of a long one left out."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-10:]}"


def _one_of(config: object, name: str, allowed: Iterable[str]) -> None:
    value = getattr(config, name)
    known = isinstance(value, str) and value in allowed
    _require(known, f"{name}={_shown(value)} must be one of {', '.join(allowed)}")


def _flags(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(isinstance(value, bool), f"{name}={_shown(value)} must be true or false")


def _check_names(kind: type, names: Iterable[str]) -> None:
    unknown = ", ".join(sorted(set(names) - {field.name for field in fields(kind)}))
    _require(not unknown, f"{kind.__name__} has no field {unknown}; remove it or correct its name")


def _added_later(default: Any) -> Any:
    """Return a field that the first configs did not have.

    Dictionaries leave it out at its default, so that the keys and files of those configs stay what they were.
    """
    return field(default=default, metadata={"added_later": True})


class _Config:
    """The base of all configs: changed copies, and conversion from and to dictionaries."""

    __slots__ = ()

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these fields changed, checked again."""
        _check_names(type(self), changes)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, without fields added later that are at their default."""
        values = {
            part.name: getattr(self, part.name)
            for part in fields(self)
            if not (part.metadata.get("added_later") and getattr(self, part.name) == part.default)
        }
        return {name: v.to_dict() if isinstance(v, _Config) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config these plain values describe; raises ConfigError for an unknown or a missing field."""
        _check_names(cls, values)
        needed = (field.name for field in fields(cls) if field.default is MISSING)
        missing = [name for name in needed if name not in values]
        _require(not missing, f"{cls.__name__} requires {', '.join(missing)}; add it")
        return cls(**values)

    def changes_from(self, base: Self | None = None, leave_out: Iterable[str] = ()) -> dict[str, Any]:
        """Return the fields that must be named to get this config by `base.replace`, or from the defaults.

        What follows from another field is left out, and so are fields that need not agree (`leave_out`).

        >>> PRESETS["nano"].model.replace(d_model=64).changes_from(PRESETS["nano"].model)
        {'d_model': 64}
        """
        kind = type(self)
        build = kind if base is None else base.replace
        defaults = {field.name: field.default for field in fields(kind)}
        given = {name: defaults[name] if base is None else getattr(base, name) for name in leave_out}
        target = self.replace(**given) if given else self
        kept = {name: getattr(target, name) for name in defaults if name not in given}
        for name in list(kept):
            rest = {other: value for other, value in kept.items() if other != name}
            try:
                if build(**rest) == target:
                    kept = rest
            except (TypeError, ValueError):
                continue  # it cannot be left out
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class RopeScaling(_Config):
    """How rotary positions are scaled for a context longer than the one trained.

    `linear` divides every angle by `factor` (Chen et al. 2023). `ntk` raises the base instead, so that high
    frequencies keep their value. `llama3` divides only low frequencies (Llama 3.1). `yarn` does the same and
    multiplies cosines and sines by `attention_factor`, by default 0.1 ln(factor) + 1 (Peng et al. 2023). For these
    two, pairs with fewer than `low_freq_factor` rotations in `original_context_length` tokens are divided, and pairs
    with more than `high_freq_factor` (default: 4, yarn: 32) keep their frequency. `whole_pairs` rounds yarn's two
    limits. `dynamic` acts only on texts longer than `context_length`, so here it is only kept for an export.
    """

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float | None = None
    original_context_length: int = 8192
    attention_factor: float | None = _added_later(None)
    whole_pairs: bool = _added_later(True)

    def __post_init__(self):
        _one_of(self, "kind", SCALINGS)
        _number(self, float, "factor", least=1.0)
        if self.high_freq_factor is None:
            object.__setattr__(self, "high_freq_factor", 32.0 if self.kind == "yarn" else 4.0)
        _number(self, float, "low_freq_factor", "high_freq_factor", above=0)
        _number(self, int, "original_context_length", least=1)
        _require(
            self.kind not in ("llama3", "yarn") or self.high_freq_factor > self.low_freq_factor,
            f"high_freq_factor={self.high_freq_factor} must be greater than low_freq_factor={self.low_freq_factor}",
        )
        if self.attention_factor is not None:
            _require(self.kind == "yarn", f"attention_factor needs kind=yarn, not kind={self.kind}")
            _number(self, float, "attention_factor", above=0)
        _flags(self, "whole_pairs")

    @property
    def table_factor(self) -> float:
        """The factor of the cosines and sines."""
        if self.kind != "yarn":
            return 1.0
        return 0.1 * math.log(self.factor) + 1 if self.attention_factor is None else self.attention_factor


class LayerKind(NamedTuple):
    """What can differ between layers: the attention window (None for all tokens), and whether RoPE rotates."""

    window: int | None
    rotates: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(_Config):
    """The shape of a decoder-only Transformer and the parts it is built from; the defaults are LLaMA's parts.

    `score_scale` multiplies attention scores, by default 1/sqrt(head_dim). `causal`, `residual` and `score_scale`
    exist for labs that turn them off. Some families need more: `embedding_scale` multiplies the embeddings (Gemma:
    sqrt(d_model)); `score_cap` and `logit_cap` bound attention scores and logits (Gemma 2); `qk_norm_width` says
    whether `qk_norm` normalizes each `head` (Qwen 3) or `all` heads of a token together (OLMo 2); `rotary_fraction`
    is the fraction of a head that RoPE rotates (Phi).

    A pattern has one letter per layer and repeats. In `window_pattern`, "w" layers have the attention window and "f"
    layers attend to the full text ("wf": Gemma 2; "wwwwwf": Gemma 3). `window_rope_theta` is the base of "w" layers,
    which are not scaled (Gemma 3). In `rope_pattern`, "r" layers rotate and "n" layers don't ("rrrn": SmolLM3).
    """

    vocab_size: int
    context_length: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None = None
    head_dim: int | None = None
    d_ff: int | None = None
    norm: str = "rmsnorm"
    norm_eps: float = 1e-5
    norm_position: str = "pre"
    ffn: str = "swiglu"
    position: str = "rope"
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    bias: str = "none"
    qk_norm: bool = False
    window: int | None = None
    tie_embeddings: bool = True
    dropout: float = 0.0
    causal: bool = True
    residual: bool = True
    score_scale: float | None = None
    embedding_scale: float = _added_later(1.0)
    score_cap: float | None = _added_later(None)
    logit_cap: float | None = _added_later(None)
    qk_norm_width: str = _added_later("head")
    rotary_fraction: float = _added_later(1.0)
    window_pattern: str = _added_later("w")
    window_rope_theta: float | None = _added_later(None)
    rope_pattern: str = _added_later("r")

    def __post_init__(self):
        _number(self, int, "vocab_size", "context_length", "d_model", "n_layers", "n_heads", least=1)
        if self.head_dim is None:
            below = self.d_model // self.n_heads * self.n_heads
            _require(
                self.d_model % self.n_heads == 0,
                f"d_model={self.d_model} must be divisible by n_heads={self.n_heads}; "
                f"try {f'{below} or ' if below else ''}{below + self.n_heads}",
            )
        for name, value in self._followers().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        _number(self, int, "n_kv_heads", "head_dim", "d_ff", least=1)
        _require(
            self.n_heads % self.n_kv_heads == 0,
            f"n_heads={self.n_heads} must be divisible by n_kv_heads={self.n_kv_heads}; "
            f"try n_kv_heads={math.gcd(self.n_heads, self.n_kv_heads)}",
        )
        _one_of(self, "norm", NORMS)
        _one_of(self, "norm_position", NORM_POSITIONS)
        _one_of(self, "ffn", FEEDFORWARDS)
        _one_of(self, "position", POSITIONS)
        _one_of(self, "bias", BIASES)
        _require(
            self.position != "rope" or self.head_dim % 2 == 0,
            f"head_dim={self.head_dim} must be even, because RoPE rotates pairs; use {self.head_dim + 1}",
        )
        _require(
            self.position != "sinusoidal" or self.d_model % 2 == 0,
            f"d_model={self.d_model} must be even for sinusoidal positions; use {self.d_model + 1}",
        )
        if self.score_scale is None:
            object.__setattr__(self, "score_scale", self.head_dim**-0.5)
        _number(self, float, "norm_eps", above=0)
        _number(self, float, "score_scale", least=-LARGEST["score_scale"])
        if self.window is not None:
            _number(self, int, "window", least=1)
        if isinstance(self.rope_scaling, dict):
            object.__setattr__(self, "rope_scaling", RopeScaling.from_dict(self.rope_scaling))
        scaling = self.rope_scaling
        _require(
            scaling is None or isinstance(scaling, RopeScaling),
            f"rope_scaling={scaling!r} must be a RopeScaling",
        )
        _fractions(self, "dropout")
        _flags(self, "qk_norm", "tie_embeddings", "causal", "residual")
        self._check_parts_of_families()

    def _check_parts_of_families(self) -> None:
        """Check what only some families have."""
        _number(self, float, "embedding_scale", "rotary_fraction", above=0)
        for name in ("score_cap", "logit_cap", "window_rope_theta"):
            if getattr(self, name) is not None:
                _number(self, float, name, above=0)
        _one_of(self, "qk_norm_width", QK_NORM_WIDTHS)
        for name, letters in (("window_pattern", "wf"), ("rope_pattern", "rn")):
            pattern = getattr(self, name)
            good = isinstance(pattern, str) and 0 < len(pattern) <= LARGEST["n_layers"]
            _require(
                good and set(pattern) <= set(letters),
                f"{name}={_shown(pattern)} must consist of the letters {letters[0]} and {letters[1]}",
            )
        rotary, written = self.position == "rope", self.to_dict()
        for name, other, there in (
            ("window_pattern", "window", self.window),
            ("window_rope_theta", "window and position=rope", self.window and rotary),
            ("qk_norm_width", "qk_norm", self.qk_norm),
            ("rope_pattern", "position=rope", rotary),
            ("rotary_fraction", "position=rope", rotary),
        ):
            _require(there or name not in written, f"{name}={getattr(self, name)} needs {other}")
        width = round(self.rotary_fraction * self.head_dim)
        _require(
            self.rotary_fraction == 1 or (width >= 2 and width % 2 == 0),
            f"rotary_fraction={self.rotary_fraction} of head_dim={self.head_dim} is {width}, which must be even",
        )
        stretched = self.rope_scaling.kind if self.rope_scaling else ""
        _require(
            stretched != "ntk" or width > 2,
            f"head_dim={self.head_dim} must be at least 4 for ntk scaling, which needs two frequencies",
        )
        _number(self, float, "rope_theta", above=1 if stretched == "yarn" else 0)

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer."""
        windows, rotations = cycle(self.window_pattern), cycle(self.rope_pattern)
        return tuple(
            LayerKind(window=self.window if next(windows) == "w" else None, rotates=next(rotations) == "r")
            for _ in range(self.n_layers)
        )

    def _followers(self) -> dict[str, int]:
        """Return the sizes that follow from others where they are left out."""
        head_dim = self.d_model // self.n_heads
        return {"n_kv_heads": self.n_heads, "head_dim": head_dim, "d_ff": 4 * self.d_model}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these fields changed; what followed from a changed size follows it again.

        >>> ModelConfig(vocab_size=9, context_length=8, d_model=8, n_layers=1, n_heads=2).replace(d_model=16).d_ff
        64
        """
        followers = self._followers() | {"score_scale": self.head_dim**-0.5}
        fresh = {name: None for name, value in followers.items() if getattr(self, name) == value}
        return _Config.replace(self, **(fresh | changes))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(_Config):
    """How a model is trained: length, batches, optimizer, learning rate and evaluation.

    A run has a length in `steps` or in `seconds`, of which it finds out early how many steps they hold.
    `window_length` is the number of tokens of a training window, by default the context. `grow_windows` trains on
    quarters of windows first, then halves, then whole ones (`training.optim.window_cuts`). `precision`,
    `attention_path` and `threads` are `auto` (measured at the start) or a value. `compile` uses torch.compile, which
    takes about a minute and a C++ compiler; without one the run continues uncompiled. `n_evals` and `n_samples` count
    the evaluations and samples of a run. `fault` breaks the loop on purpose, for lessons.
    """

    steps: int | None = None
    seconds: float | None = None
    batch_size: int = 16
    accumulation: int = 1
    window_length: int | None = None
    grow_windows: bool = False
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    min_learning_rate: float | None = None
    warmup_steps: int = 50
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    grad_clip: float = 1.0
    seed: int = 0
    precision: str = "auto"
    attention_path: str = "auto"
    threads: int | str = "auto"
    compile: bool = False
    n_evals: int = 12
    eval_batches: int = 4
    n_samples: int = 8
    fault: str = "none"

    def __post_init__(self):
        _require(
            self.steps is None or self.seconds is None,
            f"steps={self.steps} and seconds={self.seconds} are both set; leave one of them out",
        )
        if self.steps is not None:
            _number(self, int, "steps", least=1)
        if self.seconds is not None:
            _number(self, float, "seconds", above=0)
            _number(self, float, "seconds", least=1e-6)
        if self.window_length is not None:
            _number(self, int, "window_length", least=2)
        _number(self, int, "batch_size", "accumulation", "n_evals", "eval_batches", least=1)
        _number(self, int, "warmup_steps", "n_samples", least=0)
        _number(self, int, "seed", least=0)
        _require(self.seed < MAX_SEED, f"seed={self.seed} must be less than 2**63")
        _number(self, float, "learning_rate", above=0)
        if self.min_learning_rate is None:
            object.__setattr__(self, "min_learning_rate", self.learning_rate / 10)
        _number(self, float, "min_learning_rate", "weight_decay", least=0)
        _require(
            self.min_learning_rate <= self.learning_rate,
            f"min_learning_rate={self.min_learning_rate} must be at most learning_rate={self.learning_rate}",
        )
        _fractions(self, "beta1", "beta2")
        _number(self, float, "grad_clip", above=0)
        _flags(self, "grow_windows", "compile")
        _one_of(self, "optimizer", OPTIMIZERS)
        if isinstance(self.precision, str):
            short = TORCH_PRECISIONS.get(self.precision.removeprefix("torch."), self.precision)
            object.__setattr__(self, "precision", short)
        _one_of(self, "precision", PRECISIONS)
        _one_of(self, "attention_path", ATTENTION_PATHS)
        _one_of(self, "fault", FAULTS)
        if self.threads != "auto":
            _number(self, int, "threads", least=1)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these fields changed; the final learning rate keeps its ratio to the peak."""
        ratio = self.min_learning_rate / self.learning_rate
        if "learning_rate" in changes and "min_learning_rate" not in changes:
            rate = changes["learning_rate"]
            number = isinstance(rate, (int, float))
            changes["min_learning_rate"] = ratio * min(rate, LARGEST["learning_rate"]) if number else None
        return _Config.replace(self, **changes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A model config with the training config and the tokenizer that go with it."""

    model: ModelConfig
    train: TrainConfig
    tokenizer: str


_SMALL = ModelConfig(vocab_size=50_257, context_length=1024, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
_SMALL_TRAIN = TrainConfig(
    steps=100_000,
    batch_size=16,
    accumulation=4,
    learning_rate=6e-4,
    min_learning_rate=6e-5,
    warmup_steps=2000,
)

PRESETS: dict[str, Preset] = {
    "nano": Preset(
        model=ModelConfig(vocab_size=2048, context_length=256, d_model=128, n_layers=4, n_heads=4, d_ff=384),
        train=TrainConfig(
            seconds=60.0,
            batch_size=8,
            grow_windows=True,
            optimizer="muon",
            learning_rate=1e-2,
            min_learning_rate=2e-4,
            beta2=0.98,
        ),
        tokenizer="story",
    ),
    "tiny": Preset(
        model=_SMALL.replace(context_length=128, d_model=256, n_layers=4, n_heads=4, d_ff=1024),
        train=TrainConfig(steps=2000, batch_size=16, learning_rate=1e-3, warmup_steps=100),
        tokenizer="gpt2",
    ),
    "small": Preset(model=_SMALL, train=_SMALL_TRAIN, tokenizer="gpt2"),
    "small_legacy": Preset(
        model=_SMALL.replace(norm="layernorm", ffn="gelu", position="learned", bias="all", d_ff=4608),
        train=_SMALL_TRAIN,
        tokenizer="gpt2",
    ),
}
