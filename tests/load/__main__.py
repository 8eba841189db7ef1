"""Hold a class from the command line; `python -m tests.load --help` lists the choices."""

import argparse
import os
import tempfile
from pathlib import Path

from tests.load.classroom import hold


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description="Load a server of its own with visitors."
    )
    parser.add_argument("--visitors", type=int, default=30, help="browsers at the same time, at most 100")
    parser.add_argument("--seconds", type=float, default=300, help="how long they stay, at most 3600")
    parser.add_argument("--training", type=int, default=2, help="how many of them start a training run")
    chosen = parser.parse_args()
    if not (1 <= chosen.visitors <= 100 and 1 <= chosen.seconds <= 3600):
        parser.error("--visitors must be 1 to 100 and --seconds 1 to 3600.")
    os.environ["GLASSBOX_HOSTED"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        print(hold(Path(folder), chosen.visitors, chosen.seconds, chosen.training).table())


if __name__ == "__main__":
    main()
