"""Chapter 6: the block. Norm, feed-forward network and residual connections, and what depth does to gradients."""

import streamlit as st

from pages.labs import block
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("06_block")
book.objectives(text.read("can_do"))
block.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    block.example.worked_example()

if book.part("code"):
    text.show("code")
    norm_tab, ffn_tab, block_tab, sub_tab = annotated.tabs(
        "rms_norm", "SwiGLU.forward", "Block.forward", "Block.sub_layer"
    )
    with norm_tab:
        annotated.code("norms.rms_norm", key="c6_code_norm")
    with ffn_tab:
        text.show("code_ffn")
        annotated.code("feedforward.SwiGLU.forward", key="c6_code_ffn")
    with block_tab:
        text.show("code_block")
        annotated.code("model.Block.forward", key="c6_code_block")
    with sub_tab:
        annotated.code("model.Block.sub_layer", key="c6_code_sub")

if book.part("diagram"):
    block.diagram.flow()

if book.part("lab"):
    block.depth.without_residual()
    if links.is_full_path():
        block.depth.after_training()
        block.residual_stream.update_sizes()
        block.parts.gates()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c6_more_norms", text.read("lab_norms_title"), block.parts.both_norms)
        lab.folded_lab("c6_more_mix", text.read("lab_mix_title"), block.residual_stream.position_mixing)

if book.part("measured"):
    text.show("measured")
    claim.cards(
        "rmsnorm_faster",
        "norm_share",
        "activation_fused",
        "residual_cut",
        "residual_guarantee",
        "norm_keeps_small",
        "ffn_mixes",
        "attention_linear",
        "post_norm_birth",
        "post_norm_trained",
        "swiglu_gelu",
        "balance_is_zero",
    )

if book.part("check"):
    text.show("check", n=len(quiz.asked(block.quiz.questions(1))))
    quiz.cards(6, "06_block", block.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("normed_twice", key="c6_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(6)
book.footer(__file__)
