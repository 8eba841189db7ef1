"""Hugging Face's names and configs: transformers' own models and ours give the same logits, both ways."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from gptcore.config import ConfigError
from gptcore.formats import hf_weights
from tests.core.transformers_models import LLAMA3, randomized

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "attn_implementation": "eager",
}
THEIRS = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "gqa": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 2}),
    "mqa tied": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "eps 1e-6": (LlamaConfig, LlamaForCausalLM, {"rms_norm_eps": 1e-6}),
    "eps 1e-5": (LlamaConfig, LlamaForCausalLM, {"rms_norm_eps": 1e-5}),
    "theta 500,000": (
        LlamaConfig,
        LlamaForCausalLM,
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
    ),
    "linear": (
        LlamaConfig,
        LlamaForCausalLM,
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}},
    ),
    "llama3": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "head width of its own": (LlamaConfig, LlamaForCausalLM, {"head_dim": 12, "num_key_value_heads": 2}),
    "deep and thin": (
        LlamaConfig,
        LlamaForCausalLM,
        {"num_hidden_layers": 5, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1},
    ),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2 window": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0},
    ),
    "mistral window": (MistralConfig, MistralForCausalLM, {"sliding_window": 5, "num_key_value_heads": 2}),
    "mistral no window": (MistralConfig, MistralForCausalLM, {"sliding_window": None}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8, "num_key_value_heads": 2}),
}


@pytest.fixture
def ids(random_ids):
    return random_ids(2, 40)


@pytest.mark.parametrize("name", THEIRS)
@torch.no_grad()
def test_a_transformers_model_loaded_here_gives_its_logits(name, ids):
    config_class, model_class, changes = THEIRS[name]
    theirs = randomized(model_class(config_class(**(SHAPE | changes))))
    ours = hf_weights.load_llama(theirs.state_dict(), theirs.config)
    expected = theirs(ids).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(ids), expected, atol=1e-4, rtol=0)
    from_json = hf_weights.load_llama(theirs.state_dict(), json.loads(theirs.config.to_json_string()))
    assert torch.equal(from_json(ids), ours(ids))


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
    assert all(torch.equal(weight, back.state_dict()[name]) for name, weight in ours.state_dict().items())


def test_a_tied_output_layer_is_not_stored_twice(lively):
    assert "lm_head.weight" not in hf_weights.state_dict(lively())
    assert "lm_head.weight" in hf_weights.state_dict(lively(tie_embeddings=False))


LLAMA = {"model_type": "llama", **SHAPE, "rms_norm_eps": 1e-5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2"}, ["model_type='gpt2'", "llama", "qwen2"]),
        ({"model_type": None}, ["model_type=None"]),
        ({"hidden_act": "gelu"}, ["hidden_act='gelu'"]),
        ({"mlp_bias": True}, ["mlp_bias"]),
        ({"attention_bias": True}, ["attention_bias"]),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, ["rope_type='yarn'", "llama3"]),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, ["rope_type='dynamic'"]),
        (
            {
                "model_type": "qwen2",
                "use_sliding_window": True,
                "sliding_window": 4,
                "layer_types": ["full_attention", "sliding_attention"],
            },
            ["sliding window", "some layers"],
        ),
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
        {"bias": "all"},
        {"rope_scaling": {"kind": "ntk", "factor": 2.0}},
        {"qk_norm": True, "bias": "qkv"},
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
