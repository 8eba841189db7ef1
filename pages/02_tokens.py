"""Chapter 2: tokens. How text becomes the numbers a model reads, and what that costs."""

import streamlit as st

from pages.labs import tokens
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("02_tokens")
book.objectives(text.read("can_do"))
tokens.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    tokens.example.worked_example()

if book.part("code"):
    text.show("code")
    train_tab, merge_tab, encode_tab = annotated.tabs("Tokenizer.train", "merge_piece", "Tokenizer.encode")
    with train_tab:
        annotated.code("tokenizer.Tokenizer.train", key="c2_code_train")
    with merge_tab:
        text.show("code_encode")
        annotated.code("bpe.merge_piece", key="c2_code_merge")
    with encode_tab:
        annotated.code("tokenizer.Tokenizer.encode", key="c2_code_encode")
    lab.folded_lab(
        "c2_more_learn", text.read("code_learn_title"), tokens.merges.learning_code, icon=":material/code:"
    )

if book.part("diagram"):
    tokens.diagram.flow()

if book.part("lab"):
    tokens.merges.merge_scrubber()
    if links.is_full_path():
        tokens.same_text.same_text()
        tokens.vocabulary_size.vocabulary_size()
        tokens.languages.languages()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c2_more_space", text.read("lab_space_title"), tokens.trailing_space.trailing_space)
        lab.folded_lab("c2_more_longest", text.read("lab_longest_title"), tokens.longest_match.longest_match)
        lab.folded_lab("c2_more_stream", text.read("lab_stream_title"), tokens.streaming.half_an_emoji)

if book.part("measured"):
    text.show("measured")
    claim.cards(
        "token_is_a_word",
        "four_characters",
        "space_is_nothing",
        "longest_match",
        "half_as_long",
        "vocabulary_perplexity",
    )

if book.part("check"):
    text.show("check", n=len(quiz.asked(tokens.quiz.questions(1))))
    quiz.cards(2, "02_tokens", tokens.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("stream_decoding", key="c2_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(2)
book.footer(__file__)
