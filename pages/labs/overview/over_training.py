"""Chapter 0: when in its training the model learns that the pronoun depends on the name."""

import streamlit as st

from gptcore.stories.scores import reference_probe
from pages.kit import controls, event_log, figures, forward, lab, plots, session, words
from pages.kit.pronoun_story import storyteller
from pages.labs.overview.moments import Moment, moments

GRAMMAR = 0.5  # fraction of grammatical sentences from which the prediction calls the grammar learned


def grammar_at(history, moment: Moment) -> float | None:
    """The fraction of grammatical sentences in the sample nearest to a moment."""
    scored = [sample for sample in history.samples if sample.get("ladder") and moment.step is not None]
    if not scored:
        return None
    return min(scored, key=lambda sample: abs(sample["step"] - moment.step))["ladder"]["rate"]


@st.fragment
def when_it_knows() -> None:
    """How much the name changes the probability of the pronoun, at moments of training."""
    text = words.load("00_overview")
    with lab.frame("c0_time", text.read("lab_time_title")):
        text.show("lab_time")
        model, probes = storyteller(), reference_probe()
        session.caption_other_model(model)
        probe_number = controls.choice(
            text.read("lab_time_probe"), "c0_time_probe", [str(i + 1) for i in range(len(probes))]
        )
        probe = probes[int(probe_number) - 1]
        him, her = _names(probe)
        shown_moments = moments(model)
        history = event_log.read(model.path)
        she = {
            who: [
                forward.next_token_probabilities(moment.handle, beginning, (probe.female_word,))[0]
                for moment in shown_moments
            ]
            for who, beginning in ((him, probe.male), (her, probe.female))
        }
        labels = [_moment_label(moment) for moment in shown_moments]
        picture = plots.columns(
            labels,
            {f"after {who}": shares for who, shares in she.items()},
            y_title=text.read("lab_time_chart"),
            form=".0%",
            height=270,
            revision="c0 time",
        )
        picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
        figures.show(picture, key="c0_time_chart")
        name_effects = [hers - his for his, hers in zip(she[him], she[her])]
        before, after = probe.female.split(her)
        text.show(
            "lab_time_says",
            before=before.strip(),
            after=after.strip(),
            him=him,
            her=her,
            moved=100 * name_effects[-1],
        )
        grammar = [grammar_at(history, moment) for moment in shown_moments]
        rows = [
            f"| {name} | {his:.1%} | {hers:.1%} | {'–' if rate is None else format(rate, '.0%')} |"
            for name, his, hers, rate in zip(labels, she[him], she[her], grammar)
        ]
        st.markdown(text.read("lab_time_table", him=him, her=her) + "\n" + "\n".join(rows))
        following = probes[int(probe_number) % len(probes)]
        _predict_effect(text, shown_moments, grammar, following, str(int(probe_number) % len(probes) + 1))


def _names(probe) -> tuple[str, str]:
    """The two names in which the two beginnings of a probe differ."""
    pairs = zip(probe.male.split(), probe.female.split())
    male_name, female_name = next(pair for pair in pairs if pair[0] != pair[1])
    return male_name.strip(".,"), female_name.strip(".,")


def _moment_label(moment: Moment) -> str:
    return f"{moment.seconds:.0f} s" if moment.seconds is not None else moment.option


def _predict_effect(text: words.Words, shown_moments: list[Moment], grammar, probe, option: str) -> None:
    """Predict, for the next beginning, the effect of the name at the first moment with good grammar."""
    first = next((i for i, rate in enumerate(grammar) if rate is not None and rate >= GRAMMAR), None)
    if first is None or shown_moments[first].seconds is None:
        return
    moment, wanted = shown_moments[first], (probe.female_word,)
    hers, his = (
        forward.next_token_probabilities(moment.handle, beginning, wanted)[0]
        for beginning in (probe.female, probe.male)
    )
    name_effect = abs(hers - his)
    lab.predict(
        "c0_time",
        text.read("lab_time_predict", option=option, seconds=f"{moment.seconds:.0f}", grammar=grammar[first]),
        (
            text.read("lab_time_predict_none"),
            text.read("lab_time_predict_some"),
            text.read("lab_time_predict_much"),
        ),
        right=0 if name_effect < 0.05 else 1 if name_effect <= 0.5 else 2,
        because=text.read("lab_time_because", moved=100 * name_effect),
        then={"c0_time_probe": option},
    )
