"""The explainers' page: the list, one topic with its live blocks, and all of them to print."""

from collections.abc import Iterable
from itertools import groupby

import plotly.graph_objects as go
import plotly.io
import streamlit as st

from explainers import library
from explainers.constants import Constant, put
from explainers.reading import THEMES, Block, Explainer
from pages.kit import book, controls, explainer_links, figures, words
from pages.labs.explainers import cached

text = words.load("explainers")
BY = ("chapter", "theme")
COLORS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.PURPLE, figures.VERMILION)
BLOCK_WIDTH = 1020  # a line of code of 110 characters fits


def the_list() -> None:
    """All explainers, by chapter or by theme, or those that a search finds."""
    asked = st.text_input(
        "Search the explainers",
        key="find",
        bind="query-params",
        type="search",
        icon=":material/search:",
        placeholder=text.read("placeholder"),
        width=words.READING_WIDTH,
    )
    if asked and asked.strip():
        _found(asked)
        return
    by = controls.choice("In order of", "by", BY)
    every = library.explainers()
    if by == "theme":
        every = sorted(every, key=lambda one: THEMES.index(one.theme))
    for name, group in groupby(
        every, key=_chapter_of if by == "chapter" else lambda one: one.theme.capitalize()
    ):
        st.subheader(name, anchor=False)
        for explainer in group:
            _entry(explainer, explainer.summary)


def _chapter_of(explainer: Explainer) -> str:
    return f"{explainer.chapter} · {book.CHAPTERS[explainer.chapter]}"


def _found(asked: str) -> None:
    hits = library.search(asked)
    if not hits:
        text.show("nothing_found")
    for hit in hits:
        _entry(hit.explainer, hit.excerpt)


def _entry(explainer: Explainer, sentence: str) -> None:
    with st.container(gap="xxsmall", key=f"entry_{explainer.topic}"):
        explainer_links.link(explainer, "open")
        before = ", ".join(library.explainer(topic).title for topic in explainer.know_before)
        st.markdown(sentence, width=words.READING_WIDTH)
        st.caption(f"{explainer.minutes} min to read" + (f" · know before: {before}" if before else ""))


def one(explainer: Explainer) -> None:
    """One topic: what to know before, its text with the blocks alive, and the way on."""
    explainer_links.button("All explainers", "open_all", icon=":material/arrow_back:")
    st.title(explainer.title, anchor=False)
    n_live = sum(bool(block.constants) for block in explainer.blocks)
    live = f"{n_live} live block{'s' if n_live > 1 else ''}"
    st.caption(
        f"Goes deeper than chapter {_chapter_of(explainer)} · {explainer.minutes} min to read · {live}"
    )
    st.markdown(f"**{explainer.summary}**", width=words.READING_WIDTH)
    if explainer.know_before:
        st.caption("What you should know before")
        explainer_links.link_row(map(library.explainer, explainer.know_before), key="know_before")
    for number, passage in enumerate(explainer.passages):
        if isinstance(passage[0], str):
            _prose(passage[0])
        else:
            live_passage(explainer.topic, number)
    _way_on(explainer)


def _prose(prose: str) -> None:
    st.markdown(library.readdress(prose, "explainers?topic="), width=words.READING_WIDTH)


@st.fragment
def live_passage(topic: str, number: int) -> None:
    """Blocks that go on from each other, with the prose between them: a slider of one moves those after it."""
    explainer = library.explainer(topic)
    values: dict[str, float] = {}
    defaults: dict[str, float] = {}
    for part in explainer.passages[number]:
        if isinstance(part, str):
            _prose(part)
            continue
        with st.container(border=True, key=f"block_{topic}_{part.number}", width=BLOCK_WIDTH):
            code = st.container()  # above the sliders, which stand beside what they move
            own = _sliders(topic, part)
            values |= own
            defaults |= {constant.name: constant.default for constant in part.constants}
            moved = {name: value for name, value in values.items() if value != defaults[name]}
            code.code(put(part.code, own), language="python")
            _answer(explainer, part, moved)
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
        return controls.stops(label, key, constant.options, constant.default)
    if constant.whole:
        dial = controls.Dial(label, constant.low, constant.high, constant.step, note)
        return controls.whole(label, key, dial, constant.default)
    decimals = max(0, len(f"{constant.step:.6f}".rstrip("0").partition(".")[2]))
    low, high, step = constant.low, constant.high, constant.step
    value = controls.decimal(label, key, low, high, constant.default, step, note, format=f"%.{decimals}f")
    return round(value, decimals + 1)


def _answer(explainer: Explainer, block: Block, moved: dict[str, float], *, printed: bool = False) -> None:
    """What the block prints and draws; with `printed` its output stands there already.

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
            st.error(f"This block has not run: {error}", icon=":material/error:")
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
    st.plotly_chart(drawn, key=key, config=figures.CONFIG, alt=title)


def _moved(topic: str, block: Block, moved: dict[str, float], defaults: dict[str, float]) -> None:
    """Say that the text speaks of other values, and offer them."""
    changed = ", ".join(f"`{name}` = {defaults[name]:g}" for name in moved)
    st.caption(f"The text around it speaks of {changed}.")
    own = {constant.name for constant in block.constants} & set(moved)
    if own:
        st.button(
            "Back to the text's values",
            key=f"back_{topic}_{block.number}",
            icon=":material/undo:",
            on_click=_put_back,
            args=({_key(topic, block, name): defaults[name] for name in own},),
        )


def _put_back(values: dict[str, float]) -> None:
    st.session_state.update(values)


def _way_on(explainer: Explainer) -> None:
    """Before, after, and the chapter this one goes deeper than."""
    st.divider()
    rows = [row for row in book.TABLE if row.number == explainer.chapter]
    before, after = library.neighbours(explainer.topic)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="way_on"):
        if before:
            explainer_links.link(
                before, "before", label=f"Before: {before.title}", icon=":material/arrow_back:"
            )
        for row in rows:
            st.page_link(book.page_of(row), label=f"Chapter {row.label}")
        if after:
            explainer_links.link(after, "next", label=f"Next: {after.title}", icon=":material/arrow_forward:")


def all_to_print(explainers: Iterable[Explainer]) -> None:
    """The whole set on one page: text, code, what it prints and draws, without controls.

    What blocks print stands in the text, so all of it is there at once; the figures follow one by one.
    """
    to_draw = []
    for explainer in explainers:
        st.header(explainer.title, anchor=explainer.topic, divider=True)
        st.markdown(f"*{explainer.summary}*", width=words.READING_WIDTH)
        for part in explainer.parts:
            if isinstance(part, str):
                st.markdown(library.readdress(_lowered(part), "#"), width=words.READING_WIDTH)
                continue
            with st.container(key=f"printed_{explainer.topic}_{part.number}", width=BLOCK_WIDTH):
                st.code(part.code, language="python")
                st.code(part.expected, language=None)
                if part.draws:
                    to_draw.append((explainer, part, st.container()))
    for explainer, part, place in to_draw:
        with place:
            _answer(explainer, part, {}, printed=True)


def _lowered(prose: str) -> str:
    """The prose with its headings one level down, below the title they stand under."""
    return "\n".join(f"#{line}" if line.startswith("##") else line for line in prose.splitlines())
