"""Finished matches of the arena that come with Glassbox, so that the arena opens with a result.

Each file in `data/arena` is one: the record of the match, its machine, and the events of the runs at both arms' best
learning rates. `python -m gptcore arena … --write FOLDER` makes one. Times are left out: a loss does not depend on
what else a machine does, a time does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gptcore.experiments import arena, arena_records
from gptcore.experiments.arena import Match
from gptcore.experiments.arena_records import Record, match_key
from gptcore.experiments.claims import versions
from gptcore.experiments.machine import processor
from gptcore.files import read_json, write_bytes
from gptcore.resources import available_cores
from gptcore.runs.run import Run

SHIPPED = Path(__file__).resolve().parents[1] / "data" / "arena"
_KEPT = {
    "start": ("total_steps", "n_parameters", "floor", "uniform", "unigram", "bigram"),
    "step": ("loss", "lr", "grad_norm"),
    "eval": ("val_loss",),
    "sample": ("text", "ladder"),
    "done": ("reason",),
}  # of each kind of event


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedMatch:
    """A record with the machine and the versions it was played with, and events of runs by the runs' names."""

    record: Record
    machine: str
    cores: int
    versions: Mapping[str, str]
    events: Mapping[str, Sequence[Mapping[str, Any]]]


def find_played(match: Match) -> PlayedMatch | None:
    """Return the match that comes with Glassbox if it has the same runs as this one."""
    return _read(SHIPPED / f"{match_key(match)}.json")


def all_played() -> list[PlayedMatch]:
    """Return every match that comes with Glassbox."""
    return [played for path in sorted(SHIPPED.glob("*.json")) if (played := _read(path)) is not None]


@cache
def _read(path: Path) -> PlayedMatch | None:
    values = read_json(path)
    record = arena_records.from_dict(path.stem, values)
    if record is None:
        return None
    return PlayedMatch(
        record=record,
        machine=values["machine"],
        cores=values["cores"],
        versions=values["versions"],
        events=values["events"],
    )


def write_match(match: Match, names: tuple[str, str], runs: Path, folder: Path) -> Path:
    """Write a finished match into a folder, from the folder of its runs; return the file.

    Raises ValueError for a match that is not finished.
    """
    results, events = [], {}
    for planned in arena.plan(match):
        told = Run(runs / planned.name).events()[0]
        loss = arena.last_loss(told)
        if loss is not None:
            results.append(arena.Result(planned.arm, planned.rate, planned.seed, loss))
            events[planned.name] = told
    verdict = arena.judge(results, match)
    if verdict.word == "open":
        raise ValueError(f"the match in {runs} is not finished; train all its runs first")
    best = {p.name for p in arena.plan(match) if verdict.best[p.arm].rate == p.rate}
    values = arena_records.to_dict(names, arena_records.terms(match), results, verdict) | {
        "machine": processor()[0],
        "cores": available_cores(),
        "versions": versions(),
        "events": {name: list(_without_times(told)) for name, told in events.items() if name in best},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{match_key(match)}.json"
    write_bytes(path, (json.dumps(values, ensure_ascii=False) + "\n").encode())
    return path


def _without_times(events: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield a run's events without what depends on the machine's speed; of its steps, those before an evaluation."""
    step: dict[str, Any] | None = None
    for event in events:
        kind = event["event"]
        if kind not in _KEPT:
            continue
        kept = {name: event[name] for name in ("event", "step", "tokens", *_KEPT[kind]) if name in event}
        if kind == "step":
            step = kept | {"seconds": None, "tokens_per_second": None}
            continue
        if kind == "eval" and step is not None:
            yield step
            step = None
        yield kept
