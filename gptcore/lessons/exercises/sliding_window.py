"""Chapter 5: which token may attend to which, with a window and with a cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def window_mask(n_new: int, n_cached: int, window: int) -> Tensor:
    """Return True where a new token may attend to a key: (n_new, n_cached + n_new), bool.

    The first `n_cached` keys are those of earlier tokens, the last `n_new` those of the new ones. A token attends to
    itself and the tokens just before it, `window` keys in total, and never to a later token.
    """
    query = torch.arange(n_cached, n_cached + n_new).unsqueeze(1)
    key = torch.arange(n_cached + n_new).unsqueeze(0)
    earlier = key <= query
    near = key > query - window
    return earlier & near


def _without_offset(n_new: int, n_cached: int, window: int) -> Tensor:
    query, key = torch.arange(n_new).unsqueeze(1), torch.arange(n_cached + n_new).unsqueeze(0)
    return (key <= query) & (key > query - window)


def _one_too_many(n_new: int, n_cached: int, window: int) -> Tensor:
    return window_mask(n_new, n_cached, window + 1)


def _one_too_few(n_new: int, n_cached: int, window: int) -> Tensor:
    return window_mask(n_new, n_cached, window - 1)


def _never_itself(n_new: int, n_cached: int, window: int) -> Tensor:
    query = torch.arange(n_cached, n_cached + n_new).unsqueeze(1)
    key = torch.arange(n_cached + n_new).unsqueeze(0)
    return (key < query) & (key >= query - window)


def _both_ways(n_new: int, n_cached: int, window: int) -> Tensor:
    query = torch.arange(n_cached, n_cached + n_new).unsqueeze(1)
    key = torch.arange(n_cached + n_new).unsqueeze(0)
    return (key - query).abs() < window


def _turned_round(n_new: int, n_cached: int, window: int) -> Tensor:
    return ~window_mask(n_new, n_cached, window)


def _without_window(n_new: int, n_cached: int, window: int) -> Tensor:
    return window_mask(n_new, n_cached, n_new + n_cached)


def _cases() -> Iterator[Case]:
    for label, n_new, n_cached, window in (
        ("four tokens, nothing cached, a window of 2", 4, 0, 2),
        ("one new token after six cached, a window of 3", 1, 6, 3),
        ("three new tokens after five cached, a window of 4", 3, 5, 4),
        ("a window of 1: each token attends only to itself", 3, 2, 1),
        ("a window wider than the text", 3, 1, 9),
    ):
        yield Case(label=label, arguments={"n_new": n_new, "n_cached": n_cached, "window": window})


EXERCISE = Exercise(
    name="sliding_window",
    chapter=5,
    title="A sliding window over a cache",
    task="Write the mask for sliding-window attention: new tokens, which follow cached ones, attend to the last few "
    "keys only.",
    solution=window_mask,
    cases=_cases,
    mistakes=(
        Mistake(
            name="no offset",
            says="The triangle starts at the first key, as if nothing were cached. Query i is not token i: it is "
            "token n_cached + i, so count the queries from there.",
            wrong=_without_offset,
        ),
        Mistake(
            name="window one too wide",
            says="Each token attends to window + 1 keys. The window includes the token itself, so its first key is "
            "query - window + 1.",
            wrong=_one_too_many,
        ),
        Mistake(
            name="window one too narrow",
            says="Each token attends to window - 1 keys. The window includes the token itself, so query - window + 1 "
            "is still allowed.",
            wrong=_one_too_few,
        ),
        Mistake(
            name="not itself",
            says="No token attends to itself. The first token of a text then attends to nothing, and the softmax of a "
            "fully masked row is NaN.",
            wrong=_never_itself,
        ),
        Mistake(
            name="looks ahead",
            says="The window extends to both sides. A token must not attend to later tokens, because the model is "
            "trained to predict them.",
            wrong=_both_ways,
        ),
        Mistake(
            name="turned round",
            says="True and False are swapped: return True where a token may attend to a key.",
            wrong=_turned_round,
        ),
        Mistake(
            name="no window",
            says="This is the plain causal mask: every earlier key is allowed, however far back it is.",
            wrong=_without_window,
        ),
    ),
)
