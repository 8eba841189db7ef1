"""Ask pip-audit for known vulnerabilities of what is installed: `python tests/security/dependency_audit.py`.

Every vulnerability is printed. The exit status is 1 only where a package that our requirements name has a fix that
they allow: installing again, or a higher lower bound, is then ours to do. A fix outside our ranges, or of a package
that another one brings, is a warning. Where pip-audit cannot reach its data, that is said and the status is 0.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / name for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt")]
SECONDS = 60  # for the whole audit
REQUEST_SECONDS = 5


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of an installed package, and whether a fixed version is inside our ranges."""

    package: str
    version: str
    vulnerability: str
    fixed_in: tuple[str, ...]
    is_ours_to_fix: bool

    def __str__(self) -> str:
        fix = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fix yet"
        return f"{self.package} {self.version}: {self.vulnerability} ({fix})"


def our_ranges(*files: Path) -> dict[str, SpecifierSet]:
    """Return the versions that all of these files allow, by package: requirements files and `pyproject.toml`.

    Lines of requirements that name no package are left out.
    """
    ranges = {}
    for file in files:
        for line in _requirements(file):
            try:
                required = Requirement(line.partition("#")[0].strip())
            except InvalidRequirement:  # an option such as `-r`, or an empty line
                continue
            name = canonicalize_name(required.name)
            ranges[name] = required.specifier & ranges.get(name, SpecifierSet())
    return ranges


def _requirements(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".toml":
        return text.splitlines()
    project = tomllib.loads(text)["project"]
    return sum(project.get("optional-dependencies", {}).values(), project["dependencies"])


def judge(report: dict[str, Any], ranges: dict[str, SpecifierSet]) -> list[Finding]:
    """Return the findings of pip-audit's JSON report."""
    findings = []
    for package in report["dependencies"]:
        allowed = ranges.get(canonicalize_name(package["name"]))
        for one in package.get("vulns", ()):
            fixes = tuple(one["fix_versions"])
            ours = allowed is not None and any(Version(fix) in allowed for fix in fixes)
            findings.append(Finding(package["name"], package["version"], one["id"], fixes, ours))
    return findings


def why_unusable(report: dict[str, Any]) -> str | None:
    """Return why a report says nothing, None where its packages were looked up."""
    packages = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    # A proxy that knows no package answers every question; then "nothing found" would mean nothing.
    return (
        f"{len(skipped)} of {len(packages)} packages could not be looked up"
        if 2 * len(skipped) > len(packages)
        else None
    )


def run_audit() -> tuple[dict[str, Any] | None, str]:
    """Return pip-audit's report on this environment, or None and the reason why there is none."""
    command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off"]
    command += ["--format", "json", "--timeout", str(REQUEST_SECONDS)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return None, f"pip-audit took more than {SECONDS} seconds"
    try:
        report = json.loads(said.stdout)
    except ValueError:
        return None, (said.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    reason = why_unusable(report)
    return (None, reason) if reason else (report, "")


def main(findings: Iterable[Finding] | None = None) -> int:
    """Print what was found; return 1 where a fix is ours to take."""
    if findings is None:
        report, reason = run_audit()
        if report is None:
            print(f"dependency audit skipped: {reason}")
            return 0
        findings = judge(report, our_ranges(*FILES))
    findings = list(findings)
    for finding in findings:
        print(f"{'error' if finding.is_ours_to_fix else 'warning'}: {finding}")
    print(f"dependency audit: {len(findings)} known vulnerabilities")
    return int(any(finding.is_ours_to_fix for finding in findings))


if __name__ == "__main__":
    raise SystemExit(main())
