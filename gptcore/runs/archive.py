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
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gptcore.checkpoint import MODEL_FILES, check_finite, read_config
from gptcore.config import ModelConfig, TrainConfig
from gptcore.corpora.sources import BUILT_IN
from gptcore.files import CHECKSUMS, MAX_JSON_BYTES, disk_bytes, move, read_bytes, write_checksums, write_json
from gptcore.formats import read_folder
from gptcore.runs.kept_text import KEPT_TEXTS
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.recorder import STATE_FILES, read_checkpoint
from gptcore.runs.records import RecordError, parse_config, parse_event, parse_work
from gptcore.runs.run import (
    FORMAT,
    LONGEST_NAME,
    UNPACKING,
    Run,
    RunError,
    folder_lock,
    request_file,
    runs_folder,
)
from gptcore.tokenizer import Tokenizer

FORMAT_OF_WORK = "glassbox-work-1"
ABOUT = "work.json"  # names of the runs, and what the pages keep: progress, settings
MAX_RUNS = 200
MAX_ABOUT_BYTES = 1_000_000
MAX_RATIO = 200  # text shrinks to a tenth; what grows far beyond that is made to fill a disk
CHECKPOINT_FILES = (*MODEL_FILES, CHECKSUMS, *STATE_FILES)
# What of a config.json is taken from a zip: numbers and words that name nothing on this machine.
IMPORTED = {
    *("format", "preset", "seconds", "steps", "seed", "settings", "model", "train"),
    *("corpus_name", "notes", "found", "start", "versions", "lab", "imported"),
}
RUN_FILES = ("config.json", "tokenizer.json", *KEPT_TEXTS, "events.jsonl")
_NAME = re.compile(
    r"runs/([a-z0-9_-]{1,64})/"
    rf"(?:{'|'.join(map(re.escape, RUN_FILES))}|latest/(?:{'|'.join(map(re.escape, CHECKPOINT_FILES))}))"
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
            needed = CHECKPOINT_FILES if run.can_resume() else (*MODEL_FILES, CHECKSUMS)
            for name in (*RUN_FILES, *(f"latest/{name}" for name in needed)):
                if (path := run.folder / name).is_file():
                    archive.write(path, f"runs/{run.id}/{name}")
        described = {"format": FORMAT_OF_WORK, "names": names, "about": about or {}}
        archive.writestr(ABOUT, json.dumps(described, ensure_ascii=False))
    return buffer.getvalue()


def import_work(
    data: bytes, *, owner: str = "", is_local: bool = False, limits: Limits | None = None
) -> tuple[list[Run], dict[str, Any]]:
    """Put the runs of a zip into the runs folder, with new ids; return them and what `export_work` was told about.

    A run of this owner that is here already (the same log) is not doubled; with `is_local`, for the person at the
    machine, that is any run. Raises RunError or LimitError for anything else, and then leaves no files behind.
    """
    limits = limits or Limits.from_environment()
    limits.check_upload(len(data), "this zip")
    limits.check_disk(disk_bytes(runs_folder()))
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError) as error:
        raise RunError("this file is not a zip; choose one that was downloaded here as My work") from error
    folder = runs_folder()
    with archive:
        members = _checked(archive, limits)
        work = _work(archive)
        folder.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=UNPACKING[1], dir=folder))
        try:
            extracted = _extract(archive, members, staged)
            for run_folder in extracted.values():
                _admit(run_folder, limits)
            return _adopt(extracted, work["names"], folder, owner, is_local), work["about"]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
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
            raise RunError(
                f"this zip contains {shown!r}, which is not part of a run, so nothing was imported; remove it "
                "from the zip"
            )
        seen.add(info.filename)
        total += info.file_size
        if info.file_size > 10_000 and info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise RunError(
                f"{info.filename} expands from {info.compress_size:,} to {info.file_size:,} bytes, which is "
                "too much"
            )
        members.setdefault(match[1], []).append(info)
    if total > 5 * limits.upload_mb * 1e6:
        raise LimitError(
            f"this zip unpacks to {total / 1e6:,.0f} MB, and the limit is {5 * limits.upload_mb:,.0f} MB; "
            "export fewer runs"
        )
    if len(members) > MAX_RUNS:
        raise LimitError(
            f"this zip contains {len(members)} runs, and the limit is {MAX_RUNS}; export fewer runs"
        )
    return members


def _work(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return what the zip says of itself."""
    try:
        info = archive.getinfo(ABOUT)
        if info.file_size > MAX_ABOUT_BYTES:
            raise RunError(
                f"the {ABOUT} of this zip has {info.file_size:,} bytes, and the limit is {MAX_ABOUT_BYTES:,}"
            )
        work = parse_work(archive.read(info))
    except KeyError as error:
        raise RunError(f"this zip has no readable {ABOUT}; choose one downloaded here as My work") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise RunError("this zip is damaged; download it again") from error
    except RecordError as error:
        raise RunError(f"this zip cannot be used: {error}") from error
    if work["format"] != FORMAT_OF_WORK:
        raise RunError(
            f"this zip must have the format {FORMAT_OF_WORK}; use the version of Glassbox that wrote it"
        )
    return work


def _extract(
    archive: zipfile.ZipFile, members: dict[str, list[zipfile.ZipInfo]], staged: Path
) -> dict[str, Path]:
    """Write each run into a separate folder; a member that is longer than it says is refused."""
    extracted = {}
    for run_id, infos in members.items():
        run_folder = staged / run_id
        for info in infos:
            path = run_folder / info.filename.split("/", 2)[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, path.open("wb") as target:
                left = info.file_size
                while chunk := source.read(1 << 20):
                    left -= len(chunk)
                    if left < 0:
                        raise RunError(f"{info.filename} is longer than the zip states; download it again")
                    target.write(chunk)
        extracted[run_id] = run_folder
    return extracted


def _admit(folder: Path, limits: Limits) -> None:
    """Check a run that comes from a zip, and write its config again with what may come from one.

    Sizes are checked before anything is built. The new config names no path, plugin or address. Raises RunError or
    LimitError for an invalid run or one that is too large.
    """
    try:
        config = parse_config(read_bytes(folder / "config.json", MAX_JSON_BYTES))
        if config.get("format") != FORMAT:
            raise RunError(f"its config.json must have the format {FORMAT}")
        model = ModelConfig.from_dict(config.get("model") or {})
        limits.check_model(model)
        TrainConfig.from_dict(config.get("train") or {})
        _check_log(folder / "events.jsonl")
        tokenizer = Tokenizer.load(folder / "tokenizer.json")
        if tokenizer.vocab_size != model.vocab_size:
            raise RunError(
                f"its tokenizer has {tokenizer.vocab_size} tokens, more than its model's {model.vocab_size}"
            )
        if (folder / "latest").is_dir():
            _check_checkpoint(folder / "latest", model)
    except LimitError as error:
        raise LimitError(f"{folder.name} in this zip is too large: {error}") from error
    except (OSError, TypeError, ValueError) as error:
        sentence = str(error).replace(f"{folder}/", "").replace(str(folder), "its folder")
        raise RunError(f"{folder.name} in this zip cannot be used: {sentence}") from error
    write_json(folder / "config.json", _safe_config(config, folder))


def _check_log(path: Path) -> None:
    """Raise RunError for a log with an invalid event."""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    if (bad := next((n for n, line in enumerate(lines, 1) if parse_event(line) is None), None)) is not None:
        raise RunError(f"line {bad:,} of its events.jsonl is not a valid event")


def _check_checkpoint(folder: Path, model: ModelConfig) -> None:
    """Raise ValueError unless the checkpoint is a whole one of this model, which computes numbers."""
    if read_config(folder) != model:
        raise RunError("its latest/config.json describes a different model than its config.json")
    if (folder / "state.json").is_file() or (folder / "state.safetensors").is_file():
        read_checkpoint(folder)
    check_finite(read_folder(folder)[0])
    write_checksums(folder)


def _safe_config(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the config of a run without anything that would be opened, loaded or fetched."""
    kept = next((name for name in KEPT_TEXTS if (folder / name).is_file()), "")
    source = config.get("corpus", "")
    corpus = source if source in BUILT_IN and not kept else kept
    return {name: config[name] for name in IMPORTED & config.keys()} | {"corpus": corpus}


def _adopt(
    extracted: dict[str, Path], names: dict[str, str], folder: Path, owner: str, is_local: bool
) -> list[Run]:
    """Move checked runs into the runs folder, as this owner's; a run of theirs that is here already is not doubled.

    The same run of another owner stays theirs: a copy gives no right to stop or delete it.
    """
    adopted = []
    with folder_lock(folder):
        runs = (Run(path.parent) for path in folder.glob("*/events.jsonl"))
        own = {_digest(run.folder): run for run in runs if is_local or owner in run.owners()}
        for run_id, staged in extracted.items():
            digest = _digest(staged)
            if digest is not None and digest in own:
                adopted.append(own[digest])
                continue
            run = Run(folder / secrets.token_hex(10))
            request = {"id": run.id, "owners": [owner], "name": names.get(run_id, "")[:LONGEST_NAME]}
            write_json(request_file(run.folder), request)
            move(staged, run.folder)
            adopted.append(run)
    return adopted


def _digest(folder: Path) -> str | None:
    """Return a hash of a run's log, None if it is missing or empty."""
    path = folder / "events.jsonl"
    data = path.read_bytes() if path.is_file() else b""
    return hashlib.sha256(data).hexdigest() if data else None
