"""The stages of a pass: all of them, each made from what it is said to be made from, each sum worked out right."""

import math

import pytest
import torch

from gptcore.cache import KVCache
from gptcore.interpret.stages import binned, computation, matrix_rows, stages, tensor_size
from gptcore.tracing import trace

VARIANTS = [
    {},
    {"position": "learned", "norm": "layernorm", "bias": "all", "ffn": "gelu"},
    {"position": "sinusoidal", "n_kv_heads": 2, "window": 3, "qk_norm": True, "tie_embeddings": False},
    {"position": "none", "causal": False, "ffn": "relu", "norm_position": "branch"},
    {"norm_position": "pre+branch", "bias": "qkv"},
    {"norm_position": "post", "norm": "none", "residual": False},
]


def worked_out(form: str, n: list[float], config) -> float | None:
    """The result of a formula from the numbers that stand in it, None where there is nothing to work out."""
    match form:
        case "product":
            return sum(n[i] * n[i + 1] for i in range(1, len(n) - 3, 2)) + n[-2]
        case "norm":
            _, x, mean, size, gain, shift, _ = n
            return (x - mean) / size * gain + shift
        case "turn":
            return n[1] * n[2] + n[3] * n[4]
        case "sum":
            return n[1] + n[2]
        case "scores":
            return (sum(n[i] * n[i + 1] for i in range(2, len(n) - 4, 2)) + n[-3]) * n[-2]
        case "softmax":
            return math.exp(n[2] - n[3]) / n[4]
        case "mixed":
            return sum(n[i] * n[i + 1] for i in range(1, len(n) - 3, 3)) + n[-2]
        case "times":
            return n[1] * n[2]
        case "chance":
            return math.exp(n[1] - n[2]) / n[3]
        case "bend":
            x = torch.tensor(n[1])
            act = {"swiglu": torch.nn.functional.silu, "relu": torch.relu}.get(config.ffn)
            return float(act(x) if act else torch.nn.functional.gelu(x, approximate="tanh"))
    return None


@pytest.mark.parametrize("cached", [False, True], ids=["prefill", "cached"])
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_numbers_in_a_formula_give_its_result(lively, random_ids, changes, cached):
    if cached and changes.get("causal") is False:
        pytest.skip("a model that looks ahead has no cache")
    model, ids = lively(**changes), random_ids(1, 7)
    seen = trace(model, ids)
    if cached:
        cache = KVCache(model.config)
        before = trace(model, ids[:, :6], cache)
        seen = trace(model, ids[:, 6:], cache)
        for name in seen:  # what is looked at is all that was kept
            if name.endswith(("attention.k_rotated", "attention.k", "attention.v")):
                seen[name] = torch.cat((before[name], seen[name]), 2)
    forms = set()
    for stage in stages(model.config, seen):
        found = computation(model, seen, stage)
        forms.add(found.form)
        for token, numbers in enumerate(found.numbers):
            made = matrix_rows(seen[stage.name])[token - len(found.numbers)]
            result = worked_out(found.form, numbers, model.config)
            if result is not None:
                assert result == pytest.approx(numbers[-1], abs=2e-4, rel=1e-4), stage.name
                finite = made[made.isfinite()]
                assert (finite - numbers[-1]).abs().min() < 1e-5, stage.name
            if found.form == "mask":
                assert sum(numbers) == seen[stage.name].shape[-1]
    assert len(forms) >= 8


def test_every_step_of_the_trace_is_a_stage_and_is_made_from_earlier_ones(lively, random_ids):
    for changes in VARIANTS:
        model = lively(**changes)
        seen = trace(model, random_ids(1, 5))
        met: list[str] = []
        for stage in stages(model.config, seen):
            assert set(stage.inputs) <= set(met), (changes, stage)
            assert stage.inputs or stage.kind == "embedding", (changes, stage)
            met.append(stage.name)
        silent = {"positioned"} if model.config.position in ("rope", "none") else set()
        assert set(seen) - silent == set(met)


def test_a_stage_without_its_input_would_be_another(lively, random_ids):
    """What a stage is said to be made from is what it is made from: a change there moves it, one beside does not."""
    model, ids = lively(), random_ids(1, 6)
    plain = trace(model, ids)
    table = {stage.name: stage for stage in stages(model.config, plain)}
    above: dict[str, set[str]] = {}
    for name, stage in table.items():
        above[name] = set(stage.inputs).union(*(above[one] for one in stage.inputs))
    for name in ("layers.0.attention.v", "layers.1.attention.k", "layers.1.feedforward.up"):
        changed = trace(model, ids, changes={name: lambda x, _: 0.5 * x + 1})
        moved = {one for one in table if not torch.equal(changed[one], plain[one])}
        assert moved == {one for one in table if one == name or name in above[one]}


def test_bins_hold_the_largest_of_their_neighbours():
    values = torch.tensor([[1.0, -5.0, 2.0, 0.5, 3.0]])
    assert binned(values, 2).tolist() == [[-5.0, 3.0]]
    assert binned(values, 5) is values
    assert binned(values, 3).tolist() == [[-5.0, 2.0, 3.0]]


def test_a_pictures_scale_leaves_out_what_is_forbidden_and_is_never_nothing():
    assert tensor_size(torch.tensor([[0.0, -math.inf]])) == 1.0
    assert tensor_size(torch.full((2, 50), -2.0)) == 2.0
