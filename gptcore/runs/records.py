"""What the files of a run may hold.

A run may come from another version, from a damaged disk or from a stranger's zip. So each of its files is parsed here,
once, into a record with typed and bounded fields. Fields that a record does not have are left out. What does not fit
is a RecordError that says where and why; nothing after this border checks types again.

The schemas are plain typed dictionaries: what has been parsed is a dictionary with exactly these fields. Whether the
numbers describe a model that can be built is the configs' business (`gptcore.config`), which need torch.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

MAX_NOTES = 100  # of a run
LARGEST = 2**53  # the largest whole number that JSON readers everywhere keep exactly

Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Positive = Annotated[int, Meta(ge=1, le=LARGEST)]
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
Moment = Annotated[float, Meta(ge=0, le=1e11)]  # seconds since 1970
Fraction = Annotated[float, Meta(ge=0, le=1)]
Word = Annotated[str, Meta(max_length=100)]
Sentence = Annotated[str, Meta(max_length=2_000)]
Passage = Annotated[str, Meta(max_length=50_000)]
Digest = Annotated[str, Meta(max_length=128)]
Owner = Annotated[str, Meta(max_length=64)]
Notes = Annotated[list[Sentence], Meta(max_length=MAX_NOTES)]
_Scalar = bool | Annotated[int, Meta(ge=-LARGEST, le=LARGEST)] | float | Sentence | None
_Fields = Annotated[dict[Word, _Scalar], Meta(max_length=100)]
Settings = Annotated[dict[Word, _Scalar | _Fields], Meta(max_length=200)]  # a config's fields by name


class RecordError(ValueError):
    """A file of a run with invalid contents."""


class _Sizes(TypedDict):
    """What every model's config says of its shape."""

    vocab_size: Positive
    context_length: Positive
    d_model: Positive
    n_layers: Positive
    n_heads: Positive
    tie_embeddings: NotRequired[bool]


class _Training(TypedDict):
    """What pages read of a training config."""

    seed: NotRequired[Count]
    optimizer: NotRequired[Word]


_READ: dict[str, type] = {"model": _Sizes, "train": _Training}


class _Progress(TypedDict):
    """What every event says: how far the run was."""

    event: Word
    step: Count
    tokens: Count
    seconds: Seconds


class _Configs(TypedDict):
    model: Settings
    train: Settings
    corpus: Sentence


class _Trial(TypedDict):
    """One way to run a training step, and the time it took."""

    precision: Literal["fp32", "bf16", "fp16"]
    attention_path: Literal["fast", "explicit", "fused"]
    threads: Annotated[int, Meta(ge=1, le=4096)]
    seconds_per_step: Seconds


class _Start(_Progress):
    config: _Configs
    n_parameters: Positive
    total_steps: Positive
    floor: NotRequired[float | None]
    uniform: NotRequired[float]
    unigram: NotRequired[float]
    bigram: NotRequired[float]
    bytes_per_token: NotRequired[float]
    device: Word
    precision: Word
    attention_path: Word
    threads: Positive
    measured: Annotated[list[_Trial], Meta(max_length=100)]
    notes: Notes


class _Revised(_Progress):
    total_steps: Positive


class _Trained(_Progress):
    step: Positive
    loss: float | None
    lr: float
    grad_norm: float | None
    tokens_per_second: float


class _Evaluated(_Progress):
    val_loss: float | None
    perplexity: float | None
    bits_per_byte: float | None


class _Scores(TypedDict):
    """The story scores of a sample."""

    sentences: Count
    accepted: Count
    rate: Fraction
    new: Fraction
    pronouns: Fraction | None
    names: Fraction | None


class _Sampled(_Progress):
    text: Passage
    prompt: Passage
    ladder: _Scores | None


class _Checkpointed(_Progress):
    path: NotRequired[Sentence | None]


class _Done(_Progress):
    reason: Sentence


class _Failed(_Progress):
    reason: Sentence
    resumes: NotRequired[bool]


_EVENTS: dict[str, type] = {
    "start": _Start,
    "revision": _Revised,
    "step": _Trained,
    "eval": _Evaluated,
    "sample": _Sampled,
    "checkpoint": _Checkpointed,
    "done": _Done,
    "failed": _Failed,
}


class _Measured(TypedDict):
    """What a run found by measuring at its start."""

    total_steps: Positive
    device: Word
    precision: Word
    attention_path: Word
    threads: Positive


class _Config(TypedDict):
    """A run's `config.json`."""

    format: NotRequired[Word]
    preset: NotRequired[Word | None]
    corpus: NotRequired[Sentence]
    text_field: NotRequired[Sentence | None]
    start_from: NotRequired[Sentence | None]
    start_from_sha256: NotRequired[Word]
    tokenizer: NotRequired[Sentence | None]
    seconds: NotRequired[Seconds | None]
    steps: NotRequired[Count | None]
    seed: NotRequired[Count | None]
    plugin: NotRequired[Sentence | None]
    settings: NotRequired[Annotated[list[Sentence], Meta(max_length=200)]]
    model: NotRequired[Settings]
    train: NotRequired[Settings]
    corpus_name: NotRequired[Sentence]
    notes: NotRequired[Notes]
    found: NotRequired[_Measured]
    start: NotRequired[_Start]
    versions: NotRequired[dict[Word, Word]]
    owner: NotRequired[Owner]
    lab: NotRequired[bool]
    imported: NotRequired[bool]


class _Windows(TypedDict):
    """The position of a run's windows in its text."""

    epoch: Count
    n_taken: Count
    n_tokens: Positive


class _State(TypedDict):
    """A checkpoint's `state.json`: all that changes in training and is no tensor."""

    scaler: Annotated[dict[Word, float | int | None], Meta(max_length=20)]
    way: _Trial
    total_steps: Positive
    revised_at: NotRequired[Count]
    revised_position: NotRequired[Annotated[float, Meta(ge=0, le=LARGEST)]]
    step: Count
    tokens: Count
    seconds: Seconds
    windows: _Windows


class _Process(TypedDict):
    pid: Count
    born: Count


class _Launched(_Process):
    """The process that a request was given to, or the job of a Ray cluster; then there is no process here."""

    supervisor: NotRequired[_Process]
    log_size: NotRequired[Count]
    ray_job: NotRequired[Word]
    ray_status: NotRequired[Literal["pending", "running", "ended"]]


class _Request(TypedDict):
    """A request file: what was asked for, by which visitors, and its turn in the queue."""

    id: NotRequired[Word]
    owners: NotRequired[Annotated[list[Owner], Meta(max_length=10_000)]]
    name: NotRequired[Word | None]
    request: NotRequired[dict[str, Any]]  # `RunRequest.from_dict` checks it
    arguments: NotRequired[list[Sentence]]  # of the first edition
    key: NotRequired[Digest]
    lab: NotRequired[bool]
    asked: NotRequired[Moment]
    waiting: NotRequired[bool]
    resume: NotRequired[bool]
    turn: NotRequired[Annotated[float, Meta(ge=0, le=LARGEST)] | Count]
    sequence: NotRequired[Count]
    launched: NotRequired[_Launched | None]


class _Passed(TypedDict):
    passed: NotRequired[Annotated[list[Word], Meta(max_length=2_000)]]


class _Kept(TypedDict):
    """What the pages keep of a visitor besides runs."""

    progress: NotRequired[_Passed]
    settings: NotRequired[Annotated[dict[Word, Word], Meta(max_length=20)]]


class _Work(TypedDict):
    """`work.json` of a "My work" zip."""

    format: Word
    names: Annotated[dict[Word, Word], Meta(max_length=1_000)]
    about: _Kept


def parse_event(line: bytes) -> dict[str, Any] | None:
    """Return the event on a line of a log; None where there is none, as where a killed process left half a line.

    Of an event of a kind that this version does not know, how far the run was is kept.
    """
    try:
        head = msgspec.json.decode(line, type=_Progress)
        kind = _EVENTS.get(head["event"])
        event = head if kind is None else msgspec.json.decode(line, type=kind)
        if kind is _Start:
            for name in _READ:
                _check_fields(event["config"][name], name)
    except (ValueError, RecursionError):
        return None
    return event


def parse_config(data: bytes) -> dict[str, Any]:
    """Return what a run's `config.json` says; raises RecordError."""
    config = _parse(data, _Config, "config.json")
    for name in _READ.keys() & config:
        _check_fields(config[name], name)
    return config


def parse_state(data: bytes) -> dict[str, Any]:
    """Return what a checkpoint's `state.json` says; raises RecordError."""
    return _parse(data, _State, "state.json")


def parse_request(data: bytes) -> dict[str, Any]:
    """Return what a request file says; raises RecordError."""
    return _parse(data, _Request, "the request file")


def parse_work(data: bytes) -> dict[str, Any]:
    """Return what the `work.json` of a zip says; raises RecordError."""
    return _parse(data, _Work, "work.json")


def _parse(data: bytes, record: type, name: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=record)
    except (ValueError, RecursionError) as error:
        raise RecordError(_damage(name, error)) from error


def _check_fields(settings: dict[str, Any], name: str) -> None:
    """Raise RecordError unless the fields of a config that pages read are there with their types."""
    try:
        msgspec.convert(settings, type=_READ[name])
    except ValueError as error:
        raise RecordError(_damage("config.json", error, name)) from error


def _damage(name: str, error: Exception, part: str = "") -> str:
    """Return why a file could not be parsed, and where, as one sentence."""
    if isinstance(error, RecursionError):
        return f"{name} is damaged: it is nested too deeply"
    reason, _, where = str(error).partition(" - at ")
    field = part + where.strip("`").removeprefix("$")
    at = f" at `{field.removeprefix('.')}`" if field else ""
    return f"{name} is damaged{at}: {reason[:1].lower()}{reason[1:]}"
