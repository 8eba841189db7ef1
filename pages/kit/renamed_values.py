"""Options that have a new name: links of the first edition carry the old one, and open the same view."""

RENAMED: dict[str, dict[str, str]] = {  # by parameter of the URL: old value, present value
    "c3_map_at": {"at birth": "initialization"},
    "c3_near_at": {"at birth": "initialization"},
    "c4_pairing": {"neighbours": "neighbors"},
    "c5_heads_what": {"weight": "attention weight", "handed over": "contribution"},
    "c6_depth_metric": {
        "gradient × size": "gradient × activation norm",
        "size of the stream": "activation norm",
    },
    "c6_gate_curve": {"its slope": "its derivative"},
    "c6_written_metric": {
        "share of the last stream": "fraction of the final stream",
        "size beside the stream": "norm relative to the stream",
    },
    "c8_fault_which": {"looks ahead": "no causal mask", "rate × 300": "learning rate × 300"},
    "c9_ahead_draft": {"a table of counts": "n-gram table", "itself when younger": "earlier checkpoint"},
    "c11_term": {
        "initialisation": "initialization",
        "quantisation": "quantization",
        "six operations a weight": "six FLOPs per parameter",
        "validation": "validation loss",
    },
}
