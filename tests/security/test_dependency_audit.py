"""What the audit of dependencies counts as an error, as a warning, and as no answer at all."""

from pathlib import Path

import pytest

from tests.security import dependency_audit
from tests.security.dependency_audit import FILES, judge, main, our_ranges, why_unusable

ROOT = Path(__file__).resolve().parents[2]


def report(name: str, *fixes: str) -> dict:
    vulnerability = {"id": "CVE-1", "fix_versions": list(fixes)}
    return {"dependencies": [{"name": name, "version": "1.0", "vulns": [vulnerability]}]}


@pytest.fixture
def ranges(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# what is needed\n-r others.txt\nSome_Package>=1,<2 # for files\n-e .\n\n")
    return our_ranges(file)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (report("some-package", "1.4", "2.1"), 1),
        (report("some-package", "2.1"), 0),
        (report("some-package"), 0),
        (report("brought-by-another", "1.1"), 0),
    ],
)
def test_a_fix_inside_our_ranges_is_an_error_and_all_else_a_warning(ranges, capsys, found, status):
    assert main(judge(found, ranges)) == status
    said = capsys.readouterr().out
    assert said.startswith("error: " if status else "warning: ") and "CVE-1" in said


def test_a_package_without_a_vulnerability_is_no_finding(ranges):
    clean = {"dependencies": [{"name": "some-package", "version": "1.0", "vulns": []}]}
    assert judge(clean, ranges) == [] and main([]) == 0


def test_an_index_that_knows_no_package_is_no_clean_report():
    skipped = {"name": "a", "skip_reason": "Dependency not found on PyPI"}
    known = {"name": "b", "version": "1", "vulns": []}
    assert why_unusable({"dependencies": [skipped, skipped, known]}).startswith("2 of 3 packages")
    assert why_unusable({"dependencies": [skipped, known, known]}) is None


def test_an_audit_that_cannot_run_says_why_and_fails_nothing(monkeypatch, capsys):
    monkeypatch.setattr(dependency_audit.sys, "executable", "/bin/false")
    assert main() == 0
    assert "dependency audit skipped: pip-audit said nothing" in capsys.readouterr().out


def test_our_ranges_are_those_of_the_requirements():
    ranges = our_ranges(*FILES)
    assert {"torch", "msgspec", "streamlit", "pytest", "pip-audit"} <= set(ranges)
    assert "2.13.0" in ranges["torch"] and "2.13.1" not in ranges["torch"]
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "tests/security/dependency_audit.py" in command
