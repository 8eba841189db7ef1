"""A text, and what of it is held out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcore.corpora.documents import CorpusError, text_corpus
from tests.core.corpora.sample_texts import PARAGRAPHS


def test_a_text_is_cut_once_and_nothing_is_lost():
    corpus = text_corpus(PARAGRAPHS)
    assert corpus.train[0] + corpus.validation[0] == PARAGRAPHS
    assert len(corpus.train) == len(corpus.validation) == 1
    assert corpus.n_characters == len(PARAGRAPHS)
    assert 0.09 < len(corpus.validation[0]) / len(PARAGRAPHS) < 0.16
    lines = text_corpus("a line of words\n" * 300)
    assert lines.train[0].endswith("words\n") and lines.validation[0].startswith("a line")


@given(st.text(st.sampled_from("ab \n中"), min_size=1, max_size=3000))
@settings(max_examples=100, deadline=None)
def test_any_text_is_cut_without_loss_and_most_of_it_is_for_training(text):
    if not text.strip():
        with pytest.raises(CorpusError):
            text_corpus(text)
        return
    corpus = text_corpus(text)
    assert corpus.train[0] + corpus.validation[0] == text
    assert len(corpus.train[0]) >= len(text) / 2


def test_a_short_text_holds_out_about_a_window():
    text = "word " * 800
    assert len(text_corpus(text).validation[0]) >= 1000
    tiny = text_corpus("word " * 60)
    assert 50 <= len(tiny.validation[0]) <= 150


def test_a_text_without_lines_is_cut_before_a_space():
    corpus = text_corpus("word " * 5000)
    assert corpus.validation[0].startswith(" word")


def test_line_ends_and_marks_of_other_systems_are_made_plain():
    corpus = text_corpus("\ufeffone\r\ntwo\rthree\nfour \ud800 five")
    assert corpus.train[0] + corpus.validation[0] == "one\ntwo\nthree\nfour \ufffd five"
