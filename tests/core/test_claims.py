"""Claims: each can come out otherwise, one measurement runs at a time, and results are kept."""

import json
import subprocess
import sys
import threading
import time

import pytest

from gptcore import claims
from gptcore.claims import VERDICTS, Claim, ClaimError, Result, Spread, spreads, wherever

ALL = list(claims.registry().values())
# For each claim a made-up measurement that holds and one that does not.
MADE_UP = {
    "looks_up": ({"its sentences": 0.99}, {"its sentences": 0.3}),
    "learns_while_chatting": ({"a weight": 0.01, "an answer": 0.1}, {"a weight": 0.0, "an answer": 0.0}),
    "sure_is_right": ({"other English": 0.8}, {"other English": 0.1}),
    "only_counts": ({"the model": 0.0, "table of 7 words": 0.0}, {"the model": 0.9, "table of 7 words": 0.0}),
    "untrained_even": ({"the token just read": 0.001}, {"the token just read": 0.9}),
    "flops_over_peak": (
        {"matrix product, bf16": 100.0, "training nano": 95.0, "training tiny": 99.0},
        {"matrix product, bf16": 100.0, "training nano": 30.0, "training tiny": 40.0},
    ),
    "one_speed": ({"n = 16": 0.9, "n = 1024": 1.0}, {"n = 16": 0.1}),
    "more_threads": ({"n = 1024": 1.9}, {"n = 16": 0.5}),
    "bf16_doubles": ({"n = 1024": 4.0}, {"n = 1024": 0.6}),
    "autocast_halves_memory": (
        {"weights, gradients, moments": 0.5, "kept for the backward pass": 0.5},
        {"weights, gradients, moments": 1.0},
    ),
    "autocast_default": ({"cpu": 8, "cuda": 8}, {"cuda": 5}),
    "view_copies": ({"view": 1.0}, {"view": 0.0}),
    "gpu_faster": ({"n = 16": 3.0, "n = 1024": 90.0}, {"n = 16": 0.1}),
    "softmax_scale": ({"d = 64": 0.1}, {"d = 64": 0.9}),
    "divide_by_d": ({"d = 64": 0.5}, {"d = 64": 0.99}),
    "scale_overflow": ({"d = 64": 1.0}, {"d = 64": 500.0}),
    "fused_faster": ({"T = 1024": 9.0}, {"T = 1024": 1.1}),
    "fused_memory": ({"fused": 1.0, "explicit": 2.0}, {"fused": 2.0, "explicit": 2.0}),
    "gqa_cache": ({"8 queries to a key head": 1.0}, {"8 queries to a key head": 0.5}),
    "gqa_weights": ({"8 queries to a key head": 60.0}, {"8 queries to a key head": 4.0}),
    "mask_for_training": ({"without the mask": 0.0}, {"without the mask": 2.0}),
    "kv_heads_quality": ({"1 of 4 key heads": 0.3}, {"1 of 4 key heads": 0.0}),
    "rmsnorm_faster": ({"large, torch's": 1.3}, {"large, torch's": 0.5}),
    "norm_share": ({"nano, 2 × 128 tokens": 50.0}, {"nano, 2 × 128 tokens": 4.0}),
    "activation_fused": ({"SiLU": 1.0}, {"SiLU": 5.0}),
    "residual_cut": ({"48 blocks": 7.0}, {"48 blocks": 0.2}),
    "residual_guarantee": ({"block 1": 0.9}, {"block 1": 0.9, "block 2": 0.1}),
    "norm_keeps_small": ({"last block over first": 1.0}, {"last block over first": 5.0}),
    "ffn_mixes": ({"feed-forward": 3.0, "attention": 3.0}, {"feed-forward": 0.0, "attention": 3.0}),
    "attention_linear": ({"attention": 0.1}, {"attention": 80.0}),
    "post_norm_birth": (
        {"pre, 128 blocks": 0.1, "post, 128 blocks": 9.0},
        {"pre, 128 blocks": 0.1, "post, 128 blocks": 0.1},
    ),
    "post_norm_trained": (
        {"post, AdamW": 9.0, "post, Muon": 9.0, "pre, AdamW": 0.5},
        {"post, AdamW": 0.5, "post, Muon": 0.5, "pre, AdamW": 0.5},
    ),
    "swiglu_gelu": ({"GELU over SwiGLU": 0.2}, {"GELU over SwiGLU": -0.1}),
    "weights_alone": ({"8 heads of 16": 0.0}, {"8 heads of 16": 3.0}),
    "same_seed": ({"weights rounded to bf16": 100.0}, {"weights rounded to bf16": 60.0}),
    "llama_style_is_one": ({"Qwen 2.5 7B": 0.0}, {"Qwen 2.5 7B": 3.0}),
    "two_thirds_feedforward": ({"LLaMA 3 8B": 66.0}, {"LLaMA 3 8B": 45.0}),
    "base_follows": (
        {"base model": 10.0, "after 60 steps": 95.0},
        {"base model": 10.0, "after 60 steps": 20.0},
    ),
}


def measured(values):
    return {name: Spread(value, value, value) for name, value in values.items()}


@pytest.mark.parametrize("name", MADE_UP)
def test_a_verdict_can_come_out_either_way(name):
    claim = claims.named(name)
    holding, failing = MADE_UP[name]
    assert claim.judge(measured(holding)) == "holds"
    assert claim.judge(measured(failing)) == "holds not"


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.name)
def test_every_claim_says_who_how_and_what_transfers(claim):
    assert claim.source.endswith(".") and claim.how.endswith(".") and claim.transfers.endswith(".")
    assert claim.kind in ("quick", "train")
    assert 0 <= claim.chapter <= 11


QUICK_HERE = [
    "autocast_default",
    "view_copies",
    "softmax_scale",
    "divide_by_d",
    "scale_overflow",
    "gqa_cache",
    "gqa_weights",
]


@pytest.mark.parametrize("name", QUICK_HERE)
def test_measuring_gives_the_headline_and_a_verdict(name):
    result = claims.measure(claims.named(name))
    assert result.verdict in VERDICTS
    assert result.spread[0] <= result.measured <= result.spread[1]
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_facts_that_are_arithmetic_come_out_as_known():
    assert claims.measure(claims.named("gqa_cache")).verdict == "holds"
    assert claims.measure(claims.named("gqa_weights")).verdict == "holds not"
    assert claims.measure(claims.named("scale_overflow")).verdict == "holds not"
    assert claims.measure(claims.named("divide_by_d")).verdict == "holds not"


def test_a_range_across_the_line_depends():
    judge = wherever(lambda value: value > 1)
    assert judge({"a": Spread(2, 0.5, 3)}) == "depends"
    assert judge({"a": Spread(2, 1.5, 3), "b": Spread(0.1, 0.1, 0.2)}) == "depends"


def test_spreads_are_medians_and_ends():
    assert spreads([{"a": 3.0, "b": 1.0}, {"a": 1.0}, {"a": 2.0}]) == {
        "a": Spread(2.0, 1.0, 3.0),
        "b": Spread(1.0, 1.0, 1.0),
    }


def invented(measure) -> Claim:
    return Claim(
        name="invented", chapter=0, slogan="s", source="s.", how="h.", unit="u", headline="a", measure=measure,
        judge=wherever(lambda value: value > 0), transfers="t.",
    )  # fmt: skip


def test_a_measurement_without_its_headline_is_refused():
    with pytest.raises(ClaimError, match="gave nothing for a"):
        claims.measure(invented(lambda: iter([{"b": 1.0}])))


def test_an_unknown_claim_is_named():
    with pytest.raises(ClaimError, match="there is no claim 'nothing'; there are"):
        claims.named("nothing")


def test_only_one_holds_the_machine(tmp_path):
    lock, order = tmp_path / "lock", []

    def second():
        with claims.turn(lock):
            order.append("second")

    with claims.turn(lock):
        assert claims.is_held(lock) is True or sys.platform == "win32"
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
        with pytest.raises(ClaimError, match="another measurement is running"), claims.turn(lock, timeout=0):
            pass
    waiting.join()
    assert order == ["first", "second"]
    assert not claims.is_held(lock)


def test_the_command_measures_keeps_and_prints(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a lock of its own
    done = subprocess.run(
        [sys.executable, "-m", "gptcore", "claims", "--only", "gqa_cache", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    promised = {"name", "claim", "source", "measured", "spread", "unit", "verdict"}
    assert promised <= set(said) and said["name"] == "gqa_cache" and said["verdict"] == "holds"
    assert claims.last_result("gqa_cache").to_dict() == Result.from_dict(said).to_dict()


def test_an_unknown_name_ends_the_command_with_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "gptcore", "claims", "--only", "nothing"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "there is no claim 'nothing'" in done.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "other"}', "no json"])
def test_a_result_that_cannot_be_read_counts_as_none(tmp_path, monkeypatch, text):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "gqa_cache.json").write_text(text, encoding="utf-8")
    assert claims.last_result("gqa_cache") is None
