"""From a request to the plan of its training: preset, text, tokenizer and sizes that fit each other.

Values set explicitly are used or refused. Values of the preset shrink to what the text allows, and a note says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gptcore.config import PRESETS, ConfigError, ModelConfig, TrainConfig
from gptcore.corpora.documents import Corpus
from gptcore.corpora.encoding import MIN_TOKENS, encode_documents
from gptcore.corpora.sources import load_corpus
from gptcore.formats import load_tokenizer, load_with_tokenizer
from gptcore.runs.request import GENTLER, RunRequest, split_settings
from gptcore.tokenizer import Tokenizer, TokenizerError

# What can change of a trained model's config: no weight depends on it.
CHANGEABLE = ("dropout", "window", "context_length", "rope_theta", "rope_scaling")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that `train` needs, and what had to give way."""

    model: ModelConfig
    train: TrainConfig
    corpus: Corpus
    tokenizer: Tokenizer
    notes: tuple[str, ...]
    weights: Mapping[str, Tensor] | None = None  # the model to start from; None: initialize one


def make_plan(request: RunRequest) -> Plan:
    """Return what to train for a request; raises ValueError, in one sentence, for what cannot be had."""
    shape, train = request.configs()
    text = load_corpus(request.corpus, seed=0, text_field=request.text_field)
    notes = list(text.notes)
    if request.start_from is not None:
        return _continued(request, train, text, notes)
    named = dict(request.settings)
    tokenizer = _tokenizer(
        request.tokenizer or _default_tokenizer(PRESETS[request.preset].tokenizer, text),
        text,
        shape,
        named.get("vocab_size"),
        notes,
    )
    context = _context(shape.context_length, "context_length" in named, text, tokenizer, notes)
    model = shape.replace(vocab_size=tokenizer.vocab_size, context_length=context)
    return Plan(model=model, train=train, corpus=text, tokenizer=tokenizer, notes=tuple(notes))


def _continued(request: RunRequest, train: TrainConfig, text: Corpus, notes: list[str]) -> Plan:
    """Return how to train a model further: with its tokenizer and shape, in windows as long as the preset's."""
    if request.tokenizer is not None:
        raise ConfigError("a model is trained further with its own tokenizer; leave out --tokenizer")
    model, tokenizer = load_with_tokenizer(request.start_from)
    changes, named = split_settings(dict(request.settings))
    fixed = set(changes) - set(CHANGEABLE)
    if model.config.position == "learned":
        fixed |= changes.keys() & {"context_length"}
    if fixed:
        raise ConfigError(
            f"{min(fixed)} belongs to the shape of the model in {request.start_from}; leave it out, since of a trained "
            f"model only {', '.join(CHANGEABLE)} can change"
        )
    config = model.config.replace(**changes)
    length = min(config.context_length, PRESETS[request.preset].model.context_length)
    if "window_length" not in named and length < config.context_length:
        train = train.replace(window_length=length)
        notes.append(
            f"Trains in windows of {length:,} tokens, of the model's context of {config.context_length:,}; "
            "--set window_length=N changes that."
        )
    if "learning_rate" not in named:
        notes.append(
            f"Continues a trained model with the learning rate {train.learning_rate:g}, the preset's divided by "
            f"{GENTLER}."
        )
    return Plan(
        model=config,
        train=train,
        corpus=text,
        tokenizer=tokenizer,
        notes=tuple(notes),
        weights=model.state_dict(),
    )


def _default_tokenizer(preset_tokenizer: str, corpus: Corpus) -> str:
    """Return which tokenizer suits: the stories have their own, a small model learns one from its text."""
    if preset_tokenizer == "story" and corpus.entropy is None:
        return "train"
    return preset_tokenizer


def _tokenizer(
    name: str, corpus: Corpus, shape: ModelConfig, named: int | None, notes: list[str]
) -> Tokenizer:
    """Return the requested tokenizer; `named` is the vocabulary size that was set explicitly, if any."""
    if name == "train":
        tokenizer = Tokenizer.train(corpus.train, shape.vocab_size, shrink=named is None)
        if tokenizer.vocab_size < shape.vocab_size:
            notes.append(
                f"The text gives a vocabulary of {tokenizer.vocab_size:,} tokens, "
                f"less than the preset's {shape.vocab_size:,}."
            )
        return tokenizer
    if name not in ("story", "gpt2") and not Path(name).is_file():
        raise TokenizerError(f"tokenizer {name!r} must be story, gpt2, train or an existing file")
    tokenizer = load_tokenizer(name)
    if named is not None and named != tokenizer.vocab_size:
        raise ConfigError(
            f"vocab_size={named} must equal the {name} tokenizer's {tokenizer.vocab_size}; use "
            "--tokenizer train for a vocabulary of another size"
        )
    return tokenizer


def _context(wanted: int, named: bool, corpus: Corpus, tokenizer: Tokenizer, notes: list[str]) -> int:
    """Return the context the text can fill."""
    # Both parts must hold one window and the token after it. A sample is enough to tell a long text from a
    # short one; only short texts are counted to the end.
    counts = [_count(part, tokenizer, wanted + 1) for part in (corpus.train, corpus.validation)]
    if sum(counts) < MIN_TOKENS:
        raise ConfigError(
            f"the text has {sum(counts)} tokens, and training needs at least {MIN_TOKENS}; choose a "
            "longer text"
        )
    room = min(counts) - 1
    if wanted <= room:
        return wanted
    if named:
        raise ConfigError(
            f"context_length={wanted} exceeds the {room} tokens of the held-out text; choose a shorter "
            "context or a longer text"
        )
    notes.append(f"The held-out text fills a context of {room} tokens, less than the preset's {wanted}.")
    return room


def _count(documents: Sequence[str], tokenizer: Tokenizer, enough: int) -> int:
    """Return how many tokens documents make, or a number of at least `enough`."""
    count = 0
    for document in documents:
        head = document[: 64 * enough]
        count += len(encode_documents([head], tokenizer))
        if count >= enough:
            break
    return count
