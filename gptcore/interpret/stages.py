"""One forward pass as a journey: its stages in order, what each is made from, and how one number of it came about.

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
    marked = config.position in ("learned", "sinusoidal")
    names = [name for name in seen if name != "positioned" or marked]
    stream, found = names[0], []
    for name in names:
        path = name.split(".")
        layer = int(path[1]) if path[0] == "layers" else None
        prefix = "" if layer is None else f"layers.{layer}."
        inputs = tuple(one for one in _inputs(path[-1], prefix, stream, config, seen) if one in seen)
        found.append(Stage(name=name, kind=path[-1], layer=layer, inputs=inputs))
        if found[-1].is_stream:
            stream = name
    return found


def _inputs(
    kind: str, prefix: str, stream: str, config: ModelConfig, seen: dict[str, Tensor]
) -> tuple[str, ...]:
    """Return what a stage is made from, by name; `stream` is the stream as it was before."""
    attention, mlp = f"{prefix}attention.", f"{prefix}feedforward."
    pre = config.norm_position.startswith("pre")
    turned = "_rotated" if config.position == "rope" else ""
    output = "_output_normed" if config.norm_position.endswith("branch") else "_output"
    asked = f"{prefix}attention_normed" if pre else stream
    thought = f"{prefix}feedforward_normed" if pre else stream
    added = (stream,) if config.residual else ()
    masked = (
        "masked_scores" if f"{attention}masked_scores" in seen else "scores"
    )  # one new token needs no mask
    table = {
        "positioned": (stream,),
        "attention_normed": (stream,),
        "feedforward_normed": (stream,),
        "q_projected": (asked,),
        "k_projected": (asked,),
        "q": (f"{attention}q_projected",) if config.qk_norm else (asked,),
        "k": (f"{attention}k_projected",) if config.qk_norm else (asked,),
        "v": (asked,),
        "q_rotated": (f"{attention}q",),
        "k_rotated": (f"{attention}k",),
        "scores": (f"{attention}q{turned}", f"{attention}k{turned}"),
        "masked_scores": (f"{attention}scores",),
        "weights": (f"{attention}{masked}",),
        "mixed": (f"{attention}weights", f"{attention}v"),
        "attention_output": (f"{attention}mixed",),
        "attention_output_normed": (f"{prefix}attention_output",),
        "after_attention": (*added, f"{prefix}attention{output}"),
        "after_attention_normed": (stream,),
        "gate_logits": (thought,),
        "up": (thought,),
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
    one = tensor[0]
    return one if one.dim() == 2 else one.transpose(0, 1).flatten(1)


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
    """Return the place of the largest number of each row, by size: (T, W) -> (T, 1)."""
    return values.abs().argmax(-1, keepdim=True)


def _listed(*columns: Tensor) -> Numbers:
    """Return numbers token by token from columns (T,) or (T, n)."""
    wide = [(column if column.dim() == 2 else column.unsqueeze(-1)).double() for column in columns]
    return torch.cat(wide, -1).tolist()


def _terms(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the largest terms of sums of products (T, W) and (T, W).

    Both factors in turn (T, 2·n), their places (T, n), how many terms are left (T, 1), what those sum to (T, 1).
    """
    products = one * other
    n = min(TERMS, products.shape[1])
    places = products.abs().topk(n, -1).indices
    pairs = torch.stack((one.gather(1, places), other.gather(1, places)), -1).flatten(1)
    left = torch.full((len(products), 1), products.shape[1] - n)
    return pairs, places, left, (products.sum(-1) - products.gather(1, places).sum(-1)).unsqueeze(-1)


def _product(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A row of weights times what comes in: place, three pairs, how many more, the rest, the result."""
    x = matrix_rows(seen[stage.inputs[0]])
    made = matrix_rows(seen[stage.name])[-len(x) :]  # rows before those were kept in a cache
    weight, bias = _weight(model, stage)
    place = _largest(made)
    pairs, _, left, rest = _terms(weight[place.squeeze(-1)], x)
    if bias is not None:
        rest = rest + bias[place]
    return Computation(form="product", numbers=_listed(place, pairs, left, rest, made.gather(1, place)))


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
    """A row of a table: the place of its largest number, and that number."""
    made = matrix_rows(seen[stage.name])
    place = _largest(made)
    return Computation(form="row", numbers=_listed(place, made.gather(1, place)))


def _norm(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A norm: place, the number that came in, the mean taken off, the size divided by, gain, shift, the result."""
    x = matrix_rows(seen[stage.inputs[0]]).float()
    made = matrix_rows(seen[stage.name])[-len(x) :]
    norm = _norm_of(model, stage)
    width = made.shape[1] if getattr(norm, "weight", None) is None else len(norm.weight)
    grouped, place = (
        x.unflatten(-1, (-1, width)),
        _largest(made),
    )  # a norm of queries has a group for each head
    place_in = place % width
    group = grouped.gather(1, (place // width).unsqueeze(-1).expand(-1, 1, width)).squeeze(1)  # (T, width)
    eps = getattr(norm, "eps", 0.0)
    kind = type(norm).__name__
    mean = group.mean(-1, keepdim=True) if kind == "LayerNorm" else torch.zeros(len(x), 1)
    size = (group - mean).square().mean(-1, keepdim=True).add(eps).sqrt()
    if kind not in ("LayerNorm", "RMSNorm"):
        size = torch.ones_like(size)
    gain = norm.weight[place_in] if getattr(norm, "weight", None) is not None else torch.ones(len(x), 1)
    shift = norm.bias[place_in] if getattr(norm, "bias", None) is not None else torch.zeros(len(x), 1)
    numbers = _listed(place, x.gather(1, place), mean, size, gain, shift, made.gather(1, place))
    return Computation(form="norm", numbers=numbers)


def _norm_of(model: GPT, stage: Stage):
    if stage.kind == "final_normed":
        return model.final_norm
    block = model.layers[stage.layer]
    if stage.kind in ("q", "k"):
        return getattr(block.attention, f"{stage.kind}_norm")
    part = "attention" if "attention" in stage.kind else "feedforward"
    place = "branch" if "_output_" in stage.kind else "post" if "after_" in stage.kind else "pre"
    return getattr(block, f"{part}_{place}_norm")


def _query(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    return (_norm if model.config.qk_norm else _product)(model, seen, stage)


def _turn(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A turned pair: place, its number and cosine, its partner's with sign and sine, the result."""
    made, x = seen[stage.name][0], seen[stage.inputs[0]][0]  # (heads, S, D) and (heads, T, D)
    n_tokens, width = x.shape[1], x.shape[2]
    n_seen = seen[stage.name.rpartition(".")[0] + ".scores"].shape[-1]
    made = made[:, -n_tokens:]
    cos, sin = model.positions.angles(n_seen - n_tokens, n_tokens, x.dtype)
    first, second = x.chunk(2, dim=-1)
    partner = matrix_rows(torch.cat((-second, first), -1).unsqueeze(0))
    flat, before = matrix_rows(made.unsqueeze(0)), matrix_rows(x.unsqueeze(0))
    place = _largest(flat)
    cosine, sine = cos.gather(1, place % width), sin.gather(1, place % width)
    return Computation(
        form="turn",
        numbers=_listed(
            place, before.gather(1, place), cosine, partner.gather(1, place), sine, flat.gather(1, place)
        ),
    )


def _sum(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """An addition: place, both numbers, the result."""
    made = matrix_rows(seen[stage.name])
    place = _largest(made)
    parts = [matrix_rows(seen[name]).gather(1, place) for name in stage.inputs]
    if stage.kind == "positioned":
        parts.append(made.gather(1, place) - parts[0])
    if len(parts) < 2:  # no residual: nothing stands beside it
        parts.insert(0, torch.zeros_like(parts[0]))
    return Computation(form="sum", numbers=_listed(place, *parts, made.gather(1, place)))


def _looked(seen: dict[str, Tensor], stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
    """Return the head and key (T,) that each token looks at most, and a stage's numbers there (T,)."""
    weights = seen[stage.name.rpartition(".")[0] + ".weights"][0]  # (H, T, S)
    flat = weights.transpose(0, 1).flatten(1)  # (T, H·S)
    place = flat.argmax(-1, keepdim=True)
    made = matrix_rows(seen[stage.name]).gather(1, place).squeeze(-1)
    place = place.squeeze(-1)
    return place // weights.shape[-1], place % weights.shape[-1], made


def _scores(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A query times a key: head, key, three pairs, how many more, the rest, the scale, the result."""
    head, key, made = _looked(seen, stage)
    q, k = (seen[name][0] for name in stage.inputs)  # (H, T, D), (K, S, D)
    tokens = torch.arange(q.shape[1])
    query, answer = q[head, tokens], k[head // (q.shape[0] // k.shape[0]), key]  # (T, D) each
    pairs, _, left, rest = _terms(query, answer)
    scale = torch.full((len(tokens), 1), model.config.score_scale)
    return Computation(form="scores", numbers=_listed(head, key, pairs, left, rest, scale, made))


def _mask(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """How many tokens each may look at, and how many it may not."""
    allowed = seen[stage.name][0, 0].isfinite().sum(-1)
    return Computation(form="mask", numbers=_listed(allowed, seen[stage.name].shape[-1] - allowed))


def _weights(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A softmax over the keys: head, key, score, the largest score, the sum of exponentials, the result."""
    head, key, made = _looked(seen, stage)
    tokens = torch.arange(len(made))
    scores = seen[stage.inputs[0]][0][head, tokens]  # (T, S)
    largest = scores.amax(-1, keepdim=True)
    total = (scores - largest).exp().sum(-1)
    score = scores.gather(1, key.unsqueeze(-1))
    return Computation(form="softmax", numbers=_listed(head, key, score, largest, total, made))


def _mixed(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """Values by weights: place, then weight, value and key three times, how many more, the rest, the result."""
    made, (weights, v) = matrix_rows(seen[stage.name]), (seen[name][0] for name in stage.inputs)
    place = _largest(made).squeeze(-1)
    head, tokens = place // v.shape[-1], torch.arange(len(made))
    share = weights[head, tokens]  # (T, S)
    value = v[head // (weights.shape[0] // v.shape[0]), :, place % v.shape[-1]]  # (T, S)
    pairs, keys, left, rest = _terms(share, value)
    triples = torch.cat((pairs.unflatten(1, (-1, 2)), keys.unsqueeze(-1)), -1).flatten(1)
    return Computation(
        form="mixed", numbers=_listed(place, triples, left, rest, made.gather(1, place.unsqueeze(-1)))
    )


def _bend(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A number bent by the activation: place, before, after."""
    made = matrix_rows(seen[stage.name])
    place = _largest(made)
    before = matrix_rows(seen[stage.inputs[-1]])
    return Computation(form="bend", numbers=_listed(place, before.gather(1, place), made.gather(1, place)))


def _hidden(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """Gate times up: place, both, the result; without a gate, the activation."""
    if len(stage.inputs) < 2:
        return _bend(model, seen, stage)
    made = matrix_rows(seen[stage.name])
    place = _largest(made)
    gate, up = (matrix_rows(seen[name]).gather(1, place) for name in stage.inputs)
    return Computation(form="times", numbers=_listed(place, gate, up, made.gather(1, place)))


def _probabilities(model: GPT, seen: dict[str, Tensor], stage: Stage) -> Computation:
    """A softmax over the vocabulary: token, its logit, the largest, the sum of exponentials, the result."""
    logits, made = matrix_rows(seen["logits"]).double(), matrix_rows(seen[stage.name])
    place = _largest(made)
    largest = logits.amax(-1, keepdim=True)
    total = (logits - largest).exp().sum(-1)
    return Computation(
        form="chance",
        numbers=_listed(place, logits.gather(1, place), largest, total, made.gather(1, place)),
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
    "q_rotated": _turn,
    "k_rotated": _turn,
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
    "gate": _bend,
    "hidden": _hidden,
    "feedforward_output": _product,
    "feedforward_output_normed": _norm,
    "after_feedforward": _sum,
    "after_feedforward_normed": _norm,
    "final_normed": _norm,
    "logits": _product,
    "probabilities": _probabilities,
}
