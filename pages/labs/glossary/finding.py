"""Chapter 11: the figure at the top, one recipe in six sizes."""

from gptcore.account import n_parameters, parameters
from gptcore.lessons.published_models import MODEL_CONFIGS
from pages.kit import figures, plots, words

SHOWN = ("nano", "tiny", "GPT-2 small", "Llama 3.2 1B", "Mistral 7B", "LLaMA 3 8B")


def finding() -> None:
    """One recipe in six sizes: the percentage of parameters in each part."""
    text = words.load("11_glossary")
    groups: dict[str, list[float]] = {
        text.read("finding_lists"): [],
        text.read("finding_attention"): [],
        text.read("finding_feedforward"): [],
    }
    for name in SHOWN:
        counts, total = parameters(MODEL_CONFIGS[name]), n_parameters(MODEL_CONFIGS[name])
        part_counts = (counts["embedding"] + counts["output"], counts["attention"], counts["feedforward"])
        for values, count in zip(groups.values(), part_counts):
            values.append(100 * count / total)
    low, high = min(groups[text.read("finding_lists")]), max(groups[text.read("finding_lists")])
    text.show("finding", n=len(SHOWN))
    picture = plots.columns(
        SHOWN, groups, y_title=text.read("finding_chart"), form=".0f", height=300, revision="finding"
    )
    figures.show(picture, key="c11_finding")
    text.show("finding_says", low=low, high=high)
