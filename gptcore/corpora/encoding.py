"""A corpus as token ids: documents one after another, each followed by the end-of-text token.

The end-of-text token stands where a document ends and nowhere else.
"""

from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gptcore.corpora.documents import Corpus, CorpusError
from gptcore.tokenizer import Tokenizer

MIN_TOKENS = 64  # with fewer there is nothing to train on


def encode_documents(documents: Iterable[str], tokenizer: Tokenizer) -> Tensor:
    """Turn documents into token ids (N,) int64, each followed by the end-of-text token.

    Before each stand the tokens that start every text, where an imported tokenizer has such.
    """
    start, end = tokenizer.start_ids, tokenizer.eot_id
    parts = [torch.tensor([*start, *tokenizer.encode(document), end]) for document in documents]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def encode_corpus(corpus: Corpus, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Return the token ids of a corpus, (N,) to train on and (M,) held out; those of the stories are kept.

    They are int32, which is half of int64: a run keeps them as long as it lasts. `Windows` and `fixed_batches` widen
    the few they return.
    """
    parts = corpus.train, corpus.validation
    if corpus.entropy is None:
        return tuple(encode_documents(part, tokenizer).int() for part in parts)
    # numpy widens them: torch would start threads, and the process that prepares runs forks afterwards.
    kept = (np.frombuffer(_encoded_bytes(part, tokenizer), _code(tokenizer)) for part in parts)
    return tuple(torch.from_numpy(ids.astype(np.int32)) for ids in kept)


def _code(tokenizer: Tokenizer) -> str:
    """Return the type of array that holds every id of a tokenizer: of two bytes, or of four."""
    return "h" if tokenizer.vocab_size <= 2**15 else "i"


@lru_cache(maxsize=2)
def _encoded_bytes(documents: tuple[str, ...], tokenizer: Tokenizer) -> bytes:
    """Return what `encode_documents` does as bytes: made without a tensor, which leaves a process its one thread."""
    ids = array(_code(tokenizer))
    for document in documents:
        ids.extend((*tokenizer.start_ids, *tokenizer.encode(document)))
        ids.append(tokenizer.eot_id)
    return ids.tobytes()


class Prepared(NamedTuple):
    """A corpus as token ids, and what a learner should know about it."""

    train: Tensor  # (N,) int32
    validation: Tensor  # (M,) int32
    notes: list[str]


def prepare_corpus(corpus: Corpus, tokenizer: Tokenizer, context_length: int) -> Prepared:
    """Encode both parts of a corpus for windows of `context_length` tokens.

    Raises CorpusError where the text has fewer than 64 tokens. A note says so where a part is shorter than
    a window.
    """
    train, validation = encode_corpus(corpus, tokenizer)
    n_tokens = len(train) + len(validation) - len(corpus.train) - len(corpus.validation)
    if n_tokens < MIN_TOKENS:
        raise CorpusError(
            f"{corpus.name} has {n_tokens} tokens, and training needs at least {MIN_TOKENS}; choose a "
            "longer text."
        )
    notes = [
        f"The {part} part has {len(ids):,} tokens, fewer than a context of {context_length:,} needs: "
        f"its windows hold {len(ids) - 1:,}."
        for part, ids in (("training", train), ("validation", validation))
        if len(ids) <= context_length
    ]
    return Prepared(train, validation, notes)


def bytes_per_token(ids: Tensor, tokenizer: Tokenizer) -> float:
    """The mean length in bytes of the text behind ids (N,); special tokens are no text and count as 0.

    A loss in nats a token is loss / ln 2 / bytes_per_token in bits a byte, which can be compared between
    vocabularies.
    """
    special = set(tokenizer.special_tokens.values())
    used, counts = ids.unique(return_counts=True)
    lengths = torch.tensor([0 if i in special else len(tokenizer.token_bytes(i)) for i in used.tolist()])
    return (lengths * counts).sum().item() / max(len(ids), 1)
