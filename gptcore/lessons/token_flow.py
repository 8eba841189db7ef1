"""How each generated token was computed: the next-token distribution, and what every layer did for it.

One generation writes the tokens, one traced pass over the whole text gives what led to each of them: in a causal
model, the tensors at a position are the same whatever follows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from gptcore.generation.sampling import Sampling, distribution, generate, likeliest
from gptcore.interpret.logit_lens import readings
from gptcore.model import GPT
from gptcore.tracing import trace

CELLS = 12  # numbers of a residual stream that are kept to be drawn
MOST_ATTENDED = 6  # positions kept for each layer, those with the largest weights
SUB_LAYERS = ("attention", "feedforward")


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFlow:
    """What one layer did for one token.

    The norms are the Euclidean lengths of what each sub-layer adds to the residual stream. `attended` holds
    (position, largest attention weight of any head), the largest first. `best_id` is the token that the
    logit lens reads after this layer, `best_probability` its probability.
    """

    attention_norm: float
    feedforward_norm: float
    attended: list[tuple[int, float]]
    best_id: int
    best_probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenFlow:
    """One written token: the candidates it was taken from, best first, and what each layer did.

    `stream` holds the first CELLS numbers of the residual stream after the embedding and after every sub-layer.
    """

    token_id: int
    candidates: list[tuple[int, float]]
    layers: list[LayerFlow]
    stream: list[list[float]]


@torch.inference_mode()
def token_flows(
    model: GPT,
    ids: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    stop_ids: Collection[int] = (),
    n_candidates: int = 8,
) -> list[TokenFlow]:
    """Continue ids and return how each new token was computed.

    At temperature 0 candidates have the model's own probabilities, above it those the token was drawn with. Raises
    ValueError for a prompt that `generate` refuses.
    """
    prompt = list(ids)
    steps = generate(
        model, prompt, max_new_tokens, temperature=temperature, seed=seed, stop_ids=stop_ids, n_alternatives=0
    )
    written = [step.token_id for step in steps]
    if not written:
        return []
    whole = (prompt + written)[:-1]
    if model.config.causal:
        return _read(model, trace(model, whole), written, temperature, n_candidates)
    flows = []
    for n in range(len(written)):  # what follows would change what was computed before
        seen = trace(model, whole[: len(prompt) + n])
        flows += _read(model, seen, written[n : n + 1], temperature, n_candidates)
    return flows


def _read(
    model: GPT, seen: dict, written: Sequence[int], temperature: float, n_candidates: int
) -> list[TokenFlow]:
    """The flows of tokens written at the end of one traced text."""
    first = seen["logits"].shape[1] - len(written)
    drawn = distribution(seen["logits"][0, first:], Sampling(temperature=temperature or 1.0))
    lens = readings(model, {name: value[:, first:] for name, value in seen.items() if _is_stream(name)})[1:]
    return [
        TokenFlow(
            token_id=token_id,
            candidates=likeliest(drawn[n], n_candidates),
            layers=[
                _layer_flow(seen, layer, first + n, reading.best[n], reading.probability[n])
                for layer, reading in enumerate(lens)
            ],
            stream=_stream(seen, model.config.n_layers, first + n),
        )
        for n, token_id in enumerate(written)
    ]


def _is_stream(name: str) -> bool:
    return name == "positioned" or ".after_" in name


def _layer_flow(seen: dict, layer: int, at: int, best_id: int, best_probability: float) -> LayerFlow:
    prefix = f"layers.{layer}."
    norms = [
        seen.get(f"{prefix}{name}_output_normed", seen[f"{prefix}{name}_output"])[0, at].norm().item()
        for name in SUB_LAYERS
    ]
    weights = seen[f"{prefix}attention.weights"][0, :, at, : at + 1].amax(0)
    return LayerFlow(
        attention_norm=norms[0],
        feedforward_norm=norms[1],
        attended=likeliest(weights, MOST_ATTENDED),
        best_id=best_id,
        best_probability=best_probability,
    )


def _stream(seen: dict, n_layers: int, at: int) -> list[list[float]]:
    names = [f"layers.{layer}.after_{name}" for layer in range(n_layers) for name in SUB_LAYERS]
    states = [seen["positioned"], *(seen.get(f"{name}_normed", seen[name]) for name in names)]
    return [state[0, at, :CELLS].tolist() for state in states]
