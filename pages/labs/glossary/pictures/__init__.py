"""Small pictures, one per term of the glossary, each computed by the library when it is opened."""

from pages.labs.glossary.pictures import (
    assistant,
    attention,
    block,
    frames,
    model,
    positions,
    text,
    training,
    vectors,
    writing,
)

__all__ = [
    "assistant",
    "attention",
    "block",
    "frames",
    "model",
    "positions",
    "text",
    "training",
    "vectors",
    "writing",
]
