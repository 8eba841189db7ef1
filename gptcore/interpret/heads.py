"""What the heads of a trained model do: their attention weights, scores for known patterns, and ablation.

Nothing here touches the model it is given. A head is turned off in a copy, so others who use the model at the same
time are not affected.
"""

import copy

import torch
from torch import Tensor

from gptcore.model import GPT
from gptcore.tracing import trace

PERIODS = (11, 17, 23)  # tokens repeated; primes, so that no distance fits two of them


def weights(seen: dict[str, Tensor]) -> Tensor:
    """Return the attention weights of every head, from the trace of one sequence: (L, H, T, S)."""
    layers = [name for name in seen if name.endswith("attention.weights")]
    return torch.stack([seen[name][0] for name in layers])


def weighted_value_norms(seen: dict[str, Tensor]) -> Tensor:
    """Return the attention weight times the value's length, for every query and key: (L, H, T, S).

    A large weight on a short value changes little, so this and the weight are two things (Kobayashi et al. 2020).
    """
    lengths = []
    for name in [name for name in seen if name.endswith("attention.weights")]:
        v = seen[name.replace("weights", "v")][0]  # (K, S, D)
        lengths.append(v.norm(dim=-1).repeat_interleave(seen[name].shape[1] // v.shape[0], dim=0))  # (H, S)
    return weights(seen) * torch.stack(lengths).unsqueeze(2)


def previous_token(attention: Tensor) -> Tensor:
    """Return each head's mean weight on the token just before: (L, H, T, T) -> (L, H)."""
    return attention.diagonal(-1, -2, -1).mean(-1)


def current_token(attention: Tensor) -> Tensor:
    """Return each head's mean weight on the token itself: (L, H, T, T) -> (L, H)."""
    return attention[..., 1:, :].diagonal(1, -2, -1).mean(-1)


def first_token(attention: Tensor) -> Tensor:
    """Return each head's mean weight on the first token, where heads with nothing to do often rest: (L, H)."""
    return attention[:, :, 1:, 0].mean(-1)


@torch.inference_mode()
def induction(model: GPT, *, seed: int = 0) -> Tensor:
    """Return how much each head attends to what followed the token's last occurrence: (L, H).

    Random tokens are repeated three times. The induction head of Olsson et al. (2022) attends from a token to the
    one after its previous occurrence. Several periods, so that a head with a fixed distance does not pass for one.
    """
    return torch.stack(list(induction_by_period(model, seed=seed).values())).mean(0)


@torch.inference_mode()
def induction_by_period(model: GPT, *, seed: int = 0) -> dict[int, Tensor]:
    """Return the induction scores (L, H) for each number of tokens that are repeated."""
    generator = torch.Generator().manual_seed(seed)
    scores = {}
    for period in periods(model.config.context_length):
        once = torch.randint(model.config.vocab_size, (period,), generator=generator)
        attention = weights(trace(model, once.repeat(3)))
        query = torch.arange(period, 3 * period - 1)
        scores[period] = attention[:, :, query, query - period + 1].mean(-1)
    return scores


def periods(context_length: int) -> tuple[int, ...]:
    """Return the lengths that are repeated: those of PERIODS that fit three times, or the longest that does."""
    return tuple(period for period in PERIODS if 3 * period <= context_length) or (
        max(2, context_length // 3),
    )


def induction_baseline(context_length: int) -> float:
    """Return the induction score of a head with uniform attention weights."""
    means = [
        sum(1 / (query + 1) for query in range(period, 3 * period - 1)) / (2 * period - 1)
        for period in periods(context_length)
    ]
    return sum(means) / len(means)


def without_head(model: GPT, layer: int, head: int) -> GPT:
    """Return a model with one head turned off: its part of the output projection is zero, in a copy of that matrix.

    All other weights are those of `model`.
    """
    copied = model.layers[layer].attention.o_proj.weight
    shared = [tensor for tensor in (*model.parameters(), *model.buffers()) if tensor is not copied]
    changed = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
    width = model.config.head_dim
    with torch.no_grad():
        changed.layers[layer].attention.o_proj.weight[:, head * width : (head + 1) * width] = 0
    return changed


def without_mask(model: GPT) -> GPT:
    """Return a model with the same weights, not a copy of them, in which every token may attend to every other."""
    free = GPT(model.config.replace(causal=False))
    free.load_state_dict(model.state_dict(), assign=True)
    if free.config.tie_embeddings:
        free.output.weight = free.embedding.weight  # assigned by name, so as two parameters
    return free.eval()


@torch.inference_mode()
def logit_changes(model: GPT, ids: list[int], position: int, other_id: int) -> Tensor:
    """Return the largest change of a logit at each position when one token is replaced: (T,).

    With a causal mask nothing before `position` changes at all; what does is a leak.
    """
    changed = list(ids)
    changed[position] = other_id
    before, after = model(torch.tensor([ids, changed]), path="explicit")
    return (before - after).abs().amax(-1)
