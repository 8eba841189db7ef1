"""A lesson as a link: what to hide, what to hold still, how far the example opens, a note."""

from collections.abc import Mapping

import streamlit as st

from pages.kit import lab, links, words


def form(parts: Mapping[str, str]) -> None:
    """The form, folded; `parts` are the headings of a chapter's parts by name."""
    folded = st.expander("Make a lesson link", key="lesson_open", icon=":material/school:", on_change="rerun")
    if folded.open:
        with folded:
            _compose(parts)


@st.fragment
def _compose(parts: Mapping[str, str]) -> None:
    st.markdown(
        "The link opens this page with your settings, so a whole class sees the same values and questions.",
        width=words.READING_WIDTH,
    )
    bound = links.on_page()
    left, right = st.columns(2, gap="large")
    with left:
        hide = st.multiselect(
            "Sections to hide", list(parts), format_func=lambda name: parts[name], key="lesson_hide"
        )
        held = [key for key in bound if key in st.session_state or f"{key}_kept" in st.session_state]
        lock = st.multiselect("Controls to lock", held, key="lesson_lock")
    with right:
        step = st.number_input("Number of open example steps (0 = all)", 0, 20, 0, key="lesson_step")
        seed = st.number_input("Question seed", 0, 999_999, 1, key="lesson_seed")
    note = st.text_input("Note at the top of the page", max_chars=links.LONGEST, key="lesson_note_text")
    view = links.full_link(bound.values())
    view |= {"hide": ",".join(hide), "lock": ",".join(lock), "note": note, "seed": str(seed)}
    view |= {"step": str(step)} if step else {}
    lab.copy_link(
        {name: value for name, value in view.items() if value},
        key="lesson_link",
        label="Copy lesson link",
    )
