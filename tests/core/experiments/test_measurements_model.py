"""Whole models: the account against published files and random shapes, the law, the lens, and the verdicts."""

import math
import random

import pytest
import torch

from gptcore.account import n_parameters
from gptcore.config import ConfigError, ModelConfig
from gptcore.experiments import claims
from gptcore.experiments.measurements import model as measured
from gptcore.interpret import logit_lens
from gptcore.lessons.published_models import PUBLISHED
from gptcore.model import GPT
from gptcore.tracing import trace


def test_what_is_arithmetic_comes_out_as_known():
    assert claims.measure(claims.get_claim("tying_saves")).verdict == "holds not"
    assert claims.measure(claims.get_claim("heads_cost")).verdict == "holds not"
    assert claims.measure(claims.get_claim("first_loss")).verdict == "depends"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_account_gives_the_weights_of_published_files(name):
    assert n_parameters(PUBLISHED[name].config) == PUBLISHED[name].n_parameters
    assert PUBLISHED[name].source


def random_config(draw: random.Random) -> ModelConfig:
    heads = draw.choice((1, 2, 3, 4, 6))
    return ModelConfig(
        vocab_size=draw.randint(3, 60),
        context_length=draw.randint(2, 20),
        d_model=heads * 2 * draw.randint(1, 5),
        n_layers=draw.randint(1, 3),
        n_heads=heads,
        n_kv_heads=draw.choice([k for k in range(1, heads + 1) if heads % k == 0]),
        head_dim=draw.choice((None, 4, 6)),
        d_ff=draw.randint(1, 40),
        norm=draw.choice(("rmsnorm", "layernorm", "none")),
        norm_position=draw.choice(("pre", "post", "branch", "pre+branch")),
        ffn=draw.choice(("swiglu", "gelu", "relu")),
        position=draw.choice(("rope", "learned", "sinusoidal", "none")),
        bias=draw.choice(("none", "qkv", "all")),
        qk_norm=draw.random() < 0.3,
        tie_embeddings=draw.random() < 0.5,
    )


def test_the_account_is_the_modules_own_for_random_shapes():
    draw, built = random.Random(0), 0
    while built < 200:
        try:
            config = random_config(draw)
        except ConfigError:
            continue
        assert n_parameters(config) == sum(weight.numel() for weight in GPT(config).parameters()), config
        built += 1


def test_a_law_is_found_again_and_tells_the_fourth():
    sizes = [1e5, 2e5, 5e5]
    law = measured.fit_power_law(sizes, [0.7 + 30 * n**-0.25 for n in sizes], 0.7)
    assert law.exponent == pytest.approx(0.25) and law.scale == pytest.approx(30)
    assert law.loss(2e6) == pytest.approx(0.7 + 30 * 2e6**-0.25)


@pytest.mark.parametrize(
    ("sizes", "losses", "message"),
    [
        ([1e5], [2.0], "at least 2"),
        ([1e5, 2e5], [2.0], "2 sizes and 1 losses"),
        ([1e5, 2e5], [2.0, 0.5], "must be above the floor"),
    ],
)
def test_what_gives_no_law_is_said(sizes, losses, message):
    with pytest.raises(ValueError, match=message):
        measured.fit_power_law(sizes, losses, 0.6)


@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_the_last_reading_is_the_models_own(norm_position):
    config = ModelConfig(vocab_size=40, context_length=12, d_model=16, n_layers=3, n_heads=2,
                         norm_position=norm_position)  # fmt: skip
    model = GPT(config, seed=1).eval()
    ids = torch.arange(9)
    found = logit_lens.readings(model, trace(model, ids))
    share, best = torch.softmax(model(ids.unsqueeze(0))[0], -1).max(-1)
    assert found[-1].best == tuple(best.tolist()) and found[-1].layer == 3
    assert found[-1].probability == pytest.approx(share.tolist(), abs=1e-5)
    assert found[-1].of_final == pytest.approx(share.tolist(), abs=1e-5)
    assert [reading.layer for reading in found] == [0, 1, 2, 3]
    assert len({reading.probability for reading in found}) == 4  # each layer has its own


def test_an_untrained_model_of_gpt2s_vocabulary_starts_a_little_above_uniform():
    started = measured.initial_loss(0.02, vocab_size=50_257)
    assert math.log(50_257) == pytest.approx(10.8249, abs=1e-4)
    assert 0 < started.loss - math.log(50_257) < 0.1
    assert started.repeats > 0.9 and measured.initial_loss(0.02, tied=False).repeats < 0.1


def test_tying_saves_what_the_tables_share_of_the_untied_model_is():
    config = ModelConfig(vocab_size=100, context_length=8, d_model=10, n_layers=1, n_heads=1, d_ff=10)
    untied = GPT(config.replace(tie_embeddings=False))
    total = sum(weight.numel() for weight in untied.parameters())
    assert measured.tying_saves(config) == pytest.approx(1000 / total)
