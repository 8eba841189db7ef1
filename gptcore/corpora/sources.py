"""Where text comes from: the story world, Glassbox's own chapters, a text file, a data set of the hub."""

import errno
from functools import lru_cache
from pathlib import Path

from gptcore.corpora.documents import Corpus, CorpusError, split_documents, text_corpus
from gptcore.corpora.hub import hub_corpus
from gptcore.files import read_bytes
from gptcore.stories.shipped_stories import default_stories
from gptcore.stories.writer import N_STORIES, write_stories

BUILT_IN = ("stories", "book")  # the corpora that Glassbox makes itself

# Token ids, and their copy in windows, take about five times the memory of the text itself.
MAX_FILE_BYTES = 500_000_000


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
        return hub_corpus(source.removeprefix("hub:"))
    return _file(Path(source))


@lru_cache(maxsize=1)
def _stories(n_stories: int, seed: int) -> Corpus:
    if n_stories < 2:
        raise CorpusError(f"n_stories={n_stories} is too few: ask for 2 or more, since some are held out.")
    are_default = (n_stories, seed) == (N_STORIES, 0)
    stories = default_stories() if are_default else write_stories(n_stories, seed)
    split = split_documents("stories", [story.text for story in stories])
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
    return split_documents("book", [document for document in documents if document.strip()])


def _file(path: Path) -> Corpus:
    try:
        data = read_bytes(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise CorpusError(
            f"There is no file {path}: name a text file, or one of stories, book and hub:NAME."
        ) from error
    except IsADirectoryError as error:
        raise CorpusError(f"{path} is a folder: name one text file in it.") from error
    except OSError as error:
        advice = "give a part of it" if error.errno == errno.EFBIG else "name a text file"
        raise CorpusError(f"{str(path)!r} can't be read ({error.strerror}): {advice}.") from error
    return text_corpus(data, name=path.name)
