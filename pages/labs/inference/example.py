"""Chapter 9: temperature, top-k, top-p and sampling one token by hand."""

from collections.abc import Sequence

import streamlit as st
import torch

from gptcore.generation.sampling import Sampling
from gptcore.lessons import by_hand
from pages.kit import controls, figures, generation_figures, latex, prompt, replay, words
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps

NINE = (0.45, 0.22, 0.13, 0.08, 0.05, 0.03, 0.02, 0.01, 0.01)
FOUR = (2.0, 1.0, 0.5, 0.1)
FOUR_NAMES = ("a", "b", "c", "d")
TEMPERATURES = (0.5, 1.0, 2.0)


@st.fragment
def worked_example() -> None:
    """From four logits to probabilities at three temperatures; two filters on nine probabilities; one sampled token."""
    text = words.load("09_inference")
    open_ = Steps(6, key="c9_steps")
    temperature_tab, filter_tab = st.tabs(
        [text.read("tab_temperatures"), text.read("tab_filters")], key="c9_example"
    )
    with temperature_tab:
        three_temperatures(text, open_)
    with filter_tab:
        nine_probabilities(text, open_)


def three_temperatures(text: words.Words, open_: Steps) -> None:
    """Softmax of four editable logits at three temperatures."""
    text.show("example")
    left, right = st.columns([2, 5], gap="large")
    with left:
        logits = prompt.number_column(
            "c9_scores",
            FOUR_NAMES,
            FOUR,
            column="logit",
            note="token",
            low=-10,
            high=10,
        )
    steps = {temperature: by_hand.softmax(torch.tensor(logits), temperature) for temperature in TEMPERATURES}
    low = TEMPERATURES[0]
    with right:
        for column, temperature in zip(st.columns(3), TEMPERATURES, strict=True):
            with column:
                st.markdown(f"**T = {temperature:g}**")
                probabilities = steps[temperature].probabilities.tolist()
                replay.pick(
                    [replay.Candidate(name, p) for name, p in zip(FOUR_NAMES, probabilities, strict=True)],
                    key=f"c9_t{temperature:g}".replace(".", "_"),
                    label=text.read("temperature_label", temperature=temperature),
                )
    with open_.group(3):
        if open_(text.read("example_divide_title")):
            text.show("example_divide")
            rows = [logits, *(steps[temperature].scaled.tolist() for temperature in TEMPERATURES)]
            st.latex(_rows(("z", *(rf"z / {temperature:g}" for temperature in TEMPERATURES)), rows, ".3f"))
        if open_(text.read("example_exp_title")):
            text.show("example_exp")
            rows = [steps[temperature].exponentials.tolist() for temperature in TEMPERATURES]
            st.latex(_rows([rf"e^{{z / {temperature:g}}}" for temperature in TEMPERATURES], rows, ".3f"))
        if open_(text.read("example_share_title")):
            text.show("example_share")
            rows = [steps[temperature].probabilities.tolist() for temperature in TEMPERATURES]
            st.latex(_rows([rf"p_{{T={temperature:g}}}" for temperature in TEMPERATURES], rows, ".3f"))
            terms = " + ".join(f"e^{{{logit:g}/{low:g}}}" for logit in logits)
            st.latex(
                rf"p_{{T={low:g}}}(a) ="
                rf" \frac{{e^{{{logits[0]:g}/{low:g}}}}}{{{terms}}} = {steps[low].probabilities[0].item():.3f}"
            )


def _rows(names: Sequence[str], rows: Sequence[Sequence[float]], form: str) -> str:
    """Named rows of numbers as an aligned LaTeX block."""
    lines = [
        f"{name} &= " + r" \quad ".join(latex.number(value, form) for value in row)
        for name, row in zip(names, rows, strict=True)
    ]
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


def _filtered_bars(
    label: str, names: Sequence[str], given: Sequence[float], filtered: Sequence[float], key: str
) -> None:
    """The probabilities before a filter: kept ones with their new value, removed ones in gray."""
    st.markdown(f"**{label}** keeps {sum(probability > 0 for probability in filtered)}")
    picture = generation_figures.probability_bars(
        names,
        given,
        after=filtered,
        height=270,
        revision=key,
    )
    figures.show(picture, key=key)


def nine_probabilities(text: words.Words, open_: Steps) -> None:
    """Top-k and top-p on nine editable probabilities; then one sampled token."""
    text.show("example_filters")
    names = tuple(str(number) for number in range(1, len(NINE) + 1))
    left, right = st.columns([2, 5], gap="large")
    with left:
        weights = prompt.number_column(
            "c9_nine", names, NINE, column="probability", note="token", low=0.0, high=1.0
        )
    with right:
        k = controls.integer("Top-k", "c9_nine_k", Dial("", 1, len(NINE), 1, text.read("k_help")), 3)
        p = controls.number("Top-p", "c9_nine_p", 0.05, 1.0, 0.9, 0.05, text.read("p_help"))
        total = sum(weights)
        if total <= 0:
            st.error(text.read("no_shares"), icon=":material/error:")
            return
        given = torch.tensor([weight / total for weight in weights])
        with_top_k = by_hand.filter_probabilities(given, Sampling(top_k=k))
        with_top_p = by_hand.filter_probabilities(given, Sampling(top_p=p))
        top_k_column, top_p_column = st.columns(2)
        with top_k_column:
            _filtered_bars(f"top-k = {k}", names, given.tolist(), with_top_k.after.tolist(), "c9_nine_top_k")
        with top_p_column:
            _filtered_bars(
                f"top-p = {p:g}", names, given.tolist(), with_top_p.after.tolist(), "c9_nine_top_p"
            )
    if abs(total - 1) > 1e-6:
        text.show("rescaled", total=total)
    top_p_steps(text, open_, with_top_p, p)


def top_p_steps(text: words.Words, open_: Steps, filtered: by_hand.FilteredProbabilities, p: float) -> None:
    """The steps of top-p on the nine probabilities: cumulative sum, renormalization, one sampled token."""
    n_kept = int(filtered.kept.sum())
    with open_.group(3):
        if open_(text.read("example_running_title")):
            before = filtered.running[n_kept - 2].item() if n_kept > 1 else 0.0
            text.show(
                "example_running", p=p, n=n_kept, before=before, reached=filtered.running[n_kept - 1].item()
            )
            st.latex(
                _rows(("p", r"\text{sum}"), (filtered.sorted.tolist(), filtered.running.tolist()), ".3f")
            )
        if open_(text.read("example_again_title")):
            text.show("example_again", mass=filtered.mass)
            after = filtered.after[filtered.order][:n_kept].tolist()
            parts = r" \quad ".join(
                rf"\tfrac{{{latex.number(old, '.3f')}}}{{{latex.number(filtered.mass, '.3f')}}} = {new:.3f}"
                for old, new in zip(filtered.sorted.tolist(), after)
            )
            st.latex(parts)
        if open_(text.read("example_draw_title")):
            u = controls.number(
                text.read("example_draw_u"), "c9_u", 0.0, 0.99, 0.6, 0.01, text.read("u_help")
            )
            token = by_hand.token_at(filtered.after, u)
            ends = filtered.after.cumsum(0).tolist()
            start = ends[token] - filtered.after[token].item()
            text.show("example_draw", u=u, token=token + 1, start=start, end=ends[token])
