"""One color a dimension, everywhere: in words, on chips, in tables and in figures.

The letters are those of `gptcore`: T tokens, C model width, H query heads, K key/value heads, D head width,
F feed-forward width, V vocabulary. Every color is light enough for dark letters, so that one set serves the
light and the dark page alike.
"""

from collections.abc import Mapping

INK = "#14202B"
COLORS: Mapping[str, str] = {
    "T": "#9AD1F5",
    "C": "#F3C46A",
    "H": "#8FD9BF",
    "K": "#E6B3D4",
    "D": "#F4A58A",
    "F": "#E6E07F",
    "V": "#C4CCD3",
}
NAMES: Mapping[str, str] = {
    "T": "tokens",
    "C": "model width",
    "H": "query heads",
    "K": "key/value heads",
    "D": "head width",
    "F": "feed-forward width",
    "V": "vocabulary",
    "S": "key positions",
    "B": "sequences",
    "L": "layers",
}
# Positions seen are tokens too, those before included.
SAME = {"S": "T"}


def color(letter: str) -> str | None:
    """The color of a dimension, None for the two that need none (batch, layers)."""
    return COLORS.get(SAME.get(letter, letter))


def chip(letter: str, size: int | None = None) -> str:
    """A dimension as a colored mark in Markdown: the letter, with its size where one is known."""
    text = letter if size is None else f"{letter} {size:,}"
    shade = color(letter)
    return f':color[{text}]{{foreground="{INK}" background="{shade}"}}' if shade else text


def shape(**sizes: int) -> str:
    """The shape of a tensor in Markdown, one colored mark a dimension: `shape(T=9, D=32)`."""
    return " × ".join(chip(letter, size) for letter, size in sizes.items())


def sizes_of(config) -> dict[str, int]:
    """The sizes that a model's config fixes, by letter."""
    return {
        "C": config.d_model,
        "H": config.n_heads,
        "K": config.n_kv_heads,
        "D": config.head_dim,
        "F": config.d_ff,
        "V": config.vocab_size,
        "L": config.n_layers,
    }
