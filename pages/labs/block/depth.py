"""Chapter 6: gradients along a stack of blocks, at initialization and after training."""

import streamlit as st

from gptcore.interpret.gradient_depth import NO_EPS
from gptcore.runs.request import RunRequest
from pages.kit import (
    controls,
    curves,
    event_log,
    figures,
    initialization,
    lab,
    lab_runs,
    plots,
    session,
    words,
)
from pages.kit.models import ModelHandle
from pages.labs.block import cached
from pages.labs.block.diagram import PLACES
from pages.labs.block.finding import USUAL_EPS, drawable, powers

DEPTHS = (2, 4, 8, 12, 24, 48, 96, 128)
EPSILONS = {"1e-20": NO_EPS, "1e-5": USUAL_EPS}
SECONDS = 12
STACKS = (4, 8, 12, 24)
CLEAR = 0.2  # nats below the unigram entropy that count as having learned more


@st.fragment
def without_residual() -> None:
    """Gradient or size along a stack at initialization, with and without residual connections."""
    text = words.load("06_block")
    with lab.frame("c6_depth", text.read("lab_depth_title")):
        text.show("lab_depth")
        left, right = st.columns([1, 2], gap="large")
        with left:
            n = controls.value_slider(text.read("lab_depth_n"), "c6_depth_n", DEPTHS, 48)
            eps = controls.choice(
                text.read("lab_depth_eps"),
                "c6_depth_eps",
                list(EPSILONS),
                help=text.read("lab_depth_eps_help"),
            )
            metrics = {
                text.read("lab_depth_gradient"): "gradient_norms",
                text.read("lab_depth_pull"): "relative_gradients",
                text.read("lab_depth_size"): "sizes",
            }
            place = controls.choice(text.read("lab_depth_place"), "c6_depth_place", PLACES)
            metric = controls.choice(text.read("lab_depth_metric"), "c6_depth_metric", list(metrics))
        with right:
            cut, whole = _profiles_drawn(n, place, EPSILONS[eps], metric, metrics[metric])
        _say_depth(text, n, cut, whole)
        _ask_depth(text, n, place)


def _profiles_drawn(n: int, place: str, eps: float, title: str, metric: str):
    """Draw one quantity of the stack without and with residual connections; return both profiles."""
    cut, whole = (initialization.stack_profile(n, place, on, eps) for on in (False, True))
    values = {"without residual connections": getattr(cut, metric), "with them": getattr(whole, metric)}
    picture = plots.curves(
        list(range(n + 1)),
        {name: drawable(found) for name, found in values.items() if any(found)},
        x_title="after block (0: before the first)",
        y_title=title,
        log_y=True,
        revision=f"depth {n} {metric}",
    )
    picture.figure.update_xaxes(tickformat="d", dtick=1 if n <= 8 else None)
    figures.show(picture, key="c6_depth_curves")
    return cut, whole


def _say_depth(text: words.Words, n: int, cut, whole) -> None:
    """What removing the residual connections does to the gradient before the first block."""
    if cut.gradient_norms[0] > 0:
        text.show(
            "lab_depth_explodes",
            n=n,
            powers=powers(cut.gradient_norms[0], whole.gradient_norms[0]),
            flat=max(
                whole.gradient_norms[0] / whole.gradient_norms[-1],
                whole.gradient_norms[-1] / whole.gradient_norms[0],
            ),
        )
    else:
        zeros = sum(value == 0 for value in cut.gradient_norms)
        text.show("lab_depth_dies", first=0, zeros=zeros, points=n + 1)
    text.show("lab_depth_note")


def _ask_depth(text: words.Words, n: int, place: str) -> None:
    """A prediction about a stack deeper than the one on the slider, or one half as deep as the deepest."""
    following = DEPTHS[DEPTHS.index(n) + 1] if n < DEPTHS[-1] else DEPTHS[-3]
    because = ""
    if st.session_state.get("c6_depth_guess") is not None:  # a deep stack is built only once it is asked for
        now, then = (
            powers(
                *(
                    initialization.stack_profile(depth, place, on, NO_EPS).gradient_norms[0]
                    for on in (False, True)
                )
            )
            for depth in (n, following)
        )
        because = text.read("lab_depth_predict_because", n=n, next=following, now=now, then=then)
    lab.predict(
        "c6_depth",
        text.read("lab_depth_predict", next=following, n=n),
        (
            text.read("lab_depth_predict_stay"),
            text.read("lab_depth_predict_line", times=following / n),
            text.read("lab_depth_predict_power"),
        ),
        right=2,
        because=because,
        then={"c6_depth_n": following, "c6_depth_eps": "1e-20"},
    )


@st.fragment
def after_training() -> None:
    """Gradients along the model in use, before and after training; then along a stack the visitor trains."""
    text = words.load("06_block")
    with lab.frame("c6_trained", text.read("lab_trained_title")):
        text.show("lab_trained")
        names = [text.read("tab_in_use"), text.read("tab_own")]
        in_use, own = st.tabs(names, key="c6_trained_tabs", on_change="rerun")
        with in_use:
            _model_in_use(text)
        with own:
            _own_stack(text)
        lab.predict(
            "c6_trained",
            text.read("lab_trained_predict", n=STACKS[-1], rate=RATES["adamw"]),
            (
                text.read("lab_trained_predict_stays"),
                text.read("lab_trained_predict_falls"),
                text.read("lab_trained_predict_grows"),
            ),
            right=1,
            because=text.read("lab_trained_predict_because"),
            then={
                "c6_trained_n": STACKS[-1],
                "c6_trained_place": "post",
                "c6_trained_optimizer": "adamw",
                "c6_trained_tabs": names[1],
            },
        )


def _model_in_use(text: words.Words) -> None:
    """Gradients along the model in use, at initialization and after training."""
    born, now = cached.depth_profiles(session.model_in_use())
    _draw(text, born, now, "c6_trained_curves")
    text.show(
        "lab_trained_says",
        born=born.relative_gradients[1],
        born_last=born.relative_gradients[-1],
        now=now.relative_gradients[1],
        now_last=now.relative_gradients[-1],
        first=now.sizes[1],
        last=now.sizes[-1],
    )


RATES = {"muon": 1e-2, "adamw": 3e-3}  # the nano preset's; one that trains a shallow model of this width well


def _draw(text: words.Words, born, now, key: str) -> None:
    picture = plots.curves(
        list(range(len(born.relative_gradients))),
        {
            "at initialization": drawable(born.relative_gradients),
            "after training": drawable(now.relative_gradients),
        },
        x_title="after block (0: before the first)",
        y_title=text.read("lab_trained_chart"),
        log_y=True,
        height=260,
        revision=f"{key} {len(born.relative_gradients)}",
    )
    picture.figure.update_xaxes(tickformat="d", dtick=1 if len(born.relative_gradients) <= 9 else None)
    figures.show(picture, key=key)


def _own_stack(text: words.Words) -> None:
    """Controls for a stack, the button that trains it, and the result of the last run."""
    text.show("lab_trained_own", seconds=SECONDS)
    left, right = st.columns(2, gap="large")
    with left:
        n = controls.value_slider(text.read("lab_trained_n"), "c6_trained_n", STACKS, 12)
        residual = controls.switch(text.read("lab_trained_residual"), "c6_trained_residual", True)
    with right:
        place = controls.choice(text.read("lab_trained_place"), "c6_trained_place", PLACES, default="post")
        optimizer = controls.choice(text.read("lab_trained_optimizer"), "c6_trained_optimizer", list(RATES))
    run = lab_runs.train(
        "c6_trained",
        text.read("lab_trained_start", seconds=SECONDS),
        lambda: request_for(n, place, residual, optimizer),
        key="c6_trained_start",
        help=text.read("lab_trained_start_help"),
    )
    if run is None or not session.has_model(run):
        return
    history = event_log.follow(run)
    if len(history.val_loss) < 2:
        return
    config = run.config()["model"]
    text.show(
        "lab_trained_ran",
        n=config["n_layers"],
        place=config["norm_position"],
        residual="on" if config["residual"] else "off",
        optimizer=run.config()["train"]["optimizer"],
        steps=history.last_step,
        before=history.val_loss[0],
        after=history.val_loss[-1],
        unigram=history.start["unigram"],
    )
    born, now = cached.depth_profiles(ModelHandle.of(run.folder))
    along, learned = st.columns(2, gap="medium")
    with along:
        _draw(text, born, now, "c6_trained_own")
    with learned:
        figures.show(curves.loss(history, height=260), key="c6_trained_loss")
    if zeros := sum(pull == 0 for pull in now.relative_gradients):
        text.show("lab_trained_dead", zeros=zeros, points=len(now.relative_gradients))
    else:
        apart = powers(max(now.relative_gradients[1:]), min(now.relative_gradients[1:]))
        learns = history.val_loss[-1] < history.start["unigram"] - CLEAR
        text.show("lab_trained_learns" if learns else "lab_trained_stuck", powers=apart)


def request_for(n_layers: int, norm_position: str, residual: bool, optimizer: str) -> RunRequest:
    """The run that trains a stack of this kind."""
    shape = {"d_model": 64, "n_heads": 4, "d_ff": 192, "context_length": 64, "n_layers": n_layers}
    block = {"norm_position": norm_position, "residual": residual}
    training = {
        "optimizer": optimizer,
        "learning_rate": RATES[optimizer],
        "grow_windows": False,
        "batch_size": 4,
    }
    return lab_runs.lab_request(shape | block | training, seconds=SECONDS, n_samples=1, n_evals=6)
