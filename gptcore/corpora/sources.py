"""Where text comes from: the story world, Glassbox's own chapters, files and folders, a data set of the hub."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from gptcore.corpora.documents import Corpus, CorpusError, split_documents
from gptcore.corpora.hub import hub_corpus
from gptcore.corpora.text_files import load_files
from gptcore.stories.shipped_stories import default_texts
from gptcore.stories.writer import N_STORIES, write_stories

BUILT_IN = ("stories", "book")  # the corpora that Glassbox makes itself


def load_corpus(
    source: str | Path | Sequence[str | Path],
    *,
    seed: int = 0,
    n_stories: int = N_STORIES,
    text_field: str | None = None,
) -> Corpus:
    """Load the corpus that a source names.

    `stories` is the built-in story world (`seed` and `n_stories` say which stories), `book` Glassbox's own
    chapters, `hub:NAME[:SPLIT][:COLUMN]` a data set of the Hugging Face hub, and all else a file or a folder:
    plain text, or a table whose column `text_field` holds the text. Several files are a sequence, or a text with a
    name a line. Raises CorpusError with one sentence where there is no text to be had.
    """
    names = (
        source.split("\n") if isinstance(source, str) else [source] if isinstance(source, Path) else source
    )
    match list(names):
        case ["stories"]:
            return _stories(n_stories, seed)
        case ["book"]:
            return _book(Path(__file__).parent.parent.parent)
        case [str(name)] if name.startswith("hub:"):
            return hub_corpus(name.removeprefix("hub:"), text_field)
    return load_files([Path(name) for name in names], text_field)


@lru_cache(maxsize=1)
def _stories(n_stories: int, seed: int) -> Corpus:
    if n_stories < 2:
        raise CorpusError(f"n_stories={n_stories} must be at least 2, because some stories are held out.")
    are_default = (n_stories, seed) == (N_STORIES, 0)
    if are_default:
        texts, entropies = zip(*default_texts())
    else:
        texts, entropies = zip(*((story.text, story.entropy) for story in write_stories(n_stories, seed)))
    split = split_documents("stories", texts)
    entropy = entropies[len(split.train) :]
    return Corpus(name=split.name, train=split.train, validation=split.validation, entropy=entropy)


def _book(repository: Path) -> Corpus:
    """Glassbox's own words, a document for each Markdown file: small enough to overfit on purpose."""
    words = [*sorted(repository.glob("pages/text/en/*.md")), *sorted(repository.glob("explainers/*.md"))]
    if not words:
        raise CorpusError(
            "The corpus book needs the Glassbox repository, and only the library is installed; run this "
            "in the repository, or choose another corpus."
        )
    files = [file for file in [*words, repository / "README.md"] if file.is_file()]
    documents = [file.read_text(encoding="utf-8") for file in files]
    return split_documents("book", [document for document in documents if document.strip()])
