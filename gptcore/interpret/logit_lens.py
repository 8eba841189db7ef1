"""What a model would say after each layer: the stream read by the output layer before it has come to the end.

The logit lens (nostalgebraist 2020). The final norm and the output layer were trained on what the last block
leaves; earlier layers write in the same stream, so they can be read the same way, at the risk of reading a
language they do not speak yet.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gptcore.model import GPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one layer would say at every token: the likeliest id and its probability, and those of the end's."""

    layer: int  # 0 is the embedding, before any block
    best: tuple[int, ...]
    probability: tuple[float, ...]
    of_final: tuple[float, ...]  # the probability it gives to what the last layer will say


@torch.inference_mode()
def readings(model: "GPT", seen: dict[str, Tensor]) -> list[Reading]:
    """Return what the embedding and each layer would say, from the trace of one sequence; the last is the model's."""
    post = model.config.norm_position == "post"
    names = [f"layers.{i}.after_feedforward{'_normed' if post else ''}" for i in range(model.config.n_layers)]
    streams = [seen["positioned"][0], *(seen[name][0] for name in names)]
    shares = [torch.softmax(model.output(model.final_norm(x)).float(), dim=-1) for x in streams]
    final = shares[-1].argmax(-1, keepdim=True)
    found = []
    for layer, share in enumerate(shares):
        probability, best = share.max(-1)
        found.append(
            Reading(
                layer=layer,
                best=tuple(best.tolist()),
                probability=tuple(probability.tolist()),
                of_final=tuple(share.gather(-1, final).flatten().tolist()),
            )
        )
    return found
