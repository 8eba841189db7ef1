"""Verdicts: each claim's can come out otherwise, and none hangs on one disturbed repetition."""

import pytest

from gptcore.experiments import claims
from gptcore.experiments.claims import Spread, by_median, by_range, within_noise

# For each claim a made-up measurement that holds and one that does not.
MADE_UP = {
    "looks_up": ({"its sentences": 0.99}, {"its sentences": 0.3}),
    "learns_while_chatting": ({"a weight": 0.01, "an answer": 0.1}, {"a weight": 0.0, "an answer": 0.0}),
    "sure_is_right": ({"other English": 0.8}, {"other English": 0.1}),
    "only_counts": ({"the model": 0.0, "table of 7 words": 0.0}, {"the model": 0.9, "table of 7 words": 0.0}),
    "untrained_even": ({"the token just read": 0.001}, {"the token just read": 0.9}),
    "flops_over_peak": (
        {"matrix product, bf16": 100.0, "training nano": 95.0, "training tiny": 99.0},
        {"matrix product, bf16": 100.0, "training nano": 30.0, "training tiny": 40.0},
    ),
    "one_speed": ({"n = 16": 0.9, "n = 1024": 1.0}, {"n = 16": 0.1}),
    "more_threads": ({"n = 1024": 1.9}, {"n = 16": 0.5}),
    "bf16_doubles": ({"n = 1024": 4.0}, {"n = 1024": 0.6}),
    "autocast_halves_memory": (
        {"weights, gradients, moments": 0.5, "kept for the backward pass": 0.5},
        {"weights, gradients, moments": 1.0},
    ),
    "autocast_default": ({"cpu": 8, "cuda": 8}, {"cuda": 5}),
    "view_copies": ({"view": 1.0}, {"view": 0.0}),
    "gpu_faster": ({"n = 16": 3.0, "n = 1024": 90.0}, {"n = 16": 0.1}),
    "softmax_scale": ({"d = 64": 0.1}, {"d = 64": 0.9}),
    "divide_by_d": ({"d = 64": 0.5}, {"d = 64": 0.99}),
    "scale_overflow": ({"d = 64": 1.0}, {"d = 64": 500.0}),
    "fused_faster": ({"T = 1024": 9.0}, {"T = 1024": 1.1}),
    "fused_memory": ({"fused": 1.0, "explicit": 2.0}, {"fused": 2.0, "explicit": 2.0}),
    "gqa_cache": ({"8 queries to a key head": 1.0}, {"8 queries to a key head": 0.5}),
    "gqa_weights": ({"8 queries to a key head": 60.0}, {"8 queries to a key head": 4.0}),
    "mask_for_training": ({"without the mask": 0.0}, {"without the mask": 2.0}),
    "kv_heads_quality": ({"1 of 4 key heads": 0.3}, {"1 of 4 key heads": 0.0}),
    "rmsnorm_faster": ({"large, torch's": 1.3}, {"large, torch's": 0.5}),
    "norm_share": ({"nano, 2 × 128 tokens": 50.0}, {"nano, 2 × 128 tokens": 4.0}),
    "activation_fused": ({"SiLU": 1.0}, {"SiLU": 5.0}),
    "residual_cut": ({"48 blocks": 7.0}, {"48 blocks": 0.2}),
    "residual_guarantee": ({"block 1": 0.9}, {"block 1": 0.9, "block 2": 0.1}),
    "norm_keeps_small": ({"last block over first": 1.0}, {"last block over first": 5.0}),
    "ffn_mixes": ({"feed-forward": 3.0, "attention": 3.0}, {"feed-forward": 0.0, "attention": 3.0}),
    "attention_linear": ({"attention": 0.1}, {"attention": 80.0}),
    "post_norm_birth": (
        {"pre, 128 blocks": 0.1, "post, 128 blocks": 9.0},
        {"pre, 128 blocks": 0.1, "post, 128 blocks": 0.1},
    ),
    "post_norm_trained": (
        {"post, AdamW": 9.0, "post, Muon": 9.0, "pre, AdamW": 0.5},
        {"post, AdamW": 0.5, "post, Muon": 0.5, "pre, AdamW": 0.5},
    ),
    "swiglu_gelu": ({"GELU over SwiGLU": 0.2}, {"GELU over SwiGLU": -0.1}),
    "weights_alone": ({"8 heads of 16": 0.0}, {"8 heads of 16": 3.0}),
    "same_seed": ({"weights rounded to bf16": 100.0}, {"weights rounded to bf16": 60.0}),
    "base_follows": (
        {"base model": 10.0, "after 60 steps": 95.0},
        {"base model": 10.0, "after 60 steps": 20.0},
    ),
    "tying_saves": ({"GPT-2 small": 30.0}, {"GPT-2 small": 2.0}),
    "heads_cost": (
        {"4 × the heads": 9.0, "64 × the context": 5.0},
        {"4 × the heads": 0.0, "64 × the context": 0.0},
    ),
    "six_operations": ({"LLaMA 3 8B": 6.0}, {"LLaMA 3 8B": 9.0}),
    "first_loss": ({"spread 0.02": 0.01}, {"spread 0.02": 3.0}),
    "logits_largest": ({"times the stream": 9.0}, {"times the stream": 0.5}),
    "fourth_size": ({"96 × 4": 0.01}, {"96 × 4": 0.8}),
    "cache_speedup": ({"32 tokens": 120.0, "248 tokens": 500.0}, {"32 tokens": 2.4, "248 tokens": 8.9}),
    "cache_alone": ({"V = 2,048": 1.01, "V = 50,257": 1.02}, {"V = 2,048": 2.0, "V = 50,257": 2.9}),
    "cache_linear": ({"with a cache": 1.0, "without": 2.0}, {"with a cache": 2.0, "without": 3.0}),
    "cache_approximates": ({"fp32": 0.1, "bf16": 0.2}, {"fp32": 1e-6, "bf16": 1e-5}),
    "half_bytes": ({"768 wide": 2.6, "128 wide": 2.5}, {"768 wide": 1.2, "128 wide": 0.7}),
    "speculative_3x": ({"α = 0.5": 3.1}, {"α = 0.5": 1.3}),
    "token_is_a_word": ({"stories": 0.99}, {"stories": 0.5}),
    "four_characters": ({"stories": 4.0}, {"stories": 2.0}),
    "space_is_nothing": ({"words": 1.0}, {"words": 0.0}),
    "longest_match": ({"stories": 0.0}, {"stories": 0.2}),
    "half_as_long": ({"512 to 1024": 0.5}, {"512 to 1024": 0.9}),
    "vocabulary_perplexity": (
        {"per token": 0.7, "bits per byte": 1.0},
        {"per token": 1.8, "bits per byte": 0.6},
    ),
    "king_minus_man": ({"inputs left out": 0.9}, {"inputs left out": 0.1}),
    "a_step_moves_what_it_saw": ({"tied": 0.0}, {"tied": 1.0}),
    "a_dimension_means": ({"turned": 0.5}, {"turned": 1e-6}),
    "near_on_the_map": ({"words": 0.9}, {"words": 0.1}),
    "unused_rows_stay": ({"untied": 1.0}, {"untied": 0.0}),
    "gpt2_scales": ({"GPT-2's shape": 1.0}, {"GPT-2's shape": 0.04}),
    "warm_up_saves": (
        {"Muon, as in the preset": 0.5, "AdamW": 0.3},
        {"Muon, as in the preset": -0.05, "AdamW": 0.0},
    ),
    "clipping_saves": ({"Muon, as in the preset": 0.5}, {"Muon, as in the preset": 0.01}),
    "perplexity_vocabulary": (
        {"V = 2,048, perplexity a token": 0.8, "V = 2,048, bits a byte": 1.5},
        {"V = 2,048, perplexity a token": 1.4, "V = 2,048, bits a byte": 0.4},
    ),
    "distance_alone": ({"both 1000 on": 1e-6}, {"both 1000 on": 0.4}),
    "any_length": (
        {"inside the context": 0.0, "beyond it": 0.0},
        {"inside the context": 0.0, "beyond it": 2.0},
    ),
    "linear_extends": (
        {"inside the context": 0.1, "beyond it": 0.1},
        {"inside the context": 2.0, "beyond it": 2.0},
    ),
    "ntk_extends": (
        {"inside the context": 0.1, "beyond it": 0.1},
        {"inside the context": 0.9, "beyond it": 2.0},
    ),
    "higher_base": ({"base 10,000": 0.5, "base 500,000": 0.1}, {"base 10,000": 0.1, "base 500,000": 0.5}),
    "no_order": ({"2 layers, mask": 0.0}, {"2 layers, mask": 0.3}),
    "positions_trained": ({"learned": 0.5, "rope": 0.6}, {"learned": 0.0, "rope": -0.1}),
    "decay_is_l2": (
        {"SGD with an L2 penalty": 1.0, "Adam with an L2 penalty": 1.05, "AdamW": 1.0},
        {"SGD with an L2 penalty": 0.5, "Adam with an L2 penalty": 99.0, "AdamW": 1.0},
    ),
    "adamw_trains_better": ({"Adam, L2 penalty": 0.4}, {"Adam, L2 penalty": -0.1}),
    "unigram_level": ({"frequencies alone": 0.8}, {"frequencies alone": 0.0}),
    "speculative_here": ({"a table of counts": 2.0}, {"a table of counts": 0.6}),
    "speculative_approximates": (
        {"as published": 0.1, "refused ones drawn from p": 0.1},
        {"as published": 1e-16, "refused ones drawn from p": 0.1},
    ),
    "penalty_multiplies": (
        {"multiplying": 0.0, "dividing": 0.0, "by sign": 0.0},
        {"multiplying": 0.6, "dividing": 0.4, "by sign": 0.0},
    ),
    "balance_is_zero": ({"1 expert a token": 0.0}, {"1 expert a token": 1.0}),
    "beta_pushes": ({"margin 0": 5.0, "margin 10": 2.0}, {"margin 0": 0.5, "margin 10": 0.1}),
    "llama_style_is_one": ({"Qwen 2.5 7B": 0.0}, {"Qwen 2.5 7B": 3.0}),
    "two_thirds_feedforward": ({"LLaMA 3 8B": 66.0}, {"LLaMA 3 8B": 45.0}),
    "double_quantisation": ({"saved": 0.127, "left": 0.373}, {"saved": 0.373, "left": 0.127}),
}


def measured(values):
    return {name: Spread(value, value, value) for name, value in values.items()}


@pytest.mark.parametrize("name", claims.registry())
def test_a_verdict_can_come_out_either_way(name):
    assert name in MADE_UP, f"give {name} a made-up measurement that holds and one that does not"
    judge, (holding, failing) = claims.get_claim(name).judge, MADE_UP[name]
    assert judge(measured(holding)) == "holds"
    assert judge(measured(failing)) == "holds not"


def test_every_made_up_measurement_is_of_a_claim():
    assert set(MADE_UP) == set(claims.registry())


def test_a_range_across_the_line_depends():
    judge = by_range(lambda value: value > 1)
    assert judge({"a": Spread(2, 0.5, 3)}) == "depends"
    assert judge({"a": Spread(2, 1.5, 3), "b": Spread(0.1, 0.1, 0.2)}) == "depends"


def test_the_middle_is_not_moved_by_one_disturbed_repetition():
    judge = by_median(lambda ratio: ratio >= 4, within=0.1)
    assert judge({"a": Spread(2.0, 1.9, 90.0)}) == "holds not"
    assert judge({"a": Spread(9.0, 0.2, 9.1)}) == "holds"
    assert judge({"a": Spread(4.2, 4.1, 4.3)}) == "depends"  # too near to the line to say
    assert judge({"a": Spread(9.0, 8.9, 9.1), "b": Spread(1.0, 1.0, 1.0)}) == "depends"


def test_what_lies_on_both_sides_of_nothing_is_noise():
    found = {"a": Spread(0.01, -0.02, 0.03), "b": Spread(0.3, 0.2, 0.4), "c": Spread(0.1, 0.0, 0.2)}
    assert within_noise(found, 0.0) == ("a", "c")
    assert within_noise(found, None) == ()
