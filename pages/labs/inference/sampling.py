"""Chapter 9: every sampling control with the distribution it filters, and the generated text."""

import time
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
# A text that takes longer than the first of these appears piece by piece. Most are shorter, and one run of the lab
# shows them whole: pieces, and at the end a run of the page, took a server of thirty visitors a quarter of its time.
FIRST_SECONDS = 0.8
PIECE_SECONDS = 0.15
WRITE_EVERY_SECONDS = 0.25
PAST = ("stop", "slide")


@dataclass(slots=True)
class Writing:
    """A text being generated: the tokens so far, and why it ended."""

    prompt: str
    n_requested: int
    steps: Generator[Step, None, str] | None
    tokens: list[int] = field(default_factory=list)
    seconds: float = 0.0
    reason: str | None = None

    def work(self, seconds: float) -> None:
        """Generate for about as long, at least one token; `reason` says why it ended or could not start."""
        end = time.perf_counter() + seconds
        while True:
            try:
                step = next(self.steps)
            except StopIteration as stopped:
                self.steps, self.reason = None, stopped.value
                return
            except ValueError as error:
                self.steps, self.reason = None, str(error)
                return
            self.tokens.append(step.token_id)
            self.seconds += step.seconds
            if time.perf_counter() > end:
                return


@st.fragment
def choose_and_write() -> None:
    """Every sampling control with the distribution it filters; below, the generated text."""
    text = words.load("09_inference")
    model = session.model_in_use()
    with lab.frame("c9_write", text.read("lab_write_title")):
        text.show("lab_write")
        prompt_text = prompt.text_input(text.read("write_prompt"), "c9_text", PROMPTS[7], PROMPTS[4:8])
        left, right = st.columns([2, 3], gap="large")
        with left:
            filters, seed = controls.sampling("c9")
            writing(model, prompt_text, filters, seed, text)
        with right:
            filtered_distribution(model, prompt_text, filters, seed, text)
        written_text()
        predict_greedy(model, prompt_text[:200], text)


def predict_greedy(model: ModelHandle, prompt_text: str, text: words.Words) -> None:
    """The prediction about temperature 0: the same text with every seed. Left out if the prompt exceeds the context."""
    if len(model.tokenizer.encode_prompt(prompt_text)) > model.config.context_length:
        return
    written = forward.continuation(model, prompt_text, 12)
    lab.predict(
        "c9_write",
        text.read("lab_write_predict"),
        (text.read("lab_write_true"), text.read("lab_write_likely"), text.read("lab_write_random")),
        right=1,
        because=text.read("lab_write_because", text="".join(token for token, _ in written).strip()),
        then={"c9_temperature": 0.0},
    )


def filtered_distribution(
    model: ModelHandle, prompt_text: str, filters: Sampling, seed: int, text: words.Words
) -> None:
    """Show the next-token distribution, removed tokens in gray. A long prompt is cut to half the context."""
    ids = model.tokenizer.encode_prompt(prompt_text)
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
    token_ids = best.indices.tolist()
    kept = after[best.indices].tolist()
    token_text = model.tokenizer.token_text
    names = [token_text(token_id) for token_id in token_ids]
    sampled_id = next(iter(generate(model.model, ids, 1, seed=seed, **asdict(filters)))).token_id
    picture = generation_figures.probability_bars(
        ["(end)" if name == EOT else name for name in names],
        best.values.tolist(),
        after=kept,
        chosen=token_ids.index(sampled_id) if sampled_id in token_ids else None,
        height=350,
        revision="c9_cut",
    )
    n_kept = int((after > 0).sum())
    text.show(
        "kept",
        n_kept=n_kept,
        n_all=len(after),
        mass=float(before[after > 0].sum()),
        token=chips.visible(token_text(sampled_id)),
        p=float(after[sampled_id]),
    )
    figures.show(picture, key="c9_cut")


def writing(model: ModelHandle, prompt_text: str, filters: Sampling, seed: int, text: words.Words) -> None:
    """The buttons that start and stop generation with the chosen controls."""
    dial = Dial("", 10, 600, 10, text.read("length_help"))
    n_requested = controls.integer(text.read("length_label"), "c9_length", dial, 120)
    half = model.config.context_length // 2
    past_context = controls.choice(
        text.read("past_label"), "c9_past", PAST, help=text.read("past_help", half=half)
    )
    current: Writing | None = st.session_state.get("c9_writing")
    if current is not None and current.steps is not None:
        current.work(PIECE_SECONDS)
    busy = current is not None and current.steps is not None
    with st.container(horizontal=True):
        st.button(
            text.read("generate"),
            key="c9_generate",
            type="primary",
            icon=":material/edit:",
            disabled=busy,
            on_click=_start_writing,
            args=(prompt_text, n_requested, filters, seed, past_context),
        )
        st.button(
            text.read("stop_button"),
            key="c9_write_stop",
            icon=":material/stop:",
            disabled=not busy,
            on_click=_stop_writing,
        )


def written_text() -> None:
    """The text so far; it stays when generation is stopped."""
    current: Writing | None = st.session_state.get("c9_writing")
    if current is not None:
        busy = current.steps is not None
        st.fragment(_write, run_every=WRITE_EVERY_SECONDS if busy else None)(FrameClock())


def _start_writing(
    prompt_text: str, n_requested: int, filters: Sampling, seed: int, past_context: str
) -> None:
    model = session.model_in_use()
    ids = model.tokenizer.encode_prompt(prompt_text)
    steps = generate(
        model.model,
        ids,
        n_requested,
        seed=seed,
        stop_ids=model.tokenizer.stop_ids,
        n_alternatives=0,
        past_context=past_context,
        **asdict(filters),
    )
    current = st.session_state["c9_writing"] = Writing(prompt_text, n_requested, steps)
    current.work(FIRST_SECONDS)


def _stop_writing() -> None:
    current: Writing | None = st.session_state.get("c9_writing")
    if current is not None and current.steps is not None:
        current.steps, current.reason = None, "stopped"


def _write(clock: FrameClock) -> None:
    """Generate the next piece and show the text so far; at the end, one run of the page enables the button."""
    text = words.load("09_inference")
    model = session.model_in_use()
    current: Writing | None = st.session_state.get("c9_writing")
    if current is None:
        return
    if not clock.first() and current.steps is not None:
        current.work(PIECE_SECONDS)
        if current.steps is None:
            st.rerun()
    body = model.tokenizer.decode(current.tokens, continues=bool(current.prompt))
    if current.tokens or current.steps is not None:
        with st.container(border=True):
            st.text(current.prompt + body)
    context = model.config.context_length
    rate = len(current.tokens) / current.seconds if current.seconds else 0.0
    if current.reason is None:
        st.caption(text.read("writing", n=len(current.tokens), n_requested=current.n_requested))
    elif current.reason == "length":
        st.caption(text.read("ended_length", n=len(current.tokens), rate=rate))
    elif current.reason == "stop":
        st.caption(text.read("ended_stop", n=len(current.tokens), rate=rate))
    elif current.reason == "context":
        st.caption(text.read("ended_context", n=len(current.tokens), rate=rate, context=context))
    elif current.reason == "stopped":
        st.caption(text.read("ended_stopped", n=len(current.tokens)))
    else:
        st.error(escape.sentence(f"{current.reason}."), icon=":material/error:")
