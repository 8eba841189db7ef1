"""Hold a class from the command line; `python -m tests.load --help` lists the choices."""

import argparse
import os
import tempfile
from pathlib import Path

from tests.load.classroom import hold

LONGEST_SECONDS = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description="Load a server of its own with visitors."
    )
    parser.add_argument("--visitors", type=int, default=30, help="browsers at the same time, at most 100")
    parser.add_argument("--seconds", type=float, default=300, help="how long they stay, at most 3600")
    parser.add_argument("--training", type=int, default=2, help="how many of them start a training run")
    parser.add_argument(
        "--interactions",
        type=int,
        help="hurry, and leave after so many interactions, whatever --seconds says",
    )
    chosen = parser.parse_args()
    if not (1 <= chosen.visitors <= 100 and 1 <= chosen.seconds <= LONGEST_SECONDS):
        parser.error("--visitors must be 1 to 100 and --seconds 1 to 3600.")
    if chosen.interactions is not None and not 1 <= chosen.interactions <= 100_000:
        parser.error("--interactions must be 1 to 100,000.")
    seconds = chosen.seconds if chosen.interactions is None else LONGEST_SECONDS
    os.environ["GLASSBOX_HOSTED"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        lesson = hold(Path(folder), chosen.visitors, seconds, chosen.training, chosen.interactions)
        print(lesson.table())


if __name__ == "__main__":
    main()
