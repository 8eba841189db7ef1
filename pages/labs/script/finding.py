"""Chapter 10: the finding at its top, a second implementation with the same weights."""

import streamlit as st

from pages.kit import figures, plots, session, words
from pages.labs.script import cached


def finding() -> None:
    """Show that an independent implementation with the same weights computes the same numbers."""
    text = words.load("10_script")
    session.caption_shipped_model()
    lines, differences = cached.own_class_differences()
    text.show("finding", lines=lines, tensors=len(differences))
    picture = plots.curves(
        list(range(1, len(differences) + 1)),
        {"largest difference": [max(difference, 1e-9) for _, difference in differences]},
        x_title="tensor, from the embedding to the logits",
        y_title=text.read("finding_chart"),
        log_y=True,
        y_range=(1e-9, 1.0),
        height=250,
        lines=(),
        revision="finding",
    )
    picture.figure.update_traces(
        text=[name for name, _ in differences],
        hovertemplate="%{text}: %{y:.1e}<extra></extra>",
        mode="lines+markers",
    )
    picture.figure.update_yaxes(exponentformat="power", dtick=2)
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    with left:
        figures.show(picture, key="c10_finding")
    with side:
        text.show("finding_says", largest=max(difference for _, difference in differences))
