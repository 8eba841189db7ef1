"""Claims about models as files: what belongs to one besides its weights, and what a seed promises."""

import copy
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from gptcore.checkpoint import SHIPPED
from gptcore.experiments.claims import Claim, Progress, Repetition, Spread
from gptcore.experiments.measurements.attention import loss_on_fresh_stories
from gptcore.experiments.paired_training import SEEDS
from gptcore.formats import load
from gptcore.generation.sampling import generate
from gptcore.model import GPT
from gptcore.training.finetune import HELD_OUT, fraction_followed, generate_answers, single_token_names, tune

# Configs under which the shipped weights load without complaint, since no shape changes.
MISREADINGS: dict[str, dict[str, object]] = {
    "as it was trained": {},
    "rope_theta 500,000": {"rope_theta": 500_000.0},
    "8 heads of 16": {"n_heads": 8, "n_kv_heads": 8, "head_dim": 16},
    "norm_eps 0.1": {"norm_eps": 0.1},
    "no positions": {"position": "none"},
    "no mask": {"causal": False},
}
DRAWS = 12  # texts that are written twice
TUNED = 60  # steps
WINDOWS_AT_ONCE = 4
N_TOKENS = 60


def misread(model: GPT, changes: dict[str, object]) -> GPT:
    """Return a model with the same weights under another config."""

    other = GPT(model.config.replace(**changes)).eval()
    other.load_state_dict(model.state_dict())
    return other


def loss_misread(model: GPT, changes: dict[str, object], ids: Tensor, targets: Tensor) -> float:
    """Return the loss on windows (B, T) with these weights under another config.

    It is computed a few windows at a time, because the logits of all take many times the memory of the model.
    """
    other = misread(model, changes)
    parts = zip(ids.split(WINDOWS_AT_ONCE), targets.split(WINDOWS_AT_ONCE))
    with torch.inference_mode():
        return sum(len(part) * float(other.loss(part, wanted)) for part, wanted in parts) / len(ids)


def losses_misread(*, seed: int = 0) -> dict[str, float]:
    """Return the loss of the shipped weights on held-out stories, under each config they fit into."""
    model, tokenizer = load(SHIPPED)
    return {
        name: loss_on_fresh_stories(misread(model, changes), tokenizer, seed=seed, n=8)
        for name, changes in MISREADINGS.items()
    }


def _lost_by_config() -> Iterator[Repetition]:
    for seed in range(2):
        found = losses_misread(seed=seed)
        right = found["as it was trained"]
        yield {name: loss - right for name, loss in found.items() if MISREADINGS[name]}


def rounded(model: GPT) -> GPT:
    """Return a copy whose weights have been through bf16, as files often keep them; it computes in fp32."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight.copy_(weight.to(torch.bfloat16))
    return other


def generated_ids(model: GPT, tokenizer, prompt: str, *, seed: int, n_tokens: int = N_TOKENS) -> list[int]:
    """Return the ids a model writes after a prompt at temperature 0.8."""
    steps = generate(
        model, tokenizer.encode(prompt), n_tokens, temperature=0.8, seed=seed, stop_ids=(tokenizer.eot_id,)
    )
    return [step.token_id for step in steps]


def divergence_position(first: list[int], second: list[int]) -> int | None:
    """Return the place of the first token in which two texts differ, or None."""
    differing = (position for position, (a, b) in enumerate(zip(first, second)) if a != b)
    position = next(differing, None)
    return position if position is not None or len(first) == len(second) else min(len(first), len(second))


def _same_texts() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    other = rounded(model)

    def share(again: Callable[[int], list[int]]) -> float:
        same = [
            generated_ids(model, tokenizer, "Once upon a time", seed=seed) == again(seed)
            for seed in range(DRAWS)
        ]
        return 100 * sum(same) / DRAWS

    yield {
        "the same machine again": share(
            lambda seed: generated_ids(model, tokenizer, "Once upon a time", seed=seed)
        ),
        "weights rounded to bf16": share(
            lambda seed: generated_ids(other, tokenizer, "Once upon a time", seed=seed)
        ),
    }


def _instructions_followed() -> Iterator[Repetition | Progress]:
    model, tokenizer = load(SHIPPED)
    names = single_token_names(tokenizer)[:HELD_OUT] * 4
    for turn, seed in enumerate(SEEDS):
        tuned = model
        for step, (_, tuned) in enumerate(tune(model, tokenizer, TUNED, seed=seed), 1):  # noqa: B007
            yield Progress((turn + step / TUNED) / len(SEEDS))
        base, taught = (
            fraction_followed(generate_answers(variant, tokenizer, names, seed=seed), names)
            for variant in (model, tuned)
        )
        yield {"base model": 100 * base, f"after {TUNED} steps": 100 * taught}


def _judge_followed(measured: Mapping[str, Spread]) -> str:
    base, tuned = measured["base model"], measured[f"after {TUNED} steps"]
    if base.low > 50 or tuned.high <= 75:
        return "holds not"
    return "holds" if base.high <= 50 and tuned.low > 75 else "depends"


CLAIMS = (
    Claim(
        name="weights_alone",
        chapter=10,
        slogan="The weights are the model",
        source="Suggested by the phrase “download the weights”.",
        how="The shipped weights are loaded with configs that leave every shape unchanged. Measured: the "
        "loss on held-out stories minus that of the right config. The claim holds if none rises by "
        "more than 0.05 nats.",
        unit="nats per token higher",
        headline="8 heads of 16",
        measure=_lost_by_config,
        judge=lambda measured: (
            "holds" if max(abs(spread.high) for spread in measured.values()) <= 0.05 else "holds not"
        ),
        transfers="The same for any model: the number of heads, RoPE, the norm epsilon and the tokenizer are not in "
        "the weights, and a loader that checks only shapes notices nothing.",
    ),
    Claim(
        name="same_seed",
        chapter=10,
        slogan="The same seed generates the same text anywhere",
        source="A seed is often equated with reproducibility.",
        how=f"{DRAWS} seeds, {N_TOKENS} tokens each, generated by the shipped model twice on this machine "
        "and once with its weights rounded to bf16. Measured: the percentage of texts that are "
        "identical to the last token. The claim holds at 100% in both cases.",
        unit="% identical texts",
        headline="weights rounded to bf16",
        labels={
            "the same machine again": "same machine, second run",
        },
        measure=_same_texts,
        judge=lambda measured: (
            "holds" if min(spread.low for spread in measured.values()) >= 100 else "holds not"
        ),
        transfers="Other processors, libraries and thread counts add numbers in another order and round differently. "
        "Sooner or later one sampled token differs, and so does all text after it.",
    ),
    Claim(
        name="base_follows",
        chapter=10,
        slogan="A base model does not follow instructions; a little fine-tuning makes it follow them",
        source="Wei et al. 2021, Ouyang et al. 2022.",
        how="“Story about NAME:” with eight names that are not in the fine-tuning data, four answers each, "
        "three seeds, before and after 60 steps. The claim holds if at most half of the answers follow "
        "the prompt before and more than three quarters after.",
        unit="% of answers about the name",
        headline="after 60 steps",
        measure=_instructions_followed,
        judge=_judge_followed,
        transfers="At any size, a model learns the form of an answer from a few examples. Whether this small model "
        "uses a new name depends on the examples; a base model with billions of parameters can already copy a "
        "name from its prompt.",
        kind="train",
    ),
)
