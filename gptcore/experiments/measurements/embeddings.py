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
        source="Mikolov et al. 2013; that the inputs are left out is in their code.",
        how="All sums of two pairs of the story world (king/queen, uncle/aunt, …) on the shipped model's table: how "
        "often the answer comes first. It holds where at least half do.",
        unit="of the sums come first",
        headline="inputs left out",
        measure=_sums,
        judge=by_range(lambda share: share >= 0.5),
        transfers="That it is rarer with the inputs allowed does. Tables learned from billions of words do better, and "
        "tables of language models less well than word2vec's.",
    ),
    Claim(
        name="a_step_moves_what_it_saw",
        chapter=3,
        slogan="One step moves only the rows it saw",
        source="Concluded from the gradient of a look-up.",
        how="A small model takes one step on four tokens, three ways; the share of the other rows that moved. It holds "
        "where none did.",
        unit="of the unread rows moved",
        headline="tied, SGD",
        measure=_moved,
        judge=by_range(lambda share: share == 0),
        transfers="Exactly: an output row gets a gradient from every softmax, and decay asks no one.",
    ),
    Claim(
        name="a_dimension_means",
        chapter=3,
        slogan="Dimension 17 means something",
        source="Said wherever columns of a table are plotted.",
        how="The whole stream of the shipped model is turned by a random rotation, so that every column holds other "
        "numbers; the largest change of any probability. It would hold where one changes by more than 1%.",
        unit="change of a probability",
        headline="every column turned",
        measure=_turned,
        judge=by_range(lambda change: change > 0.01),
        transfers="For models with RMSNorm exactly. LayerNorm, biases and the optimizer single out the columns a "
        "little, which is why a few stand out in large models.",
    ),
    Claim(
        name="near_on_the_map",
        chapter=3,
        slogan="What lies close on the map is close",
        source="The way such maps are read.",
        how="The words of 500 stories, laid on the two directions of largest spread: the share of each word's five "
        "nearest in the table that are among its five nearest on the map. It holds from one half on.",
        unit="of the neighbours kept",
        headline="words of the stories",
        measure=_kept,
        judge=by_range(lambda share: share >= 0.5),
        transfers="Yes: a hundred dimensions do not fit into two. Methods such as t-SNE keep more neighbours and "
        "give up the distances between groups.",
    ),
    Claim(
        name="unused_rows_stay",
        chapter=3,
        slogan="Rows never used stay where they were born",
        source="True of the gradient of a look-up; of a whole optimizer only in part.",
        how="Small models, 20 steps of AdamW, tied and not, with decay and without, three seeds; the share of rows of "
        "tokens absent from the text that have not changed by a bit. It holds where all have not.",
        unit="of the unread rows unchanged",
        headline="untied, no decay",
        measure=_stay,
        judge=by_range(lambda share: share == 1),
        transfers="Exactly. Tokens that were in a tokenizer's text and not in the model's are known from large models: "
        "asked for one, they stumble.",
        kind="train",
    ),
    Claim(
        name="gpt2_scales",
        chapter=3,
        slogan="GPT-2 scales its embeddings by √d",
        source="Carried over from Vaswani et al. 2017, section 3.4, who do.",
        how="How many times longer what enters the first block is than the rows of the table, positions taken "
        "off, in a model of GPT-2's kind; as a share of √d. It would hold at 1.",
        unit="of √d",
        headline="GPT-2's shape",
        measure=_scaled,
        judge=by_range(lambda share: abs(share - 1) < 0.05),
        transfers="Our model of this kind loads GPT-2's layout. Gemma scales, LLaMA does not.",
    ),
)
