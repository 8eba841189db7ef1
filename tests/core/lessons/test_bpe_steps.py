"""A tokenizer taken apart: pairs, ties, replays and costs agree with plain counting and with the tokenizer itself."""

from collections import Counter
from itertools import pairwise

import pytest

from gptcore.lessons.bpe_steps import cost, longest_match, merge_steps, pairs, streamed_text, tied_pairs
from gptcore.lessons.languages import SENTENCES
from gptcore.tokenizer import Tokenizer, story_tokenizer

WORDS = "the cat sat on the mat and the rat"


def test_gpt2_cuts_the_known_texts_as_known(gpt2):
    assert gpt2.encode("The cat sat on the mat.") == [464, 3797, 3332, 319, 262, 2603, 13]
    assert gpt2.encode("Hello 😊 world") == [15496, 30325, 232, 995]
    assert [gpt2.token_text(i) for i in gpt2.encode("unbelievably")] == ["un", "bel", "iev", "ably"]
    assert len(gpt2.encode(" unbelievably")) == 1
    assert gpt2.encode("antidisestablishmentarianism") == [415, 29207, 44390, 3699, 1042]
    assert gpt2.vocab_size == 50_257 == 256 + 50_000 + 1


def test_pairs_are_what_plain_counting_finds():
    bare = Tokenizer(special_tokens={})
    counted = Counter()
    for word in [" " + word if place else word for place, word in enumerate(WORDS.split())]:
        counted.update(pairwise(word))
    found = {bare.token_text(p.left) + bare.token_text(p.right): p.count for p in pairs(WORDS, bare)}
    assert found == {a + b: times for (a, b), times in counted.items()}


@pytest.mark.parametrize("text", [WORDS, "aaaa aaaa aaa", "low lower lowest slow"])
def test_the_first_of_the_pairs_is_the_one_training_merges_next(text):
    full = Tokenizer.train(text, 300, special_tokens=(), shrink=True)
    for place, merge in enumerate(full.merges):
        best = pairs(text, full.first(place))[0]
        assert (best.left, best.right, best.count) == (merge.left, merge.right, merge.count)


def test_ties_share_the_highest_count():
    bare = Tokenizer(special_tokens={})
    competing = pairs("ab ab cd cd", bare)
    assert {pair.count for pair in tied_pairs(competing)} == {competing[0].count}
    assert len(tied_pairs(competing)) < len(competing) and tied_pairs([]) == []


def test_a_replay_ends_at_the_ids_and_never_goes_back():
    tokenizer = story_tokenizer()
    for piece in (" queen", "unkindness", "é", " 1234", "x"):
        moments = merge_steps(piece, tokenizer)
        assert list(moments[-1].ids) == tokenizer.encode(piece)
        assert moments[0].merge is None and len(moments[0].ids) == len(piece.encode())
        lengths = [len(moment.ids) for moment in moments]
        assert lengths == sorted(lengths, reverse=True) and len(set(lengths)) == len(lengths)


def test_the_longest_match_gives_back_the_text_and_is_another_cut_somewhere():
    tokenizer = story_tokenizer()
    words = [" unkindness", " goldener", " ringers", " queen", " particularly", " governments"]
    for word in words:
        assert tokenizer.decode(longest_match(word, tokenizer)) == word
    assert any(longest_match(word, tokenizer) != tokenizer.encode(word) for word in words)


def test_costs_count_bytes_characters_and_tokens():
    tokenizer = story_tokenizer()
    one = cost("é🐢", tokenizer)
    assert (one.n_bytes, one.n_characters, one.n_tokens) == (6, 2, 6)
    assert cost("", tokenizer).bytes_per_token == 0
    english = cost(SENTENCES["English"], tokenizer).n_tokens
    assert all(
        cost(text, tokenizer).n_tokens > english for name, text in SENTENCES.items() if name != "English"
    )


def test_what_is_held_back_comes_when_it_is_whole():
    tokenizer = story_tokenizer()
    alone, held = streamed_text(tokenizer.token_bytes(i) for i in tokenizer.encode("café 🐢"))
    assert "".join(held) == "café 🐢" and "\ufffd" in "".join(alone) and "\ufffd" not in "".join(held)
