"""What is asked of a worker: one frozen value that pages, the command line, the arena and the queue hand on.

A `RunRequest` is equal by value, has a `key` that is the same for requests with the same result, and goes through
JSON and through command-line arguments unchanged. Files it names (text, tokenizer, plugin) count by their content:
`sealed` writes down their hashes, so that a file changed in the meantime is noticed.

Most requests train (`kind="train"`). A job of another kind carries what it needs in `settings`, as plain JSON values.
"""

import argparse
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn, Self

from gptcore import __version__
from gptcore.config import PRESETS, ConfigError, ModelConfig, RopeScaling, TrainConfig
from gptcore.runs.options import add_request_options

TRAIN = "train"
FILES = ("corpus", "tokenizer", "plugin", "start_from")  # the fields that may name a file or a folder
LENGTHS = ("seconds", "steps")
GENTLER = 10  # by how much the learning rate is lower where a trained model is trained on

_OPTIONAL_TEXT = ((str, type(None)), "text")
_OPTIONAL_INTEGER = ((int, type(None)), "a whole number")
FIELD_TYPES = {  # besides settings and hashes: the types a field may have, and their name in a sentence
    "kind": (str, "text"),
    "preset": (str, "text"),
    "corpus": (str, "text"),
    "text_field": _OPTIONAL_TEXT,
    "start_from": _OPTIONAL_TEXT,
    "tokenizer": _OPTIONAL_TEXT,
    "seconds": ((int, float, type(None)), "a number"),
    "steps": _OPTIONAL_INTEGER,
    "seed": _OPTIONAL_INTEGER,
    "plugin": _OPTIONAL_TEXT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What to train and for how long, or another kind of job with its settings.

    `settings` are fields of ModelConfig or TrainConfig by name, given as a mapping and kept as sorted pairs; they
    change the preset. `corpus` and `text_field` are as for `load_corpus`; `tokenizer` is `story`, `gpt2`, `train` or
    a file, by default the preset's or one trained on the text; `plugin` is a file run first; `start_from` is the run
    or model whose weights, shape and tokenizer training begins with. `hashes` are the SHA-256 of what is in the files
    and folders named. Raises ConfigError for an invalid request.
    """

    kind: str = TRAIN
    preset: str = "nano"
    settings: tuple[tuple[str, Any], ...] = ()
    corpus: str = "stories"
    text_field: str | None = None
    start_from: str | None = None
    tokenizer: str | None = None
    seconds: float | None = None
    steps: int | None = None
    seed: int | None = None
    plugin: str | None = None
    hashes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        self._check_types()
        settings = dict(self.settings)
        if self.kind == TRAIN:
            settings = _checked_settings(settings)
            if self.preset not in PRESETS:
                raise ConfigError(f"preset={self.preset!r} must be one of {', '.join(PRESETS)}")
            for name in LENGTHS:
                value = getattr(self, name)
                if value is not None and not value > 0:
                    raise ConfigError(f"--{name} {value:g} must be greater than 0")
        if self.seconds is not None:
            object.__setattr__(self, "seconds", float(self.seconds))
        object.__setattr__(self, "settings", _frozen(settings).pairs)
        object.__setattr__(self, "hashes", tuple(sorted(dict(self.hashes).items())))

    def _check_types(self) -> None:
        """Raise ConfigError for a field that holds a value of another type than it may."""
        for name, (types, noun) in FIELD_TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, types) or isinstance(value, bool):
                raise ConfigError(f"{name}={value!r} must be {noun}")
        for name in ("settings", "hashes"):
            try:
                pairs = dict(getattr(self, name)).items()
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{name}={getattr(self, name)!r} must map names to values") from error
            if not all(isinstance(key, str) for key, _ in pairs):
                raise ConfigError(f"{name}={getattr(self, name)!r} must have text as names")
        if not all(isinstance(digest, str) for digest in dict(self.hashes).values()):
            raise ConfigError(f"hashes={self.hashes!r} must be text")

    @classmethod
    def of(cls, model: ModelConfig, train: TrainConfig, *, preset: str = "nano", **others: Any) -> Self:
        """Return the request that trains exactly this model this way; `others` are further fields.

        Sizes that the preset has too are not named, so they may shrink to what a short text allows.
        """
        known = PRESETS[preset]
        settings = model.changes_from(known.model)
        settings |= train.changes_from(known.train, leave_out=(*LENGTHS, "seed"))
        length = {name: getattr(train, name) for name in (*LENGTHS, "seed")}
        return cls(preset=preset, settings=settings, **length, **others)

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """Return the request that parsed options (`add_request_options`) describe."""
        names = ("preset", "text_field", "start_from", "tokenizer", *LENGTHS, "seed", "plugin")
        return cls(
            settings=parse_settings(options.settings),
            corpus="\n".join(options.corpus),
            **{name: getattr(options, name) for name in names},
        )

    @classmethod
    def from_arguments(cls, words: Sequence[str]) -> Self:
        """Return the request that the words after `python -m gptcore train` describe; raises ConfigError."""
        _check_words("arguments", words)
        parser = _Words(add_help=False)
        add_request_options(parser)
        return cls.from_options(parser.parse_args(list(words)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the request in a JSON object, in a run's `config.json`, or in the first edition's request file.

        Raises ConfigError for a field that no request has and for a value that it cannot have.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"a request must be a JSON object, not {values!r}")
        if "arguments" in values:  # the first edition kept the words themselves
            return cls.from_arguments(values["arguments"])
        known = {field.name for field in fields(cls)}
        if "format" in values:  # a run's config.json holds much besides the request
            values = {name: value for name, value in values.items() if name in known - {"kind", "hashes"}}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"a request has no field {', '.join(unknown)}")
        settings = values.get("settings") or {}
        if isinstance(settings, list):
            _check_words("settings", settings)
            settings = parse_settings(settings)
        return cls(**{**values, "settings": settings, "hashes": values.get("hashes") or {}})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; fields at their default are left out."""
        chosen = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        if self.settings:
            chosen["settings"] = self.payload
        if self.hashes:
            chosen["hashes"] = dict(self.hashes)
        return {"kind": self.kind, **chosen}

    @property
    def payload(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {name: _thawed(value) for name, value in self.settings}

    def configs(self) -> tuple[ModelConfig, TrainConfig]:
        """Return the preset's configs with the request's settings, length and seed; raises ConfigError.

        With `start_from` the model's config is that of its files instead, and the learning rate is ten times lower.
        """
        chosen = PRESETS[self.preset]
        for_model, for_training = split_settings(dict(self.settings))
        length = {name: value for name in LENGTHS if (value := getattr(self, name)) is not None}
        if length or for_training.keys() & set(LENGTHS):  # either way it replaces the preset's
            for_training = dict.fromkeys(LENGTHS) | for_training | length
        if self.seed is not None:
            for_training["seed"] = self.seed
        if self.start_from is not None:
            rate = chosen.train.learning_rate / GENTLER
            for_training = {"learning_rate": rate, "grow_windows": False} | for_training
        return chosen.model.replace(**for_model), chosen.train.replace(**for_training)

    @property
    def key(self) -> str:
        """The same for requests that give the same result, whatever their files are called; raises ConfigError."""
        if self.kind == TRAIN:
            model, train = self.configs()
            content = {
                "version": __version__,
                "preset": self.preset,
                "model": model.to_dict(),
                "train": train.to_dict(),
                # Sizes given by name are kept, those of the preset shrink to a short text.
                "named": sorted(split_settings(dict(self.settings))[0]),
                "corpus": self._content("corpus"),
                "tokenizer": self._content("tokenizer"),
            }
            if self.text_field is not None:
                content["text_field"] = self.text_field
            if self.start_from is not None:
                content["start_from"] = self._content("start_from")
            if self.plugin:
                content["plugin"] = self._content("plugin")
        else:
            content = {"version": __version__} | replace(self, hashes=()).to_dict()
            content |= {name: self._content(name) for name in FILES if name in content}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _content(self, name: str) -> str:
        """Return a name as it stands, and the hash of what is in a file."""
        source = getattr(self, name) or ""
        return dict(self.hashes).get(name) or _content_hash(name, source) or source

    def sealed(self) -> Self:
        """Return this request with the hash of every file it names, as the files are now."""
        hashes = {name: _content_hash(name, getattr(self, name)) for name in FILES}
        return replace(self, hashes={name: h for name, h in hashes.items() if h} | dict(self.hashes))

    def check_files(self) -> None:
        """Raise ConfigError if a file has changed since the request was sealed."""
        for name, sealed_hash in self.hashes:
            hash_now = _content_hash(name, getattr(self, name))
            if hash_now and hash_now != sealed_hash:
                raise ConfigError(
                    f"{name} {getattr(self, name)} has changed since this run was requested; request it again"
                )

    def arguments(self) -> tuple[str, ...]:
        """Return the words after `python -m gptcore train`; raises ConfigError for another kind of job."""
        if self.kind != TRAIN:
            raise ConfigError(f"a job of kind {self.kind!r} cannot be run with `train`")
        words = [*_option("preset", self.preset), *_corpus_option(self.corpus)]
        words += [*_option("text-field", self.text_field), *_option("from", self.start_from)]
        words += _option("tokenizer", self.tokenizer)
        words += [] if self.seconds is None else _option("seconds", _number_word(self.seconds))
        for name in ("steps", "seed", "plugin"):
            words += _option(name, getattr(self, name))
        return (*words, *(("--set", *setting_words(dict(self.settings))) if self.settings else ()))

    def command(self, out: str = "DIR", n_processes: int = 1) -> str:
        """Return the command line that carries this request out, on several GPUs with a process for each."""
        program = ["python"] if n_processes == 1 else ["torchrun", f"--nproc-per-node={n_processes}"]
        return shlex.join([*program, "-m", "gptcore", "train", *self.arguments(), "--out", out])


def _check_words(name: str, words: Any) -> None:
    """Raise ConfigError unless these are words."""
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{name}={words!r} must be a list of words")


class _Words(argparse.ArgumentParser):
    """A parser that raises where the command line's would end the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object as a hashable value."""

    pairs: tuple[tuple[str, Any], ...]


def _frozen(value: Any) -> Any:
    """Return a JSON value as a hashable one."""
    if isinstance(value, Mapping):
        pairs = ((name, _frozen(inner)) for name, inner in value.items())
        return _Object(tuple(sorted(pairs, key=lambda pair: pair[0])))
    return tuple(_frozen(inner) for inner in value) if isinstance(value, (list, tuple)) else value


def _thawed(value: Any) -> Any:
    """Return what `_frozen` was given, as JSON has it."""
    if isinstance(value, _Object):
        return {name: _thawed(inner) for name, inner in value.pairs}
    if isinstance(value, RopeScaling):
        return value.to_dict()
    return [_thawed(inner) for inner in value] if isinstance(value, tuple) else value


def _content_hash(field: str, source: str | None) -> str | None:
    """Return the SHA-256 of the file that a field names, or of all files that it leads to; None without any."""
    files_of = _model_files if field == "start_from" else _files_of
    try:
        files = [file for name in (source or "").split("\n") if name for file in files_of(Path(name))]
        if not files:
            return None
        digests = []
        for path in files:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    except (OSError, ValueError):  # a name that no file can have, or one that may not be read
        return None
    return digests[0] if len(files) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _files_of(path: Path) -> list[Path]:
    """Return a file itself, or the files in a folder in the order of their names; no devices and no pipes."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []


def _model_files(path: Path) -> list[Path]:
    """Return the files of a model: one file, those of a folder, or those of a run's newest checkpoint."""
    for folder in (path, path / "latest", path / "previous"):
        if any(folder.glob("*.safetensors")):
            return sorted(file for file in folder.iterdir() if file.is_file())
    return [path] if path.is_file() else []


def _option(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    word = str(value)
    return [f"--{name}={word}"] if word.startswith("-") else [f"--{name}", word]


def _corpus_option(corpus: str) -> list[str]:
    names = corpus.split("\n")
    if len(names) == 1:
        return _option("corpus", corpus)
    return ["--corpus", *(f"./{name}" if name.startswith("-") else name for name in names)]


def _number_word(value: float) -> str:
    """Return a number as somebody would write it, exactly."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """Return FIELD=VALUE words as typed settings.

    >>> parse_settings(["d_model=64", "norm=layernorm", "tie_embeddings=false"])
    {'d_model': 64, 'norm': 'layernorm', 'tie_embeddings': False}
    """
    settings: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--set {word!r} must have the form FIELD=VALUE, such as d_model=64")
        name, value = name.strip(), value.strip()
        settings[name] = _parse_scaling(value) if name == "rope_scaling" else _parse_value(value)
    return settings


def _parse_value(word: str) -> bool | int | float | str:
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _parse_scaling(word: str) -> RopeScaling | None:
    """Return rotary scaling written as KIND:FACTOR, such as ntk:4."""
    if word == "none":
        return None
    kind, _, factor = word.partition(":")
    try:
        return RopeScaling(kind=kind, factor=float(factor))
    except ValueError as error:
        raise ConfigError(f"rope_scaling={word!r} must have the form KIND:FACTOR, such as ntk:4") from error


def setting_words(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as FIELD=VALUE words, from which `parse_settings` makes the same settings.

    >>> setting_words({"d_model": 64, "tie_embeddings": False, "rope_scaling": RopeScaling(kind="ntk", factor=2.0)})
    ['d_model=64', 'tie_embeddings=false', 'rope_scaling=ntk:2']
    """
    return [f"{name}={_value_word(name, value)}" for name, value in settings.items()]


def _value_word(name: str, value: Any) -> str:
    if isinstance(value, RopeScaling):
        return f"{value.kind}:{_number_word(value.factor)}"
    if isinstance(value, bool) or (name == "rope_scaling" and value is None):
        return str(value).lower()
    return str(value)


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of ModelConfig and those of TrainConfig; raises ConfigError for any other."""
    parts = []
    for kind in (ModelConfig, TrainConfig):
        names = {field.name for field in fields(kind)}
        parts.append({name: value for name, value in settings.items() if name in names})
    unknown = sorted(set(settings) - set(parts[0]) - set(parts[1]))
    if unknown:
        raise ConfigError(
            f"there is no setting {', '.join(unknown)}; use a field of ModelConfig or TrainConfig"
        )
    return parts[0], parts[1]


def _checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return training settings with their types; raises ConfigError for a field or value that words cannot say."""
    split_settings(settings)
    if isinstance(scaling := settings.get("rope_scaling"), Mapping):
        settings = settings | {"rope_scaling": RopeScaling.from_dict(dict(scaling))}
    words = setting_words(settings)
    for word, (name, value) in zip(words, settings.items()):
        setting = parse_settings([word]).get(name)
        if setting != value or type(setting) is not type(value):
            raise ConfigError(f"{word} cannot be written on a command line; choose a simpler value")
    return settings
