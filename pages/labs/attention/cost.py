"""Chapter 5: what fewer key/value heads save, and what the fused kernel never stores."""

import streamlit as st

from gptcore.account import cache_bytes, n_parameters, parameters
from gptcore.config import ModelConfig
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import cell_map, controls, figures, lab, plots, session, words
from pages.kit.cell_map import CellMap
from pages.kit.formulas import Formula, Line
from pages.kit.units import readable_bytes
from pages.labs.attention import cached

MODEL = "the model in use"
CONTEXTS = (256, 1024, 4096, 16_384, 65_536, 131_072)
# With as many key/value heads as query heads; the slider reduces them.
SHAPES: dict[str, ModelConfig] = {
    name: PUBLISHED[name].config.replace(n_kv_heads=PUBLISHED[name].config.n_heads)
    for name in ("GPT-2 small", "LLaMA 3 8B", "LLaMA 2 70B")
}


@st.fragment
def key_heads() -> None:
    """From multi-head to multi-query attention on one slider: parameters, KV cache and the grouping of heads."""
    text = words.load("05_attention")
    with lab.frame("c5_kv", text.read("lab_kv_title")):
        text.show("lab_kv")
        in_use = session.model_in_use().config
        shapes = {MODEL: in_use.replace(n_kv_heads=in_use.n_heads), **SHAPES}
        side, picture_pane = lab.panes()
        with side:
            name = controls.dropdown(
                text.read("lab_kv_shape"), "c5_kv_shape", list(shapes), default="LLaMA 2 70B"
            )
        full = shapes[name]
        options = [k for k in range(1, full.n_heads + 1) if full.n_heads % k == 0]
        if st.session_state.get("c5_kv_heads", options[-1]) not in options:
            del st.session_state["c5_kv_heads"]  # chosen for a shape with other heads
        with side:
            default = 8 if 8 in options else options[0]
            kv = controls.value_slider(text.read("lab_kv_heads"), "c5_kv_heads", options, default)
            tokens = controls.value_slider(text.read("lab_kv_context"), "c5_kv_tokens", CONTEXTS, 4096)
        config = full.replace(n_kv_heads=kv)
        with side:
            describe_cache(text, full, config, tokens)
        with picture_pane:
            show_cache_product(config, tokens)
            draw_heads(text, full, options, kv)
        predict(text, config)


def kind(config: ModelConfig) -> str:
    """The name of attention with this number of key/value heads."""
    if config.n_kv_heads == config.n_heads:
        return "Multi-head attention"
    return "Multi-query attention" if config.n_kv_heads == 1 else "Grouped-query attention"


def describe_cache(text: words.Words, full: ModelConfig, config: ModelConfig, tokens: int) -> None:
    """What a number of key/value heads costs and saves."""
    attention, whole = parameters(config)["attention"], n_parameters(config)
    n_bytes = cache_bytes(config, tokens, bytes_per_value=2)
    text.show(
        "lab_kv_says",
        kind=kind(config),
        group=config.n_heads // config.n_kv_heads,
        attention=attention,
        saved=1 - attention / parameters(full)["attention"],
        model_saved=1 - whole / n_parameters(full),
        tokens=tokens,
        cache=readable_bytes(n_bytes),
        factor=config.n_heads // config.n_kv_heads,
    )


def show_cache_product(config: ModelConfig, tokens: int) -> None:
    """The bytes of the cache as a product with its numbers put in."""
    numbers = {"L": config.n_layers, "K": config.n_kv_heads, "D": config.head_dim, r"\text{tokens}": tokens}
    product = r" \cdot ".join(rf"\underbrace{{{value:,}}}_{{{name}}}" for name, value in numbers.items())
    product = product.replace(",", "{,}")
    total = f"{cache_bytes(config, tokens, bytes_per_value=2):,}".replace(",", "{,}")
    st.latex(rf"2 \cdot {product} \cdot \underbrace{{2}}_{{\text{{bytes}}}} = {total}")


def draw_heads(text: words.Words, full: ModelConfig, options: list[int], kv: int) -> None:
    """Parameters and KV cache against K, and which key/value head serves which query head."""
    fractions = {
        "attention parameters": [
            parameters(full.replace(n_kv_heads=k))["attention"] / parameters(full)["attention"]
            for k in options
        ],
        "all parameters": [n_parameters(full.replace(n_kv_heads=k)) / n_parameters(full) for k in options],
        "KV cache": [k / full.n_heads for k in options],
    }
    chart_tab, groups_tab = st.tabs([text.read("lab_kv_chart"), text.read("lab_kv_groups")])
    with chart_tab:
        picture = plots.curves(
            options, fractions, x_title="key/value heads K", y_title="relative to K = H", log_x=True, mark_x=kv,
            y_range=(0, 1.05), height=280, revision=f"kv {full.n_heads}",
        )  # fmt: skip
        picture.figure.update_yaxes(tickformat=".0%")
        figures.show(picture, key="c5_kv_curves")
    with groups_tab:
        group = full.n_heads // kv
        drawing = CellMap(
            values=[
                [1.0 if query // group == key else 0.0 for query in range(full.n_heads)] for key in range(kv)
            ],
            rows=[f"{key + 1}" for key in range(kv)],
            columns=[f"{query + 1}" for query in range(full.n_heads)],
            row_title="key/value head",
            column_title="query head",
            what="serves this head",
            height=200,
        )
        cell_map.show(
            drawing,
            lambda key, query: served_by(key, query, full.n_heads, kv),
            key="c5_kv_groups",
            default=(0, 0),
        )


def served_by(key: int, query: int, n_heads: int, kv: int) -> Formula:
    """Whether a key/value head serves a query head; both count from 0."""
    group = n_heads // kv
    of, serves = query // group + 1, query // group == key
    lines = (
        Line("query heads per key/value head", f"H ÷ K = {n_heads} ÷ {kv}", str(group)),
        Line(
            "the query head's key/value head", f"⌊({query + 1} − 1) ÷ {group}⌋ + 1", str(query // group + 1)
        ),
        Line(
            "serves this head",
            "",
            f"{'1' if serves else '0'}, because {of} {'=' if serves else '≠'} {key + 1}",
        ),
    )
    return Formula(f"Query head {query + 1}, key/value head {key + 1}", lines, float(serves))


def predict(text: words.Words, config: ModelConfig) -> None:
    """Predict the shape of the keys for the settings above."""
    h, kv, d, t = config.n_heads, config.n_kv_heads, config.head_dim, 12
    right = f"{kv} × {t} × {d}"
    options = list(dict.fromkeys([f"{h} × {t} × {d}", right, f"{kv} × {t} × {t}", f"{kv} × {d} × {d}"]))
    lab.predict(
        "c5_kv",
        text.read("lab_kv_predict", h=h, kv=kv, t=t, d=d),
        options,
        right=options.index(right),
        because=text.read("lab_kv_predict_because", group=h // kv),
        then={"c5_kv_heads": 1},
        then_label="Use one key/value head",
    )


@st.fragment
def fused() -> None:
    """The memory that the fused kernel saves, and that both paths give the same output."""
    text = words.load("05_attention")
    config = session.model_in_use().config
    text.show("lab_fused")
    length = controls.value_slider(text.read("lab_fused_length"), "c5_fused_t", CONTEXTS, 4096)
    ran, difference = cached.path_difference(session.model_in_use(), 192)
    text.show(
        "lab_fused_says",
        t=length,
        size=readable_bytes(4 * config.n_heads * length**2),
        ran=ran,
        difference=difference,
    )
