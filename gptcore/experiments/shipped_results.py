"""Results of the claims that come with Glassbox, so that every card of a claim opens with a result.

They are the lines of `data/claims.jsonl`, as `python -m gptcore claims --json` prints them. `claims --write FILE`
measures and writes the results into such a file.
"""

import json
from functools import cache
from pathlib import Path

from gptcore.experiments import claims
from gptcore.experiments.claims import ClaimError, Result
from gptcore.files import write_bytes

SHIPPED = Path(__file__).resolve().parents[1] / "data" / "claims.jsonl"


def read_results(path: Path) -> dict[str, Result]:
    """Return the results in a file by name; raises ClaimError for invalid contents, OSError if the file is missing."""
    try:
        values = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ClaimError(f"{path} does not hold one JSON object per line; choose another file") from error
    results = map(Result.from_dict, values)
    return {result.name: result for result in results}


def write_result(result: Result, path: Path) -> None:
    """Write a result to a file, replacing the claim's earlier one; creates the file if it is missing.

    Lines are in the order of the chapters; results of claims that no longer exist are dropped.
    """
    results = (read_results(path) if path.exists() else {}) | {result.name: result}
    lines = [
        json.dumps(results[name].to_dict(), ensure_ascii=False)
        for name in claims.registry()
        if name in results
    ]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


@cache
def _shipped() -> dict[str, Result]:
    return read_results(SHIPPED)


def shipped_result(name: str) -> Result | None:
    """Return the result that comes with Glassbox for a claim; None if it needs other hardware."""
    return _shipped().get(name)
