"""What the blocks of explainers printed, kept by their code and their values."""

import streamlit as st

from explainers import execution


class BlockFailed(RuntimeError):
    """What went wrong in an explainer's block, in one sentence. Raised, so that a failure is not kept."""


@st.cache_data(max_entries=512, show_spinner="Running the block …")
def block_answer(
    topic: str, number: int, values: tuple[tuple[str, float], ...], code: str
) -> tuple[str, str | None]:
    """What a block of an explainer prints with these values, and the figure it ends in as JSON, or None.

    `code` is the text of the block, so that an edited block runs again. Raises BlockFailed.
    """
    answer = execution.run_block(topic, number, dict(values))
    if answer.error:
        raise BlockFailed(answer.error)
    return answer.output, answer.figure
