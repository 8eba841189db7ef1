"""The logit lens: the output layer applied to the residual stream after each layer (nostalgebraist 2020).

The final norm and the output layer were trained on the last block's output. Earlier layers write into the same
stream, so it can be read the same way, though it may not yet be in a form the output layer understands.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.model import GPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one layer predicts at every token: the most probable id, its probability, and that of the final
    prediction."""

    layer: int  # 0 is the embedding, before any block
    best: tuple[int, ...]
    probability: tuple[float, ...]
    of_final: tuple[float, ...]  # the probability it gives to the last layer's prediction


def streams(model: "GPT", seen: dict[str, Tensor]) -> list[Tensor]:
    """Return the residual stream (T, C) of one traced sequence: the embedding's, then that after each layer."""
    post = model.config.norm_position == "post"
    names = [f"layers.{i}.after_feedforward{'_normed' if post else ''}" for i in range(model.config.n_layers)]
    return [seen["positioned"][0], *(seen[name][0] for name in names)]


@torch.inference_mode()
def readings(model: "GPT", seen: dict[str, Tensor]) -> list[Reading]:
    """Return what the embedding and each layer predict, from the trace of one sequence; the last is the model's."""
    layer_probabilities = [
        torch.softmax(model.output(model.final_norm(x)).float(), dim=-1) for x in streams(model, seen)
    ]
    final = layer_probabilities[-1].argmax(-1, keepdim=True)
    listed = []
    for layer, probabilities in enumerate(layer_probabilities):
        probability, best = probabilities.max(-1)
        listed.append(
            Reading(
                layer=layer,
                best=tuple(best.tolist()),
                probability=tuple(probability.tolist()),
                of_final=tuple(probabilities.gather(-1, final).flatten().tolist()),
            )
        )
    return listed
