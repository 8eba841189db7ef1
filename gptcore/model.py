"""The whole model: tokens to vectors, a stack of blocks, vectors to a score for every possible next token."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcore.attention import Attention, allowed_pairs
from gptcore.cache import KVCache
from gptcore.config import LayerKind, ModelConfig
from gptcore.feedforward import FEEDFORWARDS
from gptcore.initialization import Embedding, Linear, initialize
from gptcore.losses import cross_entropy
from gptcore.norms import NORMS, soft_cap
from gptcore.positions import POSITIONS, NoPositions, RotaryPositions
from gptcore.tracing import Scope, record, scope


class Block(nn.Module):
    """Attention, then feed-forward, each added to the residual stream: (B, T, C) -> (B, T, C).

    The norm can come before a sub-layer (`pre`, GPT-2 and LLaMA), after the sum (`post`, the 2017 Transformer), on
    the sub-layer's output before the sum (`branch`, OLMo 2), or before and on it (`pre+branch`, Gemma 2).
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.config = config
        self.attention = Attention(config, layer)
        self.feedforward = FEEDFORWARDS[config.ffn](
            config.d_model, config.d_ff, config.bias in ("mlp", "all")
        )
        for name in ("attention", "feedforward"):
            for norm_position in config.norm_position.split("+"):
                setattr(self, f"{name}_{norm_position}_norm", make_norm(config))

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor] | None = None,
        allowed: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Scope = None,
        path: str = "fused",
    ) -> Tensor:
        def attn(h: Tensor) -> Tensor:
            return self.attention(h, angles, allowed, cache, scope(trace, "attention"), path)

        def ffn(h: Tensor) -> Tensor:
            return self.feedforward(h, scope(trace, "feedforward"))

        x = self.sub_layer("attention", attn, x, trace)
        return self.sub_layer("feedforward", ffn, x, trace)

    def sub_layer(self, name: str, compute, x: Tensor, trace: Scope = None) -> Tensor:
        """Run one sub-layer with its norms where the config puts them, and add its output to the residual stream."""
        norm_position = self.config.norm_position
        h = x
        if norm_position.startswith("pre"):
            h = record(trace, f"{name}_normed", getattr(self, f"{name}_pre_norm")(h))
        h = record(trace, f"{name}_output", maybe_dropout(compute(h), self))
        if norm_position.endswith("branch"):
            h = record(trace, f"{name}_output_normed", getattr(self, f"{name}_branch_norm")(h))
        x = record(trace, f"after_{name}", x + h if self.config.residual else h)
        if norm_position == "post":
            x = record(trace, f"after_{name}_normed", getattr(self, f"{name}_post_norm")(x))
        return x


def maybe_dropout(x: Tensor, part: nn.Module) -> Tensor:
    """Zero a random fraction of the values while `part` trains, if its config asks for dropout: same shape."""
    return F.dropout(x, part.config.dropout, part.training) if part.config.dropout else x


def make_norm(config: ModelConfig) -> nn.Module:
    """Return a new norm of the config's kind over the model's width."""
    return NORMS[config.norm](config.d_model, config.norm_eps, bias=config.bias == "all")


def make_positions(config: ModelConfig) -> NoPositions:
    """Return the new position scheme; its `windowed`, if there is one, is that of the layers with a window."""
    sizes = config.d_model, config.head_dim, config.context_length
    fraction = () if config.rotary_fraction == 1 else (config.rotary_fraction,)
    positions = POSITIONS[config.position](*sizes, config.rope_theta, config.rope_scaling, *fraction)
    if config.window_rope_theta is not None:
        positions.windowed = RotaryPositions(*sizes, config.window_rope_theta, None, *fraction)
    return positions


def make_output(config: ModelConfig) -> Linear:
    """Return the new output layer, which gives a logit for each token of the vocabulary: (..., C) -> (..., V)."""
    if config.logit_cap is None:
        return Linear(config.d_model, config.vocab_size, bias=False)
    return CappedLinear(config.d_model, config.vocab_size, config.logit_cap)


class CappedLinear(Linear):
    """A matrix product whose results a soft cap keeps in bounds: (..., in) -> (..., out)."""

    def __init__(self, n_in: int, n_out: int, cap: float):
        super().__init__(n_in, n_out, bias=False)
        self.cap = cap

    def forward(self, x: Tensor) -> Tensor:
        return soft_cap(super().forward(x), self.cap)


class GPT(nn.Module):
    """A decoder-only Transformer: ids (B, T) in, logits (B, T, V) out.

    A logit is the score of one token as the next; softmax turns the V scores of a position into probabilities.
    The model keeps no state between calls: a cache or a trace belongs to the caller.
    """

    def __init__(self, config: ModelConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.layer_kinds = config, config.layer_kinds
        self.embedding = Embedding(config.vocab_size, config.d_model)
        self.positions = make_positions(config)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        # With post-norm the last block has already normalized its output.
        self.final_norm = nn.Identity() if config.norm_position == "post" else make_norm(config)
        self.output = make_output(config)
        if config.tie_embeddings:
            self.output.weight = self.embedding.weight  # one table embeds tokens and scores them
        initialize(self, seed, config.n_layers)

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.weight.dtype

    def hidden(
        self,
        ids: Tensor,
        cache: KVCache | None = None,
        trace: Scope = None,
        path: str = "fused",
    ) -> Tensor:
        """Return the last block's output at every position, normalized: ids (B, T) -> (B, T, C)."""
        n_tokens, start = ids.shape[1], cache.length if cache is not None else 0
        if start + n_tokens > self.config.context_length:
            raise ValueError(
                f"{start + n_tokens} tokens exceed the model's context_length={self.config.context_length}; "
                "shorten the text"
            )
        if cache is not None:
            cache.reserve(n_tokens)
        x = self.forward_hidden(ids, start, cache, trace, path)
        if cache is not None:
            cache.advance(n_tokens)
        return x

    def forward_hidden(
        self,
        ids: Tensor,
        start: int,
        cache: KVCache | None = None,
        trace: Scope = None,
        path: str = "fused",
    ) -> Tensor:
        """Compute ids (B, T), the first at position `start`, from the embedding to the final norm: (B, T, C).

        This is `hidden` without its checks, and without advancing the cache's length.
        """
        n_tokens = ids.shape[1]
        x = record(trace, "embedding", self.embed(ids))  # (B, T, C)
        x = record(trace, "positioned", maybe_dropout(self.positions.embed(x, start), self))
        by_layer = self.angles_and_masks(start, n_tokens, compute_dtype(x))
        for layer, (block, (angles, allowed)) in enumerate(zip(self.layers, by_layer)):
            x = block(x, angles, allowed, cache, scope(scope(trace, "layers"), str(layer)), path)
        return record(trace, "final_normed", self.final_norm(x))

    def embed(self, ids: Tensor) -> Tensor:
        """Return the token embeddings of ids (B, T), scaled if the config asks for it: (B, T, C)."""
        x, scale = self.embedding(ids), self.config.embedding_scale
        return x if scale == 1 else x * scale

    def angles_and_masks(
        self, start: int, n_tokens: int, dtype: torch.dtype
    ) -> list[tuple[tuple[Tensor, Tensor] | None, Tensor | None]]:
        """Return for each layer what rotates its queries and keys, and which pairs of tokens it allows.

        Cos and sin (T, D) are None where nothing rotates, the mask (T, S) is None where all pairs are allowed.
        Layers of one kind get the same tensors.
        """
        made = {kind: self._angles_and_mask(kind, start, n_tokens, dtype) for kind in set(self.layer_kinds)}
        return [made[kind] for kind in self.layer_kinds]

    def _angles_and_mask(self, kind: LayerKind, start: int, n_tokens: int, dtype: torch.dtype):
        has_own = kind.window is not None and self.config.window_rope_theta is not None
        positions = self.positions.windowed if has_own else self.positions
        allowed = allowed_pairs(
            n_tokens,
            start + n_tokens,
            causal=self.config.causal,
            window=kind.window,
            device=self.device,
        )
        return positions.angles(start, n_tokens, dtype) if kind.rotates else None, allowed

    def forward(
        self,
        ids: Tensor,
        cache: KVCache | None = None,
        trace: Scope = None,
        *,
        path: str = "fused",
    ) -> Tensor:
        """Return the logits (B, T, V) of ids (B, T); with a cache, ids continue what it has seen.

        `trace` is a dictionary that receives every intermediate; `path` is `fused` or `explicit` attention.
        Raises ValueError for more tokens than the context holds.
        """
        return record(trace, "logits", self.output(self.hidden(ids, cache, trace, path)))

    def loss(self, ids: Tensor, targets: Tensor, *, path: str = "fused") -> Tensor:
        """Return the mean cross-entropy in nats of targets (B, T) given ids (B, T)."""
        x = self.hidden(ids, path=path).flatten(0, 1)  # (B·T, C)
        if self.config.logit_cap is not None:
            return F.cross_entropy(self.output(x).float(), targets.flatten())
        return cross_entropy(x.to(compute_dtype(x)), self.output.weight, targets.flatten())


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype matrix products give here: the weights' own, or autocast's."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype
