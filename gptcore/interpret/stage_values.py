"""A traced pass as numbers small enough to draw: each stage's values, a strip for each token, probable next tokens.

Long texts and wide tensors are thinned for drawing; the formulas keep the exact numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.interpret.computations import Computation, computation
from gptcore.interpret.stages import PER_PAIR, Stage, binned, matrix_rows, stages, tensor_size
from gptcore.model import GPT

MOST_VALUES = 700_000  # of all pictures together; beyond that columns are thinned
MOST_COLUMNS = 512
STREAM_TOKENS = 5  # most probable tokens read from the residual stream
OUTPUT_TOKENS = 10  # most probable tokens of the last stages


@dataclass(frozen=True, kw_only=True, slots=True)
class StageValues(Stage):
    """One stage with its numbers, ready to be drawn: rows belong to the last tokens, a column stands for `bin` numbers.

    `columns` holds the column of the stage that each drawn number comes from, None where all are drawn. `said` holds
    for each token the most probable next tokens as (text, logit, probability, id), where the stage can be read so.
    """

    shape: tuple[tuple[str, int], ...]
    values: Tensor  # (n_rows, n_columns), half precision
    groups: int  # concatenated heads
    bin: int
    scale: float
    columns: Tensor | None  # (n_rows, n_columns)
    width: int  # numbers of a row, drawn or not
    working: Computation
    said: list[list[tuple[str, float, float, int]]]

    @property
    def n_rows(self) -> int:
        return self.values.shape[0]

    @property
    def n_columns(self) -> int:
        return self.values.shape[1]


@torch.inference_mode()
def values_by_stage(
    model: GPT,
    seen: dict[str, Tensor],
    token_text: Callable[[int], str],
    plain: dict[str, Tensor] | None = None,
    *,
    most_tokens: int = 48,
) -> list[StageValues]:
    """Return every stage of a trace of one sequence; with `plain`, values show how far each number has moved.

    Only the last `most_tokens` tokens are kept.
    """
    all_stages = stages(model.config, seen)
    room = MOST_VALUES // (len(all_stages) * min(most_tokens, seen["logits"].shape[1]))
    most_columns = max(32, min(room, MOST_COLUMNS))
    return [
        _with_values(model, seen, token_text, plain, stage, most_tokens, most_columns) for stage in all_stages
    ]


def _with_values(
    model: GPT, seen, token_text, plain, stage: Stage, most_tokens: int, most_columns: int
) -> StageValues:
    tensor = seen[stage.name]
    if plain is not None:
        # Masked scores are minus infinity in both, so they have not changed; nor has what differs by rounding only.
        rounding = 1e-5 * tensor_size(plain[stage.name])
        tensor = (tensor - plain[stage.name]).nan_to_num(0.0)
        tensor = tensor.where(tensor.abs() > rounding, 0.0)
    if stage.kind in PER_PAIR:
        tensor = tensor[..., -most_tokens:]
    values = matrix_rows(tensor)[-most_tokens:]
    drawn, columns = values, None
    if stage.kind not in PER_PAIR and values.shape[1] > most_columns:
        drawn, columns = binned(values, most_columns)
    made = computation(model, seen, stage)
    return StageValues(
        name=stage.name,
        kind=stage.kind,
        layer=stage.layer,
        inputs=stage.inputs,
        shape=_shape(stage.kind, seen[stage.name]),
        values=drawn.half(),
        groups=tensor.shape[1] if tensor.dim() == 4 else 1,
        bin=-(-values.shape[1] // drawn.shape[1]),
        scale=tensor_size(values),
        columns=columns,
        width=matrix_rows(seen[stage.name]).shape[1],
        working=Computation(form=made.form, numbers=made.numbers[-most_tokens:]),
        said=_said(model, seen, token_text, stage, most_tokens),
    )


def _shape(kind: str, tensor: Tensor) -> tuple[tuple[str, int], ...]:
    """Return the letters of a stage's dimensions with their sizes, without the batch of one."""
    if tensor.dim() == 3:
        letter = "V" if kind in ("logits", "probabilities") else "C"
        if kind in ("gate_logits", "gate", "up", "hidden"):
            letter = "F"
        return tuple(zip(("T", letter), tensor.shape[1:]))
    heads = "K" if kind[0] in "kv" else "H"
    wide = "S" if kind in PER_PAIR else "D"
    return tuple(zip((heads, "T", wide), tensor.shape[1:]))


def _said(
    model: GPT, seen, token_text, stage: Stage, most_tokens: int
) -> list[list[tuple[str, float, float, int]]]:
    """Return the most probable next tokens at every token, read from the residual stream or from the last stages."""
    if stage.kind in ("logits", "probabilities"):
        logits, probabilities, n = seen["logits"][0], seen["probabilities"][0], OUTPUT_TOKENS
    elif stage.is_stream:
        # With post-norm, the sum is read after that norm.
        stream = seen.get(f"{stage.name}_normed", seen[stage.name])[0]
        logits, n = model.output(model.final_norm(stream)).float(), STREAM_TOKENS
        probabilities = torch.softmax(logits, -1)
    else:
        return []
    best = probabilities[-most_tokens:].topk(min(n, probabilities.shape[-1]), -1)
    scores = logits[-most_tokens:].gather(1, best.indices)
    return [
        list(zip(map(token_text, ids), logits, probabilities, ids))
        for ids, logits, probabilities in zip(best.indices.tolist(), scores.tolist(), best.values.tolist())
    ]


def attention_links(
    seen: dict[str, Tensor], most_tokens: int, least: float = 0.06
) -> list[list[tuple[int, int, float]]]:
    """Return the attention weights of each layer, the mean over heads, as (query, key, weight) from `least` on.

    Queries are the last rows; positions count from the first token that is drawn.
    """
    links = []
    for name in (name for name in seen if name.endswith("attention.weights")):
        mean = seen[name][0].mean(0)[-most_tokens:, -most_tokens:]  # (T, S)
        before = mean.shape[1] - mean.shape[0]
        where = (mean >= least).nonzero().tolist()
        links.append([(query + before, key, float(mean[query, key])) for query, key in where])
    return links
