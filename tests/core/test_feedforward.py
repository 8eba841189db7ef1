"""Feed-forward layers: each against its formula, and what holds for any of them."""

import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from gptcore.feedforward import FEEDFORWARDS


def made(name: str, bias: bool = False) -> torch.nn.Module:
    layer = FEEDFORWARDS[name](12, 20, bias)
    generator = torch.Generator().manual_seed(0)
    for weight in layer.parameters():
        weight.data.normal_(0.0, 0.4, generator=generator)
    return layer


@pytest.fixture
def x():
    return torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("name", "bend"), [("gelu", gelu_tanh), ("relu", lambda x: x.clamp(min=0))])
def test_an_mlp_is_widen_bend_narrow(x, name, bend, bias):
    w = dict(made(name, bias).named_parameters())
    zero = torch.zeros(())
    hidden = bend(x @ w["up_proj.weight"].T + w.get("up_proj.bias", zero))
    expected = hidden @ w["down_proj.weight"].T + w.get("down_proj.bias", zero)
    torch.testing.assert_close(made(name, bias)(x), expected)


def test_swiglu_is_llamas(x):
    config = LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2, hidden_act="silu")
    theirs = LlamaMLP(config)
    ours = made("swiglu")
    gate, up = ours.gate_up_proj.weight.chunk(2)
    theirs.load_state_dict(
        {"gate_proj.weight": gate, "up_proj.weight": up, "down_proj.weight": ours.down_proj.weight}
    )
    torch.testing.assert_close(ours(x), theirs(x))


def test_swiglu_of_one_number_by_hand():
    layer = FEEDFORWARDS["swiglu"](1, 1)
    layer.gate_up_proj.weight.data.copy_(torch.tensor([[2.0], [3.0]]))
    layer.down_proj.weight.data.fill_(0.5)
    x = 1.5
    gate = 2 * x / (1 + math.exp(-2 * x))
    assert layer(torch.tensor([[[x]]])).item() == pytest.approx(0.5 * gate * 3 * x)


@pytest.mark.parametrize("name", FEEDFORWARDS)
@pytest.mark.parametrize("bias", [False, True])
def test_any_layer_keeps_shape_and_dtype_is_finite_and_reaches_every_weight(x, name, bias):
    layer = made(name, bias)
    for dtype in (torch.float32, torch.bfloat16):
        for scale in (1.0, 1e6):
            out = layer.to(dtype)((scale * x).to(dtype))
            assert out.shape == x.shape
            assert out.dtype == dtype
            assert out.isfinite().all()
    layer = made(name, bias)
    layer(x).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in layer.parameters())
    assert any("bias" in weight_name for weight_name, _ in layer.named_parameters()) == bias


@pytest.mark.parametrize("name", FEEDFORWARDS)
def test_a_layer_thinks_about_each_token_alone(x, name):
    layer = made(name)
    torch.testing.assert_close(layer(x)[:, 2:3], layer(x[:, 2:3]))
