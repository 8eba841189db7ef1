"""Any number of a pass, worked out from the operands in its formula."""

import math

import pytest
import torch

from gptcore.cache import KVCache
from gptcore.interpret.computations import cell_computations, computation, main_columns
from gptcore.interpret.stages import matrix_rows, stages
from gptcore.tracing import trace
from tests.core.interpret.variants import VARIANTS


def worked_out(form: str, n: list[float], config, window: int | None) -> float:
    """The result of a formula from the numbers that stand in it."""
    if form.startswith("capped_"):
        return n[-2] * math.tanh(
            worked_out(form.removeprefix("capped_"), [*n[:-2], n[-1]], config, window) / n[-2]
        )
    match form:
        case "product":
            return sum(n[i] * n[i + 1] for i in range(1, len(n) - 3, 3)) + n[-2]
        case "norm":
            _, x, mean, size, gain, shift, _ = n
            return (x - mean) / size * gain + shift
        case "rotation":
            _, x, _, partner, _, position, frequency, _ = n
            return x * math.cos(position * frequency) + partner * math.sin(position * frequency)
        case "sum":
            return n[1] + n[2]
        case "scores":
            return (sum(n[i] * n[i + 1] for i in range(1, len(n) - 4, 3)) + n[-3]) * n[-2]
        case "softmax":
            return math.exp(n[1] - n[2]) / n[3]
        case "mixed":
            return sum(n[i] * n[i + 1] for i in range(1, len(n) - 3, 3)) + n[-2]
        case "row":
            return n[1]
        case "mask":
            _, score, query, key, _ = n
            seen = not config.causal or (key <= query and (window is None or key > query - window))
            return score if seen else -math.inf
        case "times":
            return n[1] * n[2]
        case "activation":
            x = torch.tensor(n[1])
            act = {"swiglu": torch.nn.functional.silu, "relu": torch.relu}.get(config.ffn)
            return float(act(x) if act else torch.nn.functional.gelu(x, approximate="tanh"))
    raise ValueError(form)


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
        main = computation(model, seen, stage)
        forms.add(main.form)
        window = model.layer_kinds[stage.layer or 0].window
        traced = matrix_rows(seen[stage.name])[-len(main.numbers) :]
        width = traced.shape[1]
        for row, numbers in enumerate(main.numbers):
            found = cell_computations(model, seen, stage, row, torch.arange(width))
            assert found.form == main.form and numbers in found.numbers
            assert [n[0] for n in found.numbers] == list(range(width))
            for column, n in enumerate(found.numbers):
                assert n[-1] == traced[row, column], (stage.name, row, column)
                assert worked_out(found.form, n, model.config, window) == pytest.approx(
                    n[-1], abs=2e-4, rel=1e-4
                ), (
                    stage.name,
                    row,
                    column,
                )
    assert len(forms) >= 7


def test_a_cell_that_does_not_exist_is_refused(lively, random_ids):
    model = lively()
    seen = trace(model, random_ids(1, 5))
    stage = next(one for one in stages(model.config, seen) if one.kind == "weights")
    for row, column, told in (
        (5, 0, "row 5"),
        (-1, 0, "row -1"),
        (0, 10_000, "columns 0 to"),
        (0, -1, "columns"),
    ):
        with pytest.raises(IndexError, match=told):
            cell_computations(model, seen, stage, row, torch.tensor([column]))


def test_the_main_column_of_attention_is_the_pair_with_the_largest_weight(lively, random_ids):
    model = lively()
    seen = trace(model, random_ids(1, 5))
    for stage in stages(model.config, seen):
        if stage.kind in ("scores", "weights"):
            weights = seen[f"layers.{stage.layer}.attention.weights"][0]  # (H, T, T)
            for row, column in enumerate(main_columns(seen, stage).tolist()):
                assert weights[column // 5, row, column % 5] == weights[:, row].max()
