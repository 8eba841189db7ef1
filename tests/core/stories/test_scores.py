"""The four story scores, the tables beside them, and what chance gives."""

import random
from itertools import pairwise

import pytest

from gptcore.stories.parser import accepts, next_words
from gptcore.stories.scores import (
    Numbers,
    WordTable,
    reference_probe,
    sample_table,
    score_text,
    split_sentences,
    table_scores,
)
from gptcore.stories.shipped_stories import default_texts
from gptcore.stories.writer import write_stories
from tests.core.stories.word_classes import gender_of


@pytest.fixture(scope="module")
def fresh():
    return write_stories(1_000, seed=9)


def text_of(stories):
    return "\n\n".join(story.text for story in stories)


def shuffled(stories, seed=0):
    """As many stories of the same lengths, their sentences drawn from all: each right, every reference broken."""
    sentences = [sentence for story in stories for sentence in story.sentences]
    random.Random(seed).shuffle(sentences)
    left = iter(sentences)
    return "\n\n".join(" ".join(next(left) for _ in story.sentences) for story in stories)


def test_real_stories_have_every_score_right(fresh):
    scores = score_text(text_of(fresh))
    assert scores.accepted == scores.sentences == sum(len(story.sentences) for story in fresh)
    assert scores.rate == scores.pronouns == scores.names == 1.0
    assert scores.new >= 0.6


def test_training_stories_are_not_new_and_validation_stories_are():
    texts = [text for text, _ in default_texts()]
    assert score_text("\n\n".join(texts[:200])).new == 0
    assert score_text("\n\n".join(texts[19_000:19_200])).new > 0.6


def test_a_number_is_found_among_many():
    numbers = [hash(str(n)) for n in range(1000)] + [-(2**63), 2**63 - 1]
    many = Numbers(numbers)
    assert len(many) == len(set(numbers))
    assert all(n in many for n in numbers)
    assert [n for n in range(100) if n in many] == []
    assert 0 not in Numbers([])


def test_chance_is_far_below(fresh):
    chance = score_text(shuffled(fresh))
    assert chance.rate == 1.0
    assert chance.pronouns < 0.6
    assert chance.names < 0.1


@pytest.mark.parametrize(
    ("text", "pronouns", "names"),
    [
        ("Once upon a time there was a young queen named Mira. She was sad.", 1.0, None),
        ("Once upon a time there was a young queen named Mira. He was sad.", 0.0, None),
        ("Once upon a time there was a young queen named Mira. Mira smiled. Tom smiled.", None, 0.5),
        ("Long ago Mira met a fox. There she met a king named Tom. Tom gave her his ring.", 1.0, 1.0),
        ("Once there was a baker named Nora. It rained. She was wet.", 0.0, None),
        ("Once there was a baker named Nora. The baker smiled. She was glad.", 1.0, None),
        ("Once there was a queen named Mira.\n\nLong ago Tom lived here. Mira smiled.", None, 0.0),
        ("It rained. The sun came.", None, None),
    ],
)
def test_pronouns_and_names_by_hand(text, pronouns, names):
    scores = score_text(text)
    assert (scores.pronouns, scores.names) == (pronouns, names)


def test_an_unfinished_last_sentence_is_not_counted():
    one = "Once upon a time there was a young queen named Mira."
    assert score_text(one + " She wanted a coat because").sentences == 1
    assert score_text(one + "\n\nOnce upon").sentences == 1
    assert score_text("Once upon").to_dict() == {
        "sentences": 0, "accepted": 0, "rate": 0.0, "new": 0.0, "pronouns": None, "names": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("passage", "sentences"),
    [
        ('"Why?" asked Tom. He sat.', ['"Why?" asked Tom.', "He sat."]),
        ('Tom asked, "Why?" He sat.', ['Tom asked, "Why?"', "He sat."]),
        ('Tom said, "Go." "No," said Mira.', ['Tom said, "Go."', '"No," said Mira.']),
        ("Tom sat. He", ["Tom sat."]),
        ('"Tom sat. He ran.', ['"Tom sat.', "He ran."]),
    ],
)
def test_sentences_end_where_a_reader_sees_it(passage, sentences):
    assert split_sentences(passage) == sentences


# Tables


def test_a_bigram_table_draws_each_word_as_often_as_it_follows():
    """Oracle: counts of the successors of a word in the text, against those in the drawn text."""
    documents = ["a b a c.", "a b a b.", "b a c a b."]
    text = sample_table(documents, 2, 3_000, seed=1).replace("\n\n", " ").replace(".", "")
    words = text.split()
    after_a = [after for before, after in pairwise(words) if before == "a"]
    assert abs(after_a.count("b") / len(after_a) - 4 / 6) < 0.02


def test_a_table_of_long_memory_repeats_a_single_story():
    story = "Tom saw a fox. The fox saw Tom. Both were glad."
    assert sample_table([story], 7, 3) == story
    assert sample_table([story], 7, 6) == f"{story}\n\n{story}"


def test_tables_are_repeatable_and_keep_to_the_words_they_read():
    documents = [story.text for story in write_stories(50)]
    table = WordTable(documents)
    assert (
        table.sample(3, 40, seed=2) == table.sample(3, 40, seed=2) == sample_table(documents, 3, 40, seed=2)
    )
    assert table.sample(3, 40, seed=2) != table.sample(3, 40, seed=3)


def test_a_table_says_what_it_needs():
    with pytest.raises(ValueError, match="at least one document"):
        sample_table([], 3, 10)
    with pytest.raises(ValueError, match="order=1"):
        sample_table(["Tom sat."], 1, 10)


def test_longer_memory_is_more_grammar_by_copying(fresh):
    scores = table_scores((3, 5, 7), 600)
    rates = [scores[order].rate for order in (3, 5, 7)]
    assert rates == sorted(rates)
    real = score_text(text_of(fresh[:100])).new
    assert all(score.new < 0.7 * real for score in scores.values())
    assert all(score.names < 0.3 and score.pronouns < 0.8 for score in scores.values())


def test_probes_hang_on_one_name_fourteen_words_back():
    for probe in reference_probe():
        assert probe.words_back >= 14
        assert (probe.male_word, probe.female_word) == (" he", " she")
        for text, word in ((probe.male, "he"), (probe.female, "she")):
            finished = split_sentences(text)
            assert all(map(accepts, finished))
            words = text.replace(",", " ").replace(".", " ").split()
            assert len([token for token in words if gender_of(token)]) == 1
            assert word in next_words(text[len(" ".join(finished)) :].strip())
