"""Small pictures, one a term of the glossary, each computed by the library when it is asked for."""

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
