"""Chapter 4: whether each position scheme can detect word order, and what each learns in a few seconds."""

import streamlit as st

from gptcore.experiments.measurements.positions import SCHEMES
from gptcore.runs.request import RunRequest
from pages.kit import controls, curves, escape, event_log, figures, lab, lab_runs, plots, words
from pages.labs.positions import cached

DEPTHS = (1, 2, 3, 4)
STEPS = 120
EVERY_SECONDS = 1.5
RUNS = "c4_order_runs"
CLEAR = 0.1  # nats; smaller differences mean nothing with one seed
SHAPE = {"d_model": 64, "n_layers": 3, "d_ff": 192}


@st.fragment
def order() -> None:
    """Shuffle all earlier tokens and see whether the last output changes; then train all four schemes."""
    text = words.load("04_positions")
    with lab.frame("c4_order", text.read("lab_order_title")):
        text.show("lab_order")
        side, picture_pane = lab.panes()
        with side:
            depth = controls.value_slider(text.read("lab_order_layers"), "c4_order_layers", DEPTHS, 2)
            masked = controls.switch(text.read("lab_order_mask"), "c4_order_mask", True)
        changes = cached.order_known(SCHEMES, depth, masked)
        with picture_pane:
            _order_bars(changes, text)
        without_positions = changes[SCHEMES.index("none")]
        with side:
            _order_sentence(without_positions, depth, masked, text)
        lab.predict(
            "c4_order",
            text.read("lab_order_predict"),
            (
                text.read("lab_order_predict_half"),
                text.read("lab_order_predict_nothing"),
                text.read("lab_order_predict_same"),
            ),
            right=1,
            because=text.read("lab_order_predict_because"),
            then={"c4_order_layers": 1, "c4_order_mask": True},
        )
        train_each_scheme(text)


def _order_bars(changes: list[float], text: words.Words) -> None:
    """How much the last output changes with each scheme when all earlier tokens are shuffled."""
    picture = plots.columns(
        SCHEMES,
        {"change": [100 * fraction for fraction in changes]},
        y_title=text.read("lab_order_chart"),
        form=".2g",
        height=250,
        revision="order",
    )
    picture.figure.update_traces(text=[f"{fraction:.1%}" if fraction > 1e-5 else "0" for fraction in changes])
    figures.show(picture, key="c4_order_bars")


def _order_sentence(change: float, depth: int, masked: bool, text: words.Words) -> None:
    """Whether the output of a model without positions depends on the order, in one sentence."""
    if change > 1e-5:
        text.show("lab_order_moves", none=change, layers=depth)
        return
    mask = text.read("lab_order_with") if masked else text.read("lab_order_without")
    text.show("lab_order_still", layers=depth, mask=mask, none=change)


def train_each_scheme(text: words.Words) -> None:
    """The button that trains the four schemes, and their loss curves in one chart."""
    st.markdown(f"**{text.read('lab_order_train_heading')}**")
    text.show("lab_order_train_about", steps=STEPS)
    started = lab_runs.started_runs(RUNS)
    running = lab_runs.any_under_way(started)
    found = lab_runs.start_button(
        "c4_order",
        text.read("lab_order_train", steps=STEPS),
        lambda: {scheme: request_for(scheme) for scheme in SCHEMES},
        key="c4_order_train",
        store=RUNS,
        disabled=running,
    )
    lab_runs.show_problem("c4_order", found)
    if started:
        st.fragment(losses_so_far, run_every=EVERY_SECONDS if running else None)(running)


def request_for(scheme: str) -> RunRequest:
    """One scheme's run: the same text, seed and number of steps for each."""
    settings = SHAPE | {"position": scheme}
    return lab_runs.lab_request(settings, steps=STEPS, n_samples=0, n_evals=8)


def losses_so_far(was_running: bool) -> None:
    """The losses so far; once all runs have ended, the result."""
    text, started = words.load("04_positions"), lab_runs.started_runs(RUNS)
    histories = {scheme: event_log.read(run.folder) for scheme, run in started.items()}
    running = lab_runs.any_under_way(started)
    done = sum(history.last_step for history in histories.values())
    if running:
        st.progress(min(1.0, done / (STEPS * len(SCHEMES))), text=text.read("lab_order_running", done=done))
    if any(history.loss for history in histories.values()):
        picture = curves.comparison(histories, height=340)
        figures.show(picture, key="c4_order_losses")
    if running:
        return
    if was_running:
        st.rerun()
    losses = {scheme: history.val_loss[-1] for scheme, history in histories.items() if history.val_loss}
    if len(losses) == len(SCHEMES):
        verdict(text, losses)


def verdict(text: words.Words, losses: dict[str, float]) -> None:
    """The held-out losses of the four, and what they show with a single seed."""
    others = [scheme for scheme in SCHEMES if scheme != "rope"]
    nearest = min(others, key=losses.__getitem__)
    text.show(
        "lab_order_ran",
        listed=escape.Markdown(", ".join(f"{scheme} **{loss:.2f}**" for scheme, loss in losses.items())),
        clear=CLEAR,
    )
    if losses[nearest] - losses["rope"] > CLEAR:
        text.show("lab_order_ran_rope", ahead=losses[nearest] - losses["rope"], nearest=nearest)
    if abs(losses["none"] - losses["learned"]) <= CLEAR:
        text.show("lab_order_ran_near", difference=abs(losses["none"] - losses["learned"]))
