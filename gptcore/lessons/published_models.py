"""Models whose shapes are public, as configs of ours, with the number of weights their files hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from gptcore.config import PRESETS, ModelConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A published model: its config, the count of weights its own files sum to, and where the shape stands."""

    config: ModelConfig
    n_parameters: int
    source: str


def _llama(vocab_size: int, d_model: int, n_layers: int, n_heads: int, n_kv_heads: int, d_ff: int, **more):
    return ModelConfig(
        vocab_size=vocab_size, d_model=d_model, n_layers=n_layers, n_heads=n_heads, n_kv_heads=n_kv_heads,
        d_ff=d_ff, **{"context_length": 8192, "tie_embeddings": False} | more,
    )  # fmt: skip


PUBLISHED: Mapping[str, Published] = {
    "GPT-2 small": Published(
        config=ModelConfig(
            vocab_size=50_257,
            context_length=1024,
            d_model=768,
            n_layers=12,
            n_heads=12,
            d_ff=3072,
            norm="layernorm",
            ffn="gelu",
            position="learned",
            bias="all",
        ),
        n_parameters=124_439_808,
        source="Radford et al. 2019; config.json of openai-community/gpt2",
    ),
    "Llama 3.2 1B": Published(
        config=_llama(128_256, 2048, 16, 32, 8, 8192, rope_theta=500_000.0, tie_embeddings=True),
        n_parameters=1_235_814_400,
        source="config.json of meta-llama/Llama-3.2-1B",
    ),
    "LLaMA 2 7B": Published(
        config=_llama(32_000, 4096, 32, 32, 32, 11_008, context_length=4096),
        n_parameters=6_738_415_616,
        source="Touvron et al. 2023; config.json of meta-llama/Llama-2-7b-hf",
    ),
    "LLaMA 2 70B": Published(
        config=_llama(32_000, 8192, 80, 64, 8, 28_672, context_length=4096),
        n_parameters=68_976_648_192,
        source="Touvron et al. 2023; config.json of meta-llama/Llama-2-70b-hf",
    ),
    "Mistral 7B": Published(
        config=_llama(32_000, 4096, 32, 32, 8, 14_336, window=4096),
        n_parameters=7_241_732_096,
        source="Jiang et al. 2023; config.json of mistralai/Mistral-7B-v0.1",
    ),
    "Qwen 2.5 7B": Published(
        config=_llama(152_064, 3584, 28, 28, 4, 18_944, bias="qkv", rope_theta=1_000_000.0),
        n_parameters=7_615_616_512,
        source="Qwen team 2024; config.json of Qwen/Qwen2.5-7B",
    ),
    "LLaMA 3 8B": Published(
        config=_llama(128_256, 4096, 32, 32, 8, 14_336, rope_theta=500_000.0),
        n_parameters=8_030_261_248,
        source="Grattafiori et al. 2024; config.json of meta-llama/Meta-Llama-3-8B",
    ),
}

MODEL_CONFIGS: Mapping[str, ModelConfig] = {
    **{name: PRESETS[name].model for name in ("nano", "tiny", "small")},
    **{name: published.config for name, published in PUBLISHED.items()},
}
