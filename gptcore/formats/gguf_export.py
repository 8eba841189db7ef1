"""Writing a model as a GGUF file, which llama.cpp, and so Ollama and LM Studio, run as it is.

The way goes over Hugging Face's names: `hf_weights` says which family a config belongs to, `gguf_names` what GGUF
calls its weights. The tokenizer goes along with llama.cpp's name for the way it cuts text.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from gptcore.config import ConfigError, ModelConfig
from gptcore.formats import gguf_names, hf_weights
from gptcore.formats.gguf_model import LLAMA3_SCALING, ROPE_FACTORS, llama3_factors
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
_LLAMA_KIND = ("llama", "qwen2", "qwen3")


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
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    os.close(handle)
    try:
        writer = gguf.GGUFWriter(fresh, name)
        _write_shape(writer, model.config, theirs)
        write_tokenizer(writer, tokenizer, model.config.vocab_size)
        _write_weights(writer, model, name, kind)
        writer.add_file_type(TYPES[kind][1])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        Path(fresh).chmod(0o644)  # mkstemp makes it private
        Path(fresh).replace(out)
    finally:
        Path(fresh).unlink(missing_ok=True)
    return out


def _architecture(theirs: Mapping[str, Any], config: ModelConfig) -> str:
    """Return llama.cpp's name of a family; raises ConfigError for what it does not have."""
    name = _ARCHITECTURE_OF.get(theirs["model_type"], theirs["model_type"])
    if name not in _LLAMA_KIND:
        raise ConfigError(f"model_type={name} is not written as GGUF; {', '.join(_LLAMA_KIND)} are")
    if config.window is not None and config.window < config.context_length:
        raise ConfigError(
            f"window={config.window} has no place in a GGUF file of {name}; llama.cpp lets it attend to everything"
        )
    return name


def _write_shape(writer: gguf.GGUFWriter, config: ModelConfig, theirs: Mapping[str, Any]) -> None:
    writer.add_name("Glassbox")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    rope = theirs["rope_parameters"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "llama3":
        settings = [rope[name] for name in ("factor", *LLAMA3_SCALING)]
        factors = llama3_factors(rope["rope_theta"], config.head_dim, *settings)
        writer.add_tensor(ROPE_FACTORS, np.array(factors, np.float32))
    elif rope["rope_type"] != "default":
        raise ConfigError(f"rope_scaling={rope['rope_type']} is not written as GGUF; linear and llama3 are")


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
