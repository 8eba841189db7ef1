"""Chapter 5: the finding at its top, the worked example, and the diagram of a layer."""

import math
from dataclasses import dataclass

import streamlit as st

from pages.kit import (
    chips,
    controls,
    diagram,
    dim_colors,
    figures,
    forward,
    latex,
    links,
    models,
    plots,
    prompt,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps
from pages.labs.attention import cached

TOKENS = ("token 1", "token 2", "token 3")
Q = ((0.8, 0.1), (-0.2, 0.7), (0.5, -0.4))
K = ((0.6, -0.3), (0.1, 0.5), (-0.4, 0.8))
V = ((0.4, 0.9), (-0.3, 0.2), (0.7, -0.1))
W_O = ((1.0, 0.0), (0.0, 1.0))
SHOWN = 3  # numbers of a wide vector that are printed
CLEAR = 0.25  # a fall in probability by less than this is not called a finding


@dataclass(frozen=True, slots=True)
class Tale:
    """A beginning whose next word hangs on a name far back, and the same with another name."""

    text: str
    name: str
    other_text: str
    other: str
    pronouns: tuple[str, str]  # the one the name asks for, and the one the other asks for
    words_back: int


def tale() -> Tale:
    """The first beginning of the story world's probe."""
    from gptcore.stories.scores import reference_probe

    probe = reference_probe()[0]
    female, male = probe.female.split(" "), probe.male.split(" ")
    place = next(i for i, pair in enumerate(zip(female, male)) if pair[0] != pair[1])
    return Tale(
        probe.female,
        female[place],
        probe.male,
        male[place],
        (probe.female_word, probe.male_word),
        len(female) - place,
    )


def storyteller() -> models.ModelHandle:
    """The model in use if it has read the stories and the tale fits into its context, else the shipped one."""
    model = session.model_in_use()
    fits = len(model.tokenizer.encode(tale().text)) <= model.config.context_length
    return model if fits and model.learned_from_stories() else models.shipped()


@dataclass(frozen=True, slots=True)
class Rememberer:
    """The head that looks most at the name, from the end of the tale; layers and heads count from 0."""

    layer: int
    head: int
    share: float
    place: int  # of the name, in tokens


def rememberer(model: models.ModelHandle, story: Tale) -> Rememberer:
    """Find the head by its score on the tale."""
    from gptcore.interpret import heads

    traced = forward.traced(model, story.text)
    place = token_that_ends(model, traced.ids, story.text[: story.text.index(story.name) + len(story.name)])
    found = heads.weights(traced.seen)[:, :, -1, place]
    layer, head = divmod(int(found.argmax()), found.shape[1])
    return Rememberer(layer, head, float(found[layer, head]), place)


def beginning(model: models.ModelHandle) -> str:
    """The tale, or as much of it as the model's context holds."""
    ids = model.tokenizer.encode(tale().text)
    most = model.config.context_length
    return tale().text if len(ids) <= most else model.tokenizer.decode(ids[:most])


def token_that_ends(model: models.ModelHandle, ids: tuple[int, ...], beginning: str) -> int:
    """The place of the token in which a beginning of the text ends: a name may be several tokens."""
    wanted, seen = len(beginning.encode()), 0
    for place, token_id in enumerate(ids):
        seen += len(model.tokenizer.token_bytes(token_id))
        if seen >= wanted:
            return place
    return len(ids) - 1


def shares_of(
    model: models.ModelHandle, text: str, asked: tuple[str, ...], off: tuple[int, int] | None
) -> list[float]:
    """The chance of each of these tokens to come next, with one head switched off or none."""
    return [p for _, p in expected(model, text, off, only=asked)]


def expected(
    model: models.ModelHandle,
    text: str,
    off: tuple[int, int] | None,
    *,
    only: tuple[str, ...] = (),
    most: int = 5,
) -> list[tuple[str, float]]:
    """The likeliest next tokens, or those asked for, with one head (layer, head) switched off or none."""
    from gptcore.generation.sampling import generate

    used = cached.without_head(model, *off) if off else model.model
    ids = model.tokenizer.encode(text) or [model.tokenizer.eot_id]
    step = next(generate(used, ids, 1, temperature=0.0, n_alternatives=model.config.vocab_size))
    if not only:
        return [(model.tokenizer.token_text(i), p) for i, p in step.alternatives[:most]]
    chance = dict(step.alternatives)
    return [(token, chance[model.tokenizer.encode(token)[0]]) for token in only]


def shaded(tokens: tuple[str, ...], row: list[float], asks: int) -> list[chips.Chip]:
    """Tokens as chips, shaded by how much one of them looks at each; those that come later are faint."""
    return [
        chips.Chip(
            chips.visible(token),
            "asks" if place == asks else "faint" if place > asks else "plain",
            f"{row[place]:.1%}" if place <= asks else "comes later",
            row[place] if place <= asks else None,
        )
        for place, token in enumerate(tokens)
    ]


def finding() -> None:
    """The one thing to see: a head that looks far back at the name, and what is lost without it."""
    text = words.load("05_attention")
    model, story = storyteller(), tale()
    head = rememberer(model, story)
    config = model.config
    traced = forward.traced(model, story.text)
    row = traced.seen[f"layers.{head.layer}.attention.weights"][0, head.head, -1].tolist()
    right, wrong = story.pronouns
    before = shares_of(model, story.text, story.pronouns, None)
    after = shares_of(model, story.text, story.pronouns, (head.layer, head.head))
    text.show(
        "finding",
        sentence=story.text,
        n_heads=config.n_layers * config.n_heads,
        layer=head.layer + 1,
        head=head.head + 1,
        share=head.share,
        name=story.name,
        words_back=story.words_back,
    )
    chips.strip(
        shaded(traced.tokens, row, len(row) - 1),
        key="c5_finding_tokens",
        label=f"Where layer {head.layer + 1}, head {head.head + 1} looks from the last token",
    )
    picture = plots.columns(
        ("every head at work", f"without layer {head.layer + 1}, head {head.head + 1}"),
        {right.strip(): [before[0], after[0]], wrong.strip(): [before[1], after[1]]},
        y_title=text.read("finding_chart"),
        form=".0%",
        height=250,
        revision="finding",
    )
    picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    left.plotly_chart(picture.figure, key="c5_finding", config=figures.CONFIG, alt=picture.alt)
    with side:
        if before[0] - after[0] > CLEAR:
            text.show(
                "finding_off",
                right=right.strip(),
                before=before[0],
                after=after[0],
                others=config.n_layers * config.n_heads - 1,
                name=story.name,
                other=story.other,
            )
        else:
            text.show("finding_weak", right=right.strip(), before=before[0], after=after[0])


@st.fragment
def worked_example() -> None:
    """Three tokens of two numbers, eight steps, everything to be edited."""
    import torch

    from gptcore.lessons import by_hand

    text = words.load("05_attention")
    text.show("example")
    matrices = []
    for column, (key, label, default, rows) in zip(
        st.columns(4, gap="small"),
        (
            ("c5_q", text.read("example_q"), Q, TOKENS),
            ("c5_k", text.read("example_k"), K, TOKENS),
            ("c5_v", text.read("example_v"), V, TOKENS),
            ("c5_o", text.read("example_o"), W_O, ("1", "2")),
        ),
    ):
        with column:
            matrices.append(prompt.matrix_input(key, default, rows=rows, columns=("1", "2"), label=label))
    q, k, v, o = matrices
    steps = by_hand.attention(*(torch.tensor(values) for values in matrices))
    row, column = controls.matrix_cell(len(TOKENS), len(TOKENS), "c5_cell", text.read("example_cell"))
    print_steps(text, q, k, v, o, steps, row, column)


def print_steps(text: words.Words, q, k, v, o, steps, row: int, column: int) -> None:
    """The eight steps with their numbers put in; the chosen cell is framed and its sum spelled out."""
    open_ = Steps(8)
    chosen = {(row, column)}
    raw, scores, masked = steps.raw.tolist(), steps.scores.tolist(), steps.masked.tolist()
    weights, mixed = steps.weights.tolist(), steps.mixed.tolist()
    subscript = f"{row + 1},{column + 1}"
    seen = masked[row][column] != -math.inf
    if open_(text.read("example_given_title")):
        text.show("example_given")
        for place, name, values in zip(st.columns(3), "QKV", (q, k, v)):
            place.latex(f"{name} = {latex.matrix(values)}")
    if open_(text.read("example_compare_title")):
        text.show("example_compare")
        st.latex(rf"Q K^\top = {latex.matrix(raw, marked=chosen)}")
        st.latex(rf"q_{{{row + 1}}} \cdot k_{{{column + 1}}} = {latex.dot(q[row], k[column])}")
    if open_(text.read("example_scale_title")):
        text.show("example_scale")
        st.latex(rf"\frac{{Q K^\top}}{{\sqrt 2}} = {latex.matrix(scores, marked=chosen)}")
        st.latex(
            rf"s_{{{subscript}}} = \frac{{{latex.number(raw[row][column])}}}{{{math.sqrt(2):.4f}}} = "
            rf"{latex.number(scores[row][column])}"
        )
    if open_(text.read("example_mask_title")):
        text.show("example_mask")
        st.latex(latex.matrix(masked, marked=chosen))
    if open_(text.read("example_exp_title")):
        text.show("example_exp")
        st.latex(rf"e^{{s}} = {latex.matrix(steps.exponentials.tolist(), marked=chosen)}")
    if open_(text.read("example_share_title")):
        top = latex.number(steps.exponentials[row, column].item())
        terms = " + ".join(latex.number(value) for value in steps.exponentials[row, : row + 1].tolist())
        st.latex(rf"W = {latex.matrix(weights, marked=chosen)}")
        st.latex(rf"w_{{{subscript}}} = \frac{{{top}}}{{{terms}}} = {latex.number(weights[row][column])}")
        short = 0 if row == len(q) - 1 else row  # the last row forbids nothing
        text.show("example_share", row=short + 1, leaky=float(steps.struck[short].sum()))
    if open_(text.read("example_mix_title")):
        text.show("example_mix")
        last = len(q) - 1
        terms = [rf"{latex.number(weights[last][j])} \cdot {latex.matrix([v[j]])}" for j in range(len(v))]
        lines = r" \\ & + ".join(terms)
        st.latex(rf"\begin{{aligned}} & {lines} \\ & = {latex.matrix([mixed[last]])} \end{{aligned}}")
        st.latex(rf"W V = {latex.matrix(mixed)}")
    if open_(text.read("example_project_title")):
        text.show("example_project")
        st.latex(
            rf"\begin{{aligned}} \text{{output}} &= {latex.matrix(mixed)} {latex.matrix(o)} \\ &= "
            rf"{latex.matrix(steps.output.tolist())} \end{{aligned}}"
        )
    if not seen:
        st.caption(
            f"Token {row + 1} may not look at token {column + 1}: from step 4 on this cell takes no part."
        )


@st.fragment
def real_steps() -> None:
    """The steps of one head of the model in use, on three tokens of any text."""
    from gptcore.lessons import by_hand

    text = words.load("05_attention")
    model = session.model_in_use()
    config = model.config
    st.subheader(text.read("example_real_title"), anchor="real")
    text.show("example_real", width=config.head_dim)
    story = tale()
    typed = prompt.text_input(text.read("example_real_text"), "c5_real_text", beginning(model))
    try:
        traced = forward.traced(model, typed)
    except ValueError as error:
        st.error(f"{error}.", icon=":material/error:")
        return
    if len(traced.ids) < 3:
        st.info(text.read("example_real_three"), icon=":material/info:")
        return
    best = rememberer(model, story) if storyteller().name == model.name else Rememberer(0, 0, 0.0, 0)
    head = pick_head("c5_real_head", text.read("lab_heads_head"), config, best)
    places = three_tokens(traced, text, best.place if typed == story.text else 0)
    if places is None:
        return
    layer, number = head
    found = by_hand.head_on(model.model, traced.seen, layer, number, places)
    print_real(text, model, traced, found, places, layer, number)


def pick_head(key: str, label: str, config, default: Rememberer) -> tuple[int, int]:
    """Choose one head of all layers; returns layer and head, counted from 0."""
    names = {
        f"layer {layer + 1}, head {head + 1}": (layer, head)
        for layer in range(config.n_layers)
        for head in range(config.n_heads)
    }
    first = f"layer {default.layer + 1}, head {default.head + 1}"
    return names[controls.listed(label, key, list(names), default=first)]


def three_tokens(traced: forward.Traced, text: words.Words, name: int) -> list[int] | None:
    """Three places of a text, in the URL as ?c5_real=5,10,20; None until there are three."""
    last = len(traced.ids) - 1
    default = sorted({name, last // 2, last}) if 0 < last // 2 != name else [0, 1, last]
    key = "c5_real"
    names = [f"{place + 1} {chips.visible(token)}" for place, token in enumerate(traced.tokens)]
    asked = st.query_params.get(key, "")
    link = [int(part) - 1 for part in asked.split(",") if part.isdigit()]
    if asked and not (len(set(link)) == 3 and all(0 <= place <= last for place in link)):
        st.warning(
            f"The link asks for `{key}={asked[:40].replace('`', '')}`, which is not used: it must be three places "
            f"from 1 to {last + 1}, parted by commas.",
            icon=":material/link_off:",
        )
        link = []
    if key not in st.session_state or any(place > last for place in st.session_state[key]):
        st.session_state[key] = link or default
    places = st.multiselect(
        text.read("example_real_tokens"),
        list(range(last + 1)),
        format_func=lambda place: names[place],
        key=key,
        max_selections=3,
        disabled=links.locked(key),
    )
    links.write(key, ",".join(str(place + 1) for place in places), ",".join(str(p + 1) for p in default))
    if len(places) < 3:
        st.info(text.read("example_real_three"), icon=":material/info:")
        return None
    return sorted(places)


def print_real(
    text: words.Words, model, traced: forward.Traced, found, places: list[int], layer, head
) -> None:
    """Each step of a real head as a matrix, the first numbers of wide ones."""
    steps, width = found.steps, model.config.head_dim
    names = [chips.visible(traced.tokens[place]) for place in places]
    n = len(traced.ids)

    def first(values) -> str:
        return latex.matrix(values[:, :SHOWN].tolist(), ".2f").replace(
            r" \\", r" & \dots \\"
        ).replace(r"\end", r" & \dots\end")  # fmt: skip

    def step(number: int, name: str, **sizes: int) -> None:
        st.markdown(f"**{number} · {name}** {dim_colors.shape(**sizes)}")

    with st.container(border=True, key="c5_real_steps"):
        st.markdown("Rows and columns: " + ", ".join(f"`{name}`" for name in names))
        step(1, "Project", T=3, D=width)
        for column, name, values in zip(st.columns(3), "QKV", (found.q, found.k, found.v)):
            column.latex(f"{name} = {first(values)}")
        step(2, f"Turn by the positions {', '.join(str(place) for place in places)}", T=3, D=width)
        for column, name, values in zip(st.columns(3), "QK", (found.q_turned, found.k_turned)):
            column.latex(f"{name}' = {first(values)}")
        # Two by two, row after row: on a phone columns stand below each other, and the steps must stay in order.
        (third, fourth), (fifth, sixth), (seventh, eighth) = (st.columns(2, gap="large") for _ in range(3))
        with third:
            step(3, "Compare", T=3, S=3)
            st.latex(rf"Q' K'^\top = {latex.matrix(steps.raw.tolist(), '.2f')}")
        with fourth:
            step(4, "Scale", T=3, S=3)
            st.latex(
                rf"\frac{{Q' K'^\top}}{{\sqrt{{{width}}}}} = {latex.matrix(steps.scores.tolist(), '.2f')}"
            )
        with fifth:
            step(5, "Mask", T=3, S=3)
            st.latex(latex.matrix(steps.masked.tolist(), ".2f"))
        with sixth:
            step(6, "Softmax", T=3, S=3)
            st.latex(rf"W = {latex.matrix(steps.weights.tolist(), '.3f')}")
        with seventh:
            step(7, "Mix the values", T=3, D=width)
            st.latex(rf"W V = {first(steps.mixed)}")
        with eighth:
            step(8, "Write into the stream", T=3, C=model.config.d_model)
            st.latex(rf"W V\, W_O = {first(steps.output)}")
        whole = traced.seen[f"layers.{layer}.attention.weights"][0, head, places[-1], places[0]]
        if n > 3:
            text.show("example_real_alone", name=names[0].strip("␣"), share=float(whole))


@st.fragment
def flow() -> None:
    """One attention layer as a chart, with the shapes of the model in use."""
    text = words.load("05_attention")
    config = session.model_in_use().model.config
    tokens = controls.whole(
        "Tokens T", "c5_flow_t", Dial("", 1, config.context_length, 1, "The length of the text."), 16
    )
    text.show("diagram", tokens=tokens)
    sizes = dim_colors.sizes_of(config)
    t, c, h, k, d = tokens, sizes["C"], sizes["H"], sizes["K"], sizes["D"]
    node, edge = diagram.Node, diagram.Edge
    turn = config.position == "rope"
    nodes = [
        node("x", "x, normed", sizes={"T": t, "C": c}),
        node("wq", "qkv_proj, rows of the queries", "weight", {"C": c, "H·D": h * d}),
        node("wk", "qkv_proj, rows of the keys", "weight", {"C": c, "K·D": k * d}),
        node("wv", "qkv_proj, rows of the values", "weight", {"C": c, "K·D": k * d}),
        node("q", "queries", sizes={"H": h, "T": t, "D": d}),
        node("k", "keys", sizes={"K": k, "T": t, "D": d}),
        node("v", "values", sizes={"K": k, "T": t, "D": d}),
        *([node("turn", "turn by position", "step")] if turn else []),
        node("scores", "compare, scale by 1/√D", "step"),
        node("mask", "mask: −∞ above the diagonal", "step"),
        node("soft", "softmax over each row", "step"),
        node("w", "weights", sizes={"H": h, "T": t, "S": t}),
        node("mix", "mix the values", "step"),
        node("m", "mixed", sizes={"H": h, "T": t, "D": d}),
        node("join", "lay the heads side by side", "step"),
        node("wo", "o_proj", "weight", {"H·D": h * d, "C": c}),
        node("out", "output, added to the stream", sizes={"T": t, "C": c}),
    ]
    edges = [
        *(edge("x", name) for name in ("wq", "wk", "wv")),
        edge("wq", "q"),
        edge("wk", "k"),
        edge("wv", "v"),
        *([edge("q", "turn"), edge("k", "turn"), edge("turn", "scores")] if turn else
          [edge("q", "scores"), edge("k", "scores")]),
        edge("scores", "mask"),
        edge("mask", "soft"),
        edge("soft", "w"),
        edge("w", "mix"),
        edge("v", "mix"),
        edge("mix", "m"),
        edge("m", "join"),
        edge("join", "wo"),
        edge("wo", "out"),
    ]  # fmt: skip
    diagram.flowchart(nodes, edges, alt="One attention layer from its input to its output")
