"""Chapter 1: the properties of this machine that matter for training."""

import streamlit as st

from gptcore.experiments.machine import Machine, describe
from pages.kit import words


@st.cache_data(max_entries=1, show_spinner=False)
def this_machine() -> Machine:
    """The description of this machine, made once per server."""
    return describe()


def machine() -> None:
    """A table of the properties of this machine that matter for training."""
    text = words.load("01_setup")
    here = this_machine()
    unknown = text.read("example_machine_unknown")
    units = {True: text.read("example_machine_yes"), False: text.read("example_machine_no"), None: unknown}
    text.show(
        "example_machine",
        device=here.device,
        name=here.name,
        threads=here.threads,
        memory=f"{here.memory_bytes / 1e9:.1f} GB" if here.memory_bytes else unknown,
        precisions=", ".join(here.precisions),
        units=units[here.bf16_units],
        python=here.python,
        torch=here.torch,
    )
