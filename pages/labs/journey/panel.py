"""The words and the code that the panel of the map shows for each kind of stage."""

from collections.abc import Mapping
from functools import lru_cache

from pages.kit import annotated, trace_map, words
from pages.kit.escape import Markdown

KINDS = {
    "embedding": "stage_embedding",
    "positioned": "stage_positioned",
    "attention_normed": "stage_attention_normed",
    "q_projected": "stage_q_projected",
    "k_projected": "stage_k_projected",
    "q": "stage_q",
    "k": "stage_k",
    "v": "stage_v",
    "q_rotated": "stage_q_rotated",
    "k_rotated": "stage_k_rotated",
    "scores": "stage_scores",
    "masked_scores": "stage_masked_scores",
    "weights": "stage_weights",
    "mixed": "stage_mixed",
    "attention_output": "stage_attention_output",
    "attention_output_normed": "stage_attention_output_normed",
    "after_attention": "stage_after_attention",
    "after_attention_normed": "stage_after_attention_normed",
    "feedforward_normed": "stage_feedforward_normed",
    "gate_logits": "stage_gate_logits",
    "gate": "stage_gate",
    "up": "stage_up",
    "hidden": "stage_hidden",
    "feedforward_output": "stage_feedforward_output",
    "feedforward_output_normed": "stage_feedforward_output_normed",
    "after_feedforward": "stage_after_feedforward",
    "after_feedforward_normed": "stage_after_feedforward_normed",
    "final_normed": "stage_final_normed",
    "logits": "stage_logits",
    "probabilities": "stage_probabilities",
}
# Where each kind of stage is computed: the object, and what its line holds.
_PLAIN = {
    "embedding": ("model.GPT.forward_hidden", "self.embed(ids)"),
    "positioned": ("model.GPT.forward_hidden", "self.positions.embed"),
    "attention_normed": ("model.Block.sub_layer", "_pre_norm"),
    "q_projected": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "k_projected": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "q": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "k": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "v": ("attention.Attention.forward", "self.qkv_proj(x)"),
    "q_rotated": ("attention.Attention.forward", '"q_rotated"'),
    "k_rotated": ("attention.Attention.forward", '"k_rotated"'),
    "scores": ("attention.attention_weights", '"scores"'),
    "masked_scores": ("attention.attention_weights", '"masked_scores"'),
    "weights": ("attention.attention_weights", '"weights"'),
    "mixed": ("attention.explicit_attention", "@ v"),
    "attention_output": ("attention.Attention.forward", "self.o_proj("),
    "attention_output_normed": ("model.Block.sub_layer", "_branch_norm"),
    "after_attention": ("model.Block.sub_layer", "x + h"),
    "after_attention_normed": ("model.Block.sub_layer", "_post_norm"),
    "feedforward_normed": ("model.Block.sub_layer", "_pre_norm"),
    "gate_logits": ("feedforward.SwiGLU.forward", "self.gate_up_proj(x)"),
    "gate": ("feedforward.SwiGLU.forward", "F.silu"),
    "up": ("feedforward.SwiGLU.forward", "self.gate_up_proj(x)"),
    "hidden": ("feedforward.SwiGLU.forward", "gate * up"),
    "feedforward_output": ("feedforward.SwiGLU.forward", "self.down_proj"),
    "feedforward_output_normed": ("model.Block.sub_layer", "_branch_norm"),
    "after_feedforward": ("model.Block.sub_layer", "x + h"),
    "after_feedforward_normed": ("model.Block.sub_layer", "_post_norm"),
    "final_normed": ("model.GPT.forward_hidden", "self.final_norm"),
    "logits": ("model.GPT.forward", "self.output("),
    "probabilities": ("tracing.trace", "torch.softmax"),
}
_UNGATED = {
    "up": ("feedforward._MLP.forward", "self.up_proj(x)"),
    "hidden": ("feedforward._MLP.forward", "self.activation(up)"),
    "feedforward_output": ("feedforward._MLP.forward", "self.down_proj"),
}
_GELU_GATE = {
    "gate_logits": ("feedforward.GeGLU.forward", "self.gate_up_proj(x)"),
    "gate": ("feedforward.GeGLU.forward", "F.gelu"),
    "up": ("feedforward.GeGLU.forward", "self.gate_up_proj(x)"),
    "hidden": ("feedforward.GeGLU.forward", "gate * up"),
    "feedforward_output": ("feedforward.GeGLU.forward", "self.down_proj"),
}
_ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu"}
AROUND = 2  # lines of code shown before and after the one that counts


@lru_cache(maxsize=4)
def panel_code(ffn: str) -> Mapping[str, Mapping]:
    """For each kind of stage the line that computes it, with those around it."""
    table = _PLAIN | {"swiglu": {}, "geglu": _GELU_GATE}.get(ffn, _UNGATED)
    sources = {}
    for kind, (name, held) in table.items():
        source = annotated.source(name)
        hot = next(i for i, line in enumerate(source.lines) if held in line)
        begin, end = max(0, hot - AROUND), min(len(source.lines), hot + AROUND + 1)
        lines = source.lines[begin:end]
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        sources[kind] = {
            "file": source.file,
            "line": source.start + hot,
            "lines": [line[indent:] for line in lines],
            "hot": hot - begin,
        }
    return sources


def panel_words(ffn: str, sentence: str) -> dict:
    """The words of the map and its panel, the code of every kind of stage, and the page that can be kept."""
    text = words.load("journey")
    parts = {kind: text.read(section).split("\n", 2) for kind, section in KINDS.items()}
    brief = sentence if len(sentence) <= 80 else sentence[:80] + "…"
    title = text.read("export_title", sentence=Markdown(brief))  # a title of HTML, which is escaped there
    return {
        "title": title,
        "page": trace_map.page_parts(title, text.read("reading"), text.read("keys")),
        "titles": {kind: part[0] for kind, part in parts.items()},
        "formulas": {kind: part[1] for kind, part in parts.items()},
        "abouts": {kind: " ".join(part[2].split()) for kind, part in parts.items()},
        "say": panel_texts(),
        "codes": panel_code(ffn),
        "activation": _ACTIVATIONS.get(ffn, ffn),
    }


def panel_texts() -> dict[str, str]:
    """The short words of the map, one a line."""
    lines = words.load("journey").read("say").splitlines()
    return dict(line.split(": ", 1) for line in lines)
