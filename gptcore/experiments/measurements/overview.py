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
from gptcore.generation.sampling import Sampling, generate, generate_batch
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
    """Return how often a model's favourite came, and how often it was sure: above even odds."""
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
        slogan="It looks its sentences up",
        source="A common first guess; also the phrase “stochastic parrot” (Bender et al. 2021) is often "
        "read so.",
        how="The shipped model writes 36 stories; the share of its finished sentences that stand, word for "
        "word, in the "
        "19,000 stories it was trained on. It would hold where at least 95% do.",
        unit="of its sentences",
        headline="its sentences",
        measure=_copied_sentences,
        judge=by_range(lambda share: share >= 0.95),
        transfers="That it need not copy does. Large models also repeat long passages they have read many "
        "times.",
    ),
    Claim(
        name="learns_while_chatting",
        chapter=0,
        slogan="It learns while you chat with it",
        source="Expected by nearly everyone.",
        how="The shipped model reads ten stories it has not seen and goes on with each; the largest change "
        "of any weight, and "
        "of its answer to one prompt before and after. It holds where something changed.",
        unit="largest change",
        headline="a weight",
        measure=_changes_from_reading,
        judge=by_range(lambda change: change > 0),
        transfers="Exactly. What a chat remembers stands in its text, which is read again for every token; "
        "what a company "
        "does with your texts later is another matter.",
    ),
    Claim(
        name="sure_is_right",
        chapter=0,
        slogan="What it thinks probable is true",
        source="The everyday meaning of the word.",
        how="Where the shipped model gives its favourite at least even odds: how often that was what came, "
        "in stories it has "
        "not seen and in other English. It holds for a kind of text where it is right at least half the "
        "time, as its "
        "odds promise.",
        unit="right where it was sure",
        headline="other English",
        measure=_right_when_sure,
        judge=by_range(lambda share: share >= 0.5),
        transfers="Yes: odds are kept for text like the text it learned from. For other text they mean "
        "little, and they do "
        "not sink by themselves.",
    ),
    Claim(
        name="only_counts",
        chapter=0,
        slogan="It is a table of word counts",
        source="Said of all language models; true of those before about 2003.",
        how="How far “she” rises in four beginnings when a man's name, fourteen words back or more, becomes "
        "a woman's; for the "
        "shipped model, and for tables that count what follows the last 2, 4 and 6 words. It holds where the "
        "model does not move either (0.05 or less).",
        unit="change of the probability",
        headline="the model",
        measure=_moved_by_the_name,
        judge=_judge_counts,
        transfers="Yes. A table long enough to reach back fourteen words would need more text than there is.",
    ),
    Claim(
        name="untrained_even",
        chapter=0,
        slogan="An untrained model has no favourites",
        source="Its weights are random, so one expects its guesses to be.",
        how="Fresh nano models, three seeds, read random tokens: how often their favourite is the very "
        "token just read. By "
        "chance it would be 1 in 2,048. It holds where it is less than 1 in 100.",
        unit="of all places",
        headline="the token just read",
        measure=_untrained,
        judge=by_range(lambda share: share < 0.01),
        transfers="For models that read and score tokens with one table, which small ones do. With two "
        "tables it goes.",
    ),
)
