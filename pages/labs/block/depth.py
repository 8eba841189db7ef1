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
from pages.labs.block.diagram import NORM_POSITIONS
from pages.labs.block.finding import USUAL_EPS, drawable, powers_of_ten

DEPTHS = (2, 4, 8, 12, 24, 48, 96, 128)
EPSILONS = {"1e-20": NO_EPS, "1e-5": USUAL_EPS}
SECONDS = 12
STACKS = (4, 8, 12, 24)
CLEAR = 0.2  # nats below the unigram entropy from which a model has learned more than token frequencies


@st.fragment
def without_residual() -> None:
    """Gradient or activation norm along a stack at initialization, with and without residual connections."""
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
            norm_position = controls.choice(text.read("lab_depth_place"), "c6_depth_place", NORM_POSITIONS)
            metric = controls.choice(text.read("lab_depth_metric"), "c6_depth_metric", list(metrics))
        with right:
            without, with_residual = _draw_profiles(n, norm_position, EPSILONS[eps], metric, metrics[metric])
        _depth_sentences(text, n, without, with_residual)
        _predict_depth(text, n, norm_position)


def _draw_profiles(n: int, norm_position: str, eps: float, title: str, metric: str):
    """Draw one quantity of the stack without and with residual connections; return both profiles."""
    without, with_residual = (initialization.stack_profile(n, norm_position, on, eps) for on in (False, True))
    curves_by_name = {
        "without residual connections": getattr(without, metric),
        "with them": getattr(with_residual, metric),
    }
    picture = plots.curves(
        list(range(n + 1)),
        {name: drawable(values) for name, values in curves_by_name.items() if any(values)},
        x_title="after block (0: input of the first)",
        y_title=title,
        log_y=True,
        revision=f"depth {n} {metric}",
    )
    picture.figure.update_xaxes(tickformat="d", dtick=1 if n <= 8 else None)
    figures.show(picture, key="c6_depth_curves")
    return without, with_residual


def _depth_sentences(text: words.Words, n: int, without, with_residual) -> None:
    """What removing the residual connections does to the gradient at the input of the first block."""
    if without.gradient_norms[0] > 0:
        first, last = with_residual.gradient_norms[0], with_residual.gradient_norms[-1]
        text.show(
            "lab_depth_explodes",
            n=n,
            powers=powers_of_ten(without.gradient_norms[0], first),
            flat=max(first / last, last / first),
        )
    else:
        zeros = sum(value == 0 for value in without.gradient_norms)
        text.show("lab_depth_dies", first=0, zeros=zeros, points=n + 1)
    text.show("lab_depth_note")


def _predict_depth(text: words.Words, n: int, norm_position: str) -> None:
    """A prediction about a deeper stack than the slider's, or about a shallower one if that is the deepest."""
    other_n = DEPTHS[DEPTHS.index(n) + 1] if n < DEPTHS[-1] else DEPTHS[-3]
    because = ""
    if st.session_state.get("c6_depth_guess") is not None:  # build a deep stack only when needed
        now, then = (
            powers_of_ten(
                *(
                    initialization.stack_profile(depth, norm_position, on, NO_EPS).gradient_norms[0]
                    for on in (False, True)
                )
            )
            for depth in (n, other_n)
        )
        because = text.read("lab_depth_predict_because", n=n, next=other_n, now=now, then=then)
    lab.predict(
        "c6_depth",
        text.read("lab_depth_predict", next=other_n, n=n),
        (
            text.read("lab_depth_predict_stay"),
            text.read("lab_depth_predict_line", times=other_n / n),
            text.read("lab_depth_predict_power"),
        ),
        right=2,
        because=because,
        then={"c6_depth_n": other_n, "c6_depth_eps": "1e-20"},
    )


@st.fragment
def after_training() -> None:
    """Gradients along the model in use, before and after training, and along a stack that the visitor trains."""
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
    initial, trained = cached.depth_profiles(session.model_in_use())
    _draw_gradients(text, initial, trained, "c6_trained_curves")
    text.show(
        "lab_trained_says",
        born=initial.relative_gradients[1],
        born_last=initial.relative_gradients[-1],
        now=trained.relative_gradients[1],
        now_last=trained.relative_gradients[-1],
        first=trained.sizes[1],
        last=trained.sizes[-1],
    )


# Learning rates: the nano preset's for Muon; for AdamW, one that trains a shallow model of this width well.
RATES = {"muon": 1e-2, "adamw": 3e-3}


def _draw_gradients(text: words.Words, initial, trained, key: str) -> None:
    n_points = len(initial.relative_gradients)
    picture = plots.curves(
        list(range(n_points)),
        {
            "at initialization": drawable(initial.relative_gradients),
            "after training": drawable(trained.relative_gradients),
        },
        x_title="after block (0: input of the first)",
        y_title=text.read("lab_trained_chart"),
        log_y=True,
        height=260,
        revision=f"{key} {n_points}",
    )
    picture.figure.update_xaxes(tickformat="d", dtick=1 if n_points <= 9 else None)
    figures.show(picture, key=key)


def _own_stack(text: words.Words) -> None:
    """Controls for a stack, the button that trains it, and the result of the last run."""
    text.show("lab_trained_own", seconds=SECONDS)
    left, right = st.columns(2, gap="large")
    with left:
        n = controls.value_slider(text.read("lab_trained_n"), "c6_trained_n", STACKS, 12)
        residual = controls.switch(text.read("lab_trained_residual"), "c6_trained_residual", True)
    with right:
        norm_position = controls.choice(
            text.read("lab_trained_place"), "c6_trained_place", NORM_POSITIONS, default="post"
        )
        optimizer = controls.choice(text.read("lab_trained_optimizer"), "c6_trained_optimizer", list(RATES))
    run = lab_runs.train(
        "c6_trained",
        text.read("lab_trained_start", seconds=SECONDS),
        lambda: request_for(n, norm_position, residual, optimizer),
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
    initial, trained = cached.depth_profiles(ModelHandle.of(run.folder))
    gradients_column, loss_column = st.columns(2, gap="medium")
    with gradients_column:
        _draw_gradients(text, initial, trained, "c6_trained_own")
    with loss_column:
        figures.show(curves.loss(history, height=260), key="c6_trained_loss")
    if zeros := sum(gradient == 0 for gradient in trained.relative_gradients):
        text.show("lab_trained_dead", zeros=zeros, points=len(trained.relative_gradients))
    else:
        after_blocks = trained.relative_gradients[1:]
        ratio = powers_of_ten(max(after_blocks), min(after_blocks))
        learns = history.val_loss[-1] < history.start["unigram"] - CLEAR
        text.show("lab_trained_learns" if learns else "lab_trained_stuck", powers=ratio)


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
