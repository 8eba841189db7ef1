"""Chapter 11: find the false sentence. Whether a sentence is true is computed, or has a source."""

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st
import torch

from gptcore.account import cache_bytes, forward_flops, n_parameters, parameters, training_bytes
from gptcore.attention import allowed_pairs
from gptcore.config import PRESETS
from gptcore.experiments.measurements.model import tying_saves
from gptcore.generation.sampling import penalize_repetition
from gptcore.generation.speculative import expected_speedup
from gptcore.lessons.by_hand import rotated_score, softmax
from gptcore.lessons.number_formats import store
from gptcore.lessons.provenance import ORIGINS, feedforward_fraction
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import lab, links, progress, quiz, words

_PIECE = re.compile(r"^- \[(true|false|because)\] +", re.MULTILINE)
SHOWN = 4
LLAMA, GPT2 = "LLaMA 3 8B", "GPT-2 small"


@dataclass(frozen=True, slots=True)
class Fact:
    """A topic with a true and a false sentence; `numbers` computes the numbers that they mention."""

    section: str
    numbers: Callable[[random.Random], Mapping[str, object]] = lambda draw: {}


def _tying(draw: random.Random) -> dict:
    name = draw.choice(("LLaMA 2 7B", "LLaMA 3 8B", "Mistral 7B", "Qwen 2.5 7B"))
    return {"name": name, "share": tying_saves(PUBLISHED[name].config), "other": 0.3}


def _weights(draw: random.Random) -> dict:
    name = draw.choice(("nano", "tiny", "small"))
    n = n_parameters(PRESETS[name].model)
    return {"name": name, "right": n, "wrong": n + parameters(PRESETS[name].model)["embedding"]}


def _cache(draw: random.Random) -> dict:
    shape, n = PUBLISHED[LLAMA].config, draw.choice((2048, 4096, 8192))
    right = cache_bytes(shape, n, bytes_per_value=2) / 1e9
    return {"name": LLAMA, "n": n, "right": right, "wrong": right * shape.n_heads / shape.n_kv_heads}


def _memory(draw: random.Random) -> dict:
    millions = draw.choice((100, 250, 500))
    each = training_bytes(PRESETS["small"].model) / n_parameters(PRESETS["small"].model)
    return {"millions": millions, "right": each * millions / 1000, "wrong": 4 * millions / 1000}


def _first_loss(draw: random.Random) -> dict:
    size = draw.choice((2048, 8192, 32_000, 50_257, 128_256))
    return {"size": size, "right": math.log(size), "wrong": math.log2(size)}


def _speculative(draw: random.Random) -> dict:
    accepted = draw.choice((0.5, 0.6, 0.7))
    return {"accepted": accepted, "right": expected_speedup(accepted, 5, 0.1), "wrong": 3.0}


def _feedforward(draw: random.Random) -> dict:
    name = draw.choice((GPT2, "Mistral 7B", "Qwen 2.5 7B"))
    return {"name": name, "right": feedforward_fraction(PUBLISHED[name].config)}


def _heads(draw: random.Random) -> dict:
    shape = PRESETS["small"].model
    twice = shape.replace(n_heads=2 * shape.n_heads, n_kv_heads=2 * shape.n_kv_heads)
    more = n_parameters(twice) - n_parameters(shape)
    return {
        "heads": shape.n_heads,
        "twice": twice.n_heads,
        "right": more,
        "wrong": parameters(shape)["attention"],
    }


def _context(draw: random.Random) -> dict:
    shape, longer = PRESETS["small"].model, draw.choice((4096, 8192, 16_384))
    more = n_parameters(shape.replace(context_length=longer)) - n_parameters(shape)
    learned = parameters(shape.replace(position="learned", context_length=longer))["positions"]
    return {"now": shape.context_length, "longer": longer, "right": more, "wrong": learned}


def _scores(draw: random.Random) -> dict:
    shape, n = PRESETS["small"].model, draw.choice((256, 512))
    ratio = forward_flops(shape, 2 * n)["scores"] / forward_flops(shape, n)["scores"]
    return {"n": n, "twice": 2 * n, "right": ratio, "wrong": 2.0}


def _masked(draw: random.Random) -> dict:
    n = draw.choice((6, 8, 10))
    return {"n": n, "right": int(allowed_pairs(n, n, causal=True, window=None).sum()), "wrong": n * n}


def _rope(draw: random.Random) -> dict:
    q, k = torch.tensor([0.8, 0.3, -0.5, 0.2]), torch.tensor([0.6, -0.3, 0.1, 0.5])
    near, far = draw.randint(3, 9), draw.randint(20, 60)
    return {
        "at": near,
        "key": near - 2,
        "far": far,
        "far_key": far - 2,
        "right": rotated_score(q, k, near, near - 2),
        "wrong": rotated_score(q, k, far, near - 2),
        "same": rotated_score(q, k, far, far - 2),
    }


def _temperature(draw: random.Random) -> dict:
    logits, t = torch.tensor([2.0, 1.0, 0.5, 0.1]), draw.choice((1.5, 2.0, 3.0))
    right, wrong = (float(softmax(logits, tau).probabilities[0]) for tau in (t, 1 / t))
    return {"t": t, "right": right, "wrong": wrong}


def _bf16(draw: random.Random) -> dict:
    return {"right": store(1.0, "bf16").largest, "wrong": store(1.0, "fp16").largest}


def _penalty(draw: random.Random) -> dict:
    by = draw.choice((1.2, 1.3, 1.5))
    after = penalize_repetition(torch.tensor([-2.0]), torch.tensor([0]), by)
    return {"by": by, "right": float(after[0]), "wrong": -2.0 / by}


def _origin(idea: str, others: tuple[str, ...]) -> Callable[[random.Random], dict]:
    def numbers(draw: random.Random) -> dict:
        known = {origin.idea: origin for origin in ORIGINS}
        right, wrong = known[idea], known[draw.choice(others)]
        return {
            "idea": idea,
            "who": right.who,
            "year": right.year,
            "other": wrong.who,
            "then": wrong.year,
            "title": right.title,
        }

    return numbers


FACTS = (
    Fact("tying", _tying),
    Fact("weights", _weights),
    Fact("cache", _cache),
    Fact("memory", _memory),
    Fact("first_loss", _first_loss),
    Fact("speculative", _speculative),
    Fact("feedforward", _feedforward),
    Fact("heads", _heads),
    Fact("context", _context),
    Fact("scores", _scores),
    Fact("masked", _masked),
    Fact("rope", _rope),
    Fact("temperature", _temperature),
    Fact("bf16", _bf16),
    Fact("penalty", _penalty),
    Fact("rope_origin", _origin("RoPE", ("the Transformer", "SwiGLU"))),
    Fact("rmsnorm_origin", _origin("RMSNorm", ("LayerNorm", "pre-norm, analyzed"))),
    Fact("swiglu_origin", _origin("SwiGLU", ("GELU", "the Transformer"))),
    Fact("adamw_origin", _origin("AdamW", ("Adam", "Muon"))),
    Fact("gqa_origin", _origin("grouped-query attention", ("multi-query attention", "attention"))),
    Fact("cache_2017"),
    Fact("post_norm"),
    Fact("longer_base"),
    Fact("mask_prompt"),
    Fact("residual_factor"),
    Fact("dimensions"),
    Fact("gpt2_scale"),
    Fact("attention_linear"),
    Fact("perplexity"),
    Fact("autocast"),
    Fact("dpo"),
    Fact("assistant"),
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a round: its topic, whether it is true, its words, and the reason."""

    section: str
    true: bool
    says: str
    because: str


def sentence(fact: Fact, true: bool, draw: random.Random) -> Sentence:
    """A true or a false sentence on a topic, with its numbers filled in."""
    pieces = _PIECE.split(words.load("glossary_game").sections[fact.section])[1:]
    parts = dict(zip(pieces[::2], pieces[1::2], strict=True))
    numbers = fact.numbers(draw)

    def fill(kind: str) -> str:
        piece = " ".join(parts[kind].split())
        return words.fill(piece, {name: numbers[name] for name in words.gaps(piece)})

    return Sentence(fact.section, true, fill("true" if true else "false"), fill("because"))


def deal(seed: int, round_: int) -> list[Sentence]:
    """The sentences of one round: one false among true ones, the same for the same seed and round."""
    draw = random.Random(f"{seed} {round_}")
    chosen = draw.sample(FACTS, SHOWN)
    false = draw.randrange(SHOWN)
    return [sentence(fact, number != false, draw) for number, fact in enumerate(chosen)]


@st.fragment
def game() -> None:
    """Four sentences, one of them false; the score of this visit, and the next round."""
    text = words.load("glossary_game")
    with lab.frame("c11_game", text.read("lab_game_title")):
        text.show("lab_game", n=SHOWN, subjects=len(FACTS))
        bind = links.check("c11_game_round", links.Number(1, 999), 1)
        round_ = st.number_input(
            text.read("lab_game_round"),
            1,
            999,
            1,
            1,
            key="c11_game_round",
            bind=bind,
            width=140,
            disabled=links.locked("c11_game_round"),
        )
        seed = quiz.seed()
        sentences = deal(seed, round_)
        chosen = st.radio(
            text.read("lab_game_which"),
            range(SHOWN),
            index=None,
            key=f"c11_game_{seed}_{round_}",
            format_func=lambda number: sentences[number].says,
        )
        if chosen is not None:
            judge(text, sentences, chosen, f"{seed} {round_}")
        progress.write_cookie("c11_game")


def judge(text: words.Words, sentences: list[Sentence], chosen: int, name: str) -> None:
    """Say whether the choice is right and why each sentence is true or false, and keep the score of the first tries."""
    scores: dict[str, bool] = st.session_state.setdefault("c11_game_scores", {})
    right = not sentences[chosen].true
    scores.setdefault(name, right)
    if right:
        progress.tick("c11.false_sentence")
        st.success(text.read("lab_game_found"), icon=":material/check:")
    else:
        st.warning(text.read("lab_game_missed", why=sentences[chosen].because), icon=":material/close:")
    if right:
        for dealt in sentences:
            mark = ":green[:material/check:]" if dealt.true else ":red[:material/close:]"
            st.markdown(f"{mark} {dealt.because}", width=words.READING_WIDTH)
    st.caption(text.read("lab_game_score", found=sum(scores.values()), rounds=len(scores)))
    st.button(text.read("lab_game_next"), key="c11_game_next", icon=":material/skip_next:", on_click=_next)


def _next() -> None:
    now = st.session_state["c11_game_round"]
    st.session_state["c11_game_round"] = now % 999 + 1
