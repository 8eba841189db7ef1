"""A text of the living model, computed: how each token was written, and what every layer did for it."""

from typing import Any

import streamlit as st

from gptcore.account import n_parameters
from gptcore.lessons.token_flow import token_flows
from pages.kit import escape, links, living_model, session
from pages.kit.models import LARGE, ModelHandle

N_NEW = 60
N_NEW_OF_LARGE = 16  # a large model needs as long for them as ours for all


@st.cache_data(max_entries=64, show_spinner=False)
def text_data(handle: ModelHandle, start: str, temperature: float, seed: int) -> dict[str, Any]:
    """What the browser gets for a start; raises ValueError for one that is longer than the model's context."""
    model, tokenizer = handle.load()
    ids = tokenizer.encode_prompt(start)
    if start == living_model.FIRST_START and len(ids) >= model.config.context_length:
        ids = ids[: max(1, model.config.context_length // 2)]  # nobody typed it: leave room to write
    flows = token_flows(
        model,
        ids,
        N_NEW if n_parameters(model.config) <= LARGE else N_NEW_OF_LARGE,
        temperature=temperature,
        seed=seed,
        stop_ids=tokenizer.stop_ids,
    )
    return living_model.as_data(ids, flows, tokenizer)


def living_text() -> None:
    """Show the living model with the model in use, the start and the temperature of the visitor."""
    handle = session.model_in_use()
    seed = int(links.sticky_value("seed") or 0)
    try:
        data = text_data(handle, living_model.start(), float(living_model.temperature()), seed)
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        data = {"given": [living_model.start()], "steps": []}
    config = handle.config
    living_model.show(data, width=config.d_model, parameters=n_parameters(config))
