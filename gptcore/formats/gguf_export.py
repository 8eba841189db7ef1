"""Writing a model as a GGUF file, which llama.cpp, and so Ollama and LM Studio, run as it is.

The way goes over Hugging Face's names: `hf_weights` says which family a config belongs to, `gguf_names` what GGUF
calls its weights. The tokenizer goes along with llama.cpp's name for the way it cuts text.
"""

import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from gptcore.config import ConfigError, ModelConfig, RopeScaling
from gptcore.formats import gguf_names, hf_weights
from gptcore.formats.gguf_model import ROPE_FACTORS, llama3_factors
from gptcore.formats.gguf_names import ARCHITECTURES
from gptcore.formats.gguf_tokenizer_export import write_tokenizer
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer

TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
"""What matrices are stored as; vectors are always float32."""

_ARCHITECTURE_OF = {"mistral": "llama", "gemma3_text": "gemma3"}  # by model_type, where the name differs
# What llama.cpp takes for granted of an architecture: every which layer has no window, or does not rotate.
_WINDOW_STEP = {"gemma2": 2, "gemma3": 6}
_ROTATION_STEP = {"smollm3": 4}
_BIASES = {"llama": ("none", "attention", "mlp", "all"), "qwen2": ("qkv",), "gpt2": ("all",)}


class ExportError(ValueError):
    """A file that cannot be written, said in one sentence."""


def export_gguf(model: GPT, tokenizer: Tokenizer, out: str | Path, kind: str = "f32") -> Path:
    """Write a model as a new GGUF file; return it. `kind` is one of TYPES.

    Raises ConfigError naming a part that llama.cpp does not have, TokenizerError for a way to cut text that it
    does not know, ExportError for a file that is there already.
    """
    out = Path(out).absolute()
    if out.exists():
        raise ExportError(f"{out} is there already; give the name of a new file")
    theirs = hf_weights.config_dict(model.config, eot_id=tokenizer.eot_id)
    name = _architecture(theirs, model.config)
    writer = gguf.GGUFWriter(None, name)
    _write_shape(writer, model.config, name)
    write_tokenizer(writer, tokenizer, model.config.vocab_size)
    _write_weights(writer, model, name, kind)
    writer.add_file_type(TYPES[kind][1])
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    os.close(handle)
    try:
        writer.write_header_to_file(Path(fresh))
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        Path(fresh).chmod(0o644)  # mkstemp makes it private
        Path(fresh).replace(out)
    finally:
        Path(fresh).unlink(missing_ok=True)
    return out


def _architecture(theirs: Mapping[str, Any], config: ModelConfig) -> str:
    """Return llama.cpp's name of a family; raises ConfigError where it would compute something else."""
    name = _ARCHITECTURE_OF.get(theirs["model_type"], theirs["model_type"])
    n_layers, kinds = config.n_layers, config.layer_kinds
    if name in _WINDOW_STEP:
        windows = [kind.window is not None for kind in kinds]
    else:
        windows = [kind.window is not None and kind.window < config.context_length for kind in kinds]
    fits = {
        "window": windows == _all_but_each(_WINDOW_STEP.get(name), n_layers, otherwise=False),
        "rope_pattern": [kind.rotates for kind in kinds]
        == _all_but_each(_ROTATION_STEP.get(name), n_layers, otherwise=True),
        "window_rope_theta": name != "gemma3" or config.window_rope_theta in (None, 10_000.0),
        "score_scale": math.isclose(config.score_scale, config.head_dim**-0.5),
        "score_cap": name != "gemma2" or config.score_cap is not None,
        "head_dim": name not in ("phi3", "gpt2") or config.head_dim * config.n_heads == config.d_model,
        "bias": config.bias in _BIASES.get(name, ("none",)),
    }
    for part, same in fits.items():
        if not same:
            raise ConfigError(
                f"{part}={getattr(config, part)} cannot be exported to GGUF, because llama.cpp computes a {name} "
                "model without it; export --to hf"
            )
    return name


def _all_but_each(step: int | None, n_layers: int, *, otherwise: bool) -> list[bool]:
    """Return for each layer whether it is not each `step`-th one; `otherwise` for all where there is no step."""
    return [(layer + 1) % step != 0 if step else otherwise for layer in range(n_layers)]


def _write_shape(writer: gguf.GGUFWriter, config: ModelConfig, name: str) -> None:
    writer.add_name("Glassbox")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_head_count(config.n_heads)
    if config.norm == "layernorm":
        writer.add_layer_norm_eps(config.norm_eps)
    else:
        writer.add_layer_norm_rms_eps(config.norm_eps)
    if config.score_cap is not None:
        writer.add_attn_logit_softcapping(config.score_cap)
    if config.logit_cap is not None:
        writer.add_final_logit_softcapping(config.logit_cap)
    if name in _WINDOW_STEP:
        writer.add_sliding_window(config.window)
    if config.position == "rope":
        writer.add_head_count_kv(config.n_kv_heads)
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        _write_rope(writer, config)


def _write_rope(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    """Write how queries and keys rotate; raises ConfigError for a scaling that llama.cpp does not have."""
    width, scaling = round(config.rotary_fraction * config.head_dim), config.rope_scaling
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(config.rope_theta)
    if scaling is None:
        return
    usual = RopeScaling(
        kind=scaling.kind, factor=scaling.factor, original_context_length=scaling.original_context_length
    )
    if scaling.kind == "llama3":
        limits = (scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_context_length)
        factors = llama3_factors(config.rope_theta, width, scaling.factor, *limits)
        writer.add_tensor(ROPE_FACTORS, np.array(factors, np.float32))
    elif scaling.kind in ("linear", "yarn") and scaling == usual:
        writer.add_rope_scaling_type(gguf.RopeScalingType(scaling.kind))
        writer.add_rope_scaling_factor(scaling.factor)
        writer.add_rope_scaling_orig_ctx_len(scaling.original_context_length)
    else:
        raise ConfigError(
            f"rope_scaling={scaling.kind} with these settings cannot be exported to GGUF, because llama.cpp has "
            "linear, llama3 and yarn with its usual limits; export --to hf"
        )


def _write_weights(writer: gguf.GGUFWriter, model: GPT, name: str, kind: str) -> None:
    architecture = ARCHITECTURES[name]
    heads = {"attn_q": model.config.n_heads, "attn_k": model.config.n_kv_heads}
    for theirs, weight in hf_weights.state_dict(model).items():
        ours = gguf_names.gguf_name(theirs, architecture)
        stored = gguf_names.as_stored(ours, weight.detach().cpu(), architecture, heads)
        values, stored_as = _as_type(stored, TYPES[kind][0])
        writer.add_tensor(ours, values, raw_dtype=stored_as)


def _as_type(
    weight: Tensor, wanted: gguf.GGMLQuantizationType
) -> tuple[np.ndarray, gguf.GGMLQuantizationType]:
    """Return a weight's values in a number format; rows that are no whole number of blocks become float16."""
    values = np.ascontiguousarray(weight.to(torch.float32).numpy())
    if values.ndim < 2:
        wanted = gguf.GGMLQuantizationType.F32
    elif values.shape[-1] % gguf.GGML_QUANT_SIZES[wanted][0]:
        wanted = gguf.GGMLQuantizationType.F16
    return gguf.quants.quantize(values, wanted), wanted
