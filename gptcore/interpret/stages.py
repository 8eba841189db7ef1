"""One forward pass as a journey: its stages in order, what each is made from, and how one number of it was computed.

Everything is read from a trace; the model is asked only for the weights that stand in a formula.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.config import ModelConfig
from gptcore.model import GPT

TERMS = 3  # of a long sum that are written out, the largest ones
Numbers = list[list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step of the pass: its name in the trace, its kind (the name without the layer), what goes into it."""

    name: str
    kind: str
    layer: int | None
    inputs: tuple[str, ...]

    @property
    def is_stream(self) -> bool:
        """Whether this is the stream itself, after the embedding or after an addition."""
        return self.kind in ("embedding", "positioned") or self.kind.startswith("after_")


def stages(config: ModelConfig, seen: dict[str, Tensor]) -> list[Stage]:
    """Return the stages of a traced pass in the order of computation; a step that changes nothing is left out."""
    adds_positions = config.position in ("learned", "sinusoidal")
    names = [name for name in seen if name != "positioned" or adds_positions]
    stream, ordered = names[0], []
    for name in names:
        path = name.split(".")
        layer = int(path[1]) if path[0] == "layers" else None
        prefix = "" if layer is None else f"layers.{layer}."
        inputs = tuple(source for source in _inputs(path[-1], prefix, stream, config, seen) if source in seen)
        ordered.append(Stage(name=name, kind=path[-1], layer=layer, inputs=inputs))
        if ordered[-1].is_stream:
            stream = name
    return ordered


def _inputs(
    kind: str, prefix: str, stream: str, config: ModelConfig, seen: dict[str, Tensor]
) -> tuple[str, ...]:
    """Return what a stage is made from, by name; `stream` is the stream as it was before."""
    attention, mlp = f"{prefix}attention.", f"{prefix}feedforward."
    pre = config.norm_position.startswith("pre")
    rotated = "_rotated" if config.position == "rope" else ""
    output = "_output_normed" if config.norm_position.endswith("branch") else "_output"
    attention_input = f"{prefix}attention_normed" if pre else stream
    feedforward_input = f"{prefix}feedforward_normed" if pre else stream
    added = (stream,) if config.residual else ()
    masked = (
        "masked_scores" if f"{attention}masked_scores" in seen else "scores"
    )  # one new token needs no mask
    table = {
        "positioned": (stream,),
        "attention_normed": (stream,),
        "feedforward_normed": (stream,),
        "q_projected": (attention_input,),
        "k_projected": (attention_input,),
        "q": (f"{attention}q_projected",) if config.qk_norm else (attention_input,),
        "k": (f"{attention}k_projected",) if config.qk_norm else (attention_input,),
        "v": (attention_input,),
        "q_rotated": (f"{attention}q",),
        "k_rotated": (f"{attention}k",),
        "scores": (f"{attention}q{rotated}", f"{attention}k{rotated}"),
        "masked_scores": (f"{attention}scores",),
        "weights": (f"{attention}{masked}",),
        "mixed": (f"{attention}weights", f"{attention}v"),
        "attention_output": (f"{attention}mixed",),
        "attention_output_normed": (f"{prefix}attention_output",),
        "after_attention": (*added, f"{prefix}attention{output}"),
        "after_attention_normed": (stream,),
        "gate_logits": (feedforward_input,),
        "up": (feedforward_input,),
        "gate": (f"{mlp}gate_logits",),
        "hidden": (f"{mlp}gate", f"{mlp}up"),
        "feedforward_output": (f"{mlp}hidden",),
        "feedforward_output_normed": (f"{prefix}feedforward_output",),
        "after_feedforward": (*added, f"{prefix}feedforward{output}"),
        "after_feedforward_normed": (stream,),
        "final_normed": (stream,),
        "logits": ("final_normed",),
        "probabilities": ("logits",),
    }
    return table.get(kind, ())


def matrix_rows(tensor: Tensor) -> Tensor:
    """Return one sequence's tensor as a row for each token: (1, T, C) -> (T, C), (1, H, T, D) -> (T, H·D)."""
    sequence = tensor[0]
    return sequence if sequence.dim() == 2 else sequence.transpose(0, 1).flatten(1)


def binned(values: Tensor, most: int) -> Tensor:
    """Return rows of at most `most` columns, each the largest number, by size, of its neighbors: (T, W) -> (T, n)."""
    size = -(-values.shape[1] // most)
    if size == 1:
        return values
    short = -values.shape[1] % size
    padded = torch.nn.functional.pad(values, (0, short)).unflatten(1, (-1, size))  # (T, n, size)
    return padded.gather(-1, padded.abs().argmax(-1, keepdim=True)).squeeze(-1)


def tensor_size(values: Tensor) -> float:
    """Return the size that a picture of these numbers is drawn to: all but the largest hundredth lie below it."""
    sizes = values[values.isfinite()].abs()
    return float(sizes.quantile(0.99)) or float(sizes.max()) or 1.0 if sizes.numel() else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Computation:
    """How one number of a stage came about at every token: the form of the sum, and what stands in it, in order.

    The number is the largest of its token. `forms` of products end in how many terms are left out, what they
    come to together (a bias with them), and the result.
    """

    form: str
    numbers: Numbers


@torch.inference_mode()
def computation(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """Return how the largest number of a stage came about, for every token that was computed in this pass."""
    return _FORMS[stage.kind](model, seen, stage)


def _largest(values: Tensor) -> Tensor:
    """Return the column of the number of largest absolute value in each row: (T, W) -> (T, 1)."""
    return values.abs().argmax(-1, keepdim=True)


def _listed(*columns: Tensor) -> Numbers:
    """Return numbers token by token from columns (T,) or (T, n)."""
    wide = [(column if column.dim() == 2 else column.unsqueeze(-1)).double() for column in columns]
    return torch.cat(wide, -1).tolist()


def _terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the largest terms of sums of products (T, W) and (T, W).

    Both factors in turn (T, 2·n), their columns (T, n), how many terms are left (T, 1), what those sum to (T, 1).
    """
    products = a * b
    n = min(TERMS, products.shape[1])
    columns = products.abs().topk(n, -1).indices
    pairs = torch.stack((a.gather(1, columns), b.gather(1, columns)), -1).flatten(1)
    n_more = torch.full((len(products), 1), products.shape[1] - n)
    return pairs, columns, n_more, (products.sum(-1) - products.gather(1, columns).sum(-1)).unsqueeze(-1)


def _product(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A row of weights times the input: column, three pairs, how many more, the rest, the result."""
    x = matrix_rows(seen[stage.inputs[0]])
    output = matrix_rows(seen[stage.name])[-len(x) :]  # rows before those were kept in a cache
    weight, bias = _weight(model, stage)
    column = _largest(output)
    pairs, _, n_more, rest = _terms(weight[column.squeeze(-1)], x)
    if bias is not None:
        rest = rest + bias[column]
    return Computation(form="product", numbers=_listed(column, pairs, n_more, rest, output.gather(1, column)))


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


def _row(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A row of a table: the column of its largest number, and that number."""
    output = matrix_rows(seen[stage.name])
    column = _largest(output)
    return Computation(form="row", numbers=_listed(column, output.gather(1, column)))


def _norm(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A norm: column, the input there, the mean subtracted, the root mean square, gain, shift, the result."""
    x = matrix_rows(seen[stage.inputs[0]]).float()
    output = matrix_rows(seen[stage.name])[-len(x) :]
    norm = _norm_of(model, stage)
    width = output.shape[1] if getattr(norm, "weight", None) is None else len(norm.weight)
    grouped, column = (
        x.unflatten(-1, (-1, width)),
        _largest(output),
    )  # a norm of queries has a group for each head
    column_in_group = column % width
    group = grouped.gather(1, (column // width).unsqueeze(-1).expand(-1, 1, width)).squeeze(1)  # (T, width)
    eps = getattr(norm, "eps", 0.0)
    kind = type(norm).__name__
    mean = group.mean(-1, keepdim=True) if kind == "LayerNorm" else torch.zeros(len(x), 1)
    size = (group - mean).square().mean(-1, keepdim=True).add(eps).sqrt()
    if kind not in ("LayerNorm", "RMSNorm"):
        size = torch.ones_like(size)
    gain = (
        norm.weight[column_in_group] if getattr(norm, "weight", None) is not None else torch.ones(len(x), 1)
    )
    shift = norm.bias[column_in_group] if getattr(norm, "bias", None) is not None else torch.zeros(len(x), 1)
    numbers = _listed(column, x.gather(1, column), mean, size, gain, shift, output.gather(1, column))
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


def _query(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    return (_norm if model.config.qk_norm else _product)(model, seen, stage)


def _rotation(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A rotated pair: column, its number and cosine, its partner's with sign and sine, the result."""
    output, x = seen[stage.name][0], seen[stage.inputs[0]][0]  # (heads, S, D) and (heads, T, D)
    n_tokens, width = x.shape[1], x.shape[2]
    n_seen = seen[stage.name.rpartition(".")[0] + ".scores"].shape[-1]
    output = output[:, -n_tokens:]
    cos, sin = model.positions.angles(n_seen - n_tokens, n_tokens, x.dtype)
    first, second = x.chunk(2, dim=-1)
    partner = matrix_rows(torch.cat((-second, first), -1).unsqueeze(0))
    flat, before = matrix_rows(output.unsqueeze(0)), matrix_rows(x.unsqueeze(0))
    column = _largest(flat)
    cosine, sine = cos.gather(1, column % width), sin.gather(1, column % width)
    return Computation(
        form="turn",
        numbers=_listed(
            column, before.gather(1, column), cosine, partner.gather(1, column), sine, flat.gather(1, column)
        ),
    )


def _sum(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """An addition: column, both numbers, the result."""
    output = matrix_rows(seen[stage.name])
    column = _largest(output)
    parts = [matrix_rows(seen[name]).gather(1, column) for name in stage.inputs]
    if stage.kind == "positioned":
        parts.append(output.gather(1, column) - parts[0])
    if len(parts) < 2:  # no residual: nothing stands beside it
        parts.insert(0, torch.zeros_like(parts[0]))
    return Computation(form="sum", numbers=_listed(column, *parts, output.gather(1, column)))


def _most_attended(seen: dict[str, Tensor], stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
    """Return the head and key (T,) that each token attends to most, and a stage's numbers there (T,)."""
    weights = seen[stage.name.rpartition(".")[0] + ".weights"][0]  # (H, T, S)
    flat = weights.transpose(0, 1).flatten(1)  # (T, H·S)
    pair = flat.argmax(-1, keepdim=True)
    output = matrix_rows(seen[stage.name]).gather(1, pair).squeeze(-1)
    pair = pair.squeeze(-1)
    return pair // weights.shape[-1], pair % weights.shape[-1], output


def _scores(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A query times a key: head, key, three pairs, how many more, the rest, the scale, the result."""
    head, key, output = _most_attended(seen, stage)
    q, k = (seen[name][0] for name in stage.inputs)  # (H, T, D), (K, S, D)
    tokens = torch.arange(q.shape[1])
    query_rows, key_rows = q[head, tokens], k[head // (q.shape[0] // k.shape[0]), key]  # (T, D) each
    pairs, _, n_more, rest = _terms(query_rows, key_rows)
    scale = torch.full((len(tokens), 1), model.config.score_scale)
    return Computation(form="scores", numbers=_listed(head, key, pairs, n_more, rest, scale, output))


def _mask(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """How many tokens each may attend to, and how many it may not."""
    allowed = seen[stage.name][0, 0].isfinite().sum(-1)
    return Computation(form="mask", numbers=_listed(allowed, seen[stage.name].shape[-1] - allowed))


def _weights(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A softmax over the keys: head, key, score, the largest score, the sum of exponentials, the result."""
    head, key, output = _most_attended(seen, stage)
    tokens = torch.arange(len(output))
    scores = seen[stage.inputs[0]][0][head, tokens]  # (T, S)
    largest = scores.amax(-1, keepdim=True)
    total = (scores - largest).exp().sum(-1)
    score = scores.gather(1, key.unsqueeze(-1))
    return Computation(form="softmax", numbers=_listed(head, key, score, largest, total, output))


def _mixed(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """Values by attention weights: column, then three times weight, value and key, how many more, rest, result."""
    output, (weights, v) = matrix_rows(seen[stage.name]), (seen[name][0] for name in stage.inputs)
    column = _largest(output).squeeze(-1)
    head, tokens = column // v.shape[-1], torch.arange(len(output))
    head_weights = weights[head, tokens]  # (T, S)
    value = v[head // (weights.shape[0] // v.shape[0]), :, column % v.shape[-1]]  # (T, S)
    pairs, keys, n_more, rest = _terms(head_weights, value)
    triples = torch.cat((pairs.unflatten(1, (-1, 2)), keys.unsqueeze(-1)), -1).flatten(1)
    return Computation(
        form="mixed", numbers=_listed(column, triples, n_more, rest, output.gather(1, column.unsqueeze(-1)))
    )


def _activation(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A number before and after the activation function: column, before, after."""
    output = matrix_rows(seen[stage.name])
    column = _largest(output)
    before = matrix_rows(seen[stage.inputs[-1]])
    return Computation(
        form="bend", numbers=_listed(column, before.gather(1, column), output.gather(1, column))
    )


def _hidden(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """Gate times up: column, both, the result; without a gate, the activation."""
    if len(stage.inputs) < 2:
        return _activation(model, seen, stage)
    output = matrix_rows(seen[stage.name])
    column = _largest(output)
    gate, up = (matrix_rows(seen[name]).gather(1, column) for name in stage.inputs)
    return Computation(form="times", numbers=_listed(column, gate, up, output.gather(1, column)))


def _probabilities(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A softmax over the vocabulary: token, its logit, the largest, the sum of exponentials, the result."""
    logits, output = matrix_rows(seen["logits"]).double(), matrix_rows(seen[stage.name])
    column = _largest(output)
    largest = logits.amax(-1, keepdim=True)
    total = (logits - largest).exp().sum(-1)
    return Computation(
        form="chance",
        numbers=_listed(column, logits.gather(1, column), largest, total, output.gather(1, column)),
    )


_FORMS: dict[str, Callable[[GPT, dict[str, Tensor], Stage], Computation]] = {
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
