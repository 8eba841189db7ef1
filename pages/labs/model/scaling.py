"""Chapter 7: a law fitted to three sizes predicts the fourth; and the loss at initialization."""

import functools
import math
from collections.abc import Iterable

import streamlit as st

from gptcore.account import n_parameters
from gptcore.config import PRESETS
from gptcore.experiments.measurements.model import SIZES, SPREADS, STEPS, PowerLaw, fit_power_law
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run
from pages.kit import (
    controls,
    curves,
    escape,
    event_log,
    figures,
    initialization,
    lab,
    lab_runs,
    plots,
    words,
)
from pages.kit.controls import Dial

EVERY_SECONDS = 1.5
RUNS = "c7_scale_runs"
*KNOWN, FOURTH = SIZES
NEAR = 0.1
EXPONENT = 0.34  # of the reducible loss in the number of parameters (Hoffmann et al. 2022)


def weights(name: str) -> int:
    """The parameters of one size."""
    return n_parameters(PRESETS["nano"].model.replace(n_kv_heads=None, **SIZES[name]))


def request_for(name: str) -> RunRequest:
    """One size's run: the same text, seed and steps for each."""
    shape = SIZES[name] | {"n_kv_heads": SIZES[name]["n_heads"]}
    return lab_runs.lab_request(shape, steps=STEPS, n_samples=0, n_evals=6)


def requests_for(names: Iterable[str]) -> dict[str, RunRequest]:
    """The runs of several sizes."""
    return {name: request_for(name) for name in names}


@st.fragment
def scaling() -> None:
    """Train three sizes, predict the fourth, train it."""
    text = words.load("07_model")
    with lab.frame("c7_scale", text.read("lab_scale_title")):
        text.show("lab_scale")
        left, right = st.columns([2, 3], gap="large", vertical_alignment="center")
        with left:
            times = weights(FOURTH) / weights(KNOWN[-1])
            text.show("lab_scale_about", steps=STEPS, times=times, fourth=FOURTH)
            guess = controls.number(text.read("lab_scale_guess", fourth=FOURTH), "c7_scale_guess_loss", 0.5, 4.0, 2.0,
                                     0.05, text.read("lab_scale_guess_help"))  # fmt: skip
        with right:
            figures.show(sizes(text), key="c7_scale_sizes")
        started = lab_runs.started_runs(RUNS)
        alive = lab_runs.any_under_way(started)
        buttons, progress_pane = st.columns([3, 2], gap="medium", vertical_alignment="center")
        with buttons.container(horizontal=True):
            ready, found = len(reached(started)) >= len(KNOWN), []
            for label, key, names, disabled in (
                (text.read("lab_scale_train", steps=STEPS), "c7_scale_train", KNOWN, alive),
                (text.read("lab_scale_fourth"), "c7_scale_fourth", SIZES, alive or not ready),
            ):
                requests = functools.partial(requests_for, names)
                found.append(
                    lab_runs.start_button("c7_scale", label, requests, key=key, store=RUNS, disabled=disabled)
                )
        with progress_pane:
            lab_runs.show_problem("c7_scale", next(filter(None, found), found[0]))
            if alive:
                st.fragment(progress, run_every=EVERY_SECONDS)()
        if started:
            law_so_far(text, guess)
        text.show("lab_scale_what")
        lab.predict(
            "c7_scale",
            text.read("lab_scale_predict"),
            (
                text.read("lab_scale_predict_half"),
                text.read("lab_scale_predict_less"),
                text.read("lab_scale_predict_none"),
            ),
            right=1,
            because=text.read("lab_scale_predict_because", two=1 - 2**-EXPONENT, ten=1 - 10**-EXPONENT),
        )


def sizes(text: words.Words) -> figures.Picture:
    """The parameters of the four sizes, the one to be predicted in gray."""
    picture = plots.columns(
        list(SIZES),
        {"parameters": [weights(name) for name in SIZES]},
        y_title=text.read("lab_scale_weights"),
        form=",.0f",
        height=220,
        revision="sizes",
    )
    colors = [figures.GREY if name == FOURTH else figures.BLUE for name in SIZES]
    picture.figure.update_traces(marker={"color": colors})
    return picture


def histories(runs: dict[str, Run]) -> dict[str, curves.History]:
    """What each run has logged so far."""
    return {name: event_log.read(run.folder) for name, run in runs.items()}


def reached(runs: dict[str, Run]) -> dict[str, float]:
    """The held-out loss of each size whose run has finished."""
    return {
        name: history.val_loss[-1]
        for name, history in histories(runs).items()
        if history.val_loss and history.last_step >= STEPS
    }


def progress() -> None:
    """A progress bar over the steps of all runs; at the end, a rerun of the page enables the buttons."""
    text, started = words.load("07_model"), lab_runs.started_runs(RUNS)
    done = sum(history.last_step for history in histories(started).values())
    message = text.read("lab_scale_running", done=done, all=STEPS * len(started))
    st.progress(
        min(1.0, done / (STEPS * len(started))), text=message if done else text.read("lab_scale_starting")
    )
    if not lab_runs.any_under_way(started):
        st.rerun()


def law_so_far(text: words.Words, guess: float) -> None:
    """The law fitted to the first three losses, once they are known, and how well it predicts the fourth."""
    started = lab_runs.started_runs(RUNS)
    history_of = histories(started)
    losses = reached(started)
    if len([name for name in KNOWN if name in losses]) < len(KNOWN):
        return
    floor = history_of[KNOWN[0]].start.get("floor") or 0.0
    outcome(text, losses, floor, guess)


def outcome(text: words.Words, losses: dict[str, float], floor: float, guess: float) -> None:
    """The law, fitted to the first three, and what it predicts for the fourth."""
    try:
        law = fit_power_law([weights(name) for name in KNOWN], [losses[name] for name in KNOWN], floor)
    except ValueError as error:
        st.info(escape.sentence(f"{error}."), icon=":material/info:")
        return
    draw_law(text, law, losses, guess)
    expected = law.loss(weights(FOURTH))
    text.show(
        "lab_scale_law",
        listed=escape.Markdown(", ".join(f"{name} **{losses[name]:.3f}**" for name in KNOWN)),
        floor=law.floor,
        exponent=law.exponent,
        expected=expected,
        fourth=FOURTH,
    )
    if FOURTH in losses:
        off = losses[FOURTH] - expected
        text.show(
            "lab_scale_came",
            fourth=FOURTH,
            loss=losses[FOURTH],
            off=abs(off),
            side=text.read("lab_scale_above") if off > 0 else text.read("lab_scale_below"),
            yours=abs(guess - losses[FOURTH]),
        )
        if abs(off) < NEAR:
            text.show("lab_scale_near", near=NEAR)
        else:
            text.show("lab_scale_far", near=NEAR)


def draw_law(text: words.Words, law: PowerLaw, losses: dict[str, float], guess: float) -> None:
    """The law as a line, the sizes and the learner's prediction as points."""
    low, high = weights(KNOWN[0]), 1.6 * weights(FOURTH)
    x = [low * (high / low) ** (i / 60) for i in range(61)]
    picture = plots.curves(
        x, {text.read("lab_scale_line"): [law.loss(n) for n in x]}, x_title=text.read("lab_scale_weights"),
        y_title=text.read("lab_scale_loss"), log_x=True, height=320, revision="scale",
    )  # fmt: skip
    points = {
        text.read("lab_scale_trained"): [
            (weights(name), losses[name], name) for name in SIZES if name in losses
        ]
    }
    points[text.read("lab_scale_yours")] = [(weights(FOURTH), guess, FOURTH)]
    dots = plots.scatter(points, x_title="", y_title="")
    for trace, color in zip(dots.figure.data, (figures.ORANGE, figures.GREEN)):
        trace.marker.color, trace.marker.size = color, 11
        picture.figure.add_trace(trace)
    figures.show(picture, key="c7_scale_law")


@st.fragment
def birth() -> None:
    """The loss of an untrained model against the standard deviation of its embedding matrix."""
    text = words.load("07_model")
    text.show("lab_birth", uniform=math.log(2048))
    tied = controls.switch(text.read("lab_birth_tied"), "c7_birth_tied", True)
    seed = controls.integer(text.read("lab_birth_seed"), "c7_birth_seed", Dial("", 0, 3, 1, ""), 0)
    untrained = initialization.initial_losses(SPREADS, tied, seed)
    picture = plots.curves(
        SPREADS,
        {text.read("lab_birth_loss"): [model.loss for model in untrained]},
        x_title=text.read("lab_birth_spread"),
        y_title=text.read("lab_birth_nats"),
        lines=(figures.Line("ln V", math.log(2048)),),
        height=280,
        revision="birth",
    )
    figures.show(picture, key="c7_birth_curve")
    ours = untrained[SPREADS.index(0.02)]
    text.show(
        "lab_birth_says",
        loss=ours.loss,
        uniform=math.log(2048),
        repeats=ours.repeats,
        wide=untrained[-1].loss,
    )
