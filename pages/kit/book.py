"""The table of pages, and the frame of every page: navigation, sidebar, header, footer.

`app.py` runs `navigation()`. A page opened by a bookmark on a freshly started server is run by Streamlit without
`app.py`, as long as there is a folder named ``pages/`` next to it; so `header` looks for the mark that `navigation`
leaves, and if it is missing, calls `navigation` itself in the same run.
"""

import gc
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from explainers.library import explainer
from pages.kit import (
    accessibility,
    contents,
    explainer_links,
    figure_tools,
    host_access,
    lesson,
    links,
    presenter,
    progress,
    search,
    session,
    upload_model,
    upload_size,
    visitor,
    words,
)

PAGES = Path(__file__).resolve().parents[1]
KIT = PAGES / "kit"
_MARK = "navigation_drawn"
_read_in: set[str] = set()  # the pages this process has run to their end

# All chapters of the book by number; one that is not written yet has no row below.
CHAPTERS = (
    "What is a GPT",
    "Set up",
    "Tokens",
    "Embeddings",
    "Positions",
    "Attention",
    "The block",
    "The model",
    "Training",
    "Inference",
    "The whole script",
    "Glossary",
)
# The parts of a chapter in the order every chapter keeps, with their headings. The sections of a chapter's words
# begin with the name of their part: `lab_heads`, `example_scores`.
PARTS = {
    "analogy": "An analogy",
    "example": "Worked example",
    "code": "The code",
    "diagram": "The diagram",
    "lab": "Labs",
    "measured": "Measured claims",
    "check": "Check yourself",
    "deeper": "Further reading",
}

SHORT = {  # names of the parts in the bar
    "analogy": "Analogy",
    "example": "Example",
    "code": "Code",
    "diagram": "Diagram",
    "lab": "Labs",
    "measured": "Measured",
    "check": "Check",
    "deeper": "Further reading",
}

# The short path through a chapter: its figure, the worked example, the first lab and three questions.
SHORT_PATH = ("analogy", "example", "lab", "check")
_PATH = "path_chosen"  # session state


@dataclass(frozen=True, slots=True)
class Row:
    """One page of the book. `number` is None for a page that is not a chapter."""

    file: str
    number: int | None
    title: str
    icon: str
    url: str
    section: str
    about: str
    # Further files of words on this page, each with the parameter that searches it; they are looked up, not read.
    also: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """The name of the file with this page's words."""
        return self.file.removesuffix(".py")

    @property
    def label(self) -> str:
        return self.title if self.number is None else f"{self.number} · {self.title}"


SECTIONS = ("Learn", "Explore", "Your work", "Reference")  # of the sidebar, in this order
TABLE = (
    Row(
        "home.py",
        None,
        "Glassbox",
        ":material/home:",
        "home",
        "Learn",
        "A small model generates text while you look inside it, and three ways to start.",
    ),
    Row(
        "00_overview.py",
        0,
        "What is a GPT",
        ":material/visibility:",
        "overview",
        "Learn",
        "A model writes one token at a time and shows the other likely tokens.",
    ),
    Row(
        "01_setup.py",
        1,
        "Set up",
        ":material/build:",
        "setup",
        "Learn",
        "Two parameters and a learning rate: how training works, and what this machine can do.",
    ),
    Row(
        "02_tokens.py",
        2,
        "Tokens",
        ":material/data_array:",
        "tokens",
        "Learn",
        "How text becomes token ids, and how many tokens your language needs.",
    ),
    Row(
        "03_embeddings.py",
        3,
        "Embeddings",
        ":material/scatter_plot:",
        "embeddings",
        "Learn",
        "A vector for each token: which rows become similar, and which never change.",
    ),
    Row(
        "04_positions.py",
        4,
        "Positions",
        ":material/explore:",
        "positions",
        "Learn",
        "How rotary position embeddings tell a model the order of its tokens.",
    ),
    Row(
        "05_attention.py",
        5,
        "Attention",
        ":material/center_focus_strong:",
        "attention",
        "Learn",
        "Queries, keys and values: what a token attends to, and what it reads there.",
    ),
    Row(
        "06_block.py",
        6,
        "The block",
        ":material/layers:",
        "block",
        "Learn",
        "Norms, the feed-forward layer and residual connections, and what depth does to gradients.",
    ),
    Row(
        "07_model.py",
        7,
        "The model",
        ":material/account_tree:",
        "model",
        "Learn",
        "All parts together: parameters, FLOPs, memory, and what larger models gain.",
    ),
    Row(
        "08_training.py",
        8,
        "Training",
        ":material/trending_down:",
        "training",
        "Learn",
        "Train your own model here, and watch what it learns first.",
    ),
    Row(
        "09_inference.py",
        9,
        "Inference",
        ":material/bolt:",
        "inference",
        "Learn",
        "Sampling, the KV cache, beam search and speculative decoding.",
    ),
    Row(
        "10_script.py",
        10,
        "The whole script",
        ":material/description:",
        "script",
        "Learn",
        "A run as a script of about 100 lines, and a model file of your own with our weights.",
    ),
    Row(
        "11_glossary.py",
        11,
        "Glossary",
        ":material/menu_book:",
        "glossary",
        "Reference",
        "Every term with a live picture, who uses what, common questions, and the false sentence.",
        also=(("glossary_terms", "c11_find"), ("glossary_faq", "c11_faq_find")),
    ),
    Row(
        "journey.py",
        None,
        "A token's journey",
        ":material/route:",
        "journey",
        "Explore",
        "One sentence through every tensor of the model, on a map you can explore.",
    ),
    Row(
        "arena.py",
        None,
        "Arena",
        ":material/balance:",
        "arena",
        "Explore",
        "Two architectures, matched and trained on the same batches, with a verdict that may be “within noise”.",
    ),
    Row(
        "measured.py",
        None,
        "Measured",
        ":material/timer:",
        "measured",
        "Explore",
        "Claims of the field, one at a time, measured on this machine.",
    ),
    Row(
        "runs.py",
        None,
        "Runs",
        ":material/stacked_line_chart:",
        "runs",
        "Your work",
        "Everything you trained here: watch, resume, compare and export it.",
    ),
    Row(
        "explainers.py",
        None,
        "Explainers",
        ":material/local_library:",
        "explainers",
        "Reference",
        "One topic at a time in depth: derivations, history, and code that runs.",
    ),
)

# The page of the host is listed, and exists, only where a secret opens it.
HOST = Row(
    *("host.py", None, "Host", ":material/admin_panel_settings:", "host", "Your work"),
    about="Visitors, jobs, memory and disk of this server.",
)


def row_of(file: str) -> Row:
    """The row of a page, from its `__file__`."""
    name = Path(file).name
    return next(row for row in (*TABLE, HOST) if row.file == name)


def page_of(row: Row) -> StreamlitPage:
    """The page Streamlit runs for a row; the first row is the one a bare address opens."""
    done = row.number is not None and progress.is_done(row.number)
    return st.Page(
        PAGES / row.file,
        title=row.label,
        icon=":material/check_circle:" if done else row.icon,
        url_path=row.url,
        default=row is TABLE[0],
        help=row.about,
        # Visitors have no use for a page that asks them for a secret: only its address leads there.
        visibility="hidden" if row is HOST and not host_access.is_admitted() else "visible",
    )


def navigation() -> StreamlitPage:
    """Draw the settings, the sections and the sidebar; return the page that is to run."""
    upload_size.enforce()
    st.set_page_config(page_icon=str(KIT / "mark.svg"), layout="wide", initial_sidebar_state="auto")
    st.logo(str(KIT / "wordmark.svg"), icon_image=str(KIT / "mark.svg"), size="large")
    links.restore_sticky(run=session.ExistingRun())
    rows = (*TABLE, HOST) if host_access.is_enabled() else TABLE
    sections = {name: [page_of(row) for row in rows if row.section == name] for name in SECTIONS}
    page = st.navigation(sections, expanded=True)  # a table of contents hides no chapter
    with st.sidebar:
        _sidebar(page)
    st.session_state[_MARK] = True
    return page


def _sidebar(page: StreamlitPage) -> None:
    st.html(KIT / "sidebar.css")
    _search(page)
    session.choose_model()
    with st.expander("Upload a model", icon=":material/upload:"):
        upload_model.form()
    session.remember_model()
    visitor.write_cookie()
    st.caption("**Glassbox**: a language model that you can look inside.")


def _search(page: StreamlitPage) -> None:
    """The field that searches the whole book: what it found in chapters, and then in explainers, as links."""
    query = search.box()
    if not query.strip():
        return
    rows = {row.words: row for row in TABLE}
    parameters = {}
    for row in TABLE:
        for name, parameter in row.also:
            rows[name], parameters[name] = row, parameter
    hits, explainer_hits = _find(query)
    found = hits or explainer_hits
    if not found and (meant := search.respelled(query, search.known_words(_searched()))):
        st.caption(f"Results for “{meant}”:")
        hits, explainer_hits = _find(meant)
    for number, hit in enumerate(hits):
        row = rows[hit.file]
        with st.container(key=f"found_{number}", gap="xxsmall"):
            st.page_link(
                page_of(row),
                label=f"{row.label}: {hit.heading or row.title}",
                icon=":material/search:",
                query_params={parameters.get(hit.file, "at"): hit.heading[:60]} if hit.heading else None,
            )
            st.caption(hit.around)
    for hit in explainer_hits:
        with st.container(key=f"found_{hit.file}", gap="xxsmall"):
            _link_to_explainer(hit, page)
            st.caption(hit.around)
    if not hits and not explainer_hits:
        st.caption("No page contains all these words. Try fewer words.")


def _searched(*, also: bool = True) -> list[tuple[str, str]]:
    """The files of words that the field searches, each with the title of its page."""
    more = [(name, row.title) for row in TABLE for name, _ in row.also] if also else []
    return [*((row.words, row.label) for row in TABLE), *more]


def _find(query: str) -> tuple[list[search.Hit], list[search.Hit]]:
    """What the book has for a query: glossary entries before chapters, and explainers."""
    chapters = _searched(also=False)
    terms = search.find(query, _searched()[len(chapters) :], most=2)
    return [*terms, *search.find(query, chapters)][: search.MOST], search.find_explainers(query)


def _link_to_explainer(hit: search.Hit, page: StreamlitPage) -> None:
    title, icon = explainer(hit.file).title, ":material/local_library:"
    label = f"{title}: {hit.heading}" if hit.heading else title
    row = next(row for row in TABLE if row.url == "explainers")
    if page.url_path == row.url:  # a link from a page to itself would leave the address as it is
        explainer_links.button(label, f"found_button_{hit.file}", icon=icon, topic=hit.file)
    else:
        st.page_link(page_of(row), label=label, icon=icon, query_params={"topic": hit.file})


def header(file: str, *, titled: bool = True) -> Row:
    """Title of the chapter; with it the navigation where Streamlit has not come through `app.py`.

    With `titled=False` the page calls `title` itself, below what it shows first.

    A mark that is taken away, and not a rerun: a rerun would swallow the click on a button.
    """
    if not st.session_state.pop(_MARK, False):
        navigation()
        st.session_state.pop(_MARK)
    row = row_of(file)
    if row is HOST and not host_access.is_enabled():
        st.switch_page(
            page_of(TABLE[0])
        )  # Streamlit runs any script of pages/ by its address on a fresh server
    links.begin_page(row.url)
    if row is not TABLE[0] and row is not HOST:
        progress.visit(row.url)
    labs = () if row.number is None else (f"c{row.number}_",)
    with st.container(key="page_tools", gap=None):
        accessibility.prepare(labs)
        if row.number is not None:
            contents.bar(row.title, SHORT, labs)
        presenter.control(labs)
        figure_tools.watch()
        progress.write_cookie("page")  # which has just become the last one visited
    if row is not TABLE[0]:  # which has a note under the model, and the way back among its buttons
        session.show_model_in_use()
    if titled:
        title(row)
    return row


def title(row: Row) -> None:
    """The title of a page, its place in the book, and a teacher's note where the link carries one."""
    presenter.title(row.title)
    if row.number is not None:
        st.caption(chapter_line(row))
        _choose_path()
    if note := links.sticky_value("note"):
        with st.container(border=True, key="lesson_note"):
            st.caption("Note from the person who made this link")
            st.text(note[: links.LONGEST])  # as text: nothing in it is a link, a picture or a formula


def _choose_path() -> None:
    """The switch to the short path, which applies to every chapter until it is turned off."""
    st.session_state[_PATH] = not links.is_full_path()
    st.toggle(
        "Short path: figure, example, one lab, three questions",
        key=_PATH,
        on_change=lambda: links.set_sticky("path", "short" if st.session_state[_PATH] else "full"),
    )


def chapter_line(row: Row) -> str:
    """The position of a chapter in the book: its number, the minutes its words take, the chapters around it, what is
    passed."""
    around = []
    for step, name in ((-1, "previous:"), (1, "next:")):
        if 0 <= row.number + step < len(CHAPTERS):
            around.append(f"{name} {CHAPTERS[row.number + step]}")
    passed = progress.passed_in(row.number)
    return " · ".join(
        [
            f"Chapter {row.number} of {len(CHAPTERS) - 1}",
            f"{words.minutes(row.words)} min to read",
            *around,
            *([f":material/check_circle: {passed} passed"] if passed else []),
        ]
    )


def objectives(text: str) -> None:
    """What the reader will be able to do, as the chapter's words say it."""
    st.markdown(text, width=words.READING_WIDTH)


def part(name: str) -> bool:
    """Begin a part of a chapter with its heading; False where the lesson link hides it (?hide=measured,check), and
    where the short path leaves it out.
    """
    if links.hidden(name) or not (links.is_full_path() or name in SHORT_PATH):
        return False
    st.header(PARTS[name], anchor=name, divider="gray")
    return True


def footer(file: str) -> None:
    """Links to the pages before and after this one, and the link that carries a lesson; the workers start."""
    index = TABLE.index(row_of(file))
    st.divider()
    lesson.form(PARTS)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        if index > 0:
            before = TABLE[index - 1]
            st.page_link(page_of(before), label=before.label, icon=":material/arrow_back:")
        if index + 1 < len(TABLE):
            after = TABLE[index + 1]
            st.page_link(
                page_of(after), label=after.label, icon=":material/arrow_forward:", icon_position="right"
            )
    session.start_workers()  # once the page is drawn: what they load would slow its first words
    _settle(file)


def _settle(file: str) -> None:
    """Take what a page's first run has read in out of the garbage collector's sight.

    Streamlit collects after every run. A look at all that torch and the page consist of takes about a quarter of a
    second, at every move of a slider; none of it is ever garbage.
    """
    if file not in _read_in:
        _read_in.add(file)
        gc.collect()
        gc.freeze()
