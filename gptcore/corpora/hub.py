"""Data sets of the Hugging Face hub: their first rows, streamed, a document each."""

from collections.abc import Iterator
from typing import NamedTuple

from gptcore.corpora.documents import Corpus, CorpusError, plain_text, split_documents
from gptcore.corpora.tables import choose_field

# About five million tokens: more than the small presets read in an hour, and down the line within a minute.
MAX_HUB_CHARACTERS = 20_000_000
MAX_HUB_ROWS = 100_000
HUB_TIMEOUT_SECONDS = 10

# `datasets` and `huggingface_hub` are imported where they are used: they take a second, and few runs need them.


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
                f"'hub:{text}' does not name a data set; write hub:OWNER/NAME, then :SPLIT and :COLUMN if "
                "needed."
            )
        return cls(name, config or None, split or "train", column or None)


def hub_corpus(text: str, field: str | None = None) -> Corpus:
    """Stream the first rows of a data set of the Hugging Face hub, a document each, from the column `field`."""
    wanted = HubSource.parse(text)
    wanted = wanted._replace(column=wanted.column or field)
    _check_hub(wanted.name)
    documents = list(hub_documents(wanted))
    if not documents:
        raise CorpusError(
            f"The data set {wanted.name} has no text in its split {wanted.split!r}; choose another split."
        )
    return split_documents(f"hub:{text}", documents)


def _check_hub(name: str) -> None:
    """Ask the hub once whether it has a data set; `datasets` itself would try for half a minute."""
    from huggingface_hub import HfApi, errors

    try:
        HfApi().dataset_info(name, timeout=HUB_TIMEOUT_SECONDS)
    except errors.GatedRepoError as error:
        raise CorpusError(
            f"The data set {name} requires consent; accept its terms on huggingface.co and log in."
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise CorpusError(
            f"The hub has no data set {name!r}; write hub:OWNER/NAME as on huggingface.co."
        ) from error
    except Exception as error:  # any failure of the connection, of which each version has its own classes
        raise CorpusError(
            f"The hub can't be reached for {name} ({type(error).__name__}): connect to the network, or "
            "choose stories, book or a text file."
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
                yield plain_text(text[: MAX_HUB_CHARACTERS - n_characters])
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
    """Return the column asked for, or `text`, or the only column that holds a string in the first row."""
    of_strings = [name for name, value in row.items() if isinstance(value, str)]
    how = "after the split, or with --text-field"
    return choose_field(of_strings, wanted.column, f"The data set {wanted.name}", how)
