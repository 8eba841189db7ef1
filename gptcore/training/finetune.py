"""From base model to something that answers: a chat template as tokens, and a little tuning on answers.

A base model continues. To make it answer, it is shown many times what an answer looks like: an instruction in a fixed
form, then the text that was wanted. The loss counts the answer's tokens only, since nobody wants the instruction back
(instruction tuning; Wei et al. 2021, Ouyang et al. 2022). Everything else is training as before.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.checkpoint import SHIPPED, read_latest
from gptcore.generation.batch import generate_batch
from gptcore.generation.sampling import Sampling
from gptcore.losses import cross_entropy
from gptcore.model import GPT
from gptcore.stories.lexicon import names
from gptcore.stories.writer import write_story
from gptcore.tokenizer import Tokenizer
from gptcore.training.optim import AdamW

TEMPLATE = "Story about {name}:\n"
HELD_OUT = 8  # names that are never tuned on
N_TOKENS = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An instruction and the story that answers it, as ids; `n_prompt` of them belong to the instruction."""

    ids: tuple[int, ...]
    n_prompt: int


def single_token_names(tokenizer: Tokenizer) -> list[str]:
    """Return the names that are one token with a space before them, so that all instructions are equally long."""
    return [name for name in names() if len(tokenizer.encode(f" {name}")) == 1]


def make_example(name: str, story: str, tokenizer: Tokenizer) -> Example:
    """Return an instruction and its answer in the template, ended by the end-of-text token."""
    prompt = tokenizer.encode(TEMPLATE.format(name=name))
    return Example(ids=(*prompt, *tokenizer.encode(story), tokenizer.eot_id), n_prompt=len(prompt))


def make_examples(tokenizer: Tokenizer, n: int, *, seed: int = 0) -> list[Example]:
    """Return stories the shipped model has not read, each asked for by the name it begins with."""
    known, examples, at = single_token_names(tokenizer), [], 700_000 + 10_000 * seed
    learned = set(known[HELD_OUT:])
    while len(examples) < n:
        story, at = write_story(at).text, at + 1
        words = story.replace(".", " ").replace(",", " ").split()
        first = next((word for word in words if word in known), None)
        if first in learned:
            examples.append(make_example(first, story, tokenizer))
    return examples


def batch(chosen: list[Example], length: int, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and which targets count, (B, T) each: those of answers, no instruction, no padding."""
    n = min(length, max(len(example.ids) for example in chosen) - 1)
    ids = torch.full((len(chosen), n + 1), pad)
    counts = torch.zeros(len(chosen), n, dtype=torch.bool)
    for row, example in enumerate(chosen):
        shown = example.ids[: n + 1]
        ids[row, : len(shown)] = torch.tensor(shown)
        counts[row, example.n_prompt - 1 : len(shown) - 1] = True
    return ids[:, :-1], ids[:, 1:], counts


def tune(
    model: GPT, tokenizer: Tokenizer, n_steps: int, *, batch_size: int = 8, rate: float = 3e-3, seed: int = 0
) -> Iterator[tuple[float, GPT]]:
    """Tune a copy of a model on answers; yield the loss of each step in nats and the copy as it is then."""
    tuned = copy.deepcopy(model).train()
    optimizer = AdamW(tuned.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    taught = make_examples(tokenizer, n_steps * batch_size, seed=seed)
    length = min(64, model.config.context_length)
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / n_steps)
        ids, targets, counts = batch(taught[step * batch_size :][:batch_size], length, tokenizer.eot_id)
        x = tuned.hidden(ids)[counts]  # (answer tokens, C)
        loss = cross_entropy(x, tuned.output.weight, targets[counts])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield loss.item(), tuned
    tuned.eval()


def generate_answers(model: GPT, tokenizer: Tokenizer, asked_names: list[str], *, seed: int = 0) -> list[str]:
    """Return what a model writes after the instruction for each name; the names must be single tokens."""
    prompts = torch.tensor([tokenizer.encode(TEMPLATE.format(name=name)) for name in asked_names])
    answers = generate_batch(
        model.eval(), prompts, N_TOKENS, Sampling(temperature=0.8), seed=seed, stop_id=tokenizer.eot_id
    )
    return [tokenizer.decode(ids) for ids in answers]


def fraction_followed(texts: list[str], asked_names: list[str]) -> float:
    """Return the fraction of texts that contain the name they were asked for."""
    return sum(name in text for text, name in zip(texts, asked_names, strict=True)) / len(asked_names)


def before_and_after(
    n_steps: int, *, seed: int = 0, report: Callable[[float], None] = lambda loss: None
) -> dict:
    """Tune the shipped model; return losses, the fraction of instructions followed before and after, and a few answers.

    The names asked for are those never tuned on, four answers each. `report` gets the loss of each step.
    """
    model, tokenizer = read_latest(SHIPPED)
    asked_names = single_token_names(tokenizer)[:HELD_OUT] * 4
    losses, tuned = [], model
    for loss, tuned in tune(model, tokenizer, n_steps, seed=seed):  # noqa: B007 - the last copy is the one wanted
        losses.append(loss)
        report(loss)
    base_answers, tuned_answers = (
        generate_answers(variant, tokenizer, asked_names, seed=seed) for variant in (model, tuned)
    )
    return {
        "losses": losses,
        "asked": asked_names[:3],
        "before": base_answers[:3],
        "after": tuned_answers[:3],
        "followed_before": fraction_followed(base_answers, asked_names),
        "followed_after": fraction_followed(tuned_answers, asked_names),
        "n_answers": len(asked_names),
    }
