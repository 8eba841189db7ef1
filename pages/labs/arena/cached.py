"""The speed of training on this server, measured once."""

import streamlit as st

from gptcore.config import PRESETS
from gptcore.experiments import budget


@st.cache_data(max_entries=1, show_spinner=False)
def training_rate() -> float:
    """Operations a second that training the smallest preset reaches here, taken once a server."""
    return budget.training_rate(PRESETS["nano"].model, 128)
