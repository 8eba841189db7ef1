"""The head that attends to the name of the pronoun story, and next tokens with a head turned off."""

from dataclasses import dataclass

import streamlit as st

from gptcore.generation.sampling import generate
from gptcore.interpret import heads
from gptcore.model import GPT
from pages.kit import (
    chips,
    controls,
    forward,
)
from pages.kit.models import ModelHandle
from pages.kit.pronoun_story import PronounStory, pronoun_story, storyteller


@dataclass(frozen=True, slots=True)
class NameHead:
    """The head that attends most to the name from the end of the story; layers and heads count from 0."""

    layer: int
    head: int
    weight: float
    position: int  # of the name, in tokens


FIRST_HEAD = NameHead(0, 0, 0.0, 0)


def find_name_head(model: ModelHandle, story: PronounStory) -> NameHead:
    """Find the head by its attention weights on the story."""
    traced = forward.traced(model, story.text)
    position = token_at_end_of(model, traced.ids, story.before + story.name)
    weights = heads.weights(traced.seen)[:, :, -1, position]  # (L, H)
    layer, head = divmod(int(weights.argmax()), weights.shape[1])
    return NameHead(layer, head, float(weights[layer, head]), position)


def default_head(model: ModelHandle) -> NameHead:
    """The head to show first: the one that attends to the name, if the model knows the story."""
    return find_name_head(model, pronoun_story()) if storyteller().name == model.name else FIRST_HEAD


def token_at_end_of(model: ModelHandle, ids: tuple[int, ...], beginning: str) -> int:
    """The position of the token in which a beginning of the text ends: a name may be several tokens."""
    tokenizer = model.tokenizer
    wanted, n_bytes = len(tokenizer.decode_bytes(tokenizer.encode_prompt(beginning))), 0
    for position, token_id in enumerate(ids):
        n_bytes += len(tokenizer.token_bytes(token_id))
        if n_bytes >= wanted:
            return position
    return len(ids) - 1


@st.cache_resource(max_entries=2, show_spinner=False)
def without_head(handle: ModelHandle, layer: int, head: int) -> GPT:
    """A copy of the model with one head turned off; layers and heads count from 0."""
    return heads.without_head(handle.model, layer, head)


def probabilities_of(
    model: ModelHandle, text: str, tokens: tuple[str, ...], off: tuple[int, int] | None
) -> list[float]:
    """The probability of each of these tokens to come next, with one head turned off or none."""
    return [p for _, p in next_tokens(model, text, off, only=tokens)]


def next_tokens(
    model: ModelHandle,
    text: str,
    off: tuple[int, int] | None,
    *,
    only: tuple[str, ...] = (),
    most: int = 5,
) -> list[tuple[str, float]]:
    """The most probable next tokens, or the given ones, with one head (layer, head) turned off or none."""
    used = without_head(model, *off) if off else model.model
    ids = model.tokenizer.encode_prompt(text)
    step = next(generate(used, ids, 1, temperature=0.0, n_alternatives=model.config.vocab_size))
    if not only:
        return [(model.tokenizer.token_text(i), p) for i, p in step.alternatives[:most]]
    probability = dict(step.alternatives)
    return [(token, probability[model.tokenizer.encode(token)[0]]) for token in only]


def shaded_tokens(tokens: tuple[str, ...], row: list[float], asks: int) -> list[chips.Chip]:
    """Tokens as chips, shaded by how much one of them attends to each; those that come later are faint."""
    return [
        chips.Chip(
            chips.visible(token),
            "asks" if position == asks else "faint" if position > asks else "plain",
            f"{row[position]:.1%}" if position <= asks else "at a later position",
            row[position] if position <= asks else None,
        )
        for position, token in enumerate(tokens)
    ]


def pick_head(key: str, label: str, config, default: NameHead) -> tuple[int, int]:
    """Choose one head of all layers; returns layer and head, counted from 0."""
    names = {
        f"layer {layer + 1}, head {head + 1}": (layer, head)
        for layer in range(config.n_layers)
        for head in range(config.n_heads)
    }
    first = f"layer {default.layer + 1}, head {default.head + 1}"
    return names[controls.dropdown(label, key, list(names), default=first)]
