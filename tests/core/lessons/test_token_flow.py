"""How a written token came about: the flows agree with a pass made for that token alone."""

import pytest
import torch

from gptcore.checkpoint import SHIPPED
from gptcore.config import ModelConfig
from gptcore.formats import load
from gptcore.generation.sampling import Sampling, distribution
from gptcore.lessons.token_flow import CELLS, token_flows
from gptcore.model import GPT
from gptcore.tracing import trace

PROMPT = [3, 1, 4, 1, 5]
N = 4
SHAPES = ({}, {"norm_position": "post"}, {"causal": False}, {"n_kv_heads": 1})


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flows_are_those_of_a_pass_over_the_text_before_each_token(shape):
    shape = {"vocab_size": 30, "context_length": 16, "d_model": 16, "n_layers": 2, "n_heads": 2, **shape}
    model = GPT(ModelConfig(**shape), seed=1)
    flows = token_flows(model, PROMPT, N, temperature=0.7, seed=2)
    assert len(flows) == N
    ids = list(PROMPT)
    for flow in flows:
        seen = trace(model, ids)
        probabilities = distribution(seen["logits"][0, -1], Sampling(temperature=0.7))
        for token_id, p in flow.candidates:
            assert p == pytest.approx(probabilities[token_id].item(), abs=1e-5)
        assert [p for _, p in flow.candidates] == sorted((p for _, p in flow.candidates), reverse=True)
        for number, layer in enumerate(flow.layers):
            added = seen.get(
                f"layers.{number}.attention_output_normed", seen[f"layers.{number}.attention_output"]
            )
            assert layer.attention_norm == pytest.approx(
                torch.linalg.vector_norm(added[0, -1]).item(), rel=1e-4
            )
            weights = seen[f"layers.{number}.attention.weights"][0, :, -1]
            for position, weight in layer.attended:
                assert weight == pytest.approx(max(head[position].item() for head in weights), abs=1e-5)
        assert flow.stream[0] == pytest.approx(seen["positioned"][0, -1, :CELLS].tolist(), abs=1e-5)
        ids.append(flow.token_id)


def test_at_temperature_0_the_most_probable_token_is_written_and_the_last_layer_says_it():
    model, tokenizer = load(SHIPPED)
    for flow in token_flows(model, tokenizer.encode("Once upon a time"), 8):
        assert flow.token_id == flow.candidates[0][0] == flow.layers[-1].best_id
        assert flow.layers[-1].best_probability == pytest.approx(flow.candidates[0][1], abs=1e-5)


def test_the_end_of_a_text_is_no_flow():
    model, tokenizer = load(SHIPPED)
    ids = tokenizer.encode("Once upon a time")
    first = token_flows(model, ids, 1)[0].token_id
    assert token_flows(model, ids, 5, stop_ids=(first,)) == []
