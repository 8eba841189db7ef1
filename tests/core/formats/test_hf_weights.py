"""Hugging Face's names and configs: transformers' own models and ours give the same logits, both ways."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from gptcore.config import ConfigError
from gptcore.formats import hf_weights


@pytest.fixture
def ids(random_ids):
    return random_ids(2, 40)


GEMMA2 = {
    "norm_position": "pre+branch",
    "ffn": "geglu",
    "embedding_scale": 32**0.5,
    "score_scale": 0.25,
    "window": 5,
    "window_pattern": "wf",
}
OURS = [
    {},
    {"n_kv_heads": 2, "tie_embeddings": False},
    {"norm_eps": 1e-6, "rope_theta": 500_000.0},
    {"norm_eps": 0.1},
    {"head_dim": 12},
    {"rope_scaling": {"kind": "linear", "factor": 3.0}},
    {"rope_scaling": {"kind": "llama3", "factor": 8.0, "original_context_length": 16}},
    {"bias": "qkv", "n_kv_heads": 1},
    {"window": 5},
    {"bias": "qkv", "window": 5},
    {"qk_norm": True, "window": 6, "n_kv_heads": 2},
    {"qk_norm": True, "tie_embeddings": False},
    {"bias": "attention", "n_kv_heads": 2},
    {"bias": "mlp"},
    {"bias": "all"},
    {"qk_norm": True, "bias": "attention"},
    {"norm": "layernorm", "position": "learned", "bias": "all", "ffn": "gelu"},
    {"norm": "layernorm", "position": "learned", "bias": "all", "ffn": "relu", "score_scale": 1.0},
    {"rope_pattern": "rn", "bias": "all", "norm_eps": 1e-5},
    {"window": 5, "window_pattern": "fw"},
    {"rotary_fraction": 0.5, "n_kv_heads": 2},
    {"norm_position": "branch", "qk_norm": True, "qk_norm_width": "all", "n_kv_heads": 2},
    {"ffn": "geglu", "embedding_scale": 32**0.5, "head_dim": 6},
    GEMMA2 | {"score_cap": 3.0, "logit_cap": 2.0},
    GEMMA2 | {"qk_norm": True, "window_rope_theta": 50.0, "logit_cap": 2.0, "window_pattern": "fw"},
    {"rope_scaling": {"kind": "yarn", "factor": 4.0, "original_context_length": 16}},
    {"rope_scaling": {"kind": "yarn", "factor": 4.0, "attention_factor": 1.5, "whole_pairs": False}},
    {"rope_scaling": {"kind": "dynamic", "factor": 4.0}},
]


@pytest.mark.parametrize("changes", OURS, ids=str)
@torch.no_grad()
def test_a_folder_of_ours_loads_in_transformers_with_our_logits(lively, ids, tmp_path, changes):
    ours = lively(context_length=64, **changes)
    save_file(hf_weights.state_dict(ours), tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(hf_weights.config_dict(ours.config)))
    theirs, report = AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(theirs.eval()(ids).logits, ours(ids), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("changes", OURS, ids=str)
def test_there_and_back_is_the_same_config_and_the_same_weights(lively, changes):
    ours = lively(**changes)
    back = hf_weights.load_llama(hf_weights.state_dict(ours), hf_weights.config_dict(ours.config))
    assert back.config == ours.config
    for name, weight in ours.state_dict().items():  # Gemma's norms lose their last digit
        torch.testing.assert_close(back.state_dict()[name], weight, atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_base_that_ntk_raises_is_written_as_the_base(lively, ids):
    ours = lively(context_length=64, rope_scaling={"kind": "ntk", "factor": 2.0})
    back = hf_weights.load_llama(hf_weights.state_dict(ours), hf_weights.config_dict(ours.config))
    assert back.config.rope_scaling is None
    torch.testing.assert_close(back(ids), ours(ids))


def test_a_tied_output_layer_is_not_stored_twice(lively):
    assert "lm_head.weight" not in hf_weights.state_dict(lively())
    assert "lm_head.weight" in hf_weights.state_dict(lively(tie_embeddings=False))


SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
LLAMA = {"model_type": "llama", **SHAPE}
GPT2 = {"model_type": "gpt2", "vocab_size": 61, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
QWEN2 = {"model_type": "qwen2", "num_key_value_heads": 2}
GEMMA3 = {"model_type": "gemma3_text", **SHAPE}
SMOLLM3 = {"model_type": "smollm3", **SHAPE}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, ["model_type='mamba'", "llama", "qwen2"]),
        ({"model_type": None}, ["model_type=None"]),
        ({"model_type": ["llama"]}, ["model_type="]),
        ({"hidden_act": "gelu"}, ["hidden_act='gelu'", "silu"]),
        ({"hidden_act": ["silu"]}, ["hidden_act="]),
        ({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}, ["rope_type='longrope'", "llama3"]),
        ({"rope_scaling": {"type": "ntk", "factor": 2.0}}, ["rope_type='ntk'"]),
        (
            {"partial_rotary_factor": 0.5, "rope_scaling": {"type": "linear", "factor": 2.0}},
            ["partial_rotary_factor=0.5", "linear"],
        ),
        ({"model_type": "phi3", "rope_scaling": {"type": "yarn", "factor": 2.0}}, ["rope_type='yarn'"]),
        (
            QWEN2 | {"use_sliding_window": True, "layer_types": ["full_attention"]},
            ["layer_types", "2 layers"],
        ),
        (GEMMA3 | {"layer_types": ["chunked_attention", "full_attention"]}, ["layer_types"]),
        (GEMMA3 | {"use_bidirectional_attention": True}, ["use_bidirectional_attention=True"]),
        (
            GEMMA3
            | {
                "rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}},
                "sliding_window_pattern": 2,
            },
            ["rope_type='linear'", "window"],
        ),
        (SMOLLM3 | {"no_rope_layers": [1]}, ["no_rope_layers", "2 layers"]),
        (GPT2 | {"scale_attn_by_inverse_layer_idx": True}, ["scale_attn_by_inverse_layer_idx=True"]),
        (GPT2 | {"activation_function": "gelu"}, ["activation_function='gelu'"]),
        ({"num_attention_heads": 5}, ["n_heads=5"]),
        ({"num_hidden_layers": 0}, ["n_layers=0"]),
    ],
    ids=str,
)
def test_what_we_do_not_have_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError) as refused:
        hf_weights.model_config(LLAMA | changes)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("missing", ["num_attention_heads", "hidden_size", "vocab_size"])
def test_a_config_that_leaves_out_a_size_is_refused_by_name(missing):
    with pytest.raises(ConfigError, match=missing):
        hf_weights.model_config({name: value for name, value in LLAMA.items() if name != missing})


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "layernorm"},
        {"norm_position": "post"},
        {"ffn": "gelu"},
        {"position": "learned"},
        {"causal": False},
        {"residual": False},
        {"score_scale": 1.0},
        {"qk_norm": True, "bias": "qkv"},
        {"embedding_scale": 2.0},
        {"score_cap": 3.0},
        {"norm": "layernorm", "bias": "attention"},
        {"window": 3, "window_rope_theta": 10.0},
    ],
    ids=str,
)
def test_what_llama_does_not_have_is_refused_by_name(lively, changes):
    model = lively(**changes)
    for export in (lambda: hf_weights.state_dict(model), lambda: hf_weights.config_dict(model.config)):
        with pytest.raises(ConfigError, match="|".join(changes)):
            export()


def test_weights_that_are_missing_or_left_over_are_refused_by_name(lively):
    ours = lively()
    weights, config = hf_weights.state_dict(ours), hf_weights.config_dict(ours.config)
    name = "model.layers.1.self_attn.k_proj.weight"
    with pytest.raises(ValueError, match=name):
        hf_weights.load_llama({n: w for n, w in weights.items() if n != name}, config)
    extra = "model.layers.0.self_attn.q_proj.bias"
    with pytest.raises(ValueError, match=extra):
        hf_weights.load_llama(weights | {extra: torch.ones(32)}, config)
    hf_weights.load_llama(weights | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}, config)
