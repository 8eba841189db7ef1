"""The top of the front page: what Glassbox is, the ways in, and the way on for links made when it was chapter 0."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.kit import book, progress, session, words

TRAIN_SECONDS = 60
# Parameters with which a link to the bare address means chapter 0, which answered there first.
OF_CHAPTER_0 = ("path", "hide", "lock", "step", "note")
CHAPTER_0 = "overview"
_REDIRECT = st.components.v2.component(
    "glassbox_redirect",
    html="<span></span>",
    js="""
export default function ({ data }) {
  const { pathname, search, hash } = location
  location.replace(pathname.replace(/\\/?$/, "/") + data.page + search + hash)
}
""",
)
_STYLE = """<style>
[data-testid="stMainBlockContainer"]:has(.st-key-home_head) { padding: 4.4rem clamp(1rem, 4vw, 4rem) 2rem; }
[data-testid="stMainBlockContainer"]:has(.st-key-home_head) > [data-testid="stVerticalBlock"] { gap: 0.8rem; }
.st-key-home_head { flex-wrap: wrap; column-gap: 0.9rem; row-gap: 0; align-items: baseline; }
.st-key-home_head h1 { font-size: 1.7rem; padding: 0; }
.st-key-home_head p { font-size: 1.05rem; }
.st-key-home_run:not(:has(*)) { display: none; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"]:has(.st-key-home_head) { padding-top: 3.9rem; }
  [data-testid="stMainBlockContainer"]:has(.st-key-home_head) > [data-testid="stVerticalBlock"] { gap: 0.5rem; }
  .st-key-home_head h1 { font-size: 1.3rem; }
  .st-key-home_head p { font-size: 0.95rem; line-height: 1.35; }
  .st-key-home_ways { gap: 0.5rem; }
  .st-key-home_ways > div { flex: 1 1 45%; }
  .st-key-home_ways button { width: 100%; padding: 0.25rem 0.4rem; overflow: hidden; }
  .st-key-home_ways button p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
}
</style>"""


def redirect() -> bool:
    """Lead a link that means chapter 0 there, with its parameters and its anchor; whether there was one to lead.

    In the browser, because the server never learns the anchor.
    """
    is_first_run = "bound_page" not in st.session_state
    targets = [
        key for key in st.query_params if key.startswith("c0_") or (is_first_run and key in OF_CHAPTER_0)
    ]
    if targets:
        _REDIRECT(key="home_redirect", data={"page": CHAPTER_0}, height=1)
    return bool(targets)


def head(row: book.Row) -> None:
    """The name and what it is, in one sentence."""
    st.html(_STYLE)
    with st.container(key="home_head", horizontal=True):
        st.title(row.title, anchor=False, width="content")
        st.markdown(words.load("home").read("sentence"), width="content")


def ways_in() -> bool:
    """The buttons that lead on; whether the visitor has asked for a training run."""
    text = words.load("home")
    with st.container(key="home_ways", horizontal=True, gap="small"):
        _way(
            "learn",
            _row(CHAPTER_0),
            text.read("learn"),
            text.read("learn_help", minutes=words.minutes("00_overview")),
        )
        trains = st.button(
            text.read("train"),
            key="home_train",
            icon=":material/model_training:",
            help=text.read("train_help", seconds=TRAIN_SECONDS),
        )
        _way("explore", _row("journey"), text.read("explore"), text.read("explore_help"))
        last = next((row for row in book.TABLE if row.url == progress.last_page()), None)
        if last is not None:
            label, help = text.read("go_on", label=last.label), text.read("go_on_help")
            _way("go_on", last, label, help)
        session.back_to_shipped()
    return trains


_ICONS = {"learn": ":material/school:", "explore": ":material/route:", "go_on": ":material/bookmark:"}


def _way(name: str, row: book.Row, label: str, help: str) -> None:
    kind = "primary" if name == "learn" else "secondary"
    if st.button(label, key=f"home_{name}", icon=_ICONS[name], help=help, type=kind):
        st.switch_page(book.page_of(row))


def run_place() -> DeltaGenerator:
    """Where the run that is trained here is shown: between the ways in and the model."""
    return st.container(key="home_run")


def has_run() -> bool:
    """Whether a run is on view."""
    return session.run_on_view() is not None


def _row(url: str) -> book.Row:
    return next(row for row in book.TABLE if row.url == url)
