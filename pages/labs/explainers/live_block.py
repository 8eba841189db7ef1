"""The live blocks of an explainer: sliders, printed output and figures."""

import plotly.graph_objects as go
import plotly.io
import streamlit as st

from explainers import library
from explainers.constants import Constant, put
from explainers.reading import Block, Explainer
from pages.kit import controls, escape, figures, words
from pages.labs.explainers import cached

COLORS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.PURPLE, figures.VERMILION)
BLOCK_WIDTH = 1020  # a line of code of 110 characters fits


def write_prose(prose: str) -> None:
    st.markdown(library.readdress(prose, "explainers?topic="), width=words.READING_WIDTH)


@st.fragment
def live_passage(topic: str, number: int) -> None:
    """Blocks that build on each other, with the prose between them: a slider affects all later blocks."""
    explainer = library.explainer(topic)
    values: dict[str, float] = {}
    defaults: dict[str, float] = {}
    for part in explainer.passages[number]:
        if isinstance(part, str):
            write_prose(part)
            continue
        with st.container(border=True, key=f"block_{topic}_{part.number}", width=BLOCK_WIDTH):
            code = st.container()  # above the sliders, which stand beside what they move
            own = _sliders(topic, part)
            values |= own
            defaults |= {constant.name: constant.default for constant in part.constants}
            moved = {name: value for name, value in values.items() if value != defaults[name]}
            code.code(put(part.code, own), language="python")
            show_answer(explainer, part, moved)
            if moved:
                _moved(topic, part, moved, defaults)


def _sliders(topic: str, block: Block) -> dict[str, float]:
    """A slider for each constant with a range, bound to the URL, side by side where there is room."""
    values: dict[str, float] = {}
    for start in range(0, len(block.constants), 2):
        pair = block.constants[start : start + 2]
        for column, constant in zip(st.columns(len(pair)), pair):
            with column:
                values[constant.name] = _slider(_key(topic, block, constant.name), constant)
    return values


def _key(topic: str, block: Block, name: str) -> str:
    return f"{topic}_{block.number}_{name}"


def _slider(key: str, constant: Constant) -> float:
    note = f"From {constant.low:,} to {constant.high:,}"
    label = f"`{constant.name}` {constant.note}"
    if constant.doubling:
        return controls.value_slider(label, key, constant.options, constant.default)
    if constant.whole:
        dial = controls.Dial(label, constant.low, constant.high, constant.step, note)
        return controls.integer(label, key, dial, constant.default)
    decimals = max(0, len(f"{constant.step:.6f}".rstrip("0").partition(".")[2]))
    low, high, step = constant.low, constant.high, constant.step
    value = controls.number(label, key, low, high, constant.default, step, note, format=f"%.{decimals}f")
    return round(value, decimals + 1)


def show_answer(
    explainer: Explainer, block: Block, moved: dict[str, float], *, printed: bool = False
) -> None:
    """What the block prints and draws; with `printed`, its output is already shown.

    What it prints at its defaults is what the text shows, which is tested.
    """
    output, figure = block.expected, None
    if moved or block.draws or block.tolerance is None:
        code = "\n".join(part.code for part in explainer.chain(block.number))
        try:
            output, figure = cached.block_answer(
                explainer.topic, block.number, tuple(sorted(moved.items())), code
            )
        except cached.BlockFailed as error:
            st.error(escape.sentence(f"This block did not run: {error}"), icon=":material/error:")
            return
    if output and not printed:
        st.code(output, language=None)
    if figure:
        _draw(plotly.io.from_json(figure), key=f"figure_{explainer.topic}_{block.number}")


def _draw(drawn: go.Figure, key: str) -> None:
    """A block's figure as all figures here look; its title stands above it, where it can wrap."""
    title = drawn.layout.title.text
    drawn.update_layout(template=plotly.io.templates.default, colorway=COLORS, title=None, height=340)
    drawn.update_layout(paper_bgcolor=figures.CLEAR, plot_bgcolor=figures.CLEAR, uirevision="kept")
    drawn.update_layout(margin={"l": 8, "r": 8, "t": 48, "b": 8})
    drawn.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    st.markdown(f"**{title}**")
    figures.show(figures.Picture(drawn, title), key=key)


def _moved(topic: str, block: Block, moved: dict[str, float], defaults: dict[str, float]) -> None:
    """Say which values the text uses, and offer to reset them."""
    changed = ", ".join(f"`{name}` = {defaults[name]:g}" for name in moved)
    st.caption(f"The text assumes {changed}.")
    own = {constant.name for constant in block.constants} & set(moved)
    if own:
        st.button(
            "Reset the values",
            key=f"back_{topic}_{block.number}",
            icon=":material/undo:",
            on_click=_put_back,
            args=({_key(topic, block, name): defaults[name] for name in own},),
        )


def _put_back(values: dict[str, float]) -> None:
    st.session_state.update(values)
