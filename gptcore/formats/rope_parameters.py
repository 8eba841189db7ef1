"""Rotary positions in a Hugging Face config: the base, how they are stretched, and how much of a head rotates."""

import math
from collections.abc import Mapping
from typing import Any

from gptcore.config import SCALINGS, ConfigError, ModelConfig, RopeScaling


def read(theirs: Mapping[str, Any], rotates_in_part: bool) -> dict[str, Any]:
    """Return our fields of the rotary positions; `theirs` has a value, or None, for every key of its family.

    Raises ConfigError for a way of stretching that we do not have.
    """
    rope = _rope(theirs)
    theta = float(rope.get("rope_theta") or theirs["rope_theta"])
    fraction = rope.get("partial_rotary_factor") or theirs["partial_rotary_factor"] or 1.0
    kind = _kind(rope)
    if kind not in ("default", *SCALINGS) or kind == "ntk" or (rotates_in_part and kind == "yarn"):
        raise ConfigError(f"rope_type={kind!r} must be one of default, linear, llama3, yarn, dynamic")
    if fraction != 1 and not rotates_in_part:
        if kind != "default":  # transformers fails here as well, with an error about sizes
            raise ConfigError(
                f"partial_rotary_factor={fraction} cannot be combined with rope_type={kind!r} in this family"
            )
        fraction = 1.0  # as transformers ignores it there
    return {"rope_theta": theta, "rope_scaling": _scaling(rope, kind, theirs)} | _fraction(fraction, theirs)


def _fraction(fraction: float, theirs: Mapping[str, Any]) -> dict[str, float]:
    if fraction == 1:
        return {}
    head_dim = theirs["head_dim"] or theirs["hidden_size"] // theirs["num_attention_heads"]
    return {"rotary_fraction": int(head_dim * fraction) / head_dim}


def read_local(theirs: Mapping[str, Any]) -> float:
    """Return the base of the layers with a window, where a family has one of their own."""
    rope = (theirs["rope_parameters"] or {}).get("sliding_attention") or {}
    if _kind(rope) != "default":
        raise ConfigError(f"rope_type={_kind(rope)!r} must be default in layers with a window")
    return float(rope.get("rope_theta") or theirs["rope_local_base_freq"])


def _rope(theirs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what holds for layers without a window; rope_scaling, its older name, comes first."""
    rope = theirs["rope_parameters"] or {}
    if "rope_local_base_freq" in theirs:
        return (rope.get("full_attention") or {}) | (theirs["rope_scaling"] or {})
    return theirs["rope_scaling"] or rope


def _kind(rope: Mapping[str, Any]) -> Any:
    return rope.get("rope_type") or rope.get("type") or "default"


def _scaling(rope: Mapping[str, Any], kind: str, theirs: Mapping[str, Any]) -> RopeScaling | None:
    if kind == "default":
        return None
    original = rope.get("original_max_position_embeddings") or theirs["max_position_embeddings"]
    if kind in ("linear", "dynamic"):
        return RopeScaling(kind=kind, factor=float(rope["factor"]))
    if kind == "llama3":
        return RopeScaling(
            kind="llama3",
            factor=float(rope["factor"]),
            low_freq_factor=float(rope["low_freq_factor"]),
            high_freq_factor=float(rope["high_freq_factor"]),
            original_context_length=original,
        )
    factor = rope.get("factor") or theirs["max_position_embeddings"] / original
    return RopeScaling(
        kind="yarn",
        factor=float(factor),
        low_freq_factor=float(rope.get("beta_slow") or 1),
        high_freq_factor=float(rope.get("beta_fast") or 32),
        original_context_length=original,
        attention_factor=_attention_factor(rope, factor),
        whole_pairs=bool(rope.get("truncate", True)),
    )


def _attention_factor(rope: Mapping[str, Any], factor: float) -> float | None:
    """Return YaRN's factor where a file says it, itself or as a quotient of two (DeepSeek's way), or None."""
    numerator, denominator = rope.get("mscale"), rope.get("mscale_all_dim")
    if rope.get("attention_factor") is not None:
        return float(rope["attention_factor"])
    if not numerator or not denominator:
        return None
    growth = 0.1 * math.log(factor)
    return (numerator * growth + 1) / (denominator * growth + 1)


def written(config: ModelConfig, *, by_layer: bool) -> dict[str, Any]:
    """Return the keys that describe our rotary positions; `by_layer` for a family whose layers differ in them."""
    scaling = config.rope_scaling
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rotary_fraction != 1:
        rope["partial_rotary_factor"] = config.rotary_fraction
    if scaling is not None:
        rope |= {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling is not None and scaling.kind in ("llama3", "yarn"):
        names = (
            ("low_freq_factor", "high_freq_factor")
            if scaling.kind == "llama3"
            else ("beta_slow", "beta_fast")
        )
        rope |= {
            names[0]: scaling.low_freq_factor,
            names[1]: scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_context_length,
        }
    if scaling is not None and scaling.attention_factor is not None:
        rope["attention_factor"] = scaling.attention_factor
    if scaling is not None and not scaling.whole_pairs:
        rope["truncate"] = False
    if not by_layer:
        return {"rope_theta": config.rope_theta, "rope_parameters": rope}
    local = config.window_rope_theta or 10_000.0
    return {
        "rope_theta": config.rope_theta,
        "rope_local_base_freq": local,
        "rope_parameters": {
            "full_attention": rope,
            "sliding_attention": {"rope_type": "default", "rope_theta": local},
        },
    }
