"""The parser of the story world: does the grammar of `stories.py` print this sentence?

It walks the same rules as the generator. A position in the grammar is what is still to come (a stack of
symbols) and what the sentence has said about its roles (A is a woman, the thing is food). A state is the set
of all positions that the words so far allow; a word moves a state on, and each move is computed once and
kept, so the grammar grows into an automaton where sentences have been. Gender and kind travel in the
position: after "Mira gave" only "her" leads on to "sister", never "his".

This is grammar, not sense. Gender binds within a clause. In the next one a "he" may be somebody else, and a
king may be named Rosa: whether the story has such a person is asked of the passage, in `ladder.py`.
"""

import re
from collections.abc import Iterable
from functools import cache

from gptcore.stories.lexicon import (
    CLASSES,
    FEMALE_NAMES,
    GENDER,
    MALE_NAMES,
    NOUN_GENDER,
    PREPOSITION,
    THING_KINDS,
)
from gptcore.stories.writer import (
    KIN,
    NOUN_KIND,
    PEOPLE,
    PRONOUNS,
    RULES,
    Class,
    Mention,
    Rule,
    Word,
    print_tokens,
)

_TOKEN = re.compile(r"'s\b|[A-Za-z]+|[^\sA-Za-z]")


def read_tokens(text: str) -> list[str]:
    """The tokens of a printed sentence as the grammar has them: small letters, *a* for *an*, paired quotes."""
    tokens, inside, first = [], False, True
    for token in _TOKEN.findall(text):
        if token == '"':
            token, inside = ("”", False) if inside else ("“", True)
        elif first and token not in GENDER and token != "I":
            token = token[:1].lower() + token[1:]
        first = token == "“"
        tokens.append("a" if token == "an" else token)
    return tokens


def accepts(sentence: str) -> bool:
    """Whether the grammar prints this sentence, to the letter: words, order, capitals, commas and quotes."""
    tokens = read_tokens(sentence)
    if not tokens or print_tokens(tokens) != sentence:
        return False
    state = _start()
    for token in tokens:
        state = _moves(state).get(_LETTER.get(token))
        if state is None:
            return False
    return _END in _STATES[state]


def next_words(prefix: str) -> frozenset[str]:
    """The words the grammar allows after this beginning of a sentence; empty if it is no beginning of one."""
    state = _start()
    for token in read_tokens(prefix):
        state = _moves(state).get(_LETTER.get(token))
        if state is None:
            return frozenset()
    letters = _moves(state)
    return frozenset(word for word, letter in _LETTER.items() if letter in letters)


def word_known(word: str) -> bool:
    """Whether the world has this word, as it stands or with a small first letter."""
    return any(form in _LETTER for form in (word, word.lower())) or word.lower() == "an"


class _Bind:
    """Says that a role is of a gender or kind ("?": told, but not which); no word of its own."""

    __slots__ = ("role", "value")

    def __init__(self, role: str, value: str):
        self.role, self.value = role, value


class _OneOf:
    """One word of a set."""

    __slots__ = ("words",)

    def __init__(self, words: Iterable[str]):
        self.words = frozenset(words)


def _person_nouns(role):
    """(gender, words) of the nouns that describe a role."""
    forms = {"A": ("noun",), "H": ("folk", "animal"), "E": ("beast",)}[role]
    groups = {}
    for form in forms:
        for noun, (_, gender) in NOUN_KIND[form].items():
            groups.setdefault(gender or "?", set()).add(noun)
    return groups


_SIZE = _OneOf(CLASSES["SIZE"])
_GENDERS = {"A": "mf", "H": "mfn", "K": "mf", "E": "n"}
_ROLE_NOUNS = {role: _person_nouns(role) for role in "AHE"}
_KIN_NOUNS = {
    gender: {noun for draw in KIN.values() for noun in draw.items if NOUN_GENDER[noun] == gender}
    for gender in "mf"
}
_NAMES = {"m": MALE_NAMES, "f": FEMALE_NAMES}


def _pronoun(role, case):
    return [(_Bind(role, gender), Word(PRONOUNS[gender][case])) for gender in _GENDERS[role]]


def _described(role):
    """Full mentions of a role: a name, *the* and a noun, a relative of A."""
    if role == "K":
        return [
            (Mention("A", "his"), _Bind("K", gender), _OneOf(_KIN_NOUNS[gender])) for gender in _KIN_NOUNS
        ]
    names = [] if role == "E" else [(_Bind(role, gender), _OneOf(_NAMES[gender])) for gender in "mf"]
    return names + [
        (Word("the"), _Bind(role, gender), _OneOf(nouns)) for gender, nouns in _ROLE_NOUNS[role].items()
    ]


def _expand_person(role, form, bound):
    if form in ("name", "noun", "folk", "animal", "beast"):
        if form == "name" and bound:
            return [(_OneOf([*MALE_NAMES, *FEMALE_NAMES]),)]
        if form == "name":
            return [(_Bind(role, gender), _OneOf(_NAMES[gender])) for gender in "mf"]
        groups = {}
        for noun, (_, gender) in NOUN_KIND[form].items():
            groups.setdefault(gender or "?", set()).add(noun)
        return [(_Bind(role, gender), _OneOf(nouns)) for gender, nouns in groups.items()]
    if form == "bare":
        nouns = set().union(*_KIN_NOUNS.values()) if role == "K" else set().union(*_ROLE_NOUNS[role].values())
        return [(_OneOf(nouns),)]
    if form == "full":
        return _described(role)
    form = "" if form == "he" else form
    if bound:
        return _pronoun(role, form)
    if form == "his":
        return _pronoun(role, form) + [(*full, Word("'s")) for full in _described(role)]
    return _pronoun(role, form) + _described(role)


def _expand_thing(role, form, kind):
    alternatives = []
    if form == "" and kind is not None and kind.startswith("+"):
        return [(Word("it"),)]
    kinds = [kind.lstrip("+")] if kind else THING_KINDS
    if form in THING_KINDS:
        kinds, form = [form], "a"
    before = {
        "a": [(Word("a"),)],
        "my": [(Word("my"),)],
        "": [(Word("the"),)],
        "his": [(Mention("A", "his"),)],
        "own": [(Word("the"),), (Mention("A", "his"),)],
        "bare": [()],
    }[form]
    for kind in kinds:
        noun, adjective = _OneOf(CLASSES[kind.upper()]), _OneOf(CLASSES[kind.upper() + "_ADJ"])
        for determiner in before:
            alternatives.append((_Bind(role, "+" + kind), *determiner, noun))
            if form != "bare":
                alternatives.append((_Bind(role, "+" + kind), *determiner, adjective, noun))
            if form == "a":
                alternatives.append((_Bind(role, "+" + kind), *determiner, _SIZE, adjective, noun))
    return alternatives


def _expand_place(form):
    alternatives = []
    for kind, preposition in PREPOSITION.items():
        noun, adjective = _OneOf(CLASSES[kind]), _OneOf(CLASSES["PLACE_ADJ"])
        lead = (Word(preposition), Word("the")) if form == "in" else (Word("the"),)
        alternatives += [(*lead, noun), (*lead, adjective, noun)]
    return alternatives


def _expand(symbol, bound):
    """The ways a symbol can go on, given what its role is bound to (None: not told in this sentence)."""
    if isinstance(symbol, Class):
        return [(_OneOf(CLASSES[symbol.name]),)]
    if isinstance(symbol, Mention):
        if symbol.role in "TU":
            return _expand_thing(symbol.role, symbol.form, bound)
        if symbol.role == "P":
            return _expand_place(symbol.form)
        return _expand_person(symbol.role, symbol.form, bound)
    if symbol.role is None:
        return [symbols for _, symbols in RULES[symbol.name]]
    ways = []
    for name in RULES:
        rule, _, kind = name.partition(".")
        if rule == symbol.name and (bound is None or symbol.role != "T" or bound.lstrip("+") == kind):
            bind = () if symbol.role != "T" or bound else (_Bind("T", kind),)
            ways += [(*bind, *symbols) for _, symbols in RULES[name]]
    return ways


CLAUSE_MARKS = frozenset(
    (
        *",.?“”",
        "that",
        "because",
        "so",
        "but",
        "for",
        "when",
        "while",
        "until",
        "if",
        "than",
        "since",
        "although",
        "whether",
    )
)

# Stacks and states are kept once each and known by number, so that comparing them costs nothing.
_EMPTY = 0
_END = (_EMPTY, ())
_STACKS = [(None, 0)]
_STACK_IDS = {}
_LIVE = [frozenset()]
_STATES = []
_STATE_IDS = {}
_MOVES = {}


@cache
def _roles_in(symbol):
    """The roles whose binding can still matter while this symbol is to come."""
    if isinstance(symbol, Mention):
        return frozenset((*PEOPLE, symbol.role))
    if isinstance(symbol, _Bind):
        return frozenset((*PEOPLE, symbol.role))
    if not isinstance(symbol, Rule):
        return frozenset()
    names = [name for name in RULES if name.partition(".")[0] == symbol.name]
    inner = (_roles_in(part) for name in names for _, symbols in RULES[name] for part in symbols)
    return frozenset(symbol.role or "").union(*inner)


def _push(symbols, stack):
    for symbol in reversed(symbols):
        key = (symbol, stack)
        if key not in _STACK_IDS:
            _STACK_IDS[key] = len(_STACKS)
            _STACKS.append(key)
            _LIVE.append(_LIVE[stack] | _roles_in(symbol))
        stack = _STACK_IDS[key]
    return stack


def _bind(env, bind):
    """The environment with the role bound, or None if that cannot be."""
    known, role, value = dict(env), bind.role, bind.value
    old = known.get(role)
    if old is not None and "?" not in (old, value) and old.lstrip("+") != value.lstrip("+"):
        return None
    known[role] = old if value == "?" and old else value
    return tuple(sorted(known.items()))


def _past(symbol, env):
    """The environment behind a word: at the mark or word that parts two clauses, who is who is open again."""
    if isinstance(symbol, Word) and symbol.text in CLAUSE_MARKS:
        return tuple(pair for pair in env if pair[0] not in PEOPLE)
    return env


def _close(positions):
    """Positions that wait for a word, from positions anywhere."""
    waiting, seen, todo = set(), set(positions), list(positions)
    while todo:
        stack, env = todo.pop()
        symbol, rest = _STACKS[stack]
        if symbol is None or isinstance(symbol, (Word, _OneOf)):
            waiting.add((stack, tuple(pair for pair in env if pair[0] in _LIVE[stack])))
            continue
        if isinstance(symbol, _Bind):
            bound = _bind(env, symbol)
            follow = [] if bound is None else [(rest, bound)]
        else:
            bound = dict(env).get(getattr(symbol, "role", None))
            follow = [(_push(symbols, rest), env) for symbols in _expand_once(symbol, bound)]
        for position in follow:
            if position not in seen:
                seen.add(position)
                todo.append(position)
    return frozenset(waiting)


_expand_once = cache(_expand)


def _state(waiting):
    if waiting not in _STATE_IDS:
        _STATE_IDS[waiting] = len(_STATES)
        _STATES.append(waiting)
    return _STATE_IDS[waiting]


def _moves(state):
    """Where each letter (a class of words the grammar cannot tell apart) leads from a state."""
    moves = _MOVES.get(state)
    if moves is None:
        reached = {}
        for stack, env in _STATES[state]:
            symbol, rest = _STACKS[stack]
            if symbol is not None:
                for letter in _letters(symbol):
                    reached.setdefault(letter, []).append((rest, _past(symbol, env)))
        moves = _MOVES[state] = {letter: _state(_close(positions)) for letter, positions in reached.items()}
    return moves


@cache
def _start():
    sentences = [symbols for name, ways in RULES.items() if name[0].isupper() for _, symbols in ways]
    return _state(_close([(_push(symbols, _EMPTY), ()) for symbols in sentences]))


def _word_sets():
    """All the sets of words the grammar chooses from, and the words it prints as they are."""
    sets = [*CLASSES.values(), *_NAMES.values(), *_KIN_NOUNS.values()]
    for role in _ROLE_NOUNS:
        sets += _ROLE_NOUNS[role].values()
    for kinds in NOUN_KIND.values():
        sets += [{noun for noun, (_, g) in kinds.items() if g == gender} for gender in (None, "m", "f", "n")]
    return [frozenset(words) for words in sets]


def _alphabet():
    """Each word's letter: words that are in the same sets and nowhere by themselves share one."""
    sets = _word_sets()
    literal = {
        symbol.text
        for ways in RULES.values()
        for _, symbols in ways
        for symbol in symbols
        if isinstance(symbol, Word)
    }
    literal |= {form for forms in PRONOUNS.values() for form in forms.values()} | set(PREPOSITION.values())
    literal |= {"the", "a", "my", "'s", "it"}
    member = {}
    for i, words in enumerate(sets):
        for word in words:
            member.setdefault(word, []).append(i)
    letters = {}
    for word in literal | set(member):
        signature = (tuple(member.get(word, ())), word if word in literal else "")
        letters[word] = signature
    number = {signature: i for i, signature in enumerate(dict.fromkeys(letters.values()))}
    return {word: number[signature] for word, signature in letters.items()}


_LETTER = _alphabet()


@cache
def _letters(symbol):
    words = (symbol.text,) if isinstance(symbol, Word) else symbol.words
    return frozenset(_LETTER[word] for word in words)
