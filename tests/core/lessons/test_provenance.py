"""Who uses what: the rows written by hand agree with what transformers builds, those read from configs with them."""

import pytest
import torch
import transformers

from gptcore.lessons.provenance import KIND, ORIGINS, architectures, differing_choices, feedforward_fraction
from gptcore.lessons.published_models import PUBLISHED

TINY = {
    "vocab_size": 8, "hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "pad_token_id": 0,
}  # fmt: skip


def names_of(kind: str) -> tuple[set[str], bool]:
    """The weights of one layer as transformers names them, and whether such a model ties by default."""
    config = getattr(transformers, f"{kind}Config")(**TINY)
    with torch.device("meta"):
        model = getattr(transformers, f"{kind}ForCausalLM")(config)
    return {
        name.partition("layers.0.")[2] for name, _ in model.named_parameters()
    }, config.tie_word_embeddings


@pytest.mark.parametrize(
    ("kind", "row", "before", "after", "qk_norm", "bias"),
    [
        ("Olmo2", "OLMo 2 7B", False, True, True, False),
        ("Gemma2", "Gemma 2 9B", True, True, False, False),
        ("Qwen3", "Qwen 3 8B", True, False, True, False),
        ("Qwen2", "Qwen 2.5 7B", True, False, False, True),
        ("Llama", "LLaMA 3 8B", True, False, False, False),
    ],
)
def test_norms_and_biases_are_where_transformers_has_them(kind, row, before, after, qk_norm, bias):
    found, tied = names_of(kind)
    assert ("input_layernorm.weight" in found) == before
    assert ("post_feedforward_layernorm.weight" in found) == after
    assert ("self_attn.q_norm.weight" in found) == qk_norm
    assert ("self_attn.q_proj.bias" in found) == bias
    said = architectures()[row]
    assert (
        said.norm_position
        == {(1, 0): "pre-norm", (0, 1): "on the output", (1, 1): "on input and output"}[before, after]
    )
    assert ("norm on queries and keys" in said.attention) == qk_norm
    assert (said.bias != "none") == bias
    assert said.tied == tied


def test_models_stand_by_year_and_every_row_has_a_source():
    found = list(architectures().values())
    assert [one.year for one in found] == sorted(one.year for one in found)
    assert all(one.source for one in found)


def test_origins_stand_by_year_each_idea_once():
    assert [one.year for one in ORIGINS] == sorted(one.year for one in ORIGINS)
    assert len({one.idea for one in ORIGINS}) == len(ORIGINS)
    assert all(1940 < one.year < 2030 and 0 <= one.chapter <= 11 and one.who and one.title for one in ORIGINS)


def test_a_model_differs_from_itself_in_nothing_and_in_what_is_changed():
    config = PUBLISHED["LLaMA 3 8B"].config
    assert differing_choices(config, config.replace(d_model=8192, n_layers=80, n_heads=64)) == []
    changes = {"norm": "layernorm", "rope_theta": 1e6, "window": 9, "tie_embeddings": True}
    assert set(differing_choices(config, config.replace(**changes))) == set(changes) <= set(KIND)
    assert differing_choices(config, config.replace(n_kv_heads=32)) == ["n_kv_heads"]


def test_the_share_of_feedforward_layers_is_theirs():
    assert feedforward_fraction(PUBLISHED["LLaMA 3 8B"].config) == pytest.approx(
        3 * 4096 * 14_336 * 32 / 8_030_261_248
    )
