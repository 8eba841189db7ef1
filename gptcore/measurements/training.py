"""Claims about training: what warm-up and clipping change at this size, and what may be compared across
tokenizers."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

from gptcore.claims import Claim, Repetition, Spread, wherever
from gptcore.faults import NO_CLIPPING

STEPS = 150
SEEDS = (0, 1, 2)
VOCABULARIES = (300, 512, 1024, 2048)
N_STORIES = 800


@lru_cache(maxsize=16)
def _last_loss(seed: int, **changes: object) -> float:
    """Return the validation loss of a nano run on the stories, some settings changed."""
    from gptcore.plan import make_plan
    from gptcore.training import train

    settings = {"n_samples": 0, "n_evals": 1, "threads": 1, "precision": "fp32", **changes}
    plan = make_plan("nano", settings=settings, corpus="stories", steps=STEPS, seed=seed)
    last = math.nan
    for event in train(plan.model, plan.train, plan.corpus, plan.tokenizer):
        if event.event == "eval":
            last = event.val_loss
    return last


def _lost_without(**change: object) -> Iterator[Repetition]:
    for seed in SEEDS:
        yield {
            name: _last_loss(seed, **way, **change) - _last_loss(seed, **way)
            for name, way in {
                "Muon, as in the preset": {},
                "AdamW": {"optimizer": "adamw", "learning_rate": 3e-3},
            }.items()
        }


def _without_warm_up() -> Iterator[Repetition]:
    yield from _lost_without(warmup_steps=0)


def _without_clipping() -> Iterator[Repetition]:
    yield from _lost_without(grad_clip=NO_CLIPPING)


def table_losses(size: int, seed: int = 0) -> tuple[float, float]:
    """Return what a table of token pairs costs on unread stories, cut into this vocabulary: perplexity a token, and
    bits a byte."""
    from gptcore.corpus import encode_documents
    from gptcore.stories import write_stories
    from gptcore.tokenizer import story_tokenizer
    from gptcore.training import bigram_loss

    tokenizer = story_tokenizer().first(size - 257)
    texts = [story.text for story in write_stories(N_STORIES, seed=seed * 10 * N_STORIES)]
    cut = len(texts) * 9 // 10
    read, asked = (encode_documents(part, tokenizer) for part in (texts[:cut], texts[cut:]))
    loss = bigram_loss(read, asked)
    n_bytes = sum(len(text.encode()) + 1 for text in texts[cut:])
    return math.exp(loss), loss * (len(asked) - 1) / math.log(2) / n_bytes


def _perplexities() -> Iterator[Repetition]:
    for seed in range(2):
        found = {size: table_losses(size, seed) for size in VOCABULARIES}
        first = VOCABULARIES[0]
        yield {
            f"V = {size:,}, perplexity a token": found[size][0] / found[first][0] for size in VOCABULARIES[1:]
        } | {f"V = {size:,}, bits a byte": found[size][1] / found[first][1] for size in VOCABULARIES[1:]}


def _judge_perplexity(found: Mapping[str, Spread]) -> str:
    tokens = [spread for name, spread in found.items() if name.endswith("perplexity a token")]
    return wherever(lambda ratio: ratio < 1)({str(place): one for place, one in enumerate(tokens)})


CLAIMS = (
    Claim(
        name="warm_up_saves",
        chapter=8,
        slogan="Without warm-up a run fails",
        source="Repeated since Vaswani et al. 2017; Xiong et al. 2020 show that post-norm models need it.",
        how=f"Nano models on the stories, {STEPS} steps, with the preset's warm-up and with none, Muon and "
        "AdamW, three seeds; validation loss against the run with warm-up. It holds where each seed loses more than "
        "0.02 nats.",
        unit="nats a token more without",
        headline="Muon, as in the preset",
        measure=_without_warm_up,
        judge=wherever(lambda more: more > 0.02),
        transfers="Not from here. Large models at high rates do diverge without it; a small pre-norm model does not "
        "tell.",
        kind="train",
    ),
    Claim(
        name="clipping_saves",
        chapter=8,
        slogan="Clipping saves every run",
        source="Pascanu et al. 2013 for recurrent networks; every recipe since.",
        how=f"Nano models on the stories, {STEPS} steps, gradients clipped at 1 and not at all, Muon and AdamW, three "
        "seeds; validation loss against the clipped run. It holds where each seed loses more than 0.02 nats.",
        unit="nats a token more without",
        headline="Muon, as in the preset",
        measure=_without_clipping,
        judge=wherever(lambda more: more > 0.02),
        transfers="Not from here. It is a belt for the rare bad batch, and 150 steps on clean text have few of those.",
        kind="train",
    ),
    Claim(
        name="perplexity_vocabulary",
        chapter=8,
        slogan="A larger vocabulary lowers the perplexity",
        source="Read off papers whose models have different tokenizers.",
        how="The same unread stories under story vocabularies of 300 to 2,048 tokens, guessed by a table of token "
        "pairs; perplexity a token, and bits a byte, over those at 300. It holds where the perplexity is lower.",
        unit="times that at V = 300",
        headline="V = 2,048, perplexity a token",
        measure=_perplexities,
        judge=_judge_perplexity,
        transfers="Yes: a longer token is harder to guess, whoever guesses. Compare per byte, or with one tokenizer.",
    ),
)
