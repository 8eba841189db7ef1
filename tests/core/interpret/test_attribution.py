"""Shares of a logit: they add up, and each is what the part's own vector says."""

import pytest
import torch

from gptcore.interpret.attribution import AttributionError, contributions, residual_vectors
from gptcore.positions import POSITIONS
from gptcore.tracing import trace

VARIANTS = [
    *({"position": name} for name in POSITIONS),
    {"norm": "layernorm", "bias": "all", "ffn": "gelu"},
    {"norm": "none", "bias": "qkv", "ffn": "relu"},
    {"n_kv_heads": 1, "qk_norm": True, "window": 3, "tie_embeddings": False},
    *({"norm_position": place, "norm": norm, "bias": bias}
      for place in ("branch", "pre+branch") for norm, bias in (("rmsnorm", "none"), ("layernorm", "all"))),
]  # fmt: skip


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_shares_add_up_to_the_logit(lively, random_ids, changes):
    model, ids = lively(**changes), random_ids(1, 9)
    seen = trace(model, ids)
    for place, token in ((0, 5), (8, 60), (4, int(seen["logits"][0, 4].argmax()))):
        found = contributions(model, seen, place, token)
        assert sum(one.value for one in found) == pytest.approx(
            float(seen["logits"][0, place, token]), abs=1e-4
        )


def test_every_part_has_one_share(lively, random_ids):
    model = lively(position="learned", bias="all", norm="layernorm")
    found = contributions(model, trace(model, random_ids(1, 5)), 4, 0)
    named = [(one.part, one.layer, one.head) for one in found]
    layers = [
        part
        for layer in range(2)
        for part in (*(("head", layer, head) for head in range(4)), ("attention_bias", layer, None),
                     ("feedforward", layer, None))
    ]  # fmt: skip
    assert named == [
        ("embedding", None, None), ("positions", None, None), *layers, ("final_norm_bias", None, None)
    ]  # fmt: skip


def test_a_share_is_the_parts_own_vector_read_by_the_output_layer(lively, random_ids):
    model = lively()
    seen = trace(model, random_ids(1, 6))
    token, stream = 11, seen["layers.1.after_feedforward"][0, 3]
    scale = stream.square().mean().add(model.config.norm_eps).rsqrt()
    mlp = seen["layers.0.feedforward_output"][0, 3] * scale * model.final_norm.weight.detach()
    found = {
        (one.part, one.layer): one.value for one in contributions(model, seen, 3, token) if one.head is None
    }
    assert found["feedforward", 0] == pytest.approx(
        float(mlp @ model.output.weight[token].detach()), abs=1e-4
    )


def test_writings_sum_to_the_stream(lively, random_ids):
    model = lively(norm_position="pre+branch", bias="all", norm="layernorm")
    seen = trace(model, random_ids(1, 6))
    _, vectors = residual_vectors(model, seen, 5)
    torch.testing.assert_close(vectors.sum(0), seen["layers.1.after_feedforward"][0, 5], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"norm_position": "post"}, "rescales the residual stream"), ({"residual": False}, "residual=True")],
)
def test_models_without_a_plain_stream_are_refused(lively, random_ids, changes, why):
    model = lively(**changes)
    with pytest.raises(AttributionError, match=why):
        contributions(model, trace(model, random_ids(1, 4)), 3, 0)
