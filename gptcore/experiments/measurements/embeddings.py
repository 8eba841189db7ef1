"""Claims about embeddings: sums of words, what one step moves, what a column means, what a map keeps."""

from collections.abc import Iterator
from functools import lru_cache

import torch

from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS, ModelConfig
from gptcore.experiments.claims import Claim, Progress, Repetition, by_range
from gptcore.experiments.paired_training import SEEDS, train_constant_rate
from gptcore.formats import load
from gptcore.interpret.embedding_table import (
    SMALL,
    WAYS,
    analogy,
    largest_difference,
    neighbors_kept,
    rotated,
    single_update,
)
from gptcore.model import GPT
from gptcore.stories import lexicon
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import Tokenizer

N_READ = 500  # stories; a token of none of them counts as unread
SENTENCE = "Once upon a time there was a young queen who lost her golden ring by the river."


@lru_cache(maxsize=1)
def _shipped() -> tuple[GPT, Tokenizer]:
    return load(SHIPPED)


def story_pairs(tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """Return the ids of his and hers for each pair of the story world whose words are one token each."""
    pairs = []
    for pair in lexicon.ROYAL_PAIRS + lexicon.FOLK_PAIRS + lexicon.ELDER_KIN_PAIRS + lexicon.SIBLING_PAIRS:
        ids = [tokenizer.encode(f" {word}") for word in pair.split("/")]
        if all(len(word_ids) == 1 for word_ids in ids):
            pairs.append((ids[0][0], ids[1][0]))
    return pairs


def _sums() -> Iterator[Repetition]:
    model, tokenizer = _shipped()
    table, pairs = model.embedding.weight.detach(), story_pairs(tokenizer)
    analogies = [
        analogy(table, a, b, c, target, most=1)
        for a, target in pairs
        for b, c in pairs
        if (a, target) != (b, c)
    ]
    yield {
        "inputs left out": sum(result.rank_without_inputs == 1 for result in analogies) / len(analogies),
        "inputs allowed": sum(result.rank == 1 for result in analogies) / len(analogies),
        "no arithmetic": sum(result.rank_without_arithmetic == 1 for result in analogies) / len(analogies),
    }


def _moved() -> Iterator[Repetition]:
    for seed in range(3):
        fractions = {}
        for way in WAYS:
            moves = single_update([3, 7, 7, 1, 4], way, seed=seed)
            fractions[way] = moves.n_unseen_changed / (SMALL.vocab_size - len(moves.seen))
        yield fractions


def _turned() -> Iterator[Repetition]:
    model, tokenizer = _shipped()
    ids = tokenizer.encode(SENTENCE)
    for seed in range(3):
        yield {"every column turned": largest_difference(model, rotated(model, seed), ids)}


def _kept() -> Iterator[Repetition]:
    model, tokenizer = _shipped()
    table = model.embedding.weight.detach()
    words = [token for token in read_tokens() if tokenizer.token_text(token)[1:].isalpha()]
    yield {"words of the stories": neighbors_kept(table[words])}


@lru_cache(maxsize=1)
def read_tokens() -> tuple[int, ...]:
    """Return the tokens that occur in some stories, in the order of their ids."""
    _, tokenizer = _shipped()
    return tuple(sorted({i for story in write_stories(N_READ) for i in tokenizer.encode(story.text)}))


def _stay() -> Iterator[Repetition | Progress]:
    """Train small models with and without tying and decay, and see which unread rows stand where they were born."""
    _, tokenizer = _shipped()
    ids = torch.tensor(tokenizer.encode("\n".join(story.text for story in write_stories(60))))
    unread = torch.ones(tokenizer.vocab_size, dtype=torch.bool)
    unread[ids.unique()] = False
    shape = {
        "vocab_size": tokenizer.vocab_size,
        "context_length": 64,
        "d_model": 32,
        "n_layers": 1,
        "n_heads": 2,
    }
    ways = {"untied, no decay": (False, 0.0), "untied, decay": (False, 0.1), "tied, no decay": (True, 0.0)}
    n_done = 0
    for seed in SEEDS:
        unchanged = {}
        for name, (tied, decay) in ways.items():
            model = GPT(ModelConfig(**shape, tie_embeddings=tied), seed=seed)
            initial = model.embedding.weight.detach().clone()
            optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=decay)
            for fraction_done in train_constant_rate(
                model, optimizer, ids, steps=20, length=64, batch_size=4, seed=seed
            ):
                yield Progress((n_done + fraction_done) / len(SEEDS) / len(ways))
            n_done += 1
            still = (model.embedding.weight.detach() == initial).all(1)
            unchanged[name] = float(still[unread].float().mean())
        yield unchanged


def _scaled() -> Iterator[Repetition]:
    shape = PRESETS["small_legacy"].model.replace(n_layers=1, vocab_size=64, context_length=64)
    model = GPT(shape, seed=0)

    ids = torch.tensor([[1, 2, 3]])
    trace: dict = {}
    model(ids, trace=trace)
    place = model.positions.embed(torch.zeros(1, 3, shape.d_model), 0)
    rows = model.embedding(ids)
    factor = ((trace["positioned"] - place).norm() / rows.norm()).item()
    yield {"GPT-2's shape": factor / shape.d_model**0.5}


CLAIMS = (
    Claim(
        name="king_minus_man",
        chapter=3,
        slogan="king − man + woman = queen",
        source="Mikolov et al. 2013; their code leaves the three input words out of the answers.",
        how="All analogies of two word pairs of the story world (king/queen, uncle/aunt, …), computed on "
        "the shipped model's embedding matrix. Measured: how often the expected word is the nearest. "
        "The claim holds if it is at least half the time.",
        unit="of analogies come out right",
        headline="inputs left out",
        labels={
            "inputs left out": "inputs excluded",
        },
        measure=_sums,
        judge=by_range(lambda share: share >= 0.5),
        transfers="If the inputs are allowed as answers, the nearest row is usually that of an input word. "
        "Embeddings trained on billions of words do better, and those of language models do worse than word2vec's.",
    ),
    Claim(
        name="a_step_moves_what_it_saw",
        chapter=3,
        slogan="A training step changes only the embeddings of its tokens",
        source="Concluded from the gradient of an embedding lookup.",
        how="A small model takes one step on four tokens, in three setups. Measured: the fraction of the "
        "other rows that changed. The claim holds if none did.",
        unit="of the other rows changed",
        headline="tied, SGD",
        measure=_moved,
        judge=by_range(lambda share: share == 0),
        transfers="Exactly the same at any size: with tied embeddings every row gets a gradient from the "
        "softmax, and weight decay shrinks all rows.",
    ),
    Claim(
        name="a_dimension_means",
        chapter=3,
        slogan="Dimension 17 means something",
        source="Said wherever columns of an embedding matrix are plotted.",
        how="A random rotation is applied to the whole residual stream of the shipped model, so that every "
        "column holds different numbers. Measured: the largest change of any probability. The claim "
        "holds if one changes by more than 1%.",
        unit="largest change of a probability",
        headline="every column turned",
        labels={
            "every column turned": "all columns rotated",
        },
        measure=_turned,
        judge=by_range(lambda change: change > 0.01),
        transfers="Exactly true of models with RMSNorm. LayerNorm, biases and the optimizer favor individual "
        "dimensions a little, which is why a few stand out in large models.",
    ),
    Claim(
        name="near_on_the_map",
        chapter=3,
        slogan="Words close on the map are close in the embedding",
        source="The way such maps are usually read.",
        how="The words of 500 stories, projected onto the first two principal components. Measured: the "
        "fraction of each word's five nearest neighbors in the embedding that are among its five "
        "nearest on the map. The claim holds if it is at least half.",
        unit="of nearest neighbors kept",
        headline="words of the stories",
        measure=_kept,
        judge=by_range(lambda share: share >= 0.5),
        transfers="The same: a hundred dimensions don't fit into two. Methods such as t-SNE keep more neighbors "
        "and give up the distances between groups.",
    ),
    Claim(
        name="unused_rows_stay",
        chapter=3,
        slogan="Embeddings of unused tokens keep their initial values",
        source="True of the gradient of a lookup; only partly true of a whole optimizer.",
        how="Small models, 20 steps of AdamW, tied and untied, with and without weight decay, three seeds. "
        "Measured: the fraction of rows of tokens absent from the text that are bit-for-bit unchanged. "
        "The claim holds if none has changed.",
        unit="of unused rows unchanged",
        headline="untied, no decay",
        labels={
            "untied, no decay": "untied, no weight decay",
            "untied, decay": "untied, weight decay",
            "tied, no decay": "tied, no weight decay",
        },
        measure=_stay,
        judge=by_range(lambda share: share == 1),
        transfers="Exactly the same at any size. Large models are known to have such tokens, present in the "
        "tokenizer's data but not in the model's; prompts with them produce nonsense.",
        kind="train",
    ),
    Claim(
        name="gpt2_scales",
        chapter=3,
        slogan="GPT-2 scales its embeddings by √d",
        source="Carried over from Vaswani et al. 2017, section 3.4, who do scale.",
        how="A model with GPT-2's architecture. Measured: the length of the vectors entering the first "
        "block, positions subtracted, over the length of the embedding rows, as a fraction of √d. The "
        "claim holds at 1.",
        unit="of √d",
        headline="GPT-2's shape",
        measure=_scaled,
        judge=by_range(lambda share: abs(share - 1) < 0.05),
        transfers="Our model loads GPT-2's layout. Gemma scales by √d, LLaMA does not.",
    ),
)
