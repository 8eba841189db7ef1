"""`bench`: benchmark our speed against the libraries that people use."""

import argparse
import json
from dataclasses import asdict

from gptcore.experiments.bench import bench


def run(options: argparse.Namespace) -> None:
    for row in bench(options.only):
        if options.json:
            print(json.dumps(asdict(row), ensure_ascii=False), flush=True)
        elif row.skipped:
            print(f"{row.name:30} skipped: {row.skipped}", flush=True)
        elif row.ours is None:
            print(f"{row.name:30} {row.how}", flush=True)
        else:
            numbers = f"{row.ours:>9,.4g} {row.peer:>9,.4g} {row.unit:9} ratio {row.ratio:.2f}"
            print(f"{row.name:30}{numbers}   {row.how}", flush=True)
