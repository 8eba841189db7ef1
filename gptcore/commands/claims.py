"""`claims`: measure the field's claims on this machine."""

import argparse
import json
import sys
from pathlib import Path

from gptcore.experiments import claims, shipped_results


def run(options: argparse.Namespace) -> None:
    if options.write and Path(options.write).exists():
        shipped_results.read_results(Path(options.write))  # refused before anything is measured
    for claim in [claims.get_claim(name) for name in options.only] or claims.registry().values():
        if (options.quick and claim.kind != "quick") or (options.timed and not claim.timed):
            continue
        try:
            result = claims.measure_exclusively(claim.name)
        except claims.CannotBeMeasured as error:
            if options.only:
                raise
            print(f"left out: {error}", file=sys.stderr, flush=True)
            continue
        if options.write:
            shipped_results.write_result(result, Path(options.write))
        if options.json:
            print(json.dumps(result.to_dict(), ensure_ascii=False), flush=True)
        else:
            low, high = result.spread
            noisy = ", ".join(map(claim.label, result.within_noise))
            print(
                f"{claims.VERDICT_NAMES[result.verdict]}: {result.claim}\n    {result.measured:.3g} {result.unit} "
                f"({low:.3g} to {high:.3g}), {claim.label(claim.headline)}, in {result.seconds:.1f} s"
                + (f"; within the noise: {noisy}" if noisy else ""),
                flush=True,
            )
