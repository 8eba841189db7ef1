"""Configs: what they fill in, what they refuse and in which words, and how many weights they stand for."""

import contextlib
import json

import pytest
import torch

from gptcore.account import n_parameters
from gptcore.config import LARGEST, PRESETS, ConfigError, ModelConfig, RopeScaling, TrainConfig
from gptcore.model import GPT

SHAPE = {"vocab_size": 100, "context_length": 16, "d_model": 32, "n_layers": 2, "n_heads": 4}
GPT2 = ModelConfig(
    vocab_size=50_257,
    context_length=1024,
    d_model=768,
    n_layers=12,
    n_heads=12,
    d_ff=3072,
    norm="layernorm",
    ffn="gelu",
    position="learned",
    bias="all",
)


def built(config: ModelConfig) -> int:
    """Count the weights of the real module without giving them memory."""
    with torch.device("meta"):
        return sum(p.numel() for p in GPT(config).parameters())


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (PRESETS["tiny"].model, 17_062_400),
        (PRESETS["small"].model, 151_862_784),
        (PRESETS["small"].model.replace(d_ff=2048), 123_551_232),
        (GPT2, 124_439_808),
    ],
    ids=["tiny", "small", "small at LLaMA's proportion", "GPT-2"],
)
def test_published_parameter_counts(config, count):
    assert n_parameters(config) == count
    assert built(config) == count


def test_small_legacy_is_small_within_a_percent():
    modern, legacy = n_parameters(PRESETS["small"].model), n_parameters(PRESETS["small_legacy"].model)
    assert abs(legacy - modern) < 0.01 * modern
    assert built(PRESETS["small_legacy"].model) == legacy


def test_nano_is_about_a_million_weights():
    assert 0.7e6 < n_parameters(PRESETS["nano"].model) < 1.5e6
    assert built(PRESETS["nano"].model) == n_parameters(PRESETS["nano"].model)


def test_what_is_left_out_is_filled_in_so_that_equal_models_are_equal():
    short = ModelConfig(**SHAPE)
    long = ModelConfig(**SHAPE, n_kv_heads=4, head_dim=8, d_ff=128, score_scale=8**-0.5, window=None)
    assert short == long
    assert hash(short) == hash(long)
    assert {short: "kept"}[long] == "kept"
    assert short != short.replace(norm_eps=1e-6)
    fast = TrainConfig(learning_rate=0.01)
    assert fast == TrainConfig(learning_rate=0.01, min_learning_rate=0.001)
    assert hash(fast) == hash(TrainConfig(learning_rate=0.01, min_learning_rate=0.001))


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(**SHAPE, n_kv_heads=2, window=3, qk_norm=True),
        ModelConfig(**SHAPE, rope_scaling=RopeScaling(kind="llama3", factor=8.0)),
        ModelConfig(**SHAPE, rope_scaling=RopeScaling(kind="yarn", factor=8.0, attention_factor=1.2)),
        ModelConfig(**SHAPE, window=3, window_pattern="wf", window_rope_theta=1e6, embedding_scale=2.0),
        TrainConfig(seconds=3.5, threads=2, precision="bf16"),
        *(preset.model for preset in PRESETS.values()),
        *(preset.train for preset in PRESETS.values()),
    ],
)
def test_a_config_survives_json(config):
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        ModelConfig(**SHAPE).d_model = 64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"d_model": 130}, ["d_model=130", "divisible", "n_heads=4"]),
        ({"n_kv_heads": 3}, ["n_heads=4", "divisible", "n_kv_heads=3"]),
        ({"d_model": 36}, ["head_dim=9", "even"]),
        ({"d_model": 33, "head_dim": 8, "position": "sinusoidal"}, ["d_model=33", "even"]),
        ({"vocab_size": 0}, ["vocab_size=0", "1"]),
        ({"n_layers": -1}, ["n_layers=-1", "1"]),
        ({"n_layers": 2.5}, ["n_layers=2.5", "whole number"]),
        ({"n_heads": True}, ["n_heads=True", "whole number"]),
        ({"context_length": "long"}, ["context_length='long'", "whole number"]),
        ({"d_ff": 0}, ["d_ff=0", "1"]),
        ({"n_kv_heads": 0}, ["n_kv_heads=0", "1"]),
        ({"head_dim": 0}, ["head_dim=0", "1"]),
        ({"norm": "batchnorm"}, ["norm='batchnorm'", "rmsnorm"]),
        ({"norm_position": "after"}, ["norm_position='after'", "pre", "post", "branch"]),
        ({"ffn": "tanh"}, ["ffn='tanh'", "swiglu"]),
        ({"position": "alibi"}, ["position='alibi'", "rope"]),
        ({"bias": "some"}, ["bias='some'", "none", "qkv", "all"]),
        ({"norm_eps": 0.0}, ["norm_eps=0.0", "greater than 0"]),
        ({"rope_theta": float("nan")}, ["rope_theta=nan", "number"]),
        ({"score_scale": "big"}, ["score_scale='big'", "number"]),
        ({"window": 0}, ["window=0", "1"]),
        ({"dropout": 1.0}, ["dropout=1.0", "less than 1"]),
        ({"dropout": -0.1}, ["dropout=-0.1", "at least 0"]),
        ({"tie_embeddings": "yes"}, ["tie_embeddings='yes'", "true"]),
        ({"rope_scaling": 4.0}, ["rope_scaling=4.0", "RopeScaling"]),
        ({"rope_scaling": {"kind": "su", "factor": 2.0}}, ["kind='su'", "linear"]),
        (
            {"rope_scaling": {"kind": "linear", "factor": 2.0, "attention_factor": 1.0}},
            ["attention_factor", "yarn"],
        ),
        ({"embedding_scale": 0}, ["embedding_scale=0", "greater than 0"]),
        ({"score_cap": -1.0}, ["score_cap=-1.0", "greater than 0"]),
        ({"logit_cap": "low"}, ["logit_cap='low'", "number"]),
        ({"qk_norm": True, "qk_norm_width": "layer"}, ["qk_norm_width='layer'", "head", "all"]),
        ({"qk_norm_width": "all"}, ["qk_norm_width=all", "qk_norm"]),
        ({"rotary_fraction": 1.5}, ["rotary_fraction=1.5"]),
        ({"rotary_fraction": 0.1}, ["rotary_fraction=0.1", "even"]),
        ({"position": "none", "rotary_fraction": 0.5}, ["rotary_fraction=0.5", "position=rope"]),
        ({"window": 3, "window_pattern": "wx"}, ["window_pattern='wx'", "w and f"]),
        ({"window_pattern": "wf"}, ["window_pattern=wf", "window"]),
        ({"window_rope_theta": 100.0}, ["window_rope_theta=100.0", "window"]),
        ({"rope_theta": 1.0, "rope_scaling": {"kind": "yarn", "factor": 2.0}}, ["rope_theta=1.0", "1"]),
        (
            {"head_dim": 4, "rotary_fraction": 0.5, "rope_scaling": {"kind": "ntk", "factor": 2.0}},
            ["head_dim=4", "ntk"],
        ),
        ({"rope_pattern": ""}, ["rope_pattern=''", "r and n"]),
        ({"rope_pattern": "rn", "position": "learned"}, ["rope_pattern=rn", "position=rope"]),
        ({"rope_theta": float("inf")}, ["rope_theta=inf"]),
        ({"depth": 3}, ["ModelConfig", "depth"]),
    ],
    ids=str,
)
def test_a_model_that_cannot_work_is_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError) as refused:
        ModelConfig(**SHAPE).from_dict(SHAPE | changes)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 10, "seconds": 3.0}, ["steps=10", "seconds=3.0", "leave one of them out"]),
        ({"steps": 0}, ["steps=0", "1"]),
        ({"seconds": 0}, ["seconds=0", "greater than 0"]),
        ({"seconds": float("inf")}, ["seconds=inf"]),
        ({"batch_size": 0}, ["batch_size=0", "1"]),
        ({"accumulation": 0}, ["accumulation=0", "1"]),
        ({"window_length": 1}, ["window_length=1", "2"]),
        ({"learning_rate": 0.0}, ["learning_rate=0.0", "greater than 0"]),
        ({"learning_rate": float("inf")}, ["learning_rate=inf"]),
        ({"learning_rate": 1e-3, "min_learning_rate": 1.0}, ["min_learning_rate=1.0", "learning_rate=0.001"]),
        ({"warmup_steps": -1}, ["warmup_steps=-1", "0"]),
        ({"weight_decay": -0.1}, ["weight_decay=-0.1", "0"]),
        ({"beta2": 1.0}, ["beta2=1.0", "less than 1"]),
        ({"grad_clip": 0.0}, ["grad_clip=0.0", "greater than 0"]),
        ({"seed": 1.5}, ["seed=1.5", "whole number"]),
        ({"seed": 2**80}, ["seed="]),
        ({"precision": "int8"}, ["precision='int8'", "bf16"]),
        ({"attention_path": "flash"}, ["attention_path='flash'", "fused"]),
        ({"threads": 0}, ["threads=0", "1"]),
        ({"threads": "many"}, ["threads='many'"]),
        ({"momentum": 0.9}, ["momentum", "TrainConfig"]),
    ],
    ids=str,
)
def test_a_training_that_cannot_work_is_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError) as refused:
        TrainConfig.from_dict(changes)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("factor", [2, 10**3000], ids=["above", "far above"])
def test_every_number_has_a_largest_value_and_more_is_refused(kind, factor):
    base = ModelConfig(**SHAPE, window=4) if kind is ModelConfig else TrainConfig(seconds=1.0)
    numbers = {name for name, value in base.to_dict().items() if type(value) in (int, float)}
    for name in numbers - {"dropout", "beta1", "beta2", "seed"}:
        with pytest.raises(ConfigError, match=rf"{name}=.* must be at most ") as refused:
            base.replace(**{name: int(LARGEST[name]) * factor})
        assert len(str(refused.value)) < 160


def test_the_largest_models_that_were_published_are_configs():
    llama = ModelConfig(
        vocab_size=128_256,
        context_length=131_072,
        d_model=16_384,
        n_layers=126,
        n_heads=128,
        n_kv_heads=8,
        d_ff=53_248,
        rope_theta=500_000.0,
        rope_scaling=RopeScaling(kind="llama3", factor=8.0),
        tie_embeddings=False,
    )
    assert 405e9 < n_parameters(llama) < 406e9
    assert (
        llama.replace(context_length=10_000_000, n_layers=1000).n_layers == 1000
    )  # Llama 4 Scout's; DeepNet's


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("bfloat16", "bf16"),
        ("float32", "fp32"),
        ("float16", "fp16"),
        ("torch.bfloat16", "bf16"),
        ("auto", "auto"),
    ],
)
def test_torchs_names_of_precisions_are_the_short_ones(name, short):
    assert TrainConfig(precision=name) == TrainConfig(precision=short)
    assert TrainConfig().replace(precision=name).precision == short


@pytest.mark.parametrize("name", ["float8", "torch.fp8", "torch.", "bfloat16 ", ["bf16"], 16])
def test_an_unknown_precision_is_answered_with_the_known_ones(name):
    with pytest.raises(ConfigError, match="must be one of auto, fp32, bf16, fp16"):
        TrainConfig(precision=name)


def test_a_change_is_checked_like_the_first_writing():
    with pytest.raises(ConfigError, match=r"d_ff=-1 must be at least 1"):
        ModelConfig(**SHAPE).replace(d_ff=-1)
    with pytest.raises(ConfigError, match=r"ModelConfig has no field depth"):
        ModelConfig(**SHAPE).replace(depth=3)


def test_what_follows_from_a_size_follows_its_change_and_what_was_chosen_stays():
    wide = ModelConfig(**SHAPE).replace(d_model=64, n_heads=8)
    assert wide == ModelConfig(**(SHAPE | {"d_model": 64, "n_heads": 8}))
    with pytest.raises(ConfigError, match=r"d_model=130 must be divisible by n_heads=4; try 128 or 132"):
        ModelConfig(**SHAPE).replace(d_model=130)
    chosen = ModelConfig(**SHAPE, d_ff=40, n_kv_heads=2, head_dim=10, score_scale=0.5).replace(d_model=64)
    assert (chosen.d_ff, chosen.n_kv_heads, chosen.head_dim, chosen.score_scale) == (40, 2, 10, 0.5)


def test_ntk_scaling_needs_more_than_one_pair():
    with pytest.raises(ConfigError, match="head_dim=2"):
        ModelConfig(**SHAPE, head_dim=2, rope_scaling=RopeScaling(kind="ntk", factor=2.0))


def doubled(config: ModelConfig) -> ModelConfig:
    """A config with the width doubled and every size that followed from it."""
    return config.replace(d_model=2 * config.d_model)


@pytest.mark.parametrize("base", [PRESETS["nano"].model, GPT2, PRESETS["small_legacy"].model])
@pytest.mark.parametrize(
    "change",
    [
        doubled,
        lambda config: config,
        lambda config: config.replace(n_kv_heads=1, qk_norm=True),
        lambda config: doubled(config).replace(head_dim=config.head_dim, score_scale=config.score_scale),
        lambda config: config.replace(rope_scaling=RopeScaling(kind="linear", factor=3.0), window=7),
        lambda config: GPT2,
    ],
)
def test_changes_give_the_config_again_from_its_base_and_none_can_be_spared(base, change):
    config = change(base)
    changes = config.changes_from(base)
    assert base.replace(**changes) == config
    for name in changes:
        with contextlib.suppress(ConfigError):  # what cannot be built cannot be spared either
            assert base.replace(**{n: value for n, value in changes.items() if n != name}) != config


def test_what_follows_and_what_is_left_out_is_no_change():
    nano = PRESETS["nano"]
    assert doubled(nano.model).changes_from(nano.model) == {"d_model": 256}
    assert nano.model.changes_from(nano.model) == {}
    longer = nano.train.replace(seconds=None, steps=10, seed=4, learning_rate=1e-3)
    assert longer.changes_from(nano.train, leave_out=("steps", "seconds", "seed")) == {"learning_rate": 1e-3}
    assert longer.changes_from(leave_out=("seed",)).keys() >= {"steps", "learning_rate", "optimizer"}
