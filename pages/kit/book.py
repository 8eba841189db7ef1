"""The table of pages, and what stands around every page: navigation, sidebar, header, footer.

`app.py` runs `navigation()`. A page opened by a bookmark on a freshly started server is run by Streamlit
without `app.py`, as long as a folder named ``pages/`` stands beside it; so `header` looks for the mark that
`navigation` leaves, and where there is none it calls `navigation` itself, in the same run.
"""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.kit import links, session

PAGES = Path(__file__).resolve().parents[1]
KIT = PAGES / "kit"
_MARK = "navigation_drawn"


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

    @property
    def words(self) -> str:
        """The name of the file with this page's words."""
        return self.file.removesuffix(".py")

    @property
    def label(self) -> str:
        return self.title if self.number is None else f"{self.number} · {self.title}"


TABLE = (
    Row(
        "00_overview.py",
        0,
        "What is a GPT",
        ":material/visibility:",
        "overview",
        "Start",
        "A model writes, one word at a time, and shows what it nearly wrote instead.",
    ),
    Row(
        "08_training.py",
        8,
        "Training",
        ":material/trending_down:",
        "training",
        "Make it",
        "Train a model of your own here, and watch what it learns first.",
    ),
    Row(
        "09_inference.py",
        9,
        "Inference",
        ":material/bolt:",
        "inference",
        "Use it",
        "Two lanes write the same text, one with a cache and one without.",
    ),
)


def row_of(file: str) -> Row:
    """The row of a page, from its `__file__`."""
    name = Path(file).name
    return next(row for row in TABLE if row.file == name)


def page_of(row: Row) -> StreamlitPage:
    """The page Streamlit runs for a row; the first row is the one a bare address opens."""
    return st.Page(
        PAGES / row.file,
        title=row.label,
        icon=row.icon,
        url_path=row.url,
        default=row is TABLE[0],
        help=row.about,
    )


def navigation() -> StreamlitPage:
    """Draw the settings, the sections and the sidebar; return the page that is to run."""
    st.set_page_config(page_icon=str(KIT / "mark.svg"), layout="wide", initial_sidebar_state="auto")
    st.logo(str(KIT / "wordmark.svg"), icon_image=str(KIT / "mark.svg"), size="large")
    links.put_back()
    sections: dict[str, list[StreamlitPage]] = {}
    for row in TABLE:
        sections.setdefault(row.section, []).append(page_of(row))
    page = st.navigation(sections)
    with st.sidebar:
        _sidebar()
    st.session_state[_MARK] = True
    return page


def _sidebar() -> None:
    session.choose_model()
    st.caption("**Glassbox**: a language model with the lid off. Every number here is computed here.")


def header(file: str, *, titled: bool = True) -> Row:
    """Title of the chapter; with it the navigation where Streamlit has not come through `app.py`.

    With `titled=False` the page calls `title` itself, below what it shows first.

    A mark that is taken away, and not a rerun: a rerun would swallow the click on a button.
    """
    if not st.session_state.pop(_MARK, False):
        navigation()
        st.session_state.pop(_MARK)
    row = row_of(file)
    if titled:
        title(row)
    return row


def title(row: Row) -> None:
    """The title of a page and the number of its chapter."""
    st.title(row.title, anchor=False)
    if row.number is not None:
        st.caption(f"Chapter {row.number}")


def footer(file: str) -> None:
    """Links to the pages before and after this one."""
    place = TABLE.index(row_of(file))
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        if place > 0:
            before = TABLE[place - 1]
            st.page_link(page_of(before), label=before.label, icon=":material/arrow_back:")
        if place + 1 < len(TABLE):
            after = TABLE[place + 1]
            st.page_link(
                page_of(after), label=after.label, icon=":material/arrow_forward:", icon_position="right"
            )
