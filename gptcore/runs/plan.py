"""From what was asked for to what will be trained: preset, text, tokenizer and sizes that fit each other.

What was asked for by name is kept or refused. What came with the preset shrinks to what the text allows, and
a note says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gptcore.config import PRESETS, ConfigError, ModelConfig, RopeScaling, TrainConfig
from gptcore.corpora.documents import Corpus
from gptcore.corpora.encoding import MIN_TOKENS, encode_documents
from gptcore.corpora.sources import load_corpus
from gptcore.formats import Tokenizer
from gptcore.tokenizer import TokenizerError, load_tiktoken, story_tokenizer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that `train` needs, and what had to give way."""

    preset: str
    model: ModelConfig
    train: TrainConfig
    corpus: Corpus
    tokenizer: Tokenizer
    notes: tuple[str, ...]


def make_plan(
    preset: str = "nano",
    *,
    settings: Mapping[str, Any] | None = None,
    corpus: str = "stories",
    tokenizer: str | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
) -> Plan:
    """Return what to train; raises ValueError, in one sentence, for what cannot be had.

    `settings` are fields of ModelConfig or TrainConfig by name; `corpus` as for `load_corpus`; `tokenizer` is
    `story`, `gpt2`, `train` or a file, by default the preset's, or one trained on the text.
    """
    if preset not in PRESETS:
        raise ConfigError(f"preset={preset!r} is none of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    model_settings, train_settings = sort_settings(settings or {})
    if seconds is not None or steps is not None:
        train_settings = {"steps": None, "seconds": None} | train_settings
        train_settings |= {"seconds": seconds} if seconds is not None else {}
        train_settings |= {"steps": steps} if steps is not None else {}
    if seed is not None:
        train_settings["seed"] = seed
    train = chosen.train.replace(**train_settings)
    shape = chosen.model.replace(**model_settings)  # refuses a bad shape early

    text = load_corpus(corpus, seed=0)
    notes: list[str] = []
    vocabulary = model_settings.get("vocab_size")
    words = _tokenizer(
        tokenizer or _default_tokenizer(chosen.tokenizer, text), text, shape, vocabulary, notes
    )
    context = _context(shape.context_length, "context_length" in model_settings, text, words, notes)
    model = shape.replace(vocab_size=words.vocab_size, context_length=context)
    return Plan(preset=preset, model=model, train=train, corpus=text, tokenizer=words, notes=tuple(notes))


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return FIELD=VALUE words as typed settings.

    >>> parse_settings(["d_model=64", "norm=layernorm", "tie_embeddings=false"])
    {'d_model': 64, 'norm': 'layernorm', 'tie_embeddings': False}
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair!r} is not of the form FIELD=VALUE")
        settings[name.strip()] = (
            _scaling(value) if name.strip() == "rope_scaling" else _literal(value.strip())
        )
    return settings


def _literal(word: str) -> Any:
    named = {"true": True, "false": False, "none": None}
    if word.lower() in named and word.lower() != "none":
        return named[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _scaling(word: str) -> RopeScaling | None:
    """Return rotary scaling written as KIND:FACTOR, such as ntk:4."""
    if word == "none":
        return None
    kind, _, factor = word.partition(":")
    try:
        return RopeScaling(kind=kind, factor=float(factor))
    except ValueError as error:
        raise ConfigError(f"rope_scaling={word!r} is not of the form KIND:FACTOR, such as ntk:4") from error


def sort_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part settings by the config they belong to."""
    ours = {f.name for f in fields(ModelConfig)}
    theirs = {f.name for f in fields(TrainConfig)}
    unknown = sorted(set(settings) - ours - theirs)
    if unknown:
        raise ConfigError(f"there is no setting {', '.join(unknown)} in ModelConfig or TrainConfig")
    return {k: v for k, v in settings.items() if k in ours}, {
        k: v for k, v in settings.items() if k in theirs
    }


def _default_tokenizer(preset_tokenizer: str, corpus: Corpus) -> str:
    """Return which tokenizer suits: the stories have their own, a small model learns one from its text."""
    if preset_tokenizer == "story" and corpus.entropy is None:
        return "train"
    return preset_tokenizer


def _tokenizer(
    name: str, corpus: Corpus, shape: ModelConfig, named: int | None, notes: list[str]
) -> Tokenizer:
    """Return the tokenizer asked for; `named` is the vocabulary asked for by name, if one was."""
    if name == "train":
        tokenizer = Tokenizer.train(corpus.train, shape.vocab_size, shrink=named is None)
        if tokenizer.vocab_size < shape.vocab_size:
            notes.append(
                f"The text gives a vocabulary of {tokenizer.vocab_size:,} tokens, "
                f"less than the preset's {shape.vocab_size:,}."
            )
        return tokenizer
    if name == "story":
        tokenizer = story_tokenizer()
    elif name == "gpt2":
        tokenizer = load_tiktoken("gpt2")
    elif Path(name).is_file():
        tokenizer = Tokenizer.load(name)
    else:
        raise TokenizerError(
            f"tokenizer {name!r} is none of story, gpt2, train, and no file of that name exists"
        )
    if named is not None and named != tokenizer.vocab_size:
        raise ConfigError(
            f"vocab_size={named} is not the {name} tokenizer's {tokenizer.vocab_size}; "
            "use --tokenizer train to learn a vocabulary of another size"
        )
    return tokenizer


def _context(wanted: int, named: bool, corpus: Corpus, tokenizer: Tokenizer, notes: list[str]) -> int:
    """Return the context the text can fill."""
    # Both parts must hold one window and the token after it. A sample is enough to tell a long text from a
    # short one; only short texts are counted to the end.
    counts = [_count(part, tokenizer, wanted + 1) for part in (corpus.train, corpus.validation)]
    if sum(counts) < MIN_TOKENS:
        raise ConfigError(f"the text has {sum(counts)} tokens; give at least {MIN_TOKENS}")
    room = min(counts) - 1
    if wanted <= room:
        return wanted
    if named:
        raise ConfigError(
            f"context_length={wanted} is more than the {room} tokens the held-out text can fill"
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
