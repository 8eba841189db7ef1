"""Chapter 4: queries and keys in one picture, the finding, the worked example, and the diagram."""

import math
from dataclasses import dataclass

import streamlit as st

from pages.kit import (
    arrows,
    controls,
    diagram,
    dim_colors,
    figures,
    forward,
    latex,
    models,
    plots,
    prompt,
    session,
    words,
)
from pages.kit.arrows import Arrow, Plane
from pages.kit.controls import Dial
from pages.kit.pronoun_story import pronoun_story, storyteller
from pages.kit.worked_example import Steps
from pages.labs.attention.name_head import find_name_head

TOKENS = ("Mira", "lost", "her")
ASKS = ((0.2, 0.7), (0.7, -0.3), (0.9, 0.4))
ANSWERS = ((0.8, 0.6), (-0.7, 0.5), (0.3, -0.8))
Q = ((0.8, 0.3, -0.5, 0.2),)
K = ((0.6, -0.3, 0.1, 0.5),)
NUMBERS = ("1", "2", "3", "4")
PAIRINGS = ("halves", "neighbours")
BASES = (100, 1000, 10_000, 100_000, 500_000, 1_000_000)
PLACES = (0, 1, 7, 40)  # at which the same two vectors are compared
APART = 2
FAR = 200  # how far the finding moves both


def ask_and_answer() -> None:
    """What a query and a key are, in three sentences and one picture; chapter 5 teaches the rest."""
    import torch

    from gptcore.lessons import by_hand

    text = words.load("04_positions")
    q, k = torch.tensor(ASKS), torch.tensor(ANSWERS)
    scores = by_hand.attention(q, k, k, torch.eye(2)).raw[-1].tolist()
    text.show("asking", last=TOKENS[-1], best=TOKENS[scores.index(max(scores))], score=max(scores))
    query, key = text.read("asking_query"), text.read("asking_key")
    shown = [
        Plane(
            token,
            (Arrow(*ANSWERS[i], key), Arrow(*ASKS[i], query)),
            text.read("asking_below", last=TOKENS[-1], token=token, score=scores[i]),
        )
        for i, token in enumerate(TOKENS)
    ]
    listed = ", ".join(f"{token} {score:.2f}" for token, score in zip(TOKENS, scores))
    picture = arrows.planes(
        shown,
        names=(query, key),
        alt=f"Three tokens, each with a query and a key as arrows. Scores of {TOKENS[-1]}: {listed}.",
        per_row=3,
    )
    st.plotly_chart(picture.figure, key="c4_asking", config=figures.CONFIG, alt=picture.alt)
    text.show("asking_so")


@dataclass(frozen=True, slots=True)
class Meeting:
    """A query and a key of a real head, before their turn, and where they stand."""

    layer: int
    head: int
    q: object  # (D,)
    k: object
    at: int
    key_at: int
    asks: str
    answers: str
    theta: float


def rotary_storyteller() -> models.ModelHandle:
    """The model in use if it has read the stories and turns its queries, else the shipped one."""
    model = storyteller()
    return model if model.config.position == "rope" else models.shipped()


def meeting() -> Meeting:
    """The head that looks furthest back at the name, and what it compares there."""
    model, story = rotary_storyteller(), pronoun_story()
    config = model.config
    head = find_name_head(model, story)
    traced = forward.traced(model, story.text)
    last = len(traced.ids) - 1
    names = f"layers.{head.layer}.attention."
    return Meeting(
        head.layer,
        head.head,
        traced.seen[names + "q"][0, head.head, last].clone(),
        traced.seen[names + "k"][0, head.head * config.n_kv_heads // config.n_heads, head.position].clone(),
        last,
        head.position,
        traced.tokens[last].strip(),
        traced.tokens[head.position].strip(),
        config.rope_theta,
    )


@st.fragment
def finding() -> None:
    """The score of two tokens while both are moved, and while one is."""
    from gptcore.experiments.measurements.positions import scores_by_distance
    from gptcore.lessons import by_hand

    text = words.load("04_positions")
    met = meeting()
    apart = met.at - met.key_at
    by_distance = scores_by_distance(met.q, met.k, apart + FAR + 1, met.theta).tolist()
    score = by_distance[apart]
    text.show(
        "finding",
        asks=met.asks,
        answers=met.answers,
        apart=apart,
        layer=met.layer + 1,
        head=met.head + 1,
        score=score,
    )
    moved = list(range(0, FAR + 1, 2))
    picture = plots.curves(
        moved,
        {
            text.read("finding_both"): [score] * len(moved),
            text.read("finding_one"): [by_distance[apart + shift] for shift in moved],
        },
        x_title=text.read("finding_x"),
        y_title=text.read("finding_y"),
        height=260,
        revision="finding",
    )
    st.plotly_chart(picture.figure, key="c4_finding", config=figures.CONFIG, alt=picture.alt)
    there = by_hand.turned_score(met.q, met.k, met.at + FAR, met.key_at + FAR, met.theta)
    text.show("finding_says", far=FAR, both=there / math.sqrt(len(met.q)), alone=by_distance[apart + FAR])


@st.fragment
def worked_example() -> None:
    """One query of four numbers turned step by step, everything to be edited."""
    import torch

    from gptcore.lessons import by_hand

    text = words.load("04_positions")
    text.show("example")
    left, right = st.columns(2, gap="medium")
    with left:
        (q,) = prompt.matrix_input("c4_q", Q, rows=("q",), columns=NUMBERS, label=text.read("example_q"))
    with right:
        (k,) = prompt.matrix_input("c4_k", K, rows=("k",), columns=NUMBERS, label=text.read("example_k"))
    one, two, three = st.columns(3, gap="medium")
    with one:
        pairing = controls.choice(
            text.read("example_pairing"), "c4_pairing", PAIRINGS, help=text.read("example_pairing_help")
        )
    with two:
        dial = Dial("", 0, 64, 1, text.read("example_position_help"))
        position = controls.whole(text.read("example_position"), "c4_position", dial, 1)
    with three:
        base = controls.stops(text.read("example_base"), "c4_base", BASES, 10_000)
    query, key = torch.tensor(q), torch.tensor(k)
    open_ = Steps(8)
    print_turn(text, open_, q, by_hand.turn(query, position, base, pairing), position, base)
    print_places(text, open_, q, [by_hand.turn(query, at, base, pairing) for at in range(4)])
    print_scores(text, open_, query, key, base, pairing)


def print_turn(text: words.Words, open_: Steps, q, here, position: int, base: int) -> None:
    """Steps 1 to 5: pairs, speeds, angles, and the turn of each pair with its numbers."""
    if open_(text.read("example_pairs_title")):
        text.show("example_pairs")
        st.latex(
            r" \qquad ".join(
                rf"(q_{{{a + 1}}}, q_{{{b + 1}}}) = ({latex.number(q[a])},\; {latex.number(q[b])})"
                for a, b in here.pairs
            )
        )
    if open_(text.read("example_speeds_title")):
        text.show("example_speeds")
        st.latex(
            r" \qquad ".join(
                rf"\omega_{{{i + 1}}} = {base}^{{-{2 * i}/4}} = {latex.number(speed, '.6g')}"
                for i, speed in enumerate(here.speeds)
            )
        )
    if open_(text.read("example_angles_title")):
        text.show("example_angles", position=position)
        st.latex(
            r" \qquad ".join(
                rf"\varphi_{{{i + 1}}} = {position} \cdot {latex.number(speed, '.6g')} = "
                rf"{latex.number(angle)}"
                for i, (speed, angle) in enumerate(zip(here.speeds, here.angles))
            )
        )
    for i, (a, b) in enumerate(here.pairs):
        title = text.read("example_first_title") if i == 0 else text.read("example_second_title")
        if open_(title):
            text.show("example_first" if i == 0 else "example_second")
            c, s = latex.signed(math.cos(here.angles[i])), latex.signed(math.sin(here.angles[i]))
            x, y = latex.signed(q[a]), latex.signed(q[b])
            st.latex(
                rf"\begin{{aligned}} q_{{{a + 1}}}' &= {x} \cdot {c} - {y} \cdot {s} = "
                rf"{latex.number(here.turned[a])} \\ q_{{{b + 1}}}' &= {x} \cdot {s} + {y} \cdot {c} = "
                rf"{latex.number(here.turned[b])} \end{{aligned}}"
            )


def print_places(text: words.Words, open_: Steps, q, turns) -> None:
    """Step 6: the same query at positions 0 to 3, as numbers and as arrows."""
    if not open_(text.read("example_places_title")):
        return
    text.show("example_places", length=math.hypot(*q))
    st.latex(
        rf"\begin{{matrix}} \text{{position }} 0 \\ 1 \\ 2 \\ 3 \end{{matrix}} \quad "
        rf"{latex.matrix([one.turned for one in turns])}"
    )
    name = text.read("asking_query")
    shown = [
        Plane(
            text.read("example_plane", pair=i + 1, speed=turns[0].speeds[i]),
            [Arrow(one.turned[a], one.turned[b], name, str(at)) for at, one in enumerate(turns)],
        )
        for i, (a, b) in enumerate(turns[0].pairs)
    ]
    picture = arrows.planes(
        shown,
        names=(name,),
        alt="The query at positions 0 to 3 as an arrow of each pair: the first pair turns fast, the second hardly.",
        circles=True,
    )
    st.plotly_chart(picture.figure, key="c4_places", config=figures.CONFIG, alt=picture.alt)


def print_scores(text: words.Words, open_: Steps, q, k, base: int, pairing: str) -> None:
    """Steps 7 and 8: query and key both turned, at several places and the other way round."""
    from gptcore.lessons import by_hand

    def line(at: int, key_at: int) -> str:
        score = by_hand.turned_score(q, k, at, key_at, base, pairing)
        return rf"\text{{query at }} {at},\; \text{{key at }} {key_at}: &\quad {latex.number(score, '.6f')}"

    if open_(text.read("example_compare_title")):
        text.show("example_compare", apart=APART)
        query = by_hand.turn(q, APART, base, pairing).turned
        st.latex(rf"q' \cdot k = {latex.dot(query, k.tolist())}")
        lines = [line(at + APART, at) for at in PLACES]
        st.latex(r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}")
    if open_(text.read("example_back_title")):
        text.show("example_back")
        lines = [line(at, at + APART) for at in PLACES[:2]]
        st.latex(r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}")


@st.fragment
def flow() -> None:
    """Where the turn stands in a layer, with the shapes of the model in use."""
    text = words.load("04_positions")
    config = session.model_in_use().model.config
    dial = Dial("", 1, config.context_length, 1, text.read("diagram_tokens_help"))
    tokens = controls.whole(text.read("diagram_tokens"), "c4_flow_t", dial, min(16, config.context_length))
    added, turned = config.position in ("learned", "sinusoidal"), config.position == "rope"
    if turned:
        text.show("diagram")
    else:
        text.show("diagram_other", scheme=config.position)
    sizes = dim_colors.sizes_of(config)
    t, c, h, k, d = tokens, sizes["C"], sizes["H"], sizes["K"], sizes["D"]
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("ids", "ids", sizes={"T": t}),
        node("emb", "embedding", "weight", sizes={"V": sizes["V"], "C": c}),
        node("x", "one vector a token", sizes={"T": t, "C": c}),
        *([node("table", "a vector a place", "weight" if config.position == "learned" else "value",
                sizes={"T": t, "C": c}), node("add", "add", "step")] if added else []),
        node("q", "queries", sizes={"H": h, "T": t, "D": d}),
        node("k", "keys", sizes={"K": k, "T": t, "D": d}),
        node("v", "values", sizes={"K": k, "T": t, "D": d}),
        *([node("places", "positions 0, 1, 2, …", sizes={"T": t}), node("cs", "rope_table: cos and sin",
           sizes={"T": t, "D": d}), node("turn", "apply_rope", "step"),
           node("q2", "turned queries", sizes={"H": h, "T": t, "D": d}),
           node("k2", "turned keys, kept so by the cache (chapter 9)", sizes={"K": k, "T": t, "D": d})]
          if turned else []),
        node("scores", "compare", "step"),
        node("mix", "mix the values", "step"),
    ]  # fmt: skip
    edges = [
        edge("ids", "emb"),
        edge("emb", "x"),
        *([edge("x", "add"), edge("table", "add")] if added else []),
        *(edge("add" if added else "x", name) for name in "qkv"),
        *([edge("places", "cs"), edge("cs", "turn"), edge("q", "turn"), edge("k", "turn"), edge("turn", "q2"),
           edge("turn", "k2"), edge("q2", "scores"), edge("k2", "scores")] if turned else
          [edge("q", "scores"), edge("k", "scores")]),
        edge("scores", "mix", text.read("diagram_weights")),
        edge("v", "mix"),
    ]  # fmt: skip
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))
