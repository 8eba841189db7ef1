"""Chapter 5: which token may attend to which, with a window and with a cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def window_mask(n_new: int, n_cached: int, window: int) -> Tensor:
    """Return True where a new token may attend to a key: (n_new, n_cached + n_new), bool.

    The keys are those of `n_cached` tokens seen before and then of the `n_new` ones. A token attends to itself and to
    earlier tokens, `window` keys in total including itself, and never to a later one.
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
        ("a window of 1: each token sees itself alone", 3, 2, 1),
        ("a window wider than the text", 3, 1, 9),
    ):
        yield Case(label=label, arguments={"n_new": n_new, "n_cached": n_cached, "window": window})


EXERCISE = Exercise(
    name="sliding_window",
    chapter=5,
    title="A sliding window over a cache",
    task="Write the mask of attention that looks at the last few keys only, for new tokens that follow cached ones.",
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
            says="Each token sees window + 1 keys. It counts itself: the first key it sees is query - window + 1.",
            wrong=_one_too_many,
        ),
        Mistake(
            name="window one too narrow",
            says="Each token sees window - 1 keys. It counts itself, so query - window + 1 is still allowed.",
            wrong=_one_too_few,
        ),
        Mistake(
            name="not itself",
            says="No token sees itself. The first token of a text then sees nothing at all, and the softmax of "
            "nothing is NaN.",
            wrong=_never_itself,
        ),
        Mistake(
            name="looks ahead",
            says="The window reaches to both sides. A token that sees later ones reads the answer it is asked for.",
            wrong=_both_ways,
        ),
        Mistake(
            name="turned round",
            says="True and False have changed places: return True where a token may look.",
            wrong=_turned_round,
        ),
        Mistake(
            name="no window",
            says="This is the plain causal mask: every earlier key is allowed, however far back it stands.",
            wrong=_without_window,
        ),
    ),
)
