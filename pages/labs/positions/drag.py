"""Chapter 4: drag query and key along the text, and watch the clocks of a head."""

import math

import streamlit as st

from pages.kit import controls, figures, forward, grids, lab, plots, words
from pages.kit.controls import Dial
from pages.kit.pronoun_story import pronoun_story
from pages.labs.positions import cached
from pages.labs.positions.finding import BASES, K, Q, meeting, rotary_storyteller

VECTORS = ("of the model", "two equal ones", "of the example")
LAST = 400
REACH = 400  # distances that are drawn
SQUARE = 32  # places along a side of the map
ON = 100  # how far the prediction moves both
WIDTHS = (16, 32, 64, 128)
TEXTS = (256, 2048, 8192, 32_768, 131_072)
FAR = tuple(sorted({round(1.2**power) for power in range(54)}))  # distances, up to 15,726
MOST_DIALS = 16


def vectors(name: str):
    """The query, the key and the base of one choice."""
    import torch

    if name == VECTORS[0]:
        met = meeting()
        return met.q, met.k, met.theta
    if name == VECTORS[1]:
        same = torch.ones(32) / 32**0.25  # so that the scaled score is 1 at distance 0
        return same, same, 10_000.0
    return torch.tensor(Q[0]), torch.tensor(K[0]), 10_000.0


@st.fragment
def drag() -> None:
    """Two positions on sliders, the score between them, and where every clock stands."""
    from gptcore.experiments.measurements.positions import scores_by_distance, scores_by_place

    text = words.load("04_positions")
    with lab.frame("c4_drag", text.read("lab_drag_title")):
        text.show("lab_drag")
        chosen = controls.choice(text.read("lab_drag_vectors"), "c4_drag_vectors", VECTORS)
        q, k, theta = vectors(chosen)
        left, right = st.columns(2, gap="large")
        help = text.read("lab_drag_help")
        with left:
            at = controls.whole(text.read("lab_drag_query"), "c4_drag_query", Dial("", 0, LAST, 1, help), 20)
        with right:
            key_at = controls.whole(text.read("lab_drag_key"), "c4_drag_key", Dial("", 0, LAST, 1, help), 4)
        distance = at - key_at
        behind = scores_by_distance(q, k, REACH + 1, theta).tolist()
        ahead = scores_by_distance(
            k, q, REACH + 1, theta
        ).tolist()  # the key turned on is the query turned back
        score = behind[distance] if distance >= 0 else ahead[-distance]
        text.show("lab_drag_says", at=at, key_at=key_at, distance=distance, score=score)
        if distance < 0:
            text.show("lab_drag_ahead")
        curve, square = st.columns([3, 2], gap="medium")
        with curve:
            st.markdown(f"**{text.read('lab_drag_curve')}**")
            drawn = range(-64, REACH + 1)
            picture = plots.curves(
                list(drawn),
                {text.read("lab_drag_score"): [behind[x] if x >= 0 else ahead[-x] for x in drawn]},
                x_title=text.read("lab_drag_distance"),
                y_title=text.read("lab_drag_score"),
                mark_x=distance,
                height=330,
                revision=f"drag {chosen}",
            )
            picture.figure.update_layout(showlegend=False)
            st.plotly_chart(picture.figure, key="c4_drag_curve", config=figures.CONFIG, alt=picture.alt)
        with square:
            st.markdown(f"**{text.read('lab_drag_map')}**")
            scores = scores_by_place(q, k, SQUARE, theta)
            places = [str(place) if place % 4 == 0 else "" for place in range(SQUARE)]
            picture = grids.heatmap(
                (scores - scores.mean()).tolist(),  # shades tell more or less than the mean of the map
                rows=places,
                columns=places,
                row_title=text.read("lab_drag_rows"),
                column_title=text.read("lab_drag_columns"),
                what="score above the mean",
                highest=None,
                signed=True,
                mark_cell=(at, key_at) if max(at, key_at) < SQUARE else None,
                height=330,
                revision="drag map",
                alt=text.read("lab_drag_map_alt", n=SQUARE),
            )
            st.plotly_chart(picture.figure, key="c4_drag_map", config=figures.CONFIG, alt=picture.alt)
        st.markdown(f"**{text.read('lab_drag_clocks', n=len(q) // 2)}**")
        hands(len(q), theta, at, key_at, text)
        on = ON if max(at, key_at) + ON <= LAST else -min(at, key_at)
        lab.predict(
            "c4_drag",
            text.read("lab_drag_predict", at=at, key_at=key_at, at2=at + on, key_at2=key_at + on),
            (
                text.read("lab_drag_predict_less"),
                text.read("lab_drag_predict_same", score=score),
                text.read("lab_drag_predict_zero"),
            ),
            right=1,
            because=text.read("lab_drag_predict_because", distance=distance),
            then={"c4_drag_query": at + on, "c4_drag_key": key_at + on},
        )


def hands(width: int, theta: float, at: int, key_at: int, text: words.Words) -> None:
    """The clocks of a head, one a pair, a hand for the query and one for the key."""
    from gptcore.positions import inverse_frequencies

    speeds = inverse_frequencies(width, theta).tolist()
    step = math.ceil(len(speeds) / MOST_DIALS)
    shown = range(0, len(speeds), step)
    picture = plots.rotation_dials(
        [at * speeds[i] for i in shown],
        [f"{2 * math.pi / speeds[i]:,.0f}" for i in shown],
        other=[key_at * speeds[i] for i in shown],
        labels=(text.read("asking_query"), text.read("asking_key")),
        revision=f"hands {width}",
    )
    st.plotly_chart(picture.figure, key="c4_drag_hands", config=figures.CONFIG, alt=picture.alt)
    st.caption(text.read("lab_drag_clocks_caption"))


@st.fragment
def clocks() -> None:
    """How long each clock takes for a turn, against the base; and what the base leaves of a score far away."""
    from gptcore.positions import inverse_frequencies

    text = words.load("04_positions")
    with lab.frame("c4_clock", text.read("lab_clock_title")):
        text.show("lab_clock")
        one, two, three = st.columns(3, gap="medium")
        with one:
            base = controls.stops(text.read("lab_clock_base"), "c4_clock_base", BASES, 10_000)
        with two:
            width = controls.stops(text.read("lab_clock_width"), "c4_clock_width", WIDTHS, 64)
        with three:
            tokens = controls.stops(text.read("lab_clock_text"), "c4_clock_text", TEXTS, 8192)
        turns = {
            of: [2 * math.pi / speed for speed in inverse_frequencies(width, of).tolist()]
            for of in (base, 10_000 if base != 10_000 else 500_000)
        }
        whole = sum(turn <= tokens for turn in turns[base])
        text.show(
            "lab_clock_says",
            fastest=turns[base][0],
            slowest=turns[base][-1],
            whole=whole,
            pairs=width // 2,
            tokens=tokens,
        )
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown(f"**{text.read('lab_clock_turns')}**")
            picture = plots.curves(
                list(range(1, width // 2 + 1)),
                {text.read("lab_clock_of", base=of): turn for of, turn in turns.items()}
                | {text.read("lab_clock_line"): [tokens] * (width // 2)},
                x_title=text.read("lab_clock_pair"),
                y_title=text.read("lab_clock_tokens"),
                log_y=True,
                height=300,
                revision="clocks",
            )
            st.plotly_chart(picture.figure, key="c4_clock_turns", config=figures.CONFIG, alt=picture.alt)
        with right:
            st.markdown(f"**{text.read('lab_clock_decay')}**")
            picture = plots.curves(
                FAR,
                {text.read("lab_clock_of", base=of): cached.score_left(width, of, FAR) for of in turns},
                x_title=text.read("lab_drag_distance"),
                y_title=text.read("lab_clock_share"),
                log_x=True,
                height=300,
                revision="decay",
            )
            st.plotly_chart(picture.figure, key="c4_clock_decay", config=figures.CONFIG, alt=picture.alt)
        text.show("lab_clock_decay_says")
        following = 500_000 if base != 500_000 else 1000
        raised = [2 * math.pi / speed for speed in inverse_frequencies(width, following).tolist()]
        more = sum(turn <= tokens for turn in raised)
        options = (
            text.read("lab_clock_predict_more"),
            text.read("lab_clock_predict_fewer"),
            text.read("lab_clock_predict_all"),
        )
        lab.predict(
            "c4_clock",
            text.read("lab_clock_predict", base=following, tokens=tokens, whole=whole, pairs=width // 2),
            options,
            right=0 if more > whole else 1 if more < whole else 2,
            because=text.read(
                "lab_clock_predict_because",
                base=following,
                fastest=raised[0],
                slowest=raised[-1],
                more=more,
                whole=whole,
            ),
            then={"c4_clock_base": following},
        )


@st.fragment
def leaning() -> None:
    """How far back each head leans by its angles alone."""
    from gptcore.experiments.measurements.positions import leans

    text = words.load("04_positions")
    model = rotary_storyteller()
    config = model.config
    traced = forward.traced(model, pronoun_story().text)
    found = leans(traced.seen, config, 33)
    names = {f"layer {one.layer + 1}, head {one.head + 1}": one for one in found}
    sharpest = max(names, key=lambda name: names[name].scores[1] - sum(names[name].scores[:4]) / 4)
    text.show("lab_lean")
    chosen = controls.listed(text.read("lab_lean_head"), "c4_lean_head", list(names), default=sharpest)
    lean = names[chosen]
    picture = plots.curves(
        list(range(len(lean.scores))),
        {chosen: lean.scores},
        x_title=text.read("lab_drag_distance"),
        y_title=text.read("lab_drag_score"),
        mark_x=lean.peak,
        height=260,
        revision="lean",
    )
    st.plotly_chart(picture.figure, key="c4_lean_curve", config=figures.CONFIG, alt=picture.alt)
    ahead = sum(one.peak == 1 for one in found)
    text.show("lab_lean_says", name=chosen, peak=lean.peak, n=len(found), one_back=ahead)
