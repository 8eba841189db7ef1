"""`stories`: print stories, or score a text by the story grammar."""

import argparse
import json
import sys

from gptcore.commands.counts import check_count
from gptcore.files import read_bytes
from gptcore.stories.scores import score_text
from gptcore.stories.writer import write_numbered_story

LARGEST_TEXT = 100_000_000  # bytes that are scored


def run(options: argparse.Namespace) -> None:
    if options.check is not None:
        scores = score_text(_read_text(options.check)).to_dict()
        lines = [f"{name}: {score}" for name, score in scores.items()]
        print(json.dumps(scores) if options.json else "\n".join(lines))
        return
    check_count("n", options.n)
    for index in range(options.n):
        story = write_numbered_story(index, options.seed)
        if options.json:
            print(json.dumps({"text": story.text, "entropy": story.entropy}, ensure_ascii=False))
        else:
            print(f"\n{story.text}" if index else story.text)


def _read_text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read(LARGEST_TEXT) if name == "-" else read_bytes(name, LARGEST_TEXT)
        return data.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text; save it as UTF-8 and try again") from error
