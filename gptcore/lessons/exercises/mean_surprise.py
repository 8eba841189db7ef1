"""Chapter 0: what a text costs a model, the number that training lowers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.lessons.exercises import Case, Exercise, Mistake


def mean_surprise(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the mean of -ln p over the tokens of one text: logits (T, V), ids (T,), one number in nats.

    Row t of the logits scores what may come after token t: the model has read tokens 0 to t by then. The first token
    has no context, so it is not predicted and does not count.
    """
    probabilities = torch.softmax(logits[:-1], dim=-1)
    came = ids[1:]
    given = probabilities[torch.arange(len(came)), came]
    return -given.log().mean()


def _surprises(logits: Tensor, ids: Tensor) -> Tensor:
    return -torch.log_softmax(logits, dim=-1)[torch.arange(len(ids)), ids]


def _no_shift(logits: Tensor, ids: Tensor) -> Tensor:
    return _surprises(logits, ids).mean()


def _no_shift_but_shorter(logits: Tensor, ids: Tensor) -> Tensor:
    return _surprises(logits[1:], ids[1:]).mean()


def _double_shift(logits: Tensor, ids: Tensor) -> Tensor:
    return _surprises(logits[:-2], ids[2:]).mean()


def _wraps_round(logits: Tensor, ids: Tensor) -> Tensor:
    return _surprises(logits, ids.roll(-1)).mean()


def _first_token(logits: Tensor, ids: Tensor) -> Tensor:
    first = torch.tensor(float(logits.shape[1])).log()  # as if it had been guessed from nothing
    return (first + _surprises(logits[:-1], ids[1:]).sum()) / len(ids)


def _sum(logits: Tensor, ids: Tensor) -> Tensor:
    return _surprises(logits[:-1], ids[1:]).sum()


def _bits(logits: Tensor, ids: Tensor) -> Tensor:
    return _surprises(logits[:-1], ids[1:]).mean() / torch.tensor(2.0).log()


def _mean_first(logits: Tensor, ids: Tensor) -> Tensor:
    return -torch.exp(-_surprises(logits[:-1], ids[1:])).mean().log()


def _no_softmax(logits: Tensor, ids: Tensor) -> Tensor:
    return -logits[:-1][torch.arange(len(ids) - 1), ids[1:]].mean()


def _wrong_sign(logits: Tensor, ids: Tensor) -> Tensor:
    return -mean_surprise(logits, ids)


def _wrong_dimension(logits: Tensor, ids: Tensor) -> Tensor:
    shares = torch.softmax(logits[:-1], dim=0)
    return -shares[torch.arange(len(ids) - 1), ids[1:]].log().mean()


def _cases() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    for label, length, vocabulary in (
        ("six tokens of a vocabulary of nine", 6, 9),
        ("four tokens", 4, 5),
        ("a longer text", 20, 30),
    ):
        logits = 2 * torch.randn(length, vocabulary, generator=generator)
        ids = torch.randint(vocabulary, (length,), generator=generator)
        yield Case(label=label, arguments={"logits": logits, "ids": ids})


EXERCISE = Exercise(
    name="mean_surprise",
    chapter=0,
    title="What a text costs",
    task="Write the number that training lowers: the mean of -ln p over the tokens of a text, from the "
    "model's scores.",
    solution=mean_surprise,
    cases=_cases,
    tolerance=1e-5,
    mistakes=(
        Mistake(
            name="no shift",
            says="Row t is compared with token t, which the model has just read. Row t scores what comes "
            "next: token t + 1.",
            wrong=_no_shift,
        ),
        Mistake(
            name="both cut at the front",
            says="Logits and tokens both lose their first row, so they are still not shifted against each "
            "other. The logits "
            "lose their last row, the tokens their first.",
            wrong=_no_shift_but_shorter,
        ),
        Mistake(
            name="double shift",
            says="Row t is compared with token t + 2: shifted once too often. This happens where the "
            "targets had been shifted "
            "already.",
            wrong=_double_shift,
        ),
        Mistake(
            name="wraps round",
            says="The last row is compared with the first token. Nothing comes after the last token: leave "
            "its row out.",
            wrong=_wraps_round,
        ),
        Mistake(
            name="first token counted",
            says="The first token counts with ln V, a blind guess. It comes after nothing and nobody "
            "guessed it: leave it "
            "out, of the sum and of the count.",
            wrong=_first_token,
        ),
        Mistake(
            name="sum",
            says="This is the sum. A longer text would cost more for its length alone; take the mean.",
            wrong=_sum,
        ),
        Mistake(
            name="bits",
            says="These are bits: the logarithm to base 2. A nat is the unit of the natural logarithm.",
            wrong=_bits,
        ),
        Mistake(
            name="mean before logarithm",
            says="The mean is taken of the probabilities and then the logarithm. Take the logarithm of each "
            "first: a token "
            "that was thought impossible must cost much.",
            wrong=_mean_first,
        ),
        Mistake(
            name="no softmax",
            says="These are scores, not probabilities: put each row through the softmax first.",
            wrong=_no_softmax,
        ),
        Mistake(
            name="sign",
            says="The sign is turned. ln p is negative for every p below 1; the cost is -ln p.",
            wrong=_wrong_sign,
        ),
        Mistake(
            name="softmax over the text",
            says="The softmax runs down the text. Each row, one position of the text, is a probability "
            "distribution over the next token: the last dimension.",
            wrong=_wrong_dimension,
        ),
    ),
)
