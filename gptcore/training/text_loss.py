"""The loss of a model on a text: in nats a token, as a perplexity, and in bits a byte."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer

NOT_SCORED = -100  # the target of a position whose prediction does not count
MAX_LOGITS = 1 << 25  # in one batch: 128 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class TextLoss:
    """How well a model predicts a text.

    `loss` is in nats a token and depends on the tokenizer, as `perplexity` does, which is its exponential.
    `bits_per_byte` compares models with different tokenizers.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    n_tokens: int
    n_bytes: int
    n_documents: int


class _Window(NamedTuple):
    ids: Sequence[int]
    targets: Sequence[int]  # the next token of each position, NOT_SCORED where another window scores it


@torch.inference_mode()
def measure_text_loss(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[str], *, stride: int | None = None
) -> TextLoss:
    """Return the mean loss over every token of some documents, each predicted from the tokens before it.

    A document begins with the tokens that start every text, or with the end-of-text token. One that is longer than
    the model's context is read in windows that overlap: each begins `stride` tokens after the one before (by default
    half the context) and scores only the tokens that are new, so that each token is scored once and, after the
    first window, with at least context - stride tokens before it. Raises ValueError for a stride outside 1 … context
    and where there is nothing to predict.
    """
    context = model.config.context_length
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise ValueError(f"stride={stride} must be between 1 and the model's context of {context} tokens")
    start = list(tokenizer.start_ids or tokenizer.stop_ids[:1])
    windows = (
        window
        for document in documents
        for window in _windows([*start, *tokenizer.encode(document)], max(1, len(start)), context, stride)
    )
    total, n_tokens = 0.0, 0
    rows = max(1, MAX_LOGITS // (context * model.config.vocab_size))
    for ids, targets in _batches(windows, min(rows, 32)):
        logits = model(ids.to(model.device))
        losses = F.cross_entropy(
            logits.flatten(0, 1).float(),
            targets.flatten().to(model.device),
            ignore_index=NOT_SCORED,
            reduction="sum",
        )
        total, n_tokens = total + losses.item(), n_tokens + int((targets != NOT_SCORED).sum())
    if not n_tokens:
        raise ValueError("the text has no token to predict; give a longer one")
    n_bytes = sum(len(document.encode()) for document in documents)
    loss = total / n_tokens
    return TextLoss(
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)),
        bits_per_byte=total / math.log(2) / n_bytes,
        n_tokens=n_tokens,
        n_bytes=n_bytes,
        n_documents=len(documents),
    )


def _windows(ids: list[int], n_given: int, context: int, stride: int) -> Iterator[_Window]:
    """Yield overlapping windows that score every token but the first `n_given` exactly once."""
    scored, start = n_given, 0
    while scored < len(ids):
        end = min(start + context, len(ids) - 1)
        targets = [ids[i] if i >= scored else NOT_SCORED for i in range(start + 1, end + 1)]
        yield _Window(ids[start:end], targets)
        scored, start = end + 1, start + stride


def _batches(windows: Iterable[_Window], n_rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids and targets (B, T) of up to `n_rows` windows; shorter rows are filled up at their end."""
    rows: list[_Window] = []
    for window in windows:
        rows.append(window)
        if len(rows) == n_rows:
            yield _filled(rows)
            rows = []
    if rows:
        yield _filled(rows)


def _filled(rows: list[_Window]) -> tuple[Tensor, Tensor]:
    """Return windows as ids and targets (B, T); what fills up a row comes after it, where no token attends to it."""
    length = max(len(row.ids) for row in rows)
    ids = [[*row.ids, *[0] * (length - len(row.ids))] for row in rows]
    targets = [[*row.targets, *[NOT_SCORED] * (length - len(row.targets))] for row in rows]
    return torch.tensor(ids), torch.tensor(targets)
