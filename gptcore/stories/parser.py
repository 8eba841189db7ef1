"""The parser of the story world: does the grammar in `grammar.txt` print this sentence?

It walks the same rules as the writer. A position in the grammar is what is still to come (a stack of
symbols) and what the sentence has said about its roles (A is a woman, the thing is food). A state is the set
of all positions that the words so far allow; a word moves a state on, and each move is computed once and
kept, so the grammar grows into an automaton where sentences have been. Gender and kind travel in the
position: after "Mira gave" only "her" leads on to "sister", never "his".

This is grammar, not sense. Gender binds within a clause. In the next one a "he" may be somebody else, and a
king may be named Rosa: whether the story has such a person is a question about the passage, see `scores.py`.
"""

import threading
from collections.abc import Iterable, Mapping
from functools import cache

from gptcore.stories.grammar import RULES, Class, Mention, Rule, Word
from gptcore.stories.lexicon import (
    CLASSES,
    FEMALE_NAMES,
    MALE_NAMES,
    NOUN_GENDER,
    PREPOSITION,
    THING_KINDS,
)
from gptcore.stories.printing import print_tokens, read_tokens
from gptcore.stories.writer import KIN, NOUN_KIND, PEOPLE, PRONOUNS


def accepts(sentence: str) -> bool:
    """Whether the grammar prints this sentence, to the letter: words, order, capitals, commas and quotes."""
    tokens = read_tokens(sentence)
    if not tokens or print_tokens(tokens) != sentence:
        return False
    state = _AUTOMATON.walk(tokens)
    return state is not None and _AUTOMATON.is_final(state)


def next_words(prefix: str) -> frozenset[str]:
    """The words the grammar allows after this beginning of a sentence; empty if it is no beginning of one."""
    state = _AUTOMATON.walk(read_tokens(prefix))
    letters = {} if state is None else _AUTOMATON.moves(state)
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


_Symbol = Word | Class | Rule | Mention | _Bind | _OneOf
_Symbols = tuple[_Symbol, ...]
_Environment = tuple[tuple[str, str], ...]  # what is known of each role, as sorted (role, gender or kind)
_Position = tuple[int, _Environment]  # the number of a stack, and what is known


def _person_nouns(role: str) -> dict[str, set[str]]:
    """The nouns that describe a role, by gender."""
    forms = {"A": ("noun",), "H": ("folk", "animal"), "E": ("beast",)}[role]
    return _by_gender((noun, gender) for form in forms for noun, (_, gender) in NOUN_KIND[form].items())


def _by_gender(nouns: Iterable[tuple[str, str | None]]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for noun, gender in nouns:
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


def _pronoun(role: str, case: str) -> list[_Symbols]:
    return [(_Bind(role, gender), Word(PRONOUNS[gender][case])) for gender in _GENDERS[role]]


def _described(role: str) -> list[_Symbols]:
    """Full mentions of a role: a name, *the* and a noun, a relative of A."""
    if role == "K":
        return [
            (Mention("A", "his"), _Bind("K", gender), _OneOf(_KIN_NOUNS[gender])) for gender in _KIN_NOUNS
        ]
    names = [] if role == "E" else [(_Bind(role, gender), _OneOf(_NAMES[gender])) for gender in "mf"]
    return names + [
        (Word("the"), _Bind(role, gender), _OneOf(nouns)) for gender, nouns in _ROLE_NOUNS[role].items()
    ]


def _expand_person(role: str, form: str, bound: str | None) -> list[_Symbols]:
    if form in ("name", "noun", "folk", "animal", "beast"):
        if form == "name" and bound:
            return [(_OneOf([*MALE_NAMES, *FEMALE_NAMES]),)]
        if form == "name":
            return [(_Bind(role, gender), _OneOf(_NAMES[gender])) for gender in "mf"]
        groups = _by_gender((noun, gender) for noun, (_, gender) in NOUN_KIND[form].items())
        return [(_Bind(role, gender), _OneOf(nouns)) for gender, nouns in groups.items()]
    if form == "bare":
        nouns = _KIN_NOUNS if role == "K" else _ROLE_NOUNS[role]
        return [(_OneOf(set().union(*nouns.values())),)]
    if form == "full":
        return _described(role)
    form = "" if form == "he" else form
    if bound:
        return _pronoun(role, form)
    if form == "his":
        return _pronoun(role, form) + [(*full, Word("'s")) for full in _described(role)]
    return _pronoun(role, form) + _described(role)


def _expand_thing(role: str, form: str, kind: str | None) -> list[_Symbols]:
    if form == "" and kind is not None and kind.startswith("+"):
        return [(Word("it"),)]
    kinds = [kind.lstrip("+")] if kind else THING_KINDS
    if form in THING_KINDS:
        kinds, form = [form], "a"
    determiners: list[_Symbols] = {
        "a": [(Word("a"),)],
        "my": [(Word("my"),)],
        "": [(Word("the"),)],
        "his": [(Mention("A", "his"),)],
        "own": [(Word("the"),), (Mention("A", "his"),)],
        "bare": [()],
    }[form]
    alternatives: list[_Symbols] = []
    for kind in kinds:
        noun, adjective = _OneOf(CLASSES[kind.upper()]), _OneOf(CLASSES[kind.upper() + "_ADJ"])
        for determiner in determiners:
            alternatives.append((_Bind(role, "+" + kind), *determiner, noun))
            if form != "bare":
                alternatives.append((_Bind(role, "+" + kind), *determiner, adjective, noun))
            if form == "a":
                alternatives.append((_Bind(role, "+" + kind), *determiner, _SIZE, adjective, noun))
    return alternatives


def _expand_place(form: str) -> list[_Symbols]:
    alternatives: list[_Symbols] = []
    for kind, preposition in PREPOSITION.items():
        noun, adjective = _OneOf(CLASSES[kind]), _OneOf(CLASSES["PLACE_ADJ"])
        lead = (Word(preposition), Word("the")) if form == "in" else (Word("the"),)
        alternatives += [(*lead, noun), (*lead, adjective, noun)]
    return alternatives


@cache
def _expand(symbol: Class | Mention | Rule, bound: str | None) -> list[_Symbols]:
    """The ways a symbol can continue, given what its role is bound to (None: not told in this sentence)."""
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
    alternatives: list[_Symbols] = []
    for name in RULES:
        rule, _, kind = name.partition(".")
        if rule == symbol.name and (bound is None or symbol.role != "T" or bound.lstrip("+") == kind):
            bind = () if symbol.role != "T" or bound else (_Bind("T", kind),)
            alternatives += [(*bind, *symbols) for _, symbols in RULES[name]]
    return alternatives


@cache
def _roles_in(symbol: _Symbol) -> frozenset[str]:
    """The roles whose binding can still matter while this symbol is to come."""
    if isinstance(symbol, (Mention, _Bind)):
        return frozenset((*PEOPLE, symbol.role))
    if not isinstance(symbol, Rule):
        return frozenset()
    names = [name for name in RULES if name.partition(".")[0] == symbol.name]
    inner = (_roles_in(part) for name in names for _, symbols in RULES[name] for part in symbols)
    return frozenset(symbol.role or "").union(*inner)


CLAUSE_MARKS = frozenset((
    *",.?“”", "that", "because", "so", "but", "for", "when", "while", "until", "if", "than", "since", "although",
    "whether",
))  # fmt: skip


def _bind(environment: _Environment, bind: _Bind) -> _Environment | None:
    """The environment with the role bound, or None if that cannot be."""
    known, role, value = dict(environment), bind.role, bind.value
    old = known.get(role)
    if old is not None and "?" not in (old, value) and old.lstrip("+") != value.lstrip("+"):
        return None
    known[role] = old if value == "?" and old else value
    return tuple(sorted(known.items()))


def _past(symbol: _Symbol, environment: _Environment) -> _Environment:
    """The environment behind a word: at a mark or word between two clauses, who is who is open again."""
    if isinstance(symbol, Word) and symbol.text in CLAUSE_MARKS:
        return tuple(pair for pair in environment if pair[0] not in PEOPLE)
    return environment


class Automaton:
    """The states of the grammar and the moves between them, each made when a sentence first needs it.

    Stacks and states are kept once each and known by number, so that comparing them costs nothing. Several
    threads may use one automaton: it grows under a lock, and what it has is read without one.
    """

    EMPTY = 0  # the stack with nothing to come

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stacks: list[tuple[_Symbol | None, int]] = [(None, 0)]  # the next symbol, the stack below it
        self._stack_ids: dict[tuple[_Symbol, int], int] = {}
        self._live: list[frozenset[str]] = [frozenset()]  # by stack: the roles that still matter
        self._states: list[frozenset[_Position]] = []
        self._state_ids: dict[frozenset[_Position], int] = {}
        self._moves: dict[int, dict[int, int]] = {}
        sentences = [symbols for name, ways in RULES.items() if name[0].isupper() for _, symbols in ways]
        self.start = self._state([(self._push(symbols, self.EMPTY), ()) for symbols in sentences])

    def walk(self, tokens: Iterable[str]) -> int | None:
        """Return the state these tokens lead to from the start, or None where they lead nowhere."""
        state: int | None = self.start
        for token in tokens:
            state = self.moves(state).get(_LETTER.get(token))
            if state is None:
                return None
        return state

    def is_final(self, state: int) -> bool:
        """Whether a sentence may end in a state."""
        return (self.EMPTY, ()) in self._states[state]

    def moves(self, state: int) -> Mapping[int, int]:
        """Where each letter (a class of words the grammar cannot tell apart) leads from a state."""
        moves = self._moves.get(state)
        if moves is None:
            with self._lock:
                moves = self._moves.get(state)  # another thread may have made it meanwhile
                if moves is None:
                    moves = self._moves[state] = self._find_moves(state)
        return moves

    def _find_moves(self, state: int) -> dict[int, int]:
        reached: dict[int, list[_Position]] = {}
        for stack, environment in self._states[state]:
            symbol, rest = self._stacks[stack]
            if symbol is not None:
                for letter in _letters(symbol):
                    reached.setdefault(letter, []).append((rest, _past(symbol, environment)))
        return {letter: self._state(positions) for letter, positions in reached.items()}

    def _state(self, positions: Iterable[_Position]) -> int:
        """The number of the state with these positions."""
        waiting = self._close(positions)
        if waiting not in self._state_ids:
            self._states.append(waiting)
            self._state_ids[waiting] = len(self._states) - 1
        return self._state_ids[waiting]

    def _push(self, symbols: _Symbols, stack: int) -> int:
        """The number of the stack with these symbols on top of another."""
        for symbol in reversed(symbols):
            key = (symbol, stack)
            if key not in self._stack_ids:
                self._stacks.append(key)
                self._live.append(self._live[stack] | _roles_in(symbol))
                self._stack_ids[key] = len(self._stacks) - 1
            stack = self._stack_ids[key]
        return stack

    def _close(self, positions: Iterable[_Position]) -> frozenset[_Position]:
        """Positions that wait for a word, from positions anywhere."""
        todo = list(positions)
        waiting, seen = set(), set(todo)
        while todo:
            stack, environment = todo.pop()
            symbol, rest = self._stacks[stack]
            if symbol is None or isinstance(symbol, (Word, _OneOf)):
                waiting.add((stack, tuple(pair for pair in environment if pair[0] in self._live[stack])))
                continue
            for position in self._follow(symbol, rest, environment):
                if position not in seen:
                    seen.add(position)
                    todo.append(position)
        return frozenset(waiting)

    def _follow(
        self, symbol: Class | Mention | Rule | _Bind, rest: int, environment: _Environment
    ) -> list[_Position]:
        """The positions that a symbol without a word of its own leads to."""
        if isinstance(symbol, _Bind):
            bound = _bind(environment, symbol)
            return [] if bound is None else [(rest, bound)]
        value = dict(environment).get(getattr(symbol, "role", None))
        return [(self._push(symbols, rest), environment) for symbols in _expand(symbol, value)]


def _word_sets() -> list[frozenset[str]]:
    """All the sets of words the grammar chooses from, and the words it prints as they are."""
    sets = [*CLASSES.values(), *_NAMES.values(), *_KIN_NOUNS.values()]
    for role in _ROLE_NOUNS:
        sets += _ROLE_NOUNS[role].values()
    for kinds in NOUN_KIND.values():
        sets += [{noun for noun, (_, g) in kinds.items() if g == gender} for gender in (None, "m", "f", "n")]
    return [frozenset(words) for words in sets]


def _alphabet() -> dict[str, int]:
    """Each word's letter: words that are in the same sets and nowhere by themselves share one."""
    literal = {
        symbol.text
        for ways in RULES.values()
        for _, symbols in ways
        for symbol in symbols
        if isinstance(symbol, Word)
    }
    literal |= {form for forms in PRONOUNS.values() for form in forms.values()} | set(PREPOSITION.values())
    literal |= {"the", "a", "my", "'s", "it"}
    member: dict[str, list[int]] = {}
    for i, words in enumerate(_word_sets()):
        for word in words:
            member.setdefault(word, []).append(i)
    signatures = {
        word: (tuple(member.get(word, ())), word if word in literal else "") for word in literal | set(member)
    }
    number = {signature: i for i, signature in enumerate(dict.fromkeys(signatures.values()))}
    return {word: number[signature] for word, signature in signatures.items()}


_LETTER = _alphabet()


@cache
def _letters(symbol: Word | _OneOf) -> frozenset[int]:
    words = (symbol.text,) if isinstance(symbol, Word) else symbol.words
    return frozenset(_LETTER[word] for word in words)


_AUTOMATON = Automaton()
