"""Windows of token ids, dealt out in batches."""

import json
import math
from itertools import pairwise

import pytest
import torch

from gptcore.corpora.windows import Windows, fixed_batches


def starts(windows: Windows, n_batches: int) -> list[int]:
    """Where the windows begin, of ids that are 0 … N - 1."""
    return [int(row[0]) for _ in range(n_batches) for row in windows.next()[0]]


@pytest.mark.parametrize(
    ("n_tokens", "length", "batch_size"),
    [(100, 10, 4), (97, 10, 3), (101, 100, 1), (65, 64, 8), (1000, 7, 5), (9, 8, 3), (2, 1, 1)],
)
def test_every_token_is_a_target_exactly_once_an_epoch(n_tokens, length, batch_size):
    windows = Windows(torch.arange(n_tokens), length, batch_size, seed=5)
    # After this many batches a whole number of epochs has been dealt out, with nothing left over.
    n_batches = n_tokens // math.gcd(n_tokens, length * batch_size)
    n_epochs = n_batches * batch_size * length // n_tokens
    seen = torch.zeros(n_tokens, dtype=torch.int64)
    n_jumps = 0
    for _ in range(n_batches):
        inputs, targets = windows.next()
        assert inputs.shape == targets.shape == (batch_size, length)
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        seen += targets.flatten().bincount(minlength=n_tokens)
        n_jumps += int(((inputs + 1) % n_tokens != targets).sum())
    assert seen.tolist() == [n_epochs] * n_tokens
    assert n_jumps < n_epochs


def test_batches_are_contiguous_rows_of_int64():
    for ids in (torch.arange(50), torch.arange(50, dtype=torch.int32)):
        for part in (*Windows(ids, 8, 3, seed=0).next(), *fixed_batches(ids, 8, 3, 1)[0]):
            assert part.is_contiguous() and part.dtype == torch.int64


def test_windows_keep_no_copy_of_the_ids():
    ids = torch.arange(100_000)
    windows = Windows(ids, 64, 4, seed=1)
    for _ in range(500):  # an epoch has 391 batches
        windows.next()
    assert windows.epoch == 1
    kept = [value for value in vars(windows).values() if isinstance(value, torch.Tensor) and value is not ids]
    assert sum(tensor.nbytes for tensor in kept) < ids.nbytes / 10


def test_epochs_differ_in_windows_and_in_order():
    windows = Windows(torch.arange(1000), 10, 10, seed=0)
    first, second = starts(windows, 10), starts(windows, 10)
    in_row = sum((there - here) % 1000 == 10 for here, there in pairwise(first))
    assert in_row < 20  # of 99, if windows came in the order of the text
    assert set(first) != set(second)
    assert len({start % 10 for epoch in range(20) for start in starts(windows, 10)[:1]}) > 5


def test_a_seed_repeats_the_order_and_another_does_not():
    ids = torch.arange(500)
    assert starts(Windows(ids, 10, 4, seed=1), 60) == starts(Windows(ids, 10, 4, seed=1), 60)
    assert starts(Windows(ids, 10, 4, seed=1), 10) != starts(Windows(ids, 10, 4, seed=2), 10)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    starts(Windows(ids, 10, 4, seed=1), 60)
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_larger_than_an_epoch_is_filled():
    inputs, _ = Windows(torch.arange(11), 10, 64, seed=0).next()
    assert inputs.shape == (64, 10)


@pytest.mark.parametrize("n_before", [0, 1, 7, 24, 25, 26, 60])
def test_a_restored_run_goes_on_with_the_same_batches(n_before):
    ids = torch.arange(103)
    windows = Windows(ids, 4, 3, seed=9)
    for _ in range(n_before):
        windows.next()
    state = json.loads(json.dumps(windows.state()))
    resumed = Windows(ids, 4, 3, seed=9)
    resumed.restore(state)
    for _ in range(40):
        for there, here in zip(windows.next(), resumed.next()):
            assert torch.equal(there, here)


def test_windows_refuse_what_cannot_work():
    with pytest.raises(ValueError, match=r"10 tokens are too few for a window of 10.* use context_length=9"):
        Windows(torch.arange(10), 10, 1, seed=0)
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        Windows(torch.arange(10), 4, 0, seed=0)
    with pytest.raises(ValueError, match="was trained on a text of 12 tokens, and this one has 10"):
        Windows(torch.arange(10), 4, 1, seed=0).restore(Windows(torch.arange(12), 4, 1, seed=0).state())


@pytest.mark.parametrize(
    ("n_tokens", "length", "batch_size", "n_batches"),
    [
        (1000, 10, 8, 4),
        (1000, 10, 8, 100),
        (57, 10, 4, 3),
        (11, 10, 4, 3),
        (21, 10, 2, 5),
        (5, 10, 4, 3),
        (2, 1, 1, 1),
    ],
)
def test_fixed_batches_are_the_same_disjoint_windows_over_the_whole_text(
    n_tokens, length, batch_size, n_batches
):
    ids = torch.arange(n_tokens)
    batches = fixed_batches(ids, length, batch_size, n_batches)
    again = fixed_batches(ids, length, batch_size, n_batches)
    assert all(torch.equal(a, b) for one, two in zip(batches, again) for a, b in zip(one, two))
    targets = torch.cat([targets.flatten() for _, targets in batches])
    assert all(torch.equal(inputs + 1, targets) for inputs, targets in batches)
    assert len(targets.unique()) == len(targets)
    length = min(length, n_tokens - 1)
    assert len(targets) == length * min((n_tokens - 1) // length, batch_size * n_batches)
    assert len(batches) <= n_batches
    if len(targets) > length:
        assert targets[0] == 1 and targets[-1] == n_tokens - 1


def test_fixed_batches_need_two_tokens():
    with pytest.raises(ValueError, match="1 tokens are too few"):
        fixed_batches(torch.arange(1), 4, 2, 1)
