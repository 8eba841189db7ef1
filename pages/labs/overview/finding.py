"""Chapter 0: a model writes a story, with a name and a moment of training to change."""

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
    """A model writes a story; the name in it and the seconds of training can be changed."""
    text = words.load("00_overview")
    model = storyteller()
    session.caption_other_model(model)
    choices = {moment.option: moment for moment in moments(model)}
    story = pronoun_story()
    # The controls appear below the story but are created first, so that the story uses a link's values at once.
    story_area = st.container()
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
    for other_name in story.names:
        probabilities = forward.next_token_probabilities(
            moment.handle, story.with_name(other_name), story.pronouns
        )
        duel.append(replay.Duel(other_name, list(zip(story.pronouns, probabilities)), other_name == name))
    with story_area:
        replay.story(
            (story.before, name, story.after),
            [replay.Written(token, shown(top)) for token, top in steps],
            key="c0_story",
            play=f"{model.name} {moment.option} {name}",
            title=text.read("bars_title"),
            swap=text.read("swap"),
            on_swap=_swap_name,
            duel=duel,
            duel_title=text.read("duel_title", distance=story.words_back),
        )
    verdict(duel, story, text)
    st.markdown(numbers_line(model, moment, text))


def shown(top: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Tokens as the widget draws them: the end-of-text token is shown as (end)."""
    return [("(end)" if token == EOT else token, p) for token, p in top]


def _swap_name() -> None:
    first, second = pronoun_story().names
    st.session_state["c0_name"] = first if st.session_state.get("c0_name", second) == second else second


def verdict(duel: list[replay.Duel], story: PronounStory, text: words.Words) -> None:
    """Show whether the predicted pronoun depends on the name, in this measurement."""
    (him, after_him), (her, after_her) = ((side.name, dict(side.shares)) for side in duel)
    he, she = story.pronouns
    follows = after_him[he] > after_him[she] and after_her[she] > after_her[he]
    moved = abs(after_him[he] - after_her[he]) + abs(after_him[she] - after_her[she])
    distance, table = story.words_back, LONGEST_TABLE
    if follows:
        text.show("follows", him=him, her=her, distance=distance, table=table, before=table - 1)
    elif moved > 0.05:
        text.show("follows_half", moved=100 * moved, him=him, her=her)
    else:
        text.show("blind", him=him, her=her, moved=100 * moved)


def numbers_line(model: ModelHandle, moment: Moment, text: words.Words) -> str:
    """Parameters, training and story scores of the model at this moment, from the events of its run."""
    history = event_log.read(model.path)
    sentences = [text.read("weights", millions=n_parameters(model.config) / 1e6)]
    if history.start and moment.step is not None:
        threads = history.start.get("threads", 1)
        sentences.append(
            text.read(
                "trained",
                time=live.duration(moment.seconds or 0),
                threads=threads,
                s="" if threads == 1 else "s",
            )
        )
    scored = [sample for sample in history.samples if sample.get("ladder") and moment.step is not None]
    if scored:
        sample = min(scored, key=lambda candidate: abs(candidate["step"] - moment.step))
        sentences.append(
            text.read("worth", new=100 * sample["ladder"]["new"], sentences=sample["ladder"]["sentences"])
        )
        if tables := story_data.table_scores():
            sentences.append(text.read("tables", best=100 * max(scores["new"] for scores in tables.values())))
    return " ".join(sentences)
