"""The machine of this server, described once."""

import streamlit as st

from gptcore.experiments.machine import Machine, describe


@st.cache_data(max_entries=1, show_spinner=False)
def machine() -> Machine:
    """What this machine is, as training sees it."""
    return describe()
