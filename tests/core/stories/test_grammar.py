"""The grammar file: what its format allows, and what is refused with the line that is wrong."""

import pytest

from gptcore.stories.grammar import RULES, Class, GrammarError, Mention, Rule, Word, read_grammar
from gptcore.stories.lexicon import CLASSES


def test_every_symbol_of_the_documented_format_is_read():
    rules = read_grammar("""
# a comment
Walk:
  2 [A] MOVE_ED to the <near T> with [T.a] , said i
  0.5
near.food:
  1 i
""")
    (first, symbols), (second, nothing) = rules["Walk"]
    assert (first, second, nothing) == (2.0, 0.5, ())
    assert symbols[:5] == (
        Mention("A", ""), Class("MOVE_ED"), Word("to"), Word("the"), Rule("near", "T"),
    )  # fmt: skip
    assert symbols[5:] == (Word("with"), Mention("T", "a"), Word(","), Word("said"), Word("I"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  once upon a time", "line 2: 'once upon a time' must be"),
        ("  1 once", "line 1: '1 once' must be"),
        ("a:\n  1 once\nb\n", "line 3: 'b' must be"),
        ("a:\n  0 once", "line 2: '0 once' must be"),
        ("a:\n  1 once\na:\n  1 twice", "line 3: the rule a is defined twice"),
        ("a:\nb:\n  1 once", "the rule a has no alternatives"),
        ("a:\n  1 <b>", "the rule a uses <b>, which is not defined"),
        ("a:\n  1 <a T>", "the rule a uses <a>, which is not defined"),
    ],
)
def test_what_is_no_grammar_is_refused(text, message):
    with pytest.raises(GrammarError, match=message):
        read_grammar(text)


def test_the_grammar_uses_every_class_of_words_it_names():
    named = {
        symbol.name
        for alternatives in RULES.values()
        for _, symbols in alternatives
        for symbol in symbols
        if isinstance(symbol, Class)
    }
    assert named <= set(CLASSES)
