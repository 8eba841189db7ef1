"""The differences between two models: as fields, as code, and what is known about each in large models."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields

from gptcore.config import ModelConfig


def differing(a: ModelConfig, b: ModelConfig) -> list[str]:
    """Return the fields in which two models differ by themselves; what follows from another field is left out."""
    differ = [f.name for f in fields(a) if getattr(a, f.name) != getattr(b, f.name)]
    written = set(a.changes_from()) | set(b.changes_from())
    return [name for name in differ if name in written]


def diff(a: ModelConfig, b: ModelConfig, names: Sequence[str] = ("a", "b")) -> str:
    """Return both configs as Python code, in one unified diff; equal fields are included as context."""
    written = set(a.changes_from()) | set(b.changes_from())
    texts = []
    for config in (a, b):
        values = config.to_dict()
        lines = [f"    {name}={values[name]!r}," for name in values if name in written]
        texts.append("\n".join(["ModelConfig(", *lines, ")"]).replace("'", '"').splitlines())
    changes = difflib.unified_diff(*texts, *names, n=len(texts[0]) + len(texts[1]), lineterm="")
    return "\n".join(line for line in changes if not line.startswith("@@")) or "\n".join(texts[0])


# What is known of each field in large models, with the source where the knowledge is not ours.
TRANSFERS: Mapping[str, str] = {
    "context_length": (
        "Not from here: what a longer context buys depends on texts that have something to say that far back."
    ),
    "d_model": (
        "Size transfers as a trend: loss falls as a power of the parameters, and the split between width "
        "and depth matters little over a wide range (Kaplan et al. 2020)."
    ),
    "n_layers": (
        "Size transfers as a trend: loss falls as a power of the parameters, and the split between width "
        "and depth matters little over a wide range (Kaplan et al. 2020)."
    ),
    "n_heads": (
        "Only roughly: large models keep a head 64 to 128 wide and let the number of heads follow, which "
        "a model this narrow cannot."
    ),
    "n_kv_heads": (
        "The saving does, the loss hardly: grouped queries end close to full heads at 11 billion parameters "
        "(T5-XXL, Ainslie et al. 2023) and are chosen for the cache, which this match does not weigh."
    ),
    "head_dim": "Only roughly: most large models use 64 to 128, some 256; heads this narrow run out of room first.",
    "d_ff": (
        "Size transfers as a trend; the proportion of d_ff to d_model matters little over a wide range "
        "(Kaplan et al. 2020)."
    ),
    "norm": (
        "The tie does: RMSNorm ends where LayerNorm does and was taken for its cost (Zhang and Sennrich "
        "2019)."
    ),
    "norm_eps": "Not from here: it matters where activations are tiny or the arithmetic has few bits.",
    "norm_position": (
        "The direction does: deep stacks train more easily with the norm before each branch (Xiong et al."
        " 2020); a stack this shallow shows little of it."
    ),
    "ffn": (
        "As far as is known: gated layers were better at equal parameters in T5 (Shazeer 2020), and large"
        " models have kept them; the gain is small at any size."
    ),
    "position": (
        "As far as is known: rotary positions were taken up because models learned sooner with them (Su "
        "et al. 2021), and LLaMA, Mistral and Qwen have them. How far ahead they are in a short run says "
        "little about a long one."
    ),
    "rope_theta": "Not from here: a larger base is chosen for contexts thousands of tokens long.",
    "rope_scaling": "Not from here: it serves contexts that this match does not read.",
    "bias": (
        "As far as is known: PaLM left biases out without a loss in quality (Chowdhery et al. 2022); Qwen"
        " 2.5 keeps them on queries, keys and values."
    ),
    "qk_norm": (
        "Not from here: it holds scores in bounds in large models at high rates (Dehghani et al. 2023), "
        "where a small one has no trouble."
    ),
    "window": "Only with long texts: where no text is longer than the window there is nothing to lose.",
    "tie_embeddings": (
        "Not in size: at 1 M parameters the table is a quarter of the model, at 8 B a few per cent, so "
        "most models that large leave it untied."
    ),
    "dropout": (
        "Not from here: it helps where a text is read many times; a large model reads most of its text once."
    ),
    "causal": "Not at all: without the mask the loss measures copying.",
    "residual": "The direction does, more so with depth: without the residual a gradient dies or explodes.",
    "score_scale": "Only with the head width: the wider the head, the more the scale is needed.",
    "embedding_scale": "Not from here: Gemma scales its embeddings, most families don't, and both train well.",
    "score_cap": "Not from here: Gemma 2 capped scores for stability at size, and Gemma 3 uses QK-norm instead.",
    "logit_cap": "Not from here: it bounds logits in long trainings; Gemma 3 has dropped it.",
    "qk_norm_width": "Not from here: OLMo 2 normalizes all heads together, Qwen 3 and Gemma 3 each head.",
    "rotary_fraction": "As far as is known: models that rotate part of each head are about as good as others.",
    "window_pattern": "Only with long texts: where no text is longer than the window there is nothing to lose.",
    "window_rope_theta": "Only with long texts: it belongs to windows, and to a large base in the other layers.",
    "rope_pattern": "Only with long texts: layers without positions are there to reach past the trained context.",
}
