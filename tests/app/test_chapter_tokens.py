"""Chapter 2: what the page prints is what plain counting gives."""

import re
from itertools import pairwise

import pytest

import gptcore.tokenizer
from pages.kit import story_data
from pages.labs.tokens import cached
from tests.app.reading import opened_once, opener
from tests.app.reading import said_in_a_line as said

open_page = opener("02_tokens.py")


page = opened_once(open_page)


def merges_by_hand(words: list[str], n: int) -> list[tuple[str, int, int]]:
    """Byte-pair encoding in plain Python: each merge as new token, count, ties."""
    pieces, found = [list(word) for word in words], []
    ids = {}  # the order in which tokens came to be: letters by their code, the space after all of them
    for letter in sorted({letter for word in words for letter in word}):
        ids[letter] = 500 if letter == " " else ord(letter)
    for new in range(n):
        counts: dict[tuple[str, str], int] = {}
        for piece in pieces:
            for pair in pairwise(piece):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts or max(counts.values()) < 2:
            break
        top = max(counts.values())
        best = min(
            (pair for pair in counts if counts[pair] == top), key=lambda pair: (ids[pair[0]], ids[pair[1]])
        )
        found.append(("".join(best), top, sum(count == top for count in counts.values())))
        ids["".join(best)] = 1000 + new
        for place, piece in enumerate(pieces):
            out: list[str] = []
            for token in piece:
                if out and (out[-1], token) == best:
                    out[-1] += token
                else:
                    out.append(token)
            pieces[place] = out
    return found


@pytest.mark.parametrize("text", ["the cat sat on the mat and the rat", "ring sing king bring a thing"])
def test_every_merge_has_the_count_and_the_ties_of_plain_counting(text):
    app = open_page(c2_text=text, c2_merges="8")
    words = [word if place == 0 else " " + word for place, word in enumerate(text.split())]
    printed = re.findall(r"\| (\d+) `([^`]+)` \| (\d+) \| (\d+) \| \d+ \|", said(app))
    want = merges_by_hand(words, 8)
    got = [(token.replace("␣", " "), int(count), int(ties)) for _, token, count, ties in printed]
    assert got == want and len(want) >= 3
    assert [int(one) for one, *_ in printed] == list(range(256, 256 + len(want)))


def test_the_finding_counts_bytes_for_a_language_it_never_met(page):
    from gptcore.lessons.languages import SENTENCES

    hindi = len(SENTENCES["Hindi"].encode())
    assert f"**{hindi}**" in said(page)


def test_a_new_word_is_replayed_and_comes_back():
    app = open_page(c2_new="that hat")
    assert "`that`: bytes: `t` `h` `a` `t` → merge 1: `t` `h` `at`" in said(app)
    assert "read as UTF-8: `that hat`" in said(app)


def test_an_empty_text_gets_one_sentence():
    app = open_page(c2_text=" ")
    assert any("Type a few words" in one.value for one in app.info)
    assert [one.value for one in app.header][-1] == "Further reading"


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())


def test_the_scrubber_answers(page):
    first = open_page(c2_train_n="0")
    assert "No merges yet" in said(first)
    later = open_page(c2_train_n="1")
    assert "**Merge 1:**" in said(later)


def test_the_next_merges_buy_less(page):

    text = "\n".join(story_data.fresh_stories(40))
    lengths = cached.tokens_after(text, 300, (0, 50, 100, 150))
    gains = [a - b for a, b in pairwise(lengths)]
    assert gains == sorted(gains, reverse=True)


def test_a_larger_vocabulary_costs_weights_and_saves_tokens():
    small, large = open_page(c2_size_v="320"), open_page(c2_size_v="2048")

    def numbers(app):
        found = re.search(r"the stories have ([\d,]+) tokens.* = ([\d,]+) parameters", said(app))
        return [int(one.replace(",", "")) for one in found.groups()]

    (few_tokens, many_weights), (many_tokens, few_weights) = numbers(large), numbers(small)
    assert few_tokens < many_tokens and many_weights == 2048 * 128 and few_weights == 320 * 128


def test_without_gpt2_one_sentence_says_so_and_with_it_its_lane_stands(gpt2_files, monkeypatch):
    from gptcore.tokenizer import load_tiktoken

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(gpt2_files))
    load_tiktoken.cache_clear()
    cached.gpt2.clear()
    fetched = cached.gpt2()
    assert fetched.tokenizer is None or fetched.tokenizer.vocab_size == 50_257
    fetched.thread.join(60)
    app = open_page(c2_same_text="The cat sat on the mat.")
    assert "| GPT-2 | 50,257 | 7 |" in said(app)
    cached.gpt2.clear()
    broken = cached.gpt2()
    broken.thread.join(60)
    broken.tokenizer, broken.problem = None, "no network"
    app = open_page()
    told = [one.value for one in app.caption if "GPT-2's vocabulary is not on this machine" in one.value]
    assert told and "| GPT-2 |" not in said(app)
    cached.gpt2.clear()


def test_half_an_emoji_is_held_back():
    app = open_page(c2_more_stream="true", c2_stream_text="🐢")
    assert "4 of 4 tokens are not valid text" in said(app)
    assert "| `🐢` |" in said(app)


def test_a_space_at_the_end_changes_the_prompt():
    app = open_page(c2_more_space="true")
    assert "Without a space at the end" in said(app) and "From there the model generates" in said(app)


def test_a_slider_trains_on_nothing_longer_than_its_example(page, monkeypatch):
    slider = next(one for one in page.slider if one.key == "c2_merges")
    slider.set_value(5).run()
    learn, lengths = gptcore.tokenizer.learn_merges, []

    def counted(counts, *arguments):
        lengths.append(sum(len(piece) * times for piece, times in counts.items()))
        return learn(counts, *arguments)

    monkeypatch.setattr(gptcore.tokenizer, "learn_merges", counted)
    monkeypatch.setattr(
        story_data, "write_stories", lambda *_, **__: pytest.fail("stories are written again")
    )
    slider.set_value(7).run()
    assert all(length < 200 for length in lengths), lengths
    assert not page.exception
