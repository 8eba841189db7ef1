"""The account: what a model costs by arithmetic, held against the real module part by part."""

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gptcore.account import (
    cache_bytes,
    check_memory,
    forward_flops,
    model_bytes,
    n_parameters,
    parameters,
    step_bytes,
    summands,
    training_bytes,
)
from gptcore.cache import KVCache
from gptcore.config import (
    BIASES,
    NORM_POSITIONS,
    PRESETS,
    QK_NORM_WIDTHS,
    ConfigError,
    ModelConfig,
    TrainConfig,
)
from gptcore.feedforward import FEEDFORWARDS
from gptcore.model import GPT
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS
from gptcore.training.optim import make_optimizers

VARIANTS = [
    {},
    {"norm": "layernorm", "ffn": "gelu", "position": "learned", "bias": "all"},
    {"bias": "qkv", "n_kv_heads": 2, "head_dim": 10, "qk_norm": True, "tie_embeddings": False},
    {"norm": "none", "ffn": "relu", "position": "sinusoidal", "norm_position": "pre+branch"},
    {"norm_position": "post", "position": "none", "bias": "all"},
    {"bias": "attention", "ffn": "geglu", "qk_norm": True, "qk_norm_width": "all", "n_kv_heads": 2},
    {"bias": "mlp", "norm": "layernorm"},
]


def counted(model: GPT) -> dict[str, int]:
    """Count the weights of the real module under the account's headings, by their names."""
    counts = dict.fromkeys(("embedding", "positions", "attention", "feedforward", "norms", "output"), 0)
    for name, weight in model.named_parameters():
        parts = name.split(".")
        place = parts[2] if parts[0] == "layers" else parts[0]
        if "norm" in name:
            place = "norms"
        counts[place] += weight.numel()
    return counts


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_each_part_is_the_modules_own(small, changes):
    model = GPT(small(**changes))
    assert parameters(model.config) == counted(model)
    assert n_parameters(model.config) == sum(p.numel() for p in model.parameters())


def drawn_config(draw: random.Random) -> ModelConfig:
    """A small legal config with every field that could cost weights drawn at random."""
    n_kv_heads = draw.choice((1, 2, 3))
    n_heads = n_kv_heads * draw.choice((1, 2, 4))
    return ModelConfig(
        vocab_size=draw.randint(2, 80),
        context_length=draw.randint(1, 40),
        d_model=2 * draw.randint(1, 20),
        n_layers=draw.randint(1, 4),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=2 * draw.randint(1, 8),
        d_ff=draw.randint(1, 50),
        norm=draw.choice(list(NORMS)),
        norm_position=draw.choice(list(NORM_POSITIONS)),
        ffn=draw.choice(list(FEEDFORWARDS)),
        position=draw.choice(list(POSITIONS)),
        bias=draw.choice(list(BIASES)),
        qk_norm=(qk_norm := draw.random() < 0.7),
        qk_norm_width=draw.choice(QK_NORM_WIDTHS) if qk_norm else "head",
        tie_embeddings=draw.random() < 0.5,
        window=draw.choice((None, 3)),
        residual=draw.random() < 0.8,
    )


def test_two_hundred_configs_hold_what_the_account_says():
    draw = random.Random(11)
    for _ in range(200):
        config = drawn_config(draw)
        model = GPT(config)
        assert parameters(config) == counted(model), config
        assert n_parameters(config) == sum(weight.numel() for weight in model.parameters()), config


def test_each_summand_is_a_product_of_the_letters_it_names(small):
    config = small(norm="layernorm", ffn="gelu", position="learned", bias="all", n_kv_heads=2)
    sizes = {"V": 61, "T": 24, "C": 32, "L": 2, "H": 4, "K": 2, "D": 8, "F": 48}
    for one in summands(config):
        plain = {letter: size for letter, size in one.factors.items() if letter != "n"}
        assert plain.items() <= sizes.items(), one


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_training_holds_weights_gradients_and_the_state_of_its_optimizers(small, optimizer):
    model = GPT(small(bias="all"))
    optimizers = make_optimizers(model, TrainConfig(optimizer=optimizer))
    ids = torch.zeros(1, 4, dtype=torch.int64)
    model.loss(ids, ids).backward()
    held = sum(p.nbytes + p.grad.nbytes for p in model.parameters())
    for one in optimizers:
        one.step()
        held += sum(x.nbytes for entry in one.state.values() for x in entry.values() if x.dim())
    assert training_bytes(model.config, optimizer) == held


def test_cache_bytes_are_the_caches_own(small):
    for changes in ({}, {"n_kv_heads": 1, "head_dim": 6, "n_layers": 3}):
        config = small(**changes)
        assert cache_bytes(config, config.context_length, batch_size=2) == KVCache(config, 2).n_bytes


@pytest.mark.parametrize(("preset", "share"), [("tiny", 43.0), ("small", 20.3)])
def test_what_tying_saves(preset, share):
    tied = PRESETS[preset].model
    untied = n_parameters(tied.replace(tie_embeddings=False))
    assert 100 * (untied - n_parameters(tied)) / untied == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    "changes", [{}, {"n_kv_heads": 1}, {"ffn": "gelu"}, {"head_dim": 10}, {"tie_embeddings": False}]
)
def test_flops_are_those_torch_counts(lively, random_ids, changes):
    model = lively(**changes)
    for shape in ((1, 5), (3, 8)):
        ids, targets = random_ids(*shape), random_ids(*shape, seed=1)
        expected = sum(forward_flops(model.config, shape[1], shape[0]).values())
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            model(ids, path="explicit")
        assert counted.get_total_flops() == expected
        with FlopCounterMode(display=False) as counted:
            model.loss(ids, targets, path="explicit").backward()
        assert counted.get_total_flops() == 3 * expected


def test_what_no_memory_holds_is_refused_in_one_sentence():
    config = ModelConfig(vocab_size=64, context_length=10**8, d_model=64, n_layers=2, n_heads=4)
    held = sum(weight.nbytes for weight in GPT(config.replace(context_length=32)).parameters())
    table = 2 * 10**8 * config.head_dim * 4  # a cosine and a sine for each dimension of each position
    assert model_bytes(config) == held + table
    assert model_bytes(config.replace(window=8, window_rope_theta=1e6)) == held + 2 * table
    with pytest.raises(ConfigError, match=r"this model needs 12\.8 GB of memory, and 4\.0 GB are available"):
        check_memory(model_bytes(config), "this model", available=4 * 10**9)
    with pytest.raises(ConfigError, match=r"about 10\^\d+ GB"):
        check_memory(model_bytes(config.replace(d_model=10**7, d_ff=10**9)), "this model")


def test_a_training_step_holds_at_least_what_the_account_says():
    config = ModelConfig(vocab_size=256, context_length=64, d_model=64, n_layers=4, n_heads=4)
    train = TrainConfig(precision="fp32")
    model = GPT(config)
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.nbytes) or t, lambda t: t):
        model.loss(torch.zeros(8, 64, dtype=torch.int64), torch.zeros(8, 64, dtype=torch.int64))
    kept = step_bytes(config, train, 8, 64) - training_bytes(config, train.optimizer)
    assert sum(held) / 4 < kept < sum(held)
