"""Chapter 0: when in its training the model learns that the pronoun depends on the name."""

import streamlit as st

from gptcore.stories.scores import reference_probe
from pages.kit import controls, event_log, figures, forward, lab, plots, session, words
from pages.kit.pronoun_story import storyteller
from pages.labs.overview.moments import Moment, moments

GRAMMAR = 0.5  # of its sentences: from here on it can be said to have some


def grammar_at(history, moment: Moment) -> float | None:
    """The share of sentences that were grammatical at the sample nearest to a moment."""
    scored = [sample for sample in history.samples if sample.get("ladder") and moment.step is not None]
    if not scored:
        return None
    return min(scored, key=lambda one: abs(one["step"] - moment.step))["ladder"]["rate"]


@st.fragment
def when_it_knows() -> None:
    """How far the name moves the pronoun, at moments of the training."""
    text = words.load("00_overview")
    with lab.frame("c0_time", text.read("lab_time_title")):
        text.show("lab_time")
        model, probes = storyteller(), reference_probe()
        session.caption_other_model(model)
        which = controls.choice(
            text.read("lab_time_probe"), "c0_time_probe", [str(i + 1) for i in range(len(probes))]
        )
        probe = probes[int(which) - 1]
        him, her = _names(probe)
        found = moments(model)
        history = event_log.read(model.path)
        she = {
            who: [forward.next_token_probabilities(m.handle, told, (probe.female_word,))[0] for m in found]
            for who, told in ((him, probe.male), (her, probe.female))
        }
        names = [_when(moment) for moment in found]
        picture = plots.columns(
            names,
            {f"after {who}": shares for who, shares in she.items()},
            y_title=text.read("lab_time_chart"),
            form=".0%",
            height=270,
            revision="c0 time",
        )
        picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
        figures.show(picture, key="c0_time_chart")
        moved = [hers - his for his, hers in zip(she[him], she[her])]
        before, after = probe.female.split(her)
        text.show(
            "lab_time_says",
            before=before.strip(),
            after=after.strip(),
            him=him,
            her=her,
            moved=100 * moved[-1],
        )
        grammar = [grammar_at(history, moment) for moment in found]
        rows = [
            f"| {name} | {his:.1%} | {hers:.1%} | {'–' if rate is None else format(rate, '.0%')} |"
            for name, his, hers, rate in zip(names, she[him], she[her], grammar)
        ]
        st.markdown(text.read("lab_time_table", him=him, her=her) + "\n" + "\n".join(rows))
        following = probes[int(which) % len(probes)]
        _ask_when(text, found, grammar, following, str(int(which) % len(probes) + 1))


def _names(probe) -> tuple[str, str]:
    """The two names in which the two beginnings of a probe differ."""
    pairs = zip(probe.male.split(), probe.female.split())
    one, other = next(pair for pair in pairs if pair[0] != pair[1])
    return one.strip(".,"), other.strip(".,")


def _when(moment: Moment) -> str:
    return f"{moment.seconds:.0f} s" if moment.seconds is not None else moment.option


def _ask_when(text: words.Words, found: list[Moment], grammar, probe, option: str) -> None:
    """Predict, for the next beginning, how far the name moves the answer when grammar is there first."""
    first = next((i for i, rate in enumerate(grammar) if rate is not None and rate >= GRAMMAR), None)
    if first is None or found[first].seconds is None:
        return
    moment, wanted = found[first], (probe.female_word,)
    hers, his = (
        forward.next_token_probabilities(moment.handle, told, wanted)[0]
        for told in (probe.female, probe.male)
    )
    move = abs(hers - his)
    lab.predict(
        "c0_time",
        text.read("lab_time_predict", option=option, seconds=f"{moment.seconds:.0f}", grammar=grammar[first]),
        (
            text.read("lab_time_predict_none"),
            text.read("lab_time_predict_some"),
            text.read("lab_time_predict_much"),
        ),
        right=0 if move < 0.05 else 1 if move <= 0.5 else 2,
        because=text.read("lab_time_because", moved=100 * move),
        then={"c0_time_probe": option},
    )
