"""The settings of a match: size, length, seeds, rates, and the two arms made equal."""

from typing import Any

import streamlit as st

from gptcore.account import parameters
from gptcore.config import BIASES, NORM_POSITIONS, PRESETS, ConfigError
from gptcore.experiments import arena, config_diff
from gptcore.feedforward import FEEDFORWARDS
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS
from pages.kit import controls, figures, links, plots, words

STYLE, SIZE = "as the style", "as the size"  # a field that is not changed
PARTS: dict[str, tuple[str, ...]] = {
    "norm": tuple(NORMS),
    "norm_position": NORM_POSITIONS,
    "ffn": tuple(FEEDFORWARDS),
    "position": tuple(POSITIONS),
    "bias": BIASES,
    "qk_norm": ("true", "false"),
    "tie_embeddings": ("true", "false"),
}
SHAPE: dict[str, tuple[int, ...]] = {
    "d_model": (32, 48, 64, 96, 128, 192),
    "n_layers": (1, 2, 3, 4, 6, 8),
    "n_heads": (1, 2, 3, 4, 8),
    "n_kv_heads": (1, 2, 4, 8),
}
SIZES = ("pico", "micro", "nano")
LENGTHS = {"steps": (100, 200, 300, 600, 1200), "seconds": (10, 20, 30, 60, 120)}
SEEDS = (2, 3, 5, 8)
MIDDLE_RATES = ("0.001", "0.002", "0.005", "0.01", "0.02")
APART = 2.5  # times: how far the lower and the higher rate lie from the middle one
OPTIMIZERS = {"adamw": "AdamW", "muon": "Muon"}
DEFAULT_STYLE = dict(zip(arena.ARMS, arena.STYLES))


def choose_terms(text: words.Words) -> tuple[arena.Match | None, tuple[str, str]]:
    """The chosen match and the names of its arms; None if the settings don't work and the page has said why."""
    chosen = []
    for which, column in zip(arena.ARMS, st.columns(2, gap="large")):
        with column:
            chosen.append(arm_controls(text, which))
    first, second, third = st.columns([3, 4, 5], gap="medium")
    with first:
        size = controls.choice(
            text.read("size"), "arena_size", SIZES, default="micro", help=text.read("size_help")
        )
    with second:
        equal_in = controls.choice(
            text.read("equal"), "arena_equal", arena.EQUAL_IN, help=text.read("equal_help")
        )
    with third:
        middle = float(
            controls.choice(
                text.read("rate"), "arena_rate", MIDDLE_RATES, default="0.005",
                help=text.read("rate_help", apart=APART),
            )
        )  # fmt: skip
    left, right = st.columns(2, gap="large")
    with left:
        if equal_in == "seconds":
            length = controls.value_slider(text.read("seconds"), "arena_seconds", LENGTHS["seconds"], 30)
        else:
            length = controls.value_slider(text.read("steps"), "arena_steps", LENGTHS["steps"], arena.STEPS)
    with right:
        n_seeds = controls.value_slider(
            text.read("seeds"), "arena_seeds", SEEDS, len(arena.SEEDS), help=text.read("seeds_help")
        )
    names = tuple(arm_name(which, *choices) for which, choices in zip(arena.ARMS, chosen))
    # As many key/value heads as query heads, so that they follow where an arm changes the latter.
    shape = dict(controls.SIZES[size]) | {"n_kv_heads": controls.SIZES[size]["n_heads"]}
    try:
        base = PRESETS["nano"].model.replace(context_length=arena.CONTEXT, **shape)
        models = [arena.style(style, base, **changes) for style, changes in chosen]
        unit = "seconds" if equal_in == "seconds" else "steps"
        match = arena.Match(
            a=models[0],
            b=models[1],
            train=arena.train_config(**{"steps": None, unit: float(length) if unit == "seconds" else length}),
            equal_in=equal_in,
            rates=tuple(float(f"{rate:.3g}") for rate in (middle / APART, middle, middle * APART)),
            seeds=tuple(range(n_seeds)),
        )
        arena.plan(match)
    except ConfigError as error:
        st.error(text.read("refused", rule=error), icon=":material/block:")
        st.button(
            text.read("refused_repair"), key="arena_repair", icon=":material/undo:", on_click=reset_shapes
        )
        return None, names
    return match, names


def arm_controls(text: words.Words, which: str) -> tuple[str, dict[str, Any]]:
    """One arm's family and the fields that were changed in it."""
    style = controls.choice(
        text.read("arm_a") if which == "a" else text.read("arm_b"),
        f"arena_{which}_style",
        list(arena.STYLES),
        default=DEFAULT_STYLE[which],
    )
    changes: dict[str, Any] = {}
    with links.show_refusals_here(), st.expander(text.read("change"), icon=":material/tune:"):
        columns = st.columns(2)
        for index, (field, options) in enumerate([*PARTS.items(), *SHAPE.items()]):
            same = STYLE if field in PARTS else SIZE
            with columns[index % 2]:
                value = controls.dropdown(f"`{field}`", f"arena_{which}_{field}", [same, *map(str, options)])
            if value != same:
                changes[field] = {"true": True, "false": False}.get(value, value)
                changes[field] = int(value) if field in SHAPE else changes[field]
    return style, changes


def arm_name(which: str, style: str, changes: dict[str, Any]) -> str:
    """An arm in a few words: B, GPT-2-style, norm=rmsnorm."""
    changed = [f"{field}={str(value).lower()}" for field, value in changes.items()]
    return ", ".join([f"{which.upper()}: {style}", *changed])


def reset_shapes() -> None:
    """Give both arms the shape of the size again. For callbacks."""
    for which in arena.ARMS:
        for field in SHAPE:
            st.session_state[f"arena_{which}_{field}"] = SIZE


def show_adjustment(text: words.Words, match: arena.Match, even: arena.EqualArms) -> None:
    """What was adjusted to make the arms equal, and what difference is left."""
    difference = even.remaining_difference()
    if even.field == "d_ff":
        text.show("adjusted_width", before=even.before, after=even.after, off=difference["parameters"],
                  work=difference["FLOPs a step"])  # fmt: skip
    elif even.field == "steps":
        text.show("adjusted_steps", before=even.before, after=even.after, off=difference["FLOPs a run"],
                  size=difference["parameters"])  # fmt: skip
    elif match.equal_in == "seconds":
        text.show("adjusted_seconds", size=difference["parameters"], work=difference["FLOPs a step"])
    else:
        text.show("adjusted_nothing", size=difference["parameters"], work=difference["FLOPs a step"])


def show_equalized(
    text: words.Words, match: arena.Match, even: arena.EqualArms, names: tuple[str, str]
) -> None:
    """Both arms in numbers, where their parameters are, and both configs as code."""
    facts, parts, configs = st.tabs(
        [text.read("tab_facts"), text.read("tab_parts"), text.read("tab_configs")], key="arena_tabs"
    )
    with facts:
        st.dataframe(arm_facts(match, even, names), key="arena_facts", hide_index=True)
        train = match.train
        text.show("training", batch=train.batch_size, window=match.window,
                  optimizer=OPTIMIZERS[train.optimizer], precision=train.precision,
                  share=train.min_learning_rate / train.learning_rate)  # fmt: skip
    with parts:
        draw_parts(text, even, names)
    with configs:
        show_difference(text, match, even, names)


def draw_parts(text: words.Words, even: arena.EqualArms, names: tuple[str, str]) -> None:
    """The parameters of each part of both arms."""
    counted = [parameters(even[arm].model) for arm in arena.ARMS]
    parts = [part for part in counted[0] if any(count[part] for count in counted)]
    picture = plots.columns(
        parts,
        {name: [count[part] for part in parts] for name, count in zip(names, counted)},
        y_title=text.read("parts_axis"),
        form=",.0f",
        height=260,
        revision="arena_parts",
    )
    figures.show(picture, key="arena_parts")


def show_difference(
    text: words.Words, match: arena.Match, even: arena.EqualArms, names: tuple[str, str]
) -> None:
    """Both configs as code, and what is known of each field in which they differ."""
    differ = config_diff.differing(match.a, match.b)
    if not differ:
        text.show("same")
        return
    code, known = st.columns([2, 3], gap="large")
    with code:
        st.code(config_diff.diff(even.a.model, even.b.model, names), language="diff", wrap_lines=True)
    with known:
        text.show("transfer", n=len(differ))
        for field in differ:
            st.markdown(f"- `{field}`: {config_diff.TRANSFERS[field]}", width=words.READING_WIDTH)


def arm_facts(match: arena.Match, even: arena.EqualArms, names: tuple[str, str]) -> list[dict[str, str]]:
    """Both arms in numbers, as rows of text."""

    def row(what: str, *values: str) -> dict[str, str]:
        return {"": what, **dict(zip(names, values))}

    arms = (even.a, even.b)
    each = match.train.batch_size * match.window
    seconds = match.train.seconds
    return [
        row("parameters", *(f"{arm.n_parameters:,}" for arm in arms)),
        row("d_ff", *(f"{arm.model.d_ff:,}" for arm in arms)),
        row("FLOPs per step", *(f"{arm.flops_per_step / 1e9:.3f} · 10⁹" for arm in arms)),
        row(
            "steps per run",
            *(f"{arm.steps:,}" if arm.steps else f"as many as fit in {seconds:g} s" for arm in arms),
        ),
        row("tokens per run", *(f"{arm.steps * each:,}" if arm.steps else "–" for arm in arms)),
        row("FLOPs per run", *(f"{arm.flops / 1e12:.3f} · 10¹²" if arm.flops else "–" for arm in arms)),
    ]
