"""The rows of an embedding table: their similarity, their nearest neighbors, and which of them a step updates."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.config import ModelConfig
from gptcore.model import GPT
from gptcore.norms import rms_norm

SAME_DIRECTION = 0.999  # rows with a larger cosine count as one
MOST_ROWS = 4096  # of which all pairs are compared


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine of each row of a (N, C) with each row of b (M, C): (N, M); 0 for a row of zeros."""
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def nearest(
    table: Tensor, target: Tensor, most: int = 10, without: Collection[int] = ()
) -> list[tuple[int, float]]:
    """Return the rows of table (V, C) nearest to target (C,) by cosine, the nearest first, as (id, cosine)."""
    similarities = cosines(target.unsqueeze(0), table)[0]
    similarities[list(without)] = -torch.inf
    best = similarities.topk(min(most, len(similarities) - len(set(without))))
    return list(zip(best.indices.tolist(), best.values.tolist()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Analogy:
    """Where `wanted` lands among all rows near a − b + c, counted from 1, with the three inputs and without."""

    rank: int
    rank_without_inputs: int
    best: tuple[tuple[int, float], ...]  # the nearest of all, inputs included
    best_without_inputs: tuple[tuple[int, float], ...]
    rank_without_arithmetic: int  # of `wanted` among the neighbors of c alone, inputs left out


def analogy(table: Tensor, a: int, b: int, c: int, wanted: int, most: int = 8) -> Analogy:
    """Return how well "a − b + c is wanted" does on table (V, C): king − man + woman is queen."""
    target = table[a] - table[b] + table[c]
    inputs = {a, b, c}
    everything = [row_id for row_id, _ in nearest(table, target, len(table))]
    fair = [row_id for row_id in everything if row_id not in inputs]
    plain = [row_id for row_id, _ in nearest(table, table[c], len(table), without=inputs)]
    return Analogy(
        rank=everything.index(wanted) + 1,
        rank_without_inputs=fair.index(wanted) + 1,
        best=tuple(nearest(table, target, most)),
        best_without_inputs=tuple(nearest(table, target, most, without=inputs)),
        rank_without_arithmetic=plain.index(wanted) + 1,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """Points (N, 2) on the plane that keeps most of their variance, and the fraction of the variance it keeps."""

    points: Tensor
    kept: float


def pca_projection(rows: Tensor, frame: Tensor | None = None) -> Projection:
    """Project rows (N, C) onto the first two principal components of `frame` (by default of the rows themselves)."""
    frame = rows if frame is None else frame
    middle = frame.mean(0)
    _, _, directions = torch.linalg.svd(frame - middle, full_matrices=False)
    points = (rows - middle) @ directions[:2].T
    whole = (rows - middle).square().sum()
    return Projection(points=points, kept=float(points.square().sum() / whole) if whole > 0 else 1.0)


def neighbors_kept(rows: Tensor, n_near: int = 5) -> float:
    """Return the fraction of each row's nearest neighbors, by distance, that stay nearest in the projection."""
    flat = pca_projection(rows).points

    def near(points: Tensor) -> list[set[int]]:
        distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
        return [set(row) for row in distances.topk(n_near, largest=False).indices.tolist()]

    both = [len(high & low) for high, low in zip(near(rows), near(flat))]
    return sum(both) / (n_near * len(rows))


def collapsed_rows(table: Tensor) -> list[int]:
    """Return the largest set of rows with the same direction as one of them; of a large table, its last rows.

    Tokens that never occur end like this under tied weights: all get the same gradient, and weight decay removes
    their initialization.
    """
    first = max(0, len(table) - MOST_ROWS)
    alike = cosines(table[first:], table[first:]) > SAME_DIRECTION
    middle = int(alike.sum(1).argmax())
    return [first + row for row in alike[middle].nonzero().flatten().tolist()]


def embedding_gradient(ids: Sequence[int], above: Tensor, n_rows: int) -> Tensor:
    """Return the gradient of a table of `n_rows` rows, by autograd: above (T, C) -> (n_rows, C).

    Row i gets the sum of the gradients at all positions of token i, and 0 if it does not occur.
    """
    table = torch.zeros(n_rows, above.shape[1], requires_grad=True)
    rows = F.embedding(torch.tensor(list(ids)), table)
    (rows * above).sum().backward()  # not rows.backward(above), for which torch loads all of SymPy: 35 MB
    return table.grad


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How far training has moved two sets of rows, and how many are exactly as they were initialized."""

    n_still: int
    n_unread_still: int
    unread: float  # mean distance of the rows that were never read; nan without any
    rest: float
    unread_cosine: float  # mean cosine of an unread row with itself at initialization


def drift(initial: Tensor, now: Tensor, unread: Sequence[int]) -> Drift:
    """Return how far a table (V, C) has moved since its initialization, `unread` rows apart from the rest."""
    far = (now - initial).norm(dim=1)
    apart = torch.zeros(len(far), dtype=torch.bool)
    apart[list(unread)] = True
    return Drift(
        n_still=int((far == 0).sum()),
        n_unread_still=int((far[apart] == 0).sum()),
        unread=float(far[apart].mean()),
        rest=float(far[~apart].mean()),
        unread_cosine=float(F.cosine_similarity(now[apart], initial[apart]).mean()),
    )


def largest_in_column(
    table: Tensor, column: int, rows: Sequence[int], most: int = 6
) -> list[tuple[int, float]]:
    """Return those of `rows` with the largest numbers in a column, as (id, number)."""
    values = table[list(rows), column]
    best = values.topk(min(most, len(values)))
    return [(rows[i], value) for i, value in zip(best.indices.tolist(), best.values.tolist())]


@torch.no_grad()
def largest_difference(model: GPT, other: GPT, ids: Sequence[int]) -> float:
    """Return the largest difference of any probability that two models give after any of these ids."""
    tokens = torch.tensor([list(ids)])
    first, second = (torch.softmax(network(tokens).float(), -1) for network in (model, other))
    return float((first - second).abs().max())


@torch.no_grad()
def scaled_and_normed(model: GPT, ids: Sequence[int]) -> tuple[float, float]:
    """Return how far multiplying the rows of these ids by sqrt(C) moves them, and how far it moves what the
    first block reads, after its norm: the largest difference of any number."""

    x = model.embedding(torch.tensor(list(ids)))
    scaled = x * model.config.d_model**0.5
    gain = torch.ones(model.config.d_model)
    normed = rms_norm(scaled, gain, model.config.norm_eps) - rms_norm(x, gain, model.config.norm_eps)
    return float((scaled - x).abs().max()), float(normed.abs().max())


@dataclass(frozen=True, kw_only=True, slots=True)
class RowUpdates:
    """What one step takes from each row of a small table, and from what; `seen` are the ids the model read."""

    table: Tensor  # (V, C) before the step
    gradient: Tensor  # (V, C)
    step: Tensor  # (V, C), subtracted from the table
    seen: tuple[int, ...]

    @property
    def far(self) -> Tensor:
        """How far each row moves: (V,)."""
        return self.step.norm(dim=1)

    @property
    def n_unseen_changed(self) -> int:
        unseen = torch.ones(len(self.far), dtype=torch.bool)
        unseen[list(self.seen)] = False
        return int((self.far[unseen] > 0).sum())


WAYS = ("untied, SGD", "tied, SGD", "untied, AdamW with decay")
SMALL = ModelConfig(vocab_size=16, context_length=32, d_model=16, n_layers=1, n_heads=2)
RATE, DECAY, EPSILON = 0.1, 0.1, 1e-8


def single_update(ids: Sequence[int], way: str, *, seed: int = 0) -> RowUpdates:
    """Return what one step, in one of `WAYS`, does to the embedding of a 16-token model that reads these ids.

    Each id but the last is read, each but the first is a target. Raises ValueError for fewer than two ids.
    """
    if len(ids) < 2 or not all(0 <= token_id < SMALL.vocab_size for token_id in ids):
        raise ValueError(
            f"give two or more ids from 0 to {SMALL.vocab_size - 1}; the last one is only a target"
        )
    if way not in WAYS:
        raise ValueError(f"{way!r} must be one of {', '.join(WAYS)}")
    model = GPT(SMALL.replace(tie_embeddings=way.startswith("tied")), seed=seed)
    table, tokens = model.embedding.weight, torch.tensor([list(ids)])
    (gradient,) = torch.autograd.grad(model.loss(tokens[:, :-1], tokens[:, 1:]), table)
    with torch.no_grad():
        if way.endswith("SGD"):
            step = RATE * gradient
        else:  # AdamW's first step, where both moments hold this gradient alone
            step = RATE * (DECAY * table + gradient / (gradient.abs() + EPSILON))
    return RowUpdates(table=table.detach(), gradient=gradient, step=step, seen=tuple(dict.fromkeys(ids[:-1])))


def random_rotation(width: int, seed: int = 0) -> Tensor:
    """Return a random rotation (C, C): it keeps every length and every angle."""
    draw = torch.randn(width, width, generator=torch.Generator().manual_seed(seed))
    q, r = torch.linalg.qr(draw)
    return q * r.diagonal().sign()


def can_rotate(config: ModelConfig) -> bool:
    """Return whether a model's residual stream can be rotated: pre-RMSNorm, SwiGLU, no biases, no added positions."""
    return (
        config.norm == "rmsnorm"
        and config.norm_position == "pre"
        and config.bias == "none"
        and config.position in ("rope", "none")
        and config.ffn == "swiglu"
    )


@torch.no_grad()
def rotated(model: GPT, seed: int = 0) -> GPT:
    """Return a model whose residual stream is rotated at random, and which computes the same logits.

    Every matrix that reads the stream is rotated with it, and every one that writes into it. The gains of the
    norms belong to single dimensions, so they move into the matrices that read after them; that unties the output.
    Raises ValueError where the model is of another kind (see `can_rotate`).
    """
    config = model.config
    if not can_rotate(config):
        raise ValueError(
            "only a model with RMSNorm before each sub-layer, SwiGLU, RoPE and no biases can be rotated"
        )
    rotation = random_rotation(config.d_model, seed)
    state = {name: value.float() for name, value in model.state_dict().items()}

    def reads(name: str, gain: str) -> None:
        state[name] = (state[name] * state[gain]) @ rotation

    for layer in range(config.n_layers):
        inside = f"layers.{layer}."
        reads(inside + "attention.qkv_proj.weight", inside + "attention_pre_norm.weight")
        reads(inside + "feedforward.gate_up_proj.weight", inside + "feedforward_pre_norm.weight")
        for name in ("attention.o_proj.weight", "feedforward.down_proj.weight"):
            state[inside + name] = rotation.T @ state[inside + name]
    reads("output.weight", "final_norm.weight")
    state["embedding.weight"] = state["embedding.weight"] @ rotation
    state = {name: torch.ones_like(value) if "norm" in name else value for name, value in state.items()}
    other = GPT(config.replace(tie_embeddings=False))
    other.load_state_dict(state)
    return other.eval()
