"""Changes of a config that between them use every part a model may have."""

VARIANTS = [
    {},
    {"position": "learned", "norm": "layernorm", "bias": "all", "ffn": "gelu"},
    {"position": "sinusoidal", "n_kv_heads": 2, "window": 3, "qk_norm": True, "tie_embeddings": False},
    {"position": "none", "causal": False, "ffn": "relu", "norm_position": "branch"},
    {"norm_position": "pre+branch", "bias": "qkv"},
    {"norm_position": "post", "norm": "none", "residual": False},
    {
        "ffn": "geglu",
        "embedding_scale": 5.0,
        "score_cap": 2.0,
        "logit_cap": 3.0,
        "window": 3,
        "window_pattern": "wf",
    },
    {
        "qk_norm": True,
        "qk_norm_width": "all",
        "rope_pattern": "rn",
        "rotary_fraction": 0.5,
        "bias": "attention",
    },
]
