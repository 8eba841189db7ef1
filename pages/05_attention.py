"""Chapter 5: attention. Which tokens a token attends to, why, and what it takes from them."""

import streamlit as st

from pages.labs import attention
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("05_attention")
book.objectives(text.read("can_do"))
attention.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    attention.example.worked_example()
    attention.example.real_steps()

if book.part("code"):
    text.show("code")
    weights_tab, allowed_tab, forward_tab = annotated.tabs(
        "attention_weights", "allowed_pairs", "Attention.forward"
    )
    with weights_tab:
        annotated.code("attention.attention_weights", key="c5_code_weights")
    with allowed_tab:
        annotated.code("attention.allowed_pairs", key="c5_code_allowed")
    with forward_tab:
        text.show("code_forward")
        annotated.code("attention.Attention.forward", key="c5_code_forward")

if book.part("diagram"):
    attention.diagram.flow()

if book.part("lab"):
    attention.heads.attention_maps()
    if links.is_full_path():
        attention.scale.why_root_d()
        attention.mask.mask_removed()
        attention.cost.key_heads()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c5_more_flag", text.read("lab_flag_title"), attention.mask.causal_flag)
        lab.folded_lab("c5_more_habits", text.read("lab_scores_title"), attention.heads.habits)
        lab.folded_lab("c5_more_fused", text.read("lab_fused_title"), attention.cost.fused)

if book.part("measured"):
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

if book.part("check"):
    text.show("check", n=len(quiz.asked(attention.quiz.questions(1))))
    quiz.cards(5, "05_attention", attention.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("sliding_window", key="c5_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(5)
book.footer(__file__)
