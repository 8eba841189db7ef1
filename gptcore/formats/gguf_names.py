"""What GGUF and Hugging Face call the same weights, for each architecture that both can hold.

The query matrix of layer 3 is `blk.3.attn_q` in one and `self_attn.q_proj` of its layer in the other. Three
things differ besides names. Llama's queries and keys are stored with the two halves of each head interleaved,
because llama.cpp rotates neighbors and transformers rotates halves. Gemma's norms are stored with the 1 that the
model adds to them. GPT-2's matrices are stored as (out, in), where transformers has (in, out).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LLAMA = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_QK_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_POST_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GEMMA2 = _LLAMA | _POST_NORMS | {"ffn_norm": "pre_feedforward_layernorm"}
_OLMO2 = (
    {name: theirs for name, theirs in _LLAMA.items() if not name.endswith("norm")} | _QK_NORMS | _POST_NORMS
)
_PHI3 = {
    name: theirs for name, theirs in _LLAMA.items() if name not in ("attn_q", "attn_k", "attn_v", "ffn_gate")
}
_GPT2_OUTER = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
_GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """How the weights of one architecture are named and stored in a GGUF file."""

    inner: Mapping[str, str]
    outer: Mapping[str, str] = field(default_factory=lambda: _OUTER)
    layer: str = "model.layers"
    interleaved: bool = False  # the halves of each head of queries and keys
    norm_plus_one: bool = False
    transposed: bool = False


ARCHITECTURES = {
    "llama": Architecture(inner=_LLAMA, interleaved=True),
    "qwen2": Architecture(inner=_LLAMA),
    "qwen3": Architecture(inner=_LLAMA | _QK_NORMS),
    "gemma": Architecture(inner=_LLAMA, norm_plus_one=True),
    "gemma2": Architecture(inner=_GEMMA2, norm_plus_one=True),
    "gemma3": Architecture(inner=_GEMMA2 | _QK_NORMS, norm_plus_one=True),
    "olmo2": Architecture(inner=_OLMO2),
    "phi3": Architecture(inner=_PHI3 | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}),
    "smollm3": Architecture(inner=_LLAMA, interleaved=True),
    "gpt2": Architecture(inner=_GPT2, outer=_GPT2_OUTER, layer="transformer.h", transposed=True),
}
NOT_WEIGHTS = ("rope_freqs.weight",)  # factors that the config says as well

_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_OUTSIDE = re.compile(r"(\w+)\.(weight|bias)")


def hf_name(name: str, architecture: Architecture) -> str | None:
    """Return Hugging Face's name of a GGUF tensor, None for one that it does not have.

    >>> hf_name("blk.3.attn_q.weight", ARCHITECTURES["llama"])
    'model.layers.3.self_attn.q_proj.weight'
    """
    if match := _BLOCK.fullmatch(name):
        layer, part, end = match.groups()
        theirs = architecture.inner.get(part)
        return theirs and f"{architecture.layer}.{int(layer)}.{theirs}.{end}"
    match = _OUTSIDE.fullmatch(name)
    theirs = architecture.outer.get(match[1]) if match else None
    return theirs and f"{theirs}.{match[2]}"


def gguf_name(name: str, architecture: Architecture) -> str:
    """Return GGUF's name of one of Hugging Face's weights; KeyError for one that it does not have."""
    stem, _, end = name.rpartition(".")
    outer = {theirs: ours for ours, theirs in architecture.outer.items()}
    if stem in outer:
        return f"{outer[stem]}.{end}"
    layer, _, rest = stem.removeprefix(f"{architecture.layer}.").partition(".")
    inner = {theirs: ours for ours, theirs in architecture.inner.items()}
    return f"blk.{layer}.{inner[rest]}.{end}"


def as_stored(name: str, weight: Tensor, architecture: Architecture, heads: Mapping[str, int]) -> Tensor:
    """Return a weight as a GGUF file holds it; `name` is GGUF's, `heads` the number in attn_q and in attn_k."""
    return _changed(name, weight, architecture, heads, interleave, 1.0)


def as_loaded(name: str, weight: Tensor, architecture: Architecture, heads: Mapping[str, int]) -> Tensor:
    """Return a weight as Hugging Face has it; the inverse of `as_stored`."""
    return _changed(name, weight, architecture, heads, join_halves, -1.0)


def _changed(
    name: str,
    weight: Tensor,
    architecture: Architecture,
    heads: Mapping[str, int],
    reorder: Callable[[Tensor, int], Tensor],
    sign: float,
) -> Tensor:
    part = name.split(".")[-2]
    if architecture.interleaved and part in heads:
        return reorder(weight, heads[part])
    if architecture.norm_plus_one and part.endswith("norm"):
        return weight + sign
    if architecture.transposed and weight.ndim == 2 and name.startswith("blk."):
        return weight.T
    return weight


def interleave(weight: Tensor, n_heads: int) -> Tensor:
    """Return the rows of each head (D, …) as 0, D/2, 1, D/2 + 1, …"""
    halves = weight.unflatten(0, (n_heads, 2, -1))  # (H, 2, D/2, …)
    return halves.transpose(1, 2).flatten(0, 2)


def join_halves(weight: Tensor, n_heads: int) -> Tensor:
    """Return interleaved rows of each head in two halves again."""
    pairs = weight.unflatten(0, (n_heads, -1, 2))  # (H, D/2, 2, …)
    return pairs.transpose(1, 2).flatten(0, 2)
