"""Changes of a config that between them use every part a model may have."""

VARIANTS = [
    {},
    {"position": "learned", "norm": "layernorm", "bias": "all", "ffn": "gelu"},
    {"position": "sinusoidal", "n_kv_heads": 2, "window": 3, "qk_norm": True, "tie_embeddings": False},
    {"position": "none", "causal": False, "ffn": "relu", "norm_position": "branch"},
    {"norm_position": "pre+branch", "bias": "qkv"},
    {"norm_position": "post", "norm": "none", "residual": False},
]
