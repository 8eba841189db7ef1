"""Pictures of text as tokens, one per term."""

from collections import Counter

import torch

from gptcore.corpora.windows import Windows
from gptcore.lessons.bpe_steps import merge_steps
from gptcore.stories.writer import write_story
from gptcore.tokenizer import EOT
from pages.kit import chips, grids, prompt, story_data
from pages.kit.chips import Chip
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import SENTENCE, bars, curve


def tokens() -> list[Chip]:
    return prompt.token_chips(SENTENCE, story_data.story_tokenizer())


def pre_tokens() -> list[Chip]:
    pieces = story_data.story_tokenizer().pieces(SENTENCE)
    return [Chip(chips.visible(piece)) for piece in pieces]


def merges(n: int) -> list[Chip]:
    tokenizer = story_data.story_tokenizer()
    merges_so_far = merge_steps(" golden", tokenizer)
    return [
        Chip(chips.visible(tokenizer.token_text(i)), note=f"token {i}")
        for i in merges_so_far[min(n, len(merges_so_far) - 1)].ids
    ]


def token_lengths() -> Picture:
    tokenizer = story_data.story_tokenizer()
    special = set(tokenizer.special_tokens.values())
    counts = Counter(len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size) if i not in special)
    return bars(
        [str(n) for n in sorted(counts)],
        [counts[n] for n in sorted(counts)],
        "tokens of this length in bytes",
    )


def character_bytes() -> Picture:
    characters = ("a", "é", "अ", "日")
    return bars(characters, [len(character.encode()) for character in characters], "bytes")


def end_of_text() -> list[Chip]:
    tokenizer = story_data.story_tokenizer()
    ids = tokenizer.encode(f"They were friends again.{EOT}Once upon a time", allow_special=True)
    return [
        Chip(
            chips.visible(tokenizer.token_text(i)), "new" if i == tokenizer.eot_id else "plain", f"token {i}"
        )
        for i in ids
    ]


def story(seed: int) -> list[Chip]:
    return prompt.token_chips(write_story(seed).text[:240], story_data.story_tokenizer())


def batch_windows(step: int) -> Picture:
    windows = Windows(torch.arange(25), 6, 2, seed=1)
    for _ in range(step):
        inputs, _targets = windows.next()
    return grids.matrix(
        inputs.tolist(),
        rows=("window 1", "window 2"),
        columns=[f"{n}" for n in range(1, 7)],
        name="token",
        numbers=".0f",
        row_title="",
        column_title="position in the window",
        revision="dealt",
    )


def pairs_in_context() -> Picture:
    lengths = (16, 32, 64, 128, 256)
    return curve(lengths, {"pairs": [n * (n + 1) / 2 for n in lengths]}, "tokens", "query-key pairs per head")
