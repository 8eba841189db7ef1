"""Claims about what a language model is: whether it looks things up, learns while it writes, counts words."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS
from gptcore.experiments.claims import Claim, Repetition, Spread, by_range
from gptcore.formats import load
from gptcore.generation.batch import generate_batch
from gptcore.generation.sampling import Sampling, generate
from gptcore.model import GPT
from gptcore.stories.scores import WordTable, reference_probe, split_sentences, training_sentences
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import Tokenizer

FRESH = 900_000  # seeds of stories that no training run has read begin here
SURE = 0.5
ENGLISH = (
    "Photosynthesis is the process by which green plants turn light, water and carbon dioxide into sugar "
    "and oxygen.",
    "The capital of France is Paris, and the river that runs through it is called the Seine.",
    "When water is heated to one hundred degrees at the level of the sea, it begins to boil and becomes steam.",
    "The train from Berlin was late again, so the meeting about the budget began without the two engineers.",
    "In nineteen sixty-nine two astronauts walked on the moon while a third stayed in orbit above them.",
)


def next_word_frequencies(table: WordTable, context: Sequence[str]) -> dict[str, float]:
    """Return the frequency of each word that followed `context` in a table's texts; empty if it never occurs."""

    numbers = {word: number for number, word in enumerate(table.words)}
    if not context or any(word not in numbers for word in context):
        return {}
    n = len(table.ids) - len(context)
    stands = np.ones(n, dtype=bool)
    for place, word in enumerate(context):
        stands &= table.ids[place : place + n] == numbers[word]
    words, counts = np.unique(table.ids[np.flatnonzero(stands) + len(context)], return_counts=True)
    total = counts.sum() or 1
    return {table.words[int(word)]: float(count / total) for word, count in zip(words, counts)}


def token_probability(model: GPT, tokenizer: Tokenizer, text: str, token: str) -> float:
    """Return the probability that a token comes next after a text."""
    with torch.inference_mode():
        scores = model(torch.tensor([tokenizer.encode(text)]))[0, -1]
    return float(torch.softmax(scores, -1)[tokenizer.encode(token)[0]])


def _copied_sentences() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    known = training_sentences()
    start = torch.full((12, 1), tokenizer.eot_id)
    for seed in range(3):
        rows = generate_batch(model, start, 150, Sampling(), seed=seed, stop_id=tokenizer.eot_id)
        sentences = [one for row in rows for one in split_sentences(tokenizer.decode(row))]
        yield {"its sentences": sum(hash(one) in known for one in sentences) / max(1, len(sentences))}


def _changes_from_reading() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    before = copy.deepcopy(model)
    asked = "Once upon a time"
    answer = token_probability(model, tokenizer, asked, " there")
    for story in write_stories(10, seed=FRESH):
        ids = tokenizer.encode(story.text)[:100]
        list(generate(model, ids, 10, seed=0))
    moved = max(float((a - b).detach().abs().max()) for a, b in zip(model.parameters(), before.parameters()))
    with torch.inference_mode():
        yield {
            "a weight": moved,
            "an answer": abs(token_probability(model, tokenizer, asked, " there") - answer),
        }


def right_when_sure(model: GPT, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[int, int]:
    """Return how many of a model's confident predictions (at least 50%) were right, and how many there were."""
    right = sure = 0
    for text in texts:
        ids = torch.tensor(tokenizer.encode(text)[: model.config.context_length])
        with torch.inference_mode():
            shares = torch.softmax(model(ids[None, :-1])[0], -1)
        most, favourite = shares.max(-1)
        sure += int((most >= SURE).sum())
        right += int(((most >= SURE) & (favourite == ids[1:])).sum())
    return right, sure


def _right_when_sure() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    stories = [story.text for story in write_stories(8, seed=FRESH)]
    fractions = {}
    for name, texts in (("stories not seen", stories), ("other English", ENGLISH)):
        right, sure = right_when_sure(model, tokenizer, texts)
        fractions[name] = right / max(1, sure)
    yield fractions


def _moved_by_the_name() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    table = WordTable([story.text for story in write_stories(1500)])
    for probe in reference_probe():
        model_move = token_probability(model, tokenizer, probe.female, probe.female_word) - token_probability(
            model, tokenizer, probe.male, probe.female_word
        )
        words = {who: re.findall(r"[A-Za-z]+|[^\sA-Za-z]", getattr(probe, who)) for who in ("female", "male")}
        moves = {"the model": model_move}
        for order in (3, 5, 7):
            female, male = (
                next_word_frequencies(table, words[who][1 - order :]) for who in ("female", "male")
            )
            she = probe.female_word.strip()
            moves[f"table of {order} words"] = female.get(she, 0.0) - male.get(she, 0.0)
        yield moves


def _judge_counts(measured: Mapping[str, Spread]) -> str:
    model = measured["the model"]
    return "holds" if model.high <= 0.05 else "holds not" if model.low > 0.05 else "depends"


def _untrained() -> Iterator[Repetition]:
    config = PRESETS["nano"].model
    for seed in range(3):
        ids = torch.randint(config.vocab_size, (1, 128), generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            favourite = GPT(config, seed=seed)(ids)[0].argmax(-1)
        yield {"the token just read": float((favourite == ids[0]).float().mean())}


CLAIMS = (
    Claim(
        name="looks_up",
        chapter=0,
        slogan="A language model looks its sentences up",
        source="A common first guess; the phrase “stochastic parrot” (Bender et al. 2021) is also often read "
        "this way.",
        how="The shipped model generates 36 stories. Measured: the fraction of its complete sentences that "
        "occur word for word in the 19,000 stories it was trained on. The claim holds if at least 95% "
        "do.",
        unit="of its sentences",
        headline="its sentences",
        measure=_copied_sentences,
        judge=by_range(lambda share: share >= 0.95),
        transfers="A model of any size can write sentences that are not in its training data. Large models also "
        "repeat long passages that occur often in their data.",
    ),
    Claim(
        name="learns_while_chatting",
        chapter=0,
        slogan="A model learns while you chat with it",
        source="A common expectation.",
        how="The shipped model reads ten stories it has not seen and continues each one. Measured: the "
        "largest change of any weight, and the change of a next-token probability for a fixed prompt. "
        "The claim holds if anything changed.",
        unit="largest change",
        headline="a weight",
        measure=_changes_from_reading,
        judge=by_range(lambda change: change > 0),
        transfers="Exactly the same for any model. What a chat remembers is in its context, which is part of "
        "every new forward pass. Whether a company later trains on your texts is another question.",
    ),
    Claim(
        name="sure_is_right",
        chapter=0,
        slogan="A high probability means that it is true",
        source="The everyday meaning of “probable”.",
        how="All positions where the shipped model gives its top token a probability of at least 50%, in "
        "stories it has not seen and in other English text. Measured: how often that token is the "
        "actual next one. The claim holds for a kind of text if it is right at least half the time.",
        unit="of its confident predictions are right",
        headline="other English",
        measure=_right_when_sure,
        judge=by_range(lambda share: share >= 0.5),
        transfers="The same for larger models: after pretraining, their probabilities are calibrated for text like "
        "the training data. On other text they may not be, and the model is not reliably less confident.",
    ),
    Claim(
        name="only_counts",
        chapter=0,
        slogan="A language model is a table of word counts",
        source="Said of all language models; true of most before neural ones (Bengio et al. 2003).",
        how="Four prompts in which a man's name, at least fourteen words back, is replaced with a woman's. "
        "Measured: by how much the probability of “she” rises, for the shipped model and for 3-, 5- "
        "and 7-gram tables. The claim holds if it rises by at most 0.05 for the model too.",
        unit="rise of the probability",
        headline="the model",
        labels={
            "table of 3 words": "3-gram table",
            "table of 5 words": "5-gram table",
            "table of 7 words": "7-gram table",
        },
        measure=_moved_by_the_name,
        judge=_judge_counts,
        transfers="The same. An n-gram table that reaches fourteen words back has too few examples: in any corpus, "
        "nearly all sequences of that length occur once or never.",
    ),
    Claim(
        name="untrained_even",
        chapter=0,
        slogan="An untrained model prefers no token",
        source="Its weights are random, so people expect its predictions to be uniform.",
        how="Untrained nano models with three seeds read random tokens. Measured: how often the most "
        "probable next token is the token just read; by chance, 1 time in 2,048. The claim holds if it "
        "is less than 1 in 100.",
        unit="of all positions",
        headline="the token just read",
        measure=_untrained,
        judge=by_range(lambda share: share < 0.01),
        transfers="The same for any model with tied embeddings, which are common in small models: one matrix embeds "
        "tokens and computes their logits. With separate matrices the effect disappears.",
    ),
)
