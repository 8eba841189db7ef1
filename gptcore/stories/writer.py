"""The generator of stories from the grammar of the story world (`grammar.txt`).

A story is drawn rule by rule, and what each choice was worth is added up: the sum is the story's entropy, the floor
under every loss curve. Names, pronouns or descriptions depend on the sentences before: a pronoun refers only to
someone mentioned in the same sentence or the one before.
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
    """A weighted choice: `draw(state)` gives an item and adds its surprise to the state's nats."""

    __slots__ = ("cumulative", "items", "surprise", "weights")

    def __init__(self, items: Sequence[Any], weights: Sequence[float]):
        total = math.fsum(weights)  # the same on every Python: `sum` of floats changed in 3.12
        self.items = list(items)
        self.weights = [weight / total for weight in weights]
        self.surprise = [-math.log(weight) for weight in self.weights]
        self.cumulative = list(accumulate(self.weights))
        self.cumulative[-1] = 1.0

    def __call__(self, state: "StoryState") -> Any:
        i = bisect_right(self.cumulative, state.random())
        state.nats += self.surprise[i]
        return self.items[i]

    def excluding(self, state: "StoryState", excluded: Any) -> Any:
        """The same draw among the items other than `excluded`."""
        items = self.items
        if len(items) < 2:
            raise ValueError(f"The class has no word other than {excluded!r}; add a second word.")
        while True:
            i = bisect_right(self.cumulative, state.random())
            if items[i] != excluded:
                break
        state.nats += self.surprise[i]
        if excluded in items:
            state.nats += math.log1p(-self.weights[items.index(excluded)])
        return items[i]


class Player:
    """What the story has said so far about one role; None if nothing was said."""

    __slots__ = ("adjective", "gender", "kind", "last", "name", "noun")

    def __init__(self):
        self.kind = self.noun = self.gender = self.name = self.adjective = None
        self.last = -9


class StoryState:
    """The state of one story while it is generated: its tokens by sentence, its cast, and the nats of its choices."""

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


Action = Callable[[StoryState], None]  # what printing a symbol does to the story in the telling

PEOPLE = ("A", "H", "K", "E")
ALIKE = 0.97  # how often someone who joins the story is of the hero's gender
FAVOR = 1.6  # the grammar's weights are raised to this power: above 1, common forms are commoner still
NAME_RANKS = (5.0, 2.5)  # flatness and steepness of how often names are given, see `zipf`


def _in_focus(state: StoryState, player: Player) -> bool:
    """Whether a pronoun would be understood: mentioned a sentence ago, and nobody else of that gender since."""
    if player.last < state.now - 1:
        return False
    return not any(
        other is not player and other.gender == player.gender and other.last >= state.now - 1
        for role, other in state.cast.items()
        if role in PEOPLE
    )


def _full(state: StoryState, role: str) -> None:
    """Name or description, for someone who is not in focus."""
    player = state.player(role)
    player.last = state.now
    if role == "K":
        _possessive(state, "A")
        if player.noun is None:
            hero = state.player("A")
            stage = "young" if hero.kind in (None, "child") else "grown"
            player.noun = KIN[stage, hero.gender](state)
            player.gender = NOUN_GENDER[player.noun]
        state.tokens.append(player.noun)
    elif player.name and not (player.noun and state.chance(0.12)):
        state.tokens.append(player.name)
    else:
        state.tokens += ("the", player.noun)


def _possessive(state: StoryState, role: str) -> None:
    player = state.player(role)
    if player.last == state.now or _in_focus(state, player):
        state.tokens.append(PRONOUNS[player.gender]["his"])
        player.last = state.now
    else:
        _full(state, role)
        state.tokens.append("'s")


def _subject(state: StoryState, role: str) -> None:
    """A pronoun for the character in focus; a full mention for anyone else."""
    player = state.player(role)
    if player.last == state.now or _in_focus(state, player):
        state.tokens.append(PRONOUNS[player.gender][""])
        player.last = state.now
    else:
        _full(state, role)


def _refer(state: StoryState, role: str, case: str) -> None:
    """A pronoun for a character that this sentence has mentioned; else, in focus, a pronoun or a full mention."""
    player = state.player(role)
    if player.last == state.now or (_in_focus(state, player) and state.chance(0.65)):
        state.tokens.append(PRONOUNS[player.gender][case])
        player.last = state.now
    else:
        _full(state, role)


def _introduce(state: StoryState, role: str, form: str) -> None:
    """A name or a noun that the story has not used yet, kept for the rest of it."""
    player = state.player(role)
    player.last = state.now
    other = state.player("H" if role == "A" else "A")
    if form == "name":
        if player.name is None:
            gender = player.gender or GENDER_DRAW[other.gender](state)
            player.gender = gender
            player.name = NAMES[gender].excluding(state, other.name) if other.name else NAMES[gender](state)
        state.tokens.append(player.name)
        return
    if player.noun is None:
        draw = CAST_NOUNS[form, other.gender if role == "H" else None]
        chosen = draw.excluding(state, other.noun) if form != "beast" and other.noun else draw(state)
        player.noun = chosen
        player.kind, player.gender = NOUN_KIND[form][chosen]
    state.tokens.append(player.noun)


def _thing(state: StoryState, role: str, form: str) -> None:
    thing = state.player(role)
    if form in THING_KINDS:
        thing.kind, form = form, "a"
    if form == "" and thing.last == state.now:
        state.tokens.append("it")
        return
    thing.last = state.now
    first = thing.noun is None
    if thing.kind is None:
        thing.kind = KIND_DRAW(state)
    if first:
        thing.noun = ""
        if form != "bare" and state.chance(0.5):
            thing.adjective = THING_ADJ[thing.kind](state)
    if form == "own":
        form = "" if state.chance(0.5) else "his"
    if form == "a":
        state.tokens.append("a")
    elif form == "my":
        state.tokens.append("my")
    elif form == "his":
        _possessive(state, "A")
    elif form == "":
        state.tokens.append("the")
    if thing.adjective and form != "bare" and (first or state.chance(0.4)):
        if first and state.chance(0.2):
            state.tokens.append(CLASS["SIZE"](state))
        state.tokens.append(thing.adjective)
    if first:
        other = state.player("U" if role == "T" else "T")
        thing.noun = (
            THING[thing.kind].excluding(state, other.noun)
            if other.kind == thing.kind
            else THING[thing.kind](state)
        )
    state.tokens.append(thing.noun)


def _place(state: StoryState, role: str, form: str) -> None:
    player = state.player(role)
    first = player.noun is None
    if first:
        player.kind = PLACE_DRAW(state)
    if form == "in":
        state.tokens.append(PREPOSITION[player.kind])
    state.tokens.append("the")
    if first and state.chance(0.4):
        state.tokens.append(CLASS["PLACE_ADJ"](state))
    if first:
        player.noun = CLASS[player.kind](state)
    state.tokens.append(player.noun)


def _mention(symbol: Mention) -> Action:
    """The action that mentions someone or something, by its role and form."""
    role, form = symbol.role, symbol.form
    if role in "TU":
        return lambda state: _thing(state, role, form)
    if role == "P":
        return lambda state: _place(state, role, form)
    if form == "full":
        return lambda state: _full(state, role)
    if form == "bare":
        return lambda state: state.tokens.append(state.player(role).noun)
    if form == "he":
        return lambda state: _subject(state, role)
    if form == "his":
        return lambda state: _possessive(state, role)
    if form in ("name", "noun", "folk", "animal", "beast"):
        return lambda state: _introduce(state, role, form)
    return lambda state: _refer(state, role, form)


def _draw_class(name: str) -> Action:
    """The action that prints a word of a class, never the one it printed last in this story."""
    draw = CLASS[name]

    def act(state: StoryState) -> None:
        last = state.drawn.get(name)
        word = state.drawn[name] = draw(state) if last is None else draw.excluding(state, last)
        state.tokens.append(word)

    return act


def _dispatch(symbol: Rule) -> Action:
    """The action that continues with the rule for the kind of character or object in the role."""
    draw = KIND_DRAW if symbol.role == "T" else HOME_DRAW

    def act(state: StoryState) -> None:
        player = state.player(symbol.role)
        if player.kind is None:
            player.kind = draw(state)
        ACTIONS[f"{symbol.name}.{player.kind}"](state)

    return act


def _action(symbol: Symbol) -> Action:
    if isinstance(symbol, Word):
        return lambda state, text=symbol.text: state.tokens.append(text)
    if isinstance(symbol, Class):
        return _draw_class(symbol.name)
    if isinstance(symbol, Mention):
        return _mention(symbol)
    return _dispatch(symbol) if symbol.role else lambda state: ACTIONS[symbol.name](state)


def _rule_action(name: str, alternatives: Iterable[tuple[float, tuple[Symbol, ...]]]) -> Action:
    """The action of a rule: draw an alternative, act on its symbols; a capital letter makes it a sentence."""
    draw = Draw(
        [tuple(_action(symbol) for symbol in symbols) for _, symbols in alternatives],
        [weight**FAVOR for weight, _ in alternatives],
    )

    def act(state: StoryState) -> None:
        for step in draw(state):
            step(state)

    def tell_sentence(state: StoryState) -> None:
        act(state)
        state.sentences.append(state.tokens)
        state.tokens = []
        state.now += 1

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
YOUNG_KIN = ((0.6, "kin", ELDER_KIN_PAIRS), (0.4, "kin", SIBLING_PAIRS))
GROWN_KIN = ((0.3, "kin", ELDER_KIN_PAIRS), (0.3, "kin", SIBLING_PAIRS), (0.3, "kin", FAMILY_PAIRS))
NOUN_KIND = {form: kinds for form, (_, kinds) in CAST.items()}
KIN_GROUPS = {
    ("young", "m"): YOUNG_KIN,
    ("young", "f"): YOUNG_KIN,
    ("grown", "m"): (*GROWN_KIN, (0.1, "kin", ["wife"])),
    ("grown", "f"): (*GROWN_KIN, (0.1, "kin", ["husband"])),
}
KIN = {
    (stage, gender): _leaning(_nouns(groups)[0], gender) for (stage, gender), groups in KIN_GROUPS.items()
}  # by the stage of the hero's life and the hero's gender: a draw over relatives
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
    state = StoryState(seed)
    ACTIONS["story"](state)
    sentences = tuple(print_tokens(tokens) for tokens in state.sentences)
    return Story(" ".join(sentences), state.nats, sentences)


def write_stories(n: int, seed: int = 0) -> list[Story]:
    """The first n stories of a world; story i depends on (seed, i) alone, so more stories never change the first."""
    return [write_numbered_story(index, seed) for index in range(n)]


def write_numbered_story(index: int, seed: int = 0) -> Story:
    """Story `index` of a world, counted from 0."""
    return write_story(seed * 2**32 + index)


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
