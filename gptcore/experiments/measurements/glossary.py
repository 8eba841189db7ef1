"""Claims about the words of the field: that a name stands for one design, and that a share is a constant."""

from collections.abc import Iterator

from gptcore.config import PRESETS
from gptcore.experiments.claims import Claim, Repetition, by_range
from gptcore.lessons.provenance import differing_choices, feedforward_fraction
from gptcore.lessons.published_models import PUBLISHED

# Two thirds, with room for a rule of thumb.
TWO_THIRDS = (0.60, 0.73)
FIRST = "LLaMA 2 7B"


def _shares_of_feedforward() -> Iterator[Repetition]:
    shapes = {name: PRESETS[name].model for name in ("nano", "tiny", "small")}
    shapes |= {name: published.config for name, published in PUBLISHED.items()}
    yield {name: 100 * feedforward_fraction(config) for name, config in shapes.items()}


def _choices_that_differ() -> Iterator[Repetition]:
    first = PUBLISHED[FIRST].config
    llamas = {
        name: published.config for name, published in PUBLISHED.items() if published.config.ffn == "swiglu"
    }
    yield {
        name: float(len(differing_choices(config, first))) for name, config in llamas.items() if name != FIRST
    }


CLAIMS = (
    Claim(
        name="llama_style_is_one",
        chapter=11,
        slogan="“LLaMA-style” is one architecture",
        source="Model cards and tutorials that use the term.",
        how=f"The published configs of models with RMSNorm, SwiGLU and RoPE against {FIRST}. Measured: the "
        "number of choices that differ, apart from sizes: norm and its position, activation, position "
        "scheme and its base, biases, QK-norm, window, tying and grouped-query attention. The claim "
        "holds if none differs.",
        unit="choices that differ",
        headline="Qwen 2.5 7B",
        measure=_choices_that_differ,
        judge=lambda measured: (
            "holds" if max(spread.high for spread in measured.values()) == 0 else "holds not"
        ),
        transfers="Read the config, not the name: weights loaded with the wrong config compute another function.",
    ),
    Claim(
        name="two_thirds_feedforward",
        chapter=11,
        slogan="Two thirds of a Transformer's parameters are feed-forward",
        source="A rule of thumb for blocks with F = 4C and two matrices: attention 4C², feed-forward 8C².",
        how="The percentage of feed-forward parameters among all parameters, for our presets and published "
        f"models. The claim holds if every one is between {TWO_THIRDS[0]:.0%} and {TWO_THIRDS[1]:.0%}.",
        unit="% of the parameters",
        headline="LLaMA 3 8B",
        measure=_shares_of_feedforward,
        judge=by_range(lambda share: TWO_THIRDS[0] <= share / 100 <= TWO_THIRDS[1]),
        transfers="The percentage depends on the vocabulary, on F over C and on grouped-query attention. Quote "
        "it with the model it was counted for.",
    ),
)
