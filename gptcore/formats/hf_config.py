"""Configs of transformers in and out: what a `config.json` says as a ModelConfig, and a ModelConfig as a `config.json`.

Which family can hold one of our models is found by trying: its config is written, read back and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gptcore.config import ConfigError, ModelConfig
from gptcore.formats import rope_parameters
from gptcore.formats.families import FAMILIES, SIZES, Family, as_dict, family_of, rotations

# What no model of ours does: these keys must be false or left out.
_REFUSED = ("use_bidirectional_attention", "scale_attn_by_inverse_layer_idx", "add_cross_attention")


def model_config(hf_config: Any) -> ModelConfig:
    """Return our config for a Hugging Face one; raises ConfigError naming what we do not have."""
    given, family = as_dict(hf_config), family_of(hf_config)
    known = {name: family.renamed.get(name, name) for name in (*SIZES, *family.keys)}
    theirs = dict(family.keys) | {ours: given[name] for ours, name in known.items() if name in given}
    absent = [known[name] for name in SIZES if name not in theirs]
    if absent:
        raise ConfigError(f"the config requires {', '.join(absent)}")
    for name in _REFUSED:
        if theirs.get(name):
            raise ConfigError(f"{name}={theirs[name]!r} is not supported, because our models do not have it")
    activation = theirs["hidden_act"]
    if not isinstance(activation, str) or activation not in family.activations:
        key, allowed = known["hidden_act"], ", ".join(family.activations)
        raise ConfigError(f"{key}={activation!r} must be one of {allowed}")
    config = ModelConfig(
        vocab_size=theirs["vocab_size"],
        context_length=theirs["max_position_embeddings"],
        d_model=theirs["hidden_size"],
        n_layers=theirs["num_hidden_layers"],
        n_heads=theirs["num_attention_heads"],
        n_kv_heads=theirs.get("num_key_value_heads"),
        head_dim=theirs.get("head_dim"),
        d_ff=theirs["intermediate_size"],
        ffn=family.activations[activation],
        norm_eps=theirs["rms_norm_eps"],
        tie_embeddings=bool(theirs["tie_word_embeddings"]),
        **({"bias": _bias(theirs)} | _rotary(theirs, family) | family.parts),
    )
    return config.replace(**_family_parts(config, theirs, family))


def _rotary(theirs: Mapping[str, Any], family: Family) -> dict[str, Any]:
    return rope_parameters.read(theirs, family.rotates_in_part) if "rope_theta" in theirs else {}


def _bias(theirs: Mapping[str, Any]) -> str:
    attention, mlp = bool(theirs.get("attention_bias")), bool(theirs.get("mlp_bias"))
    return {(True, False): "attention", (False, True): "mlp", (True, True): "all"}.get(
        (attention, mlp), "none"
    )


def _family_parts(config: ModelConfig, theirs: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the fields that only some families have, read once the sizes are known to be sane."""
    parts: dict[str, Any] = {
        "score_cap": theirs.get("attn_logit_softcapping"),
        "logit_cap": theirs.get("final_logit_softcapping"),
    }
    if family.scales_embeddings:
        parts["embedding_scale"] = config.d_model**0.5
    if "query_pre_attn_scalar" in theirs:
        parts["score_scale"] = theirs["query_pre_attn_scalar"] ** -0.5
    if theirs.get("scale_attn_weights") is False:
        parts["score_scale"] = 1.0
    if "rope_theta" in theirs:
        parts["rope_pattern"] = _pattern(rotations(theirs), "rn")
    windows = family.windows(theirs)
    if any(windows):
        parts |= {"window": theirs["sliding_window"], "window_pattern": _pattern(windows, "wf")}
        if "rope_local_base_freq" in theirs:
            parts["window_rope_theta"] = rope_parameters.read_local(theirs)
    return parts


def _pattern(flags: list[bool], letters: str) -> str:
    """Return the shortest pattern that, repeated, gives each layer its letter."""
    whole = "".join(letters[0] if flag else letters[1] for flag in flags)
    return next(
        whole[:n] for n in range(1, len(whole) + 1) if (whole[:n] * len(whole))[: len(whole)] == whole
    )


def check_exportable(config: ModelConfig) -> None:
    """Raise ConfigError, naming a part that stands in the way, unless some family can hold a model like this."""
    family_for(config)


def family_for(config: ModelConfig) -> str:
    """Return the first family in the table that can hold a model; raises ConfigError if there is none."""
    wanted, nearest = _written_as(config), None
    for name in FAMILIES:
        try:
            held = model_config(_their_config(wanted, name))
        except (ConfigError, OverflowError, ZeroDivisionError):
            continue
        differ = [f.name for f in fields(held) if getattr(held, f.name) != getattr(wanted, f.name)]
        if not differ:
            return name
        if nearest is None or len(differ) < len(nearest[1]):
            nearest = held, differ, FAMILIES[name].architecture
    if nearest is None:
        raise ConfigError("a model of this shape cannot be exported, because no family can hold it")
    held, differ, architecture = nearest
    raise ConfigError(
        f"{differ[0]}={getattr(config, differ[0])} cannot be exported; the nearest family, {architecture}, needs "
        f"{differ[0]}={getattr(held, differ[0])}"
    )


def _written_as(config: ModelConfig) -> ModelConfig:
    """Return the config as others write it: without dropout, and with the base that ntk raises."""
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "ntk":
        width = round(config.rotary_fraction * config.head_dim)
        raised = config.rope_theta * scaling.factor ** (width / (width - 2))
        config = config.replace(rope_scaling=None, rope_theta=raised)
    return config.replace(dropout=0.0)


def config_dict(
    config: ModelConfig,
    *,
    eot_id: int | None = None,
    start_id: int | None = None,
    stop_ids: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Return the `config.json` with which transformers loads `hf_weights.state_dict`'s weights.

    Texts start with `start_id`, by default the end-of-text token, and end at each of `stop_ids`, by default at it.
    Raises ConfigError if no family can hold the model.
    """
    ends: Any = (list(stop_ids) if len(stop_ids) > 1 else stop_ids[0]) if stop_ids else eot_id
    return _their_config(_written_as(config), family_for(config)) | {
        "bos_token_id": eot_id if start_id is None else start_id,
        "eos_token_id": ends,
        "pad_token_id": eot_id,  # some families would take one that the vocabulary does not have
    }


def _their_config(config: ModelConfig, name: str) -> dict[str, Any]:
    """Return a family's `config.json` of a model, as far as the family has what the model needs."""
    family, kinds = FAMILIES[name], config.layer_kinds
    activation = next(
        (theirs for theirs, ours in family.activations.items() if ours == config.ffn), config.ffn
    )
    windows = [kind.window is not None for kind in kinds]
    values = {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.d_ff,
        "hidden_act": activation,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": config.bias in ("attention", "all"),
        "mlp_bias": config.bias in ("mlp", "all"),
        "attn_logit_softcapping": config.score_cap and float(config.score_cap),
        "final_logit_softcapping": config.logit_cap and float(config.logit_cap),
        "query_pre_attn_scalar": round(abs(config.score_scale or 1e-3) ** -2),
        "scale_attn_weights": config.score_scale != 1,
        "sliding_window": config.window,
        "use_sliding_window": any(windows),
        "max_window_layers": windows.index(True) if any(windows) else config.n_layers,
        "layer_types": ["sliding_attention" if window else "full_attention" for window in windows],
        "sliding_window_pattern": FAMILIES[name].keys.get("sliding_window_pattern"),
        "no_rope_layers": [int(kind.rotates) for kind in kinds],
        **rope_parameters.written(config, by_layer="rope_local_base_freq" in family.keys),
    }
    known = (*SIZES, *family.keys)
    return {
        "architectures": [f"{family.architecture}ForCausalLM"],
        "model_type": name,
        **{family.renamed.get(key, key): value for key, value in values.items() if key in known},
        "torch_dtype": "float32",
    }


def with_shorter_context(theirs: dict[str, Any], length: int) -> dict[str, Any]:
    """Return the `config.json` of a model with rotary positions for a shorter context."""
    by_layer = "rope_local_base_freq" in family_of(theirs).keys
    rope = rope_parameters.written(
        model_config(theirs), by_layer=by_layer
    )  # with what follows from the context
    return theirs | rope | {"rope_scaling": None, "max_position_embeddings": length}
