"""Chapter 9: every sampling control over the distribution it cuts, and the text it gives."""

from collections.abc import Generator
from dataclasses import asdict, dataclass, field

import streamlit as st
import torch

from gptcore.generation.sampling import Sampling, Step, distribution, generate
from gptcore.stories.writer import PROMPTS
from gptcore.tokenizer import EOT
from pages.kit import (
    chips,
    controls,
    escape,
    figures,
    forward,
    generation_figures,
    lab,
    prompt,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.models import ModelHandle
from pages.labs.inference.race import FrameClock

N_BARS = 12
# So many tokens appear at a time: fast enough to be live, slow enough to be read and stopped.
TOKENS_A_TICK = 12
WRITE_EVERY_SECONDS = 0.15
PAST = ("stop", "slide")


@dataclass(slots=True)
class Writing:
    """A text while it is written: the tokens so far, and why it ended."""

    prompt: str
    asked: int
    steps: Generator[Step, None, str] | None
    tokens: list[int] = field(default_factory=list)
    seconds: float = 0.0
    reason: str | None = None

    def work(self, n_tokens: int) -> None:
        """Write up to so many tokens more; `reason` says why it ended, or why it cannot begin."""
        for _ in range(n_tokens):
            try:
                step = next(self.steps)
            except StopIteration as end:
                self.steps, self.reason = None, end.value
                return
            except ValueError as error:
                self.steps, self.reason = None, str(error)
                return
            self.tokens.append(step.token_id)
            self.seconds += step.seconds


@st.fragment
def choose_and_write() -> None:
    """Every sampling control over the live distribution it cuts; below, the text it gives."""
    text = words.load("09_inference")
    model = session.model_in_use()
    with lab.frame("c9_write", text.read("lab_write_title")):
        text.show("lab_write")
        typed = prompt.text_input(text.read("write_prompt"), "c9_text", PROMPTS[7], PROMPTS[4:8])
        left, right = st.columns([2, 3], gap="large")
        with left:
            filters, seed = controls.sampling("c9")
            writing(model, typed, filters, seed, text)
        with right:
            cut_distribution(model, typed, filters, seed, text)
        written_text()
        predict_greedy(model, typed[:200], text)


def predict_greedy(model: ModelHandle, typed: str, text: words.Words) -> None:
    """Temperature 0 twice: the same text, whatever the seed. Not asked of a prompt longer than the context."""
    if len(model.tokenizer.encode_prompt(typed)) > model.config.context_length:
        return
    written = forward.continuation(model, typed, 12)
    lab.predict(
        "c9_write",
        text.read("lab_write_predict"),
        (text.read("lab_write_true"), text.read("lab_write_likely"), text.read("lab_write_random")),
        right=1,
        because=text.read("lab_write_because", text="".join(token for token, _ in written).strip()),
        then={"c9_temperature": 0.0},
    )


def cut_distribution(model: ModelHandle, typed: str, filters: Sampling, seed: int, text: words.Words) -> None:
    """Draw the next-token distribution, gray where a filter cuts; of a long prompt the last half of the context."""
    ids = model.tokenizer.encode_prompt(typed)
    if len(ids) > model.config.context_length:
        ids = ids[-model.config.context_length // 2 :]
        st.caption(text.read("last_half", n=len(ids)))
    with torch.inference_mode():
        logits = model.model(torch.tensor([ids]))[0, -1]
    seen = torch.tensor(ids)
    unfiltered = Sampling(
        temperature=filters.temperature or 1.0, repetition_penalty=filters.repetition_penalty
    )
    before = distribution(logits, unfiltered, seen)
    after = distribution(logits, filters, seen)
    best = before.topk(min(N_BARS, len(before)))
    places = best.indices.tolist()
    kept = after[best.indices].tolist()
    names = [model.tokenizer.token_text(place) for place in places]
    drawn = next(iter(generate(model.model, ids, 1, seed=seed, **asdict(filters)))).token_id
    picture = generation_figures.probability_bars(
        ["(end)" if name == EOT else name for name in names],
        best.values.tolist(),
        after=kept,
        chosen=places.index(drawn) if drawn in places else None,
        height=350,
        revision="c9_cut",
    )
    n_kept = int((after > 0).sum())
    text.show(
        "kept",
        n_kept=n_kept,
        n_all=len(after),
        mass=float(before[after > 0].sum()),
        token=chips.visible(model.tokenizer.token_text(drawn)),
        p=float(after[drawn]),
    )
    figures.show(picture, key="c9_cut")


def writing(model: ModelHandle, typed: str, filters: Sampling, seed: int, text: words.Words) -> None:
    """The buttons that generate with the chosen controls, a few tokens at a time, and stop."""
    dial = Dial("", 10, 600, 10, text.read("length_help"))
    asked = controls.integer(text.read("length_label"), "c9_length", dial, 120)
    half = model.config.context_length // 2
    past = controls.choice(text.read("past_label"), "c9_past", PAST, help=text.read("past_help", half=half))
    now: Writing | None = st.session_state.get("c9_writing")
    if now is not None and now.steps is not None:
        now.work(TOKENS_A_TICK)
    busy = now is not None and now.steps is not None
    with st.container(horizontal=True):
        st.button(
            text.read("generate"),
            key="c9_generate",
            type="primary",
            icon=":material/edit:",
            disabled=busy,
            on_click=_start_writing,
            args=(typed, asked, filters, seed, past),
        )
        st.button(
            text.read("stop_button"),
            key="c9_write_stop",
            icon=":material/stop:",
            disabled=not busy,
            on_click=_stop_writing,
        )


def written_text() -> None:
    """The text so far; what is there stays when it is stopped."""
    now: Writing | None = st.session_state.get("c9_writing")
    if now is not None:
        busy = now.steps is not None
        st.fragment(_write, run_every=WRITE_EVERY_SECONDS if busy else None)(FrameClock())


def _start_writing(typed: str, asked: int, filters: Sampling, seed: int, past: str) -> None:
    model = session.model_in_use()
    ids = model.tokenizer.encode_prompt(typed)
    steps = generate(
        model.model,
        ids,
        asked,
        seed=seed,
        stop_ids=model.tokenizer.stop_ids,
        n_alternatives=0,
        past_context=past,
        **asdict(filters),
    )
    st.session_state["c9_writing"] = Writing(typed, asked, steps)


def _stop_writing() -> None:
    now: Writing | None = st.session_state.get("c9_writing")
    if now is not None and now.steps is not None:
        now.steps, now.reason = None, "stopped"


def _write(clock: FrameClock) -> None:
    """Write a few tokens and show the text so far; one run of the page at the end frees the button."""
    text = words.load("09_inference")
    model = session.model_in_use()
    now: Writing | None = st.session_state.get("c9_writing")
    if now is None:
        return
    if not clock.first() and now.steps is not None:
        now.work(TOKENS_A_TICK)
        if now.steps is None:
            st.rerun()
    body = model.tokenizer.decode(now.tokens, continues=bool(now.prompt))
    if now.tokens or now.steps is not None:
        with st.container(border=True):
            st.text(now.prompt + body)
    context = model.config.context_length
    rate = len(now.tokens) / now.seconds if now.seconds else 0.0
    if now.reason is None:
        st.caption(text.read("writing", n=len(now.tokens), asked=now.asked))
    elif now.reason == "length":
        st.caption(text.read("ended_length", n=len(now.tokens), rate=rate))
    elif now.reason == "stop":
        st.caption(text.read("ended_stop", n=len(now.tokens), rate=rate))
    elif now.reason == "context":
        st.caption(text.read("ended_context", n=len(now.tokens), rate=rate, context=context))
    elif now.reason == "stopped":
        st.caption(text.read("ended_stopped", n=len(now.tokens)))
    else:
        st.error(escape.sentence(f"{now.reason}."), icon=":material/error:")
