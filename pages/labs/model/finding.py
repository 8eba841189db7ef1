"""Chapter 7: the parts of the 17 M preset."""

from gptcore.account import n_parameters, parameters
from gptcore.config import PRESETS, ModelConfig
from pages.kit import figures, plots, words

PARTS = {
    "embedding": "embedding matrix",
    "positions": "learned positions",
    "attention": "attention",
    "feedforward": "feed-forward",
    "norms": "norms",
    "output": "output layer",
}
LETTERS = {
    "embedding matrix": "V",
    "learned positions": "T",
    "attention": "H",
    "feed-forward": "F",
    "norms": "C",
    "output layer": "V",
}


def named_parts(config: ModelConfig) -> dict[str, int]:
    """The parameters of each part that has any, by its name on the page."""
    return {PARTS[name]: count for name, count in parameters(config).items() if count}


def area(config: ModelConfig, name: str, revision: str, height: int = 340) -> figures.Picture:
    """The parameters of a model as areas."""
    return plots.treemap(
        named_parts(config), whole=name, unit="parameters", letters=LETTERS, height=height, revision=revision
    )


def finding() -> None:
    """The opening figure: the parts of the 17 M preset as areas."""
    text = words.load("07_model")
    config = PRESETS["tiny"].model
    counts = parameters(config)
    text.show(
        "finding",
        weights=n_parameters(config),
        share=counts["embedding"] / n_parameters(config),
        vocabulary=config.vocab_size,
        width=config.d_model,
    )
    picture = area(config, "tiny", "finding")
    figures.show(picture, key="c7_finding")
    text.show("finding_says", layers=config.n_layers)
