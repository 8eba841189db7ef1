"""How any number of a traced forward pass was computed: the form of its formula and its operands.

A number is named by its stage, its row (the token) and its column. Where heads are concatenated, the columns of head
h start at h times the head's width; for attention scores and weights that width is the number of keys. Everything is
read from the trace, except the model's weights in the formula.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.config import ModelConfig
from gptcore.interpret.stages import PER_PAIR, Stage, matrix_rows
from gptcore.model import GPT
from gptcore.positions import inverse_frequencies

TERMS = 3  # of a long sum that are written out, the largest ones
Numbers = list[list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Computation:
    """How some numbers of a stage were computed: the form of the formula, and for each its column and operands.

    Each list of numbers begins with the column and ends with the result. Sums of products hold their largest terms
    as two factors and the index of the term, then how many terms are left out and their sum (with the bias).
    """

    form: str
    numbers: Numbers


@torch.inference_mode()
def computation(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """Return how one number of each token of this pass was computed: the one of `main_columns`."""
    columns = main_columns(seen, stage)
    return _FORMS[stage.kind](model, seen, stage, torch.arange(len(columns)), columns)


@torch.inference_mode()
def cell_computations(
    model: GPT, seen: dict[str, Tensor], stage: Stage, row: int, columns: Tensor
) -> Computation:
    """Return how the numbers in these columns (n,) of one row were computed.

    Rows count the tokens computed in this pass. Raises IndexError for a row or a column that the stage doesn't have.
    """
    n_tokens, width = seen["logits"].shape[1], matrix_rows(seen[stage.name]).shape[1]
    if not 0 <= row < n_tokens:
        raise IndexError(f"row {row} does not exist; rows go from 0 to {n_tokens - 1}")
    if len(columns) and not (int(columns.min()) >= 0 and int(columns.max()) < width):
        raise IndexError(f"this column does not exist; {stage.name} has the columns 0 to {width - 1}")
    return _FORMS[stage.kind](model, seen, stage, torch.full_like(columns, row), columns)


@torch.inference_mode()
def main_columns(seen: dict[str, Tensor], stage: Stage) -> Tensor:
    """Return the column that represents each computed token (T,): its largest absolute number.

    For scores and weights it is the pair of head and key with the largest attention weight.
    """
    name = stage.name
    if stage.kind in PER_PAIR:
        name = name.rpartition(".")[0] + ".weights"
    return matrix_rows(seen[name])[-seen["logits"].shape[1] :].abs().argmax(-1)


def _listed(*columns: Tensor | float) -> Numbers:
    """Return numbers cell by cell from columns (n,) or (n, m), or from one number that holds for all cells."""
    n = max(len(column) for column in columns if isinstance(column, Tensor))
    wide = []
    for column in columns:
        column = column if isinstance(column, Tensor) else torch.full((n,), column)
        wide.append((column if column.dim() == 2 else column.unsqueeze(-1)).double())
    return torch.cat(wide, -1).tolist()


def _result(seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the numbers of a stage in these cells (n,); rows before the computed ones were kept in a cache."""
    return matrix_rows(seen[stage.name])[-seen["logits"].shape[1] :][rows, columns]


def _terms(a: Tensor, b: Tensor) -> tuple[Tensor, float, Tensor]:
    """Return the largest terms of sums of products (n, W) and (n, W).

    Both factors and the index of each term (n, 3·m), how many terms are left out, and what those sum to (n,).
    """
    products = a * b
    m = min(TERMS, products.shape[1])
    index = products.abs().topk(m, -1).indices
    triples = torch.stack((a.gather(1, index), b.gather(1, index), index.to(a.dtype)), -1).flatten(1)
    rest = products.sum(-1) - products.gather(1, index).sum(-1)
    return triples, products.shape[1] - m, rest


def _product(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """A row of weights times the input: terms, how many more, the rest, the result."""
    x = matrix_rows(seen[stage.inputs[0]])[rows]
    weight, bias = _weight(model, stage)
    triples, n_more, rest = _terms(weight[columns], x)
    if bias is not None:
        rest = rest + bias[columns]
    cap = model.config.logit_cap if stage.kind == "logits" else None
    return _capped("product", cap, columns, triples, n_more, rest, _result(seen, stage, rows, columns))


def _capped(form: str, cap: float | None, *numbers: Tensor | float) -> Computation:
    """A computation of this form; with a soft cap, the form is `capped_…` and the cap precedes the result."""
    if cap is None:
        return Computation(form=form, numbers=_listed(*numbers))
    return Computation(form=f"capped_{form}", numbers=_listed(*numbers[:-1], cap, numbers[-1]))


def _weight(model: GPT, stage: Stage) -> tuple[Tensor, Tensor | None]:
    """Return the rows of weights a product stage takes, and its bias or None."""
    if stage.kind == "logits":
        return model.output.weight, None
    block = model.layers[stage.layer]
    attention, mlp = block.attention, block.feedforward
    if stage.kind == "attention_output":
        layer, part = attention.o_proj, 0
    elif stage.kind == "feedforward_output":
        layer, part = mlp.down_proj, 0
    elif stage.kind in ("gate_logits", "up"):
        layer = mlp.gate_up_proj if hasattr(mlp, "gate_up_proj") else mlp.up_proj
        part = int(stage.kind == "up" and layer is not getattr(mlp, "up_proj", None))
    else:
        layer, part = attention.qkv_proj, "qkv".index(stage.kind[0])
    weight = layer.weight.split(layer.parts)[part]
    return weight, None if layer.bias is None else layer.bias.split(layer.parts)[part]


def _row(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """A row of a table: the number in it."""
    return Computation(form="row", numbers=_listed(columns, _result(seen, stage, rows, columns)))


def _norm(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """A norm: the input there, the mean subtracted, the root mean square, gain, shift, the result."""
    x = matrix_rows(seen[stage.inputs[0]]).float()
    norm = _norm_of(model, stage)
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    width = x.shape[1] if weight is None else len(weight)  # a norm of queries has a group for each head
    group = x.unflatten(-1, (-1, width))[rows, columns // width]  # (n, width)
    kind = type(norm).__name__
    mean = group.mean(-1) if kind == "LayerNorm" else torch.zeros(len(group))
    size = (group - mean.unsqueeze(-1)).square().mean(-1).add(getattr(norm, "eps", 0.0)).sqrt()
    if kind not in ("LayerNorm", "RMSNorm", "AllHeadsNorm"):
        size = torch.ones_like(size)
    gain = 1.0 if weight is None else weight[columns % width]
    shift = 0.0 if bias is None else bias[columns % width]
    numbers = _listed(columns, x[rows, columns], mean, size, gain, shift, _result(seen, stage, rows, columns))
    return Computation(form="norm", numbers=numbers)


def _norm_of(model: GPT, stage: Stage):
    if stage.kind == "final_normed":
        return model.final_norm
    block = model.layers[stage.layer]
    if stage.kind in ("q", "k"):
        return getattr(block.attention, f"{stage.kind}_norm")
    part = "attention" if "attention" in stage.kind else "feedforward"
    norm_position = "branch" if "_output_" in stage.kind else "post" if "after_" in stage.kind else "pre"
    return getattr(block, f"{part}_{norm_position}_norm")


def _query(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    return (_norm if model.config.qk_norm else _product)(model, seen, stage, rows, columns)


def _rotation(
    model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor
) -> Computation:
    """A rotated pair: the number and the cosine, its partner's with sign and the sine, position, frequency, result.

    The angle, in radians, is the position (from 0) times the frequency of the pair.
    """
    n_tokens = seen["logits"].shape[1]
    x = seen[stage.inputs[0]][0][:, -n_tokens:]  # (heads, T, D)
    width = x.shape[2]
    start = seen[stage.name.rpartition(".")[0] + ".scores"].shape[-1] - n_tokens
    cos, sin = model.angles_and_masks(start, n_tokens, x.dtype)[stage.layer][0]
    first, second = x.chunk(2, dim=-1)
    partner = matrix_rows(torch.cat((-second, first), -1).unsqueeze(0))
    before = matrix_rows(x.unsqueeze(0))
    inside = columns % width
    frequencies = _frequencies(model.config, stage.layer)
    numbers = _listed(
        columns,
        before[rows, columns],
        cos[rows, inside],
        partner[rows, columns],
        sin[rows, inside],
        rows + start,
        frequencies[inside % (width // 2)],
        _result(seen, stage, rows, columns),
    )
    return Computation(form="rotation", numbers=numbers)


def _frequencies(config: ModelConfig, layer: int) -> Tensor:
    """Return the frequency of each pair in a layer: (D/2,)."""
    theta, scaling = config.rope_theta, config.rope_scaling
    if config.window_rope_theta is not None and config.layer_kinds[layer].window is not None:
        theta, scaling = config.window_rope_theta, None
    return inverse_frequencies(config.head_dim, theta, scaling, config.rotary_fraction)


def _sum(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """An addition: both numbers, the result."""
    result = _result(seen, stage, rows, columns)
    parts = [matrix_rows(seen[name])[rows, columns] for name in stage.inputs]
    if stage.kind == "positioned":
        parts.append(result - parts[0])
    if len(parts) < 2:  # no residual: nothing is added to it
        parts.insert(0, torch.zeros_like(parts[0]))
    return Computation(form="sum", numbers=_listed(columns, *parts, result))


def _scores(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """A query times a key: terms, how many more, the rest, the scale, the result."""
    q, k = (seen[name][0] for name in stage.inputs)  # (H, T, D), (K, S, D)
    head, key = columns // k.shape[1], columns % k.shape[1]
    triples, n_more, rest = _terms(q[head, rows], k[head // (q.shape[0] // k.shape[0]), key])
    numbers = columns, triples, n_more, rest, model.config.score_scale
    return _capped("scores", model.config.score_cap, *numbers, _result(seen, stage, rows, columns))


def _mask(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """A score that stays or becomes minus infinity: the score, position of query and key from 0, the result."""
    n_seen = seen[stage.name].shape[-1]
    score = matrix_rows(seen[stage.inputs[0]])[rows, columns]
    query = rows + n_seen - seen["logits"].shape[1]
    result = _result(seen, stage, rows, columns)
    return Computation(form="mask", numbers=_listed(columns, score, query, columns % n_seen, result))


def _weights(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """A softmax over the keys: the score, the largest score, the sum of exponentials, how many keys, the result."""
    n_seen = seen[stage.name].shape[-1]
    head_scores = matrix_rows(seen[stage.inputs[0]]).unflatten(1, (-1, n_seen))[rows, columns // n_seen]
    score = head_scores.gather(1, (columns % n_seen).unsqueeze(-1))
    largest = head_scores.amax(-1, keepdim=True)
    total = (head_scores - largest).exp().sum(-1)
    n_keys = head_scores.isfinite().sum(-1)
    return Computation(
        form="softmax",
        numbers=_listed(columns, score, largest, total, n_keys, _result(seen, stage, rows, columns)),
    )


def _mixed(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """Attention weights times values: terms (weight, value, key), how many more, the rest, the result."""
    weights, v = (seen[name][0] for name in stage.inputs)  # (H, T, S), (K, S, D)
    head, inside = columns // v.shape[-1], columns % v.shape[-1]
    value = v[head // (weights.shape[0] // v.shape[0]), :, inside]  # (n, S)
    triples, n_more, rest = _terms(weights[head, rows], value)
    return Computation(
        form="mixed", numbers=_listed(columns, triples, n_more, rest, _result(seen, stage, rows, columns))
    )


def _activation(
    model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor
) -> Computation:
    """A number before and after the activation function."""
    before = matrix_rows(seen[stage.inputs[-1]])[rows, columns]
    return Computation(
        form="activation", numbers=_listed(columns, before, _result(seen, stage, rows, columns))
    )


def _hidden(model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor) -> Computation:
    """Gate times up: both, the result; without a gate, the activation."""
    if len(stage.inputs) < 2:
        return _activation(model, seen, stage, rows, columns)
    gate, up = (matrix_rows(seen[name])[rows, columns] for name in stage.inputs)
    return Computation(form="times", numbers=_listed(columns, gate, up, _result(seen, stage, rows, columns)))


def _probabilities(
    model: GPT, seen: dict[str, Tensor], stage: Stage, rows: Tensor, columns: Tensor
) -> Computation:
    """A softmax over the vocabulary: the logit, the largest one, the sum of exponentials, how many, the result."""
    logits = matrix_rows(seen["logits"]).double()
    largest = logits.amax(-1)[rows]
    total = (logits - logits.amax(-1, keepdim=True)).exp().sum(-1)[rows]
    numbers = _listed(
        columns,
        logits[rows, columns],
        largest,
        total,
        float(logits.shape[1]),
        _result(seen, stage, rows, columns),
    )
    return Computation(form="softmax", numbers=numbers)


_FORMS: dict[str, Callable[..., Computation]] = {
    "embedding": _row,
    "positioned": _sum,
    "attention_normed": _norm,
    "q_projected": _product,
    "k_projected": _product,
    "q": _query,
    "k": _query,
    "v": _product,
    "q_rotated": _rotation,
    "k_rotated": _rotation,
    "scores": _scores,
    "masked_scores": _mask,
    "weights": _weights,
    "mixed": _mixed,
    "attention_output": _product,
    "attention_output_normed": _norm,
    "after_attention": _sum,
    "after_attention_normed": _norm,
    "feedforward_normed": _norm,
    "gate_logits": _product,
    "up": _product,
    "gate": _activation,
    "hidden": _hidden,
    "feedforward_output": _product,
    "feedforward_output_normed": _norm,
    "after_feedforward": _sum,
    "after_feedforward_normed": _norm,
    "final_normed": _norm,
    "logits": _product,
    "probabilities": _probabilities,
}
