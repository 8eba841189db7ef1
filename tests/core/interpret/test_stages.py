"""The stages of a pass: all of them, each made from what it is said to be made from."""

import math

import torch

from gptcore.interpret.stages import binned, stages, tensor_size
from gptcore.tracing import trace
from tests.core.interpret.variants import VARIANTS


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


def test_bins_hold_the_largest_of_their_neighbours_and_name_its_column():
    values = torch.tensor([[1.0, -5.0, 2.0, 0.5, 3.0]])
    for most, held in ((2, [-5.0, 3.0]), (3, [-5.0, 2.0, 3.0]), (5, values[0].tolist())):
        drawn, columns = binned(values, most)
        assert drawn.tolist() == [held]
        assert values.gather(1, columns).tolist() == [held]


def test_a_pictures_scale_leaves_out_what_is_forbidden_and_is_never_nothing():
    assert tensor_size(torch.tensor([[0.0, -math.inf]])) == 1.0
    assert tensor_size(torch.full((2, 50), -2.0)) == 2.0
