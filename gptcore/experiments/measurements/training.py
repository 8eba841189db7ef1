"""Claims about training: what warm-up and clipping change at this size, and what may be compared across
tokenizers."""

import math
from collections.abc import Iterator, Mapping

import torch

from gptcore.config import PRESETS
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.windows import fixed_batches
from gptcore.experiments.claims import Claim, Progress, Repetition, Spread, by_range
from gptcore.experiments.paired_training import (
    SEEDS,
    SHAPE,
    SHAPE_IN_WORDS,
    STEPS,
    train_constant_rate,
    train_variants,
)
from gptcore.model import GPT
from gptcore.stories.parser import accepts
from gptcore.stories.scores import split_sentences
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import story_tokenizer
from gptcore.training.evaluation import bigram_loss
from gptcore.training.faults import NO_CLIPPING
from gptcore.training.optim import parameter_groups

VOCABULARIES = (300, 512, 1024, 2048)
N_STORIES = 800


def _lost_without(**change: object) -> Iterator[Repetition | Progress]:
    optimizers = {"Muon, as in the preset": {}, "AdamW": {"optimizer": "adamw", "learning_rate": 3e-3}}
    ways = {
        (name, taken): way | (change if taken else {})
        for name, way in optimizers.items()
        for taken in (False, True)
    }
    return train_variants(
        ways,
        lambda trained: {name: trained[name, True].loss - trained[name, False].loss for name in optimizers},
    )


def _without_warm_up() -> Iterator[Repetition | Progress]:
    return _lost_without(warmup_steps=0)


def _without_clipping() -> Iterator[Repetition | Progress]:
    return _lost_without(grad_clip=NO_CLIPPING)


def table_losses(size: int, seed: int = 0) -> tuple[float, float]:
    """Return the loss of a bigram table on held-out stories, cut into this vocabulary: perplexity a token, and bits a
    byte."""
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


def _judge_perplexity(measured: Mapping[str, Spread]) -> str:
    tokens = [spread for name, spread in measured.items() if name.endswith("perplexity a token")]
    return by_range(lambda ratio: ratio < 1)({str(i): spread for i, spread in enumerate(tokens)})


def accepted_from_frequencies(n_tokens: int = 4000, *, seed: int = 0) -> float:
    """Return the share of sentences the story grammar accepts, in a text drawn from how often tokens occur alone.

    A guess that knows these frequencies reaches the unigram entropy of the stories as its loss, and nothing less.
    """
    tokenizer = story_tokenizer()
    ids = encode_documents(
        [story.text for story in write_stories(N_STORIES, seed=seed * N_STORIES)], tokenizer
    )
    draw = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(torch.bincount(ids).float(), n_tokens, replacement=True, generator=draw)
    sentences = split_sentences(" ".join(tokenizer.decode(drawn.tolist()).split()))
    return sum(map(accepts, sentences)) / len(sentences)


def _grammar_at_the_unigram_level() -> Iterator[Repetition]:
    for seed in range(3):
        yield {"frequencies alone": accepted_from_frequencies(seed=seed)}


def decay_ratio(
    way: str, *, seed: int = 0, steps: int = 200, sizes: tuple[float, float] = (0.01, 1.0)
) -> float:
    """Return how many times as far decay takes a weight with small gradients as one with large ones.

    Two weights of 1 get random gradients of these sizes, with decay and without; what decay took is the difference.
    """
    rate, decay = 1e-3, 0.1
    make = {
        "SGD with an L2 penalty": torch.optim.SGD,
        "Adam with an L2 penalty": torch.optim.Adam,
        "AdamW": torch.optim.AdamW,
    }[way]
    ends = []
    for strength in (0.0, decay):
        weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
        optimizer = make([weights], lr=rate, weight_decay=strength)
        draw = torch.Generator().manual_seed(seed)
        for _ in range(steps):
            weights.grad = torch.randn(2, generator=draw).double() * torch.tensor(sizes)
            optimizer.step()
        ends.append(weights.detach())
    small, large = (ends[0] - ends[1]).tolist()
    return small / large


OPTIMIZERS = ("SGD with an L2 penalty", "Adam with an L2 penalty", "AdamW")


def _decay_ratios() -> Iterator[Repetition]:
    for seed in range(3):
        yield {way: decay_ratio(way, seed=seed) for way in OPTIMIZERS}


def _decoupled() -> Iterator[Repetition | Progress]:
    length, n_done = SHAPE["context_length"], 0
    texts = [story.text for story in write_stories(2 * N_STORIES)]
    read, asked = (
        encode_documents(part, story_tokenizer()) for part in (texts[:N_STORIES], texts[N_STORIES:])
    )
    ways = {"Adam, L2 penalty": torch.optim.Adam, "AdamW": torch.optim.AdamW}
    for seed in SEEDS:
        losses = {}
        for name, make in ways.items():
            model = GPT(PRESETS["nano"].model.replace(**SHAPE), seed=seed)
            optimizer = make(parameter_groups(model, 0.1), lr=3e-3, betas=(0.9, 0.98))
            for share in train_constant_rate(model, optimizer, read, steps=STEPS, length=length, seed=seed):
                yield Progress((n_done + share) / len(SEEDS) / len(ways))
            n_done += 1
            with torch.inference_mode():
                ((ids, targets),) = fixed_batches(asked, length, 32, 1)
                losses[name] = float(model.loss(ids, targets))
        yield {"Adam, L2 penalty": losses["Adam, L2 penalty"] - losses["AdamW"]}


CLAIMS = (
    Claim(
        name="warm_up_saves",
        chapter=8,
        slogan="Without learning-rate warm-up a run fails",
        source="Repeated since Vaswani et al. 2017; Xiong et al. 2020 show that post-norm models need it.",
        how=f"{SHAPE_IN_WORDS}, {STEPS} steps on the stories, with {STEPS // 10} steps of warm-up and with "
        "none, Muon and AdamW, three seeds. Measured: how much higher the validation loss is without warm-up. "
        "The claim holds if it is more than 0.02 nats with every seed.",
        unit="nats per token higher without",
        headline="Muon, as in the preset",
        measure=_without_warm_up,
        judge=by_range(lambda more: more > 0.02),
        transfers="This measurement says nothing about them. Large models with high learning rates do diverge without "
        "warm-up; a small pre-norm model cannot show it.",
        kind="train",
        nothing=0.0,
    ),
    Claim(
        name="clipping_saves",
        chapter=8,
        slogan="Gradient clipping saves every run",
        source="Pascanu et al. 2013 for recurrent networks; most recipes since.",
        how=f"{SHAPE_IN_WORDS}, {STEPS} steps on the stories, with gradients clipped at 1 and not clipped, "
        "Muon and AdamW, three seeds. Measured: how much higher the validation loss is without clipping. The "
        "claim holds if it is more than 0.02 nats with every seed.",
        unit="nats per token higher without",
        headline="Muon, as in the preset",
        measure=_without_clipping,
        judge=by_range(lambda more: more > 0.02),
        transfers="This measurement says nothing about them. Clipping protects against rare bad batches, and "
        f"{STEPS} steps on clean text contain few of them.",
        kind="train",
        nothing=0.0,
    ),
    Claim(
        name="perplexity_vocabulary",
        chapter=8,
        slogan="A larger vocabulary lowers the perplexity",
        source="A common conclusion from papers that compare models with different tokenizers.",
        how="The same held-out stories under story vocabularies of 300 to 2,048 tokens, predicted by a "
        "bigram table. Measured: perplexity per token and bits per byte, divided by those at 300. The "
        "claim holds if the perplexity is lower.",
        unit="times that at V = 300",
        headline="V = 2,048, perplexity a token",
        labels={
            "V = 512, perplexity a token": "V = 512, perplexity per token",
            "V = 512, bits a byte": "V = 512, bits per byte",
            "V = 1,024, perplexity a token": "V = 1,024, perplexity per token",
            "V = 1,024, bits a byte": "V = 1,024, bits per byte",
            "V = 2,048, perplexity a token": "V = 2,048, perplexity per token",
            "V = 2,048, bits a byte": "V = 2,048, bits per byte",
        },
        measure=_perplexities,
        judge=_judge_perplexity,
        transfers="The same for any model: a longer token is harder to predict. Compare bits per byte, or use "
        "one tokenizer.",
    ),
    Claim(
        name="unigram_level",
        chapter=8,
        slogan="A loss of 6 to 7 means that the model has learned grammar",
        source="A common reading of loss curves of models with GPT-2's vocabulary, whose first drop ends about there.",
        how="That level is the unigram entropy of a text: the loss of a model that knows only token "
        "frequencies. So 4,000 tokens are sampled from the frequencies of the stories, three seeds. "
        "The claim holds if the grammar accepts half of their sentences.",
        unit="of sentences accepted",
        headline="frequencies alone",
        labels={
            "frequencies alone": "token frequencies alone",
        },
        measure=_grammar_at_the_unigram_level,
        judge=by_range(lambda share: share >= 0.5),
        transfers="The same: any language model's loss first drops to the unigram entropy of its text, whatever "
        "the value.",
    ),
    Claim(
        name="decay_is_l2",
        chapter=8,
        slogan="Weight decay and an L2 penalty are the same",
        source="True for plain gradient descent; Loshchilov and Hutter 2017 show that it is not true for Adam.",
        how="Two weights of 1, 200 steps with random gradients of size 0.01 and 1, with a decay of 0.1 and "
        "without, three seeds. Measured: the decay of the weight with small gradients, divided by that of "
        "the other. The claim holds if that is within 10% of 1.",
        unit="times as much decay",
        headline="Adam with an L2 penalty",
        measure=_decay_ratios,
        judge=lambda measured: by_range(lambda ratio: 0.9 <= ratio <= 1.1)(
            {way: measured[way] for way in OPTIMIZERS if way != "AdamW"}
        ),
        transfers="Exactly the same: Adam divides everything in the gradient by the gradient's size, an L2 "
        "penalty too. AdamW keeps decay out of the gradient, so it shrinks every weight by the same "
        "fraction.",
    ),
    Claim(
        name="adamw_trains_better",
        chapter=8,
        slogan="AdamW trains better than Adam with an L2 penalty",
        source="Loshchilov and Hutter 2017, for image models over many epochs.",
        how=f"{SHAPE_IN_WORDS}, {STEPS} steps on the stories with a decay of 0.1 either way, three seeds. "
        "Measured: the validation loss of Adam minus that of AdamW. The claim holds if it is more than "
        "0.02 nats with every seed.",
        unit="nats per token higher",
        headline="Adam, L2 penalty",
        measure=_decoupled,
        judge=by_range(lambda more: more > 0.02),
        transfers="At any size, 0.1 is a strong penalty for Adam and a weak decay for AdamW. With a "
        "strength tuned for each, the difference is smaller.",
        kind="train",
        nothing=0.0,
    ),
)
