"""Chapter 9: KV cache size of published models, and wrong position ids."""

import streamlit as st

from gptcore.account import cache_bytes, n_parameters
from gptcore.config import ModelConfig
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import chips, controls, figures, lab, plots, prompt, session, words
from pages.kit.units import readable_bytes
from pages.labs.inference import cached
from pages.labs.inference.race import first_difference

MODEL = "the model in use"
CONTEXTS = (256, 1024, 4096, 16_384, 65_536, 131_072)
TEXTS = (1, 4, 16, 64)
BYTES = {"fp32": 4, "bf16": 2, "8 bit": 1}
SHIFTS = (0, 1, 2, 4, 8, 16, 32, 64)
N_NEW = 40
SHAPES = {name: published_model.config for name, published_model in PUBLISHED.items()}


@st.fragment
def published() -> None:
    """The size of a cache for a published model, by positions, number of texts and precision."""
    text = words.load("09_inference")
    text.show("lab_bytes")
    shapes = {MODEL: session.model_in_use().config, **SHAPES}
    name = controls.dropdown(
        text.read("lab_bytes_model"), "c9_bytes_model", list(shapes), default="LLaMA 2 70B"
    )
    left, middle, right = st.columns(3, gap="large")
    with left:
        tokens = controls.value_slider(text.read("lab_bytes_tokens"), "c9_bytes_tokens", CONTEXTS, 4096)
    with middle:
        texts = controls.value_slider(text.read("lab_bytes_texts"), "c9_bytes_texts", TEXTS, 1)
    with right:
        precision = controls.choice(
            text.read("lab_bytes_width"), "c9_bytes_width", list(BYTES), default="bf16"
        )
    config, width = shapes[name], BYTES[precision]
    n_bytes = cache_bytes(config, tokens, texts, width)
    weights = n_parameters(config) * width
    n_bytes_all_heads = cache_bytes(config.replace(n_kv_heads=config.n_heads), tokens, texts, width)
    text.show(
        "lab_bytes_says",
        cache=readable_bytes(n_bytes),
        each=readable_bytes(n_bytes / tokens / texts),
        weights=readable_bytes(weights),
        share=n_bytes / weights,
        full=readable_bytes(n_bytes_all_heads),
        heads=config.n_heads,
    )
    print_formula(config, tokens, texts, width, n_bytes)
    caches = {label: cache_bytes(shape, tokens, texts, width) / 1e9 for label, shape in SHAPES.items()}
    picture = plots.columns(
        list(caches),
        {"cache": list(caches.values()),
         "weights": [n_parameters(shape) * width / 1e9 for shape in SHAPES.values()]},
        y_title="GB", height=280, log_y=True, revision="c9_bytes",
    )  # fmt: skip
    figures.show(picture, key="c9_bytes_chart")
    lab.predict(
        "c9_bytes",
        text.read("lab_bytes_predict"),
        (text.read("lab_bytes_less"), text.read("lab_bytes_more"), text.read("lab_bytes_same")),
        right=1,
        because=text.read(
            "lab_bytes_because",
            seven=readable_bytes(cache_bytes(SHAPES["LLaMA 2 7B"], 4096, bytes_per_value=2)),
            seventy=readable_bytes(cache_bytes(SHAPES["LLaMA 2 70B"], 4096, bytes_per_value=2)),
        ),
        then={"c9_bytes_model": "LLaMA 2 7B"},
    )


def print_formula(config: ModelConfig, tokens: int, texts: int, width: int, n_bytes: int) -> None:
    """The size of a cache as a product, with the numbers filled in."""
    product = r" \cdot ".join(
        rf"\underbrace{{{value:,}}}_{{{letter}}}".replace(",", "{,}")
        for letter, value in {
            "L": config.n_layers,
            "K": config.n_kv_heads,
            "D": config.head_dim,
            r"\text{positions}": tokens,
            r"\text{texts}": texts,
            r"\text{bytes}": width,
        }.items()
    )
    total = f"{n_bytes:,}".replace(",", "{,}")
    st.latex(rf"2 \cdot {product} = {total}")


@st.fragment
def wrong_positions() -> None:
    """New tokens with wrong positions: where the text starts to differ, and how it continues."""
    text = words.load("09_inference")
    text.show("lab_place")
    model = session.model_in_use()
    prompt_text = prompt.text_input(text.read("lab_place_prompt"), "c9_place_prompt", "Once upon a time")
    shift = controls.value_slider(text.read("lab_place_shift"), "c9_place_shift", SHIFTS, 64)
    right = cached.greedy_with_shift(model, prompt_text, N_NEW, 0)
    wrong = cached.greedy_with_shift(model, prompt_text, N_NEW, shift)
    first_wrong = first_difference([right, wrong])
    if first_wrong is None:
        st.badge(text.read("lab_place_same", n=len(wrong)), icon=":material/check_circle:", color="green")
    else:
        st.badge(text.read("different", position=first_wrong + 1), icon=":material/cancel:", color="red")
    for label, ids, key in (
        (text.read("lab_place_right"), right, "c9_place_right"),
        (text.read("lab_place_wrong", shift=shift), wrong, "c9_place_wrong"),
    ):
        st.markdown(f"**{label}**")
        kinds = [
            "plain" if first_wrong is None or index < first_wrong or ids is right else "unknown"
            for index in range(len(ids))
        ]
        chips.strip(
            [
                chips.Chip(chips.visible(model.tokenizer.token_text(token_id)), kind, "")
                for token_id, kind in zip(ids, kinds)
            ],
            key=key,
            label=label,
        )
    off_by_one = cached.greedy_with_shift(model, prompt_text, N_NEW, 1)
    first_off_by_one = first_difference([right, off_by_one])
    options = (text.read("lab_place_none"), text.read("lab_place_noise"), text.read("lab_place_stop"))
    lab.predict(
        "c9_place",
        text.read("lab_place_predict", n=N_NEW),
        options,
        right=0,
        because=text.read("lab_place_because_none", n=len(off_by_one))
        if first_off_by_one is None
        else text.read("lab_place_because_parts", position=first_off_by_one + 1),
        then={"c9_place_shift": 1},
    )
