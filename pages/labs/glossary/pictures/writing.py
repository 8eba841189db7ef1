"""Pictures of generation, one per term."""

import torch

from gptcore.account import cache_bytes
from gptcore.generation.sampling import Sampling, distribution
from gptcore.generation.speculative import expected_tokens
from gptcore.lessons.by_hand import filter_probabilities, token_at
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import chips, forward, generation_figures, models, prompt
from pages.kit.chips import Chip
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import PROBABILITIES, bars, curve

BEGINNING = "Once upon a time there lived a"


def next_tokens(text: str, n: int = 9) -> tuple[list[str], list[float]]:
    use = models.shipped()
    (first, *_) = forward.continuation(use, text, 1, n_alternatives=n)
    names, probabilities = zip(*first[1])
    return list(names), list(probabilities)


def _filtered(**filters) -> Picture:
    names, probabilities = next_tokens(BEGINNING)
    after = filter_probabilities(torch.tensor(probabilities), Sampling(**filters)).after.tolist()
    return generation_figures.probability_bars(names, probabilities, after=after)


def temperature(tenths: int) -> Picture:
    names, probabilities = next_tokens(BEGINNING)
    after = filter_probabilities(
        torch.tensor(probabilities), Sampling(temperature=tenths / 10)
    ).after.tolist()
    return generation_figures.probability_bars(names, after)


def top_k(k: int) -> Picture:
    return _filtered(top_k=k)


def top_p(percent: int) -> Picture:
    return _filtered(top_p=percent / 100)


def min_p(percent: int) -> Picture:
    return _filtered(min_p=percent / 100)


def greedy() -> Picture:
    return _filtered(temperature=0.0)


def repetition_penalty(tenths: int) -> Picture:
    scores = torch.tensor([2.0, 1.0, 0.5, -0.5])
    after = distribution(scores, Sampling(repetition_penalty=tenths / 10), torch.tensor([0, 3])).tolist()
    names = ("2, already used", "1", "0.5", "−0.5, already used")
    return generation_figures.probability_bars(names, after)


def sampled_token(percent: int) -> Picture:
    names, probabilities = next_tokens(BEGINNING)
    return generation_figures.probability_bars(
        names, probabilities, chosen=token_at(torch.tensor(probabilities), percent / 100)
    )


def sampled_text(seed: int) -> list[Chip]:
    use = models.shipped()
    steps = forward.continuation(use, BEGINNING, 16, temperature=0.8, seed=seed)
    return [
        *prompt.token_chips(BEGINNING, use.tokenizer),
        *(Chip(chips.visible(token), "new") for token, _ in steps),
    ]


def cache_growth() -> Picture:
    lengths = (0, 2048, 4096, 6144, 8192)
    curves = {
        name: [cache_bytes(PUBLISHED[name].config, n, bytes_per_value=2) / 1e9 for n in lengths]
        for name in ("LLaMA 2 7B", "LLaMA 3 8B")
    }
    return curve(lengths, curves, "tokens in the cache", "KV cache, bf16, in GB")


def query_key_pairs() -> Picture:
    lengths = (32, 64, 128, 256)
    curves = {
        "without KV cache": [n * (n + 1) * (n + 2) / 6 for n in lengths],
        "with KV cache": [n * (n + 1) / 2 for n in lengths],
    }
    return curve(lengths, curves, "generated tokens", "query-key pairs per head", log_y=True)


def expected_draft_tokens(n: int) -> Picture:
    acceptance_rates = PROBABILITIES[::5]
    return curve(
        acceptance_rates,
        {f"{n} draft tokens": [expected_tokens(a, n) for a in acceptance_rates]},
        "acceptance rate of draft tokens",
        "tokens per pass of the target model",
    )


def beams(width: int) -> Picture:
    size = models.shipped().config.vocab_size
    return bars(("beams kept", "continuations scored per step"), [width, width * size], "count", log_y=True)
