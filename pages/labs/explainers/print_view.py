"""All explainers on one page, to print."""

from collections.abc import Iterable

import streamlit as st

from explainers import library
from explainers.reading import Explainer
from pages.kit import words
from pages.labs.explainers.live_block import BLOCK_WIDTH, show_answer


def print_view(explainers: Iterable[Explainer]) -> None:
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
    for explainer, part, container in to_draw:
        with container:
            show_answer(explainer, part, {}, printed=True)


def _lowered(prose: str) -> str:
    """The prose with its headings one level down, below the title they stand under."""
    return "\n".join(f"#{line}" if line.startswith("##") else line for line in prose.splitlines())
