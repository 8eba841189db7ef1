"""A forward pass drawn for the map of the journey, kept between runs of its page."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st
import torch
from torch import Tensor

from gptcore.cache import KVCache
from gptcore.interpret.ablation import Ablation
from gptcore.interpret.computations import cell_computations
from gptcore.interpret.stage_values import attention_links, values_by_stage
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer
from gptcore.tracing import trace
from pages.kit import trace_map
from pages.kit.forward import traced
from pages.kit.models import ModelHandle
from pages.kit.trace_map import TraceMap


@dataclass(frozen=True, slots=True)
class Journey:
    """A pass ready to be walked through: its picture, its trace, and what it predicts after the last token."""

    ids: tuple[int, ...]
    seen: Mapping[str, Tensor]
    trace_map: TraceMap
    n_values: int
    n_moved: int  # cells of the map that a change has moved
    n_kept: int  # cells of the map that came from the cache
    says: tuple[str, float]  # the most probable next token, and its probability
    said: tuple[str, float]  # the same without the change
    differ: float  # between the logits of the cached step and those of the whole pass


@st.cache_resource(max_entries=4, show_spinner=False)
def journey(
    handle: ModelHandle, text: str, what: Ablation | None, swap: tuple[int, int] | None, view: str
) -> Journey:
    """One pass of a text, drawn: as it is, or with a part turned off or a token (position, id) swapped.

    `view` is `pass`, `moved` (pictures show how far each number has moved) or `cache` (the most probable next token
    with keys and values kept). Raises ValueError for more tokens than the context holds.
    """
    model, tokenizer = handle.load()
    plain = traced(handle, text)
    ids, seen, fresh, differ = list(plain.ids), dict(plain.seen), len(plain.ids), 0.0
    if view == "cache":
        ids, seen, differ = _one_more(model, ids, int(plain.seen["logits"][0, -1].argmax()))
        fresh = 1
    elif what is not None or swap is not None:
        if swap is not None:
            ids[swap[0]] = swap[1]
        seen = trace(model, ids, changes=what.changes(model.config) if what else None)
    stages = values_by_stage(model, seen, tokenizer.token_text, dict(plain.seen) if view == "moved" else None)
    n_drawn = max(stage.n_rows for stage in stages)
    picture = TraceMap(
        tokens=tuple(tokenizer.token_text(token) for token in ids[-n_drawn:]),
        stages=tuple(stages),
        links=attention_links(seen, n_drawn),
        fresh=min(fresh, n_drawn),
        before=len(ids) - n_drawn,
        was=_most_probable(plain.seen, tokenizer, n_drawn) if view != "cache" else (),
    )
    return Journey(
        ids=tuple(ids),
        seen=seen,
        trace_map=picture,
        n_values=sum(tensor.numel() for tensor in seen.values()),
        n_moved=sum(int((stage.values != 0).any(1).sum()) for stage in stages),
        n_kept=sum(stage.n_rows - picture.fresh for stage in stages if stage.n_rows > picture.fresh),
        says=_last(seen, tokenizer),
        said=_last(plain.seen, tokenizer),
        differ=differ,
    )


def _one_more(model: GPT, ids: list[int], new: int) -> tuple[list[int], dict[str, Tensor], float]:
    """One token more with a cache: all ids, the trace of that step with the keys and values kept, the difference."""
    if not model.config.causal:
        raise ValueError(
            "a model without a causal mask has no cache: each new token changes everything before it"
        )
    cache = KVCache(model.config, capacity=len(ids) + 1)
    before = trace(model, ids, cache)
    step = trace(model, [new], cache)
    cached_name = "k_rotated" if model.config.position == "rope" else "k"
    for name in step:
        if name.endswith((f"attention.{cached_name}", "attention.v")):
            step[name] = torch.cat((before[name], step[name]), 2)
    whole = trace(model, [*ids, new])["logits"][0, -1]
    return [*ids, new], step, float((step["logits"][0, -1] - whole).abs().max())


def _most_probable(seen: Mapping[str, Tensor], tokenizer: Tokenizer, most: int) -> tuple[str, ...]:
    return tuple(map(tokenizer.token_text, seen["logits"][0, -most:].argmax(-1).tolist()))


def _last(seen: Mapping[str, Tensor], tokenizer: Tokenizer) -> tuple[str, float]:
    probability, best = seen["probabilities"][0, -1].max(-1)
    return tokenizer.token_text(int(best)), float(probability)


@st.cache_resource(max_entries=4, show_spinner=False)
def journey_widget_data(
    handle: ModelHandle,
    text: str,
    what: Ablation | None,
    swap: tuple[int, int] | None,
    view: str,
    _known: Mapping[str, Any],
) -> Mapping[str, Any]:
    """What the browser gets of a pass: the map and every number on it; `_known` holds the words."""
    picture = journey(handle, text, what, swap, view).trace_map
    return {
        "id": pass_id(handle, text, what, swap, view),
        "moved": view == "moved",
        "replaced": list(what.changes(handle.config)) if what else [],
        **trace_map.widget_data(picture, _known),
    }


def pass_id(*choices: object) -> str:
    """A name for one pass, the same for the same model, text and change."""
    return hashlib.sha256(repr(choices).encode()).hexdigest()[:12]


NEIGHBORS = 64  # numbers on either side of the chosen one whose formulas are sent with it


def cells(
    handle: ModelHandle,
    text: str,
    what: Ablation | None,
    swap: tuple[int, int] | None,
    view: str,
    stage: int,
    token: int,
    column: int | None,
) -> Mapping[str, Any]:
    """The formulas of a number and its neighbors in the row of a token; without one, of the row's main number."""
    passed = journey(handle, text, what, swap, view)
    drawn, (model, tokenizer) = passed.trace_map, handle.load()
    on_view = drawn.stages[stage]
    row = passed.seen["logits"].shape[1] - (len(drawn.tokens) - token)
    computed = {
        "id": pass_id(handle, text, what, swap, view),
        "stage": on_view.name,
        "token": token,
        "numbers": [],
    }
    if row < 0:  # kept from an earlier step
        return computed
    middle = (
        int(on_view.working.numbers[row - passed.seen["logits"].shape[1]][0]) if column is None else column
    )
    columns = torch.arange(max(0, middle - NEIGHBORS), min(on_view.width, middle + NEIGHBORS + 1))
    made = cell_computations(model, dict(passed.seen), on_view, row, columns)
    computed["numbers"] = trace_map.numbers(made.numbers)
    if on_view.kind in ("logits", "probabilities"):
        computed["words"] = [trace_map.legible(tokenizer.token_text(int(token_id))) for token_id in columns]
    return computed
