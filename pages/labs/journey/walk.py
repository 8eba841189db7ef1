"""A token's journey: the sentence, what if, the map, who said it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import streamlit as st

from pages.kit import (
    annotated,
    chips,
    controls,
    figures,
    forward,
    lab,
    links,
    models,
    plots,
    prompt,
    session,
    trace_map,
    words,
)
from pages.kit.pronoun_story import PronounStory, beginning_that_fits, pronoun_story, storyteller
from pages.labs.attention.heads import bare
from pages.labs.attention.name_head import default_head, find_name_head
from pages.labs.journey import cached

if TYPE_CHECKING:
    from gptcore.interpret.ablation import WhatIf

VIEWS = ("pass", "cache")
NOTHING = "nothing"
WHAT = (NOTHING, "head", "attention", "feedforward", "layer", "rotation", "token")
PARTS = {
    "embedding": "part_embedding",
    "positions": "part_positions",
    "head": "part_head",
    "attention_bias": "part_attention_bias",
    "feedforward": "part_feedforward",
    "final_norm_bias": "part_final_norm_bias",
}
KINDS = {
    "embedding": "stage_embedding",
    "positioned": "stage_positioned",
    "attention_normed": "stage_attention_normed",
    "q_projected": "stage_q_projected",
    "k_projected": "stage_k_projected",
    "q": "stage_q",
    "k": "stage_k",
    "v": "stage_v",
    "q_rotated": "stage_q_rotated",
    "k_rotated": "stage_k_rotated",
    "scores": "stage_scores",
    "masked_scores": "stage_masked_scores",
    "weights": "stage_weights",
    "mixed": "stage_mixed",
    "attention_output": "stage_attention_output",
    "attention_output_normed": "stage_attention_output_normed",
    "after_attention": "stage_after_attention",
    "after_attention_normed": "stage_after_attention_normed",
    "feedforward_normed": "stage_feedforward_normed",
    "gate_logits": "stage_gate_logits",
    "gate": "stage_gate",
    "up": "stage_up",
    "hidden": "stage_hidden",
    "feedforward_output": "stage_feedforward_output",
    "feedforward_output_normed": "stage_feedforward_output_normed",
    "after_feedforward": "stage_after_feedforward",
    "after_feedforward_normed": "stage_after_feedforward_normed",
    "final_normed": "stage_final_normed",
    "logits": "stage_logits",
    "probabilities": "stage_probabilities",
}
# Where each kind of stage is computed: the object, and what its line holds.
_PLAIN = {
    "embedding": ("model.GPT.forward_hidden", "self.embedding(ids)"),
    "positioned": ("model.GPT.forward_hidden", "self.positions.embed"),
    "attention_normed": ("model.Block._sub_layer", "_pre_norm"),
    "q_projected": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "k_projected": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "q": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "k": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "v": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "q_rotated": ("attention.Attention.forward", '"q_rotated"'),
    "k_rotated": ("attention.Attention.forward", '"k_rotated"'),
    "scores": ("attention.attention_weights", '"scores"'),
    "masked_scores": ("attention.attention_weights", '"masked_scores"'),
    "weights": ("attention.attention_weights", '"weights"'),
    "mixed": ("attention.explicit_attention", "@ v"),
    "attention_output": ("attention.Attention.forward", "self.o_proj("),
    "attention_output_normed": ("model.Block._sub_layer", "_branch_norm"),
    "after_attention": ("model.Block._sub_layer", "x + h"),
    "after_attention_normed": ("model.Block._sub_layer", "_post_norm"),
    "feedforward_normed": ("model.Block._sub_layer", "_pre_norm"),
    "gate_logits": ("feedforward.SwiGLU.forward", "self.gate_up_proj(x)"),
    "gate": ("feedforward.SwiGLU.forward", "F.silu"),
    "up": ("feedforward.SwiGLU.forward", "self.gate_up_proj(x)"),
    "hidden": ("feedforward.SwiGLU.forward", "gate * up"),
    "feedforward_output": ("feedforward.SwiGLU.forward", "self.down_proj"),
    "feedforward_output_normed": ("model.Block._sub_layer", "_branch_norm"),
    "after_feedforward": ("model.Block._sub_layer", "x + h"),
    "after_feedforward_normed": ("model.Block._sub_layer", "_post_norm"),
    "final_normed": ("model.GPT.forward_hidden", "self.final_norm"),
    "logits": ("model.GPT.forward", "self.output("),
    "probabilities": ("tracing.trace", "torch.softmax"),
}
_UNGATED = {
    "up": ("feedforward._MLP.forward", "self.up_proj(x)"),
    "hidden": ("feedforward._MLP.forward", "self.activation(up)"),
    "feedforward_output": ("feedforward._MLP.forward", "self.down_proj"),
}
AROUND = 2  # lines of code shown before and after the one that counts


@lru_cache(maxsize=4)
def codes(ffn: str) -> Mapping[str, Mapping]:
    """For each kind of stage the line that computes it, with those around it."""
    table = _PLAIN if ffn == "swiglu" else _PLAIN | _UNGATED
    found = {}
    for kind, (name, held) in table.items():
        source = annotated.source(name)
        hot = next(i for i, line in enumerate(source.lines) if held in line)
        begin, end = max(0, hot - AROUND), min(len(source.lines), hot + AROUND + 1)
        lines = source.lines[begin:end]
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        found[kind] = {
            "file": source.file,
            "line": source.start + hot,
            "lines": [line[indent:] for line in lines],
            "hot": hot - begin,
        }
    return found


def known(ffn: str) -> dict:
    """The words of the map and its panel, and the code of every kind of stage."""
    text = words.load("journey")
    parts = {kind: text.read(section).split("\n", 2) for kind, section in KINDS.items()}
    return {
        "titles": {kind: part[0] for kind, part in parts.items()},
        "formulas": {kind: part[1] for kind, part in parts.items()},
        "abouts": {kind: " ".join(part[2].split()) for kind, part in parts.items()},
        "say": sayings(),
        "codes": codes(ffn),
        "bend": "silu" if ffn == "swiglu" else ffn,
    }


def sayings() -> dict[str, str]:
    """The short words of the map, one a line."""
    lines = words.load("journey").read("say").splitlines()
    return dict(line.split(": ", 1) for line in lines)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the visitor asks of a pass: a part that is silent, a token swapped (place, id), what the map shows."""

    what: "WhatIf | None"
    swap: tuple[int, int] | None
    view: str

    def __iter__(self):
        return iter((self.what, self.swap, self.view))


@st.fragment
def walk() -> None:
    """A sentence, what if, the map, and who said the word."""
    text = words.load("journey")
    model = session.model_in_use()
    typed = prompt.text_input(
        text.read("text"), "j_text", beginning_that_fits(model), text.read("examples").splitlines()
    )
    try:
        traced = forward.traced(model, typed)
        asked = ask(model, traced, text)
        passed = cached.journey(model, typed, *asked)
    except ValueError as error:
        st.error(f"{error}.", icon=":material/error:")
        return
    drawn, config = passed.trace_map, model.config
    text.show("can_do", stages=len(drawn.stages), values=f"{passed.n_values:,}")
    tell(passed, asked, text)
    stage, token, other = where(drawn)
    begin = {"stage": drawn.stages[stage].name, "token": token, "other": other}
    given = cached.journey_drawn(model, typed, *asked, _known=known(config.ffn))
    trace_map.widget({**given, "at": begin, "asked": 0}, key="j_map", on_look=looked)
    if drawn.before:
        text.show("folded", shown=len(drawn.tokens), all=len(passed.ids))
    text.show("reading")
    st.caption(text.read("keys"))
    guess(model, typed, text)
    export(typed, given, drawn, (stage, token, other), text)
    who_said_it(model, passed, token, text)


def ask(model: models.ModelHandle, traced: forward.Traced, text: words.Words) -> Asked:
    """The controls above the map."""
    from gptcore.interpret.ablation import WhatIf

    config, story = model.config, pronoun_story()
    left, right = st.columns([1, 2], gap="medium")
    with left:
        view = controls.choice(text.read("view"), "j_view", VIEWS, help=text.read("view_help"))
    if view == "cache":
        return Asked(None, None, view)
    with right:
        part = controls.choice(text.read("what"), "j_what", WHAT, help=text.read("what_help"))
    if part == NOTHING:
        return Asked(None, None, view)
    best = default_head(model)
    what, swap = None, None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if part == "token":
            swap = ask_token(model, traced, story, text)
        elif part == "rotation":
            what = WhatIf(part=part)
        else:
            layers = [str(i + 1) for i in range(config.n_layers)]
            layer = controls.listed(text.read("layer"), "j_layer", layers, default=str(best.layer + 1))
            head = "1"
            if part == "head":
                heads = [str(i + 1) for i in range(config.n_heads)]
                head = controls.listed(text.read("head"), "j_head", heads, default=str(best.head + 1))
            what = WhatIf(part=part, layer=int(layer) - 1, head=int(head) - 1)
        moved = controls.switch(text.read("moved"), "j_moved", True)
    if what is None and swap is None:
        return Asked(None, None, view)
    return Asked(what, swap, "moved" if moved else view)


def ask_token(
    model: models.ModelHandle, traced: forward.Traced, story: PronounStory, text: words.Words
) -> tuple[int, int] | None:
    """Which token becomes which; None while the word is not one token."""
    n = len(traced.ids)
    names = [i for i, token in enumerate(traced.tokens) if token.strip() == story.name]
    places = [f"{i + 1} {trace_map.legible(token)}" for i, token in enumerate(traced.tokens)]
    place = controls.listed(
        text.read("swap"), "j_place", places, default=places[names[0] if names else max(0, n - 2)]
    )
    at = places.index(place)
    default = story.other_name if names else "queen"
    links.check("j_swap", links.Text(40), default)
    word = st.text_input(text.read("swap_with"), default, key="j_swap", bind="query-params", max_chars=40)
    space = " " if traced.tokens[at].startswith(" ") else ""
    ids = model.tokenizer.encode(space + word.strip())
    if len(ids) != 1:
        st.info(text.read("swap_two", word=word.strip() or "␣", count=len(ids)), icon=":material/info:")
        return None
    return at, ids[0]


def tell(passed: cached.Journey, asked: Asked, text: words.Words) -> None:
    """What a change has moved, or what the cache has spared, in one sentence of numbers."""
    drawn = passed.trace_map
    cells = sum(stage.rows for stage in drawn.stages)
    if asked.view == "cache":
        all_cells = len(drawn.stages) * len(drawn.tokens)
        fresh = len(drawn.stages) * drawn.fresh
        text.show(
            "cache",
            token=bare(drawn.tokens[-1]),
            fresh=fresh,
            kept=passed.n_kept,
            rest=all_cells - fresh - passed.n_kept,
            differ=passed.differ,
        )
    elif asked.view == "moved":
        (after, p_after), (before, p_before) = passed.says, passed.said
        text.show(
            "change",
            moved=f"{passed.n_moved:,}",
            all=f"{cells:,}",
            before=bare(before),
            p_before=f"{p_before:.0%}",
            after=bare(after),
            p_after=f"{p_after:.0%}",
        )


def where(drawn: trace_map.TraceMap) -> tuple[int, int, int | None]:
    """The stage, token and second token on view, from the link; the last token's last weights by default."""
    n, names = len(drawn.tokens), [stage.name for stage in drawn.stages]
    weights = [stage.name for stage in drawn.stages if stage.kind == "weights"]
    stage = kept("j_stage", links.Choice(names), weights[-1] if weights else names[0])
    token = kept("j_token", links.Number(1, n), str(n))
    other = kept("j_with", links.Number(0, n), "0")
    at = int(float(token)) - 1
    second = int(float(other)) - 1
    return drawn.place(stage), at, second if second >= 0 and second != at else None


def kept(key: str, rule: links.Rule, default: str) -> str:
    """A place on the map, as the visitor left it or as the link asks; what is not there is the default."""
    if key in st.session_state and rule.refuses(st.session_state[key]) is not None:
        # A place of the text or model before: nobody asked for it here.
        st.session_state[key] = default
        st.query_params.pop(key, None)
    links.check(key, rule, default)
    if key not in st.session_state:
        asked = st.query_params.get(key, default)
        st.session_state[key] = asked if rule.refuses(asked) is None else default
    links.write(key, st.session_state[key], default)
    return st.session_state[key]


def looked() -> None:
    """The visitor has come to rest at a place: remember it, so that the link says it."""
    look = st.session_state["j_map"].look
    st.session_state["j_stage"] = str(look["stage"])
    st.session_state["j_token"] = str(int(look["token"]) + 1)
    st.session_state["j_with"] = str(0 if look["other"] is None else int(look["other"]) + 1)


def guess(model: models.ModelHandle, typed: str, text: words.Words) -> None:
    """Predict what is said once the head that remembers the name is silent."""
    from gptcore.interpret.ablation import WhatIf

    story = pronoun_story()
    if storyteller().name != model.name or typed != story.text:
        return
    best = find_name_head(model, story)
    silent = WhatIf(part="head", layer=best.layer, head=best.head)
    found = cached.journey(model, typed, silent, None, "moved")
    (after, p_after), (before, p_before) = found.says, found.said
    other, own = story.pronouns
    lab.predict(
        "j_silence",
        text.read("predict", layer=best.layer + 1, head=best.head + 1, name=story.name, share=best.weight),
        (
            text.read("predict_same", word=bare(own)),
            text.read("predict_other", word=bare(other)),
            text.read("predict_third"),
        ),
        right={own: 0, other: 1}.get(after, 2),
        because=text.read(
            "predict_because", after=bare(after), p_after=p_after, before=bare(before), p_before=p_before
        ),
        then={
            "j_view": "pass",
            "j_what": "head",
            "j_layer": str(best.layer + 1),
            "j_head": str(best.head + 1),
        },
    )


def export(
    typed: str,
    given: Mapping,
    drawn: trace_map.TraceMap,
    at: tuple[int, int, int | None],
    text: words.Words,
) -> None:
    """The map as a picture, and the whole journey as a page, made here without any network."""
    stage, token, other = at
    begin = {"stage": drawn.stages[stage].name, "token": token, "other": other}
    title = text.read("export_title", sentence=typed if len(typed) <= 80 else typed[:80] + "…")
    with st.container(horizontal=True):
        st.download_button(
            text.read("export_svg"),
            lambda: trace_map.still(drawn, given["titles"], given["say"], stage, token, other),
            "journey.svg",
            "image/svg+xml",
            key="j_svg",
            icon=":material/image:",
            on_click="ignore",
        )
        st.download_button(
            text.read("export_html"),
            lambda: trace_map.html_page(
                {**given, "at": begin, "asked": 0}, title, text.read("reading"), text.read("keys")
            ),
            "journey.html",
            "text/html",
            key="j_html",
            icon=":material/html:",
            on_click="ignore",
        )


def who_said_it(model: models.ModelHandle, passed: cached.Journey, token: int, text: words.Words) -> None:
    """The share of every part in the logit of a word after the token on view."""
    from gptcore.interpret.attribution import AttributionError, shares

    st.subheader(text.read("said_title"), anchor="who")
    text.show("said")
    drawn = passed.trace_map
    row = token - (len(drawn.tokens) - drawn.stages[-1].rows)
    if row < 0:
        st.caption(text.read("said_kept"))
        return
    said = drawn.stages[-1].said[row]
    names = {chips.visible(word): word for word, _, _ in said}
    if st.session_state.get("j_word") not in names:
        st.session_state.pop("j_word", None)
    shown = controls.listed(text.read("said_word"), "j_word", list(names), default=next(iter(names)))
    word_id = model.tokenizer.encode(names[shown])[0]
    try:
        found = shares(model.model, dict(passed.seen), row_in(passed, row), word_id)
    except AttributionError as error:
        st.info(text.read("said_refused", reason=str(error)), icon=":material/info:")
        return
    values = [one.value for one in found]
    labels = [named(one.part, one.layer, one.head, text) for one in found]
    largest = max(range(len(values)), key=lambda i: abs(values[i]))
    logit = float(passed.seen["logits"][0, row_in(passed, row), word_id])
    text.show(
        "said_at",
        token=bare(drawn.tokens[token]),
        word=shown,
        logit=logit,
        n=len(values),
        differ=max(abs(sum(values) - logit), 1e-6),
        largest=labels[largest],
    )
    alt = text.read("said_alt", n=len(values), word=shown, largest=labels[largest], value=values[largest])
    picture = plots.signed(labels, values, y_title=text.read("said_axis"), alt=alt)
    st.plotly_chart(picture.figure, key="j_said", config=figures.CONFIG, alt=picture.alt)


def row_in(passed: cached.Journey, row: int) -> int:
    """A row of the picture as a row of the trace, which has all tokens."""
    return passed.seen["logits"].shape[1] - passed.trace_map.stages[-1].rows + row


def named(part: str, layer: int | None, head: int | None, text: words.Words) -> str:
    """A part in a word or two, counted from 1."""
    name = text.read(PARTS[part])
    if head is not None:
        return f"{name} {layer + 1}.{head + 1}"
    return name if layer is None else f"{name} {layer + 1}"
