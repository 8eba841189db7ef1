"""Claims: each can come out otherwise, one measurement runs at a time, and results are kept."""

import json
import subprocess
import sys
import threading
import time

import pytest
import torch

from gptcore.experiments import claims, shipped_results
from gptcore.experiments.claims import VERDICTS, Claim, ClaimError, Result, Spread, by_range, spreads

ALL = list(claims.registry().values())


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.name)
def test_every_claim_says_who_how_and_what_transfers(claim):
    assert claim.source.endswith(".") and claim.how.endswith(".") and claim.transfers.endswith(".")
    assert claim.kind in ("quick", "train")
    shipped = shipped_results.shipped_result(claim.name)
    assert shipped is None or set(claim.labels) <= set(shipped.settings)
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
    result = claims.measure(claims.get_claim(name))
    assert result.verdict in VERDICTS
    assert result.spread[0] <= result.measured <= result.spread[1]
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_facts_that_are_arithmetic_come_out_as_known():
    assert claims.measure(claims.get_claim("gqa_cache")).verdict == "holds"
    assert claims.measure(claims.get_claim("gqa_weights")).verdict == "holds not"
    assert claims.measure(claims.get_claim("scale_overflow")).verdict == "holds not"
    assert claims.measure(claims.get_claim("divide_by_d")).verdict == "holds not"


def test_spreads_are_medians_and_ends():
    assert spreads([{"a": 3.0, "b": 1.0}, {"a": 1.0}, {"a": 2.0}]) == {
        "a": Spread(2.0, 1.0, 3.0),
        "b": Spread(1.0, 1.0, 1.0),
    }


def invented(measure) -> Claim:
    return Claim(
        name="invented", chapter=0, slogan="s", source="s.", how="h.", unit="u", headline="a", measure=measure,
        judge=by_range(lambda value: value > 0), transfers="t.",
    )  # fmt: skip


def test_a_measurement_without_its_headline_is_refused():
    with pytest.raises(ClaimError, match="gave no number for 'a'"):
        claims.measure(invented(lambda: iter([{"b": 1.0}])))


def test_an_unknown_claim_is_named():
    with pytest.raises(ClaimError, match="there is no claim 'nothing'; choose one of"):
        claims.get_claim("nothing")


def test_a_measurement_says_how_far_it_is():
    said = []
    parts = [claims.Progress(0.25), {"a": 1.0}, claims.Progress(0.75), {"a": 2.0}]
    result = claims.measure(invented(lambda: iter(parts)), said.append)
    assert said == [0.25, 0.75] and result.repetitions == 2
    assert {"glassbox", "python", "torch"} <= set(result.versions) and result.machine


def test_what_needs_an_accelerator_is_left_out_where_there_is_none(monkeypatch):
    from gptcore.training import devices

    monkeypatch.setattr(devices, "pick_device", lambda: torch.device("cpu"))
    with pytest.raises(claims.CannotBeMeasured, match="needs an accelerator"):
        claims.measure(claims.get_claim("gpu_faster"))


def test_only_one_holds_the_machine(tmp_path):
    lock, order = tmp_path / "lock", []

    def second():
        with claims.measurement_lock(lock):
            order.append("second")

    with claims.measurement_lock(lock):
        assert claims.is_held(lock) is True or sys.platform == "win32"
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
        with (
            pytest.raises(ClaimError, match="another measurement is running"),
            claims.measurement_lock(lock, timeout=0),
        ):
            pass
    waiting.join()
    assert order == ["first", "second"]
    assert not claims.is_held(lock)


def test_the_command_measures_keeps_writes_and_prints(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a lock of its own
    file = tmp_path / "claims.jsonl"
    other = shipped_results.shipped_result("gqa_weights")
    shipped_results.write_result(other, file)
    done = subprocess.run(
        [sys.executable, "-m", "gptcore", "claims", "--only", "gqa_cache", "--json", "--write", file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    promised = {"name", "claim", "source", "measured", "spread", "unit", "verdict"}
    assert promised <= set(said) and said["name"] == "gqa_cache" and said["verdict"] == "holds"
    assert claims.last_result("gqa_cache").to_dict() == Result.from_dict(said).to_dict()
    assert shipped_results.read_results(file) == {"gqa_cache": Result.from_dict(said), "gqa_weights": other}


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
