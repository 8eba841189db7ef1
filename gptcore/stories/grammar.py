"""The rules of the story world: what `grammar.txt` says, as objects.

The file's head documents its format: rules by name, each a list of weighted alternatives, each a sequence of symbols
(words, classes of the lexicon, other rules, mentions of a role's character).
"""

import re
from dataclasses import dataclass
from pathlib import Path

GRAMMAR_FILE = Path(__file__).with_name("grammar.txt")


class GrammarError(ValueError):
    """A grammar file that cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word or punctuation mark that is printed as written in the grammar."""

    text: str


@dataclass(frozen=True, slots=True)
class Class:
    """One word of a class of the lexicon."""

    name: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Another rule; with a role, the rule for the kind of thing or person that plays it."""

    name: str
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A character or object of the story, in the grammatical form that the rule requires."""

    role: str
    form: str


Symbol = Word | Class | Rule | Mention


def _symbol(text: str) -> Symbol:
    if text.startswith("<"):
        return Rule(*text[1:-1].split())
    if text.startswith("["):
        role, _, form = text[1:-1].partition(".")
        return Mention(role, form)
    return Class(text) if text[0].isupper() else Word("I" if text == "i" else text)


Rules = dict[str, tuple[tuple[float, tuple[Symbol, ...]], ...]]
_WEIGHT = re.compile(r"(?=.*[1-9])\d+(\.\d+)?")  # above 0
_SYMBOL = re.compile(r"<[^>]*>|\[[^]]*\]|\S+")


def read_grammar(text: str) -> Rules:
    """Return the rules of a grammar by name, each a tuple of alternatives (weight, symbols).

    Raises GrammarError for a line that is not a comment, rule or alternative, and for an undefined rule.
    """
    rules: dict[str, list[tuple[float, tuple[Symbol, ...]]]] = {}
    name = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        weight, _, rest = line.strip().partition(" ")
        if line.endswith(":") and not line.startswith(" "):
            name = line[:-1]
            if name in rules:
                raise GrammarError(f"line {number}: the rule {name} is defined twice; rename or remove one")
            rules[name] = []
        elif name is None or not line.startswith(" ") or not _WEIGHT.fullmatch(weight):
            raise GrammarError(
                f"line {number}: {line.strip()!r} must be a rule or an alternative with a weight"
            )
        else:
            rules[name].append((float(weight), tuple(map(_symbol, _SYMBOL.findall(rest)))))
    grammar = {name: tuple(alternatives) for name, alternatives in rules.items()}
    _check_names(grammar)
    return grammar


def _check_names(rules: Rules) -> None:
    """Raise GrammarError if a rule has no alternatives or uses an undefined rule."""
    kinds = {name.partition(".")[0] for name in rules if "." in name}
    for name, alternatives in rules.items():
        if not alternatives:
            raise GrammarError(f"the rule {name} has no alternatives; add one")
        used = (symbol for _, symbols in alternatives for symbol in symbols if isinstance(symbol, Rule))
        for symbol in used:
            if symbol.name not in (kinds if symbol.role else rules):
                raise GrammarError(
                    f"the rule {name} uses <{symbol.name}>, which is not defined; add that rule"
                )


RULES = read_grammar(GRAMMAR_FILE.read_text(encoding="utf-8"))
