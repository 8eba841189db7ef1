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
import threading
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import streamlit as st

from pages.kit import links, visitor
from pages.kit.history import History

if TYPE_CHECKING:
    from torch import Tensor

    from gptcore.config import ModelConfig
    from gptcore.experiments.machine import Machine
    from gptcore.experiments.measurements.attention import CausalFlag, Softness
    from gptcore.experiments.measurements.inference import Guessed, NextToken
    from gptcore.experiments.measurements.model import Birth
    from gptcore.generation.beam import Beams
    from gptcore.generation.speculative import TokenCounts
    from gptcore.interpret.ablation import WhatIf
    from gptcore.interpret.gradient_depth import Profile as DepthProfile
    from gptcore.interpret.logit_lens import Reading
    from gptcore.interpret.stage_values import Portrait
    from gptcore.model import GPT
    from gptcore.runs.limits import Limits
    from gptcore.runs.run import Run
    from gptcore.stories.scores import WordTable
    from gptcore.tokenizer import Tokenizer
    from gptcore.training.gradient_noise import Agreement
    from pages.kit.trace_map import Drawn, TraceMap

SHIPPED = "shipped"
MODEL = "model"  # as in ?model=…: the id of a run; the shipped model needs no mention
UNDER_WAY = ("waiting", "starting", "running")
MOST_STEPS = 3000  # of a run's log that are read to be drawn; every other event is read
LARGE = 30_000_000  # weights; a larger model gains more by all cores than it loses by waiting for them
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
    """The visitor's training runs, the newest first; at home, all there are."""
    from gptcore.runs.run import list_runs

    return list_runs(None if visitor.is_local() else visitor.me())


def run_named(name: str | None) -> "Run | None":
    """The run of this id, or None; an id from a URL never leads outside the runs folder."""
    from gptcore.runs.run import Run, RunError

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
    """Whether a run is under way: a process works on it, or it waits for its turn."""
    return run.state() in UNDER_WAY


def view_run(run_id: str | None) -> None:
    """Make a run the one on view, on this page and on those the visitor turns to next."""
    links.keep("run", run_id)


def start_run(arguments: Sequence[str], *, lab: bool = False, view: bool = True) -> "Run":
    """Ask for `python -m gptcore train` with these arguments and put the run on view, or leave what is there.

    It begins at once or waits for its turn; what has been asked for before is the same run. A lab's run is
    removed after an hour. Raises LimitError, ConfigError or RunError.
    """
    from gptcore.runs import queue

    run = queue.ask(arguments, owner=visitor.me(), lab=lab)
    tend()
    if view:
        view_run(run.id)
    return run


@st.cache_data(max_entries=64, show_spinner=False)
def _keys(requests: tuple[tuple[str, ...], ...]) -> list[str]:
    from gptcore.runs import queue

    return [queue.wanted(arguments).key for arguments in requests]


def runs_asked(requests: tuple[tuple[str, ...], ...]) -> "list[Run | None]":
    """The run that each of these requests has led to, whoever asked; None where nobody has."""
    from gptcore.runs import queue

    return queue.found(_keys(requests))


@st.cache_data(max_entries=1, show_spinner=False)
def training_rate() -> float:
    """Operations a second that training the smallest preset reaches here, taken once a server."""
    from gptcore.config import PRESETS
    from gptcore.experiments.budget import training_rate as measure

    return measure(PRESETS["nano"].model, 128)


def resume_run(run: "Run") -> None:
    """Ask for a run to go on from its last checkpoint; raises RunError or LimitError."""
    from gptcore.runs import queue

    queue.ask_to_resume(run, owner=visitor.me())
    tend()


def stop_run(run: "Run") -> None:
    """Stop a run; where others asked for it too it goes on for them, and leaves this visitor's list."""
    from gptcore.runs.run import leave

    if not leave(run, visitor.me()):
        run.stop()


def delete_run(run: "Run") -> None:
    """Remove a run; where others asked for it too, it only leaves this visitor's list."""
    from gptcore.runs.run import delete, leave

    if not leave(run, visitor.me()):
        delete(run)
        if model_name() == run.id:
            use_model(SHIPPED)


def limits() -> "Limits":
    """How much may be asked for on this machine."""
    from gptcore.runs.limits import Limits

    return Limits.from_environment()


def withdraw_run(run: "Run") -> None:
    """Take a run out of the queue, for this visitor."""
    from gptcore.runs import queue

    queue.withdraw(run, visitor.me())


def place_in_queue(run: "Run") -> int | None:
    """How many runs begin before this one, and itself; None where it does not wait."""
    from gptcore.runs import queue

    return queue.place(run)


def tend() -> None:
    """Have the process that runs are forked from look at the queue now, and see that it is there."""
    from gptcore.runs import workers
    from gptcore.runs.run import runs_folder

    workers.shared().tend(runs_folder())


@st.cache_resource(max_entries=1, show_spinner=False)
def warm() -> None:
    """Start the process that runs are forked from, once a server: the first click should find it ready."""
    from gptcore.runs import workers

    tend()
    workers.shared().warm()


def keep_text(text: bytes) -> Path:
    """Write a visitor's text where a training process can read it; the same text is one file."""
    from gptcore.runs.run import RunError, runs_folder

    path = runs_folder() / "texts" / f"{hashlib.sha256(text).hexdigest()[:16]}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; make room and start again") from error
    return path


def history(run: "Run") -> History:
    """The events of a run so far; each call reads only what has been added since the last."""
    log = run.log_identity()  # another one once a run has gone on from a checkpoint: its log was cut there
    tail = st.session_state.get("tail")
    if tail is None or tail[0] != (run.id, log):
        tail = ((run.id, log), 0, History(name=run.id))
    _, place, seen = tail
    fresh, place = run.events(place, most_steps=MOST_STEPS)
    seen.add(fresh)
    st.session_state["tail"] = ((run.id, log), place, seen)
    return seen


@st.cache_data(max_entries=64, show_spinner=False)
def history_at(path: Path, log: tuple[int, int]) -> History:
    """The events of a run whose log stands at `log` (its identity and size): shared, and not to be added to."""
    from gptcore.runs.run import Run

    return History.of(Run(path).events(most_steps=MOST_STEPS)[0], name=path.name)


@st.cache_data(max_entries=1, show_spinner=False)
def shipped_history() -> History:
    """The events of the run that made the shipped model; empty where they are not kept."""
    from gptcore.runs.run import Run

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
    """Whether a run has come as far as its first checkpoint, and has no part of a plugin: pages run none."""
    return not run.config().get("plugin") and (run.folder / "latest" / "model.safetensors").exists()


def models() -> dict[str, str]:
    """Every model a page can work on, by name, with the label the sidebar shows."""
    own = {run.id: label(run) for run in [*runs(), *linked()] if has_model(run)}
    return {SHIPPED: "shipped with Glassbox", **own}


def linked() -> "list[Run]":
    """The run a link has brought: whoever has the link may read it and use its model."""
    run = run_named(links.kept("run"))
    return [] if run is None else [run]


def label(run: "Run") -> str:
    """A run in a few words: its name, or what it read, how large it is, when it began."""
    if name := run.name():
        return f"{name}, {run.id[:4]}"
    began = datetime.fromtimestamp(run.born())
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
    import torch

    from gptcore import formats
    from gptcore.account import n_parameters
    from gptcore.resources import available_cores

    model, tokenizer = formats.load(path)
    if n_parameters(model.config) > LARGE:
        torch.set_num_threads(available_cores())  # for the whole process, as torch has it
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
    from gptcore.runs.run import Run

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
    from gptcore.runs.run import Run

    return History.of(Run(path).events(most_steps=MOST_STEPS)[0], name=path.name)


@st.cache_resource(max_entries=12, show_spinner=False)
def load_snapshot(path: Path) -> "tuple[GPT, Tokenizer]":
    """Model and tokenizer of a snapshot, which never changes."""
    from gptcore import formats

    return formats.load(path)


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
    from gptcore.generation.sampling import generate

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
    from gptcore.generation.sampling import generate

    model, tokenizer = load_snapshot(path) if path.parent.name == "history" else load(path, changed)
    ids = tokenizer.encode(prompt) or [tokenizer.eot_id]
    step = next(generate(model, ids, 1, temperature=0.0, n_alternatives=model.config.vocab_size))
    probability = dict(step.alternatives)
    return [probability[ids[0]] if len(ids := tokenizer.encode(word)) == 1 else 0.0 for word in words]


def read_stories(path: Path) -> bool:
    """Whether the model in this folder has learned from the built-in stories."""
    from gptcore.runs.run import Run

    return Run(path).config().get("corpus", "stories") == "stories"


def zipped(folder: Path) -> bytes:
    """A model's three files as a zip: what `gptcore.load` and `python -m gptcore sample` take, unpacked."""
    from gptcore.checkpoint import model_folder

    source = model_folder(folder)
    return _zip(source / name for name in ("config.json", "model.safetensors", "tokenizer.json"))


def as_llama(folder: Path) -> bytes:
    """A model as a zip of a Hugging Face folder; raises ValueError for one that has no place there."""
    from gptcore.formats.hf_folder import export

    with tempfile.TemporaryDirectory() as place:
        return _zip(sorted(export(*load(folder, _changed(folder)), Path(place) / "model").iterdir()))


def _zip(files: Iterable[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"model/{file.name}")
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
from gptcore.stories.scores import table_scores
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


class BlockFailed(RuntimeError):
    """What went wrong in an explainer's block, in one sentence. Raised, so that a failure is not kept."""


@st.cache_data(max_entries=512, show_spinner="Running the block …")
def block_answer(
    topic: str, number: int, values: tuple[tuple[str, float], ...], code: str
) -> tuple[str, str | None]:
    """What a block of an explainer prints with these values, and the figure it ends in as JSON, or None.

    `code` is the text of the block, so that an edited one is run anew. Raises BlockFailed.
    """
    from explainers.execution import ask

    answer = ask(topic, number, dict(values))
    if answer.error:
        raise BlockFailed(answer.error)
    return answer.output, answer.figure


@dataclass(frozen=True, slots=True)
class Traced:
    """One text through one model: its tokens, and every tensor of the pass by name."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    seen: "Mapping[str, Tensor]"


@st.cache_resource(max_entries=16, show_spinner=False)
def traced(path: Path, changed: int, text: str) -> Traced:
    """The trace of a text, shared and read-only; raises ValueError for more tokens than the context holds."""
    from gptcore.tracing import trace

    model, tokenizer = load(path, changed)
    ids = tokenizer.encode(text) or [tokenizer.eot_id]
    return Traced(tuple(ids), tuple(map(tokenizer.token_text, ids)), trace(model, ids))


@dataclass(frozen=True, slots=True)
class Journey:
    """A pass ready to be walked through: its picture, its trace, and what it says after the last token."""

    ids: tuple[int, ...]
    seen: "Mapping[str, Tensor]"
    trace_map: "TraceMap"
    n_values: int
    n_moved: int  # cells of the map that a change has moved
    n_kept: int  # cells of the map that came from the cache
    says: tuple[str, float]  # the likeliest word after the last token, and its chance
    said: tuple[str, float]  # the same without the change
    differ: float  # between the logits of the cached step and those of the whole pass


@st.cache_resource(max_entries=4, show_spinner=False)
def journey(
    path: Path, changed: int, text: str, what: "WhatIf | None", swap: tuple[int, int] | None, view: str
) -> Journey:
    """One pass of a text, drawn: as it is, or with a part silent or a token (place, id) swapped.

    `view` is `pass`, `moved` (pictures show how far each number has moved) or `cache` (the likeliest next token with
    keys and values kept). Raises ValueError for more tokens than the context holds.
    """
    from gptcore.interpret.stage_values import links as looks
    from gptcore.interpret.stage_values import portraits
    from gptcore.tracing import trace
    from pages.kit import trace_map

    model, tokenizer = load(path, changed)
    plain = traced(path, changed, text)
    ids, seen, fresh, differ = list(plain.ids), dict(plain.seen), len(plain.ids), 0.0
    if view == "cache":
        ids, seen, differ = _one_more(model, ids, int(plain.seen["logits"][0, -1].argmax()))
        fresh = 1
    elif what is not None or swap is not None:
        if swap is not None:
            ids[swap[0]] = swap[1]
        seen = trace(model, ids, changes=what.changes(model.config) if what else None)
    drawn = portraits(model, seen, dict(plain.seen) if view == "moved" else None)
    most = max(one.n_rows for one in drawn)
    cells = [any(row) for one in drawn for row in one.strip.tolist()]
    picture = trace_map.TraceMap(
        tokens=tuple(tokenizer.token_text(token) for token in ids[-most:]),
        stages=tuple(_drawn_stage(one, tokenizer) for one in drawn),
        links=looks(seen, most),
        fresh=min(fresh, most),
        before=len(ids) - most,
        was=_likeliest(plain.seen, tokenizer, most) if view != "cache" else (),
    )
    return Journey(
        tuple(ids),
        seen,
        picture,
        sum(tensor.numel() for tensor in seen.values()),
        sum(cells),
        sum(one.n_rows - picture.fresh for one in drawn if one.n_rows > picture.fresh),
        _last(seen, tokenizer),
        _last(plain.seen, tokenizer),
        differ,
    )


def _one_more(model: "GPT", ids: list[int], new: int) -> "tuple[list[int], dict[str, Tensor], float]":
    """One token more with a cache: all ids, the trace of that step with the keys and values kept, the difference."""
    import torch

    from gptcore.cache import KVCache
    from gptcore.tracing import trace

    if not model.config.causal:
        raise ValueError(
            "a model that looks ahead has no cache: each new token changes all that stands before it"
        )
    cache = KVCache(model.config, capacity=len(ids) + 1)
    before = trace(model, ids, cache)
    step = trace(model, [new], cache)
    kept = "k_rotated" if model.config.position == "rope" else "k"
    for name in step:
        if name.endswith((f"attention.{kept}", "attention.v")):
            step[name] = torch.cat((before[name], step[name]), 2)
    whole = trace(model, [*ids, new])["logits"][0, -1]
    return [*ids, new], step, float((step["logits"][0, -1] - whole).abs().max())


def _drawn_stage(one: "Portrait", tokenizer: "Tokenizer") -> "Drawn":
    from pages.kit.trace_map import Drawn

    stage = one.stage
    return Drawn(
        name=stage.name,
        kind=stage.kind,
        layer=stage.layer,
        is_stream=stage.is_stream,
        inputs=stage.inputs,
        shape=one.shape,
        rows=one.n_rows,
        columns=one.values.shape[1],
        groups=one.groups,
        bin=one.bin,
        scale=one.scale,
        values=one.values.numpy().tobytes(),
        strip=one.strip.tolist(),
        form=one.working.form,
        numbers=one.working.numbers,
        said=[[(tokenizer.token_text(i), z, p) for i, z, p in row] for row in one.said],
    )


def _likeliest(seen: "Mapping[str, Tensor]", tokenizer: "Tokenizer", most: int) -> tuple[str, ...]:
    return tuple(map(tokenizer.token_text, seen["logits"][0, -most:].argmax(-1).tolist()))


def _last(seen: "Mapping[str, Tensor]", tokenizer: "Tokenizer") -> tuple[str, float]:
    share, best = seen["probabilities"][0, -1].max(-1)
    return tokenizer.token_text(int(best)), float(share)


@st.cache_resource(max_entries=4, show_spinner=False)
def journey_drawn(
    path: Path,
    changed: int,
    text: str,
    what: "WhatIf | None",
    swap: tuple[int, int] | None,
    view: str,
    _known: Mapping[str, Any],
) -> Mapping[str, Any]:
    """What the browser gets of a pass: the map and every number on it; `_known` holds the words."""
    from pages.kit import trace_map

    picture = journey(path, changed, text, what, swap, view).trace_map
    drawn = trace_map.svg(picture, _known["titles"], _known["say"])
    name = hashlib.sha256(repr((path, changed, text, what, swap, view)).encode()).hexdigest()[:12]
    return {"id": name, "moved": view == "moved", **trace_map.widget_data(picture, drawn, _known, {})}


@st.cache_resource(max_entries=8, show_spinner=False)
def traced_at_birth(path: Path, changed: int, text: str) -> Traced:
    """The trace of a text through the model as it was born; raises ValueError for too many tokens."""
    from gptcore.tracing import trace

    tokenizer = load(path, changed)[1]
    ids = tokenizer.encode(text) or [tokenizer.eot_id]
    return Traced(tuple(ids), tuple(map(tokenizer.token_text, ids)), trace(_born(path, changed), ids))


def _born(path: Path, changed: int) -> "GPT":
    """A model with the weights it began with: its first snapshot, or others of the same kind."""
    kept = [one for one in snapshots(path, changed) if one.step == 0]
    return load_snapshot(kept[0].path)[0] if kept else untrained(load(path, changed)[0].config)


@st.cache_resource(max_entries=6, show_spinner=False)
def without_head(path: Path, changed: int, layer: int, head: int) -> "GPT":
    """A copy of the model with one head switched off; layers and heads count from 0."""
    from gptcore.interpret import heads

    return heads.without_head(load(path, changed)[0], layer, head)


@st.cache_resource(max_entries=2, show_spinner=False)
def without_mask(path: Path, changed: int) -> "GPT":
    """A model with the same weights in which every token sees every other."""
    from gptcore.interpret import heads

    return heads.without_mask(load(path, changed)[0])


@st.cache_data(max_entries=4, show_spinner=False)
def induction_scores(path: Path, changed: int) -> list[list[float]]:
    """How much each head looks at what followed the last time, layer by layer."""
    from gptcore.interpret import heads

    return heads.induction(load(path, changed)[0]).tolist()


@st.cache_data(max_entries=2, show_spinner="Drawing queries and keys")
def softness(widths: tuple[int, ...], n_seeds: int = 3) -> "dict[str, list[list[Softness]]]":
    """For each scale and each width, what a softmax over random scores looks like, seed by seed."""
    from gptcore.experiments.measurements.attention import SCALES
    from gptcore.experiments.measurements.attention import softness as measured

    return {
        scale: [[measured(width, scale, seed=seed) for seed in range(n_seeds)] for width in widths]
        for scale in SCALES
    }


@st.cache_data(max_entries=4, show_spinner="Reading a few stories")
def losses_with_and_without_mask(path: Path, changed: int) -> tuple[float, float]:
    """The loss of a model on stories it has not seen, as it is and with its mask taken away."""
    from gptcore.experiments.measurements.attention import loss_on_fresh_stories

    model, tokenizer = load(path, changed)
    return (
        loss_on_fresh_stories(model, tokenizer),
        loss_on_fresh_stories(without_mask(path, changed), tokenizer),
    )


@st.cache_data(max_entries=128, show_spinner=False)
def causal_flag(n_new: int, n_cached: int) -> "CausalFlag":
    """What the kernel's causal flag allows with a cache, beside what is right."""
    from gptcore.experiments.measurements.attention import causal_flag as compared

    return compared(n_new, n_cached)


@st.cache_data(max_entries=8, show_spinner=False)
def paths_differ(path: Path, n_tokens: int) -> tuple[int, float]:
    """How far the explicit and the fused path of a model lie apart, on so many random tokens."""
    from gptcore.experiments.measurements.attention import paths_differ as compared

    return compared(load(path, _changed(path))[0], n_tokens)


@st.cache_data(max_entries=256, show_spinner="Building the stack")
def stack_profile(n_layers: int, norm_position: str, residual: bool, norm_eps: float) -> "DepthProfile":
    """Gradient and size of the stream along a stack of blocks with the weights it is born with."""
    from gptcore.interpret.gradient_depth import at_birth, stack

    return at_birth(stack(n_layers, norm_position=norm_position, residual=residual, norm_eps=norm_eps))


@st.cache_data(max_entries=8, show_spinner="Reading a few stories")
def depth_profiles(path: Path, changed: int) -> "tuple[DepthProfile, DepthProfile]":
    """Gradient and size of the stream along a model, with the weights it was born with and as it is now."""
    from gptcore.interpret.gradient_depth import profile

    model, tokenizer = load(path, changed)
    batch = _stories(tokenizer, min(64, model.config.context_length))
    return profile(_born(path, changed), *batch), profile(model, *batch)


@st.cache_data(max_entries=4, show_spinner="Leaving one block out at a time")
def losses_without_each_block(path: Path, changed: int) -> tuple[float, list[float]]:
    """The loss of a model on stories it has not seen, and that with each block in turn saying nothing."""
    import torch

    from gptcore.interpret.gradient_depth import without_block

    model, tokenizer = load(path, changed)
    batch = _stories(tokenizer, min(128, model.config.context_length))
    with torch.inference_mode():
        whole = float(model.loss(*batch))
    return whole, [without_block(model, layer, *batch) for layer in range(model.config.n_layers)]


def _stories(tokenizer: "Tokenizer", length: int, n: int = 2, n_stories: int = 12) -> "tuple[Tensor, Tensor]":
    """`n` windows of stories that no training run has read: inputs and targets."""
    from gptcore.corpora.encoding import encode_documents
    from gptcore.corpora.windows import fixed_batches
    from gptcore.stories.writer import write_stories

    texts = [story.text for story in write_stories(n_stories, seed=900_000)]
    return fixed_batches(encode_documents(texts, tokenizer), length, n, 1)[0]


class Fetched:
    """GPT-2's vocabulary, fetched by a thread of its own: `tokenizer` once it is there, `problem` where it can't be."""

    def __init__(self) -> None:
        self.tokenizer: Tokenizer | None = None
        self.problem: str | None = None
        self.thread = threading.Thread(target=self._fetch, daemon=True, name="gpt2-vocabulary")
        self.thread.start()

    def _fetch(self) -> None:
        from gptcore.tokenizer import TokenizerError, load_tiktoken

        try:
            self.tokenizer = load_tiktoken("gpt2")
        except TokenizerError as error:
            self.problem = str(error)


@st.cache_resource(max_entries=1, show_spinner=False, ttl=900)
def gpt2() -> Fetched:
    """GPT-2's vocabulary; asked for again after a quarter of an hour, in case the network has come back."""
    return Fetched()


@st.cache_resource(max_entries=16, show_spinner=False)
def merged(text: str, n_merges: int, *, min_frequency: int = 2) -> "Tokenizer":
    """A tokenizer trained on a text, with at most so many merges; fewer where the text has no more."""
    from gptcore.tokenizer import Tokenizer

    return Tokenizer.train(text, 256 + n_merges, special_tokens=(), min_frequency=min_frequency, shrink=True)


@st.cache_data(max_entries=16, show_spinner=False)
def tokens_after(text: str, n_merges: int, stops: tuple[int, ...]) -> list[int]:
    """How many tokens a text takes after some of the merges learned from it."""
    tokenizer = merged(text, n_merges)
    return [len(tokenizer.first(stop).encode_slowly(text)) for stop in stops]


@st.cache_data(max_entries=4, show_spinner=False)
def fresh_stories(n: int) -> tuple[str, ...]:
    """Stories that no model has read: drawn after those of the corpus."""
    from gptcore.corpora.sources import N_STORIES
    from gptcore.stories.writer import write_stories

    return tuple(story.text for story in write_stories(n, seed=N_STORIES))


@st.cache_data(max_entries=4, show_spinner=False)
def story_costs(sizes: tuple[int, ...], n_stories: int = 40) -> tuple[int, list[int]]:
    """The bytes of some unread stories, and their tokens under the story tokenizer cut down to each size."""
    full = story_tokenizer()
    text = "\n".join(fresh_stories(n_stories))
    counts = [len(full.first(size - 257).encode_slowly(text)) for size in sizes]
    return len(text.encode()), counts


@st.cache_data(max_entries=4, show_spinner="Comparing rows")
def on_one_spot(path: Path, changed: int) -> list[int]:
    """The tokens whose rows in a model's table have fallen onto one spot."""
    from gptcore.interpret import embedding_table

    return embedding_table.on_one_spot(load(path, changed)[0].embedding.weight.detach())


@st.cache_data(max_entries=4, show_spinner="Reading stories")
def seen_in_stories(path: Path, changed: int, n_stories: int = 500) -> frozenset[int]:
    """The tokens that occur in some stories of the built-in world, under this model's tokenizer."""
    from gptcore.stories.writer import write_stories

    tokenizer = load(path, changed)[1]
    return frozenset(i for story in write_stories(n_stories) for i in tokenizer.encode(story.text))


@st.cache_resource(max_entries=4, show_spinner=False)
def newborn(path: Path, changed: int) -> "GPT | None":
    """A model as it was before its first step: kept by its run, or drawn again from its seed; None if unknown."""
    from gptcore.model import GPT
    from gptcore.runs.run import Run

    kept = snapshots(path, changed)
    if kept and kept[0].step == 0:
        return load_snapshot(kept[0].path)[0]
    seed = Run(path).config().get("train", {}).get("seed")
    return None if seed is None else GPT(load(path, changed)[0].config, seed=seed).eval()


@st.cache_resource(max_entries=2, show_spinner="Turning every matrix")
def turned(path: Path, changed: int, seed: int) -> "GPT":
    """The model with its stream turned by a random rotation; raises ValueError where that cannot be."""
    from gptcore.interpret import embedding_table

    return embedding_table.turned(load(path, changed)[0], seed)


@st.cache_data(max_entries=4, show_spinner=False)
def analogy_scores(path: Path, changed: int, pairs: tuple[tuple[int, int], ...]) -> tuple[int, int, int, int]:
    """Of all analogies between two pairs of tokens: how many come first, with the inputs left out, with them
    allowed, and without any arithmetic; and how many there are."""
    from gptcore.interpret import embedding_table

    table = load(path, changed)[0].embedding.weight.detach()
    found = [
        embedding_table.analogy(table, a, b, c, wanted, most=1)
        for a, wanted in pairs
        for b, c in pairs
        if (a, wanted) != (b, c)
    ]
    fair = sum(one.rank_without_inputs == 1 for one in found)
    plain = sum(one.rank_without_arithmetic == 1 for one in found)
    return fair, sum(one.rank == 1 for one in found), plain, len(found)


@st.cache_data(max_entries=64, show_spinner="Reading past the context")
def loss_by_position(path: Path, changed: int, cure: str, factor: float) -> list[float]:
    """The loss of a model by position, past its trained context, with its clocks treated or left alone."""
    from gptcore.experiments.measurements import positions

    model, tokenizer = load(path, changed)
    scaling = positions.scalings(factor, model.config.context_length)[cure]
    return positions.loss_by_position(model, tokenizer, scaling)


@st.cache_data(max_entries=32, show_spinner=False)
def order_known(schemes: tuple[str, ...], n_layers: int, causal: bool) -> list[float]:
    """How far the last output of an untrained model moves when what came before is shuffled, scheme by scheme."""
    from gptcore.experiments.measurements import positions

    return [positions.order_known(scheme, n_layers, causal=causal) for scheme in schemes]


@st.cache_data(max_entries=1, show_spinner=False)
def machine() -> "Machine":
    """What this machine is, as training sees it."""
    from gptcore.experiments.machine import describe

    return describe()


@st.cache_data(max_entries=64, show_spinner=False)
def score_left(width: int, base: float, distances: tuple[int, ...]) -> list[float]:
    """What a base leaves of the score of two equal vectors at some distances."""
    from gptcore.experiments.measurements import positions

    return positions.score_left(width, base, distances)


@st.cache_resource(max_entries=1, show_spinner="Counting the words of some stories")
def _counted_words() -> "WordTable":
    from gptcore.stories.scores import WordTable
    from gptcore.stories.writer import write_stories

    return WordTable([story.text for story in write_stories(1000)])


@st.cache_data(max_entries=256, show_spinner=False)
def after_a_word(word: str) -> dict[str, float]:
    """Which words follow this one in a thousand stories, with their shares."""
    from gptcore.experiments.measurements.overview import after

    return after(_counted_words(), (word,))


@st.cache_data(max_entries=8, show_spinner=False)
def next_token_times(path: Path, changed: int) -> "NextToken":
    """Milliseconds for one more token after texts of four lengths, with a cache and without."""
    from gptcore.experiments.measurements.inference import next_token

    model = load(path, changed)[0]
    context = model.config.context_length
    lengths = sorted({max(2, context * part // 16) for part in (1, 4, 8, 16)})
    return next_token(model, lengths, repeats=6)


@st.cache_data(max_entries=64, show_spinner=False)
def greedy_from(path: Path, changed: int, prompt: str, n_new: int, shift: int) -> list[int]:
    """The likeliest tokens one by one with a cache, each new one told a place `shift` beside its own."""
    from gptcore.experiments.measurements import inference

    model, tokenizer = load(path, changed)
    ids = (tokenizer.encode(prompt) or [tokenizer.eot_id])[: model.config.context_length]
    return inference.greedy_from(model, ids, n_new, shift=shift)


@st.cache_data(max_entries=8, show_spinner=False)
def sentence_ends(path: Path, changed: int) -> frozenset[int]:
    """The tokens with which a sentence or a text ends: those whose bytes end in a full stop or its like."""
    tokenizer = load(path, changed)[1]
    ends = (
        token_id
        for token_id in range(tokenizer.vocab_size)
        if tokenizer.token_bytes(token_id).rstrip(b'"\n ').endswith((b".", b"?", b"!"))
    )
    return frozenset([tokenizer.eot_id, *ends])


@st.cache_data(max_entries=64, show_spinner=False)
def beams(path: Path, changed: int, prompt: str, n_new: int, n_beams: int, length_penalty: float) -> "Beams":
    """A beam search for the rest of a sentence. Raises ValueError for a prompt that cannot be continued."""
    from gptcore.generation.beam import beam_search

    model, tokenizer = load(path, changed)
    return beam_search(
        model,
        tokenizer.encode(prompt) or [tokenizer.eot_id],
        n_new,
        n_beams=n_beams,
        length_penalty=length_penalty,
        stop_ids=sentence_ends(path, changed),
    )


DRAFTS = ("a table of counts", "half of its layers", "itself when younger")
COUNTED_STORIES, COUNTED_ORDER = 300, 4


def drafts(path: Path, changed: int) -> list[str]:
    """Who can guess for a model: the last of them only where the model has kept an earlier state."""
    return [*DRAFTS[:2], *DRAFTS[2:][: len(snapshots(path, changed))]]


@st.cache_resource(max_entries=8, show_spinner=False)
def _draft(path: Path, changed: int, name: str) -> "GPT | TokenCounts":
    from gptcore.corpora.encoding import encode_documents
    from gptcore.generation.speculative import TokenCounts, first_layers
    from gptcore.stories.writer import write_stories

    model, tokenizer = load(path, changed)
    if name == DRAFTS[1]:
        return first_layers(model, max(1, model.config.n_layers // 2))
    if name == DRAFTS[2]:
        return load_snapshot(snapshots(path, changed)[-1].path)[0]
    texts = [story.text for story in write_stories(COUNTED_STORIES)]
    return TokenCounts(encode_documents(texts, tokenizer), model.config.vocab_size, COUNTED_ORDER)


@st.cache_data(max_entries=64, show_spinner=False)
def guessed_ahead(
    path: Path, changed: int, prompt: str, draft: str, n_ahead: int, temperature: float, seed: int, n_new: int
) -> "Guessed":
    """A text written by guessing ahead with this draft, and one written one by one, both timed once."""
    from gptcore.experiments.measurements.inference import guessing

    model, tokenizer = load(path, changed)
    ids = tokenizer.encode(prompt) or [tokenizer.eot_id]
    helper = _draft(path, changed, draft)
    return guessing(model, helper, ids, n_new, n_ahead=n_ahead, seed=seed, temperature=temperature)


@st.cache_data(max_entries=16, show_spinner=False)
def layer_readings(path: Path, changed: int, text: str) -> "list[Reading]":
    """What each layer of a model would say at every token of a text."""
    from gptcore.interpret import logit_lens

    return logit_lens.readings(load(path, changed)[0], dict(traced(path, changed, text).seen))


@st.cache_data(max_entries=16, show_spinner=False)
def births(spreads: tuple[float, ...], tied: bool, seed: int) -> "list[Birth]":
    """Where untrained models start whose tables are drawn with these spreads."""
    from gptcore.experiments.measurements.model import birth

    return [birth(spread, tied=tied, seed=seed) for spread in spreads]


@st.cache_data(max_entries=1, show_spinner="Reading with another's code")
def own_class_differences() -> tuple[int, list[tuple[str, float]]]:
    """The lines of the capstone's class, and how far each of its tensors is from ours, with the shipped weights."""
    import inspect

    import torch

    from gptcore.lessons.exercises import _own_gpt, gpt

    model, tokenizer = load(shipped_path(), _changed(shipped_path()))
    ids = torch.tensor([tokenizer.encode(gpt.TEXTS[0])])
    return len(inspect.getsource(_own_gpt).splitlines()), gpt.differences(gpt.EXERCISE.solution, model, ids)


@st.cache_data(max_entries=16, show_spinner="Reading a few stories")
def loss_misread(name: str) -> float:
    """The loss of the shipped weights under a config they fit into and were not trained for."""
    import torch

    from gptcore.experiments.measurements.script import MISREADINGS, misread

    model, tokenizer = load(shipped_path(), _changed(shipped_path()))
    ids, targets = _stories(tokenizer, 128)
    with torch.inference_mode():
        return float(misread(model, MISREADINGS[name]).loss(ids, targets))


@st.cache_data(max_entries=64, show_spinner=False)
def written_twice(prompt: str, seed: int, n_tokens: int) -> tuple[list[str], list[str], int | None]:
    """What the shipped model writes with its weights as they are and rounded to bf16, and where the two part."""
    from gptcore.experiments.measurements.script import parts_at, written

    model, tokenizer = load(shipped_path(), _changed(shipped_path()))
    ids = [written(one, tokenizer, prompt, seed=seed, n_tokens=n_tokens) for one in (model, _rounded())]
    texts = [[tokenizer.token_text(token) for token in one] for one in ids]
    return texts[0], texts[1], parts_at(*ids)


@st.cache_resource(max_entries=1, show_spinner=False)
def _rounded() -> "GPT":
    from gptcore.experiments.measurements.script import rounded

    return rounded(load(shipped_path(), _changed(shipped_path()))[0])


_TUNE = """
import json, os
import torch
from gptcore.training.finetune import before_and_after
os.nice(5)
torch.set_num_threads(1)
print(json.dumps(before_and_after({steps})))
"""


@st.cache_resource(max_entries=2, show_spinner=False)
def _tuning(steps: int) -> tuple[subprocess.Popen, IO[str]]:
    # One for all visitors, in a process of its own, as the tables are.
    answer = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - open for as long as the process
    process = subprocess.Popen(
        [sys.executable, "-c", _TUNE.format(steps=steps)],
        stdin=subprocess.DEVNULL,
        stdout=answer,
        cwd=Path(__file__).resolve().parents[2],
    )
    return process, answer


def tuned(steps: int) -> Mapping[str, Any] | None:
    """What a little tuning on answers changes; None while it is under way. The first call starts it."""
    process, answer = _tuning(steps)
    if process.poll() is None:
        return None
    answer.seek(0)
    return json.loads(answer.read() or "{}")


_SWEEP = """
import dataclasses, json, os
import torch
from gptcore.training.rate_finder import on_stories
os.nice(5)
torch.set_num_threads(1)
for tried in on_stories({optimizer!r}):
    print(json.dumps(dataclasses.asdict(tried)), flush=True)
"""


@st.cache_resource(max_entries=4, show_spinner=False)
def _sweeping(optimizer: str) -> tuple[subprocess.Popen, list[Mapping[str, float]]]:
    # One for all visitors, in a process of its own; what it says is put into the list while it comes.
    process = subprocess.Popen(
        [sys.executable, "-c", _SWEEP.format(optimizer=optimizer)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    tried: list[Mapping[str, float]] = []

    def listen() -> None:
        for line in process.stdout:
            tried.append(json.loads(line))

    threading.Thread(target=listen, daemon=True).start()
    return process, tried


def swept(optimizer: str) -> tuple[list[Mapping[str, float]], bool]:
    """What a sweep of learning rates has tried so far, and whether it goes on. The first call starts it."""
    process, tried = _sweeping(optimizer)
    return list(tried), process.poll() is None


def stop_sweep(optimizer: str) -> None:
    """End a sweep; what it has tried stays. For callbacks."""
    _sweeping(optimizer)[0].terminate()


def sweep_again(optimizer: str) -> None:
    """Forget a sweep, so that the next look starts it anew. For callbacks."""
    _sweeping.clear(optimizer)


BATCH_SIZES = (1, 2, 4, 8, 16)
BATCH_DRAWS = 3
BATCH_LENGTH = 32  # tokens of a window: what is said of batches holds for long ones, and takes longer


@st.cache_data(max_entries=2, show_spinner="Taking gradients of a few batches")
def batch_agreements(path: Path, changed: int) -> "list[Agreement]":
    """How well the gradient of a few windows points where that of 64 others does, for batches of each size."""
    from gptcore.training.gradient_noise import agreements

    model, tokenizer = load(path, changed)
    windows = _stories(tokenizer, BATCH_LENGTH, BATCH_DRAWS * sum(BATCH_SIZES) + 64, 60)
    return list(agreements(model, *windows, BATCH_SIZES, BATCH_DRAWS))


@st.cache_data(max_entries=16, show_spinner=False)
def batch_in_parts(path: Path, changed: int, parts: int) -> tuple[float, float]:
    """What reading a batch of 16 windows in parts does to its gradient, and what forgetting to divide does."""
    from gptcore.training.gradient_noise import in_parts

    model, tokenizer = load(path, changed)
    return in_parts(model, *_stories(tokenizer, BATCH_LENGTH, 16), parts)
