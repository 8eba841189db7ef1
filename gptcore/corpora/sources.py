"""Text to learn from: where it comes from, what is held out, and how it is dealt out in windows.

A corpus is a list of documents. A story is a document, a row of a data set is one, and a text file is a
single one, however many paragraphs it has. The end-of-text token stands where a document ends and nowhere
else. What the model is tested on is set aside first, before anything is cut into windows, so that no
window ever holds both.
"""

import hashlib
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gptcore.tokenizer import Tokenizer, well_formed

N_STORIES = 20_000
HELD_OUT_DOCUMENTS = 0.05
HELD_OUT_TEXT = 0.10
# A tenth of a short text is less than a window: hold out this, about 256 tokens, or a quarter of the text.
MIN_HELD_OUT_CHARACTERS = 1_000
MIN_TOKENS = 64
# Token ids, and their copy in windows, take about five times the memory of the text itself.
MAX_FILE_BYTES = 500_000_000
# About five million tokens: more than the small presets read in an hour, and down the line within a minute.
MAX_HUB_CHARACTERS = 20_000_000
MAX_HUB_ROWS = 100_000
HUB_TIMEOUT_SECONDS = 10


class CorpusError(ValueError):
    """A text can't be had or can't be learned from; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents to train on, and documents held out to measure what was learned."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    entropy: tuple[float, ...] | None = None  # nats of each validation document, where its source is known

    @property
    def n_characters(self) -> int:
        return sum(map(len, self.train)) + sum(map(len, self.validation))

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 that changes with any document, with their order and with what is held out."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            digest.update(f"{len(part)} documents\n".encode())
            for document in part:
                data = document.encode("utf-8", "surrogatepass")
                digest.update(f"{len(data)} bytes\n".encode() + data)
        return digest.hexdigest()


def load_corpus(source: str | Path, *, seed: int = 0, n_stories: int = N_STORIES) -> Corpus:
    """Load the corpus that a source names.

    `stories` is the built-in story world (`seed` and `n_stories` say which stories), `book` Glassbox's own
    chapters, `hub:NAME[:SPLIT][:COLUMN]` a data set of the Hugging Face hub, and all else a text file.
    Raises CorpusError with one sentence where there is no text to be had.
    """
    if source == "stories":
        return _stories(n_stories, seed)
    if source == "book":
        return _book(Path(__file__).parent.parent.parent)
    if isinstance(source, str) and source.startswith("hub:"):
        return _hub(source.removeprefix("hub:"))
    return _file(Path(source))


def text_corpus(text: str | bytes, name: str = "your text") -> Corpus:
    """Make a corpus of one text, as pasted or uploaded; its last tenth is held out.

    Line ends become a plain newline. Raises CorpusError where it is empty or not text.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{name} is not text in UTF-8: give a plain text file saved as UTF-8."
            ) from error
    if "\0" in text:
        raise CorpusError(
            f"{name} is not text (it holds NUL characters): give a plain text file saved as UTF-8."
        )
    text = _plain(text)
    if not text.strip():
        raise CorpusError(f"{name} is empty: give a text of at least a few hundred characters.")
    cut = _place_to_cut(text)
    return Corpus(name=name, train=(text[:cut],), validation=(text[cut:],))


def _plain(text: str) -> str:
    """Text that any file can hold: no byte-order mark, no lone surrogates, plain newlines."""
    return well_formed(text).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _place_to_cut(text: str) -> int:
    """Where the held-out end of a text begins: after a line if one ends near, else before a space."""
    held_out = max(int(HELD_OUT_TEXT * len(text)), min(MIN_HELD_OUT_CHARACTERS, len(text) // 4))
    cut = len(text) - held_out
    earliest = cut - held_out // 2
    line_end = text.rfind("\n", earliest, cut)
    if line_end > 0:
        return line_end + 1
    space = text.rfind(" ", earliest, cut)
    return space if space > 0 else cut


def _split_documents(name: str, documents: Sequence[str]) -> Corpus:
    """Hold out the last documents; a single document is cut like any text."""
    if len(documents) == 1:
        return text_corpus(documents[0], name)
    n_held_out = max(1, round(HELD_OUT_DOCUMENTS * len(documents)))
    return Corpus(name=name, train=tuple(documents[:-n_held_out]), validation=tuple(documents[-n_held_out:]))


@lru_cache(maxsize=1)
def _stories(n_stories: int, seed: int) -> Corpus:
    from gptcore.stories.writer import write_stories

    if n_stories < 2:
        raise CorpusError(f"n_stories={n_stories} is too few: ask for 2 or more, since some are held out.")
    stories = write_stories(n_stories, seed)
    split = _split_documents("stories", [story.text for story in stories])
    entropy = tuple(story.entropy for story in stories[len(split.train) :])
    return Corpus(name=split.name, train=split.train, validation=split.validation, entropy=entropy)


def _book(repository: Path) -> Corpus:
    """Glassbox's own words, a document for each Markdown file: small enough to overfit on purpose."""
    words = [*sorted(repository.glob("pages/text/en/*.md")), *sorted(repository.glob("explainers/*.md"))]
    if not words:
        raise CorpusError(
            "The book is not here, only the library is installed: run this in the Glassbox repository, "
            "or choose another corpus."
        )
    files = [file for file in [*words, repository / "README.md"] if file.is_file()]
    documents = [file.read_text(encoding="utf-8") for file in files]
    return _split_documents("book", [document for document in documents if document.strip()])


def _file(path: Path) -> Corpus:
    if os.path.isdir(path):  # Path.is_dir raises for a name that is too long
        raise CorpusError(f"{path} is a folder: name one text file in it.")
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    except FileNotFoundError as error:
        raise CorpusError(
            f"There is no file {path}: name a text file, or one of stories, book and hub:NAME."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{str(path)!r} can't be read ({reason}): name a text file.") from error
    if data is None:
        raise CorpusError(
            f"{path} has more than the {MAX_FILE_BYTES:,} bytes that are read: give a part of it."
        )
    return text_corpus(data, name=path.name)


class HubSource(NamedTuple):
    """What `hub:OWNER/NAME[/CONFIG][:SPLIT][:COLUMN]` asks for."""

    name: str
    config: str | None
    split: str
    column: str | None

    @classmethod
    def parse(cls, text: str) -> "HubSource":
        path, _, rest = text.partition(":")
        split, _, column = rest.partition(":")
        owner, _, rest = path.partition("/")
        short_name, _, config = rest.partition("/")
        name = f"{owner}/{short_name}" if short_name else owner
        if not owner or ":" in column:
            raise CorpusError(
                f"'hub:{text}' names no data set: write hub:OWNER/NAME, then :SPLIT and :COLUMN if needed."
            )
        return cls(name, config or None, split or "train", column or None)


def _hub(text: str) -> Corpus:
    """Stream the first rows of a data set of the Hugging Face hub, a document each."""
    wanted = HubSource.parse(text)
    _check_hub(wanted.name)
    documents = list(hub_documents(wanted))
    if not documents:
        raise CorpusError(
            f"The data set {wanted.name} has no text in its split {wanted.split!r}: choose another."
        )
    return _split_documents(f"hub:{text}", documents)


def _check_hub(name: str) -> None:
    """Ask the hub once whether it has a data set; `datasets` itself would try for half a minute."""
    from huggingface_hub import HfApi, errors

    try:
        HfApi().dataset_info(name, timeout=HUB_TIMEOUT_SECONDS)
    except errors.GatedRepoError as error:
        raise CorpusError(
            f"The data set {name} asks for consent: accept its terms on huggingface.co and log in."
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise CorpusError(
            f"The hub has no data set {name!r}: write hub:OWNER/NAME as on huggingface.co."
        ) from error
    except Exception as error:  # any failure of the connection, of which each version has its own classes
        raise CorpusError(
            f"The hub can't be reached for {name} ({type(error).__name__}): connect to the network, "
            "or choose stories, book or a text file."
        ) from error


def hub_documents(wanted: HubSource) -> Iterator[str]:
    """Stream the texts of a data set until there are enough; `name` may be a local folder of data files."""
    import datasets

    n_characters = 0
    try:
        rows = datasets.load_dataset(wanted.name, wanted.config, split=wanted.split, streaming=True)
        column = _text_column(wanted, next(iter(rows), {}))
        for row in rows.select_columns([column]).take(MAX_HUB_ROWS):
            text = row[column]
            if isinstance(text, str) and text.strip():
                yield _plain(text[: MAX_HUB_CHARACTERS - n_characters])
                n_characters += len(text)
            if n_characters >= MAX_HUB_CHARACTERS:
                return
    except CorpusError:
        raise
    except Exception as error:  # `datasets` passes on whatever its many readers raise
        first_line = str(error).strip().partition("\n")[0]
        raise CorpusError(
            f"The data set {wanted.name} can't be read as hub:OWNER/NAME[/CONFIG][:SPLIT][:COLUMN] "
            f"({type(error).__name__}: {first_line})."
        ) from error


def _text_column(wanted: HubSource, row: dict) -> str:
    """The column asked for, or `text`, or the only column that holds a string in the first row."""
    of_strings = [name for name, value in row.items() if isinstance(value, str)]
    if wanted.column in row:
        return wanted.column
    if wanted.column is None and "text" in row:
        return "text"
    if wanted.column is None and len(of_strings) == 1:
        return of_strings[0]
    asked = "no column named text" if wanted.column is None else f"no column {wanted.column!r}"
    choice = (
        f"name one of {', '.join(of_strings)} after the split" if of_strings else "choose another data set"
    )
    raise CorpusError(f"The data set {wanted.name} has {asked}: {choice}.")


def encode_documents(documents: Iterable[str], tokenizer: Tokenizer) -> Tensor:
    """Turn documents into token ids (N,) int64, each document followed by the end-of-text token."""
    parts = [torch.tensor([*tokenizer.encode(document), tokenizer.eot_id]) for document in documents]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def encode(corpus: Corpus, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Return the token ids of a corpus, (N,) to train on and (M,) held out; those of the stories are kept."""
    parts = corpus.train, corpus.validation
    if corpus.entropy is None:
        return tuple(encode_documents(part, tokenizer) for part in parts)
    return tuple(torch.frombuffer(bytearray(_kept(part, tokenizer)), dtype=torch.int64) for part in parts)


@lru_cache(maxsize=2)
def _kept(documents: tuple[str, ...], tokenizer: Tokenizer) -> bytes:
    """Return what `encode_documents` does as bytes: made without a tensor, which leaves a process its one thread."""
    ids = array("q")
    for document in documents:
        ids.extend(tokenizer.encode(document))
        ids.append(tokenizer.eot_id)
    return ids.tobytes()


class Prepared(NamedTuple):
    """A corpus as token ids, and what a learner should know about it."""

    train: Tensor  # (N,) int64
    validation: Tensor  # (M,) int64
    notes: list[str]


def prepare(corpus: Corpus, tokenizer: Tokenizer, context_length: int) -> Prepared:
    """Encode both parts of a corpus for windows of `context_length` tokens.

    Raises CorpusError where the text has fewer than 64 tokens. A note says so where a part is shorter than
    a window.
    """
    train, validation = encode(corpus, tokenizer)
    n_tokens = len(train) + len(validation) - len(corpus.train) - len(corpus.validation)
    if n_tokens < MIN_TOKENS:
        raise CorpusError(
            f"{corpus.name} has {n_tokens} tokens, and training needs {MIN_TOKENS}: give a longer text."
        )
    notes = [
        f"The {part} part has {len(ids):,} tokens, fewer than a context of {context_length:,} needs: "
        f"its windows hold {len(ids) - 1:,}."
        for part, ids in (("training", train), ("validation", validation))
        if len(ids) <= context_length
    ]
    return Prepared(train, validation, notes)


def bytes_per_token(ids: Tensor, tokenizer: Tokenizer) -> float:
    """The mean length in bytes of the text behind ids (N,); special tokens are no text and count as 0.

    A loss in nats a token is loss / ln 2 / bytes_per_token in bits a byte, which can be compared between
    vocabularies.
    """
    special = set(tokenizer.special_tokens.values())
    used, counts = ids.unique(return_counts=True)
    lengths = torch.tensor([0 if i in special else len(tokenizer.token_bytes(i)) for i in used.tolist()])
    return (lengths * counts).sum().item() / max(len(ids), 1)


class Windows:
    """Batches of windows for training: every token is a target once an epoch, in ever new windows.

    The ids are read as a ring, the first token after the last (which is the end of a text, so that it begins
    anew). An epoch starts anywhere on the ring and goes round it once. What is left when no further window
    fits goes before the next epoch, and a batch that an epoch can't fill is filled from the next, so nothing
    is dropped. Only the token that starts an epoch is asked for after what ended the one before.

    The order is drawn by a `torch.Generator` that depends on the seed and the epoch alone, so two numbers say
    where a run stands.
    """

    def __init__(self, ids: Tensor, context_length: int, batch_size: int, seed: int = 0) -> None:
        """Deal out ids (N,); ValueError where they don't fill one window and its targets."""
        _check_sizes(context_length, batch_size)
        if len(ids) < context_length + 1:
            raise ValueError(
                f"{len(ids)} tokens are too few for a window of {context_length} and its targets: "
                f"ask for context_length={max(len(ids) - 1, 1)} or less, or give more text."
            )
        self.ids, self.context_length, self.batch_size, self.seed = ids, context_length, batch_size, seed
        self._begin(epoch=0)

    def _draw(self, epoch: int) -> tuple[Tensor, torch.Generator]:
        """The ids of an epoch, from a random place once round, and the generator for its order."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        start = int(torch.randint(len(self.ids), (), generator=generator))
        return self.ids.roll(-start), generator

    def _begin(self, epoch: int) -> None:
        ring, generator = self._draw(epoch)
        length = self.context_length
        # A target needs the token before it: the very first epoch takes it from the ring, and each later one
        # begins with what the epochs before it left over, which is 1 … length tokens.
        n_left = 1 + epoch * len(ring) % length
        left = self._draw(epoch - 1)[0][-n_left:] if epoch else ring[-1:]
        self.epoch, self.n_taken = epoch, 0
        self._windows = torch.cat([left, ring]).unfold(0, length + 1, length)  # (windows, T + 1), a view
        self._order = torch.randperm(len(self._windows), generator=generator)

    def next(self) -> tuple[Tensor, Tensor]:
        """The next batch: inputs and targets (B, T), where targets are the inputs one token later."""
        rows: list[Tensor] = []
        n_missing = self.batch_size
        while n_missing:
            if self.n_taken == len(self._order):
                self._begin(self.epoch + 1)
            chosen = self._order[self.n_taken : self.n_taken + n_missing]
            # Not self._windows[chosen]: that starts threads for a few kilobytes, and on a busy machine
            # waits 10 ms for them (index_select: 0.01 ms).
            rows.append(self._windows.index_select(0, chosen))
            self.n_taken += len(chosen)
            n_missing -= len(chosen)
        batch = torch.cat(rows)
        return batch[:, :-1].contiguous(), batch[:, 1:].contiguous()

    def state(self) -> dict[str, int]:
        """Where the dealing stands, in numbers that JSON can hold."""
        return {"epoch": self.epoch, "n_taken": self.n_taken, "n_tokens": len(self.ids)}

    def restore(self, state: dict[str, int]) -> None:
        """Go on exactly where `state` was taken, on the same ids, sizes and seed."""
        if state["n_tokens"] != len(self.ids):
            raise ValueError(
                f"This run stood in a text of {state['n_tokens']} tokens and this one has {len(self.ids)}: "
                "resume it on its own text."
            )
        self._begin(state["epoch"])
        self.n_taken = state["n_taken"]


def cut(batch: Tensor, n_pieces: int) -> Tensor:
    """Cut every window of a batch into pieces of equal length: (B, T) -> (B * n, T / n).

    Where T does not divide, into the most pieces that do: a window of 250 is cut in two and not in four.
    """
    return batch.reshape(-1, batch.shape[1] // math.gcd(n_pieces, batch.shape[1]))


def fixed_batches(
    ids: Tensor, context_length: int, batch_size: int, n_batches: int
) -> list[tuple[Tensor, Tensor]]:
    """The same windows at every call, spread evenly over ids (N,) and never overlapping, for validation.

    Returns up to `n_batches` pairs of inputs and targets (B, T); the last may have fewer rows, so weigh each
    by its `targets.numel()`. Where the text is shorter than a window, there is one window of all of it.
    """
    _check_sizes(context_length, batch_size)
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens are too few to measure a loss on: give 2 or more.")
    length = min(context_length, len(ids) - 1)
    n_windows = min((len(ids) - 1) // length, batch_size * n_batches)
    last_start = len(ids) - 1 - length
    starts = [last_start * i // max(n_windows - 1, 1) for i in range(n_windows)]
    windows = ids.unfold(0, length + 1, 1)[starts]
    return [(rows[:, :-1].contiguous(), rows[:, 1:].contiguous()) for rows in windows.split(batch_size)]


def _check_sizes(context_length: int, batch_size: int) -> None:
    for name, value in (("context_length", context_length), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name}={value} must be 1 or more.")
