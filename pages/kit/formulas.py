"""How one cell of a picture was computed: its formula with its own numbers put in.

Each function takes the tensors that gptcore computed, does the cell's arithmetic in the order of the text, and returns
a `Formula`: lines to read, the operands as tables, and the value they lead to. In the lines `^{x}` is a power.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gptcore.config import ModelConfig
from gptcore.interpret import logit_lens
from gptcore.lessons import by_hand
from gptcore.model import GPT

MOST_TERMS = 4  # of a sum that is written out; of a longer one the first two
LARGEST_POWER = 30.0  # beyond it every score is lowered by the largest, as softmax code does
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Line(NamedTuple):
    """One thing computed: its name, its terms with the numbers put in, and what comes out."""

    name: str
    terms: str
    result: str = ""


class Operands(NamedTuple):
    """Numbers behind a formula: a heading, names of the columns, and named rows of numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Formula:
    """How a cell was computed: which cell it is, line by line the arithmetic, its operands, and its value."""

    title: str
    lines: tuple[Line, ...]
    value: float
    tables: tuple[Operands, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """The formula as a component gets it: text only."""
        return {
            "title": self.title,
            "lines": [list(line) for line in self.lines],
            "tables": [
                {
                    "title": table.title,
                    "columns": list(table.columns),
                    "rows": [[name, [number(x) for x in numbers]] for name, numbers in table.rows],
                }
                for table in self.tables
            ],
        }


def number(value: float) -> str:
    """A number to three significant digits.

    >>> number(-0.5), number(1234.5), number(2.5e-5), number(-math.inf)
    ('−0.5', '1,234', '2.5×10⁻⁵', '−∞')
    """
    if not math.isfinite(value):
        return "none" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, power = f"{value:.2e}".split("e")
        text = f"{float(digits):g}×10{str(int(power)).translate(_RAISED)}"
    else:
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def exact(value: float) -> str:
    """A number to four decimals."""
    return f"{value:.4f}".replace("-", "−")


def signed(value: float) -> str:
    """A number that may follow a sign: negative ones in brackets."""
    text = number(value)
    return f"({text})" if text.startswith("−") else text


def total(terms: Sequence[str], what: str) -> str:
    """A sum with its terms written out, or its first two where there are many of `what`.

    >>> total(["1", "2"], "terms"), total(["1", "2", "3", "4", "5"], "terms")
    ('1 + 2', '1 + 2 + … (5 terms)')
    """
    if len(terms) <= MOST_TERMS:
        return " + ".join(terms)
    return f"{terms[0]} + {terms[1]} + … ({len(terms):,} {what})"


def products(a: Sequence[float], b: Sequence[float]) -> str:
    """A dot product as a sum of products."""
    return total([f"{signed(x)} × {signed(y)}" for x, y in zip(a, b, strict=True)], "products")


def product_table(title: str, a_name: str, a: Sequence[float], b_name: str, b: Sequence[float]) -> Operands:
    """Both factors of a dot product and their products, one column a dimension, counted from 1."""
    rows = [(a_name, a), (b_name, b), ("product", [x * y for x, y in zip(a, b, strict=True)])]
    return Operands(title, [str(i + 1) for i in range(len(a))], rows)


def dot(title: str, a_name: str, a: Sequence[float], b_name: str, b: Sequence[float]) -> Formula:
    """A cell that is a dot product."""
    value = sum(x * y for x, y in zip(a, b, strict=True))
    line = Line(f"{a_name} · {b_name}", products(a, b), number(value))
    tables = (product_table(f"All {len(a)} products", a_name, a, b_name, b),) if len(a) > MOST_TERMS else ()
    return Formula(title, (line,), value, tables)


def softmax_lines(scores: Sequence[float], at: int, over: str) -> tuple[list[Line], float]:
    """The softmax of `scores` at one of them, its sum taken over what `over` names."""
    largest = max(scores)
    shift = largest if abs(largest) > LARGEST_POWER else 0.0
    lowered = f" − {signed(shift)}" if shift else ""
    powers = [math.exp(score - shift) for score in scores]
    below = sum(powers)
    value = powers[at] / below
    # Four decimals: an exponent of three digits is too coarse for the quotient to be checked by hand.
    terms = [f"e^{{{exact(score)}{lowered}}}" for score in scores]
    lines = [
        Line(f"sum over {over}", total(terms, "terms"), number(below)),
        Line(
            "softmax",
            f"{terms[at]} ÷ {number(below)} = {number(powers[at])} ÷ {number(below)}",
            number(value),
        ),
    ]
    return lines, value


class HeadCell(NamedTuple):
    """One query and one key of one head; everything counts from 0."""

    layer: int
    head: int
    query: int
    key: int


class _Tensors(NamedTuple):
    q: Tensor  # (D,) of the query, rotated where the model rotates
    k: Tensor  # (D,) of the key
    scores: Tensor  # (S,) of the query, masked
    rotated: bool


def _tensors(seen: Mapping[str, Tensor], config: ModelConfig, cell: HeadCell) -> _Tensors:
    scope = f"layers.{cell.layer}.attention."
    rotated = f"{scope}q_rotated" in seen
    end = "_rotated" if rotated else ""
    key_head = cell.head * config.n_kv_heads // config.n_heads
    masked = seen.get(f"{scope}masked_scores", seen[f"{scope}scores"])
    return _Tensors(
        q=seen[f"{scope}q{end}"][0, cell.head, cell.query],
        k=seen[f"{scope}k{end}"][0, key_head, cell.key],
        scores=masked[0, cell.head, cell.query],
        rotated=rotated,
    )


def attention_weight(
    seen: Mapping[str, Tensor], config: ModelConfig, cell: HeadCell, names: Sequence[str]
) -> Formula:
    """An attention weight from the trace of one text: dot product, scale, mask, softmax over the query's keys."""
    tensors = _tensors(seen, config, cell)
    title = (
        f"Layer {cell.layer + 1}, head {cell.head + 1}: query {names[cell.query]} (position {cell.query + 1}), "
        f"key {names[cell.key]} (position {cell.key + 1})"
    )
    q, k, scale = tensors.q.tolist(), tensors.k.tolist(), config.score_scale
    raw = sum(x * y for x, y in zip(q, k, strict=True))
    table = product_table(f"All {len(q)} products of q · k", "query", q, "key", k)
    lines = [Line("q · k after RoPE" if tensors.rotated else "q · k", products(q, k), number(raw))]
    is_root = math.isclose(scale, config.head_dim**-0.5)
    terms = f"{number(raw)} ÷ √{config.head_dim}" if is_root else f"{number(raw)} × {number(scale)}"
    lines.append(Line("score", terms, number(raw * scale)))
    if (cap := config.score_cap) is not None:
        capped = cap * math.tanh(raw * scale / cap)
        lines.append(
            Line("soft cap", f"{number(cap)} × tanh({number(raw * scale)} ÷ {number(cap)})", number(capped))
        )
    scores = tensors.scores.tolist()
    if scores[cell.key] == -math.inf:
        reason = (
            "this key is at a later position" if cell.key > cell.query else "this key is outside the window"
        )
        lines.append(Line("mask", f"{reason}, so its score becomes", "−∞"))
        lines.append(Line("softmax", "e^{−∞} ÷ the sum over the other keys", "0"))
        return Formula(title, tuple(lines), 0.0, (table,))
    allowed = [key for key, score in enumerate(scores) if score > -math.inf]
    over = (
        "the only key it may attend to" if len(allowed) == 1 else f"the {len(allowed)} keys it may attend to"
    )
    exact = [scores[key] for key in allowed]
    exact[allowed.index(cell.key)] = raw * scale
    more, value = softmax_lines(exact, allowed.index(cell.key), over)
    weights = torch.softmax(torch.tensor(exact), -1).tolist()
    keys = Operands(
        "All scores of this query",
        [f"{key + 1} {names[key]}" for key in allowed],
        [("score", exact), ("weight", weights)],
    )
    return Formula(title, (*lines, *more), value, (table, keys))


def weighted_value(
    seen: Mapping[str, Tensor], config: ModelConfig, cell: HeadCell, names: Sequence[str]
) -> Formula:
    """What a key's value contributes by length: weight times the value's length, divided by the query's sum of them."""
    before = attention_weight(seen, config, cell, names)
    key_head = cell.head * config.n_kv_heads // config.n_heads
    lengths = seen[f"layers.{cell.layer}.attention.v"][0, key_head].norm(dim=-1)
    row = seen[f"layers.{cell.layer}.attention.weights"][0, cell.head, cell.query]
    parts = (row * lengths[: len(row)]).tolist()
    below, own = sum(parts), before.value * float(lengths[cell.key])
    value = own / below
    lines = (
        *before.lines,
        Line(
            "attention weight × norm of v",
            f"{number(before.value)} × {number(float(lengths[cell.key]))}",
            number(own),
        ),
        Line("its proportion", f"{number(own)} ÷ {number(below)}, the sum over all keys", f"{number(value)}"),
    )
    return Formula(before.title, lines, value, before.tables)


def rotated_score(q: Tensor, k: Tensor, at: int, key_at: int, theta: float) -> Formula:
    """The score of a query (D,) at one position and a key (D,) at another, from their rotated pairs."""
    query, key = (by_hand.rotate(x, position, theta) for x, position in ((q, at), (k, key_at)))
    first, second = query.pairs[0]
    lines = []
    for name, x, turned, position in (("query", q, query, at), ("key", k, key, key_at)):
        a, b, angle = float(x[first]), float(x[second]), turned.angles[0]
        lines.append(
            Line(
                f"{name}, pair 1",
                f"angle {position} × {number(turned.frequencies[0])} = {number(angle)}: "
                f"{signed(a)} × cos({number(angle)}) − {signed(b)} × sin({number(angle)})",
                number(turned.rotated[first]),
            )
        )
        lines.append(
            Line(
                "",
                f"{signed(a)} × sin({number(angle)}) + {signed(b)} × cos({number(angle)})",
                number(turned.rotated[second]),
            )
        )
    raw = sum(x * y for x, y in zip(query.rotated, key.rotated, strict=True))
    value = raw / math.sqrt(len(q))
    lines += [
        Line("q · k", products(query.rotated, key.rotated), number(raw)),
        Line("score", f"{number(raw)} ÷ √{len(q)}", number(value)),
    ]
    title = f"Query at position {at}, key at position {key_at}: distance {at - key_at}"
    table = product_table(
        f"All {len(q)} products, after rotation", "query", query.rotated, "key", key.rotated
    )
    return Formula(title, tuple(lines), value, (table,))


@torch.inference_mode()
def lens_probability(
    model: GPT, seen: Mapping[str, Tensor], layer: int, position: int, token_id: int, token: str
) -> Formula:
    """The probability of a token that the output layer reads from the residual stream after a layer (0: embedding)."""
    normed = model.final_norm(logit_lens.streams(model, seen)[layer][position])
    logits, row = model.output(normed).float(), model.output.weight[token_id].tolist()
    more, probability = softmax_lines(logits.tolist(), token_id, f"all {len(logits):,} tokens")
    where = f"after layer {layer}" if layer else "before layer 1"
    table = product_table(f"All {len(row)} products", "stream", normed.tolist(), f"row of {token}", row)
    logit = Line(
        "logit: normalized residual stream · row",
        products(normed.tolist(), row),
        number(float(logits[token_id])),
    )
    title = f"Token {token} (id {token_id}) at position {position + 1}, {where}"
    return Formula(title, (logit, *more), probability, (table,))
