"""Results of measurements as a table: rows, CSV and Markdown."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from gptcore.experiments.claims import VERDICT_NAMES, Result, get_claim


def row(result: Result) -> dict[str, Any]:
    """Return a result as plain values by column, with the claim, source and unit in today's words."""
    claim = get_claim(result.name)
    return {
        "chapter": claim.chapter,
        "claim": claim.slogan,
        "verdict": result.verdict,
        "measured": result.measured,
        "low": result.spread[0],
        "high": result.spread[1],
        "unit": claim.unit,
        "setting": claim.label(claim.headline),
        "within_noise": "; ".join(map(claim.label, result.within_noise)),
        "repetitions": result.repetitions,
        "seconds": round(result.seconds, 2),
        "source": claim.source,
        "when": result.when,
        "machine": result.machine,
        "cores": result.cores,
        "load": result.load,
        **result.versions,
        "name": result.name,
    }


def to_csv(results: Iterable[Result]) -> str:
    """Return results as comma-separated values with a header; an empty text if there are none."""
    rows = [row(result) for result in results]
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


HEADINGS = ("Claim", "Verdict", "Measured", "From", "To", "Unit", "Setting", "Source")


def to_markdown(results: Sequence[Result]) -> str:
    """Return results as a Markdown table, followed by the machines and versions they were measured with."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    for result in results:
        values = row(result)
        numbers = (f"{values[name]:.3g}" for name in ("measured", "low", "high"))
        cells = (
            values["claim"],
            VERDICT_NAMES[values["verdict"]],
            *numbers,
            values["unit"],
            values["setting"],
            values["source"],
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    machines = dict.fromkeys(
        f"{result.machine}, {result.cores} cores; "
        + ", ".join(f"{name} {version}" for name, version in result.versions.items())
        for result in results
    )
    return "\n".join([*lines, "", *(f"Measured on {machine}." for machine in machines)]) + "\n"
