"""Chapter 0: what the trained and the untrained model predict after any prompt."""

import streamlit as st

from gptcore.generation.sampling import generate
from gptcore.stories.parser import word_known
from gptcore.stories.writer import PROMPTS
from gptcore.tokenizer import EOT
from pages.kit import (
    chips,
    escape,
    event_log,
    forward,
    initialization,
    lab,
    links,
    prompt,
    replay,
    session,
    words,
)
from pages.kit.chips import visible
from pages.kit.models import ModelHandle
from pages.labs.overview.example import N_CANDIDATES

FIRST_PROMPT = "Once upon a time"
# From outside the world of the stories, to show what the model predicts there.
OUT_OF_DOMAIN = ("The king opened his laptop and", "Photosynthesis is")


def prompts() -> tuple[str, ...]:
    """The prompts offered as buttons: three from the story world, the others from outside it."""
    return (FIRST_PROMPT, PROMPTS[0], PROMPTS[7], *OUT_OF_DOMAIN)


@st.fragment
def continuations() -> None:
    """Type a prompt, see what the trained and the untrained model predict, append a token by clicking."""
    text = words.load("00_overview")
    with lab.frame("c0_next", text.read("lab_next_title")):
        text.show("lab_next")
        _continuations(text)


def _continuations(text: words.Words) -> None:
    model = session.model_in_use()
    typed = prompt.text_input(text.read("prompt_label"), "c0_prompt", FIRST_PROMPT, prompts())
    is_known = story_word if model.learned_from_stories() else None
    token_strip = prompt.token_chips(typed, model.tokenizer, is_known)
    chips.strip(token_strip, key="c0_pieces", label="The tokens of the prompt")
    training_data_note(model, any(chip.kind == "unknown" for chip in token_strip), text)
    ids = model.tokenizer.encode_prompt(typed)
    try:
        trained = next(generate(model.model, ids, 1, temperature=0.0, n_alternatives=N_CANDIDATES))
        untrained = next(
            generate(
                initialization.untrained(model.config), ids, 1, temperature=0.0, n_alternatives=N_CANDIDATES
            )
        )
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        return
    left, right = st.columns(2, gap="large")
    token_text = model.tokenizer.token_text
    for column, title, step, key in (
        (left, "bars_trained", trained, "c0_trained"),
        (right, "bars_untrained", untrained, "c0_untrained"),
    ):
        with column:
            st.markdown(f"**{text.read(title)}**")
            rows = [(token_text(i), p) for i, p in step.alternatives]
            tokens = [token for token, _ in rows]
            replay.pick(
                [
                    replay.Candidate(
                        "(end)" if token == EOT else token, p, token != EOT and "\\x" not in token
                    )
                    for token, p in rows
                ],
                key=key,
                label=text.read(title),
                hint=text.read("pick_hint"),
                on_pick=lambda index, tokens=tokens: _append(tokens[index]),
            )
    follow = forward.continuation(model, typed, 24)
    st.markdown(f"**{text.read('follow')}**")
    st.text(typed + "".join(token for token, _ in follow))
    with st.container(horizontal=True):
        st.button(
            text.read("take_back"),
            key="c0_back",
            icon=":material/undo:",
            on_click=_remove_last,
            disabled=not typed,
        )
    _predict_effect(text, model, typed, trained)


def _predict_effect(text: words.Words, model: ModelHandle, typed: str, trained) -> None:
    """Predict how the story continues after its fifth most probable token is appended."""
    rank = 4
    if len(trained.alternatives) <= rank or len(typed) > links.LONGEST:
        return
    token = model.tokenizer.token_text(trained.alternatives[rank][0])
    if token == EOT or "\\x" in token:
        return
    before, after = (
        "".join(written for written, _ in forward.continuation(model, start, 12))
        for start in (typed, typed + token)
    )
    lab.predict(
        "c0_next",
        text.read("lab_next_predict", token=visible(token), place=rank + 1, p=trained.alternatives[rank][1]),
        (text.read("lab_next_predict_back"), text.read("lab_next_predict_along")),
        right=0 if after and before.endswith(after[: len(before) // 2]) else 1,
        because=text.read("lab_next_because", before=before.strip(), after=(token + after).strip()),
        then={"c0_prompt": typed + token},
    )


def _append(token: str) -> None:
    st.session_state["c0_prompt"] = st.session_state.get("c0_prompt", FIRST_PROMPT) + token


def _remove_last() -> None:
    tokenizer = session.model_in_use().tokenizer
    ids = tokenizer.encode(st.session_state["c0_prompt"])
    st.session_state["c0_prompt"] = tokenizer.decode(ids[:-1])


def story_word(word: str) -> bool:
    """Whether the story world has this word."""
    return word_known(word)


def training_data_note(model: ModelHandle, has_unknown: bool, text: words.Words) -> None:
    """One sentence on the model's training data, and on the hatched tokens if there are any."""
    history = event_log.read(model.path)
    if not model.learned_from_stories():
        text.show("read_other", label=session.model_label(model))
    elif has_unknown:
        text.show("read_strange")
    elif history.start:
        text.show("read_stories", tokens=history.tokens)
    else:
        text.show("read_only_stories")
