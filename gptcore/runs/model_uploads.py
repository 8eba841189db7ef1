"""An uploaded model: unpacked, checked and stored with the runs, where every page finds it.

What comes from a stranger is only ever read as JSON and safetensors. Names lead nowhere but into a fresh folder,
sizes are counted while they are written, and a config is held against the limits before anything is built.
"""

import contextlib
import json
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import torch

from gptcore.checkpoint import FORMAT, check_finite, model_folder, write_model
from gptcore.config import ModelConfig
from gptcore.files import disk_bytes, read_json, replacing, write_bytes, write_json
from gptcore.formats import gguf_model, hf_folder, load
from gptcore.formats.hf_config import with_shorter_context
from gptcore.formats.models import is_hf_folder
from gptcore.model import GPT
from gptcore.runs.limits import MAX_CONTEXT, MEGABYTE, LimitError, Limits
from gptcore.runs.run import FORMAT as RUN_FORMAT
from gptcore.runs.run import LONGEST_NAME, UNPACKING, Run, RunError, runs_folder
from gptcore.tokenizer import Tokenizer

MAX_JSON_MB = {  # megabytes; the largest in use have half of that
    "config.json": 1,
    "generation_config.json": 1,
    "tokenizer_config.json": 16,
    "tokenizer.json": 64,
    hf_folder.INDEX: 16,
}
# Kept as empty files, so that the refusal can name them.
UNSUPPORTED_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".model")
BLOCK = 1 << 20


class UploadError(ValueError):
    """Files that cannot be used as a model."""


def import_upload(
    files: Iterable[tuple[str, BinaryIO]], *, name: str = "", owner: str = "", limits: Limits | None = None
) -> Run:
    """Keep a model from uploaded files, each a name and what is in it; return it as a run that is over.

    One zip of a folder, the files of one, or a GGUF file. Raises ValueError in one sentence, naming what is not
    supported.
    """
    limits = limits or Limits.from_environment()
    limits.check_disk(disk_bytes(runs_folder()))
    with _scratch() as folder:
        _unpack(files, folder, limits)
        return register_model(folder, name=name, owner=owner, limits=limits)


def import_folder(path: str | Path, *, name: str = "", owner: str = "", limits: Limits | None = None) -> Run:
    """Keep a model from a folder of this machine; only for the user of that machine, never for a visitor of a
    server."""
    path = Path(path).expanduser()
    if not path.is_dir():
        raise UploadError(f"there is no folder {path}; check the path")
    limits = limits or Limits.from_environment()
    limits.check_disk(disk_bytes(runs_folder()))
    if not is_hf_folder(path):
        path = model_folder(path)
    with _scratch() as folder, contextlib.ExitStack() as opened:
        files = [
            (file.name, opened.enter_context(file.open("rb"))) for file in path.iterdir() if file.is_file()
        ]
        _unpack(files, folder, limits)
        return register_model(folder, name=name or path.name, owner=owner, limits=limits)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Lend a folder in the runs folder, so that what it takes is counted where the model will stand."""
    parent = runs_folder()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNPACKING[0], dir=parent) as folder:
            try:
                yield Path(folder)
            except ValueError as error:  # the path on the server stays private
                reason = str(error).replace(f"{folder}/", "").replace(folder, "what was brought")
                if reason == str(error):
                    raise
                raise UploadError(reason) from error
    except OSError as error:
        raise RunError(f"{parent} cannot be written: {error.strerror or error}") from error


def _unpack(files: Iterable[tuple[str, BinaryIO]], folder: Path, limits: Limits) -> None:
    """Write what belongs to a model into a folder, side by side; raises UploadError or LimitError.

    A zip is taken apart; of its folders the one with the config.json nearest to the top counts.
    """
    room = int(limits.upload_mb * MEGABYTE)
    for name, file in files:
        if not name.lower().endswith(".zip"):
            room = _keep(name, file, folder, room, limits)
            continue
        try:
            with zipfile.ZipFile(file) as archive:
                for member in _members(archive):
                    with archive.open(member) as content:
                        room = _keep(PurePosixPath(member.filename).name, content, folder, room, limits)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise UploadError(f"{name[:80]} is not a readable zip: {error}") from error


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of the folder that holds the config.json nearest to the top."""
    files = [member for member in archive.infolist() if not member.is_dir()]
    configs = [PurePosixPath(file.filename) for file in files if file.filename.endswith("config.json")]
    places = [path.parent for path in configs if path.name == "config.json"]
    # Of a run that was saved whole the model stands one folder deeper, beside the run's own config.json.
    with_weights = {
        PurePosixPath(file.filename).parent
        for file in files
        if file.filename.endswith((".safetensors", *UNSUPPORTED_SUFFIXES))
    }
    places = sorted((place for place in places if place in with_weights), key=lambda place: len(place.parts))
    if not places:
        raise UploadError("the zip must contain a folder with a config.json and a model.safetensors")
    return [file for file in files if PurePosixPath(file.filename).parent == places[0]]


def _keep(name: str, content: BinaryIO, folder: Path, room: int, limits: Limits) -> int:
    """Write one file, if it is one that a model needs; return how many bytes are left for the others."""
    if name != PurePosixPath(name.replace("\\", "/")).name or name.startswith("."):
        return room
    path = folder / name
    if name.endswith(UNSUPPORTED_SUFFIXES):
        path.touch()
        return room
    if name not in MAX_JSON_MB and not name.endswith((".safetensors", ".gguf")):
        return room
    if path.exists():
        raise UploadError(f"there are two files named {name[:80]}; upload one model at a time")
    most = min(room, MAX_JSON_MB.get(name, room) * MEGABYTE)
    written = 0
    with path.open("wb") as file:
        while block := content.read(BLOCK):
            written += len(block)
            if written > most and most < room:
                raise LimitError(f"{name} exceeds the limit of {MAX_JSON_MB[name]} MB for such a file")
            if written > most:
                raise LimitError(
                    f"these files exceed the limit of {limits.upload_mb:,.0f} MB; choose a smaller model"
                )
            file.write(block)
    return room - written


def register_model(folder: Path, *, name: str = "", owner: str = "", limits: Limits | None = None) -> Run:
    """Check the model in a folder that may be changed, and keep it in the runs folder; return it as a run."""
    model, tokenizer, dtype = _read_model(folder, limits or Limits.from_environment())
    check_finite(model)
    run_id = secrets.token_hex(10)
    place = runs_folder() / run_id
    try:
        place.mkdir(parents=True)
        with replacing(place / "latest", checksums=True) as fresh:
            write_model(model, tokenizer, fresh, dtype)
        tokenizer.save(place / "tokenizer.json")
        over = {"event": "done", "step": 0, "tokens": 0, "seconds": 0.0, "reason": "imported"}
        write_bytes(place / "events.jsonl", (json.dumps(over) + "\n").encode())
        described = {
            "format": RUN_FORMAT,
            "imported": True,
            "corpus": "",
            "corpus_name": " ".join(name.split())[:LONGEST_NAME] or "a model from elsewhere",
            "model": model.config.to_dict(),
        }
        write_json(place / "config.json", described | ({"owner": owner} if owner else {}))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return Run(place)


def _read_model(folder: Path, limits: Limits) -> tuple[GPT, Tokenizer, torch.dtype | None]:
    """Return the model in a folder, its tokenizer, and the type to store its weights in."""
    if not (folder / "config.json").is_file():
        if (files := list(folder.glob("*.gguf"))) != []:
            return _read_gguf(files, limits)
        raise UploadError("config.json is missing; add it, because it defines the model's shape")
    if not any(path.suffix in (".safetensors", *UNSUPPORTED_SUFFIXES) for path in folder.iterdir()):
        raise UploadError("model.safetensors is missing; add it, because it contains the weights")
    _shorten_context(folder)
    config = _config(folder)
    limits.check_model(config)
    model, tokenizer = load(folder)
    if tokenizer is None:
        raise UploadError(
            "tokenizer.json is missing; add it, because the model needs it to read and write text"
        )
    return model, tokenizer, _stored_dtype(folder, model)


def _read_gguf(files: list[Path], limits: Limits) -> tuple[GPT, Tokenizer, None]:
    if len(files) > 1:
        raise UploadError(f"there are {len(files)} GGUF files; upload one model at a time")
    limits.check_model(gguf_model.read_config(files[0], longest_context=MAX_CONTEXT))
    model, tokenizer = gguf_model.load_gguf(files[0], longest_context=MAX_CONTEXT)
    if tokenizer is None:
        raise UploadError(f"{files[0].name[:80]} does not contain a tokenizer; choose a file that has one")
    return model, tokenizer, None


def _shorten_context(folder: Path) -> None:
    """Bring a longer context down to what pages show: with rotary positions shorter texts are not changed by it."""
    config = _config(folder)
    if config.context_length <= MAX_CONTEXT:
        return
    if config.position != "rope":
        raise LimitError(
            f"context_length={config.context_length:,} exceeds the limit of {MAX_CONTEXT:,}; choose a model with a "
            "shorter context"
        )
    described = read_json(folder / "config.json")
    if is_hf_folder(folder):
        described = with_shorter_context(described, MAX_CONTEXT)
    else:
        described["model"]["context_length"] = MAX_CONTEXT
    write_json(folder / "config.json", described)


def _config(folder: Path) -> ModelConfig:
    """Return the shape a folder's config.json describes, before anything of that shape is built."""
    if is_hf_folder(folder):
        return hf_folder.read_config(folder)
    described = read_json(folder / "config.json")
    if described.get("format") != FORMAT or not isinstance(described.get("model"), dict):
        raise UploadError("config.json must be from a Hugging Face model or written by Glassbox")
    try:
        return ModelConfig.from_dict(described["model"])
    except TypeError as error:
        raise UploadError(f"config.json is damaged: {error}") from error


def _stored_dtype(folder: Path, model: GPT) -> torch.dtype | None:
    """Return the type to store weights in: the smaller one they came in, if it holds all of ours exactly.

    Gemma's norms are read as 1 more than what is stored, which takes more digits.
    """
    kinds = {kind for path in folder.glob("*.safetensors") for kind, _ in hf_folder.shapes(path).values()}
    dtype = {frozenset({"BF16"}): torch.bfloat16, frozenset({"F16"}): torch.float16}.get(frozenset(kinds))
    exact = dtype and all(torch.equal(weight, weight.to(dtype).float()) for weight in model.parameters())
    return dtype if exact else None
