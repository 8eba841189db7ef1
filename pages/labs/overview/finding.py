"""Chapter 0: a story that writes itself, with a name and a moment of training to change."""

import streamlit as st

from gptcore.account import n_parameters
from gptcore.tokenizer import EOT
from pages.kit import event_log, forward, links, live, replay, session, story_data, words
from pages.kit.models import ModelHandle
from pages.kit.pronoun_story import PronounStory, pronoun_story, storyteller
from pages.labs.overview.moments import FULL, Moment, moments

LONGEST_TABLE = 7  # words in the longest sequences that are counted for comparison
STORY_TOKENS = 90


@st.fragment
def pronoun_swap() -> None:
    """A story writes itself; the name in it and the seconds of training can be changed."""
    text = words.load("00_overview")
    model = storyteller()
    session.caption_other_model(model)
    choices = {moment.option: moment for moment in moments(model)}
    story = pronoun_story()
    # The controls stand below the story and are made before it, so that it follows a link from the start.
    above = st.container()
    left, right = st.columns(2, gap="large")
    with left:
        bind = links.check("c0_name", links.Choice(story.names))
        name = st.segmented_control(
            text.read("name_label"),
            story.names,
            default=story.names[1],
            required=True,
            key="c0_name",
            bind=bind,
        )
    with right:
        options = list(choices)
        if st.session_state.get("c0_seconds", FULL) not in options:
            del st.session_state["c0_seconds"]  # chosen while another model was in use
        bind = links.check("c0_seconds", links.Choice(options))
        option = st.select_slider(text.read("seconds_label"), options, FULL, key="c0_seconds", bind=bind)
    moment = choices[option]
    steps = forward.continuation(moment.handle, story.with_name(name), STORY_TOKENS)
    duel = []
    for one in story.names:
        shares = forward.next_token_probabilities(moment.handle, story.with_name(one), story.pronouns)
        duel.append(replay.Duel(one, list(zip(story.pronouns, shares)), one == name))
    with above:
        replay.story(
            (story.before, name, story.after),
            [replay.Written(token, shown(top)) for token, top in steps],
            key="c0_story",
            play=f"{model.name} {moment.option} {name}",
            title=text.read("bars_title"),
            swap=text.read("swap"),
            on_swap=_swap,
            duel=duel,
            duel_title=text.read("duel_title", distance=story.words_back),
        )
    verdict(duel, story, text)
    st.markdown(numbers_line(model, moment, text))


def shown(top: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Tokens as they are drawn: the end of a text is no word."""
    return [("(end)" if token == EOT else token, p) for token, p in top]


def _swap() -> None:
    first, second = pronoun_story().names
    st.session_state["c0_name"] = first if st.session_state.get("c0_name", second) == second else second


def verdict(duel: list[replay.Duel], story: PronounStory, text: words.Words) -> None:
    """Say whether the pronoun follows the name, as measured just now."""
    (him, his), (her, hers) = ((one.name, dict(one.shares)) for one in duel)
    he, she = story.pronouns
    follows = his[he] > his[she] and hers[she] > hers[he]
    moved = abs(his[he] - hers[he]) + abs(his[she] - hers[she])
    distance, table = story.words_back, LONGEST_TABLE
    if follows:
        text.show("follows", him=him, her=her, distance=distance, table=table, before=table - 1)
    elif moved > 0.05:
        text.show("follows_half", moved=100 * moved, him=him, her=her)
    else:
        text.show("blind", him=him, her=her, moved=100 * moved)


def numbers_line(model: ModelHandle, moment: Moment, text: words.Words) -> str:
    """Weights, training and worth of the model at this moment, from the events of its run."""
    past = event_log.read(model.path)
    line = [text.read("weights", millions=n_parameters(model.config) / 1e6)]
    if past.start and moment.step is not None:
        threads = past.start.get("threads", 1)
        line.append(
            text.read(
                "trained",
                time=live.duration(moment.seconds or 0),
                threads=threads,
                s="" if threads == 1 else "s",
            )
        )
    scored = [sample for sample in past.samples if sample.get("ladder") and moment.step is not None]
    if scored:
        sample = min(scored, key=lambda one: abs(one["step"] - moment.step))
        line.append(
            text.read("worth", new=100 * sample["ladder"]["new"], sentences=sample["ladder"]["sentences"])
        )
        if tables := story_data.table_scores():
            line.append(text.read("tables", best=100 * max(scores["new"] for scores in tables.values())))
    return " ".join(line)
