"""Chapter 8: the worked example, from one prediction to one updated weight."""

import math
from decimal import Decimal

import streamlit as st
import torch

from gptcore.config import PRESETS, TrainConfig
from gptcore.lessons import by_hand
from gptcore.training.optim import learning_rate, warmup_length
from pages.kit import controls, figures, latex, plots, prompt, words
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps

NAMES = ("cat", "dog", "sat", "the")
LOGITS = (2.0, 1.0, 0.5, 0.1)
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
SCHEDULE_STEPS = 100_000
GPT2_VOCABULARY = 50_257


@st.fragment
def worked_example() -> None:
    """Show the cross-entropy of one prediction, AdamW's update of one weight, and the learning-rate schedule."""
    text = words.load("08_training")
    open_ = Steps(6, key="c8_steps")
    names = [text.read("tab_prediction"), text.read("tab_weight"), text.read("tab_schedule")]
    for tab, draw in zip(
        st.tabs(names, key="c8_example"), (one_prediction, one_weight, one_schedule), strict=True
    ):
        with tab:
            draw(text, open_)


def one_prediction(text: words.Words, open_: Steps) -> None:
    """Show four logits, the actual next token, its loss, and the gradient."""
    text.show("example")
    left, right = st.columns([2, 5], gap="large")
    with left:
        logits = prompt.number_column(
            "c8_scores", NAMES, LOGITS, column="logit", note="token", low=-10, high=10
        )
    with right:
        actual = controls.choice(text.read("example_came"), "c8_came", NAMES)
    target = NAMES.index(actual)
    entropy = by_hand.cross_entropy(torch.tensor(logits), target)
    probabilities, gradients = entropy.probabilities.tolist(), entropy.gradient.tolist()
    with open_.group(3):
        if open_(text.read("example_share_title")):
            text.show("example_share")
            terms = " + ".join(f"e^{{{logit:g}}}" for logit in logits)
            st.latex(
                rf"p(\text{{{actual}}}) = \frac{{e^{{{logits[target]:g}}}}}{{{terms}}} = {probabilities[target]:.4f}"
            )
        if open_(text.read("example_loss_title")):
            text.show("example_loss")
            st.latex(rf"-\ln {probabilities[target]:.4f} = {entropy.loss:.4f}\ \text{{nats}}")
            p = controls.number(
                text.read("example_any"), "c8_p", 0.005, 1.0, 0.45, 0.005, text.read("p_help")
            )
            vocabulary = PRESETS["nano"].model.vocab_size
            text.show(
                "example_die",
                p=p,
                nats=-math.log(p),
                sides=1 / p,
                vocabulary=vocabulary,
                uniform=math.log(vocabulary),
                gpt2=GPT2_VOCABULARY,
                gpt2_uniform=math.log(GPT2_VOCABULARY),
            )
        if open_(text.read("example_pull_title")):
            text.show("example_pull", came=actual)
            cells = r" \quad ".join(
                rf"\text{{{name}}}\; {latex.number(probability, '.3f')}{' - 1' if name == actual else ' - 0'} = "
                rf"{latex.number(gradient, '.3f')}"
                for name, probability, gradient in zip(NAMES, probabilities, gradients)
            )
            st.latex(cells)


def one_weight(text: words.Words, open_: Steps) -> None:
    """Show one weight, two gradients, AdamW's moment estimates and its update."""
    text.show("example_adamw")
    columns = st.columns(5)
    names = ("adam_before", "adam_now", "adam_rate", "adam_decay", "adam_weight")
    labels = [text.read("adam_before"), text.read("adam_now"), text.read("adam_rate")]
    labels += [text.read("adam_decay"), text.read("adam_weight")]
    settings = (
        (-2.0, 2.0, 0.3, 0.1),
        (-2.0, 2.0, 0.1, 0.1),
        (0.001, 0.1, 0.01, 0.001),
        (0.0, 1.0, 0.1, 0.05),
    )
    values = []
    for column, name, label, (low, high, default, step) in zip(
        columns, names, labels, (*settings, (-2.0, 2.0, 0.5, 0.1))
    ):
        with column:
            values.append(
                controls.number(
                    label, f"c8_{name}", low, high, default, step, text.read("adam_help"), format="%.3g"
                )
            )
    *gradients, rate, decay, weight = values
    beta1, beta2 = 0.9, 0.98
    first = by_hand.adamw_step(weight, gradients[:1], rate=rate, decay=decay, beta1=beta1, beta2=beta2)
    step = by_hand.adamw_step(weight, gradients, rate=rate, decay=decay, beta1=beta1, beta2=beta2)
    n = latex.signed
    g = n(gradients[1])
    with open_.group(2):
        if open_(text.read("example_means_title")):
            text.show("example_means")
            st.latex(
                rf"m = {beta1} \cdot {n(first.first, '.5f')} + {1 - beta1:.1f} \cdot {g} = {n(step.first, '.5f')}"
                rf"\qquad v = {beta2} \cdot {n(first.second, '.5f')} + {1 - beta2:.2f} \cdot {g}^2 ="
                rf" {n(step.second, '.6f')}"
            )
            st.latex(
                rf"\hat m = \frac{{{n(step.first, '.5f')}}}{{1 - {beta1}^2}} = {n(step.first_hat)} \qquad \hat v ="
                rf" \frac{{{n(step.second, '.6f')}}}{{1 - {beta2}^2}} = {n(step.second_hat, '.5f')}"
            )
        if open_(text.read("example_move_title")):
            text.show("example_move")
            st.latex(
                rf"w = \underbrace{{{n(first.weight, '.5f')} \cdot (1 - {rate:g} \cdot {decay:g})}}_{{\text{{decay}}}}"
                rf" - {rate:g} \cdot \frac{{{n(step.first_hat)}}}{{\sqrt{{{n(step.second_hat, '.5f')}}}}} ="
                rf" {n(step.decayed, '.5f')} - {n(step.move, '.5f')} = {n(step.weight, '.5f')}"
            )
            text.show("example_size", first=abs(first.move), rate=rate, hundred=100)


def one_schedule(text: words.Words, open_: Steps) -> None:
    """Show the learning rate of every step: warm-up and half a cosine, with one step computed."""
    if not open_(text.read("example_rate_title")):
        return
    text.show("example_rate")
    left, middle, right = st.columns(3)
    with left:
        high = controls.dropdown(
            text.read("rate_full"), "c8_rate", [f"{rate:g}" for rate in RATES], default="0.0003"
        )
    with middle:
        warmup = controls.integer(
            text.read("rate_warmup"),
            "c8_warmup",
            Dial("", 0, 10_000, 500, text.read("rate_warmup_help")),
            2000,
        )
    with right:
        step = controls.integer(
            text.read("rate_step"),
            "c8_at",
            Dial("", 0, SCHEDULE_STEPS - 1000, 1000, text.read("rate_step_help")),
            50_000,
        )
    config = TrainConfig(
        steps=SCHEDULE_STEPS,
        learning_rate=float(high),
        min_learning_rate=float(high) / 30,
        warmup_steps=warmup,
    )
    warm = warmup_length(config, SCHEDULE_STEPS)
    current = learning_rate(step, config, SCHEDULE_STEPS)
    low = config.min_learning_rate
    peak, floor, rate = plain_decimal(float(high)), plain_decimal(low), plain_decimal(current)
    if step < warm:
        st.latex(rf"{peak} \cdot \frac{{{step} + 1}}{{{warm}}} = {rate}")
    else:
        part = rf"\tfrac{{{step} - {warm}}}{{{SCHEDULE_STEPS} - {warm}}}"
        st.latex(
            rf"{floor} + \tfrac12 \left(1 + \cos\left(\pi \cdot {part}\right)\right) \cdot ({peak} - {floor}) = {rate}"
        )
    steps = sorted({*range(0, SCHEDULE_STEPS, 1000), *range(0, warm, 250)})
    picture = plots.curves(
        steps,
        {"learning rate": [learning_rate(each, config, SCHEDULE_STEPS) for each in steps]},
        x_title="step",
        y_title="learning rate",
        mark_x=step,
        height=230,
        revision="c8_rate",
    )
    figures.show(picture, key="c8_rate_curve")


def plain_decimal(rate: float) -> str:
    """A learning rate with three digits in decimal notation: 0.00001, not 1e-05, which LaTeX would set as letters."""
    return format(Decimal(f"{rate:.3g}"), "f")
