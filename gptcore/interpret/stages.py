"""One forward pass as a journey: its stages in order and what each is made from, read from a trace."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.config import ModelConfig

PER_PAIR = ("scores", "masked_scores", "weights")  # kinds of stages with a number for each query and key


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
    rotated = "_rotated" if f"{attention}q_rotated" in seen else ""
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


def binned(values: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return rows of at most `most` columns, each the largest number, by size, of its neighbors: (T, W) -> (T, n).

    The second tensor (T, n) holds the column that each of them comes from.
    """
    size = -(-values.shape[1] // most)
    short = -values.shape[1] % size
    padded = torch.nn.functional.pad(values, (0, short)).unflatten(1, (-1, size))  # (T, n, size)
    inside = padded.abs().argmax(-1, keepdim=True)
    starts = torch.arange(0, padded.shape[1] * size, size)
    return padded.gather(-1, inside).squeeze(-1), inside.squeeze(-1) + starts


def tensor_size(values: Tensor) -> float:
    """Return the size that a picture of these numbers is drawn to: all but the largest hundredth lie below it."""
    sizes = values[values.isfinite()].abs()
    return float(sizes.quantile(0.99)) or float(sizes.max()) or 1.0 if sizes.numel() else 1.0
