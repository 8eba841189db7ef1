"""What a model costs, by arithmetic from its config: parameters and bytes."""

from gptcore.config import ModelConfig
from gptcore.feedforward import FEEDFORWARDS
from gptcore.norms import NORMS


def parameters(config: ModelConfig) -> dict[str, int]:
    """Return the weights of each part, counted over all layers; a tied output layer adds none."""
    c, f, layers = config.d_model, config.d_ff, config.n_layers
    queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    qkv_bias = (queries + 2 * keys) if config.bias in ("qkv", "all") else 0
    all_bias = config.bias == "all"
    gain = NORMS[config.norm].n_weights(c, all_bias)
    norms_in_block = 2 * len(config.norm_position.split("+"))
    matrices = FEEDFORWARDS[config.ffn].n_matrices
    return {
        "embedding": config.vocab_size * c,
        "positions": config.context_length * c if config.position == "learned" else 0,
        "attention": layers * (2 * c * queries + 2 * c * keys + qkv_bias + all_bias * c),
        "feedforward": layers * (matrices * c * f + all_bias * ((matrices - 1) * f + c)),
        "norms": layers * (norms_in_block * gain + 2 * config.head_dim * config.qk_norm)
        + (0 if config.norm_position == "post" else gain),
        "output": 0 if config.tie_embeddings else config.vocab_size * c,
    }


def n_parameters(config: ModelConfig) -> int:
    """Return the weights of a model, without building it."""
    return sum(parameters(config).values())


def training_bytes(config: ModelConfig) -> int:
    """Return the bytes AdamW in fp32 holds before any activation: weights, gradients, two moments."""
    return 16 * n_parameters(config)


def cache_bytes(config: ModelConfig, n_positions: int, batch_size: int = 1, bytes_per_value: int = 4) -> int:
    """Return the bytes a KV cache of `n_positions` takes: keys and values, every layer, every key/value head."""
    return (
        2 * config.n_layers * batch_size * config.n_kv_heads * config.head_dim * n_positions * bytes_per_value
    )


def forward_flops(config: ModelConfig, n_tokens: int, batch_size: int = 1) -> dict[str, int]:
    """Return the multiplications and additions of one forward pass over (B, T) tokens, by part.

    Matrix products alone, two operations for each weight and token, which is what hardware rates count; norms,
    softmax and rotations are some per cent on top. `scores` are the two products with (T, T) weights, counted in
    full as the explicit path computes them; a causal kernel may skip nearly half. A training step takes three
    times as many: the backward pass makes two products for each of the forward pass.
    """
    c, layers, tokens = config.d_model, config.n_layers, batch_size * n_tokens
    queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    return {
        "attention": 2 * tokens * layers * (2 * c * queries + 2 * c * keys),
        "scores": 4 * batch_size * layers * n_tokens**2 * queries,
        "feedforward": 2 * tokens * layers * FEEDFORWARDS[config.ffn].n_matrices * c * config.d_ff,
        "output": 2 * tokens * c * config.vocab_size,
    }
