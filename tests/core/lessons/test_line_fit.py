"""The line of two weights, shapes and formats: against torch's own, against plain arithmetic, and laws."""

import math
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcore.experiments import budget, machine
from gptcore.lessons import line_fit, number_formats, shapes

X, Y = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([1.1, 1.4, 2.1, 2.4])
points = st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=6)


@settings(max_examples=25, deadline=None)
@given(points, st.floats(-2, 2, width=32), st.floats(-2, 2, width=32))
def test_slopes_by_hand_are_those_of_autograd(xs, w, b):
    x = torch.tensor(xs)
    y = x.flip(0) + 0.5
    found = line_fit.by_hand(x, y, w, b)
    state = next(line_fit.descend(x, y, 0.1, 1, w=w, b=b))
    for mine, theirs in (
        (found.loss, state.loss),
        (found.slope_w, state.slope_w),
        (found.slope_b, state.slope_b),
    ):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-4)


def test_descending_is_what_torchs_own_optimizer_does():
    model = line_fit.LinearModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for state in line_fit.descend(X, Y, 0.1, 10):
        assert (state.w, state.b) == pytest.approx((model.w.item(), model.b.item()), abs=1e-6)
        optimizer.zero_grad()
        line_fit.squared_error(model(X), Y).backward()
        optimizer.step()


@pytest.mark.parametrize(("share", "lands"), [(0.9, True), (1.1, False)])
def test_the_largest_rate_parts_landing_from_flying(share, lands):
    least = line_fit.loss_at(X, Y, *line_fit.best(X, Y))
    states = list(line_fit.descend(X, Y, share * line_fit.max_learning_rate(X), 200))
    assert (states[-1].loss - least < 1e-3) is lands


def test_the_best_line_has_no_slope():
    found = line_fit.by_hand(X, Y, *line_fit.best(X, Y))
    assert abs(found.slope_w) < 1e-5 and abs(found.slope_b) < 1e-5


def test_many_lines_are_torchs_linear_layer():
    theirs, ours = torch.nn.Linear(5, 3), line_fit.LinearLayer(5, 3)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_a_table_of_dot_products_is_the_matrix_product():
    a, b = (torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.allclose(shapes.dot_products(a, b), a @ b, atol=1e-6)


@pytest.mark.parametrize("operation", shapes.OPERATIONS)
def test_a_shape_is_refused_exactly_where_torch_refuses(operation):
    torchs = {
        "A + B": lambda a, b: a + b,
        "A @ B": lambda a, b: a @ b,
        "A.view": lambda a, b: a.view(b.shape),
        "A.T": lambda a, b: a.T,
    }[operation]
    sizes = (1, 2, 3)
    for a in ((i, j) for i in sizes for j in sizes):
        for b in ((i, j) for i in sizes for j in sizes):
            try:
                wanted = torchs(shapes.counted(a), shapes.counted(b, 10))
            except RuntimeError:
                with pytest.raises(shapes.ShapeError, match=r"cannot be broadcast|equal numbers|needs"):
                    shapes.OPERATIONS[operation](a, b)
                assert shapes.repairs(operation, a, b)
            else:
                assert torch.equal(shapes.OPERATIONS[operation](a, b).result, wanted)


def test_writing_through_a_view_shows_in_the_original():
    seen = {
        name: make((2, 3), (3, 2) if name != "A + B" else (1, 3)) for name, make in shapes.OPERATIONS.items()
    }
    assert {name for name, one in seen.items() if one.shares_memory} == {"A.view", "A.T"}
    for one in seen.values():
        assert (one.after_writing[0, 0].item() == shapes.WRITTEN) is one.shares_memory


@settings(max_examples=50, deadline=None)
@given(st.floats(-60_000, 60_000, allow_subnormal=False))
def test_bits_stand_for_the_value_they_say(value):
    for name, (dtype, _, n_exponent, n_fraction) in number_formats.FORMATS.items():
        found = number_formats.store(value, name)
        exponent, bias = int(found.exponent, 2), 2 ** (n_exponent - 1) - 1
        fraction = int(found.fraction, 2) / 2**n_fraction
        size = (1 + fraction) * 2.0 ** (exponent - bias) if exponent else fraction * 2.0 ** (1 - bias)
        assert (-1) ** int(found.sign) * size == found.value
        assert found.value == torch.tensor(value, dtype=torch.float64).to(dtype).item()


def test_the_limits_of_the_formats_are_the_known_ones():
    assert number_formats.store(99_000.0, "fp16").value == math.inf
    assert number_formats.store(99_000.0, "bf16").value == pytest.approx(99_000, rel=0.004)
    assert number_formats.store(1e-8, "fp16").value == 0 < number_formats.store(1e-8, "bf16").value


def test_a_machine_tells_what_training_would_use():
    here = machine.describe()
    assert here.device in ("cpu", "cuda", "mps") and here.threads >= 1
    assert here.memory_bytes is None or here.memory_bytes > 1e8


def test_a_budget_is_operations_over_a_rate():
    for one in budget.budgets().values():
        assert one.state_bytes == 16 * one.n_parameters
        assert one.seconds_per_step(1e9) == one.flops_per_step / 1e9
        # About six operations for each weight and token: two in the forward pass, four in the backward one.
        from gptcore.config import PRESETS

        preset = PRESETS[one.preset]
        tokens = preset.train.batch_size * preset.train.accumulation * preset.model.context_length
        assert 0.9 < one.flops_per_step / (6 * one.n_parameters * tokens) < 2


def test_the_loop_can_be_left_at_any_step():
    assert [state.step for state in islice(line_fit.descend(X, Y, 0.1, 1_000_000), 3)] == [0, 1, 2]
