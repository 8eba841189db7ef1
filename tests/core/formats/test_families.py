"""Every family in the table against transformers: logits, greedy tokens with a cache, and the way back."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from gptcore import generate, load
from gptcore.account import n_parameters
from gptcore.formats import hf_weights
from gptcore.formats.families import FAMILIES
from tests.core.transformers_models import LLAMA3, randomized

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16}
BIASES = {"attention_bias": True}
GEMMA2 = {"sliding_window": 5, "query_pre_attn_scalar": 20}
# What differs from the shape: the family, then keys of its config.
CASES = {
    "llama": ("llama", {}),
    "llama, all heads, tied": ("llama", {"num_key_value_heads": 4, "tie_word_embeddings": True}),
    "llama, one key head": ("llama", {"num_key_value_heads": 1, "rms_norm_eps": 1e-5}),
    "llama, wide heads": ("llama", {"head_dim": 12, "rope_parameters": LLAMA3}),
    "llama, every bias": ("llama", BIASES | {"mlp_bias": True}),
    "llama, attention bias": ("llama", BIASES),
    "llama, feed-forward bias": ("llama", {"mlp_bias": True}),
    "llama, linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 5e5, "factor": 4.0}},
    ),
    "llama, dynamic": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}},
    ),
    "llama, yarn": ("llama", {"rope_parameters": YARN}),
    "llama, yarn with all options": (
        "llama",
        {
            "rope_parameters": YARN
            | {"beta_fast": 4.0, "beta_slow": 0.5, "mscale": 1.2, "mscale_all_dim": 0.8}
        },
    ),
    "mistral": ("mistral", {"sliding_window": 5}),
    "mistral, no window": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2, some windows": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", {"head_dim": 12}),
    "qwen3, biases and yarn": ("qwen3", BIASES | {"rope_parameters": YARN}),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 2}),
    "smollm3, windows": (
        "smollm3",
        {
            "no_rope_layers": [0, 1, 1],
            "use_sliding_window": True,
            "sliding_window": 4,
            "tie_word_embeddings": True,
        },
    ),
    "phi3": ("phi3", {}),
    "phi3, half rotated, window": (
        "phi3",
        {
            "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5},
            "sliding_window": 5,
        },
    ),
    "olmo2": ("olmo2", {}),
    "olmo2, biases": ("olmo2", BIASES),
    "gemma": ("gemma", {"tie_word_embeddings": True}),
    "gemma2": ("gemma2", GEMMA2 | {"tie_word_embeddings": True, "attn_logit_softcapping": 2.0}),
    "gemma2, no caps": (
        "gemma2",
        GEMMA2 | {"attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gemma3": ("gemma3_text", GEMMA2 | {"final_logit_softcapping": 3.0, "num_hidden_layers": 6}),
    "gemma3, stretched": (
        "gemma3_text",
        GEMMA2
        | {
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        },
    ),
    "gpt2": ("gpt2", {"tie_word_embeddings": True}),
    "gpt2, untied": ("gpt2", {"n_inner": 40, "scale_attn_weights": False}),
}
GPT2_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}


def build(name: str) -> torch.nn.Module:
    """The model of transformers, its weights drawn at random."""
    family, changes = CASES[name]
    shape = dict(SHAPE)
    if family == "gpt2":
        for key in ("intermediate_size", "num_key_value_heads", "head_dim"):
            del shape[key]
        shape = {GPT2_NAMES.get(key, key): value for key, value in shape.items()}
    config = AutoConfig.for_model(family, **(shape | changes))
    return randomized(AutoModelForCausalLM.from_config(config, attn_implementation="eager"))


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def test_every_family_has_a_case():
    assert {family for family, _ in CASES.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_model_comes_in_and_goes_out_with_its_logits_and_its_greedy_tokens(name, tmp_path, random_ids):
    theirs = build(name)
    ids = random_ids(2, 60)
    expected = theirs(ids).logits
    assert expected.std() > 0.1
    theirs.save_pretrained(tmp_path / "in")
    ours, _ = load(tmp_path / "in")
    assert relative_error(ours(ids), expected) < 1e-5
    prompt = ids[0, :12].tolist()
    written = theirs.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)[0, 12:].tolist()
    assert [step.token_id for step in generate(ours, prompt, 40, temperature=0)] == written

    (tmp_path / "out").mkdir()
    save_file(hf_weights.state_dict(ours), tmp_path / "out" / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "out" / "config.json").write_text(json.dumps(hf_weights.config_dict(ours.config)))
    again, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert relative_error(again.eval()(ids).logits, expected) < 1e-5
    assert load(tmp_path / "out")[0].config == ours.config


@pytest.mark.parametrize(
    ("family", "sizes", "n_heads", "published"),
    [
        ("gpt2", (50_257, 768, None, 12), (12, None, None), 124_439_808),  # GPT-2 small
        ("gemma2", (256_000, 2304, 9216, 26), (8, 4, 256), 2_614_341_888),  # Gemma 2 2B
        ("gemma3_text", (262_144, 640, 2048, 18), (4, 1, 256), 268_098_176),  # Gemma 3 270M
        ("smollm3", (128_256, 2048, 11_008, 36), (16, 4, None), 3_075_098_624),  # SmolLM3 3B
        ("phi3", (32_064, 3072, 8192, 32), (32, 32, None), 3_821_079_552),  # Phi-3 mini
    ],
)
def test_a_published_config_has_the_published_number_of_weights(family, sizes, n_heads, published):
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    values = dict(zip(names, sizes)) | {"max_position_embeddings": 1024}
    values |= dict(zip(("num_attention_heads", "num_key_value_heads", "head_dim"), n_heads))
    renamed = FAMILIES[family].renamed
    config = {renamed.get(key, key): value for key, value in values.items()}
    assert n_parameters(hf_weights.model_config({"model_type": family, **config})) == published
