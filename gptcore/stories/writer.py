"""The generator that tells stories with the grammar of the story world (`grammar.txt`).

A story is drawn rule by rule, and what each choice was worth is added up: the sum is the story's entropy, the
floor under every loss curve. Names, pronouns or descriptions are chosen by what has been told: a pronoun stands
only for someone mentioned in the same sentence or in the one before.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from gptcore.stories.grammar import RULES, Class, Mention, Rule, Symbol, Word
from gptcore.stories.lexicon import (
    CHILD_PAIRS,
    CLASSES,
    ELDER_KIN_PAIRS,
    FAMILY_PAIRS,
    FEMALE_NAMES,
    FOLK_COMMON,
    FOLK_PAIRS,
    MALE_NAMES,
    NOUN_GENDER,
    PREPOSITION,
    ROYAL_PAIRS,
    SIBLING_PAIRS,
    THING_KINDS,
    zipf,
)
from gptcore.stories.printing import print_tokens

N_STORIES = 20_000  # in the default corpus

PRONOUNS = {
    "m": {"": "he", "him": "him", "his": "his", "self": "himself"},
    "f": {"": "she", "him": "her", "his": "her", "self": "herself"},
    "n": {"": "it", "him": "it", "his": "its", "self": "itself"},
}


class Draw:
    """A weighted choice: `draw(teller)` gives an item and adds its surprise to the teller's nats."""

    __slots__ = ("cumulative", "items", "surprise", "weights")

    def __init__(self, items: Sequence[Any], weights: Sequence[float]):
        total = sum(weights)
        self.items = list(items)
        self.weights = [weight / total for weight in weights]
        self.surprise = [-math.log(weight) for weight in self.weights]
        self.cumulative = list(accumulate(self.weights))
        self.cumulative[-1] = 1.0

    def __call__(self, teller: "Teller") -> Any:
        i = bisect_right(self.cumulative, teller.random())
        teller.nats += self.surprise[i]
        return self.items[i]

    def but(self, teller: "Teller", excluded: Any) -> Any:
        """The same draw among the items other than `excluded`."""
        items = self.items
        if len(items) < 2:
            raise ValueError(f"There is nothing to draw but {excluded!r}: give the class a second word.")
        while True:
            i = bisect_right(self.cumulative, teller.random())
            if items[i] != excluded:
                break
        teller.nats += self.surprise[i]
        if excluded in items:
            teller.nats += math.log1p(-self.weights[items.index(excluded)])
        return items[i]


class Player:
    """What the story has told so far about one role; None where it has told nothing."""

    __slots__ = ("adjective", "gender", "kind", "last", "name", "noun")

    def __init__(self):
        self.kind = self.noun = self.gender = self.name = self.adjective = None
        self.last = -9


class Teller:
    """One story in the telling: its tokens by sentence, its cast, and the nats of its choices."""

    __slots__ = ("cast", "drawn", "nats", "now", "random", "sentences", "tokens")

    def __init__(self, seed: int):
        self.random = random.Random(seed).random
        self.nats, self.now = 0.0, 0
        self.sentences, self.tokens = [], []
        self.cast = {}
        self.drawn = {}

    def player(self, role: str) -> Player:
        player = self.cast.get(role)
        if player is None:
            player = self.cast[role] = Player()
        return player

    def chance(self, p: float) -> bool:
        """True with probability p, counted in nats."""
        hit = self.random() < p
        self.nats -= math.log(p if hit else 1.0 - p)
        return hit


Action = Callable[[Teller], None]  # what printing a symbol does to the story in the telling

PEOPLE = ("A", "H", "K", "E")
ALIKE = 0.97  # how often someone who joins the story is of the hero's gender
FAVOR = 1.6  # the grammar's weights are raised to this power: above 1, common forms are commoner still
NAME_RANKS = (5.0, 2.5)  # flatness and steepness of how often names are given, see `zipf`


def _in_focus(teller: Teller, player: Player) -> bool:
    """Whether a pronoun would be understood: mentioned a sentence ago, and nobody else of that gender since."""
    if player.last < teller.now - 1:
        return False
    return not any(
        other is not player and other.gender == player.gender and other.last >= teller.now - 1
        for role, other in teller.cast.items()
        if role in PEOPLE
    )


def _full(teller: Teller, role: str) -> None:
    """Name or description, for someone who is not in focus."""
    player = teller.player(role)
    player.last = teller.now
    if role == "K":
        _possessive(teller, "A")
        if player.noun is None:
            hero = teller.player("A")
            stage = "young" if hero.kind in (None, "child") else "grown"
            player.noun = KIN[stage, hero.gender](teller)
            player.gender = NOUN_GENDER[player.noun]
        teller.tokens.append(player.noun)
    elif player.name and not (player.noun and teller.chance(0.12)):
        teller.tokens.append(player.name)
    else:
        teller.tokens += ("the", player.noun)


def _possessive(teller: Teller, role: str) -> None:
    player = teller.player(role)
    if player.last == teller.now or _in_focus(teller, player):
        teller.tokens.append(PRONOUNS[player.gender]["his"])
        player.last = teller.now
    else:
        _full(teller, role)
        teller.tokens.append("'s")


def _subject(teller: Teller, role: str) -> None:
    """A pronoun for whoever is in focus; a full mention for anyone else."""
    player = teller.player(role)
    if player.last == teller.now or _in_focus(teller, player):
        teller.tokens.append(PRONOUNS[player.gender][""])
        player.last = teller.now
    else:
        _full(teller, role)


def _refer(teller: Teller, role: str, case: str) -> None:
    """A pronoun for whoever this sentence has mentioned; else, in focus, a pronoun or a full mention."""
    player = teller.player(role)
    if player.last == teller.now or (_in_focus(teller, player) and teller.chance(0.65)):
        teller.tokens.append(PRONOUNS[player.gender][case])
        player.last = teller.now
    else:
        _full(teller, role)


def _introduce(teller: Teller, role: str, form: str) -> None:
    """A name or a noun that the story has not told yet, kept for the rest of it."""
    player = teller.player(role)
    player.last = teller.now
    other = teller.player("H" if role == "A" else "A")
    if form == "name":
        if player.name is None:
            gender = player.gender or GENDER_DRAW[other.gender](teller)
            player.gender = gender
            player.name = NAMES[gender].but(teller, other.name) if other.name else NAMES[gender](teller)
        teller.tokens.append(player.name)
        return
    if player.noun is None:
        draw = CAST_NOUNS[form, other.gender if role == "H" else None]
        chosen = draw.but(teller, other.noun) if form != "beast" and other.noun else draw(teller)
        player.noun = chosen
        player.kind, player.gender = NOUN_KIND[form][chosen]
    teller.tokens.append(player.noun)


def _thing(teller: Teller, role: str, form: str) -> None:
    thing = teller.player(role)
    if form in THING_KINDS:
        thing.kind, form = form, "a"
    if form == "" and thing.last == teller.now:
        teller.tokens.append("it")
        return
    thing.last = teller.now
    first = thing.noun is None
    if thing.kind is None:
        thing.kind = KIND_DRAW(teller)
    if first:
        thing.noun = ""
        if form != "bare" and teller.chance(0.5):
            thing.adjective = THING_ADJ[thing.kind](teller)
    if form == "own":
        form = "" if teller.chance(0.5) else "his"
    if form == "a":
        teller.tokens.append("a")
    elif form == "my":
        teller.tokens.append("my")
    elif form == "his":
        _possessive(teller, "A")
    elif form == "":
        teller.tokens.append("the")
    if thing.adjective and form != "bare" and (first or teller.chance(0.4)):
        if first and teller.chance(0.2):
            teller.tokens.append(CLASS["SIZE"](teller))
        teller.tokens.append(thing.adjective)
    if first:
        other = teller.player("U" if role == "T" else "T")
        thing.noun = (
            THING[thing.kind].but(teller, other.noun)
            if other.kind == thing.kind
            else THING[thing.kind](teller)
        )
    teller.tokens.append(thing.noun)


def _place(teller: Teller, role: str, form: str) -> None:
    place = teller.player(role)
    first = place.noun is None
    if first:
        place.kind = PLACE_DRAW(teller)
    if form == "in":
        teller.tokens.append(PREPOSITION[place.kind])
    teller.tokens.append("the")
    if first and teller.chance(0.4):
        teller.tokens.append(CLASS["PLACE_ADJ"](teller))
    if first:
        place.noun = CLASS[place.kind](teller)
    teller.tokens.append(place.noun)


def _mention(symbol: Mention) -> Action:
    """The action that mentions someone or something, by its role and form."""
    role, form = symbol.role, symbol.form
    if role in "TU":
        return lambda teller: _thing(teller, role, form)
    if role == "P":
        return lambda teller: _place(teller, role, form)
    if form == "full":
        return lambda teller: _full(teller, role)
    if form == "bare":
        return lambda teller: teller.tokens.append(teller.player(role).noun)
    if form == "he":
        return lambda teller: _subject(teller, role)
    if form == "his":
        return lambda teller: _possessive(teller, role)
    if form in ("name", "noun", "folk", "animal", "beast"):
        return lambda teller: _introduce(teller, role, form)
    return lambda teller: _refer(teller, role, form)


def _draw_class(name: str) -> Action:
    """The action that prints a word of a class, never the one it printed last in this story."""
    draw = CLASS[name]

    def act(teller: Teller) -> None:
        last = teller.drawn.get(name)
        word = teller.drawn[name] = draw(teller) if last is None else draw.but(teller, last)
        teller.tokens.append(word)

    return act


def _dispatch(symbol: Rule) -> Action:
    """The action that goes on with the rule for the kind of whoever or whatever plays the role."""
    draw = KIND_DRAW if symbol.role == "T" else HOME_DRAW

    def act(teller: Teller) -> None:
        player = teller.player(symbol.role)
        if player.kind is None:
            player.kind = draw(teller)
        ACTIONS[f"{symbol.name}.{player.kind}"](teller)

    return act


def _action(symbol: Symbol) -> Action:
    if isinstance(symbol, Word):
        return lambda teller, text=symbol.text: teller.tokens.append(text)
    if isinstance(symbol, Class):
        return _draw_class(symbol.name)
    if isinstance(symbol, Mention):
        return _mention(symbol)
    return _dispatch(symbol) if symbol.role else lambda teller: ACTIONS[symbol.name](teller)


def _rule_action(name: str, alternatives: Iterable[tuple[float, tuple[Symbol, ...]]]) -> Action:
    """The action of a rule: draw an alternative, act on its symbols; a capital letter makes it a sentence."""
    draw = Draw(
        [tuple(_action(symbol) for symbol in symbols) for _, symbols in alternatives],
        [weight**FAVOR for weight, _ in alternatives],
    )

    def act(teller: Teller) -> None:
        for step in draw(teller):
            step(teller)

    def tell_sentence(teller: Teller) -> None:
        act(teller)
        teller.sentences.append(teller.tokens)
        teller.tokens = []
        teller.now += 1

    return tell_sentence if name[0].isupper() else act


CLASS = {name: Draw(words, zipf(len(words), 3.0, 3.0)) for name, words in CLASSES.items()}
NAMES = {
    "m": Draw(MALE_NAMES, zipf(len(MALE_NAMES), *NAME_RANKS)),
    "f": Draw(FEMALE_NAMES, zipf(len(FEMALE_NAMES), *NAME_RANKS)),
}
# Who joins the story is more often of the hero's own gender (the key) than not, so that a story leans to
# "he" or to "she" as most stories for children do, and a reader of a few sentences has something to go by.
GENDER_DRAW = {
    None: Draw(("m", "f"), (1, 1)),
    "m": Draw(("m", "f"), (ALIKE, 1 - ALIKE)),
    "f": Draw(("m", "f"), (1 - ALIKE, ALIKE)),
}
KIND_DRAW = Draw(THING_KINDS, (5, 4, 3, 4, 4, 4, 4, 4, 3))
PLACE_DRAW = Draw(tuple(PREPOSITION), (6, 2, 2, 2))
HOME_DRAW = Draw(("royal", "folk"), (1, 3))
THING = {kind: CLASS[kind.upper()] for kind in THING_KINDS}
THING_ADJ = {kind: CLASS[kind.upper() + "_ADJ"] for kind in THING_KINDS}


def _nouns(
    groups: Iterable[tuple[float, str, Iterable[str]]],
) -> tuple[Draw, dict[str, tuple[str, str | None]]]:
    """A draw over nouns and, by noun, its (kind, gender): groups of (weight, kind, words), pairs kept equal."""
    items, weights, kinds = [], [], {}
    for share, kind, words in groups:
        for word, p in zip(words, zipf(len(words), 2.0, 3.0), strict=True):
            for noun in word.split("/"):
                items.append(noun)
                weights.append(share * p / (1 + word.count("/")))
                kinds[noun] = (kind, "n" if kind in ("animal", "beast") else NOUN_GENDER.get(noun))
    return Draw(items, weights), kinds


def _leaning(draw: Draw, gender: str | None) -> Draw:
    """The same draw with nouns of one gender made likelier than those of the other; None leaves it even."""
    if gender is None:
        return draw
    share = {gender: ALIKE, None: 0.5, "n": 0.5}
    weights = [w * share.get(NOUN_GENDER.get(noun), 1 - ALIKE) for noun, w in zip(draw.items, draw.weights)]
    return Draw(draw.items, weights)


PERSON_GROUPS = (
    (0.3, "royal", ROYAL_PAIRS),
    (0.2, "folk", FOLK_PAIRS),
    (0.25, "folk", FOLK_COMMON),
    (0.25, "child", CHILD_PAIRS),
)
CAST = {
    "noun": _nouns(PERSON_GROUPS),
    "folk": _nouns(PERSON_GROUPS),
    "animal": _nouns([(1.0, "animal", CLASSES["ANIMAL"])]),
    "beast": _nouns([(1.0, "beast", CLASSES["BEAST"])]),
}
CAST_NOUNS = {
    (form, gender): _leaning(draw, gender) for form, (draw, _) in CAST.items() for gender in (None, "m", "f")
}
NOUN_KIND = {form: kinds for form, (_, kinds) in CAST.items()}
KIN = {}
for _gender, _spouse in (("m", "wife"), ("f", "husband")):
    _young = ((0.6, ELDER_KIN_PAIRS), (0.4, SIBLING_PAIRS))
    _grown = ((0.3, ELDER_KIN_PAIRS), (0.3, SIBLING_PAIRS), (0.3, FAMILY_PAIRS), (0.1, [_spouse]))
    for _stage, _groups in (("young", _young), ("grown", _grown)):
        _draw, _ = _nouns([(share, "kin", words) for share, words in _groups])
        KIN[_stage, _gender] = _leaning(_draw, _gender)
ACTIONS = {name: _rule_action(name, alternatives) for name, alternatives in RULES.items()}


@dataclass(frozen=True, slots=True)
class Story:
    """A story as it is printed, its sentences, and what its choices were worth.

    `entropy` is the sum of -ln p over all choices the generator made, in nats, the end of the story included.
    """

    text: str
    entropy: float
    sentences: tuple[str, ...]


def write_story(seed: int) -> Story:
    """The story of a seed: the same text for the same integer on every machine."""
    teller = Teller(seed)
    ACTIONS["story"](teller)
    sentences = tuple(print_tokens(tokens) for tokens in teller.sentences)
    return Story(" ".join(sentences), teller.nats, sentences)


def write_stories(n: int, seed: int = 0) -> list[Story]:
    """The first n stories of a world; story i depends on (seed, i) alone, so more stories never change the first."""
    return [write_story(seed * 2**32 + index) for index in range(n)]


PROMPTS = (
    "Once upon a time there was a young queen named Mira.",
    "Once upon a time there was an old king named Oscar.",
    "Once there was a baker named Tom who lived in a small house.",
    "Once upon a time Anna lived in a little cottage near the sea.",
    "Long ago, a brave princess named Clara lived in a golden castle.",
    "There once was a wizard whose name was Emil.",
    "In a tiny hut by the river lived a child named Leo.",
    "A long time ago Nora lived all alone near the forest. One morning",
    "Once there was a sailor named Finn who lived in a house by the sea. More than anything, he wanted",
    "Once upon a time there was a shy girl named Ella. Ella had a silver ring that",
    "Once upon a time there was a clever prince named Hugo. One day",
    "Suddenly an angry wolf jumped out from behind a tree.",
)
