"""Chapter 7: what each dimension costs, and published models side by side."""

import streamlit as st

from gptcore.account import cache_bytes, forward_flops, n_parameters, parameters, training_bytes
from gptcore.config import ModelConfig
from gptcore.experiments.measurements.model import tying_saves
from gptcore.lessons.published_models import MODEL_CONFIGS
from pages.kit import controls, figures, lab, plots, words
from pages.kit.units import readable_bytes
from pages.labs.model.finding import area

LLAMA = "LLaMA 3 8B"
VOCABULARIES = (512, 2048, 8192, 32_000, 50_257, 128_256)
BATCHES = (1, 8, 32)


@st.fragment
def costs() -> None:
    """A slider for each dimension: parameters, training memory, FLOPs, KV cache."""
    text = words.load("07_model")
    with lab.frame("c7_cost", text.read("lab_cost_title")):
        text.show("lab_cost")
        left, right = st.columns(2, gap="large")
        with left:
            vocabulary = controls.value_slider(
                text.read("lab_cost_vocab"), "c7_cost_vocab", VOCABULARIES, 2048
            )
        with right:
            batch = controls.value_slider(text.read("lab_cost_batch"), "c7_cost_batch", BATCHES, 8)
        config = controls.model_config("c7_cost", vocabulary)
        if config is None:
            return
        total, tokens = n_parameters(config), config.context_length
        flops_per_token = sum(forward_flops(config, tokens).values()) / tokens
        weights_pane, memory_pane, flops_pane, cache_pane = st.columns(4)
        weights_pane.metric(text.read("lab_cost_weights"), f"{total:,}")
        memory_pane.metric(text.read("lab_cost_memory"), readable_bytes(training_bytes(config)))
        flops_pane.metric(text.read("lab_cost_operations"), f"{flops_per_token / 1e6:,.2f} M")
        cache_pane.metric(text.read("lab_cost_cache"), readable_bytes(cache_bytes(config, tokens)))
        areas, memory = st.columns(2, gap="medium")
        with areas:
            st.markdown(f"**{text.read('lab_cost_areas')}**")
            picture = area(config, text.read("lab_cost_yours"), "cost areas", 300)
            figures.show(picture, key="c7_cost_areas")
        with memory:
            st.markdown(f"**{text.read('lab_cost_training', batch=batch)}**")
            n_bytes = {
                text.read("lab_cost_held_weights"): 4 * total,
                text.read("lab_cost_held_gradients"): 4 * total,
                text.read("lab_cost_held_moments"): 8 * total,
                text.read("lab_cost_held_logits"): 4 * batch * tokens * vocabulary,
            }
            picture = plots.treemap(
                n_bytes, whole=text.read("lab_cost_bytes"), unit="bytes", height=300, revision="cost memory"
            )
            figures.show(picture, key="c7_cost_held")
        text.show(
            "lab_cost_says",
            tokens=tokens,
            batch=batch,
            logits=readable_bytes(4 * batch * tokens * vocabulary),
        )
        predict(text, config)


def predict(text: words.Words, config: ModelConfig) -> None:
    """Predict what a longer context costs in parameters, for the shape on the sliders."""
    longer = 512 if config.context_length != 512 else 256
    other = config.replace(context_length=longer)
    more = n_parameters(other) - n_parameters(config)
    options = (
        text.read("lab_cost_predict_more"),
        text.read("lab_cost_predict_none"),
        text.read("lab_cost_predict_less"),
    )
    cache = cache_bytes(other, longer) / cache_bytes(config, config.context_length)
    lab.predict(
        "c7_cost",
        text.read("lab_cost_predict", now=config.context_length, longer=longer),
        options,
        right=0 if more > 0 else 1 if more == 0 else 2,
        because=text.read("lab_cost_predict_because", more=more, cache=cache, position=config.position),
        then={"c7_cost_context_length": longer},
    )


@st.fragment
def published() -> None:
    """Presets and published models side by side: the embedding matrix, and what tying saves or would save."""
    text = words.load("07_model")
    with lab.frame("c7_published", text.read("lab_published_title")):
        text.show("lab_published")
        label = text.read("lab_published_model")
        chosen = controls.dropdown(label, "c7_published_model", list(MODEL_CONFIGS), default="GPT-2 small")
        config = MODEL_CONFIGS[chosen]
        total, counts = n_parameters(config), parameters(config)
        text.show(
            "lab_published_says",
            name=chosen,
            weights=total,
            table=(counts["embedding"] + counts["output"]) / total,
            ties=text.read("lab_published_ties") if config.tie_embeddings else text.read("lab_published_unties"),
            saves=tying_saves(config),
            did=text.read("lab_published_saves") if config.tie_embeddings else text.read("lab_published_would"),
        )  # fmt: skip
        left, right = st.columns(2, gap="medium")
        with left:
            picture = area(config, chosen, f"published {chosen}", 300)
            figures.show(picture, key="c7_published_area")
        with right:
            st.markdown(f"**{text.read('lab_published_tying')}**")
            saved = [100 * tying_saves(shown) for shown in MODEL_CONFIGS.values()]
            picture = plots.columns(
                list(MODEL_CONFIGS), {"saved by tying": saved}, y_title=text.read("lab_published_percent"), form=".1f",
                height=300, revision="tying",
            )  # fmt: skip
            colors = [
                figures.BLUE if shown.tie_embeddings else figures.GREY for shown in MODEL_CONFIGS.values()
            ]
            picture.figure.update_traces(marker={"color": colors})
            figures.dotted_line(picture.figure, y=30, color=figures.VERMILION)
            figures.show(picture, key="c7_published_bars")
            st.caption(text.read("lab_published_caption"))
        answered = st.session_state.get("c7_published_guess") is not None
        columns = table(text)
        if not answered:  # this column answers the question below
            del columns[text.read("lab_published_lists")]
        with st.expander(text.read("lab_published_table_title"), icon=":material/table:"):
            st.dataframe(columns, hide_index=True, key="c7_published_table")
            if not answered:
                st.caption(text.read("lab_published_hidden"))
        fraction = _embedding_fraction(LLAMA)
        lab.predict(
            "c7_published",
            text.read("lab_published_predict", share=_embedding_fraction("tiny")),
            (
                text.read("lab_published_predict_same"),
                text.read("lab_published_predict_half"),
                text.read("lab_published_predict_small"),
            ),
            right=2 if fraction < 0.2 else 1 if fraction < 0.6 else 0,
            because=text.read("lab_published_predict_because", share=fraction, tying=tying_saves(MODEL_CONFIGS[LLAMA])),
            then={"c7_published_model": LLAMA},
        )  # fmt: skip


def _embedding_fraction(name: str) -> float:
    """The fraction of a model's parameters in its embedding matrix and output layer."""
    counts = parameters(MODEL_CONFIGS[name])
    return (counts["embedding"] + counts["output"]) / sum(counts.values())


def table(text: words.Words) -> dict[str, list]:
    """The numbers of every model, as columns."""
    configs = MODEL_CONFIGS.values()
    return {
        text.read("lab_published_model"): list(MODEL_CONFIGS),
        text.read("lab_cost_weights"): [f"{n_parameters(config):,}" for config in configs],
        text.read("lab_published_lists"): [f"{_embedding_fraction(name):.1%}" for name in MODEL_CONFIGS],
        text.read("lab_cost_memory"): [readable_bytes(training_bytes(config)) for config in configs],
        text.read("lab_published_operations"): [
            f"{sum(forward_flops(config, 1000).values()) / 1e9 / 1000:,.3g} G" for config in configs
        ],
        text.read("lab_published_cache"): [
            readable_bytes(cache_bytes(config, 1000, bytes_per_value=2)) for config in configs
        ],
    }
