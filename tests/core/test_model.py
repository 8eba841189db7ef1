"""The whole model: every variant there is, causality, its birth, and its loss."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from gptcore.account import n_parameters
from gptcore.config import BIASES, NORM_POSITIONS
from gptcore.feedforward import FEEDFORWARDS
from gptcore.model import GPT
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS, apply_rope, rope_table
from gptcore.tracing import trace

PARTS = {
    "norm": list(NORMS),
    "ffn": list(FEEDFORWARDS),
    "position": list(POSITIONS),
    "norm_position": list(NORM_POSITIONS),
    "bias": list(BIASES),
    "qk_norm": [False, True],
    "window": [None, 3],
    "tie_embeddings": [True, False],
    "n_kv_heads": [4, 2, 1],
    "residual": [True, False],
}
TABLES = ("norm", "ffn", "position", "norm_position")


def every_pair() -> list[dict]:
    """All combinations of the variant tables, with the switches going round beside them."""
    switches = [itertools.cycle(PARTS[name]) for name in PARTS if name not in TABLES]
    names = [name for name in PARTS if name not in TABLES]
    variants = []
    for combination in itertools.product(*(PARTS[name] for name in TABLES)):
        variants.append(dict(zip(TABLES, combination)) | {n: next(s) for n, s in zip(names, switches)})
        next(switches[0])  # so that switches of equal period do not always move together
    return variants


def test_every_variant_has_its_shape_its_gradients_and_its_count(lively, random_ids):
    ids, targets = random_ids(2, 7), random_ids(2, 7, seed=1)
    for changes in every_pair():
        model = lively(**changes)
        logits = model(ids)
        assert logits.shape == (2, 7, 61), changes
        assert logits.dtype == torch.float32, changes
        assert logits.isfinite().all(), changes
        model.loss(ids, targets).backward()
        still = [
            name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()
        ]
        assert still == [], changes
        assert sum(weight.numel() for weight in model.parameters()) == n_parameters(model.config), changes


@pytest.mark.parametrize("name", PARTS)
def test_every_choice_matters(lively, random_ids, name):
    ids = random_ids(1, 9)
    base = {"n_kv_heads": 2} if name == "window" else {}
    outputs = []
    for value in PARTS[name]:
        torch.manual_seed(0)
        outputs.append(lively(**base, **{name: value})(ids))
    for a, b in itertools.combinations(outputs, 2):
        assert not torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ({}, {"embedding_scale": 3.0}),
        ({}, {"score_cap": 1.0}),
        ({}, {"logit_cap": 1.0}),
        ({}, {"rotary_fraction": 0.5}),
        ({}, {"rope_pattern": "rn"}),
        ({"qk_norm": True}, {"qk_norm_width": "all"}),
        ({"window": 3}, {"window_pattern": "wf"}),
        ({"window": 3}, {"window_rope_theta": 10.0}),
    ],
    ids=str,
)
@torch.no_grad()
def test_what_only_some_families_have_matters_on_both_paths_and_in_the_loss(
    lively, random_ids, base, changes
):
    ids, targets = random_ids(2, 9), random_ids(2, 9, seed=1)
    plain, model = lively(**base), lively(**base, **changes)
    logits = model(ids)
    assert not torch.allclose(plain(ids), logits, atol=1e-3)
    torch.testing.assert_close(model(ids, path="explicit"), logits, atol=1e-4, rtol=1e-5)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model.loss(ids, targets), expected)


@torch.no_grad()
def test_soft_caps_bound_the_scores_and_the_logits(lively, random_ids):
    ids = random_ids(1, 9)
    seen = trace(lively(score_cap=0.5, logit_cap=2.0), ids)
    assert 0.4 < seen["layers.0.attention.scores"].abs().max() <= 0.5
    assert 1.5 < seen["logits"].abs().max() <= 2.0
    assert lively()(ids).abs().max() > 2.5


@torch.no_grad()
def test_a_pattern_gives_each_layer_its_window_and_its_rotation(lively, random_ids):
    changes = {"n_layers": 3, "window": 3, "window_pattern": "wf", "rope_pattern": "rrn"}
    model = lively(**changes, window_rope_theta=50.0)
    seen = trace(model, random_ids(1, 9))
    visible = [(seen[f"layers.{layer}.attention.weights"] > 0).sum(-1).max() for layer in range(3)]
    assert visible == [3, 9, 3]
    assert ["layers.2.attention.q_rotated" in seen, "layers.1.attention.q_rotated" in seen] == [False, True]
    for layer, theta in ((0, 50.0), (1, 10_000.0)):
        cos, sin = rope_table(model.config.head_dim, 9, theta)
        q, rotated = (seen[f"layers.{layer}.attention.{name}"] for name in ("q", "q_rotated"))
        torch.testing.assert_close(rotated, apply_rope(q, cos, sin))


@pytest.mark.parametrize("norm_position", NORM_POSITIONS)
@pytest.mark.parametrize("residual", [True, False])
@torch.no_grad()
def test_the_norm_stands_where_the_papers_put_it(lively, norm_position, residual):
    model = lively(norm_position=norm_position, residual=residual, position="none", causal=False)
    block = model.layers[0]
    x = stream = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    norms = dict(block.named_children())
    for name, compute in (("attention", block.attention), ("feedforward", block.feedforward)):
        before, after, on_sum = (norms.get(f"{name}_{place}_norm") for place in ("pre", "branch", "post"))
        expected = {"pre": (1, 0, 0), "branch": (0, 1, 0), "post": (0, 0, 1), "pre+branch": (1, 1, 0)}
        assert tuple(norm is not None for norm in (before, after, on_sum)) == expected[norm_position]
        branch = compute(before(stream) if before else stream)
        branch = after(branch) if after else branch
        stream = stream + branch if residual else branch
        stream = on_sum(stream) if on_sum else stream
    torch.testing.assert_close(block(x), stream)
    assert isinstance(model.final_norm, torch.nn.Identity) == (norm_position == "post")


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("path", ["fused", "explicit"])
@pytest.mark.parametrize("window", [None, 4])
@torch.no_grad()
def test_no_logit_changes_when_a_later_token_does(lively, random_ids, position, path, window):
    model = lively(position=position, n_kv_heads=2, window=window)
    ids = random_ids(1, 12)
    before = model(ids, path=path)
    for place in (1, 6, 11):
        changed = ids.clone()
        changed[0, place] = (changed[0, place] + 1) % 61
        after = model(changed, path=path)
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.allclose(after[:, place], before[:, place], atol=1e-3)


@torch.no_grad()
def test_without_the_causal_mask_the_first_token_sees_the_last(lively, random_ids):
    model, ids = lively(causal=False), random_ids(1, 8)
    changed = ids.clone()
    changed[0, -1] = (changed[0, -1] + 1) % 61
    for path in ("fused", "explicit"):
        assert not torch.allclose(model(ids, path=path)[:, 0], model(changed, path=path)[:, 0], atol=1e-3)


@torch.no_grad()
def test_a_window_lets_each_layer_look_back_its_length_and_no_further(lively, random_ids):
    model, ids = lively(window=3), random_ids(1, 12)  # two layers: 2 + 2 tokens back
    changed = ids.clone()
    changed[0, 2] = (changed[0, 2] + 1) % 61
    moved = (model(ids) - model(changed)).abs().amax(dim=(0, 2)) > 1e-5
    assert moved.tolist() == [place in range(2, 7) for place in range(12)]


@torch.no_grad()
def test_sequences_of_a_batch_do_not_meet(lively, random_ids):
    model, ids = lively(n_kv_heads=2), random_ids(4, 9)
    alone = torch.cat([model(row.unsqueeze(0)) for row in ids])
    torch.testing.assert_close(model(ids), alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_without_positions_and_mask_order_is_lost(lively, random_ids):
    ids = random_ids(1, 8)
    turned = ids.flip(1)
    for position in POSITIONS:
        model = lively(position=position, causal=False)
        same = torch.allclose(model(ids), model(turned).flip(1), atol=1e-4)
        assert same == (position == "none")


def test_a_seed_gives_the_same_weights_whatever_else_is_drawn(small):
    torch.manual_seed(1)
    first = GPT(small(position="learned"), seed=3).state_dict()
    torch.manual_seed(2)
    torch.randn(100)
    second = GPT(small(position="learned"), seed=3).state_dict()
    other = GPT(small(position="learned"), seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_building_a_model_leaves_the_process_wide_generator_alone(small):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    GPT(small())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("n_layers", [1, 8])
def test_weights_are_born_with_gpt2s_spread(small, n_layers):
    model = GPT(small(d_model=128, d_ff=256, n_layers=n_layers, bias="all"))
    for name, weight in model.named_parameters():
        if "norm" in name:
            continue
        if name.endswith("bias"):
            assert not weight.any()
            continue
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        expected = 0.02 / math.sqrt(2 * n_layers) if writes else 0.02
        assert weight.std().item() == pytest.approx(expected, rel=0.06), name
        assert abs(weight.mean().item()) < 0.1 * expected + 1e-4


def test_an_untrained_model_knows_nothing(small, random_ids):
    model = GPT(small(vocab_size=5000))
    ids, targets = (random_ids(4, 24, seed=seed, vocab_size=5000) for seed in (0, 1))
    assert model.loss(ids, targets).item() == pytest.approx(math.log(5000), rel=0.01)


def test_tied_embeddings_are_one_table(small):
    tied, untied = GPT(small()), GPT(small(tie_embeddings=False))
    assert tied.output.weight is tied.embedding.weight
    assert untied.output.weight is not untied.embedding.weight
    assert n_parameters(untied.config) - n_parameters(tied.config) == 61 * 32


@torch.no_grad()
def test_loss_is_the_mean_of_minus_log_p(lively, random_ids):
    model = lively()
    ids, targets = random_ids(2, 5), random_ids(2, 5, seed=1)
    p = torch.softmax(model(ids), dim=-1)
    by_hand = [-math.log(p[b, t, targets[b, t]]) for b in range(2) for t in range(5)]
    assert model.loss(ids, targets).item() == pytest.approx(sum(by_hand) / 10, rel=1e-5)


def test_a_certain_guess_costs_minus_log_p():
    logits = torch.tensor([[0.45, 0.55]]).log()
    assert F.cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(0.799, abs=5e-4)


def test_nothing_stays_on_the_model(lively, random_ids):
    from gptcore.cache import KVCache
    from gptcore.tracing import trace

    model = lively()
    held = {name: set(vars(module)) for name, module in model.named_modules()}
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model(random_ids(1, 5), KVCache(model.config))
    trace(model, random_ids(1, 5))
    assert {name: set(vars(module)) for name, module in model.named_modules()} == held
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("position", POSITIONS)
def test_low_precision_runs_under_autocast_and_as_weights(lively, random_ids, position):
    model, ids = lively(position=position, n_kv_heads=2), random_ids(2, 9)
    exact = model(ids)
    with torch.autocast("cpu", torch.bfloat16):
        near = model(ids)
    torch.testing.assert_close(near.float(), exact, atol=0.6, rtol=0.1)
    half = model.bfloat16()
    assert half(ids).dtype == torch.bfloat16
    torch.testing.assert_close(half(ids).float(), exact, atol=0.6, rtol=0.1)


def test_it_learns_one_sequence(small, random_ids):
    model = GPT(small(n_layers=1))
    ids = random_ids(1, 13)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert torch.equal(model(ids[:, :-1]).argmax(-1), ids[:, 1:])
