"""Chapter 6: activation functions and gates, and what each norm removes."""

import streamlit as st

from gptcore.feedforward import FEEDFORWARDS
from gptcore.lessons import by_hand
from gptcore.lessons.by_hand import ACTIVATIONS
from pages.kit import controls, figures, lab, plots, session, words
from pages.labs.block.example import X
from pages.labs.block.residual_stream import traced_text

GRID = tuple(round(-8 + 0.1 * step, 1) for step in range(121))
PREDICTED_Z = -6.0


@st.fragment
def gates() -> None:
    """The activation functions, and the distribution of gates in the model in use."""
    text = words.load("06_block")
    with lab.frame("c6_gate", text.read("lab_gate_title")):
        text.show("lab_gate")
        names = [text.read("tab_one_gate"), text.read("tab_gates")]
        one_gate, all_gates = st.tabs(names, key="c6_gate_tabs", on_change="rerun")
        with one_gate:
            _activations(text)
        with all_gates:
            _gates_of_the_model(text)
        silu = by_hand.activation_curve("SiLU", GRID)
        lowest = min(silu.values)
        lab.predict(
            "c6_gate",
            text.read("lab_gate_predict"),
            (
                text.read("lab_gate_predict_none"),
                text.read("lab_gate_predict_little"),
                text.read("lab_gate_predict_all"),
            ),
            right=1,
            because=text.read(
                "lab_gate_predict_because",
                value=by_hand.activation_curve("SiLU", (PREDICTED_Z,)).values[0],
                lowest=lowest,
                at=GRID[silu.values.index(lowest)],
            ),
            then={"c6_gate_z": PREDICTED_Z, "c6_gate_tabs": names[0]},
        )


def _activations(text: words.Words) -> None:
    """The activation functions or their derivatives, with a line at the chosen z."""
    left, right = st.columns([1, 2], gap="large", vertical_alignment="center")
    with left:
        z = controls.number(
            text.read("lab_gate_z"), "c6_gate_z", -8.0, 8.0, 1.0, 0.1, text.read("lab_gate_z_help")
        )
        options = (text.read("lab_gate_values"), text.read("lab_gate_slopes"))
        curve = controls.choice(text.read("lab_gate_curve"), "c6_gate_curve", options)
        at_z = {name: by_hand.activation_curve(name, (z,)).values[0] for name in ACTIVATIONS}
        text.show("lab_gate_says", z=z, relu=at_z["ReLU"], gelu=at_z["GELU"], silu=at_z["SiLU"])
    with right:
        curves = {name: by_hand.activation_curve(name, GRID) for name in ACTIVATIONS}
        derivative = curve == options[1]
        picture = plots.curves(
            GRID,
            {name: sampled.slopes if derivative else sampled.values for name, sampled in curves.items()},
            x_title="z",
            y_title=curve,
            mark_x=z,
            y_range=(-0.2, 1.2) if derivative else (-1, 4),
            height=280,
            revision=f"gate {curve}",
        )
        figures.show(picture, key="c6_gate_curves")


def _gates_of_the_model(text: words.Words) -> None:
    """The distribution of one layer's gates over a text; nothing for a model without gates."""
    config = session.model_in_use().config
    if FEEDFORWARDS[config.ffn].n_matrices < 3:
        text.show("lab_gate_none", ffn=config.ffn)
        return
    traced = traced_text(text, "c6_gate_text")
    if traced is None:
        return
    layers = [f"layer {layer + 1}" for layer in range(config.n_layers)]
    layer = layers.index(controls.dropdown(text.read("lab_gate_layer"), "c6_gate_layer", layers))
    gate_logits = traced.seen[f"layers.{layer}.feedforward.gate_logits"].flatten()
    edges = [-4 + 0.5 * step for step in range(17)]
    counts = gate_logits.clamp(-3.99, 3.99).histc(bins=16, min=-4, max=4).tolist()
    names = [f"{low:g} to {low + 0.5:g}" for low in edges[:-1]]
    names[0], names[-1] = f"below {edges[1]:g}", f"above {edges[-2]:g}"
    picture = plots.columns(
        names,
        {"gates": counts},
        y_title=text.read("lab_gate_chart"),
        form=",.0f",
        height=240,
        revision="gates",
    )
    picture.figure.update_traces(text=None)
    figures.show(picture, key="c6_gate_bars")
    text.show(
        "lab_gate_model",
        layer=layer + 1,
        n=gate_logits.numel(),
        closed=(gate_logits < 0).float().mean().item(),
        wide=(gate_logits > 1).float().mean().item(),
    )


@st.fragment
def both_norms() -> None:
    """Four numbers scaled and shifted together, after each of the two norms."""
    text = words.load("06_block")
    text.show("lab_norms")
    left, right = st.columns(2, gap="large")
    with left:
        scale = controls.number(
            text.read("lab_norms_scale"),
            "c6_norms_scale",
            0.1,
            10.0,
            1.0,
            0.1,
            text.read("lab_norms_scale_help"),
        )
    with right:
        shift = controls.number(
            text.read("lab_norms_shift"),
            "c6_norms_shift",
            -10.0,
            10.0,
            4.0,
            0.5,
            text.read("lab_norms_shift_help"),
        )
    before, after = by_hand.both_norms(X[0]), by_hand.both_norms(X[0], scale, shift)
    picture = plots.columns(
        [f"component {i}" for i in range(1, 5)],
        {"RMSNorm": after["RMSNorm"], "LayerNorm": after["LayerNorm"]},
        y_title=text.read("lab_norms_chart"),
        form=".2f",
        height=260,
        revision="norms",
    )
    picture.figure.update_yaxes(range=[-2.2, 2.2])
    figures.show(picture, key="c6_norms_bars")
    changes = {name: max(abs(a - b) for a, b in zip(before[name], after[name])) for name in before}
    text.show("lab_norms_says", rms=changes["RMSNorm"], layer=changes["LayerNorm"])
