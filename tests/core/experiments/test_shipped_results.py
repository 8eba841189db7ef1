"""Results that come with the package: complete, of today's measurements, and told apart when these change."""

from dataclasses import replace
from datetime import datetime

import pytest

from gptcore.experiments import claims, shipped_results
from gptcore.experiments.claims import ClaimError
from gptcore.experiments.measured_code import fingerprint

AGAIN = "measure it again: python -m gptcore claims --only {} --write gptcore/data/claims.jsonl"
ROUNDS = 3


def test_every_claim_that_a_cpu_can_measure_has_a_result():
    wanted = {name for name, claim in claims.registry().items() if claim.needs == "cpu"}
    assert wanted - set(shipped_results.read_results(shipped_results.SHIPPED)) == set()


def test_every_result_is_of_today_and_says_where_and_when_it_was_taken():
    for name, result in shipped_results.read_results(shipped_results.SHIPPED).items():
        assert result.fingerprint and not claims.is_outdated(result), AGAIN.format(name)
        assert result.spread[0] <= result.measured <= result.spread[1]
        assert (
            result.machine and result.cores >= 1 and {"glassbox", "python", "torch"} <= set(result.versions)
        )
        assert datetime.fromisoformat(result.when).tzinfo is not None
        claim = claims.get_claim(name)
        assert (result.claim, result.source, result.unit) == (claim.slogan, claim.source, claim.unit)


def test_a_result_of_another_measurement_or_rule_is_outdated():
    result = shipped_results.shipped_result("gqa_cache")
    assert not claims.is_outdated(result)
    assert not claims.is_outdated(replace(result, fingerprint=""))  # as the first edition wrote it
    assert claims.is_outdated(replace(result, fingerprint="0" * 16))
    assert claims.is_outdated(replace(result, fingerprint="", unit="times"))
    assert not claims.is_outdated(replace(result, unit="as an earlier text named it"))
    assert claims.is_outdated(replace(result, settings={}))
    assert claims.is_outdated(replace(result, verdict="holds not"))


def used():
    return ROUNDS + 1


def test_the_fingerprint_follows_the_code_and_not_its_layout(monkeypatch):
    def measure(function, **changed):
        monkeypatch.setattr("gptcore.experiments.measured_code.PACKAGE", __name__)
        for name, value in changed.items():
            monkeypatch.setitem(globals(), name, value)
        fingerprint.cache_clear()
        return fingerprint(function)

    def plain():
        yield {"a": used()}

    def other():
        yield {"a": used() + 1}

    def laid_out():
        """A docstring."""
        # and a comment
        yield {
            "a": used()
        }  # fmt: skip

    first, laid_out.__name__ = measure(plain), "plain"
    assert measure(other) != first
    assert measure(plain, ROUNDS=4) != first
    assert measure(plain, ROUNDS=3) == first
    assert measure(plain, used=lambda: 0) != first


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    for text in ("no json", '{"name": "gqa_cache"}', "[]"):
        (tmp_path / "results").write_text(text, encoding="utf-8")
        with pytest.raises(ClaimError):
            shipped_results.read_results(tmp_path / "results")
