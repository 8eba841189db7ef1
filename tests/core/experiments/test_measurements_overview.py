"""What the measurements of chapter 0 are made of: counts of words, and how often a sure model is right."""

import pytest

from gptcore.experiments.measurements.overview import next_word_frequencies
from gptcore.stories.scores import WordTable


def test_shares_of_the_words_after_a_context_are_counted():
    table = WordTable(["the cat sat. the cat ran. the dog sat."])
    assert next_word_frequencies(table, ("the",)) == pytest.approx({"cat": 2 / 3, "dog": 1 / 3})
    assert next_word_frequencies(table, ("the", "cat")) == pytest.approx({"sat": 0.5, "ran": 0.5})
    for context in (("cat", "the"), ("cow",), ()):
        assert next_word_frequencies(table, context) == {}


def test_of_all_claims_about_the_model_none_of_the_slogans_holds_as_it_is_said():
    from gptcore.experiments import claims

    assert claims.measure(claims.get_claim("untrained_even")).verdict == "holds not"
    assert claims.measure(claims.get_claim("only_counts")).verdict == "holds not"
    assert claims.measure(claims.get_claim("sure_is_right")).verdict == "depends"
    assert claims.measure(claims.get_claim("learns_while_chatting")).verdict == "holds not"
