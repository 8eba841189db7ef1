"""Chapter 8: small updates of a weight in three number formats."""

import streamlit as st

from gptcore.lessons.number_formats import repeated_addition, store
from pages.kit import controls, event_log, figures, lab, plots, session, words

FORMATS = ("fp32", "bf16", "fp16")
UPDATES = (0.1, 0.01, 0.001, 0.0001)


@st.fragment
def precision() -> None:
    """Add small updates to a weight in three formats, and show the measured time of a training step in each."""
    text = words.load("08_training")
    text.show("lab_precision")
    update = float(
        controls.dropdown(
            text.read("lab_precision_move"),
            "c8_precision_move",
            [f"{size:g}" for size in UPDATES],
            default="0.001",
        )
    )
    results = {name: repeated_addition(1.0, update, 100, name) for name in FORMATS}
    exact = 1 + 100 * update
    picture = plots.columns(
        FORMATS,
        {"fraction of the intended change": [(result - 1) / (exact - 1) for result in results.values()]},
        y_title="fraction of the change",
        form=".0%",
        height=240,
        revision="c8_precision",
    )
    figures.show(picture, key="c8_precision_bars")
    text.show(
        "lab_precision_says",
        move=update,
        wanted=exact,
        fp32=results["fp32"],
        bf16=results["bf16"],
        fp16=results["fp16"],
    )
    measured = event_log.shipped().start.get("measured") or []
    if measured:
        text.show("lab_precision_time")
        session.caption_shipped_model()
        st.dataframe(
            [
                {
                    "Precision": row["precision"],
                    "Attention": row["attention_path"],
                    "Threads": row["threads"],
                    "ms per step": 1000 * row["seconds_per_step"],
                }
                for row in measured
            ],
            key="c8_precision_times",
            hide_index=True,
            column_config={"ms per step": st.column_config.NumberColumn(format="%.0f")},
        )
    lab.predict(
        "c8_precision",
        text.read("lab_precision_predict"),
        (text.read("lab_precision_moves"), text.read("lab_precision_stands"), text.read("lab_precision_nan")),
        right=1,
        because=text.read("lab_precision_because", above=1 + store(1.0, "bf16").next_above_one),
        then={"c8_precision_move": "0.0001"},
    )
