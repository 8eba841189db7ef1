"""The cost of a model, computed from its config: parameters, bytes and FLOPs."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from gptcore.config import ConfigError, ModelConfig, TrainConfig
from gptcore.feedforward import FEEDFORWARDS
from gptcore.norms import NORMS
from gptcore.resources import available_memory

PARTS = ("embedding", "positions", "attention", "feedforward", "norms", "output")
_BLOCK_MATRICES = ("queries", "keys and values", "output projection", "matrices")


@dataclass(frozen=True, slots=True)
class Summand:
    """One product in the sum of a model's parameters, with its part of the model, its name and its factors by
    letter."""

    part: str
    name: str
    factors: Mapping[str, int]

    @property
    def count(self) -> int:
        """Return the number of parameters."""
        return prod(self.factors.values())


def summands(config: ModelConfig) -> list[Summand]:
    """Return the products whose sum is the number of parameters, without those that are 0.

    The letters are those of the package; `n` is a plain number: matrices in a feed-forward layer, norms in a block.
    """
    c, f, layers = config.d_model, config.d_ff, config.n_layers
    h, k, d = config.n_heads, config.n_kv_heads, config.head_dim
    qkv_bias, o_bias = config.bias in ("qkv", "attention", "all"), config.bias in ("attention", "all")
    mlp_bias, norm_bias = config.bias in ("mlp", "all"), config.bias == "all"
    matrices = FEEDFORWARDS[config.ffn].n_matrices
    vectors = NORMS[config.norm].n_weights(1, norm_bias)  # a gain, a gain and a shift, or nothing
    norms = 2 * len(config.norm_position.split("+"))
    qk_norms = config.qk_norm * (2 if config.qk_norm_width == "head" else h + k)
    products = [
        Summand("embedding", "embedding matrix", {"V": config.vocab_size, "C": c}),
        Summand("positions", "position table", {"T": (config.position == "learned") * config.context_length, "C": c}),
        Summand("attention", "queries", {"L": layers, "C": c, "H": h, "D": d}),
        Summand("attention", "keys and values", {"n": 2, "L": layers, "C": c, "K": k, "D": d}),
        Summand("attention", "output projection", {"L": layers, "H": h, "D": d, "C": c}),
        Summand("attention", "query biases", {"n": qkv_bias, "L": layers, "H": h, "D": d}),
        Summand("attention", "key and value biases", {"n": 2 * qkv_bias, "L": layers, "K": k, "D": d}),
        Summand("attention", "output bias", {"n": o_bias, "L": layers, "C": c}),
        Summand("feedforward", "matrices", {"n": matrices, "L": layers, "C": c, "F": f}),
        Summand("feedforward", "inner biases", {"n": mlp_bias * (matrices - 1), "L": layers, "F": f}),
        Summand("feedforward", "output bias", {"n": mlp_bias, "L": layers, "C": c}),
        Summand("norms", "in the blocks", {"n": norms * vectors, "L": layers, "C": c}),
        Summand("norms", "on queries and keys", {"n": qk_norms, "L": layers, "D": d}),
        Summand("norms", "at the end", {"n": (config.norm_position != "post") * vectors, "C": c}),
        Summand("output", "output matrix", {"V": (not config.tie_embeddings) * config.vocab_size, "C": c}),
    ]  # fmt: skip
    return [product for product in products if product.count]


def parameters(config: ModelConfig) -> dict[str, int]:
    """Return the parameters of each part, over all layers; a tied output layer adds none."""
    counts = dict.fromkeys(PARTS, 0)
    for product in summands(config):
        counts[product.part] += product.count
    return counts


def n_parameters(config: ModelConfig) -> int:
    """Return the number of parameters of a model, without building it."""
    return sum(parameters(config).values())


def training_bytes(config: ModelConfig, optimizer: str = "adamw") -> int:
    """Return the bytes of training in fp32, activations not counted: weights, gradients and the optimizer's state.

    AdamW keeps two moments for each parameter, Muon one for those of the blocks' matrices.
    """
    muon = sum(product.count for product in summands(config) if product.name in _BLOCK_MATRICES)
    return 16 * n_parameters(config) - 4 * (optimizer == "muon") * muon


def step_bytes(config: ModelConfig, train: TrainConfig, n_windows: int, window: int) -> int:
    """Return a lower bound of the bytes of a training step over windows (B, T).

    To `training_bytes` it adds what the backward pass needs: the inputs of each layer's products and of its
    activation, in 16 bits if the precision may be low, the inputs of its norms, and the logits.
    """
    bytes_per_value = 4 if train.precision == "fp32" else 2
    heads = (2 * config.n_heads + 2 * config.n_kv_heads) * config.head_dim
    hidden = FEEDFORWARDS[config.ffn].n_matrices * config.d_ff  # of SwiGLU: gate, up and their product
    by_layer = bytes_per_value * (2 * config.d_model + heads + hidden) + 4 * 2 * config.d_model
    kept = config.n_layers * by_layer + bytes_per_value * config.vocab_size
    return training_bytes(config, train.optimizer) + n_windows * window * kept


def model_bytes(config: ModelConfig) -> int:
    """Return the bytes of a model in fp32: its weights, and its tables of fixed positions if it has some."""
    rope = 2 * config.head_dim * (1 if config.window_rope_theta is None else 2)
    table = {"rope": rope, "sinusoidal": config.d_model}.get(config.position, 0)
    return 4 * (n_parameters(config) + config.context_length * table)


def check_memory(n_bytes: int, what: str, available: int | None = None) -> None:
    """Raise ConfigError if `what` needs more bytes than are available, by default on this machine.

    >>> check_memory(10**12, "this model", available=10**9)
    Traceback (most recent call last):
    gptcore.config.ConfigError: this model needs 1,000.0 GB of memory, and 1.0 GB are available; choose smaller sizes
    """
    available = available_memory() if available is None else available
    if n_bytes > available:
        needed = f"{n_bytes / 1e9:,.1f}" if n_bytes < 10**15 else f"about 10^{len(str(n_bytes)) - 10}"
        raise ConfigError(
            f"{what} needs {needed} GB of memory, and {available / 1e9:,.1f} GB are available; "
            "choose smaller sizes"
        )


def cache_bytes(config: ModelConfig, n_positions: int, batch_size: int = 1, bytes_per_value: int = 4) -> int:
    """Return the bytes of a KV cache of `n_positions`: keys and values of every layer and key/value head."""
    return (
        2 * config.n_layers * batch_size * config.n_kv_heads * config.head_dim * n_positions * bytes_per_value
    )


def forward_flops(config: ModelConfig, n_tokens: int, batch_size: int = 1) -> dict[str, int]:
    """Return the FLOPs of one forward pass over (B, T) tokens, by part.

    Only matrix products are counted, two FLOPs for each weight and token, as hardware rates do; norms, softmax and
    rotations add a few percent. `scores` are the two products with (T, T) weights, counted in full as the explicit
    path computes them; a causal kernel may skip nearly half. A training step takes three times as many, because the
    backward pass computes two products for each product of the forward pass.
    """
    c, layers, tokens = config.d_model, config.n_layers, batch_size * n_tokens
    queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    return {
        "attention": 2 * tokens * layers * (2 * c * queries + 2 * c * keys),
        "scores": 4 * batch_size * layers * n_tokens**2 * queries,
        "feedforward": 2 * tokens * layers * FEEDFORWARDS[config.ffn].n_matrices * c * config.d_ff,
        "output": 2 * tokens * c * config.vocab_size,
    }
