"""Chapter 7: what every dimension costs, and published models side by side."""

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
    """Every dimension on a slider: parameters, training memory, FLOPs, KV cache."""
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
        operations = sum(forward_flops(config, tokens).values()) / tokens
        one, two, three, four = st.columns(4)
        one.metric(text.read("lab_cost_weights"), f"{total:,}")
        two.metric(text.read("lab_cost_memory"), readable_bytes(training_bytes(config)))
        three.metric(text.read("lab_cost_operations"), f"{operations / 1e6:,.2f} M")
        four.metric(text.read("lab_cost_cache"), readable_bytes(cache_bytes(config, tokens)))
        areas, memory = st.columns(2, gap="medium")
        with areas:
            st.markdown(f"**{text.read('lab_cost_areas')}**")
            picture = area(config, text.read("lab_cost_yours"), "cost areas", 300)
            figures.show(picture, key="c7_cost_areas")
        with memory:
            st.markdown(f"**{text.read('lab_cost_training', batch=batch)}**")
            held = {
                text.read("lab_cost_held_weights"): 4 * total,
                text.read("lab_cost_held_gradients"): 4 * total,
                text.read("lab_cost_held_moments"): 8 * total,
                text.read("lab_cost_held_logits"): 4 * batch * tokens * vocabulary,
            }
            picture = plots.treemap(
                held, whole=text.read("lab_cost_bytes"), unit="bytes", height=300, revision="cost memory"
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
    """What a longer context costs in parameters, for the shape on the sliders."""
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
        total, found = n_parameters(config), parameters(config)
        text.show(
            "lab_published_says",
            name=chosen,
            weights=total,
            table=(found["embedding"] + found["output"]) / total,
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
            saved = [100 * tying_saves(one) for one in MODEL_CONFIGS.values()]
            picture = plots.columns(
                list(MODEL_CONFIGS), {"saved by tying": saved}, y_title=text.read("lab_published_percent"), form=".1f",
                height=300, revision="tying",
            )  # fmt: skip
            colours = [figures.BLUE if one.tie_embeddings else figures.GREY for one in MODEL_CONFIGS.values()]
            picture.figure.update_traces(marker={"color": colours})
            picture.figure.add_hline(y=30, line={"color": figures.VERMILION, "dash": "dot"})
            figures.show(picture, key="c7_published_bars")
            st.caption(text.read("lab_published_caption"))
        guessed = st.session_state.get("c7_published_guess") is not None
        columns = table(text)
        if not guessed:  # the answer to the question below stays hidden
            del columns[text.read("lab_published_lists")]
        with st.expander(text.read("lab_published_table_title"), icon=":material/table:"):
            st.dataframe(columns, hide_index=True, key="c7_published_table")
            if not guessed:
                st.caption(text.read("lab_published_hidden"))
        share = _tables("LLaMA 3 8B")
        lab.predict(
            "c7_published",
            text.read("lab_published_predict", share=_tables("tiny")),
            (
                text.read("lab_published_predict_same"),
                text.read("lab_published_predict_half"),
                text.read("lab_published_predict_small"),
            ),
            right=2 if share < 0.2 else 1 if share < 0.6 else 0,
            because=text.read("lab_published_predict_because", share=share, tying=tying_saves(MODEL_CONFIGS[LLAMA])),
            then={"c7_published_model": LLAMA},
        )  # fmt: skip


def _tables(name: str) -> float:
    """The fraction of a model's parameters in its embedding matrix and output layer."""
    found = parameters(MODEL_CONFIGS[name])
    return (found["embedding"] + found["output"]) / sum(found.values())


def table(text: words.Words) -> dict[str, list]:
    """The numbers of every model, as columns."""
    shapes = MODEL_CONFIGS.values()
    return {
        text.read("lab_published_model"): list(MODEL_CONFIGS),
        text.read("lab_cost_weights"): [f"{n_parameters(one):,}" for one in shapes],
        text.read("lab_published_lists"): [f"{_tables(name):.1%}" for name in MODEL_CONFIGS],
        text.read("lab_cost_memory"): [readable_bytes(training_bytes(one)) for one in shapes],
        text.read("lab_published_operations"): [
            f"{sum(forward_flops(one, 1000).values()) / 1e9 / 1000:,.3g} G" for one in shapes
        ],
        text.read("lab_published_cache"): [
            readable_bytes(cache_bytes(one, 1000, bytes_per_value=2)) for one in shapes
        ],
    }
