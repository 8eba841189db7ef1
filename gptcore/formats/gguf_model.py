"""A model from a GGUF file: its metadata becomes a Hugging Face config, its tensors a Hugging Face state dict.

What a family's config means and how its weights become ours is then said in `hf_weights`, for both formats.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gptcore.account import check_memory, model_bytes
from gptcore.bpe import shortened
from gptcore.config import ConfigError, ModelConfig
from gptcore.formats import gguf_names, hf_folder, hf_weights
from gptcore.formats.gguf_file import GgufError, GgufFile, read_head
from gptcore.formats.gguf_names import ARCHITECTURES, Architecture
from gptcore.formats.gguf_tokenizer import read_tokenizer
from gptcore.formats.hf_config import with_shorter_context
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer

ROPE_FACTORS = "rope_freqs.weight"  # Llama 3.1's slower frequencies, each with its factor
LLAMA3_SCALING = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def load_gguf(path: str | Path, *, longest_context: int | None = None) -> tuple[GPT, Tokenizer | None]:
    """Return the model in fp32 and the tokenizer of a GGUF file, None where it holds no tokenizer.

    A longer context than `longest_context` is shortened, which changes no shorter text where positions rotate.
    Raises ValueError in one sentence for a file that is damaged, or holds what is not supported, naming it.
    """
    file = _head(path)
    theirs, config = _described(file, longest_context)
    check_memory(model_bytes(config), f"the model in {path}")
    architecture = ARCHITECTURES[file.metadata["general.architecture"]]
    names = _names(file, architecture)
    shapes = {name: ("F32", _shape(file, ours, architecture)) for name, ours in names.items()}
    hf_folder.check_shapes(shapes, config, theirs)
    tokenizer = read_tokenizer(file)
    if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise GgufError(
            f"{path} has {tokenizer.vocab_size} tokens and its model only vocab_size={config.vocab_size}"
        )
    heads = {"attn_q": config.n_heads, "attn_k": config.n_kv_heads}
    return hf_weights.load_llama(_Weights(names, file, architecture, heads), theirs), tokenizer


def read_config(path: str | Path, *, longest_context: int | None = None) -> ModelConfig:
    """Return the config that `load_gguf` would build; raises ValueError as it does."""
    return _described(_head(path), longest_context)[1]


def _head(path: str | Path) -> GgufFile:
    try:
        return read_head(path)
    except OSError as error:
        raise GgufError(f"{path} can't be read: {error.strerror}") from error


def _described(file: GgufFile, longest_context: int | None) -> tuple[dict[str, Any], ModelConfig]:
    """Return a file's config as Hugging Face's and as ours; raises ValueError for what is missing or not supported."""
    try:
        theirs = hf_config(file)
        config = hf_weights.model_config(theirs)
        if (
            longest_context is not None
            and config.position == "rope"
            and config.context_length > longest_context
        ):
            theirs = with_shorter_context(theirs, longest_context)
            config = hf_weights.model_config(theirs)
    except (ConfigError, GgufError):
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise GgufError(f"{file.path} is damaged: {type(error).__name__} {error}") from error
    return theirs, config


class _Weights(dict):
    """GGUF's name by Hugging Face's, whose values are read and dequantized when they are asked for."""

    def __init__(
        self, names: Mapping[str, str], file: GgufFile, architecture: Architecture, heads: Mapping[str, int]
    ) -> None:
        super().__init__(names)
        self.file, self.architecture, self.heads = file, architecture, heads

    def __getitem__(self, name: str) -> Tensor:
        ours = super().__getitem__(name)
        return gguf_names.as_loaded(ours, self.file.read(ours), self.architecture, self.heads)


def _names(file: GgufFile, architecture: Architecture) -> dict[str, str]:
    names = {}
    for ours in file.tensors:
        theirs = gguf_names.hf_name(ours, architecture)
        if theirs is not None:
            names[theirs] = ours
        elif ours not in gguf_names.NOT_WEIGHTS:
            raise GgufError(f"{file.path} holds {shortened(ours)}, which its architecture has no place for")
    return names


def _shape(file: GgufFile, name: str, architecture: Architecture) -> list[int]:
    shape = list(file.tensors[name].shape)
    return shape[::-1] if architecture.transposed and len(shape) == 2 and name.startswith("blk.") else shape


def hf_config(file: GgufFile) -> dict[str, Any]:
    """Return the config.json that a model would have as a Hugging Face folder; raises GgufError or ConfigError."""
    name = file.metadata.get("general.architecture")
    if name not in ARCHITECTURES:
        raise GgufError(
            f"{file.path} has the architecture {shortened(name)}, which is none of {', '.join(ARCHITECTURES)}"
        )
    read = _Metadata(file, name)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise GgufError(f"{file.path} holds no token_embd.weight: it is no language model, or a part of one")
    n_layers = read.number("block_count")
    if n_layers > len(file.tensors):
        raise GgufError(
            f"{file.path} is damaged: it has {n_layers:,} layers and {len(file.tensors):,} tensors"
        )
    n_heads = read.number("attention.head_count")
    values = {
        "model_type": name,
        "vocab_size": embedding.shape[0],
        "max_position_embeddings": read.number("context_length"),
        "hidden_size": read.number("embedding_length"),
        "num_hidden_layers": n_layers,
        "intermediate_size": read.number("feed_forward_length"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": read.number("attention.head_count_kv", n_heads),
        "rms_norm_eps": read.number("attention.layer_norm_rms_epsilon", 1e-5),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": "blk.0.attn_output.bias" in file.tensors,
        "mlp_bias": "blk.0.ffn_down.bias" in file.tensors,
    }
    head_dim = read.number("attention.key_length", 0)
    if head_dim:
        values["head_dim"] = head_dim
    return values | _rope(read, file) | _FAMILIES.get(name, lambda read, values: {})(read, values)


class _Metadata:
    """The numbers of one architecture in a file's metadata."""

    def __init__(self, file: GgufFile, architecture: str) -> None:
        self.file, self.architecture = file, architecture

    def number(self, name: str, default: float | None = None) -> Any:
        """Return a number, whole or not; raises GgufError where the file holds none, or one for each layer."""
        value = self.file.metadata.get(f"{self.architecture}.{name}", default)
        if isinstance(value, np.ndarray) and len(set(value.tolist())) == 1:
            value = value[0].item()
        if not isinstance(value, int | float) or isinstance(value, bool):
            what = "lacks" if value is None else "has no single number as"
            raise GgufError(f"{self.file.path} {what} {self.architecture}.{name}")
        return value

    def text(self, name: str) -> str | None:
        value = self.file.metadata.get(f"{self.architecture}.{name}")
        return value if isinstance(value, str) else None


def _rope(read: _Metadata, file: GgufFile) -> dict[str, Any]:
    """Return what a config says about rotary positions."""
    theta = float(read.number("rope.freq_base", 10_000.0))
    kind = read.text("rope.scaling.type") or "none"
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": theta}
    if ROPE_FACTORS in file.tensors:
        rope |= _llama3_scaling(file.read(ROPE_FACTORS).tolist(), theta)
    elif kind != "none":
        rope |= {"rope_type": kind, "factor": float(read.number("rope.scaling.factor"))}
        if kind == "yarn":
            original = read.number("rope.scaling.original_context_length", read.number("context_length"))
            rope["original_max_position_embeddings"] = original
    return {"rope_theta": theta, "rope_scaling": rope}


def _llama3_scaling(factors: list[float], theta: float) -> dict[str, Any]:
    """Return the settings of Llama 3.1's scaling that give these factors; raises ConfigError if there are none."""
    low, high, usual = LLAMA3_SCALING.values()
    factor, head_dim = max(factors), 2 * len(factors)
    if factor == 1:
        return {}
    # A factor between 1 and the whole tells how often its wave fits into the original context.
    between = [
        theta ** (2 * i / head_dim)
        * 2
        * math.pi
        * (low + (1 / f - 1 / factor) / (1 - 1 / factor) * (high - low))
        for i, f in enumerate(factors)
        if 1.001 < f < 0.999 * factor
    ]
    original = round(between[0]) if between else usual
    if not np.allclose(llama3_factors(theta, head_dim, factor, low, high, original), factors, rtol=1e-3):
        raise ConfigError(f"{ROPE_FACTORS} must contain the factors of Llama 3.1; others are not supported")
    settings = LLAMA3_SCALING | {"original_max_position_embeddings": original}
    return {"rope_type": "llama3", "factor": factor, **settings}


def llama3_factors(
    theta: float, head_dim: int, factor: float, low: float, high: float, original: int
) -> list[float]:
    """Return what each of the D/2 frequencies is divided by in Llama 3.1's scaling.

    Waves that fit `high` times into the original context keep their frequency; those that fit less than `low`
    times get the whole factor; between them it grows smoothly.
    """
    factors = []
    for index in range(head_dim // 2):
        wavelength = 2 * math.pi * theta ** (2 * index / head_dim)
        kept = min(
            1.0, max(0.0, (original / wavelength - low) / (high - low))
        )  # 1: kept, 0: divided by factor
        factors.append(1 / (kept + (1 - kept) / factor))
    return factors


def _gpt2(read: _Metadata, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "n_positions": values["max_position_embeddings"],
        "n_embd": values["hidden_size"],
        "n_layer": values["num_hidden_layers"],
        "n_head": values["num_attention_heads"],
        "n_inner": values["intermediate_size"],
        "layer_norm_epsilon": read.number("attention.layer_norm_epsilon", 1e-5),
        "activation_function": "gelu_new",
    }


def _gemma(read: _Metadata, values: Mapping[str, Any]) -> dict[str, Any]:
    read.number("attention.key_length")  # its heads are wider than d_model / n_heads
    return {
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
        "head_dim": values["head_dim"],
    }


def _gemma2(read: _Metadata, values: Mapping[str, Any]) -> dict[str, Any]:
    return _gemma(read, values) | {
        "query_pre_attn_scalar": values["head_dim"],
        "attn_logit_softcapping": read.number("attn_logit_softcapping", 50.0),
        "final_logit_softcapping": read.number("final_logit_softcapping", 30.0),
        "sliding_window": read.number("attention.sliding_window"),
    }


def _gemma3(read: _Metadata, values: Mapping[str, Any]) -> dict[str, Any]:
    return _gemma(read, values) | {
        "model_type": "gemma3_text",
        "query_pre_attn_scalar": values["head_dim"],
        "sliding_window": read.number("attention.sliding_window"),
        "sliding_window_pattern": 6,
        "rope_local_base_freq": 10_000.0,
    }


def _phi3(read: _Metadata, values: Mapping[str, Any]) -> dict[str, Any]:
    head_dim = values.get("head_dim") or values["hidden_size"] // values["num_attention_heads"]
    fraction = read.number("rope.dimension_count", head_dim) / head_dim
    return {
        "sliding_window": None,
        "partial_rotary_factor": fraction,
    }  # llama.cpp has no window there, either


def _smollm3(read: _Metadata, values: Mapping[str, Any]) -> dict[str, Any]:
    n_layers = values["num_hidden_layers"]
    return {"no_rope_layer_interval": 4, "no_rope_layers": [int((i + 1) % 4 != 0) for i in range(n_layers)]}


_FAMILIES = {
    "gpt2": _gpt2,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "phi3": _phi3,
    "smollm3": _smollm3,
}  # what the config of a family says beyond that of Llama
