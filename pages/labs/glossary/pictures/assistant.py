"""Pictures of what comes after pre-training, one per term."""

import math

from gptcore.training.finetune import TEMPLATE
from pages.kit import chips, generation_figures, story_data
from pages.kit.chips import Chip
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import LLAMA, bars, curve
from pages.labs.glossary.pictures.writing import next_tokens

OUTSIDE = "The capital of France is"


def chat() -> list[Chip]:
    tokenizer = story_data.story_tokenizer()
    parts = ((TEMPLATE.format(name="Mira"), "chosen"), ("Once upon a time Mira lived near the sea.", "new"))
    return [
        Chip(chips.visible(tokenizer.token_text(i)), kind)
        for text, kind in parts
        for i in tokenizer.encode(text)
    ]


def after_instruction() -> Picture:
    return generation_figures.probability_bars(*next_tokens("Story about Mira:\n", 6))


def out_of_domain() -> Picture:
    return generation_figures.probability_bars(*next_tokens(OUTSIDE, 6))


def low_rank(rank: int) -> Picture:
    width = LLAMA.config.d_model
    return bars(
        ("full matrix", f"two matrices of rank {rank}"),
        [width * width, 2 * rank * width],
        "trainable parameters",
        log_y=True,
    )


def preference_pull() -> Picture:
    margins = [n / 2 for n in range(-20, 41)]
    curves = {
        f"β = {beta:g}": [beta / (1 + math.exp(beta * margin)) for margin in margins] for beta in (0.1, 0.5)
    }
    return curve(margins, curves, "reward margin, in nats", "gradient with respect to the margin")


def quantization() -> Picture:
    bits = (32, 16, 8, 4)
    return bars(
        [f"{n} bits" for n in bits], [LLAMA.n_parameters * n / 8e9 for n in bits], "GB, LLaMA 3 8B", ".1f"
    )
