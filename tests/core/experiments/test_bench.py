"""The benchmarks of decoding, at shapes so small that their numbers mean nothing: every row is there and adds up."""

import math

import pytest
import torch

from gptcore.config import ModelConfig
from gptcore.experiments import bench_decoding
from gptcore.experiments.bench import bench
from gptcore.experiments.comparison import Skipped
from gptcore.resources import available_cores


@pytest.fixture(autouse=True)
def tiny_shapes(monkeypatch):
    shape = ModelConfig(vocab_size=64, context_length=256, d_model=16, n_layers=1, n_heads=2, n_kv_heads=1)
    monkeypatch.setattr(bench_decoding, "SHAPES", dict.fromkeys(bench_decoding.SHAPES, shape))


def test_the_machine_comes_first_and_an_unknown_name_is_refused():
    machine = next(bench([]))
    torch.set_num_threads(1)  # as the other tests have it
    assert machine.name == "machine" and f"of {available_cores()} cores" in machine.how
    with pytest.raises(ValueError, match=r"there is no benchmark 'speed'; choose from .*decoding-nano"):
        next(bench(["speed"]))


def test_every_row_has_both_numbers_and_their_ratio():
    rows = [
        *bench_decoding.decoding("nano", 3, "bf16", rounds=1),
        *bench_decoding.quantized(n_tokens=2, n_stories=1),
        *bench_decoding.batches("135m", "int8", 3, rounds=1),
        *bench_decoding.steadiness("nano", "fp32", 9),
    ]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        higher_is_better = "/s" in row.unit
        ratio = row.ours / row.peer if higher_is_better else row.peer / row.ours
        assert row.ratio == pytest.approx(ratio) and math.isfinite(row.ratio) and row.ratio > 0


def test_a_fresh_process_times_its_first_token_its_text_and_all():
    text, first, process = bench_decoding._in_a_fresh_process("cached", 3)
    assert 0 < first < text < process
    with pytest.raises(Skipped, match="0 tokens take no time"):
        bench_decoding._in_a_fresh_process("cached", 0)
