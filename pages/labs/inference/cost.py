"""Chapter 9: KV cache size of published models, and wrong position ids."""

import streamlit as st

from gptcore.account import cache_bytes, n_parameters
from gptcore.config import ModelConfig
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import chips, controls, figures, lab, plots, prompt, session, words
from pages.kit.units import readable_bytes
from pages.labs.inference import cached

MODEL = "the model in use"
CONTEXTS = (256, 1024, 4096, 16_384, 65_536, 131_072)
TEXTS = (1, 4, 16, 64)
BYTES = {"fp32": 4, "bf16": 2, "8 bit": 1}
SHIFTS = (0, 1, 2, 4, 8, 16, 32, 64)
N_NEW = 40
SHAPES = {name: one.config for name, one in PUBLISHED.items()}


@st.fragment
def published() -> None:
    """The bytes of a cache for a published shape, a context, a number of texts and a precision."""
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
    held = cache_bytes(config, tokens, texts, width)
    weights = n_parameters(config) * width
    every = cache_bytes(config.replace(n_kv_heads=config.n_heads), tokens, texts, width)
    text.show(
        "lab_bytes_says",
        cache=readable_bytes(held),
        each=readable_bytes(held / tokens / texts),
        weights=readable_bytes(weights),
        share=held / weights,
        full=readable_bytes(every),
        heads=config.n_heads,
    )
    print_formula(config, tokens, texts, width, held)
    caches = {one: cache_bytes(shape, tokens, texts, width) / 1e9 for one, shape in SHAPES.items()}
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


def print_formula(config: ModelConfig, tokens: int, texts: int, width: int, held: int) -> None:
    """The bytes of a cache as a product with its numbers put in."""
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
    total = f"{held:,}".replace(",", "{,}")
    st.latex(rf"2 \cdot {product} = {total}")


@st.fragment
def wrong_place() -> None:
    """New tokens with a wrong position: where the text starts to differ, and what it becomes."""
    text = words.load("09_inference")
    text.show("lab_place")
    model = session.model_in_use()
    typed = prompt.text_input(text.read("lab_place_prompt"), "c9_place_prompt", "Once upon a time")
    shift = controls.value_slider(text.read("lab_place_shift"), "c9_place_shift", SHIFTS, 64)
    right = cached.greedy_with_shift(model, typed, N_NEW, 0)
    wrong = cached.greedy_with_shift(model, typed, N_NEW, shift)
    place = next((at for at, pair in enumerate(zip(right, wrong)) if pair[0] != pair[1]), None)
    if place is None:
        st.badge(text.read("lab_place_same", n=len(wrong)), icon=":material/check_circle:", color="green")
    else:
        st.badge(text.read("different", place=place + 1), icon=":material/cancel:", color="red")
    for label, ids, key in (
        (text.read("lab_place_right"), right, "c9_place_right"),
        (text.read("lab_place_wrong", shift=shift), wrong, "c9_place_wrong"),
    ):
        st.markdown(f"**{label}**")
        kinds = [
            "plain" if place is None or at < place or ids is right else "unknown" for at in range(len(ids))
        ]
        chips.strip(
            [
                chips.Chip(chips.visible(model.tokenizer.token_text(one)), kind, "")
                for one, kind in zip(ids, kinds)
            ],
            key=key,
            label=label,
        )
    one = cached.greedy_with_shift(model, typed, N_NEW, 1)
    parts = next((at for at, pair in enumerate(zip(right, one)) if pair[0] != pair[1]), None)
    options = (text.read("lab_place_none"), text.read("lab_place_noise"), text.read("lab_place_stop"))
    lab.predict(
        "c9_place",
        text.read("lab_place_predict", n=N_NEW),
        options,
        right=0,
        because=text.read("lab_place_because_none", n=len(one))
        if parts is None
        else text.read("lab_place_because_parts", place=parts + 1),
        then={"c9_place_shift": 1},
    )
