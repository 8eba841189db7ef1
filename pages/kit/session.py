"""The one place that keeps things between runs of a page: caches shared by all, choices of one visitor.

What `st.cache_resource` holds is shared between visitors and never written to: a model is read-only, and
key/value caches, traces and random generators belong to whoever calls it. Torch is imported only when a
model is asked for, so that a page without one opens at once.
"""

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import streamlit as st

from pages.kit import links
from pages.kit.curves import History

if TYPE_CHECKING:
    from gptcore.config import ModelConfig
    from gptcore.model import GPT
    from gptcore.runs import Run
    from gptcore.tokenizer import Tokenizer

SHIPPED = "shipped"
MODEL = "model"  # as in ?model=…: the id of a run; the shipped model needs no mention
MODEL_KEY = "model_chosen"  # session state: the same id, or SHIPPED


@dataclass(frozen=True, slots=True)
class InUse:
    """The model every page works on: the shipped one, or one of the learner's runs."""

    name: str  # SHIPPED or the name of the run
    label: str  # as the sidebar shows it
    path: Path
    model: "GPT"
    tokenizer: "Tokenizer"


def runs() -> "list[Run]":
    """All training runs on this machine, the newest first."""
    from gptcore.runs import list_runs

    return list_runs()


def run_named(name: str | None) -> "Run | None":
    """The run of this id, or None; an id from a URL never leads outside the runs folder."""
    from gptcore.runs import Run, RunError

    try:
        return Run.by_id(name) if name else None
    except RunError:
        return None


def run_on_view() -> "Run | None":
    """The run the URL asks for with ?run=, else the newest one that is still training, else None."""
    asked = run_named(links.kept("run"))
    if asked is not None:
        return asked
    return next((run for run in runs() if is_alive(run)), None)


def is_alive(run: "Run") -> bool:
    """Whether a process works on this run now."""
    return run.state() in ("starting", "running")


def is_stopping(run: "Run") -> bool:
    """Whether the run has been asked to stop and has not stopped yet."""
    return (run.folder / "control.json").exists()


def view_run(run_id: str | None) -> None:
    """Make a run the one on view, on this page and on those the visitor turns to next."""
    links.keep("run", run_id)


def start_run(arguments: Sequence[str]) -> "Run":
    """Start `python -m gptcore train` with these arguments and put the run on view; raises RunError."""
    from gptcore.runs import start

    run = start(arguments)
    view_run(run.id)
    return run


def keep_text(text: bytes) -> Path:
    """Write a visitor's text where a training process can read it; the same text is one file."""
    from gptcore.runs import RunError, runs_folder

    path = runs_folder() / "texts" / f"{hashlib.sha256(text).hexdigest()[:16]}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; make room and start again") from error
    return path


def history(run: "Run") -> History:
    """The events of a run so far; each call reads only what has been added since the last."""
    tail = st.session_state.get("tail")
    if tail is None or tail[0] != run.id:
        tail = (run.id, 0, History(name=run.id))
    _, place, seen = tail
    fresh, place = run.events(place)
    seen.add(fresh)
    st.session_state["tail"] = (run.id, place, seen)
    return seen


@st.cache_data(max_entries=1, show_spinner=False)
def shipped_history() -> History:
    """The events of the run that made the shipped model; empty where they are not kept."""
    from gptcore.runs import Run

    shipped = History(name=SHIPPED)
    shipped.add(Run(shipped_path()).events()[0])
    return shipped


def use_model(name: str) -> None:
    """Put a run's model, or SHIPPED, on every page. For callbacks: it must act before the sidebar is made."""
    st.session_state[MODEL_KEY] = name
    links.keep(MODEL, None if name == SHIPPED else name)


def model_name() -> str:
    """The name of the model in use: SHIPPED or the id of a run."""
    return st.session_state.get(MODEL_KEY, SHIPPED)


def has_model(run: "Run") -> bool:
    """Whether a run has come as far as its first checkpoint."""
    return (run.folder / "latest" / "model.safetensors").exists()


def models() -> dict[str, str]:
    """Every model a page can work on, by name, with the label the sidebar shows."""
    own = {run.id: label(run) for run in runs() if has_model(run)}
    return {SHIPPED: "shipped with Glassbox", **own}


def label(run: "Run") -> str:
    """A run in a few words: what it read, how large it is, when it began."""
    began = datetime.fromtimestamp((run.folder / "tokenizer.json").stat().st_mtime)
    model = run.config().get("model", {})
    shape = f"{model['d_model']}×{model['n_layers']}" if model else ""
    return f"{run.config().get('corpus_name', 'a text')} {shape}, {began:%d %b %H:%M}, {run.id[:4]}"


def choose_model() -> None:
    """The control in the sidebar: which model the pages work on.

    A bound widget would write the label it shows into the URL; the id of the run is what is wanted there.
    """
    choices = models()
    links.check(MODEL, links.Choice(list(choices)))
    asked = links.kept(MODEL) or SHIPPED
    # Set anew in each run, so that back and forward in the browser count; a run may also have been deleted.
    st.session_state[MODEL_KEY] = asked if asked in choices else SHIPPED
    st.selectbox(
        "Model in use",
        list(choices),
        format_func=lambda name: choices[name],
        key=MODEL_KEY,
        on_change=_choice_made,
        help="The model behind every page: ours, or one you have trained here.",
    )


def _choice_made() -> None:
    use_model(st.session_state[MODEL_KEY])


def model_in_use() -> InUse:
    """The model the visitor has chosen, loaded once and shared."""
    choices = models()
    name = model_name()
    path = shipped_path() if name == SHIPPED else run_named(name).folder
    model, tokenizer = load(path, _changed(path))
    return InUse(name, choices[name], path, model, tokenizer)


def shipped() -> InUse:
    """The model that comes with Glassbox, whichever the visitor has chosen."""
    path = shipped_path()
    return InUse(SHIPPED, models()[SHIPPED], path, *load(path, _changed(path)))


def shipped_path() -> Path:
    """The folder of the model that comes with Glassbox."""
    from gptcore import checkpoint

    return Path(checkpoint.SHIPPED)


def _changed(path: Path) -> int:
    # A checkpoint is written beside and renamed, so its folder's own time tells a new one from an old one.
    latest = path / "latest"
    return (latest if latest.exists() else path).stat().st_mtime_ns


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def load(path: Path, changed: int) -> "tuple[GPT, Tokenizer]":
    """Model and tokenizer of a folder; `changed` makes a newer checkpoint a new entry."""
    from gptcore import checkpoint

    model, tokenizer = checkpoint.load(path)
    return model.eval(), tokenizer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model as it was at one moment of its training."""

    step: int
    seconds: float
    path: Path


def changed(path: Path) -> int:
    """A number that is another one once a folder holds a newer model: part of a cache's key."""
    return _changed(path)


@st.cache_data(max_entries=8, show_spinner=False)
def snapshots(path: Path, changed: int) -> list[Snapshot]:
    """The models a run has kept on its way, the first one first; empty for a model without a history."""
    from gptcore.runs import Run

    events, _ = Run(path).events()
    seconds = {event["step"]: event["seconds"] for event in events}
    kept = sorted(folder for folder in (path / "history").glob("*") if folder.name.isdigit())
    return [
        Snapshot(int(folder.name), seconds[int(folder.name)], folder)
        for folder in kept
        if int(folder.name) in seconds
    ]


@st.cache_data(max_entries=8, show_spinner=False)
def history_of(path: Path, changed: int) -> History:
    """The events of the run that made a model; empty where they are not kept."""
    from gptcore.runs import Run

    return History.of(Run(path).events()[0], name=path.name)


@st.cache_resource(max_entries=12, show_spinner=False)
def load_snapshot(path: Path) -> "tuple[GPT, Tokenizer]":
    """Model and tokenizer of a snapshot, which never changes."""
    from gptcore import checkpoint

    return checkpoint.load(path)


@st.cache_resource(max_entries=4, show_spinner=False)
def untrained(config: "ModelConfig") -> "GPT":
    """A model of this shape with the weights it is born with."""
    from gptcore.model import GPT

    return GPT(config).eval()


@st.cache_data(max_entries=64, show_spinner=False)
def continuation(
    path: Path,
    changed: int,
    prompt: str,
    n_new: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    n_alternatives: int = 5,
) -> list[tuple[str, list[tuple[str, float]]]]:
    """What a model writes after a prompt: each token's text, and the likeliest ones with their probabilities."""
    from gptcore.generation import generate

    model, tokenizer = load_snapshot(path) if path.parent.name == "history" else load(path, changed)
    ids = tokenizer.encode(prompt) or [tokenizer.eot_id]
    steps = generate(
        model,
        ids,
        n_new,
        temperature=temperature,
        seed=seed,
        stop_ids=(tokenizer.eot_id,),
        n_alternatives=n_alternatives,
    )
    return [
        (tokenizer.token_text(step.token_id), [(tokenizer.token_text(i), p) for i, p in step.alternatives])
        for step in steps
    ]


@st.cache_data(max_entries=64, show_spinner=False)
def chances(path: Path, changed: int, prompt: str, words: tuple[str, ...]) -> list[float]:
    """The probability a model gives each of these tokens to come next; 0 for what is no token."""
    from gptcore.generation import generate

    model, tokenizer = load_snapshot(path) if path.parent.name == "history" else load(path, changed)
    ids = tokenizer.encode(prompt) or [tokenizer.eot_id]
    step = next(generate(model, ids, 1, temperature=0.0, n_alternatives=model.config.vocab_size))
    probability = dict(step.alternatives)
    return [probability[ids[0]] if len(ids := tokenizer.encode(word)) == 1 else 0.0 for word in words]


def read_stories(path: Path) -> bool:
    """Whether the model in this folder has learned from the built-in stories."""
    from gptcore.runs import Run

    return Run(path).config().get("corpus", "stories") == "stories"


def zipped(folder: Path) -> bytes:
    """A model's three files as a zip: what `gptcore.load` and `python -m gptcore sample` take, unpacked."""
    from gptcore.checkpoint import model_folder

    source = model_folder(folder)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            archive.write(source / name, f"model/{name}")
    return buffer.getvalue()


@st.cache_resource(max_entries=1, show_spinner=False)
def story_tokenizer() -> "Tokenizer":
    """The tokenizer of the story world."""
    from gptcore import tokenizer

    return tokenizer.story_tokenizer()


def table_scores() -> dict[int, Mapping[str, Any]] | None:
    """The four story scores that 3-, 5- and 7-gram tables reach; None until they are measured."""
    measuring, answer = _measure_tables()
    if measuring.poll() is None:
        return None
    answer.seek(0)
    return {int(order): scores for order, scores in json.loads(answer.read() or "{}").items()}


_MEASURE_TABLES = """
import dataclasses, json, os
from gptcore.ladder import table_scores
os.nice(5)
print(json.dumps({order: dataclasses.asdict(scores) for order, scores in table_scores().items()}))
"""


@st.cache_resource(max_entries=1, show_spinner=False)
def _measure_tables() -> tuple[subprocess.Popen, IO[str]]:
    # In a process of its own: in this one it would take seconds from everybody who moves a slider. It answers
    # into a file rather than to a thread that waits, so that a server which ends need not wait either.
    answer = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - open for as long as the process
    process = subprocess.Popen(
        [sys.executable, "-c", _MEASURE_TABLES],
        stdin=subprocess.DEVNULL,
        stdout=answer,
        cwd=Path(__file__).resolve().parents[2],
    )
    return process, answer
