"""Computations step by step, so that a page can print every step.

Each calls the library's arithmetic with a trace, and adds only the intermediate steps that a model does not need.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.attention import allowed_pairs, attention_weights, explicit_attention
from gptcore.feedforward import SwiGLU
from gptcore.generation.sampling import Sampling, distribution
from gptcore.norms import LayerNorm, rms_norm
from gptcore.positions import apply_rope, inverse_frequencies, rope_table
from gptcore.training.optim import AdamW


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """One head over T tokens, step by step; `struck` are weights to which 0 was written after the softmax."""

    raw: Tensor  # (T, T) dot products
    scores: Tensor  # (T, T) scaled
    masked: Tensor  # (T, T) minus infinity where masked
    exponentials: Tensor  # (T, T)
    sums: Tensor  # (T,)
    weights: Tensor  # (T, T)
    struck: Tensor  # (T, T)
    mixed: Tensor  # (T, D)
    output: Tensor  # (T, C)


def attention(
    q: Tensor, k: Tensor, v: Tensor, w_o: Tensor, scale: float | None = None, cap: float | None = None
) -> Attention:
    """Return every step of causal attention with one head: q, k, v (T, D), w_o (D, C)."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    allowed = allowed_pairs(len(q), len(k), causal=True, window=None)
    seen: dict[str, Tensor] = {}
    weights = attention_weights(q, k, scale, allowed, seen, cap)
    exponentials = seen["masked_scores"].exp() if "masked_scores" in seen else seen["scores"].exp()
    mixed = explicit_attention(q[None, None], k[None, None], v[None, None], scale, allowed, cap=cap)[0, 0]
    everything = attention_weights(q, k, scale, cap=cap)
    return Attention(
        raw=q @ k.T,
        scores=seen["scores"],
        masked=seen.get("masked_scores", seen["scores"]),
        exponentials=exponentials,
        sums=exponentials.sum(-1),
        weights=weights,
        struck=everything if allowed is None else everything * allowed,
        mixed=mixed,
        output=mixed @ w_o,
    )


# The steps of one attention layer, and the names under which the model's own trace holds their results.
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("project", ("q", "k", "v")),
    ("turn", ("q_rotated", "k_rotated")),
    ("compare", ()),  # the model scales its queries first, so the bare product is nowhere a tensor
    ("scale", ("scores",)),
    ("mask", ("masked_scores",)),
    ("softmax", ("weights",)),
    ("mix", ("mixed",)),
    ("write", ("attention_output",)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """One head of a model on a few tokens of a text: its projections, their rotation, and the steps after."""

    q: Tensor  # (n, D) before rotation
    k: Tensor
    v: Tensor
    q_rotated: Tensor
    k_rotated: Tensor
    steps: Attention


def head_by_hand(model, seen: dict[str, Tensor], layer: int, head: int, positions: list[int]) -> Head:
    """Return one head's steps on the tokens at `positions` alone, from the trace of the whole text.

    Its output is this head's contribution to the layer's output: the other heads add theirs.
    """
    config = model.config
    group = head * config.n_kv_heads // config.n_heads

    def rows(name: str, number: int) -> Tensor:
        return seen[f"layers.{layer}.attention.{name}"][0, number][positions]

    q, k, v = rows("q", head), rows("k", group), rows("v", group)
    rotated = f"layers.{layer}.attention.q_rotated" in seen
    q_rotated, k_rotated = (rows("q_rotated", head), rows("k_rotated", group)) if rotated else (q, k)
    width = config.head_dim
    w_o = model.layers[layer].attention.o_proj.weight.detach()[:, head * width : (head + 1) * width].T
    with torch.no_grad():
        steps = attention(q_rotated, k_rotated, v, w_o, config.score_scale, config.score_cap)
    return Head(q=q, k=k, v=v, q_rotated=q_rotated, k_rotated=k_rotated, steps=steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedForwardSteps:
    """The feed-forward half of a pre-norm block on one token, step by step."""

    squares: Tensor  # (C,)
    mean_square: float
    rms: float  # the root of the mean square, ε included
    unscaled: Tensor  # (C,) x / rms
    normed: Tensor  # (C,) with the gain
    centered: Tensor  # (C,) what LayerNorm without gain and shift gives instead
    gate_logits: Tensor  # (F,)
    gate: Tensor  # (F,) SiLU of them
    up: Tensor  # (F,)
    hidden: Tensor  # (F,)
    output: Tensor  # (C,)
    total: Tensor  # (C,) x + output
    fraction: float  # of the squared length of the total that lies along the output; NaN for a total of zeros


@torch.no_grad()
def feedforward_half(
    x: Tensor, gain: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor, eps: float = 1e-5
) -> FeedForwardSteps:
    """Return every step of x + SwiGLU(RMSNorm(x)): x, gain (C,), w_gate, w_up (C, F), w_down (F, C)."""
    squares = x.square()
    mean_square = squares.mean().item()
    normed = rms_norm(x, gain, eps)
    layer = SwiGLU(*w_gate.shape)
    layer.gate_up_proj.weight.copy_(torch.cat((w_gate, w_up), dim=1).T)
    layer.down_proj.weight.copy_(w_down.T)
    seen: dict[str, Tensor] = {}
    output = layer(normed, seen)
    total = x + output
    return FeedForwardSteps(
        squares=squares,
        mean_square=mean_square,
        rms=math.sqrt(mean_square + eps),
        unscaled=rms_norm(x, torch.ones_like(gain), eps),
        normed=normed,
        centered=LayerNorm(len(x), eps)(x),
        gate_logits=seen["gate_logits"],
        gate=seen["gate"],
        up=seen["up"],
        hidden=seen["hidden"],
        output=output,
        total=total,
        fraction=(output @ total / total.square().sum()).item(),
    )


PAIRINGS = ("halves", "neighbors")


def pairs(width: int, pairing: str) -> list[tuple[int, int]]:
    """Return which two dimensions are rotated together: the library's halves, or the paper's neighbors.

    >>> pairs(4, "halves"), pairs(4, "neighbors")
    ([(0, 2), (1, 3)], [(0, 1), (2, 3)])
    """
    half = width // 2
    return [(i, i + half) if pairing == "halves" else (2 * i, 2 * i + 1) for i in range(half)]


def order_for_halves(width: int, pairing: str) -> list[int]:
    """Return the order of dimensions in which pairs become halves, as `apply_rope` wants them.

    >>> order_for_halves(8, "neighbors")
    [0, 2, 4, 6, 1, 3, 5, 7]
    """
    both = pairs(width, pairing)
    return [first for first, _ in both] + [second for _, second in both]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """One vector rotated at one position: for each pair its angle, and the vector afterwards."""

    pairs: list[tuple[int, int]]
    frequencies: list[float]  # radians from one position to the next, a pair each
    angles: list[float]  # radians at this position
    rotated: list[float]  # (D,)


def rotate(x: Tensor, position: int, theta: float = 10_000.0, pairing: str = "halves") -> Rotation:
    """Return a query or key (D,) rotated as the model rotates it at a position, step by step."""
    order = torch.tensor(order_for_halves(len(x), pairing))
    cos, sin = rope_table(len(x), position + 1, theta)
    rotated = apply_rope(x[order], cos[position], sin[position])[order.argsort()]
    frequencies = inverse_frequencies(len(x), theta)
    return Rotation(
        pairs=pairs(len(x), pairing),
        frequencies=frequencies.tolist(),
        angles=(position * frequencies).tolist(),
        rotated=rotated.tolist(),
    )


def rotated_score(
    q: Tensor, k: Tensor, at: int, key_at: int, theta: float = 10_000.0, pairing: str = "halves"
) -> float:
    """Return the dot product of a query (D,) rotated at position `at` and a key rotated at `key_at`."""
    query, key = rotate(q, at, theta, pairing).rotated, rotate(k, key_at, theta, pairing).rotated
    return float(sum(a * b for a, b in zip(query, key, strict=True)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationCurve:
    """An activation function at some inputs: its values and derivatives."""

    values: tuple[float, ...]
    slopes: tuple[float, ...]


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "SiLU": F.silu,
    "GELU": lambda z: F.gelu(z, approximate="tanh"),
    "ReLU": F.relu,
}


def activation_curve(name: str, z: Sequence[float]) -> ActivationCurve:
    """Return an activation function and its derivative at the inputs z."""
    with torch.enable_grad():
        inputs = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        values = ACTIVATIONS[name](inputs)
        (slopes,) = torch.autograd.grad(values.sum(), inputs)
    return ActivationCurve(values=tuple(values.tolist()), slopes=tuple(slopes.tolist()))


@torch.no_grad()
def both_norms(x: Sequence[float], scale: float = 1.0, shift: float = 0.0) -> dict[str, list[float]]:
    """Return scale · x + shift after RMSNorm and after LayerNorm, both without gain."""
    vector = scale * torch.tensor(x) + shift
    return {
        "RMSNorm": rms_norm(vector, torch.ones_like(vector), 1e-5).tolist(),
        "LayerNorm": LayerNorm(len(vector))(vector).tolist(),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Softmax:
    """Logits and their probabilities at one temperature, and the loss of a target."""

    scaled: Tensor  # (V,) scores divided by the temperature
    exponentials: Tensor  # (V,)
    total: float
    probabilities: Tensor  # (V,)


def softmax(scores: Tensor, temperature: float = 1.0) -> Softmax:
    """Return every step from logits (V,) to the probabilities that a token is sampled with."""
    scaled = scores / temperature
    exponentials = scaled.exp()
    probabilities = distribution(scores, Sampling(temperature=temperature))
    return Softmax(
        scaled=scaled, exponentials=exponentials, total=exponentials.sum().item(), probabilities=probabilities
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FilteredProbabilities:
    """Probabilities under top-k or top-p, the most probable first."""

    order: Tensor  # (V,) indices into the given list, the most probable first
    sorted: Tensor  # (V,) probabilities in that order
    running: Tensor  # (V,) sums up to and including each
    kept: Tensor  # (V,) bool, in that order
    mass: float  # total probability of the kept tokens
    after: Tensor  # (V,) probabilities in the given order, made to sum to 1 again


def filter_probabilities(probabilities: Tensor, sampling: Sampling) -> FilteredProbabilities:
    """Return probabilities (V,) after a filter, with the sums that decide it."""
    after = distribution(probabilities.log(), sampling)
    ordered, order = probabilities.sort(descending=True, stable=True)
    kept = after > 0
    return FilteredProbabilities(
        order=order,
        sorted=ordered,
        running=ordered.cumsum(0),
        kept=kept[order],
        mass=probabilities[kept].sum().item(),
        after=after,
    )


def token_at(probabilities: Tensor, where: float) -> int:
    """Return the token in whose interval `where` (0 to 1) falls when probabilities (V,) are laid end to end."""
    ends = probabilities.double().cumsum(0)
    return min(int(torch.searchsorted(ends, where * ends[-1], right=True)), len(probabilities) - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropy:
    """The loss of one prediction, and its gradient."""

    probabilities: Tensor  # (V,)
    loss: float  # nats
    gradient: Tensor  # (V,) of the loss by each score


def cross_entropy(scores: Tensor, target: int) -> CrossEntropy:
    """Return the cross-entropy of one prediction and its gradient, by autograd: scores (V,)."""
    scores = scores.detach().requires_grad_()
    loss = F.cross_entropy(scores[None], torch.tensor([target]))
    (gradient,) = torch.autograd.grad(loss, scores)
    return CrossEntropy(
        probabilities=torch.softmax(scores.detach(), dim=-1), loss=loss.item(), gradient=gradient
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamWStep:
    """One step of AdamW on one weight; a hat marks a bias-corrected moment."""

    first: float  # m, the exponential moving average of the gradient
    second: float  # v, the exponential moving average of its square
    first_hat: float
    second_hat: float
    decayed: float  # the weight after decay, before the step
    move: float  # what is subtracted from it
    weight: float  # as torch's own AdamW leaves it


def adamw_step(
    weight: float,
    gradients: Sequence[float],
    *,
    rate: float,
    decay: float,
    beta1: float,
    beta2: float,
    eps: float = 1e-8,
) -> AdamWStep:
    """Return the last AdamW step of one weight for these gradients; the new weight is torch's."""
    parameter = torch.nn.Parameter(torch.tensor([weight], dtype=torch.float64))
    optimizer = AdamW([parameter], lr=rate, betas=(beta1, beta2), eps=eps, weight_decay=decay)
    before = weight
    for gradient in gradients:
        before = parameter.item()
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    state, steps = optimizer.state[parameter], len(gradients)
    first, second = state["exp_avg"].item(), state["exp_avg_sq"].item()
    first_hat, second_hat = first / (1 - beta1**steps), second / (1 - beta2**steps)
    return AdamWStep(
        first=first,
        second=second,
        first_hat=first_hat,
        second_hat=second_hat,
        decayed=before * (1 - rate * decay),
        move=rate * first_hat / (math.sqrt(second_hat) + eps),
        weight=parameter.item(),
    )
