"""Runs as one zip, down and up: what a learner takes home, and what may come back.

A zip from a stranger is checked before anything of it is written: which names, how many, how large, and that each
file is what its name says. Nothing is ever unpickled.
"""

import hashlib
import io
import json
import re
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gptcore.config import ModelConfig
from gptcore.files import disk_bytes, write_json
from gptcore.formats import read_folder
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.run import (
    FORMAT,
    UNPACKING,
    Run,
    RunError,
    folder_lock,
    parse_event,
    request_file,
    runs_folder,
)

FORMAT_OF_WORK = "glassbox-work-1"
ABOUT = "work.json"  # names of the runs, and what the pages keep: progress, settings
MAX_RUNS = 200
MAX_ABOUT_BYTES = 1_000_000
MAX_RATIO = 200  # text shrinks to a tenth; what grows far beyond that is made to fill a disk
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")
STATE_FILES = ("state.json", "state.safetensors")
RUN_FILES = ("config.json", "tokenizer.json", "corpus.txt", "events.jsonl")
_NAME = re.compile(
    r"runs/([a-z0-9_-]{1,64})/"
    rf"(?:{'|'.join(map(re.escape, RUN_FILES))}|latest/(?:{'|'.join(map(re.escape, MODEL_FILES + STATE_FILES))}))"
)


def export_work(runs: Iterable[Run], about: dict[str, Any] | None = None) -> bytes:
    """Return runs as the bytes of a zip, with `about` (what can be written as JSON) beside them.

    A run brings its config, text, log, tokenizer and last state; the optimizer only where it can go on.
    """
    buffer = io.BytesIO()
    names = {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for run in runs:
            if not (run.folder / "config.json").is_file():
                continue  # it waits, and has nothing yet
            names[run.id] = run.name()
            files = [*RUN_FILES, *(f"latest/{name}" for name in MODEL_FILES)]
            files += [f"latest/{name}" for name in STATE_FILES] if run.can_resume() else []
            for name in files:
                if (path := run.folder / name).is_file():
                    archive.write(path, f"runs/{run.id}/{name}")
        described = {"format": FORMAT_OF_WORK, "names": names, "about": about or {}}
        archive.writestr(ABOUT, json.dumps(described, ensure_ascii=False))
    return buffer.getvalue()


def import_work(
    data: bytes, *, owner: str = "", limits: Limits | None = None
) -> tuple[list[Run], dict[str, Any]]:
    """Put the runs of a zip into the runs folder, with new ids; return them and what `export_work` was told about.

    A run that is here already (the same log) is not doubled. Raises RunError or LimitError, in one sentence, for
    what is no such zip, and then leaves nothing behind.
    """
    limits = limits or Limits.from_environment()
    limits.check_upload(len(data), "this zip")
    limits.check_disk(disk_bytes(runs_folder()))
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise RunError("this file is no zip; choose one that was downloaded here as My work") from error
    folder = runs_folder()
    with archive:
        members = _checked(archive, limits)
        about = _about(archive)
        folder.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=UNPACKING[1], dir=folder))
        try:
            found = _extract(archive, members, staged)
            for place in found.values():
                _check_run(place)
            return _adopt(found, about["names"], folder, owner), about["about"]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise RunError("this zip is damaged; download it again") from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _checked(archive: zipfile.ZipFile, limits: Limits) -> dict[str, list[zipfile.ZipInfo]]:
    """Return the members of each run, once names and sizes are known to be harmless."""
    members: dict[str, list[zipfile.ZipInfo]] = {}
    total, seen = 0, set()
    for info in archive.infolist():
        if info.filename == ABOUT:
            continue
        match = _NAME.fullmatch(info.filename)
        if match is None or info.filename in seen:
            shown = info.filename[:60].replace("\n", " ")
            raise RunError(f"this zip holds {shown!r}, which is no part of a run; nothing of it was taken")
        seen.add(info.filename)
        total += info.file_size
        if info.file_size > 10_000 and info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise RunError(f"{info.filename} grows from {info.compress_size:,} to {info.file_size:,} bytes")
        members.setdefault(match[1], []).append(info)
    if total > 5 * limits.upload_mb * 1e6:
        raise LimitError(
            f"this zip unpacks to {total / 1e6:,.0f} MB; {5 * limits.upload_mb:,.0f} MB is the limit"
        )
    if len(members) > MAX_RUNS:
        raise LimitError(f"this zip holds {len(members)} runs and {MAX_RUNS} is the limit")
    return members


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        info = archive.getinfo(ABOUT)
        described = json.loads(archive.read(info)) if info.file_size <= MAX_ABOUT_BYTES else None
    except (KeyError, ValueError) as error:
        raise RunError(f"this zip has no readable {ABOUT}; choose one downloaded here as My work") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT_OF_WORK:
        raise RunError(f"this zip is not of the format {FORMAT_OF_WORK} that this version reads")
    names, about = described.get("names"), described.get("about")
    return {
        "names": names if isinstance(names, dict) else {},
        "about": about if isinstance(about, dict) else {},
    }


def _extract(
    archive: zipfile.ZipFile, members: dict[str, list[zipfile.ZipInfo]], staged: Path
) -> dict[str, Path]:
    """Write each run into a folder of its own; a member that is longer than it says is refused."""
    found = {}
    for run_id, infos in members.items():
        place = staged / run_id
        for info in infos:
            path = place / info.filename.split("/", 2)[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, path.open("wb") as target:
                left = info.file_size
                while chunk := source.read(1 << 20):
                    left -= len(chunk)
                    if left < 0:
                        raise RunError(f"{info.filename} is longer than the zip says")
                    target.write(chunk)
        found[run_id] = place
    return found


def _check_run(place: Path) -> None:
    """Raise RunError unless a folder is a run: readable JSON, a log of events, weights that fit their config."""
    run = Run(place)
    config = run.config()
    if config.get("format") != FORMAT:
        raise RunError(f"{place.name} in this zip is not of the format {FORMAT}")
    try:
        ModelConfig.from_dict(config["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the config.json of {place.name} describes no model: {error}") from error
    log = place / "events.jsonl"
    lines = log.read_bytes().splitlines() if log.is_file() else []
    if any(parse_event(line) is None for line in lines):
        raise RunError(f"the events.jsonl of {place.name} holds lines that are no events")
    if (place / "latest").is_dir():
        try:
            read_folder(place / "latest")
        except ValueError as error:
            raise RunError(f"the model of {place.name} in this zip cannot be read: {error}") from error


def _adopt(found: dict[str, Path], names: dict[str, Any], folder: Path, owner: str) -> list[Run]:
    """Move checked runs into the runs folder, as this owner's."""
    adopted = []
    with folder_lock(folder):
        logs: dict[str | None, Path] = {
            _digest(path.parent): path.parent for path in folder.glob("*/events.jsonl")
        }
        for run_id, place in found.items():
            known = logs.get(_digest(place)) if _digest(place) else None
            if known is not None:
                adopted.append(Run(known))
                continue
            run = Run(folder / secrets.token_hex(10))
            name = names.get(run_id)
            request = {"id": run.id, "owners": [owner], "name": name[:60] if isinstance(name, str) else ""}
            write_json(request_file(run.folder), request)
            place.rename(run.folder)
            adopted.append(run)
    return adopted


def _digest(place: Path) -> str | None:
    """Return a hash of a run's log, None where there is no log or an empty one."""
    path = place / "events.jsonl"
    data = path.read_bytes() if path.is_file() else b""
    return hashlib.sha256(data).hexdigest() if data else None
