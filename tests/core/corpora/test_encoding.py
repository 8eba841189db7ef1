"""From text to token ids."""

import math

import pytest
import torch

from gptcore.corpora.documents import CorpusError, text_corpus
from gptcore.corpora.encoding import bytes_per_token, encode_corpus, encode_documents, prepare_corpus
from gptcore.corpora.sources import load_corpus
from gptcore.tokenizer import Tokenizer, story_tokenizer
from tests.core.corpora.sample_texts import PARAGRAPHS

BYTES = Tokenizer()  # 256 bytes and the end-of-text token


def test_end_of_text_stands_at_the_end_of_a_document_and_nowhere_else():
    ids = encode_documents(["one\n\ntwo", "three <|endoftext|>\n\n"], BYTES)
    assert ids.dtype == torch.int64 and ids.dim() == 1
    assert (ids == BYTES.eot_id).nonzero().flatten().tolist() == [8, len(ids) - 1]
    assert BYTES.decode(ids) == "one\n\ntwo<|endoftext|>three <|endoftext|>\n\n<|endoftext|>"
    train, validation, _ = prepare_corpus(text_corpus(PARAGRAPHS), BYTES, 32)
    assert (train == BYTES.eot_id).sum() == (validation == BYTES.eot_id).sum() == 1
    assert len(encode_documents([], BYTES)) == 0


def test_a_text_under_64_tokens_is_refused():
    with pytest.raises(
        CorpusError, match="your text has 63 tokens, and training needs at least 64; choose a longer text"
    ):
        prepare_corpus(text_corpus("x" * 63), BYTES, 32)
    train, validation, notes = prepare_corpus(text_corpus("x" * 64), BYTES, 32)
    assert len(train) + len(validation) == 64 + 2
    assert notes == [
        "The validation part has 17 tokens, fewer than a context of 32 needs: its windows hold 16."
    ]
    assert prepare_corpus(text_corpus(PARAGRAPHS), BYTES, 32).notes == []


def test_bytes_per_token_counts_text_only():
    tokenizer = Tokenizer.train(PARAGRAPHS, 400)
    documents = ["Paragraph 7 says ünï 😊.", PARAGRAPHS]
    ids = encode_documents(documents, tokenizer)
    n_bytes = sum(len(document.encode()) for document in documents)
    assert math.isclose(bytes_per_token(ids, tokenizer), n_bytes / len(ids))


def test_the_ids_of_stories_that_are_kept_are_those_of_their_documents():
    stories = load_corpus("stories", n_stories=60)
    for part, ids in zip((stories.train, stories.validation), encode_corpus(stories, story_tokenizer())):
        assert ids.dtype == torch.int32
        assert ids.tolist() == encode_documents(part, story_tokenizer()).tolist()
    again, _ = encode_corpus(stories, story_tokenizer())
    again.zero_()  # whoever writes into what it got spoils nobody else's
    assert encode_corpus(stories, story_tokenizer())[0].any()
