"""Carry a request out: train, keep the run in its directory, and yield each event.

`train` and `resume` of the command line, the arena and the forked workers all go through here. Ctrl-C and SIGTERM end
a run with everything saved. Under torchrun each process calls the same function, and the first yields the events.
"""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptcore.config import ModelConfig
from gptcore.corpora.sources import BUILT_IN, load_corpus
from gptcore.resources import free_memory, memory_limit
from gptcore.runs.jobs import TRAINING, Report, job_kind
from gptcore.runs.kept_text import load_kept_text
from gptcore.runs.limits import Limits
from gptcore.runs.plan import Plan, make_plan
from gptcore.runs.queue import check_resume, configs_of
from gptcore.runs.recorder import FollowerRecorder, Recorder, read_state, with_total_steps
from gptcore.runs.records import MAX_NOTES
from gptcore.runs.request import RunRequest, setting_words
from gptcore.runs.run import Run, RunError
from gptcore.tokenizer import Tokenizer
from gptcore.training import loop, plugins
from gptcore.training.devices import pick_device, steady_heap
from gptcore.training.distributed import ProcessGroup, join_process_group
from gptcore.training.events import Event

logger = logging.getLogger(__name__)

IN_CONFIG = ("preset", "corpus", "tokenizer", "seconds", "steps", "seed", "plugin")
IF_GIVEN = ("text_field", "start_from")


def start(request: RunRequest, out: str | Path, *, limits: Limits | None = None) -> Iterator[Event]:
    """Train what a request asks for in a new or empty directory, within `limits` if given; yield each event.

    Raises ConfigError where a file changed since the request was sealed, RunError for a directory that cannot be
    used, ValueError for what cannot be trained and for a run that fails, each in one sentence.
    """
    request.check_files()
    if request.start_from is not None:
        request = request.sealed()  # the run says what it began with
    if request.plugin:
        plugins.load(request.plugin)
    group = join_process_group()
    recorder = Recorder(out) if group.leads else FollowerRecorder(out)
    try:
        if limits is not None:
            limits.check_request(*request.configs())
        plan = make_plan(request)
        if limits is not None:  # a text or a tokenizer may have changed the shape
            limits.check_request(plan.model, plan.train)
        group.check(plan.train)
        kept = None if request.corpus in BUILT_IN else plan.corpus
        recorder.describe(_description(request, plan), plan.tokenizer, kept)
    except BaseException:
        recorder.discard()
        raise
    training = {"config": plan.train, "corpus": plan.corpus, "tokenizer": plan.tokenizer, "notes": plan.notes}
    yield from _follow(recorder, group, model=plan.model, weights=plan.weights, **training)


def _description(request: RunRequest, plan: Plan) -> dict[str, Any]:
    """Return what `config.json` says of a run before it begins."""
    return {
        **{name: getattr(request, name) for name in IN_CONFIG},
        **{name: value for name in IF_GIVEN if (value := getattr(request, name)) is not None},
        **{f"{name}_sha256": digest for name, digest in request.hashes if name == "start_from"},
        "settings": setting_words(dict(request.settings)),
        "model": plan.model.to_dict(),
        "train": plan.train.to_dict(),
        "corpus_name": plan.corpus.name,
        "notes": list(plan.notes),
    }


def resume(
    folder: str | Path,
    *,
    plugin: str | None = None,
    corpus: str | Sequence[str] | None = None,
    text_field: str | None = None,
) -> Iterator[Event]:
    """Continue a run from its last checkpoint; yield each event.

    Nothing is read but what its folder holds. A plugin is loaded, and a text from elsewhere, only where it is named
    here: whatever the folder's files name may come from a stranger.

    Raises RunError for a directory that is no run or a finished one, CheckpointError where no state can be read,
    ValueError for a run that fails.
    """
    if plugin:
        plugins.load(plugin)
    run = Run(folder)
    if not (run.folder / "config.json").is_file():
        raise RunError(f"{folder} is not a run; choose the folder of a run")
    if (problem := run.problem()) is not None:
        raise RunError(problem)
    if run.is_finished():
        raise RunError(f"{folder} is finished; there is nothing to resume")
    description = run.config()
    model, config = configs_of(run)
    group = join_process_group()
    group.check(config)
    recorder = Recorder(folder, resume=True) if group.leads else FollowerRecorder(folder)
    try:
        state, damage = read_state(folder)
        if corpus:
            text = load_corpus(corpus, text_field=text_field)
        else:
            text = load_kept_text(run.folder, description.get("corpus", ""))
        tokenizer = Tokenizer.load(run.folder / "tokenizer.json")
        description = with_total_steps(description, state["total_steps"])
        if damage is not None:
            logger.warning(damage)
            description["notes"] = [*description.get("notes", []), damage][-MAX_NOTES:]
        recorder.reopen(tokenizer, description, state["step"])
    except BaseException:
        recorder.close()
        raise
    yield from _follow(
        recorder, group, model=model, config=config, corpus=text, tokenizer=tokenizer, resume=state
    )


def _follow(
    recorder: Recorder | FollowerRecorder, group: ProcessGroup, *, model: ModelConfig, **training: Any
) -> Iterator[Event]:
    """Train, record each event, and yield it in the process that leads; raises ValueError for a run that fails.

    A new run that ends before its first checkpoint leaves nothing in its directory.
    """
    steady_heap()
    # A GPU's libraries reserve far more memory than they use.
    limit = memory_limit(free_memory()) if pick_device().type == "cpu" else contextlib.nullcontext()
    can_resume = "resume" in training
    with limit, contextlib.closing(recorder), _saved_on_signals(recorder.stop, group):
        events = loop.train(model, **training, stop=recorder.stop, group=group)
        try:
            for event in recorder.record(group.guard_events(events)):
                can_resume |= event.event == "checkpoint"
                if group.leads:
                    yield event
        except BaseException:  # such as the end of who reads the events
            if not can_resume:
                recorder.discard()
            raise
    if event.event == "failed":
        raise ValueError(event.reason)


@contextlib.contextmanager
def _saved_on_signals(stop: threading.Event, group: ProcessGroup) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM end a run at its next step, with everything saved; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return

    def end(signum: int, frame: Any) -> None:
        stop.set()
        if group.size == 1:  # torchrun passes on what a terminal has already sent to every process
            signal.signal(signum, signal.SIG_DFL)

    before = {signum: signal.signal(signum, end) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if group.size == 1:
            for signum, handler in before.items():
                signal.signal(signum, handler)


@job_kind("train", slots=TRAINING, outlives_server=True)
def _train_queued(settings: Mapping[str, Any], report: Report) -> None:
    request = RunRequest.from_dict(settings["request"])
    for _ in start(request, settings["folder"], limits=Limits.from_environment()):
        pass


@job_kind("resume", slots=TRAINING, outlives_server=True)
def _resume_queued(settings: Mapping[str, Any], report: Report) -> None:
    check_resume(Run(settings["folder"]), Limits.from_environment())
    for _ in resume(settings["folder"]):
        pass
