"""Chapter 3: the gradient of the embedding matrix, if a token occurs more than once."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def embedding_backward(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    """Return the gradient of the table: ids (B, T), above (B, T, C) -> (n_rows, C).

    The forward pass was `x = table[ids]`; `above` is the gradient of the loss with respect to x. A row
    gets the sum of the gradients at all positions where its token occurs, and zero if it occurs nowhere.
    """
    gradient = torch.zeros(n_rows, above.shape[-1], dtype=above.dtype)
    return gradient.index_add(0, ids.flatten(), above.flatten(0, 1))


def _assigned(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    gradient = torch.zeros(n_rows, above.shape[-1], dtype=above.dtype)
    for token_id, back in zip(ids.flatten().tolist(), above.flatten(0, 1)):
        gradient[token_id] = back
    return gradient


def _mean(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    times = torch.bincount(ids.flatten(), minlength=n_rows).clamp(min=1)
    return embedding_backward(ids, above, n_rows) / times.unsqueeze(1)


def _first_only(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    return embedding_backward(ids[:1], above[:1], n_rows)


def _by_place(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    places = torch.arange(ids.shape[1]).repeat(ids.shape[0]) % n_rows
    return embedding_backward(places, above.flatten(0, 1).unsqueeze(0), n_rows)


def _rows_seen(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    return embedding_backward(ids, above, n_rows)[ids.flatten().unique()]


def _of_places(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    return embedding_backward(ids, above, n_rows)[ids]


def _averaged_over_places(ids: Tensor, above: Tensor, n_rows: int) -> Tensor:
    return embedding_backward(ids, above, n_rows) / ids.numel()


def _cases() -> Iterator[Case]:
    draw = torch.Generator().manual_seed(0)
    for label, ids, n_rows in (
        ("three tokens, each once", [[2, 0, 4]], 6),
        ("one token three times", [[3, 1, 3, 3]], 5),
        ("two texts that share a token", [[1, 2, 2], [2, 0, 5]], 7),
        ("the same token everywhere", [[4, 4], [4, 4]], 6),
    ):
        above = torch.randn(len(ids), len(ids[0]), 3, generator=draw)
        yield Case(label=label, arguments={"ids": torch.tensor(ids), "above": above, "n_rows": n_rows})


EXERCISE = Exercise(
    name="embedding_backward",
    chapter=3,
    title="The gradient of a lookup, with repeated tokens",
    task="Write the backward pass of an embedding without autograd.",
    solution=embedding_backward,
    cases=_cases,
    mistakes=(
        Mistake(
            name="assigned instead of added",
            says="If a token occurs twice, only its last position counts: the row is overwritten. Add up the "
            "gradients at all its positions (`index_add`, or `+=` in a loop; `gradient[ids] += above` also "
            "writes once).",
            wrong=_assigned,
        ),
        Mistake(
            name="mean instead of sum",
            says="The gradients of equal tokens are averaged. A row that is used three times affects the loss three "
            "times, so its gradient is the sum.",
            wrong=_mean,
        ),
        Mistake(
            name="first text only",
            says="Only the first text of the batch gets a gradient. All texts share the table: flatten both "
            "dimensions.",
            wrong=_first_only,
        ),
        Mistake(
            name="by place, not by token",
            says="Row 0 gets the gradient of position 0. The rows are those of the tokens: use the ids.",
            wrong=_by_place,
        ),
        Mistake(
            name="only the rows seen",
            says="The gradient of a table has the shape of the table: a row for each token, zeros for those that were "
            "not read.",
            wrong=_rows_seen,
        ),
        Mistake(
            name="one row a place",
            says="This has a row for each position of the text. The gradient belongs to the table: a row for "
            "each token.",
            wrong=_of_places,
        ),
        Mistake(
            name="divided by the places",
            says="The sum is divided by the number of positions. If the loss is a mean, `above` holds that division "
            "already.",
            wrong=_averaged_over_places,
        ),
    ),
)
