"""Chapter 10: its questions. Numbers are drawn from a seed, answers are computed by the library."""

import random
from collections.abc import Sequence

from gptcore.account import n_parameters, training_bytes
from gptcore.config import PRESETS
from gptcore.tokenizer import story_tokenizer
from gptcore.training.finetune import TEMPLATE, batch, make_example
from pages.kit.quiz import Bug, Choice, Numeric, Order, Question

BUGGY = (
    "ids, targets = windows.next()",
    "loss = model.loss(ids, targets)",
    "optimizer.step()",
    "loss.backward()",
    "optimizer.zero_grad()",
)
LINES = (
    "tokenizer = story_tokenizer()",
    "windows = Windows(encode_documents(texts, tokenizer), 256, 8)",
    "ids, targets = windows.next()",
    "loss = model.loss(ids, targets)",
    "loss.backward()",
    "optimizer.step()",
)


def questions(seed: int) -> Sequence[Question]:
    """The questions of the chapter with the numbers of this seed."""
    draw = random.Random(seed)
    return [
        tokens_read(draw),
        file_size(draw),
        Choice(name="three_files", right="heads", numbers={"heads": draw.choice((4, 8, 16))}),
        Choice(name="seed_promises", right="draws"),
        counted_tokens(draw),
        Choice(name="tuning_teaches", right="form"),
        Bug(name="find_bug", lines=BUGGY, right=3),
        Order(name="order_lines", lines=LINES, accepts=lambda order: list(order) == sorted(order)),
    ]


def tokens_read(draw: random.Random) -> Numeric:
    """The number of tokens a run processes."""
    batch, length = draw.choice((4, 8, 16)), draw.choice((64, 128, 256))
    accumulation, steps = draw.choice((2, 4)), draw.choice((200, 500, 1000))
    right = batch * accumulation * length * steps
    return Numeric(
        name="tokens_read",
        right=right,
        tolerance=0.001,
        unit="tokens",
        numbers={"batch": batch, "length": length, "accumulation": accumulation, "steps": steps},
        mistakes={
            "no_accumulation": right / accumulation,
            "windows": batch * accumulation * steps,
            "one_window": length * steps,
        },
    )


def file_size(draw: random.Random) -> Numeric:
    """The size in megabytes of a model's file in bf16."""
    name = draw.choice(("tiny", "small"))
    config = PRESETS[name].model
    weights = n_parameters(config)
    return Numeric(
        name="file_size",
        right=2 * weights / 1e6,
        unit="MB",
        numbers={"n": weights},
        mistakes={
            "fp32": 4 * weights / 1e6,
            "training": training_bytes(config) / 1e6,
            "one_byte": weights / 1e6,
        },
    )


def counted_tokens(draw: random.Random) -> Numeric:
    """The number of targets that count in one fine-tuning example."""
    tokenizer = story_tokenizer()
    name = draw.choice(("Mira", "Tom", "Leo"))
    story = draw.choice(
        (
            "She wanted a golden ring, but she had no money.",
            "Long ago he lived in a castle with a dog and a cat.",
            "They were happy again, and since that day they have been friends.",
        )
    )
    example = make_example(name, story, tokenizer)
    counts = batch([example], len(example.ids), tokenizer.eot_id)[2]
    right = int(counts.sum())
    return Numeric(
        name="counted_tokens",
        right=right,
        tolerance=0.001,
        unit="targets",
        numbers={
            "template": TEMPLATE.format(name=name).strip(),
            "prompt": example.n_prompt,
            "story": len(example.ids) - example.n_prompt - 1,
        },
        mistakes={"no_end": right - 1, "everything": len(example.ids) - 1, "prompt": example.n_prompt},
    )
