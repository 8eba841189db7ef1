"""The story scores of the n-gram tables as the package ships them: a server would need 250 MB to compute them.

`data/table_scores.json` holds them by order, under the fingerprint of the grammar and the lexicon that the stories
were written with. Where these are no longer the same, or the file is damaged or missing, there are none.

    python -m gptcore.stories.shipped_scores      computes the scores and writes the file
"""

import json
from functools import cache
from pathlib import Path

from gptcore.files import read_bytes, write_bytes
from gptcore.stories.scores import StoryScores, table_scores
from gptcore.stories.shipped_stories import fingerprint

FILE = Path(__file__).parent.parent / "data" / "table_scores.json"
MAX_FILE_BYTES = 100_000


@cache
def shipped_table_scores() -> dict[int, StoryScores] | None:
    """Return what `table_scores()` computes: read from the package, or None where it has none that fit."""
    return read_file(FILE)


def read_file(file: Path) -> dict[int, StoryScores] | None:
    """Return the scores in a file by order; None where they are not those of the stories written now."""
    try:
        shipped = json.loads(read_bytes(file, MAX_FILE_BYTES))
        if shipped["written_with"] != fingerprint():
            return None
        return {int(order): StoryScores(**scores) for order, scores in shipped["scores"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_file(file: Path = FILE) -> None:
    """Compute the scores and write them into a file."""
    scores = {str(order): found.to_dict() for order, found in table_scores().items()}
    text = json.dumps({"written_with": fingerprint(), "scores": scores}, indent=1)
    write_bytes(file, f"{text}\n".encode())


if __name__ == "__main__":
    write_file()
