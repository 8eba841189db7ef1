"""Models on disk: a folder with the config and tokenizer as JSON and the weights as safetensors.

Nothing is unpickled, so a folder from an untrusted source cannot run code. A folder is written to a temporary name
and then renamed, so it is always complete.
"""

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gptcore.account import check_memory, model_bytes
from gptcore.config import ConfigError, ModelConfig
from gptcore.files import MAX_JSON_BYTES, find_damaged, read_bytes, replacing, write_json
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer

FORMAT = "glassbox-1"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")
SHIPPED = Path(__file__).parent / "data" / "nano"


class CheckpointError(ValueError):
    """A folder that does not contain a usable model."""


def save(model: GPT, tokenizer: Tokenizer, folder: str | Path, *, dtype: torch.dtype | None = None) -> Path:
    """Write a model as a folder (`config.json`, `model.safetensors`, `tokenizer.json`); return the folder.

    An existing folder is replaced atomically. `dtype` stores the weights in fewer bits; `load` converts them to fp32.
    Raises OSError if writing fails.
    """
    folder = Path(folder)
    with replacing(folder, checksums=True) as fresh:
        write_model(model, tokenizer, fresh, dtype)
    return folder


def write_model(model: GPT, tokenizer: Tokenizer, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write the three files of a model into an existing folder."""
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in own_weights(model).items()
    }
    write_tensors(weights, folder / "model.safetensors")
    tokenizer.save(folder / "tokenizer.json")
    write_json(folder / "config.json", {"format": FORMAT, "model": model.config.to_dict()})


def write_tensors(
    tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file; raises OSError if writing fails."""
    try:
        save_file(tensors, path, metadata)
        path.chmod(0o644)  # safetensors keeps its files private; a run is there to be shared
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def own_weights(model: GPT) -> dict[str, torch.Tensor]:
    """Return a model's weights by name, each once: a tied output matrix is the embedding matrix and is left out."""
    weights = model.state_dict()
    if model.config.tie_embeddings:
        del weights["output.weight"]
    return weights


def read_latest(folder: str | Path) -> tuple[GPT, Tokenizer]:
    """Return the model and tokenizer of a saved model or of a run: its latest state, or the one before it.

    Raises ValueError for a folder without a model, or whose files do not match.
    """
    first, *others = model_folders(folder)
    try:
        return read_folder(first)
    except ValueError:
        for other in others:  # the latest state of a run is damaged; the previous one may be intact
            with contextlib.suppress(ValueError):
                return read_folder(other)
        raise


def read_folder(folder: str | Path) -> tuple[GPT, Tokenizer]:
    """Return the model and tokenizer in this very folder; raises ValueError as `read_latest` does."""
    folder = Path(folder)
    config = read_config(folder)
    check_memory(model_bytes(config), f"the model in {folder}")
    check_intact(folder, ["model.safetensors"])
    model = GPT(config)
    try:
        weights = load_file(folder / "model.safetensors")
        if model.config.tie_embeddings and "embedding.weight" in weights:
            weights["output.weight"] = weights["embedding.weight"]
        model.load_state_dict(weights)
    except OSError as error:
        raise CheckpointError(f"{folder} does not contain a readable model: {error}") from error
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights in {folder} do not match its config.json; save the model again"
        ) from error
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    if tokenizer.vocab_size > model.config.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {folder} has {tokenizer.vocab_size} tokens, more than its model's "
            f"vocab_size={model.config.vocab_size}; save both together again"
        )
    return model.eval(), tokenizer


def check_intact(folder: Path, names: Iterable[str]) -> None:
    """Raise CheckpointError if a file does not match its checksum."""
    if (name := find_damaged(folder, names)) is not None:
        raise CheckpointError(
            f"the weights in {folder} are damaged, because {name} does not match its checksum; copy the "
            "model again"
        )


def check_finite(model: GPT) -> None:
    """Raise CheckpointError if a model's weights or outputs are NaN or infinite."""
    if not is_finite(model):
        raise CheckpointError("the model's outputs are NaN or infinite; train it again")


@torch.inference_mode()
def is_finite(model: GPT) -> bool:
    """Return whether a model's weights and its logits on a few tokens are neither NaN nor infinite."""
    n_tokens = min(8, model.config.context_length)
    ids = torch.arange(n_tokens, device=model.device).remainder(model.config.vocab_size)[None]  # (1, T)
    weights = model.state_dict().values()
    return all(bool(x.isfinite().all()) for x in weights) and bool(model(ids).isfinite().all())


def read_config(folder: Path) -> ModelConfig:
    """Return the config in a saved model's config.json; raises CheckpointError."""
    try:
        described = json.loads(read_bytes(folder / "config.json", MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not JSON, or not UTF-8
        raise CheckpointError(f"{folder} does not contain a readable model: {error}") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder}/config.json must have the format {FORMAT}; use the version of Glassbox that wrote it"
        )
    if not isinstance(described.get("model"), dict):
        raise CheckpointError(f"{folder} does not contain a readable model: its config.json describes none")
    try:
        return ModelConfig.from_dict(described["model"])
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{folder} does not contain a readable model: {error}") from error


def model_folder(folder: str | Path) -> Path:
    """Return the folder of the model itself: this folder, or a run's `latest` or, if that is missing, `previous`."""
    return model_folders(folder)[0]


def model_folders(folder: str | Path) -> list[Path]:
    """Return every folder a model can be read from, the newest first; raises CheckpointError if there is none."""
    folder = Path(folder)
    candidates = (folder, folder / "latest", folder / "previous")
    with_model = [candidate for candidate in candidates if (candidate / "model.safetensors").is_file()]
    if with_model:
        return with_model
    if not folder.exists():
        raise CheckpointError(f"there is no file or folder {folder}; check the path")
    raise CheckpointError(
        f"{folder} does not contain a model; choose a saved model or a run with a checkpoint"
    )
