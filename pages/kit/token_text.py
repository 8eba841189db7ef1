"""Tokens in a text: code spans, table cells, chips shaded by their bytes."""

from pages.kit import chips, escape
from pages.kit.escape import Markdown

DARKEST = 8  # bytes: a token that carries so many is shaded fully
MOST_CHIPS = 200


def code_span(token: str) -> Markdown:
    """A token as a code span of Markdown, its spaces visible."""
    return escape.code(chips.visible(token))


def table_cell(token: str) -> Markdown:
    """A token as a code span inside a table, where a bar would end the cell."""
    return Markdown(code_span(token).replace("|", r"\|"))


def code_spans(ids, tokenizer) -> Markdown:
    """Tokens side by side, each a code span."""
    return Markdown(" ".join(code_span(tokenizer.token_text(token)) for token in ids))


def byte_chips(ids, tokenizer) -> list[chips.Chip]:
    """Tokens as chips, the darker the more bytes one carries; those that are no text are hatched."""
    byte_labels = []
    for token in ids:
        size, shown = len(tokenizer.token_bytes(token)), tokenizer.token_text(token)
        broken = "\ufffd" in tokenizer.decode([token])
        byte_labels.append(
            chips.Chip(
                chips.visible(shown),
                "unknown" if broken else "plain",
                f"token {token}, {size} byte{'s' if size > 1 else ''}",
                None if broken else min(1.0, (size - 1) / (DARKEST - 1)),
            )
        )
    return byte_labels
