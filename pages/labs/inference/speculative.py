"""Chapter 9: guessing ahead, by calls, by cost, and by the clock."""

import streamlit as st

from gptcore.experiments.measurements.speculative import SpeculativeTiming
from gptcore.generation.speculative import Cycle, DraftToken, expected_speedup, expected_tokens
from pages.kit import chips, controls, escape, figures, lab, plots, prompt, session, words
from pages.kit.controls import Dial
from pages.kit.models import ModelHandle
from pages.labs.inference import cached

BEGINNING = "Long ago, a king"
N_NEW = 48
MOST_AHEAD = 12
CHANCES = tuple(step / 20 for step in range(21))


@st.fragment
def speculative_decoding() -> None:
    """A text written by guessing ahead: what was kept, how many passes it took, what that would cost and did cost."""
    text = words.load("09_inference")
    with lab.frame("c9_ahead", text.read("lab_ahead_title")):
        text.show("lab_ahead")
        with st.expander(text.read("lab_ahead_rule_title"), icon=":material/help:"):
            text.show("lab_ahead_rule", back=cached.COUNTED_ORDER - 1, stories=cached.COUNTED_STORIES)
        model = session.model_in_use()
        drafts = cached.drafts(model)
        if st.session_state.get("c9_ahead_draft", drafts[0]) not in drafts:
            del st.session_state["c9_ahead_draft"]  # chosen while a model with a younger self was in use
        one, two = st.columns([2, 3], gap="large")
        with one:
            typed = prompt.text_input(text.read("lab_ahead_prompt"), "c9_ahead_prompt", BEGINNING)
        with two:
            draft = controls.choice(text.read("lab_ahead_draft"), "c9_ahead_draft", drafts)
        left, middle, right = st.columns(3, gap="large")
        with left:
            dial = Dial("", 1, MOST_AHEAD, 1, text.read("lab_ahead_k_help"))
            n_ahead = controls.integer(text.read("lab_ahead_k"), "c9_ahead_k", dial, 4)
        with middle:
            temperature = controls.number(
                "Temperature", "c9_ahead_t", 0.0, 2.0, 0.8, 0.1, text.read("lab_ahead_t_help")
            )
        with right:
            seed = controls.seed("c9_ahead_seed")
        try:
            found = cached.speculative_timing(model, typed, draft, n_ahead, temperature, seed, N_NEW)
        except ValueError as error:
            st.error(escape.sentence(f"{error}."), icon=":material/error:")
            return
        names = [text.read("tab_kept"), text.read("tab_price")]
        kept, priced = st.tabs(names, key="c9_ahead_tabs", on_change="rerun")
        with kept:
            draft_strip(text, found, model)
            calls(text, found, n_ahead)
        with priced:
            price = cost(text, found, n_ahead)
        predict(text, found, n_ahead, price)


def draft_strip(text: words.Words, found: SpeculativeTiming, model: ModelHandle) -> None:
    """Every guess in its colour, cycle by cycle, and the tokens the target added."""
    st.markdown(f"**{text.read('lab_ahead_strip')}**")
    tokens: list[chips.Chip] = []
    for number, cycle in enumerate(found.cycles, start=1):
        tokens.append(chips.Chip(f"{number}", "count", ""))
        tokens += [draft_chip(one, cycle, model) for one in cycle.drafted]
        tokens.append(
            chips.Chip(
                token_name(cycle.next_id, model),
                "new",
                text.read("lab_ahead_bonus") if cycle.is_bonus else text.read("lab_ahead_resampled"),
            )
        )
    chips.strip(tokens, key="c9_ahead_strip", label=text.read("lab_ahead_strip"))
    chips.strip(
        [
            chips.Chip(text.read("lab_ahead_kept"), "kept"),
            chips.Chip(text.read("lab_ahead_refused"), "refused"),
            chips.Chip(text.read("lab_ahead_unjudged"), "unjudged"),
            chips.Chip(text.read("lab_ahead_own"), "new"),
        ],
        key="c9_ahead_legend",
        label=text.read("lab_ahead_legend"),
    )


def token_name(token_id: int, model: ModelHandle) -> str:
    """A token as it stands on a chip."""
    return (
        "(end)" if token_id == model.tokenizer.eot_id else chips.visible(model.tokenizer.token_text(token_id))
    )


def draft_chip(one: DraftToken, cycle: Cycle, model: ModelHandle) -> chips.Chip:
    """One guess as a chip; its note tells both chances."""
    kind = {True: "kept", False: "refused", None: "unjudged"}[one.kept]
    note = f"p {one.p:.1%}, q {one.q:.1%}, kept with the chance {min(1.0, one.p / one.q):.0%}"
    return chips.Chip(
        token_name(one.token_id, model),
        kind,
        note if one.kept is not None else "",
    )


def calls(text: words.Words, found: SpeculativeTiming, n_ahead: int) -> None:
    """Tokens a pass: as counted, and as the formula says for the measured share."""
    chance = found.acceptance
    text.show(
        "lab_ahead_calls",
        n=found.n_tokens,
        passes=len(found.cycles),
        each=found.n_tokens / len(found.cycles),
        judged=found.n_judged,
        kept=found.n_kept,
        chance=chance,
    )
    terms = " + ".join(("1", rf"{chance:.2f}", *(rf"{chance:.2f}^{{{k}}}" for k in range(2, n_ahead + 1))))
    if n_ahead > 3:
        terms = rf"1 + {chance:.2f} + \dots + {chance:.2f}^{{{n_ahead}}}"
    st.latex(rf"1 + \alpha + \dots + \alpha^K = {terms} = {expected_tokens(chance, n_ahead):.2f}")


def cost(text: words.Words, found: SpeculativeTiming, n_ahead: int) -> float:
    """What the calls are worth at a chosen price of a guess, and what the clock said here; returns the price."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        price = controls.number(
            text.read("lab_ahead_c"), "c9_ahead_c", 0.0, 1.0, 0.1, 0.05, text.read("lab_ahead_c_help")
        )
        describe_cost(text, found, n_ahead, price)
    with right:
        figures.show(speed_curves(text, found, n_ahead, price), key="c9_ahead_chart")
    with st.expander(text.read("lab_ahead_clock_title"), icon=":material/timer:"):
        describe_clock(text, found, n_ahead)
    return price


def describe_cost(text: words.Words, found: SpeculativeTiming, n_ahead: int, price: float) -> None:
    """What a cycle costs at this price, and how many times as fast that is."""
    chance = found.acceptance
    tokens, speed = expected_tokens(chance, n_ahead), expected_speedup(chance, n_ahead, price)
    text.show(
        "lab_ahead_cost",
        ahead=n_ahead,
        c=price,
        tokens=tokens,
        cost=1 + n_ahead * price,
        speed=speed,
    )


def describe_clock(text: words.Words, found: SpeculativeTiming, n_ahead: int) -> None:
    """What the clock said here, against what the formula says."""
    reading, guessed = (
        found.seconds_per_check / found.seconds_per_token,
        found.seconds_per_draft / found.seconds_per_token,
    )
    text.show(
        "lab_ahead_clock",
        speedup=found.speedup,
        plain=1000 * found.seconds_per_token,
        c=guessed,
        reading=reading,
        ahead=n_ahead + 1,
        cost=reading + n_ahead * guessed,
    )


def speed_curves(text: words.Words, found: SpeculativeTiming, n_ahead: int, price: float) -> figures.Picture:
    """How many times as fast by the formula, against the fraction kept; the star is what was measured."""
    chance = found.acceptance
    picture = plots.curves(
        CHANCES,
        {
            f"{k} drafted": [expected_speedup(one, k, price) for one in CHANCES]
            for k in dict.fromkeys((1, n_ahead, MOST_AHEAD))
        },
        x_title="α, fraction of drafted tokens kept",
        y_title="times as fast",
        mark_x=chance,
        height=280,
        revision="c9_ahead",
    )
    figure = picture.figure
    figure.add_hline(y=1, line={"color": figures.GREY, "dash": "dot"})
    figure.add_scatter(
        x=[chance],
        y=[found.speedup],
        mode="markers",
        name=text.read("lab_ahead_here"),
        marker={"color": figures.VERMILION, "symbol": "star", "size": 14},
        hovertemplate=text.read("lab_ahead_here") + " %{y:.2f}<extra></extra>",
    )
    alt = f"{picture.alt} {text.read('lab_ahead_here')}: {found.speedup:.2f} at α {chance:.2f}."
    return figures.Picture(figure, alt)


def predict(text: words.Words, found: SpeculativeTiming, n_ahead: int, price: float) -> None:
    """Does drafting far more help? What the formula says at the measured share and the price on the slider."""
    chance = found.acceptance
    now, then = (expected_speedup(chance, k, price) for k in (n_ahead, MOST_AHEAD))
    options = (text.read("lab_ahead_faster"), text.read("lab_ahead_slower"), text.read("lab_ahead_even"))
    right = 2 if abs(then - now) < 0.005 else 0 if then > now else 1
    lab.predict(
        "c9_ahead",
        text.read("lab_ahead_predict", most=MOST_AHEAD, ahead=n_ahead),
        options,
        right=right,
        because=text.read(
            "lab_ahead_because",
            most=MOST_AHEAD,
            chance=chance,
            tokens=expected_tokens(chance, MOST_AHEAD),
            before=expected_tokens(chance, n_ahead),
            limit=1 / (1 - chance) if chance < 1 else float("inf"),
            cost=1 + MOST_AHEAD * price,
            then=then,
            now=now,
        ),
        then={"c9_ahead_k": MOST_AHEAD, "c9_ahead_tabs": text.read("tab_price")},
    )
