"""Rows of a table: cosines, neighbours and sums by plain arithmetic; which rows a step moves, by torch's optimizers."""

import math

import pytest
import torch

from gptcore.checkpoint import SHIPPED
from gptcore.formats import load
from gptcore.interpret import embedding_table
from gptcore.model import GPT


@pytest.fixture(scope="module")
def shipped():
    return load(SHIPPED)


def test_cosines_are_those_of_plain_python():
    a, b = (0.9, 0.4, -0.2), (0.8, 0.5, 0.3)
    dot = sum(x * y for x, y in zip(a, b))
    want = dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    assert embedding_table.cosines(torch.tensor([a]), torch.tensor([b])).item() == pytest.approx(
        want, abs=1e-6
    )
    assert embedding_table.cosines(torch.zeros(1, 3), torch.tensor([b])).item() == 0


def test_the_gradient_of_a_row_is_the_sum_over_its_places():
    above = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    assert embedding_table.embedding_gradient([2, 0, 2], above, 4).tolist() == [
        [10, 20],
        [0, 0],
        [101, 202],
        [0, 0],
    ]


@pytest.mark.parametrize("way", embedding_table.WAYS)
def test_a_step_moves_the_rows_as_torchs_optimizer_does(way):
    ids = [3, 7, 7, 1, 4]
    model = GPT(embedding_table.SMALL.replace(tie_embeddings=way.startswith("tied")), seed=0)
    born = model.embedding.weight.detach().clone()
    make = torch.optim.SGD if way.endswith("SGD") else torch.optim.AdamW
    more = (
        {} if way.endswith("SGD") else {"weight_decay": embedding_table.DECAY, "eps": embedding_table.EPSILON}
    )
    optimizer = make(model.parameters(), lr=embedding_table.RATE, **more)
    tokens = torch.tensor([ids])
    model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
    optimizer.step()
    want = (model.embedding.weight.detach() - born).norm(dim=1)
    assert torch.allclose(embedding_table.single_update(ids, way).far, want, atol=1e-5)


def test_untied_descent_moves_what_was_read_tied_and_decay_move_all():
    moved = {way: embedding_table.single_update([3, 7, 7, 1, 4], way) for way in embedding_table.WAYS}
    assert moved["untied, SGD"].n_unseen_changed == 0
    assert moved["tied, SGD"].n_unseen_changed == embedding_table.SMALL.vocab_size - 3
    assert moved["untied, AdamW with decay"].n_unseen_changed == embedding_table.SMALL.vocab_size - 3
    assert set(moved["untied, SGD"].far.nonzero().flatten().tolist()) == {1, 3, 7}


@pytest.mark.parametrize("ids", [[], [1], [1, 16], [-1, 2]])
def test_ids_that_cannot_be_read_are_refused(ids):
    with pytest.raises(ValueError, match="two or more ids from 0 to 15"):
        embedding_table.single_update(ids, embedding_table.WAYS[0])


def test_a_sum_is_ranked_with_its_inputs_and_without():
    table = torch.tensor(
        [[1.0, 0.0, 1.0], [1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.05, 1.0, 1.0], [-1.0, 0.0, 0.0]]
    )
    found = embedding_table.analogy(table, 0, 1, 2, wanted=3)  # a − b + c = (0, .9, 1)
    assert found.rank == found.rank_without_inputs == 1
    near = embedding_table.analogy(table, 0, 1, 0, wanted=3)
    assert near.rank > near.rank_without_inputs
    assert not {i for i, _ in found.best_without_inputs} & {0, 1, 2}


def test_a_turned_model_computes_the_same(shipped):
    model, tokenizer = shipped
    other = embedding_table.rotated(model, seed=3)
    ids = tokenizer.encode("Once upon a time there was a queen")
    assert embedding_table.largest_difference(model, other, ids) < 1e-4
    assert (other.embedding.weight - model.embedding.weight).abs().max() > 1  # and yet its columns are others
    turn = embedding_table.random_rotation(16)
    assert torch.allclose(turn @ turn.T, torch.eye(16), atol=1e-5)


def test_a_model_that_cannot_be_turned_is_refused():
    config = embedding_table.SMALL.replace(norm="layernorm")
    assert not embedding_table.can_rotate(config)
    with pytest.raises(ValueError, match="RMSNorm before each sub-layer"):
        embedding_table.rotated(GPT(config))


def test_unread_rows_of_the_tied_model_lie_on_one_spot_and_are_unread(shipped):
    from gptcore.experiments.measurements.embeddings import read_tokens

    model, _ = shipped
    table = model.embedding.weight.detach()
    spot = embedding_table.collapsed_rows(table)
    assert len(spot) > 300
    assert not set(spot) & set(read_tokens())
    assert (
        embedding_table.collapsed_rows(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)))[1:]
        == []
    )


def test_a_map_of_a_plane_keeps_all_and_of_a_cloud_little():
    draw = torch.Generator().manual_seed(1)
    plane = torch.randn(40, 2, generator=draw) @ torch.randn(2, 30, generator=draw)
    assert embedding_table.pca_projection(plane).kept == pytest.approx(1, abs=1e-4)
    assert embedding_table.neighbors_kept(plane) > 0.95
    cloud = torch.randn(200, 64, generator=draw)
    assert embedding_table.neighbors_kept(cloud) < 0.3 > embedding_table.pca_projection(cloud).kept


def test_drift_parts_the_unread_from_the_rest():
    born = torch.eye(4)
    now = born.clone()
    now[0] = torch.tensor([3.0, 0, 0, 0])
    found = embedding_table.drift(born, now, [1, 2])
    assert (found.n_still, found.n_unread_still, found.unread) == (3, 2, 0)
    assert found.rest == pytest.approx(1) and found.unread_cosine == pytest.approx(1)


def test_a_norm_forgets_the_factor(shipped):
    model, tokenizer = shipped
    plain, normed = embedding_table.scaled_and_normed(model, tokenizer.encode("a queen"))
    assert plain > 1 > 1e-2 > normed
