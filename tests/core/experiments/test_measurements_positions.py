"""Claims about positions: the quantities behind them obey their laws, and verdicts can come out either way."""

import pytest
import torch

from gptcore.config import ModelConfig
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.windows import fixed_batches
from gptcore.experiments import claims
from gptcore.experiments.measurements import positions
from gptcore.lessons.by_hand import order_for_halves, pairs, rotate, rotated_score
from gptcore.model import GPT
from gptcore.positions import apply_rope, rope_table
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import story_tokenizer


def test_what_follows_from_arithmetic_comes_out_as_known():
    assert claims.measure(claims.get_claim("distance_alone")).verdict == "holds"
    assert claims.measure(claims.get_claim("higher_base")).verdict == "holds not"
    assert (
        claims.measure(claims.get_claim("no_order")).verdict == "depends"
    )  # with the mask there is an order


def test_scores_by_place_and_by_distance_are_those_of_the_model():
    draw = torch.Generator().manual_seed(0)
    q, k = torch.randn(16, generator=draw), torch.randn(16, generator=draw)
    square = positions.scores_by_position(q, k, 12)
    cos, sin = rope_table(16, 12)
    for at, key_at in ((0, 0), (3, 1), (2, 9), (11, 4)):
        theirs = apply_rope(q, cos[at], sin[at]) @ apply_rope(k, cos[key_at], sin[key_at]) / 4
        assert square[at, key_at] == pytest.approx(float(theirs), abs=1e-5)
    torch.testing.assert_close(positions.scores_by_distance(q, k, 12), square[:, 0])


def test_a_stretched_model_is_the_same_inside_its_context():
    model = GPT(ModelConfig(vocab_size=30, context_length=8, d_model=16, n_layers=1, n_heads=2)).eval()
    ids = torch.arange(8).unsqueeze(0)
    longer = positions.with_rope_scaling(model, None, 24)
    torch.testing.assert_close(longer(ids), model(ids))
    assert longer(torch.arange(24).unsqueeze(0)).shape == (1, 24, 30)
    for name, scaling in positions.scalings(4.0, 8).items():
        same = torch.allclose(positions.with_rope_scaling(model, scaling, 24)(ids), model(ids), atol=1e-5)
        assert same == (name == "as trained")


def test_losses_by_position_average_to_the_loss_of_all_texts():
    tokenizer = story_tokenizer()
    model = GPT(ModelConfig(vocab_size=2048, context_length=32, d_model=16, n_layers=1, n_heads=2)).eval()
    with torch.no_grad():
        model.embedding.weight.mul_(20)  # so that tokens and texts differ in their loss
    losses = positions.loss_by_position(model, tokenizer, None, n_texts=3)
    assert len(losses) == 3
    texts = [story.text for story in write_stories(108, seed=900_000)]
    ((ids, targets),) = fixed_batches(encode_documents(texts, tokenizer), 96, 3, 1)
    longer = positions.with_rope_scaling(model, None, 96)
    assert sum(losses) / 3 == pytest.approx(float(longer.loss(ids, targets)), rel=1e-5)


def test_a_model_without_positions_knows_order_by_its_mask_alone():
    assert positions.order_known("none", 1) < 1e-5
    assert positions.order_known("none", 3, causal=False) < 1e-5
    assert positions.order_known("none", 2) > 0.01
    for scheme in ("rope", "learned", "sinusoidal"):
        assert positions.order_known(scheme, 1, causal=False) > 1e-4


@pytest.mark.parametrize("pairing", ["halves", "neighbours"])
def test_a_turn_by_hand_is_a_product_of_complex_numbers(pairing):
    x = torch.randn(8, generator=torch.Generator().manual_seed(1))
    found = rotate(x, 5, 100.0, pairing)
    for (a, b), angle in zip(found.pairs, found.angles):
        z = torch.complex(x[a], x[b]) * torch.polar(torch.tensor(1.0), torch.tensor(angle))
        assert (found.rotated[a], found.rotated[b]) == pytest.approx((float(z.real), float(z.imag)), abs=1e-5)


def test_reordered_neighbours_are_halves():
    draw = torch.Generator().manual_seed(2)
    q, k = torch.randn(8, generator=draw), torch.randn(8, generator=draw)
    order = order_for_halves(8, "neighbours")
    assert rotated_score(q[order], k[order], 9, 2) == pytest.approx(
        rotated_score(q, k, 9, 2, pairing="neighbours"), abs=1e-5
    )
    assert order_for_halves(8, "halves") == list(range(8))
    assert pairs(6, "neighbours") == [(0, 1), (2, 3), (4, 5)]
    found = positions.pairing_scores(8, seed=3)
    assert found.reordered == pytest.approx(found.paper, abs=1e-5) and found.wrong != pytest.approx(
        found.paper
    )


def test_a_head_that_is_built_to_look_one_back_leans_there():
    from types import SimpleNamespace

    # Keys are the queries turned back by one place, so that they agree where the query stands one further.
    q = torch.ones(1, 1, 5, 16)
    cos, sin = rope_table(16, 2)
    seen = {"layers.0.attention.q": q, "layers.0.attention.k": apply_rope(q, cos[1], sin[1])}
    config = SimpleNamespace(n_layers=1, n_heads=1, n_kv_heads=1, rope_theta=10_000.0)
    (lean,) = positions.distance_profiles(seen, config, 9)
    assert lean.peak == 1
