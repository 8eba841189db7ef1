"""Chapter 5: attention. Where a token looks, why, and what it takes away."""

import streamlit as st

from pages.labs import attention
from pages.kit import annotated, book, claim, lab, quiz, related, words

book.header(__file__)
text = words.load("05_attention")
book.objectives(text.read("can_do"))
attention.finding.finding()

if book.part("analogy", text):
    text.show("analogy")

if book.part("example", text):
    attention.example.worked_example()
    attention.example.real_steps()

if book.part("code", text):
    text.show("code")
    annotated.code("attention.attention_weights", key="c5_code_weights")
    annotated.code("attention.allowed_pairs", key="c5_code_allowed")
    text.show("code_forward")
    annotated.code("attention.Attention.forward", key="c5_code_forward")

if book.part("diagram", text):
    attention.diagram.flow()

if book.part("lab", text):
    attention.heads.attention_maps()
    attention.scale.why_root_d()
    attention.mask.mask_removed()
    attention.cost.key_heads()
    st.subheader("More experiments", anchor=False)
    lab.folded_lab("c5_more_flag", text.read("lab_flag_title"), attention.mask.causal_flag)
    lab.folded_lab("c5_more_habits", text.read("lab_scores_title"), attention.heads.habits)
    lab.folded_lab("c5_more_fused", text.read("lab_fused_title"), attention.cost.fused)

if book.part("measured", text):
    text.show("measured")
    claim.cards(
        "softmax_scale",
        "divide_by_d",
        "scale_overflow",
        "mask_for_training",
        "gqa_cache",
        "gqa_weights",
        "kv_heads_quality",
        "fused_faster",
        "fused_memory",
    )

if book.part("check", text):
    text.show("check", n=len(attention.quiz.questions(1)))
    quiz.cards(5, "05_attention", attention.quiz.questions)
    text.show("check_exercise")
    quiz.exercise("sliding_window", key="c5_exercise")

if book.part("deeper", text):
    text.show("deeper")
    related.links(5)
book.footer(__file__)
