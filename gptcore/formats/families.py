"""The families of language models that transformers reads and writes, as a table: what each has, and where it says so.

A family is a `model_type` of transformers. Its config is read with the keys that its config class knows, and with
that class's defaults for keys that a `config.json` leaves out. Everything that a family does differently is a value
in its row here or a field of our ModelConfig, so the model itself knows no family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gptcore.config import ConfigError

_GATED = {"silu": "swiglu", "swish": "swiglu"}
_GATED_GELU = {"gelu_pytorch_tanh": "geglu", "gelu_new": "geglu", "gelu_fast": "geglu"}
_PLAIN = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu_fast": "gelu", "relu": "relu"}

# Where others keep our weights: by the part of our model the parts of theirs, whose rows follow one another in ours.
_LLAMA = {
    "embedding": ("model.embed_tokens",),
    "final_norm": ("model.norm",),
    "output": ("lm_head",),
    "attention.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.q_norm": ("self_attn.q_norm",),
    "attention.k_norm": ("self_attn.k_norm",),
    "attention.o_proj": ("self_attn.o_proj",),
    "feedforward.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
    "feedforward.down_proj": ("mlp.down_proj",),
    "attention_pre_norm": ("input_layernorm",),
    "feedforward_pre_norm": ("post_attention_layernorm",),
}
_BRANCH_NORMS = {
    "attention_branch_norm": ("post_attention_layernorm",),
    "feedforward_branch_norm": ("post_feedforward_layernorm",),
}
_GEMMA2 = _LLAMA | _BRANCH_NORMS | {"feedforward_pre_norm": ("pre_feedforward_layernorm",)}
_PHI3 = _LLAMA | {
    "attention.qkv_proj": ("self_attn.qkv_proj",),
    "feedforward.gate_up_proj": ("mlp.gate_up_proj",),
}
_GPT2 = {
    "embedding": ("transformer.wte",),
    "positions.table": ("transformer.wpe",),
    "final_norm": ("transformer.ln_f",),
    "output": ("lm_head",),
    "attention.qkv_proj": ("attn.c_attn",),
    "attention.o_proj": ("attn.c_proj",),
    "feedforward.up_proj": ("mlp.c_fc",),
    "feedforward.down_proj": ("mlp.c_proj",),
    "attention_pre_norm": ("ln_1",),
    "feedforward_pre_norm": ("ln_2",),
}


def _no_windows(theirs: Mapping[str, Any]) -> list[bool]:
    return [False] * theirs["num_hidden_layers"]


def _windows_everywhere(theirs: Mapping[str, Any]) -> list[bool]:
    return [theirs["sliding_window"] is not None] * theirs["num_hidden_layers"]


def _windows_by_type(theirs: Mapping[str, Any], otherwise: Callable[[int], bool]) -> list[bool]:
    """Return which layers have a window: as `layer_types` says, or by a rule where it is left out."""
    n_layers, kinds = theirs["num_hidden_layers"], theirs["layer_types"]
    if kinds is None:
        return [otherwise(layer) for layer in range(n_layers)]
    known = isinstance(kinds, list) and all(kind in ("full_attention", "sliding_attention") for kind in kinds)
    if not known or len(kinds) != n_layers:
        raise ConfigError(
            f"layer_types must be full_attention or sliding_attention for each of the {n_layers} layers"
        )
    return [kind == "sliding_attention" for kind in kinds]


def _windows_if_used(theirs: Mapping[str, Any]) -> list[bool]:
    """Qwen's windows, from layer `max_window_layers` on."""
    if not theirs["use_sliding_window"] or theirs["sliding_window"] is None:
        return _no_windows(theirs)
    return _windows_by_type(theirs, lambda layer: layer >= theirs["max_window_layers"])


def _windows_without_rotation(theirs: Mapping[str, Any]) -> list[bool]:
    """SmolLM3's windows, in the layers that do not rotate."""
    if not theirs["use_sliding_window"] or theirs["sliding_window"] is None:
        return _no_windows(theirs)
    rotates = rotations(theirs)
    return _windows_by_type(theirs, lambda layer: not rotates[layer])


def _windows_alternating(theirs: Mapping[str, Any]) -> list[bool]:
    """Gemma's windows: every layer but each second (Gemma 2) or sixth (Gemma 3)."""
    if theirs["sliding_window"] is None:
        return _no_windows(theirs)
    return _windows_by_type(theirs, lambda layer: (layer + 1) % theirs["sliding_window_pattern"] != 0)


def rotations(theirs: Mapping[str, Any]) -> list[bool]:
    """Return which layers rotate queries and keys."""
    n_layers, given = theirs["num_hidden_layers"], theirs.get("no_rope_layers")
    if "no_rope_layers" not in theirs:
        return [True] * n_layers
    if given is None:
        return [(layer + 1) % theirs["no_rope_layer_interval"] != 0 for layer in range(n_layers)]
    if not isinstance(given, list) or len(given) < n_layers:
        raise ConfigError(f"no_rope_layers must have a 0 or a 1 for each of the {n_layers} layers")
    return [bool(rotates) for rotates in given[:n_layers]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One `model_type`: its class, the keys of its config with their defaults, and how its models differ from Llama's.

    `keys` are those its config class knows; sizes have no default here. `renamed` are its own names of keys. `parts`
    are fields of ours that all its models have. `weights` says where it keeps our weights: its matrices can be
    `transposed`, and its norms can be stored as what is added to 1 (`norms_minus_one`).
    """

    architecture: str
    keys: Mapping[str, Any]
    renamed: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    activations: Mapping[str, str] = field(default_factory=lambda: _GATED)
    scales_embeddings: bool = False
    windows: Callable[[Mapping[str, Any]], list[bool]] = _no_windows
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _LLAMA)
    layers: str = "model.layers"
    transposed: bool = False
    norms_minus_one: bool = False
    rotates_in_part: bool = False

    @property
    def prefix(self) -> str:
        """What the names of all weights but the output layer's begin with."""
        return self.layers.partition(".")[0] + "."


SIZES = (
    "vocab_size",
    "max_position_embeddings",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
)
_COMMON = {
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
    "rope_parameters": None,
    "rope_scaling": None,
    "partial_rotary_factor": None,
}
_BIASES = {"attention_bias": False}
_WINDOW = {"sliding_window": 4096, "layer_types": None}
_QWEN = {"num_key_value_heads": 32, "use_sliding_window": False, "max_window_layers": 28}
_GEMMA = {
    "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "tie_word_embeddings": True,
    "use_bidirectional_attention": False,
}
_CAPS = {"query_pre_attn_scalar": 256, "final_logit_softcapping": None}

FAMILIES: Mapping[str, Family] = {
    "llama": Family(architecture="Llama", keys=_COMMON | _BIASES | {"mlp_bias": False}),
    "mistral": Family(
        architecture="Mistral",
        keys=_COMMON | {"num_key_value_heads": 8, "sliding_window": 4096},
        windows=_windows_everywhere,
    ),
    "qwen2": Family(
        architecture="Qwen2", keys=_COMMON | _WINDOW | _QWEN, parts={"bias": "qkv"}, windows=_windows_if_used
    ),
    "qwen3": Family(
        architecture="Qwen3",
        keys=_COMMON | _WINDOW | _QWEN | _BIASES | {"head_dim": 128},
        parts={"qk_norm": True},
        windows=_windows_if_used,
    ),
    "smollm3": Family(
        architecture="SmolLM3",
        keys=_COMMON
        | _BIASES
        | _WINDOW
        | {
            "num_key_value_heads": 4,
            "tie_word_embeddings": True,
            "rope_theta": 2_000_000.0,
            "mlp_bias": False,
            "use_sliding_window": False,
            "sliding_window": None,
            "no_rope_layers": None,
            "no_rope_layer_interval": 4,
        },
        windows=_windows_without_rotation,
    ),
    "phi3": Family(
        architecture="Phi3",
        keys=_COMMON | {"rms_norm_eps": 1e-5, "sliding_window": None},
        windows=_windows_everywhere,
        weights=_PHI3,
        rotates_in_part=True,
    ),
    "olmo2": Family(
        architecture="Olmo2",
        keys=_COMMON | _BIASES | {"rms_norm_eps": 1e-5},
        parts={"norm_position": "branch", "qk_norm": True, "qk_norm_width": "all"},
        weights=_LLAMA | _BRANCH_NORMS,
    ),
    "gemma": Family(
        architecture="Gemma",
        keys=_COMMON | _BIASES | _GEMMA | {"num_key_value_heads": 16},
        activations=_GATED_GELU | {"gelu": "geglu"},  # Gemma's first files say gelu and mean its tanh form
        scales_embeddings=True,
        norms_minus_one=True,
    ),
    "gemma2": Family(
        architecture="Gemma2",
        keys=_COMMON
        | _BIASES
        | _WINDOW
        | _GEMMA
        | _CAPS
        | {
            "num_key_value_heads": 4,
            "final_logit_softcapping": 30.0,
            "attn_logit_softcapping": 50.0,
            "sliding_window_pattern": 2,
        },
        renamed={"hidden_act": "hidden_activation"},
        parts={"norm_position": "pre+branch"},
        activations=_GATED_GELU,
        scales_embeddings=True,
        windows=_windows_alternating,
        weights=_GEMMA2,
        norms_minus_one=True,
    ),
    "gemma3_text": Family(
        architecture="Gemma3",
        keys=_COMMON
        | _BIASES
        | _WINDOW
        | _GEMMA
        | _CAPS
        | {
            "num_key_value_heads": 4,
            "rope_theta": 1_000_000.0,
            "rope_local_base_freq": 10_000.0,
            "sliding_window_pattern": 6,
        },
        renamed={"hidden_act": "hidden_activation"},
        parts={"norm_position": "pre+branch", "qk_norm": True},
        activations=_GATED_GELU,
        scales_embeddings=True,
        windows=_windows_alternating,
        weights=_GEMMA2,
        norms_minus_one=True,
    ),
    "gpt2": Family(
        architecture="GPT2",
        keys={
            "intermediate_size": None,
            "hidden_act": "gelu_new",
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
        },
        renamed={
            "max_position_embeddings": "n_positions",
            "hidden_size": "n_embd",
            "num_hidden_layers": "n_layer",
            "num_attention_heads": "n_head",
            "intermediate_size": "n_inner",
            "hidden_act": "activation_function",
            "rms_norm_eps": "layer_norm_epsilon",
        },
        parts={"norm": "layernorm", "position": "learned", "bias": "all"},
        activations=_PLAIN,
        weights=_GPT2,
        layers="transformer.h",
        transposed=True,
    ),
}


def family_of(hf_config: Any) -> Family:
    """Return the family of a transformers config; raises ConfigError for one that is not in the table."""
    kind = as_dict(hf_config).get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ConfigError(f"model_type={kind!r} must be one of {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def as_dict(hf_config: Any) -> dict[str, Any]:
    """Return a transformers config as the dictionary that its `config.json` holds."""
    return hf_config if isinstance(hf_config, dict) else hf_config.to_dict()
