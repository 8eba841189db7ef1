"""Tracing: every step of the forward pass by name, exactly as it was computed, and nothing disturbed."""

import threading

import pytest
import torch

from gptcore.cache import KVCache
from gptcore.config import PRESETS
from gptcore.model import GPT
from gptcore.positions import POSITIONS
from gptcore.tracing import ChangeError, trace

ATTENTION = ["q", "k", "v", "q_rotated", "k_rotated", "scores", "masked_scores", "weights", "mixed"]
SWIGLU = ("gate_logits", "up", "gate", "hidden")


def test_every_step_has_its_name_in_the_order_of_computation(lively, random_ids):
    seen = trace(lively(), random_ids(1, 6))
    block = [
        "attention_normed",
        *(f"attention.{name}" for name in ATTENTION),
        "attention_output",
        "after_attention",
        "feedforward_normed",
        *(f"feedforward.{name}" for name in SWIGLU),
        "feedforward_output",
        "after_feedforward",
    ]
    blocks = [f"layers.{layer}.{name}" for layer in range(2) for name in block]
    assert list(seen) == ["embedding", "positioned", *blocks, "final_normed", "logits", "probabilities"]


def test_shapes_are_those_of_the_legend(lively, random_ids):
    seen = trace(lively(n_kv_heads=2), random_ids(3, 6))
    shapes = {
        "embedding": (3, 6, 32),
        "layers.1.attention.q": (3, 4, 6, 8),
        "layers.1.attention.k_rotated": (3, 2, 6, 8),
        "layers.1.attention.weights": (3, 4, 6, 6),
        "layers.1.attention.mixed": (3, 4, 6, 8),
        "layers.1.feedforward.hidden": (3, 6, 48),
        "logits": (3, 6, 61),
        "probabilities": (3, 6, 61),
    }
    assert {name: tuple(seen[name].shape) for name in shapes} == shapes


VARIANTS = [{"position": name} for name in POSITIONS] + [
    {"n_kv_heads": 1, "window": 3, "qk_norm": True, "bias": "all"},
    {"norm_position": "post", "norm": "layernorm", "ffn": "gelu"},
    {"norm_position": "branch", "ffn": "relu", "causal": False},
    {"norm_position": "pre+branch", "residual": False, "tie_embeddings": False},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_trace_is_the_forward_pass_bit_for_bit(lively, random_ids, changes):
    model, ids = lively(**changes), random_ids(2, 9)
    seen = trace(model, ids)
    with torch.no_grad():
        assert torch.equal(seen["logits"], model(ids, path="explicit"))
        torch.testing.assert_close(seen["logits"], model(ids), atol=1e-4, rtol=1e-5)  # logits of some fifty
    assert torch.equal(seen["probabilities"], torch.softmax(seen["logits"], -1))


def test_the_recorded_steps_follow_from_one_another(lively, random_ids):
    model, ids = lively(), random_ids(2, 9)
    seen = trace(model, ids)
    stream = seen["positioned"]
    for layer in range(2):
        inside = {name.removeprefix(f"layers.{layer}."): x for name, x in seen.items()}
        attention = model.layers[layer].attention
        assert torch.equal(inside["after_attention"], stream + inside["attention_output"])
        assert torch.equal(
            inside["after_feedforward"], inside["after_attention"] + inside["feedforward_output"]
        )
        scores = inside["attention.q_rotated"] @ inside["attention.k_rotated"].transpose(-1, -2) / 8**0.5
        torch.testing.assert_close(inside["attention.scores"], scores, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            inside["attention.weights"], torch.softmax(inside["attention.masked_scores"], -1)
        )
        mixed = inside["attention.weights"] @ inside["attention.v"]
        torch.testing.assert_close(inside["attention.mixed"], mixed)
        torch.testing.assert_close(
            inside["attention_output"], attention.o_proj(mixed.transpose(1, 2).flatten(2))
        )
        assert torch.equal(
            inside["feedforward.hidden"], inside["feedforward.gate"] * inside["feedforward.up"]
        )
        stream = inside["after_feedforward"]
    torch.testing.assert_close(seen["final_normed"], model.final_norm(stream))


def test_a_trace_takes_one_sequence_as_a_list(lively, random_ids):
    model, ids = lively(), random_ids(1, 5)
    assert torch.equal(trace(model, ids[0].tolist())["logits"], trace(model, ids)["logits"])
    assert torch.equal(trace(model, ids[0])["logits"], trace(model, ids)["logits"])


def test_a_trace_continues_a_cache(lively, random_ids):
    model, ids = lively(window=4), random_ids(1, 9)
    whole = trace(model, ids)
    cache = KVCache(model.config)
    trace(model, ids[:, :6], cache)
    rest = trace(model, ids[:, 6:], cache)
    torch.testing.assert_close(rest["logits"], whole["logits"][:, 6:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        rest["layers.0.attention.weights"],
        whole["layers.0.attention.weights"][:, :, 6:],
        atol=1e-6,
        rtol=1e-5,
    )


def test_two_who_look_at_one_model_see_their_own_numbers(lively, random_ids):
    model = lively()
    first = trace(model, random_ids(1, 5))
    kept = {name: tensor.clone() for name, tensor in first.items()}
    trace(model, random_ids(1, 5, seed=9))
    assert all(torch.equal(first[name], kept[name]) for name in kept)


@pytest.mark.parametrize("name", PRESETS)
def test_a_trace_is_the_forward_pass_in_the_shape_of_every_preset(name, random_ids):
    # A big model stands here with two of its layers and a small part of its vocabulary: its shapes, in a second.
    whole = PRESETS[name].model
    config = whole.replace(n_layers=min(whole.n_layers, 2), vocab_size=min(whole.vocab_size, 997))
    model, ids = GPT(config).eval(), random_ids(1, 12, vocab_size=997)
    seen = trace(model, ids)
    with torch.no_grad():
        assert torch.equal(seen["logits"], model(ids, path="explicit"))
        torch.testing.assert_close(seen["logits"], model(ids), atol=1e-5, rtol=0)


def test_queries_and_keys_have_names_before_their_own_norm(lively, random_ids):
    model, ids = lively(qk_norm=True), random_ids(1, 6)
    seen = {name.removeprefix("layers.1.attention."): x for name, x in trace(model, ids).items()}
    attention = model.layers[1].attention
    for name, norm in (("q", attention.q_norm), ("k", attention.k_norm)):
        torch.testing.assert_close(seen[name], norm(seen[f"{name}_projected"]))


def test_eight_threads_on_one_model_get_their_own_numbers(lively, random_ids):
    model = lively()
    batches = [random_ids(1, 4 + i, seed=i) for i in range(8)]
    alone = [trace(model, ids, changes=CHANGED if i % 2 else None) for i, ids in enumerate(batches)]
    together: dict[int, list] = {i: [] for i in range(8)}
    gate = threading.Barrier(8)

    def look(i: int) -> None:
        gate.wait()
        for _ in range(10):
            together[i].append(trace(model, batches[i], changes=CHANGED if i % 2 else None))

    threads = [threading.Thread(target=look, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        assert len(together[i]) == 10
        assert all(torch.equal(seen[name], x) for seen in together[i] for name, x in alone[i].items())


CHANGED = {"layers.0.attention.v": lambda v, seen: 2 * v + seen["q"]}


def test_a_change_acts_from_its_step_on_and_nowhere_before(lively, random_ids):
    model, ids = lively(), random_ids(1, 7)
    plain, changed = trace(model, ids), trace(model, ids, changes=CHANGED)
    order = list(plain)
    assert list(changed) == order
    moved = [name for name in order if not torch.equal(plain[name], changed[name])]
    same = {"q_rotated", "k_rotated", "scores", "masked_scores", "weights"}  # the values take no part in them
    after = order[order.index("layers.0.attention.v") :]
    first = {name for name in after if name.startswith("layers.0") and name.rpartition(".")[2] in same}
    assert moved == [name for name in after if name not in first]
    assert torch.equal(trace(model, ids)["logits"], plain["logits"])  # the model is as it was


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_step_can_be_changed(lively, random_ids, changes):
    """A step that is noted but not taken from the trace would leave the logits as they were."""
    model, ids = lively(**changes), random_ids(1, 5)
    plain = trace(model, ids)
    for name in plain:
        if name != "probabilities":
            last = trace(model, ids, changes={name: lambda x, _: x.where(x.isinf(), x.flip(-1) * 0.5)})[
                "logits"
            ]
            assert not torch.equal(last, plain["logits"]), name


def test_a_step_that_does_not_exist_is_refused_by_name(lively, random_ids):
    with pytest.raises(ChangeError, match=r"no intermediate 'layers\.0\.attention\.nothing'"):
        trace(lively(), random_ids(1, 4), changes={"layers.0.attention.nothing": lambda x, _: x})
