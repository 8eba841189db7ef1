"""Chapter 11: the finding, a model counted term by term, the words on one map, who uses what, and formulas."""

import math

import streamlit as st

from gptcore.account import (
    Summand,
    cache_bytes,
    forward_flops,
    n_parameters,
    parameters,
    summands,
    training_bytes,
)
from gptcore.config import BIASES, FEEDFORWARDS, NORMS, POSITIONS, PRESETS, ConfigError, ModelConfig
from gptcore.lessons.provenance import ORIGINS, choices_that_differ, users
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import controls, diagram, dim_colors, figures, lab, plots, session, words
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps
from pages.labs.attention.cost import size
from pages.labs.model.finding import big
from pages.labs.model.shape import SHAPES

SMALL = PRESETS["small"].model
SHOWN = ("nano", "tiny", "GPT-2 small", "Llama 3.2 1B", "Mistral 7B", "LLaMA 3 8B")
VOCABULARIES = (2048, 8192, 32_000, 50_257, 128_256)
WIDTHS = (128, 256, 512, 768, 1024, 2048, 4096)
HEADS = (1, 2, 4, 8, 12, 16, 32)
INNER = (384, 768, 1024, 2048, 3072, 4096, 4608, 11_008, 14_336)
LENGTHS = (256, 1024, 4096, 8192)
FIRST, OTHER = "LLaMA 2 7B", "Qwen 2.5 7B"


def finding() -> None:
    """One recipe in six sizes: the share of each part, which is no constant."""
    text = words.load("11_glossary")
    groups: dict[str, list[float]] = {
        text.read("finding_lists"): [],
        text.read("finding_attention"): [],
        text.read("finding_feedforward"): [],
    }
    for name in SHOWN:
        found, total = parameters(SHAPES[name]), n_parameters(SHAPES[name])
        shares = (found["embedding"] + found["output"], found["attention"], found["feedforward"])
        for values, share in zip(groups.values(), shares):
            values.append(100 * share / total)
    low, high = min(groups[text.read("finding_lists")]), max(groups[text.read("finding_lists")])
    text.show("finding", n=len(SHOWN))
    picture = plots.columns(
        SHOWN, groups, y_title=text.read("finding_chart"), form=".0f", height=300, revision="finding"
    )
    st.plotly_chart(picture.figure, key="c11_finding", config=figures.CONFIG, alt=picture.alt)
    text.show("finding_says", low=low, high=high)


@st.fragment
def worked_example() -> None:
    """The weights of the 151 M preset as a sum of products, and of whatever it is changed into."""
    text = words.load("11_glossary")
    text.show("example", total=n_parameters(SMALL))
    one, two, three = st.columns(3, gap="medium")
    with one:
        v = controls.stops(text.read("example_v"), "c11_v", VOCABULARIES, SMALL.vocab_size)
        c = controls.stops(text.read("example_c"), "c11_c", WIDTHS, SMALL.d_model)
        f = controls.stops(text.read("example_f"), "c11_f", INNER, SMALL.d_ff)
    with two:
        layers = controls.whole(text.read("example_l"), "c11_l", Dial("", 1, 32, 1, ""), SMALL.n_layers)
        h = controls.stops(text.read("example_h"), "c11_h", HEADS, SMALL.n_heads)
        k = controls.stops(text.read("example_k"), "c11_k", HEADS, SMALL.n_kv_heads)
    with three:
        t = controls.stops(text.read("example_t"), "c11_t", LENGTHS, SMALL.context_length)
        ffn = controls.choice(text.read("example_ffn"), "c11_ffn", list(FEEDFORWARDS), default="swiglu")
        tied = controls.switch(text.read("example_tied"), "c11_tied", True)
    with st.expander(text.read("example_more"), icon=":material/tune:"):
        norm = controls.choice(text.read("example_norm"), "c11_norm", list(NORMS), default="rmsnorm")
        position = controls.choice(
            text.read("example_position"), "c11_position", list(POSITIONS), default="rope"
        )
        bias = controls.choice(text.read("example_bias"), "c11_bias", BIASES, default="none")
    try:
        config = ModelConfig(
            vocab_size=v, context_length=t, d_model=c, n_layers=layers, n_heads=h, n_kv_heads=k, d_ff=f,
            tie_embeddings=tied, ffn=ffn, norm=norm, position=position, bias=bias,
        )  # fmt: skip
    except ConfigError as error:
        st.error(text.read("example_illegal", why=error), icon=":material/block:")
        return
    count(text, config)


def count(text: words.Words, config: ModelConfig) -> None:
    """Every part of the sum as a step, then the sum."""
    titles = {
        "embedding": text.read("example_embedding_title"),
        "positions": text.read("example_positions_title"),
        "attention": text.read("example_attention_title"),
        "feedforward": text.read("example_feedforward_title"),
        "norms": text.read("example_norms_title"),
        "output": text.read("example_output_title"),
    }
    found = summands(config)
    used = [part for part in titles if any(one.part == part for one in found)]
    open_ = Steps(len(used) + 1)
    for part in used:
        if open_(titles[part]):
            lines = " \\\\ ".join(product(one) for one in found if one.part == part)
            st.latex(rf"\begin{{aligned}} {lines} \end{{aligned}}")
    if open_(text.read("example_sum_title")):
        total, counts = n_parameters(config), parameters(config)
        st.latex(" + ".join(big(counts[part]) for part in used) + f" = {big(total)}")
        largest = max(used, key=lambda part: counts[part])
        text.show("example_sum", part=titles[largest].lower(), share=counts[largest] / total)
        if config == SMALL:
            narrow = n_parameters(SMALL.replace(d_ff=2048))
            text.show("example_proportion", narrow=narrow)


def product(one: Summand) -> str:
    r"""A summand in LaTeX: its name, its letters, the numbers in their place, and the product.

    >>> product(Summand("embedding", "word list", {"V": 2048, "C": 128}))
    '\\text{word list}\\quad V \\cdot C &= 2{,}048 \\cdot 128 = 262{,}144'
    """
    factors = {
        letter: int(value) for letter, value in one.factors.items() if not (letter == "n" and value == 1)
    }
    letters = r" \cdot ".join(str(value) if letter == "n" else letter for letter, value in factors.items())
    numbers = r" \cdot ".join(big(value) for value in factors.values())
    value = f"{numbers} = {big(one.count)}" if len(factors) > 1 else numbers
    return rf"\text{{{one.name}}}\quad {letters} &= {value}"


def flow() -> None:
    """The words of the book on one map, with the shapes of the model in use."""
    text = words.load("11_glossary")
    text.show("diagram")
    config = session.model_in_use().model.config
    sizes, t = dim_colors.sizes_of(config), config.context_length
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("text", "corpus, prompt"),
        node("tokens", "tokens, window, context (2)", sizes={"T": t}),
        node("table", "vocabulary, embedding, tying (2, 3)", "weight", {"V": sizes["V"], "C": sizes["C"]}),
        node("stream", "residual stream (6)", sizes={"T": t, "C": sizes["C"]}),
        node("attention", "attention: query, key, value, RoPE, mask, softmax (4, 5)", "step"),
        node("feedforward", "norm, SwiGLU (6)", "step"),
        node("logits", "logits (7)", sizes={"T": t, "V": sizes["V"]}),
        node("loss", "loss, perplexity, floor (8)"),
        node("steps", "gradient, AdamW, learning rate (8)", "step"),
        node("draw", "temperature, top-p, seed (9)", "step"),
        node("cache", "KV cache (9)", sizes={"T": t, "K": sizes["K"], "D": sizes["D"]}),
        node("answer", "template, tuning, preferences (10)", "step"),
    ]
    edges = [
        edge("text", "tokens"), edge("tokens", "table"), edge("table", "stream"), edge("stream", "attention"),
        edge("attention", "stream", "adds"), edge("stream", "feedforward"),
        edge("feedforward", "stream", "adds"), edge("stream", "logits"), edge("logits", "loss", "learning"),
        edge("loss", "steps"), edge("steps", "table", "moves all weights"),
        edge("logits", "draw", "writing"), edge("draw", "tokens", "one more"),
        edge("attention", "cache", "keeps"), edge("cache", "attention"),
        edge("answer", "text", "another text to learn from"),
    ]  # fmt: skip
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))


@st.fragment
def who() -> None:
    """Which published model uses which part, with sources, and how alike two of one name are."""
    text = words.load("11_glossary")
    with lab.frame("c11_who", text.read("lab_who_title")):
        text.show("lab_who")
        found = users()
        differs = choices_that_differ(PUBLISHED[OTHER].config, PUBLISHED[FIRST].config)
        st.dataframe(
            {
                text.read("lab_who_model"): list(found),
                text.read("lab_who_year"): [str(one.year) for one in found.values()],
                text.read("lab_who_norm"): [f"{one.norm}, {one.norm_place}" for one in found.values()],
                text.read("lab_who_ffn"): [one.feedforward for one in found.values()],
                text.read("lab_who_positions"): [one.positions for one in found.values()],
                text.read("lab_who_tied"): ["yes" if one.tied else "no" for one in found.values()],
                text.read("lab_who_attention"): [one.attention for one in found.values()],
                text.read("lab_who_bias"): [one.bias for one in found.values()],
                text.read("lab_who_source"): [one.source for one in found.values()],
            },
            hide_index=True,
            height=35 * (len(found) + 1) + 3,
            key="c11_who_table",
            alt=text.read("lab_who_alt"),
        )
        text.show("lab_who_says", tied=sum(one.tied for one in found.values()), n=len(found))
        lab.predict(
            "c11_who",
            text.read("lab_who_predict", first=FIRST, other=OTHER),
            (
                text.read("lab_who_predict_none"),
                text.read("lab_who_predict_one"),
                text.read("lab_who_predict_more"),
            ),
            right=min(2, len(differs)),
            because=text.read("lab_who_predict_because", n=len(differs), names=", ".join(differs)),
        )


def origins() -> None:
    """Who wrote an idea down first, the oldest on top."""
    text = words.load("11_glossary")
    text.show("lab_origins", n=len(ORIGINS))
    st.dataframe(
        {
            text.read("lab_origins_idea"): [one.idea for one in ORIGINS],
            text.read("lab_origins_year"): [str(one.year) for one in ORIGINS],
            text.read("lab_origins_who"): [one.who for one in ORIGINS],
            text.read("lab_origins_title_of"): [one.title for one in ORIGINS],
            text.read("lab_origins_chapter"): [one.chapter for one in ORIGINS],
        },
        hide_index=True,
        key="c11_origins_table",
        alt=text.read("lab_origins_alt"),
    )


@st.fragment
def formulas() -> None:
    """The formulas of the book with the numbers of one model in their places."""
    text = words.load("11_glossary")
    text.show("lab_formulas")
    one, two, three = st.columns(3, gap="medium")
    with one:
        name = controls.listed(
            text.read("lab_formulas_model"), "c11_formulas_model", list(SHAPES), default="small"
        )
    with two:
        t = controls.stops(text.read("lab_formulas_tokens"), "c11_formulas_tokens", LENGTHS, 1024)
    with three:
        loss = controls.decimal(
            text.read("lab_formulas_loss"), "c11_formulas_loss", 0.5, 11.0, 3.0, 0.1, "Nats a token."
        )
    for title, line in lines_of(SHAPES[name], t, loss):
        st.markdown(f"**{title}**")
        st.latex(line)


def lines_of(config: ModelConfig, t: int, loss: float) -> list[tuple[str, str]]:
    """Each formula as a title and a line of LaTeX with its numbers put in."""
    n, c, layers = n_parameters(config), config.d_model, config.n_layers
    h, k, d = config.n_heads, config.n_kv_heads, config.head_dim
    flops = forward_flops(config, t)
    fast, slow = 2 * math.pi, 2 * math.pi * config.rope_theta ** ((d - 2) / d)
    rows = [
        ("Weights of attention, a layer", rf"2 C \cdot HD + 2 C \cdot KD = {big(2 * c * h * d + 2 * c * k * d)}"),
        ("Training, before activations", rf"16 N = 16 \cdot {big(n)} = \text{{{size(training_bytes(config))}}}"),
        ("Cache in bf16", rf"2 \cdot L \cdot K \cdot D \cdot T \cdot 2 = 2 \cdot {layers} \cdot {k} \cdot {d} \cdot "
         rf"{big(t)} \cdot 2 = \text{{{size(cache_bytes(config, t, bytes_per_value=2))}}}"),
        ("Operations of one pass", rf"2 T \cdot N_\text{{multiplied}} + 4 L T^2 H D = {power(sum(flops.values()))}"),
        ("Operations to train on so many tokens", rf"6 \cdot N \cdot T \approx {power(6 * n * t)}"),
        ("Scores of one layer", rf"H \cdot T^2 = {h} \cdot {big(t)}^2 = {power(h * t * t)}"),
        ("First loss of a model that knows nothing", rf"\ln V = \ln {big(config.vocab_size)} = "
         rf"{math.log(config.vocab_size):.4f}"),
        ("Perplexity", rf"e^\text{{loss}} = e^{{{loss:.1f}}} = {math.exp(loss):,.2f}".replace(",", "{,}")),
        ("Bits a token", rf"\text{{loss}} / \ln 2 = {loss:.1f} / 0.6931 = {loss / math.log(2):.3f}"),
        ("Scale of the scores", rf"1 / \sqrt{{D}} = 1 / \sqrt{{{d}}} = {d**-0.5:.4f}"),
    ]  # fmt: skip
    if config.position == "rope":
        rows.append(
            (
                "Tokens for a turn of the fastest and the slowest pair",
                rf"2\pi = {fast:.2f} \qquad 2\pi \cdot \theta^{{(D-2)/D}} = {big(round(slow))}",
            )
        )
    return rows


def power(value: float) -> str:
    r"""A large number in LaTeX as people write it: 2.9 · 10^11.

    >>> power(291_000_000_000)
    '2.91 \\cdot 10^{11}'
    """
    exponent = math.floor(math.log10(value))
    return rf"{value / 10**exponent:.2f} \cdot 10^{{{exponent}}}"
