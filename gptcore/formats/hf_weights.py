"""The same model under Hugging Face's names: Llama-family weights and configs in and out.

Llama, Mistral and Qwen 2 differ from one another in what their configs say (key/value heads, biases on q, k
and v, a sliding window, stretched rotary positions), not in how a token flows, so one model serves them all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gptcore.config import ConfigError, ModelConfig, RopeScaling
from gptcore.model import GPT

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")

_OUTER = {
    "embedding.weight": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_INNER = {
    "attention.": "self_attn.",
    "attention_pre_norm.": "input_layernorm.",
    "feedforward_pre_norm.": "post_attention_layernorm.",
    "feedforward.": "mlp.",
}


# What we keep one below the other to multiply at once, they keep apart.
_JOINED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def their_name(name: str) -> str:
    """Return Hugging Face's name of one of our weights.

    >>> their_name("layers.3.attention.o_proj.weight")
    'model.layers.3.self_attn.o_proj.weight'
    """
    if name in _OUTER:
        return _OUTER[name]
    _, layer, rest = name.split(".", 2)
    ours = next(prefix for prefix in _INNER if rest.startswith(prefix))
    return f"model.layers.{layer}.{_INNER[ours]}{rest.removeprefix(ours)}"


def load_llama(hf_state_dict: dict[str, Tensor], hf_config: Any) -> GPT:
    """Return our model with a Hugging Face model's weights.

    `hf_config` is a transformers config or the dictionary of a `config.json`. Raises ConfigError for an
    architecture or option that our model does not have, naming it.
    """
    model = GPT(model_config(hf_config))
    own = weights_by_their_name(model)
    check_names(set(own), set(hf_state_dict), model.config.tie_embeddings)
    for name, ours in own.items():  # one at a time: a large model need not be in memory twice
        weight = hf_state_dict[name]
        if weight.shape != ours.shape:
            raise ConfigError(
                f"{name} has the shape {list(weight.shape)}, and the config requires {list(ours.shape)}; use "
                "the config of these weights"
            )
        ours.copy_(weight)
    return model.eval()


def weights_by_their_name(model: GPT) -> dict[str, Tensor]:
    """Return every weight that is stored under Hugging Face's name, each a view of ours; a tied output is not."""
    weights = {}
    for name, weight in model.state_dict().items():
        if name == "output.weight" and model.config.tie_embeddings:
            continue
        theirs = their_name(name)
        joined = next((part for part in _JOINED if f".{part}." in name), None)
        if joined is None:
            weights[theirs] = weight
            continue
        rows = model.get_submodule(name.rpartition(".")[0]).parts
        for part, piece in zip(_JOINED[joined], weight.split(rows), strict=True):
            weights[theirs.replace(joined, part)] = piece
    return weights


def check_names(needed: set[str], given: set[str], tied: bool) -> None:
    """Raise ConfigError naming the first weight that is missing, or that our model has no place for."""
    if needed - given:
        raise ConfigError(f"the weights do not contain {min(needed - given)}; use the weights of this config")
    spare = {name for name in given - needed if not name.endswith("rotary_emb.inv_freq")}
    spare -= {"lm_head.weight"} if tied else set()
    if spare:
        raise ConfigError(
            f"the weights contain {min(spare)}, which this config does not have; use the config of these "
            "weights"
        )


def state_dict(model: GPT) -> dict[str, Tensor]:
    """Return our weights under Hugging Face's names; a tied output layer is not stored twice."""
    check_exportable(model.config)
    return weights_by_their_name(model)


def model_config(hf_config: Any) -> ModelConfig:
    """Return our config for a Hugging Face one; raises ConfigError naming what we do not have."""
    theirs = hf_config if isinstance(hf_config, dict) else hf_config.to_dict()
    family = theirs.get("model_type")
    if family not in FAMILIES:
        raise ConfigError(f"model_type={family!r} must be one of {', '.join(FAMILIES)}")
    if theirs.get("hidden_act", "silu") not in ("silu", "swish"):
        raise ConfigError(f"hidden_act={theirs['hidden_act']!r} must be silu")
    if theirs.get("mlp_bias"):
        raise ConfigError("mlp_bias=True is not supported; Llama's models have no biases there")
    if theirs.get("attention_bias") and family != "qwen2":
        raise ConfigError(
            "attention_bias=True is not supported, because it adds a bias to the output projection too"
        )
    needed = (
        "vocab_size",
        "max_position_embeddings",
        "hidden_size",
        "num_hidden_layers",
        "intermediate_size",
    )
    absent = [name for name in (*needed, "num_attention_heads", "rms_norm_eps") if name not in theirs]
    if absent:
        raise ConfigError(f"the config requires {', '.join(absent)}")
    n_heads = theirs["num_attention_heads"]
    return ModelConfig(
        vocab_size=theirs["vocab_size"],
        context_length=theirs["max_position_embeddings"],
        d_model=theirs["hidden_size"],
        n_layers=theirs["num_hidden_layers"],
        n_heads=n_heads,
        n_kv_heads=theirs.get("num_key_value_heads") or n_heads,
        head_dim=theirs.get("head_dim"),
        d_ff=theirs["intermediate_size"],
        norm_eps=theirs["rms_norm_eps"],
        bias="qkv" if family == "qwen2" else "none",
        qk_norm=family == "qwen3",
        window=_window(theirs, family),
        tie_embeddings=bool(theirs.get("tie_word_embeddings", False)),
        **_rotary(theirs),
    )


def _window(theirs: dict, family: str) -> int | None:
    """Return the sliding window, if the model uses one in every layer."""
    window = theirs.get("sliding_window")
    if family == "llama" or window is None or (family != "mistral" and not theirs.get("use_sliding_window")):
        return None
    n_layers, n_full = theirs["num_hidden_layers"], 0
    if family != "mistral":  # Qwen's first layers look at everything
        n_full = min(n_layers, theirs.get("max_window_layers", 28))
    by_layer = ["full_attention"] * n_full + ["sliding_attention"] * (n_layers - n_full)
    kinds = set(theirs.get("layer_types") or by_layer)
    if kinds == {"full_attention"}:
        return None
    if kinds != {"sliding_attention"}:
        raise ConfigError("a sliding window in some layers only is not supported")
    return window


def _rotary(theirs: dict) -> dict[str, Any]:
    """Return our base and scaling of the rotary positions; transformers 5 keeps both in one dictionary."""
    rope = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
    theta = float(rope.get("rope_theta") or theirs.get("rope_theta") or 10_000.0)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return {"rope_theta": theta}
    if kind == "linear":
        return {"rope_theta": theta, "rope_scaling": RopeScaling(kind="linear", factor=float(rope["factor"]))}
    if kind == "llama3":
        scaling = RopeScaling(
            kind="llama3",
            factor=float(rope["factor"]),
            low_freq_factor=float(rope["low_freq_factor"]),
            high_freq_factor=float(rope["high_freq_factor"]),
            original_context_length=rope["original_max_position_embeddings"],
        )
        return {"rope_theta": theta, "rope_scaling": scaling}
    raise ConfigError(f"rope_type={kind!r} must be one of default, linear, llama3")


def check_exportable(config: ModelConfig) -> None:
    """Raise ConfigError, naming the part, unless Hugging Face's Llama, Mistral or Qwen has all of a model's parts."""
    needed = {"norm": "rmsnorm", "norm_position": "pre", "ffn": "swiglu", "position": "rope", "causal": True}
    needed |= {"residual": True, "score_scale": config.head_dim**-0.5}
    for name, value in needed.items():
        if getattr(config, name) != value:
            raise ConfigError(
                f"{name}={getattr(config, name)} cannot be exported as a Llama model, which needs {value}"
            )
    if config.bias == "all":
        raise ConfigError(
            "bias=all cannot be exported as a Llama model, which needs none or, for Qwen 2, qkv"
        )
    if config.qk_norm and config.bias == "qkv":
        raise ConfigError(
            "qk_norm=True with bias=qkv cannot be exported: Qwen 2 has only the bias and Qwen 3 only the norm"
        )
    if config.rope_scaling is not None and config.rope_scaling.kind == "ntk":
        raise ConfigError("rope_scaling=ntk cannot be exported; set the raised base as rope_theta instead")


def config_dict(config: ModelConfig, *, eot_id: int | None = None) -> dict[str, Any]:
    """Return the `config.json` with which transformers loads `state_dict`'s weights."""
    check_exportable(config)
    if config.qk_norm:
        family = "qwen3"
    elif config.bias == "qkv":
        family = "qwen2"
    else:
        family = "mistral" if config.window is not None else "llama"
    architecture = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}[family]
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling is not None:
        scaling = config.rope_scaling
        rope |= {"rope_type": scaling.kind, "factor": scaling.factor}
        if scaling.kind == "llama3":
            rope |= {
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
                "original_max_position_embeddings": scaling.original_context_length,
            }
    values = {
        "architectures": [f"{architecture}ForCausalLM"],
        "model_type": family,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.d_ff,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": rope,
        "attention_bias": False,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": eot_id,
        "eos_token_id": eot_id,
        "torch_dtype": str(torch.float32).removeprefix("torch."),
    }
    if config.window is not None:
        values |= {"sliding_window": config.window, "use_sliding_window": True, "max_window_layers": 0}
    return values
