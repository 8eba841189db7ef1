"""Models loaded once and shared by all visitors, each behind a small handle that caches can use as a key.

What is loaded is read-only: key/value caches, traces and random generators belong to the caller. Torch is imported
only when a model is needed, because the pages' header imports this module before the first words appear.
"""

import io
import re
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import streamlit as st

from gptcore.runs.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from gptcore.config import ModelConfig
    from gptcore.model import GPT
    from gptcore.tokenizer import Tokenizer

SHIPPED = "shipped"
_STEP = re.compile(r"[0-9]{1,15}")  # the name of a folder in a run's history
LARGE = 30_000_000  # weights; a larger model gains more by all cores than it loses by waiting for them


class ModelHandle(NamedTuple):
    """A saved model in one state: its folder, and a number that changes when the folder holds newer weights.

    It is small and hashable, so that a cached function takes it as its key; the weights come from one shared cache.
    Streamlit hashes a tuple with a string seven times as fast as a dataclass with a path.
    """

    folder: str
    version: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The model that a folder holds now."""
        # A checkpoint is written to a temporary name and renamed, so its folder's own time tells old from new.
        latest = path / "latest"
        return cls(str(path), (latest if latest.exists() else path).stat().st_mtime_ns)

    @property
    def path(self) -> Path:
        return Path(self.folder)

    @property
    def name(self) -> str:
        """SHIPPED or the id of the run."""
        return SHIPPED if self.path == shipped_path() else self.path.name

    @property
    def model(self) -> "GPT":
        return self.load()[0]

    @property
    def tokenizer(self) -> "Tokenizer":
        return self.load()[1]

    @property
    def config(self) -> "ModelConfig":
        return self.model.config

    def load(self) -> "tuple[GPT, Tokenizer]":
        """Model and tokenizer, read from the folder the first time."""
        is_snapshot = self.path.parent.name == "history"
        return _load_snapshot(self.folder) if is_snapshot else _load(self.folder, self.version)

    def learned_from_stories(self) -> bool:
        """Whether the model was trained on the built-in stories."""
        return Run(self.path).config().get("corpus", "stories") == "stories"


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def _load(folder: str, version: int) -> "tuple[GPT, Tokenizer]":
    import torch

    from gptcore import formats
    from gptcore.account import n_parameters
    from gptcore.resources import available_cores

    model, tokenizer = formats.load(Path(folder))
    if n_parameters(model.config) > LARGE:
        torch.set_num_threads(available_cores())  # for the whole process, as torch has it
    return model.eval(), tokenizer


# One at a time: reading the preset nano takes 10 ms, and keeping it 6 MB.
@st.cache_resource(max_entries=1, show_spinner=False)
def _load_snapshot(folder: str) -> "tuple[GPT, Tokenizer]":
    from gptcore import formats

    return formats.load(Path(folder))


@st.cache_resource(max_entries=8, show_spinner=False)
def embedding_matrix(handle: ModelHandle) -> "Tensor":
    """A copy of a model's embedding matrix, (V, C), which does not keep the rest of the model."""
    return handle.model.embedding.weight.detach().clone()


def shipped_path() -> Path:
    """The folder of the model that comes with Glassbox."""
    from gptcore import checkpoint

    return Path(checkpoint.SHIPPED)


def shipped() -> ModelHandle:
    """The model that comes with Glassbox, whichever the visitor has chosen."""
    return ModelHandle.of(shipped_path())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model as it was at one moment of its training."""

    step: int
    seconds: float
    handle: ModelHandle


@st.cache_data(max_entries=8, show_spinner=False)
def snapshots(handle: ModelHandle) -> list[Snapshot]:
    """The states a run has kept of its model, the first one first; empty for a model without a history.

    A state that the log does not know, or that cannot be read, is left out.
    """
    events, _ = Run(handle.path).events()
    seconds = {event["step"]: event["seconds"] for event in events}
    kept = sorted(folder for folder in (handle.path / "history").glob("*") if _STEP.fullmatch(folder.name))
    checkpoints = [
        Snapshot(int(folder.name), seconds[int(folder.name)], ModelHandle(str(folder), 0))  # it never changes
        for folder in kept
        if int(folder.name) in seconds
    ]
    return [snapshot for snapshot in checkpoints if handle.name == SHIPPED or _can_be_read(snapshot.handle)]


def _can_be_read(handle: ModelHandle) -> bool:
    try:
        handle.load()
    except (ValueError, OSError):
        return False
    return True


def zipped(folder: Path) -> bytes:
    """A model's three files as a zip: what `gptcore.load` and `python -m gptcore sample` take, unpacked."""
    from gptcore.checkpoint import model_folder

    source = model_folder(folder)
    return _zip(source / name for name in ("config.json", "model.safetensors", "tokenizer.json"))


def as_llama(handle: ModelHandle) -> bytes:
    """A model as a zip of a Hugging Face folder; raises ValueError for one that format cannot hold."""
    from gptcore.formats.hf_folder import export_hf
    from gptcore.formats.model_card import model_card

    model, tokenizer = handle.load()
    card = model_card(model.config, handle.path, "A Glassbox model")
    with tempfile.TemporaryDirectory() as folder:
        return _zip(sorted(export_hf(model, tokenizer, Path(folder) / "model", card).iterdir()))


def _zip(files: Iterable[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"model/{file.name}")
    return buffer.getvalue()
