"""Claims about tokens: what a token is, what a vocabulary buys, and what a larger one does to perplexity."""

import inspect
import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import regex
import torch

from gptcore import tokenizer
from gptcore.config import ModelConfig
from gptcore.corpora.sources import N_STORIES as FIRST_FREE
from gptcore.experiments.claims import Claim, Progress, Repetition, by_range
from gptcore.experiments.paired_training import SEEDS, train_constant_rate
from gptcore.lessons.bpe_steps import longest_match
from gptcore.lessons.languages import SENTENCES
from gptcore.model import GPT
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import Tokenizer, story_tokenizer

WORDS = r"[A-Za-z]+"
SIZES = (512, 1024, 2048)
N_STORIES = 60
PROSE = (
    "The committee published its annual report on Tuesday. According to the authors, emissions from shipping rose "
    "for the third year, although fuel prices had doubled since January. Several governments objected to the method "
    "by which the figures were obtained. A spokeswoman said that the estimates would be revised in autumn."
)


def stories(n: int, seed: int) -> str:
    """Return stories beyond those of the corpus, as one text."""

    return "\n".join(story.text for story in write_stories(n, seed=FIRST_FREE + seed * n))


def code() -> str:
    """Return some Python: the library's own tokenizer."""
    return inspect.getsource(tokenizer)


def texts(seed: int = 0) -> dict[str, str]:
    """Return texts of several kinds, each to be cut by the story tokenizer."""

    return {
        "stories": stories(N_STORIES, seed),
        "newspaper English": PROSE,
        "Python": code(),
        "Hindi": SENTENCES["Hindi"],
    }


def whole_words(text: str, tokenizer: Tokenizer) -> float:
    """Return the share of words that are one token where they stand, with the space before them."""
    pieces = [piece for piece in tokenizer.pieces(text) if regex.search(r"\p{L}", piece)]
    counts = Counter(pieces)
    one = sum(times for piece, times in counts.items() if len(tokenizer.encode(piece)) == 1)
    return one / len(pieces)


def _one_token_words() -> Iterator[Repetition]:
    for seed in range(3):
        yield {name: whole_words(text, story_tokenizer()) for name, text in texts(seed).items()}


def _characters_a_token() -> Iterator[Repetition]:
    for seed in range(3):
        yield {name: len(text) / len(story_tokenizer().encode(text)) for name, text in texts(seed).items()}


@lru_cache(maxsize=1)
def _story_words() -> tuple[str, ...]:
    return tuple(dict.fromkeys(regex.findall(WORDS, stories(N_STORIES, 0))))


def _same_ids() -> Iterator[Repetition]:
    tokenizer, words = story_tokenizer(), _story_words()
    same = sum(tokenizer.encode(f" {word}") == tokenizer.encode(word) for word in words)
    yield {"words of the stories": same / len(words)}


def _cut_otherwise() -> Iterator[Repetition]:
    tokenizer = story_tokenizer()
    fractions = {}
    for name, text in texts().items():
        pieces = list(dict.fromkeys(tokenizer.pieces(text)))
        fractions[name] = sum(
            tokenizer.encode(piece) != longest_match(piece, tokenizer) for piece in pieces
        ) / len(pieces)
    yield fractions


def _shorter() -> Iterator[Repetition]:
    full = story_tokenizer()
    for seed in range(3):
        text = stories(N_STORIES, seed)
        counts = {size: len(full.first(size - 257).encode(text)) for size in SIZES}
        yield {f"{size // 2} to {size}": counts[size] / counts[size // 2] for size in SIZES[1:]}


def per_token_and_byte(size: int, seed: int, steps: int = 80) -> Iterator[float | tuple[float, float]]:
    """Train a small model with a vocabulary of this size: yield the fraction done after each step, then its loss on
    held-out stories in nats per token and bits per byte."""
    tokenizer = story_tokenizer().first(size - 257)
    config = ModelConfig(vocab_size=size, context_length=128, d_model=64, n_layers=2, n_heads=2)
    model = GPT(config, seed=seed)
    ids = torch.tensor(tokenizer.encode(stories(200, seed)))
    held_out = stories(40, 100 + seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    yield from train_constant_rate(model, optimizer, ids, steps=steps, length=128, seed=seed)
    fresh = torch.tensor(tokenizer.encode(held_out))
    rows = fresh[: len(fresh) // 129 * 129].view(-1, 129)
    with torch.inference_mode():
        loss = model.loss(rows[:, :-1], rows[:, 1:]).item()
    n_bytes = len(held_out.encode())
    yield loss, loss * len(fresh) / n_bytes / math.log(2)


def _perplexities() -> Iterator[Repetition | Progress]:
    sizes, n_done = (400, 2048), 0
    for seed in SEEDS:
        losses = []
        for size in sizes:
            for progress in per_token_and_byte(size, seed):
                if isinstance(progress, tuple):
                    losses.append(progress)
                else:
                    yield Progress((n_done + progress) / len(SEEDS) / len(sizes))
            n_done += 1
        small, large = losses
        yield {"per token": math.exp(large[0] - small[0]), "bits per byte": large[1] / small[1]}


CLAIMS = (
    Claim(
        name="token_is_a_word",
        chapter=2,
        slogan="A token is a word",
        source="Said in most introductions.",
        how="Stories the tokenizer was not trained on, and other kinds of text. Measured: the fraction of "
        "words that the story tokenizer encodes as a single token. The claim holds if at least 95% are.",
        unit="of words are one token",
        headline="stories",
        measure=_one_token_words,
        judge=by_range(lambda share: share >= 0.95),
        transfers="For every tokenizer, it depends on how similar a text is to the one that the merges were learned "
        "from. With a larger vocabulary, more words are single tokens.",
    ),
    Claim(
        name="four_characters",
        chapter=2,
        slogan="A token is about four characters",
        source="A rule of thumb for English in OpenAI's documentation.",
        how="Characters per token under the story tokenizer, for four kinds of text. The claim holds "
        "between 3.5 and 4.5.",
        unit="characters per token",
        headline="stories",
        measure=_characters_a_token,
        judge=by_range(lambda ratio: 3.5 <= ratio <= 4.5),
        transfers="Text unlike the tokenizer's training data costs more tokens everywhere. The exact numbers are "
        "specific to this tokenizer.",
    ),
    Claim(
        name="space_is_nothing",
        chapter=2,
        slogan="‘ cat’ and ‘cat’ are the same to a model",
        source="A common belief of people who see words and not token ids.",
        how="The distinct words of sixty stories. Measured: the fraction that get the same ids with and "
        "without a leading space. The claim holds if at least 99% do.",
        unit="of words keep their ids",
        headline="words of the stories",
        measure=_same_ids,
        judge=by_range(lambda share: share >= 0.99),
        transfers="The same for every byte-level tokenizer: the space is a byte of the token.",
    ),
    Claim(
        name="longest_match",
        chapter=2,
        slogan="The tokenizer takes the longest token that fits",
        source="WordPiece works this way (Schuster and Nakajima 2012); BPE does not (Sennrich et al. 2016).",
        how="Distinct pre-tokens of four kinds of text. Measured: the fraction that greedy longest match "
        "would split differently from the merges. The claim holds if none is.",
        unit="of pre-tokens are split differently",
        headline="newspaper English",
        measure=_cut_otherwise,
        judge=by_range(lambda share: share == 0),
        transfers="Both methods agree on common words and differ on rare ones, with any BPE tokenizer.",
    ),
    Claim(
        name="half_as_long",
        chapter=2,
        slogan="Doubling the vocabulary halves the number of tokens",
        source="A common hope.",
        how="The number of tokens in held-out stories under the story tokenizer with half its vocabulary "
        "and with all of it, for three sets of stories. The claim holds at a ratio of 0.6 or less.",
        unit="times as many tokens",
        headline="1024 to 2048",
        measure=_shorter,
        judge=by_range(lambda ratio: ratio <= 0.6),
        transfers="Each doubling saves less than the one before, for any tokenizer: the most frequent pairs are "
        "merged first.",
    ),
    Claim(
        name="vocabulary_perplexity",
        chapter=2,
        slogan="Perplexity falls with a larger vocabulary",
        source="A common misreading of papers that compare models with different tokenizers.",
        how="Small models with 400 and with 2,048 tokens, trained on the same stories for 80 steps, three "
        "seeds. Measured: the ratio of their perplexities per token and of their bits per byte, large "
        "over small. The claim holds if the perplexity is lower.",
        unit="ratio, large over small",
        headline="per token",
        measure=_perplexities,
        judge=lambda measured: by_range(lambda ratio: ratio < 1)({"per token": measured["per token"]}),
        transfers="Perplexities per token of two vocabularies are never comparable: a token that covers more "
        "text is harder to predict. Compare bits per byte.",
        kind="train",
        nothing=1.0,
    ),
)
