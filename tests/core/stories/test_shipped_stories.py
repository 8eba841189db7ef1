"""The stories that the package ships: the ones that would be written now, or none."""

import lzma

import pytest

from gptcore.stories import shipped_stories
from gptcore.stories.shipped_stories import FILE, default_sentences, default_texts, read_lines
from gptcore.stories.writer import N_STORIES, Story, write_numbered_story, write_stories


def _shipped() -> list[Story]:
    pairs = zip(default_texts(), default_sentences(), strict=True)
    return [Story(*story, tuple(sentences)) for story, sentences in pairs]


def test_the_package_ships_the_stories_that_would_be_written_now():
    assert read_lines(FILE) is not None, "outdated: run python -m gptcore.stories.shipped_stories"
    stories = _shipped()
    assert len(stories) == N_STORIES
    assert all(stories[index] == write_numbered_story(index) for index in range(7, N_STORIES, 97))


@pytest.mark.long
def test_every_shipped_story_is_the_written_one():
    assert _shipped() == write_stories(N_STORIES)


def _changed(data: bytes, change: str) -> bytes:
    if change == "cut short":
        return data[: len(data) // 2]
    if change == "a flipped bit":
        return data[:700_000] + bytes([data[700_000] ^ 1]) + data[700_001:]
    text = lzma.decompress(data).decode()
    header, rest = text.split("\n", 1)
    text = {
        "another grammar": f"{'0' * len(header)}\n{rest}",
        "another writer": f"{header}\n" + rest.replace("Once upon a time", "One day"),
        "a story less": text.rpartition("\n")[0],
        "no number": f"{header}\nx{rest}",
    }[change]
    return lzma.compress(text.encode(), preset=0)


@pytest.mark.parametrize(
    "change", ["cut short", "a flipped bit", "another grammar", "another writer", "a story less", "no number"]
)
def test_a_file_that_does_not_fit_is_not_used(tmp_path, change):
    file = tmp_path / "stories.xz"
    file.write_bytes(_changed(FILE.read_bytes(), change))
    assert read_lines(file) is None


def test_without_the_file_the_stories_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_stories, "FILE", tmp_path / "stories.xz")
    monkeypatch.setattr(shipped_stories, "N_STORIES", 30)
    assert _shipped() == write_stories(30)
