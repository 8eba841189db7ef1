"""Chapter 11: frequently asked questions with short answers, whose numbers are computed when one is opened."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import streamlit as st

from gptcore.account import cache_bytes, n_parameters, training_bytes
from gptcore.config import PRESETS
from gptcore.lessons.provenance import differing_choices
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import book, controls, event_log, forward, lab, models, search, session, story_data, words
from pages.kit.units import readable_bytes

LLAMA = PUBLISHED["LLaMA 3 8B"]
LLAMA_TOKENS = 15e12  # Grattafiori et al. 2024, section 1: about 15 trillion
OURS = "nano"


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its section, the chapter with more about it, and the function that computes its numbers."""

    section: str
    chapter: int
    numbers: Callable[[], Mapping[str, object]] = dict


def _run() -> dict:
    history = event_log.shipped()
    return {
        "weights": n_parameters(PRESETS[OURS].model),
        "minutes": history.seconds[-1] / 60,
        "tokens": history.tokens / 1e6,
    }


def _names() -> dict:
    last = next(sample for sample in reversed(event_log.shipped().samples) if sample.get("ladder"))
    return {"grammar": last["ladder"]["rate"], "names": last["ladder"]["names"]}


def _words() -> dict:
    text = " ".join(story_data.fresh_stories(5))
    n = len(story_data.story_tokenizer().encode(text))
    return {"words": len(text.split()) / n, "bytes": len(text.encode()) / n}


def _memory() -> dict:
    n = LLAMA.n_parameters
    return {
        "half": readable_bytes(2 * n),
        "four": readable_bytes(n / 2),
        "train": readable_bytes(training_bytes(LLAMA.config)),
    }


def _longer() -> dict:
    short = cache_bytes(LLAMA.config, 8192, bytes_per_value=2)
    return {"short": readable_bytes(short), "long": readable_bytes(16 * short), "scores": 16**2}


def _shapes() -> dict:
    shapes = [model.config.d_model / model.config.n_layers for model in PUBLISHED.values()]
    return {"count": len(shapes), "narrow": min(shapes), "wide": max(shapes)}


def _kinds() -> dict:
    first = PUBLISHED["LLaMA 2 7B"].config
    differing = {
        name: differing_choices(PUBLISHED[name].config, first) for name in ("Mistral 7B", "Qwen 2.5 7B")
    }
    return {"mistral": len(differing["Mistral 7B"]), "qwen": len(differing["Qwen 2.5 7B"])}


def _text() -> dict:
    n = n_parameters(PRESETS[OURS].model)
    return {"weights": n, "tokens": 20 * n / 1e6}


def _losses() -> dict:
    history = event_log.shipped()
    vocab_size = PRESETS[OURS].model.vocab_size
    return {
        "uniform": math.log(vocab_size),
        "size": vocab_size,
        "last": history.val_loss[-1],
        "floor": history.start["floor"],
    }


def _cost() -> dict:
    ours = 6 * n_parameters(PRESETS[OURS].model) * event_log.shipped().tokens
    theirs = 6 * LLAMA.n_parameters * LLAMA_TOKENS
    return {"theirs": theirs, "ours": ours, "billions": theirs / ours / 1e9}


def _outside() -> dict:
    (first, *_) = forward.continuation(models.shipped(), "The capital of France is", 1, n_alternatives=5)
    word, probability = first[1][0]
    return {"word": word.strip(), "share": probability}


QUESTIONS = (
    Question("need_gpu", 1, _run),
    Question("mathematics", 1),
    Question("token_words", 2, _words),
    Question("languages", 2),
    Question("looks_up", 0),
    Question("learns_chatting", 0),
    Question("understands", 8, _names),
    Question("makes_up", 0, _outside),
    Question("temperature_truth", 9),
    Question("differs_each_time", 9),
    Question("good_loss", 8, _losses),
    Question("perplexities", 2),
    Question("by_heart", 8),
    Question("own_text", 8, _text),
    Question("memory", 7, _memory),
    Question("longer_context", 9, _longer),
    Question("bigger", 7),
    Question("layers_or_width", 7, _shapes),
    Question("heads_number", 5),
    Question("llama_style", 11, _kinds),
    Question("gpt2_llama", 6),
    Question("closed_models", 11),
    Question("parameter_kinds", 7),
    Question("logit_to_loss", 7),
    Question("heads_and_output", 5),
    Question("three_sizes", 7),
    Question("not_answering", 10),
    Question("more_data", 10),
    Question("real_models", 10),
    Question("cost_of_real", 7, _cost),
    Question("gradients_by_hand", 8),
    Question("why_not_words", 2),
    Question("where_does_text_go", 8),
)


def matching_questions(query: str) -> list[Question]:
    """The questions that contain every word of the query."""
    text = words.load("glossary_faq")
    return [
        question
        for question in QUESTIONS
        if search.has_all(query, search.plain(text.sections[question.section]))
    ]


@st.fragment
def faq() -> None:
    """A search field, and each question with its answer folded."""
    text = words.load("glossary_faq")
    with lab.frame("c11_faq", text.read("lab_faq_title")):
        text.show("lab_faq", n=len(QUESTIONS))
        session.caption_shipped_model()
        query = controls.search_field(text.read("lab_faq_find"), "c11_faq_find", text.read("lab_faq_hint"))
        questions = matching_questions(query)
        if not questions:
            text.show("lab_faq_none")
        for column, half in zip(st.columns(2, gap="small"), (questions[::2], questions[1::2])):
            with column:
                for question in half:
                    title, _, _ = text.sections[question.section].partition("\n")
                    show = partial(write_answer, text, question)
                    lab.folded_lab(
                        f"c11_faq_{question.section}", title.lstrip("# "), show, icon=":material/help:"
                    )


def write_answer(text: words.Words, question: Question) -> None:
    """The answer with its numbers, and a link to its chapter."""
    _, _, body = text.sections[question.section].partition("\n")
    st.markdown(words.fill(body.strip(), question.numbers()), width=words.READING_WIDTH)
    row = next(row for row in book.TABLE if row.number == question.chapter)
    st.page_link(book.page_of(row), label=row.label, icon=":material/arrow_forward:")
