"""Positions: RoPE against complex numbers and transformers, its laws, and the older schemes."""

import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from gptcore.config import RopeScaling
from gptcore.positions import POSITIONS, apply_rope, inverse_frequencies, rope_table

Q = torch.tensor([0.8, 0.3, -0.5, 0.2])
INTERLEAVED_TO_HALVES = torch.tensor([0, 2, 1, 3])  # pairs (0,1),(2,3) become (0,2),(1,3)


def turned(x: torch.Tensor, position: int, theta: float = 10_000.0) -> torch.Tensor:
    """Turn one vector (D,) as the model does at a position."""
    cos, sin = rope_table(len(x), position + 1, theta)
    return apply_rope(x.view(1, 1, 1, -1), cos[-1:], sin[-1:]).flatten()


def turned_interleaved(x: torch.Tensor, position: int) -> torch.Tensor:
    """Turn neighbouring pairs, by reordering before and after."""
    return turned(x[INTERLEAVED_TO_HALVES], position)[INTERLEAVED_TO_HALVES.argsort()]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, (0.8, 0.3, -0.5, 0.2)),
        (1, (0.8530, 0.2980, 0.4030, 0.2030)),
        (2, (0.1217, 0.2959, 0.9355, 0.2060)),
        (3, (-0.7214, 0.2939, 0.6079, 0.2089)),
    ],
)
def test_worked_numbers_of_halves(position, expected):
    torch.testing.assert_close(turned(Q, position), torch.tensor(expected), atol=5e-5, rtol=0)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (1, (0.1798, 0.8353, -0.5020, 0.1950)),
        (2, (-0.6057, 0.6026, -0.5039, 0.1900)),
        (3, (-0.8343, -0.1841, -0.5058, 0.1849)),
    ],
)
def test_worked_numbers_of_neighbouring_pairs(position, expected):
    torch.testing.assert_close(turned_interleaved(Q, position), torch.tensor(expected), atol=5e-5, rtol=0)


@pytest.mark.parametrize("position", [0, 1, 7, 40])
def test_worked_score_depends_on_distance_alone(position):
    k = torch.tensor([0.6, -0.3, 0.1, 0.5])
    ahead = turned_interleaved(Q, position + 2) @ turned_interleaved(k, position)
    behind = turned_interleaved(Q, position) @ turned_interleaved(k, position + 2)
    assert ahead == pytest.approx(-0.499612, abs=2e-6)
    assert behind == pytest.approx(0.274997, abs=2e-6)


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
def test_rotation_is_a_product_of_complex_numbers(theta):
    x = torch.randn(2, 3, 11, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = torch.complex(x[..., :8], x[..., 8:])
    exponents = -torch.arange(0, 16, 2, dtype=torch.float64) / 16
    angles = torch.outer(torch.arange(11, dtype=torch.float64), theta**exponents)
    product = pairs * torch.polar(torch.ones_like(angles), angles)
    cos, sin = rope_table(16, 11, theta)
    ours = apply_rope(x, cos.double(), sin.double())
    torch.testing.assert_close(ours, torch.cat([product.real, product.imag], -1), atol=1e-5, rtol=0)


def test_rotation_keeps_lengths_and_leaves_the_first_position():
    x = torch.randn(1, 2, 64, 8, generator=torch.Generator().manual_seed(1))
    y = apply_rope(x, *rope_table(8, 64))
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(y[:, :, 0], x[:, :, 0])


def test_scores_depend_on_distance_alone():
    generator = torch.Generator().manual_seed(2)
    q, k = torch.randn(32, generator=generator), torch.randn(32, generator=generator)
    cos, sin = rope_table(32, 200)
    queries = apply_rope(q.expand(1, 1, 200, 32), cos, sin)[0, 0]
    keys = apply_rope(k.expand(1, 1, 200, 32), cos, sin)[0, 0]
    scores = queries @ keys.T  # (200, 200)
    for distance in (-50, -1, 0, 1, 30):
        band = scores.diagonal(distance)
        assert band.max() - band.min() < 1e-4
    assert scores.diagonal(0)[0] != pytest.approx(float(scores.diagonal(30)[0]), abs=0.1)


def their_frequencies(parameters: dict, head_dim: int, positions: int, seq_len: int | None = None):
    config = LlamaConfig(
        hidden_size=4 * head_dim,
        num_attention_heads=4,
        max_position_embeddings=positions,
        rope_parameters=parameters,
    )
    compute = ROPE_INIT_FUNCTIONS[parameters["rope_type"]]
    frequencies, _ = compute(config, device="cpu", seq_len=seq_len)
    return frequencies


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
@pytest.mark.parametrize("factor", [1.0, 2.0, 8.0])
def test_linear_scaling_is_transformers(theta, factor):
    theirs = their_frequencies({"rope_type": "linear", "rope_theta": theta, "factor": factor}, 16, 64)
    ours = inverse_frequencies(16, theta, RopeScaling(kind="linear", factor=factor))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
@pytest.mark.parametrize(
    ("factor", "low", "high", "original"), [(8.0, 1.0, 4.0, 8192), (32.0, 2.0, 5.0, 256)]
)
def test_llama3_scaling_is_transformers(theta, factor, low, high, original):
    parameters = {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }
    scaling = RopeScaling(
        kind="llama3",
        factor=factor,
        low_freq_factor=low,
        high_freq_factor=high,
        original_context_length=original,
    )
    ours = inverse_frequencies(128, theta, scaling)
    torch.testing.assert_close(ours, their_frequencies(parameters, 128, 131_072))
    plain = inverse_frequencies(128, theta)
    assert ours[0] == plain[0]
    assert ours[-1] == pytest.approx(float(plain[-1]) / factor)
    assert ((ours < plain) & (ours > plain / factor)).any()


@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize(
    ("theta", "factor", "more"),
    [
        (10_000.0, 8.0, {}),
        (1e6, 32.0, {"beta_fast": 16.0, "beta_slow": 2.0}),
        (10_000.0, 4.0, {"attention_factor": 1.3}),
    ],
)
def test_yarn_scaling_is_transformers(theta, factor, more, truncate):
    parameters = {
        "rope_type": "yarn",
        "rope_theta": theta,
        "factor": factor,
        "original_max_position_embeddings": 512,
        "truncate": truncate,
    }
    scaling = RopeScaling(
        kind="yarn",
        factor=factor,
        low_freq_factor=more.get("beta_slow", 1.0),
        high_freq_factor=more.get("beta_fast"),
        original_context_length=512,
        attention_factor=more.get("attention_factor"),
        whole_pairs=truncate,
    )
    config = LlamaConfig(hidden_size=64, num_attention_heads=1, rope_parameters=parameters | more)
    theirs, attention_factor = ROPE_INIT_FUNCTIONS["yarn"](config, "cpu")
    torch.testing.assert_close(inverse_frequencies(64, theta, scaling), theirs)
    cos, sin = POSITIONS["rope"](64, 64, 8, theta, scaling).angles(5, 1, torch.float32)
    torch.testing.assert_close(cos, attention_factor * (5 * theirs.repeat(2)).cos()[None])
    torch.testing.assert_close(sin, attention_factor * (5 * theirs.repeat(2)).sin()[None])


@pytest.mark.parametrize("kind", [None, "linear", "ntk", "yarn"])
def test_of_a_fraction_the_first_pairs_rotate_as_in_a_narrower_head(kind):
    scaling = kind and RopeScaling(kind=kind, factor=4.0, original_context_length=64)
    frequencies = inverse_frequencies(16, 10_000.0, scaling, 0.5)
    torch.testing.assert_close(frequencies[:4], inverse_frequencies(8, 10_000.0, scaling))
    assert not frequencies[4:].any()
    cos, sin = POSITIONS["rope"](32, 16, 8, 10_000.0, scaling, 0.5).angles(5, 1, torch.float32)
    assert cos[0, 4:8].tolist() == cos[0, 12:].tolist() == [1.0] * 4
    assert not sin[0, 4:8].any() and sin[0, :4].all()


def test_ntk_scaling_is_transformers_for_a_text_stretched_by_the_factor():
    # Their dynamic form raises the base by how far the text exceeds the trained context; ours is fixed.
    parameters = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 1.0}
    theirs = their_frequencies(parameters, 64, positions=128, seq_len=4 * 128)
    ours = inverse_frequencies(64, 10_000.0, RopeScaling(kind="ntk", factor=4.0))
    torch.testing.assert_close(ours, theirs)
    plain = inverse_frequencies(64, 10_000.0)
    assert ours[0] == plain[0]
    assert ours[-1] == pytest.approx(float(plain[-1]) / 4, rel=1e-4)


def test_sinusoidal_positions_are_the_papers_up_to_their_size():
    scheme = POSITIONS["sinusoidal"](12, 4, 9, 10_000.0)
    marks = scheme.embed(torch.zeros(1, 5, 12), start=3)[0]
    scale = 0.02 * math.sqrt(2)
    for row, position in enumerate(range(3, 8)):
        for i in range(6):
            angle = position / 10_000 ** (2 * i / 12)
            assert marks[row, 2 * i] == pytest.approx(scale * math.sin(angle), abs=1e-6)
            assert marks[row, 2 * i + 1] == pytest.approx(scale * math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("name", POSITIONS)
def test_a_scheme_marks_a_later_start_as_it_marks_those_positions_in_one_pass(name):
    scheme = POSITIONS[name](16, 8, 20, 10_000.0)
    for weight in scheme.parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 20, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(scheme.embed(x, 0)[:, 13:17], scheme.embed(x[:, 13:17], 13))
    whole, part = scheme.angles(0, 20, torch.float32), scheme.angles(13, 4, torch.float32)
    assert (whole is None) == (part is None)
    if whole is not None:
        assert all(torch.equal(a[13:17], b) for a, b in zip(whole, part))
