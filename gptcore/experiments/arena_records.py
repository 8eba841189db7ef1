"""Finished matches of the arena, kept as small files in the runs folder after their runs are gone."""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from gptcore.config import PRESETS
from gptcore.experiments.arena import Match, Result, Verdict, plan
from gptcore.files import read_json, write_json
from gptcore.runs.request import LENGTHS, RunRequest, setting_words
from gptcore.runs.run import runs_folder

FOLDER = "arena"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One finished match: the names of its arms, its terms, the loss of every run, and its verdict."""

    key: str
    names: tuple[str, str]
    terms: str
    results: tuple[Result, ...]
    verdict: str
    winner: str | None
    difference: float
    when: float  # seconds since 1970


def folder() -> Path:
    """Return where finished matches are kept."""
    return runs_folder() / FOLDER


@lru_cache(maxsize=64)
def match_key(match: Match) -> str:
    """Return a hash of everything that decides a match's results: the same for matches with the same runs."""
    return _hash([_content(planned.request) for planned in plan(match)])


def _content(request: RunRequest) -> dict[str, Any]:
    """Return the values a run is trained with, however its request was worded."""
    model, train = request.configs()
    content = {"model": model.to_dict(), "train": train.to_dict()}
    return content | {"corpus": request.corpus, "tokenizer": request.tokenizer}


@lru_cache(maxsize=64)
def _first_edition_key(match: Match) -> str:
    """Return the file name of a match's record in the first edition: a hash of the words its commands had."""
    return _hash([_first_edition_words(planned.request) for planned in plan(match)])


def _first_edition_words(request: RunRequest) -> list[str]:
    """Return a run's command in the first edition: every field that differs from the preset, then those that would
    otherwise follow from one of them."""
    preset = PRESETS[request.preset]
    settings: dict[str, Any] = {}
    for config, base in zip(request.configs(), (preset.model, preset.train)):
        options = (*LENGTHS, "seed")
        chosen = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in options}
        differ = {name: value for name, value in chosen.items() if value != getattr(base, name)}
        followed = base.replace(**differ)
        settings |= differ | {k: value for k, value in chosen.items() if value != getattr(followed, k)}
    timed = request.steps is None
    length = ["--seconds", f"{request.seconds:g}"] if timed else ["--steps", str(request.steps)]
    text = ["--corpus", request.corpus, "--tokenizer", request.tokenizer]
    words = ["--preset", request.preset, *text, *length, "--seed", str(request.seed)]
    return [*words, "--set", *setting_words(settings)]


def _hash(values: list) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:20]


def save_record(
    match: Match, names: tuple[str, str], terms: str, results: Iterable[Result], verdict: Verdict
) -> None:
    """Write a finished match down; one that is kept already stays as it is."""
    if find_record(match) is not None:
        return
    path = folder() / f"{match_key(match)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, to_dict(names, terms, results, verdict))


def terms(match: Match) -> str:
    """Return the terms of a match in a line."""
    length = f"{match.train.seconds:g} s" if match.train.seconds else f"{match.train.steps} steps"
    return (
        f"equal in {match.equal_in}, {match.a.d_model} × {match.a.n_layers}, {length}, {len(match.rates)} rates, "
        f"{len(match.seeds)} seeds"
    )


def to_dict(
    names: tuple[str, str], terms: str, results: Iterable[Result], verdict: Verdict
) -> dict[str, Any]:
    """Return a match that ends now as plain values that JSON can hold."""
    return {
        "names": names,
        "terms": terms,
        "results": [[*result[:3], result.loss if math.isfinite(result.loss) else None] for result in results],
        "verdict": verdict.word,
        "winner": verdict.winner,
        "difference": verdict.difference,
        "when": round(time.time()),
    }


def find_record(match: Match) -> Record | None:
    """Return the record of this match, by this edition or the first; None if it was never finished."""
    keys = (match_key(match), _first_edition_key(match))
    return next((record for key in keys if (record := _read(folder() / f"{key}.json")) is not None), None)


def all_records() -> list[Record]:
    """Return all matches that are kept, the newest first."""
    paths = folder().glob("*.json") if folder().is_dir() else ()
    records = [record for path in paths if (record := _read(path)) is not None]
    return sorted(records, key=lambda record: record.when, reverse=True)


def _read(path: Path) -> Record | None:
    return from_dict(path.stem, read_json(path))


def from_dict(key: str, values: Mapping[str, Any]) -> Record | None:
    """Return the record that these values describe; None where they are not of our writing."""
    try:
        rows = (
            (arm, rate, seed, math.inf if loss is None else loss)
            for arm, rate, seed, loss in values["results"]
        )
        return Record(
            key=key,
            names=tuple(values["names"]),
            terms=values["terms"],
            results=tuple(Result(*row) for row in rows),
            verdict=values["verdict"],
            winner=values["winner"],
            difference=values["difference"],
            when=values["when"],
        )
    except (KeyError, TypeError, ValueError):
        return None
