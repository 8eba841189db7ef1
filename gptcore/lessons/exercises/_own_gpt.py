"""A whole model of the shipped kind in about 100 lines, importing nothing but torch: one answer to `exercise gpt`."""

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.eps = config.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.d_model, queries, bias=False)
        self.k_proj = nn.Linear(config.d_model, keys, bias=False)
        self.v_proj = nn.Linear(config.d_model, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.d_model, bias=False)

    def turn(self, x: Tensor) -> Tensor:
        """Rotate pairs of dimensions, the first half with the second, by an angle that grows with the place."""
        width = x.shape[-1]
        speeds = self.config.rope_theta ** (-torch.arange(0, width, 2) / width)
        angles = torch.arange(x.shape[-2]).unsqueeze(1) * speeds
        cos, sin = angles.cos(), angles.sin()
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        return q @ k.transpose(-2, -1) / self.config.head_dim**0.5

    def may_look(self, n_tokens: int) -> Tensor:
        return torch.ones(n_tokens, n_tokens, dtype=torch.bool).tril()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = self.turn(q), self.turn(k)
        group = self.config.n_heads // self.config.n_kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        scores = self.scores(q, k).masked_fill(~self.may_look(x.shape[1]), float("-inf"))
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    attention, mlp_kind, norm = Attention, MLP, RMSNorm

    def __init__(self, config):
        super().__init__()
        self.input_layernorm = self.norm(config)
        self.self_attn = self.attention(config)
        self.post_attention_layernorm = self.norm(config)
        self.mlp = self.mlp_kind(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class GPT(nn.Module):
    """A model of Llama's kind: token ids (B, T) in, logits (B, T, V) out, weights under Hugging Face's names."""

    block = Block

    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(self.block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))
