"""Run the blocks of explainers: `python -m explainers check [TOPIC …]`, `python -m explainers fill TOPIC …`.

`check` runs each block at its defaults and at both ends of every range and says what differs from the text;
`fill` writes what the blocks print into the text.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from explainers.comparison import differences
from explainers.execution import run_blocks
from explainers.library import FOLDER, explainer, explainers
from explainers.reading import Block, Explainer

N_AT_ONCE = 2
PATIENCE = 240.0  # seconds for the blocks of an explainer when nobody waits and the machine may be busy


def settings(block: Block) -> Iterator[dict[str, float]]:
    """The values a block is tried with: its defaults, then each constant at either end of its range."""
    yield {}
    for constant in block.constants:
        for end in (constant.low, constant.high):
            if end != constant.default:
                yield {constant.name: end}


def sweep(chosen: list[Explainer], *, ends: bool) -> Iterator[dict]:
    """Run all blocks, those of an explainer in one child, and yield what each said: topic, number, values, answer."""
    jobs = [
        [
            (explainer.topic, block.number, values)
            for block in explainer.blocks
            for values in settings(block)
            if ends or not values
        ]
        for explainer in chosen
    ]
    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        for job, answers in zip(jobs, pool.map(lambda job: run_blocks(job, PATIENCE), jobs)):
            for (topic, number, values), answer in zip(job, answers, strict=True):
                yield {"topic": topic, "number": number, "values": values, **asdict(answer)}


def check(topics: list[str], as_json: bool) -> int:
    """Print what is wrong with each block, or everything as JSON; return the number of blocks that are wrong."""
    wrong = 0
    for found in sweep(_chosen(topics), ends=True):
        if as_json:
            print(json.dumps(found), flush=True)
            continue
        block = explainer(found["topic"]).block(found["number"])
        problems = [found["error"]] if found["error"] else []
        if not found["values"] and not problems:
            problems = differences(block.expected, found["output"], block.tolerance)
        wrong += bool(problems)
        place = f"{found['topic']} block {found['number']} {found['values'] or ''}"
        print(f"{place:<60} {found['seconds']:.2f} s", *problems, sep="\n    ", flush=True)
    return wrong


def fill(topics: list[str]) -> int:
    """Write what each block prints into its text fence; return the number of blocks that failed."""
    failed = 0
    for found in list(sweep(_chosen(topics), ends=False)):  # no file changes while its blocks still run
        path = FOLDER / f"{found['topic']}.md"
        if found["error"]:
            failed += 1
            print(f"{found['topic']} block {found['number']}: {found['error']}", file=sys.stderr)
            continue
        text = path.read_text(encoding="utf-8")
        path.write_text(_filled(text, found["number"], found["output"]), encoding="utf-8")
    return failed


def _filled(text: str, number: int, output: str) -> str:
    """The file with the output of block `number` in the text fence behind it, made where there is none."""
    lines, n_blocks, i = text.splitlines(), 0, 0
    while i < len(lines):
        n_blocks += lines[i].startswith("```python")
        if n_blocks == number:
            break
        i += 1
    closing = lines.index("```", i)
    after = closing + 1
    while after < len(lines) and not lines[after].strip():
        after += 1
    fence = "```text"
    rest = lines[closing + 1 :]
    if after < len(lines) and lines[after].startswith("```text"):
        fence = lines[after]
        rest = lines[lines.index("```", after + 1) + 1 :]
    shown = ["", fence, *output.rstrip("\n").splitlines(), "```"] if output else []
    return "\n".join([*lines[: closing + 1], *shown, *rest]) + "\n"


def _chosen(topics: list[str]) -> list[Explainer]:
    return [explainer(topic) for topic in topics] if topics else list(explainers())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m explainers", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="run all blocks and compare with the text")
    checking.add_argument("topics", nargs="*", metavar="TOPIC")
    checking.add_argument("--json", action="store_true", help="one line of JSON a run")
    filling = commands.add_parser("fill", help="write what the blocks print into the text")
    filling.add_argument("topics", nargs="+", metavar="TOPIC")
    options = parser.parse_args()
    try:
        failed = check(options.topics, options.json) if options.command == "check" else fill(options.topics)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return min(failed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
