"""Quantized models: the products of their integers, how far they are from the model, and every way to generate."""

import json

import pytest
import torch
from torch.nn import functional as F

from gptcore.__main__ import main
from gptcore.checkpoint import SHIPPED
from gptcore.formats import load
from gptcore.generation.batch import generate_batch
from gptcore.generation.fast_model import FastModel
from gptcore.generation.quantized import (
    GROUP,
    KINDS,
    Int4Linear,
    Int8Linear,
    QuantizedGPT,
    greedy_agreement,
    perplexity,
    quantize_rows,
    weight_bytes,
)
from gptcore.generation.sampling import Sampling, generate
from gptcore.initialization import Linear
from gptcore.runs.options import QUANTIZED_KINDS
from gptcore.stories.writer import write_stories


def linear(n_in: int, n_out: int, *, bias: bool) -> Linear:
    plain = Linear(n_in, n_out, bias=bias).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for tensor in plain.parameters():
        tensor.normal_(generator=generator)
    plain.weight[3] = 0.0  # a row without a scale
    return plain


def test_rows_are_rounded_to_the_nearest_of_255_steps():
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    integers, scale = quantize_rows(x)
    assert integers.abs().amax(-1).eq(127).all()
    assert ((integers * scale - x).abs() <= scale / 2 * 1.001).all()


@pytest.mark.parametrize("shape", [(32, 48), (40, 61), (64, 16)])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_products_are_those_of_the_rounded_weights(shape, bias):
    plain = linear(*shape, bias=bias)
    x = torch.randn(2, 3, shape[0], generator=torch.Generator().manual_seed(1))
    eight = Int8Linear(plain)
    integers, scale = quantize_rows(x)
    by_hand = F.linear(integers * scale, eight.weight * eight.scale.unsqueeze(-1), plain.bias)
    torch.testing.assert_close(eight(x), by_hand, rtol=1e-5, atol=1e-4)
    groups = F.pad(plain.weight, (0, -shape[0] % GROUP)).unflatten(-1, (-1, GROUP))
    step = (groups.amax(-1) - groups.amin(-1)) / 15
    furthest = F.linear(x.abs(), (step / 2).repeat_interleave(GROUP, -1)[:, : shape[0]])
    error = (Int4Linear(plain)(x) - plain(x)).abs()
    assert (error <= 1.1 * furthest + 0.02 * F.linear(x.abs(), plain.weight.abs()) + 0.05).all()
    assert (error > 0.1 * furthest).any()  # and they are rounded


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [{}, {"bias": "all", "ffn": "gelu", "position": "learned", "norm": "layernorm", "logit_cap": 5.0}],
    ids=str,
)
@torch.inference_mode()
def test_a_quantized_model_generates_what_its_own_forward_says(lively, random_ids, kind, changes):
    model = QuantizedGPT(lively(tie_embeddings=not changes, **changes), kind)
    ids, fast = random_ids(1, 24), FastModel(model)
    cache = fast.new_cache()
    assert fast.has_step
    for end in range(1, 25):
        ours = fast.step(int(ids[0, end - 1]), cache)
        expected = model(ids[:, :end])[0, -1]
        assert (
            ours - expected
        ).norm() <= 0.05 * expected.norm()  # an activation may round to the next integer
    prompts = [[1, 2, 3], [4], [5, 6]]
    rows = generate_batch(model, prompts, 12, Sampling(), seed=3)
    alone = [
        [s.token_id for s in generate(model, prompt, 12, seed=3 + row)] for row, prompt in enumerate(prompts)
    ]
    assert rows == alone


@torch.inference_mode()
def test_the_shipped_model_keeps_its_quality_in_fewer_bytes():
    model, tokenizer = load(SHIPPED)
    model.eval()
    ids = torch.tensor(tokenizer.encode("\n".join(story.text for story in write_stories(3, seed=10**6))))
    exact, size = perplexity(model, ids), weight_bytes(model)
    loss = sum(
        float(model.loss(ids[None, at : at + 256][:, : len(ids) - 1 - at], ids[None, at + 1 : at + 257]))
        * min(256, len(ids) - 1 - at)
        for at in range(0, len(ids) - 1, 256)
    )
    assert exact == pytest.approx(torch.tensor(loss / (len(ids) - 1)).exp().item(), rel=1e-4)
    assert greedy_agreement(model, model, ids) == 1.0
    eight, four = (QuantizedGPT(model, kind) for kind in KINDS)
    assert perplexity(eight, ids) == pytest.approx(exact, rel=0.02)
    assert perplexity(four, ids) == pytest.approx(exact, rel=0.25)
    assert greedy_agreement(model, eight, ids) > max(0.95, greedy_agreement(model, four, ids))
    assert weight_bytes(eight) < 0.27 * size and weight_bytes(four) < 0.2 * size


def test_the_command_line_samples_from_a_quantized_model(capsys):
    model, tokenizer = load(SHIPPED)
    assert KINDS == QUANTIZED_KINDS
    for kind in KINDS:
        arguments = ["--prompt", "Once upon", "--max-new-tokens", "20", "--temperature", "0"]
        assert main(["sample", *arguments, "--quantize", kind, "--json"]) == 0
        line = json.loads(capsys.readouterr().out)
        steps = generate(QuantizedGPT(model, kind), tokenizer.encode("Once upon"), 20, temperature=0)
        assert line["token_ids"] == [step.token_id for step in steps]


def test_what_cannot_be_quantized_is_refused_in_one_sentence(lively):
    with pytest.raises(ValueError, match="quantize='int2' is none of int8, int4"):
        QuantizedGPT(lively(), "int2")
    with pytest.raises(ValueError, match="the model is on meta; quantized products need it on the CPU"):
        QuantizedGPT(lively().to("meta"), "int8")
    with pytest.raises(ValueError, match="a text of 1 tokens has none to predict"):
        perplexity(lively(), torch.tensor([1]))
