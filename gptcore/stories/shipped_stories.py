"""The default stories as the package ships them, so that nobody waits until 20,000 stories are written.

`data/stories.xz` holds them one a line, under a fingerprint of the grammar and the lexicon that they were written
with. It is used where both are still the same and the writer still writes a sample of the stories word for word.
Otherwise, or where the file is damaged or missing, the stories are written again, which takes a few seconds.

    python -m gptcore.stories.shipped_stories      writes the file
"""

import hashlib
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path

from gptcore.files import read_bytes, write_bytes
from gptcore.stories import lexicon
from gptcore.stories.grammar import RULES
from gptcore.stories.writer import N_STORIES, Story, write_numbered_story, write_stories

FILE = Path(__file__).parent.parent / "data" / "stories.xz"
MAX_FILE_BYTES = 10_000_000
SAMPLE_EVERY = 400  # stories between two that are written again to check the writer


def default_texts() -> list[tuple[str, float]]:
    """Return the text and the entropy of each story of `write_stories(N_STORIES)`.

    It makes no string for each sentence. Their memory could not be returned, since texts that are kept lie between.
    """
    if (lines := read_lines(FILE)) is None:
        return [(story.text, story.entropy) for story in write_stories(N_STORIES)]
    parts = (line.partition("\t") for line in lines)
    return [(sentences.replace("\t", " "), float(entropy)) for entropy, _, sentences in parts]


def default_sentences() -> Iterator[Sequence[str]]:
    """Yield the sentences of one default story after another, and keep none."""
    if (lines := read_lines(FILE)) is None:
        yield from (story.sentences for story in write_stories(N_STORIES))
    else:
        yield from (line.split("\t")[1:] for line in lines)


def fingerprint() -> str:
    """Return the SHA-256 of the grammar's rules and the lexicon's words."""
    words = {name: value for name, value in vars(lexicon).items() if name.isupper()}
    return hashlib.sha256(repr((RULES, words)).encode()).hexdigest()


def read_lines(file: Path) -> list[str] | None:
    """Return a line for each story in a file; None where they are not those that would be written now."""
    sample = range(0, N_STORIES, SAMPLE_EVERY)
    try:
        written_with, *lines = lzma.decompress(read_bytes(file, MAX_FILE_BYTES)).decode().splitlines()
        if written_with != fingerprint() or len(lines) != N_STORIES:
            return None
        return lines if all(_parse(lines[index]) == write_numbered_story(index) for index in sample) else None
    except (OSError, lzma.LZMAError, ValueError):
        return None


def _parse(line: str) -> Story:
    entropy, *sentences = line.split("\t")
    return Story(" ".join(sentences), float(entropy), tuple(sentences))


def write_file(file: Path = FILE) -> None:
    """Write the default stories into a file, each as its entropy and its sentences, with tabs between them."""
    stories = write_stories(N_STORIES)
    lines = ["\t".join((repr(story.entropy), *story.sentences)) for story in stories]
    text = "\n".join((fingerprint(), *lines))
    write_bytes(file, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    write_file()
