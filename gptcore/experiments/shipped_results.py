"""What the claims gave on the machine where this edition was measured, so that no card opens empty.

They are lines of `data/claims.jsonl`, as `python -m gptcore claims --json` prints them; `claims --write FILE`
measures and puts the results into such a file.
"""

import json
from functools import cache
from pathlib import Path

from gptcore.experiments import claims
from gptcore.experiments.claims import ClaimError, Result
from gptcore.files import write_bytes

SHIPPED = Path(__file__).resolve().parents[1] / "data" / "claims.jsonl"


def read_results(path: Path) -> dict[str, Result]:
    """Return the results in a file by name; raises ClaimError for what is no result, OSError without a file."""
    try:
        values = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ClaimError(f"{path} does not hold one JSON object a line; give another file") from error
    results = map(Result.from_dict, values)
    return {result.name: result for result in results}


def write_result(result: Result, path: Path) -> None:
    """Put a result into a file, in place of the one it holds of this claim; makes the file where there is none.

    Lines are in the order of the chapters; results of claims that no longer exist are left out.
    """
    found = (read_results(path) if path.exists() else {}) | {result.name: result}
    lines = [
        json.dumps(found[name].to_dict(), ensure_ascii=False) for name in claims.registry() if name in found
    ]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


@cache
def _shipped() -> dict[str, Result]:
    return read_results(SHIPPED)


def shipped_result(name: str) -> Result | None:
    """Return what comes with this edition for a claim; None where its machine had not what the claim needs."""
    return _shipped().get(name)
