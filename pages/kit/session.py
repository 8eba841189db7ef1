"""What belongs to one visitor between runs of a page: the model in use and the training runs.

The queue and its requests are imported inside functions: the header of every page imports this module, and chapter 0
shows its first words before anything heavy is read.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from gptcore.files import disk_bytes, write_bytes
from gptcore.runs import worker_pool
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.run import LONGEST_NAME, Run, RunError, delete, list_runs, release, rename, runs_folder
from pages.kit import escape, links, model_choice, models, visitor
from pages.kit.models import SHIPPED, ModelHandle

if TYPE_CHECKING:
    from gptcore.config import ModelConfig, TrainConfig
    from gptcore.runs.request import RunRequest

MODEL = "model"  # as in ?model=…: the id of a run; the shipped model needs no mention
_UNUSABLE = "model_unusable"  # session state: where the sidebar says that the model chosen cannot be used
MODEL_KEY = "model_chosen"  # session state: the same id, or SHIPPED


def my_runs() -> list[Run]:
    """The visitor's training runs, the newest first; at home, all there are."""
    return list_runs(None if visitor.is_local() else visitor.visitor_id())


def run_named(name: str | None) -> Run | None:
    """The run of this id, or None; an id from a URL never leads outside the runs folder."""
    try:
        return Run.by_id(name) if name else None
    except RunError:
        return None


class ExistingRun(links.Rule):
    """The id of a run that is here."""

    def parse(self, text: str) -> str:
        if run_named(links.RunId().parse(text)) is None:
            raise links.Refused("no such run exists here")
        return text


def run_on_view() -> Run | None:
    """The run the URL asks for with ?run=, else the newest one that is still training, else None."""
    requested = run_named(links.sticky_value("run"))
    if requested is not None:
        return requested
    return next((run for run in my_runs() if run.is_under_way()), None)


def view_run(run_id: str | None) -> None:
    """Show a run on this page and on the pages the visitor opens next."""
    links.set_sticky("run", run_id)


def start_run(request: "RunRequest", *, lab: bool = False, view: bool = True, name: str = "") -> Run:
    """Request a run, named if it is new, and show it; leave the current view if that fails.

    It starts at once or waits in the queue; an equal earlier request is the same run. A lab's run is removed after an
    hour. Raises LimitError, ConfigError or RunError.
    """
    from gptcore.runs import queue

    if without_known([request]) and expected_place() is None and (lack := lack_of_memory(*request.configs())):
        raise LimitError(lack)
    run = queue.submit(request, owner=visitor.visitor_id(), lab=lab, name=name[:LONGEST_NAME])
    poll_queue()
    if view:
        view_run(run.id)
    return run


def without_known(requests: "Iterable[RunRequest]") -> "list[RunRequest]":
    """Those of these requests for which no equal one has led to a run that is under way or finished."""
    requests = list(requests)
    is_known = [run is not None and (run.is_under_way() or run.is_finished()) for run in find_runs(requests)]
    return [request for request, known in zip(requests, is_known) if not known]


def find_runs(requests: "Iterable[RunRequest]") -> list[Run | None]:
    """The run of each of these requests, by any visitor; None if there is none."""
    from gptcore.runs import queue

    return queue.find_runs([request.key for request in requests])


def resume_run(run: Run) -> None:
    """Request to resume a run from its last checkpoint; raises RunError or LimitError."""
    from gptcore.runs import queue

    visitor.check_listed(run)
    queue.submit_resume(run, owner=visitor.visitor_id())
    poll_queue()


def pause_run(run: Run) -> None:
    """Pause a run; raises RunError for a run that others requested too."""
    visitor.check_owns(run)
    if len(run.owners()) > 1:
        raise RunError(
            f"others requested {run.id} too, so you cannot pause it. You can stop it: it continues for them"
        )
    run.pause()


def stop_run(run: Run) -> None:
    """Stop a run; where others asked for it too it goes on for them, and leaves this visitor's list."""
    visitor.check_listed(run)
    if not release(run, visitor.owner_name(run)):
        run.stop()


def rename_run(run: Run, name: str) -> None:
    """Give a run a name; raises RunError where it is too long or someone else controls the run."""
    visitor.check_owns(run)
    rename(run, name)


def delete_run(run: Run) -> None:
    """Remove a run; where others asked for it too, it only leaves this visitor's list."""
    visitor.check_listed(run)
    if not release(run, visitor.owner_name(run)):
        delete(run)
        if model_name() == run.id:
            use_model(SHIPPED)


def limits() -> Limits:
    """The limits on this machine."""
    return Limits.from_environment()


def withdraw_run(run: Run) -> None:
    """Take a run out of the queue, for this visitor."""
    from gptcore.runs import queue

    visitor.check_listed(run)
    queue.withdraw(run, visitor.owner_name(run))


def position_in_queue(run: Run) -> int | None:
    """How many runs begin before this one, and itself; None where it does not wait."""
    from gptcore.runs import queue

    return queue.position(run)


def expected_wait(run: Run) -> float | None:
    """About how many seconds until a waiting run begins; None where nobody can say yet."""
    from gptcore.runs import expected_wait

    return expected_wait.expected_wait(run)


def expected_place() -> tuple[int, float | None] | None:
    """The position that a run of this visitor would have in the queue, and its wait; None where it begins at once."""
    from gptcore.runs import expected_wait

    return expected_wait.expected_place(visitor.visitor_id())


def lack_of_memory(model: "ModelConfig", train: "TrainConfig") -> str | None:
    """Why there is not enough memory now for a run; None where there is, or where a GPU or a cluster trains."""
    from gptcore.runs import free_memory, ray_jobs
    from gptcore.training.devices import pick_device

    if ray_jobs.is_used() or pick_device().type != "cpu":
        return None
    return free_memory.lack_of_memory(runs_folder(), model, train)


def queue_problem() -> str | None:
    """Why no run can start at the moment, in one sentence; None where nothing is wrong."""
    from gptcore.runs import ray_jobs

    return ray_jobs.problem(runs_folder())


def waiting_problem(run: Run) -> str | None:
    """Why a waiting run cannot start although its turn has come, in one sentence; None where nothing is wrong."""
    from gptcore.config import ConfigError
    from gptcore.runs import queue
    from gptcore.runs.jobs import TRAINING

    if (problem := queue_problem()) is not None:
        return problem
    if position_in_queue(run) != 1 or expected_wait(run) != 0:
        return None
    record = run.request()
    try:
        configs = queue.record_configs(queue.Requests(run.folder.parent, TRAINING), record)
    except (ConfigError, RunError):
        return None
    return lack_of_memory(*configs)


def poll_queue() -> None:
    """Have the worker pool check the queue now, and start it if it is not running."""
    worker_pool.shared().poll(runs_folder())


@st.cache_resource(max_entries=1, show_spinner=False)
def start_workers() -> None:
    """Start the worker pool, once a server: the first click should find it ready."""
    poll_queue()
    worker_pool.shared().preload()


def save_text(text: bytes) -> Path:
    """Write a visitor's text where a training process can read it; the same text is one file.

    Raises LimitError for a text larger than an upload may be and where the disk may hold no more, RunError where it
    cannot be written.
    """
    path = runs_folder() / "texts" / f"{hashlib.sha256(text).hexdigest()[:16]}.txt"
    allowed = limits()
    allowed.check_upload(len(text), "this text")
    allowed.check_disk(disk_bytes(runs_folder()) + len(text))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror}. Free some disk space and try again"
        ) from error
    return path


def use_model(name: str) -> None:
    """Put a run's model, or SHIPPED, on every page. For callbacks: it must act before the sidebar is made."""
    st.session_state[MODEL_KEY] = name
    links.set_sticky(MODEL, None if name == SHIPPED else name)


def model_name() -> str:
    """The name of the model in use: SHIPPED or the id of a run."""
    return st.session_state.get(MODEL_KEY, SHIPPED)


def has_model(run: Run) -> bool:
    """Whether a run has come as far as its first checkpoint, and has no part of a plugin: pages run none."""
    return not run.config().get("plugin") and (run.folder / "latest" / "model.safetensors").exists()


def model_labels() -> dict[str, str]:
    """Every model a page can work on, by name, with the label the sidebar shows."""
    own = {run.id: run_label(run) for run in [*my_runs(), *linked_runs()] if has_model(run)}
    return {SHIPPED: "shipped with Glassbox", **own}


def linked_runs() -> list[Run]:
    """The run opened by a link: anyone with the link may read it and use its model."""
    run = run_named(links.sticky_value("run"))
    return [] if run is None else [run]


def run_label(run: Run) -> str:
    """A run in a few words: its name, or what it read, how large it is, when it began."""
    if name := run.name():
        return f"{name}, {run.id[:4]}"
    began = datetime.fromtimestamp(run.requested_at())
    model = run.config().get("model", {})
    shape = f"{model['d_model']}×{model['n_layers']}" if model else ""
    return f"{run.config().get('corpus_name', 'a text')} {shape}, {began:%d %b %H:%M}, {run.id[:4]}"


def choose_model() -> None:
    """The control in the sidebar: which model the pages work on.

    A bound widget would write the label it shows into the URL; the id of the run is what is wanted there.
    """
    choices = model_labels()
    kept = model_choice.remembered()
    if kept in choices and links.sticky_value(MODEL) is None and MODEL not in st.query_params:
        links.set_sticky(MODEL, kept)
    links.check(MODEL, links.Choice(list(choices)), now=st.session_state.get(MODEL_KEY))
    requested = links.sticky_value(MODEL) or SHIPPED
    if requested not in choices:
        links.set_sticky(MODEL, None)  # refused, or deleted: it does not follow the visit
    # Set in each run, so that back and forward in the browser count; a run may also have been deleted.
    st.session_state[MODEL_KEY] = requested if requested in choices else SHIPPED
    st.selectbox(
        "Model in use",
        list(choices),
        format_func=lambda name: choices[name],
        key=MODEL_KEY,
        on_change=_choice_made,
        help="Every page uses this model: the shipped one, or one that you trained or uploaded.",
    )
    st.session_state[_UNUSABLE] = st.empty()


def remember_model() -> None:
    """Have the browser keep the choice; called once a page, in the sidebar."""
    name = model_name()
    model_choice.remember(None if name == SHIPPED else name)


def show_model_in_use() -> None:
    """At the top of a page, where a model of the visitor's own is in use: which one, and the way back."""
    name = model_name()
    if name == SHIPPED:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="model_in_use", gap="small"):
        label = escape.markdown(model_labels()[name])
        st.caption(f"Model in use: **{label}**. Parts that use another model say so.", width="content")
        back_to_shipped()


def back_to_shipped() -> None:
    """The button that puts the shipped model back in use, where another one is."""
    if model_name() != SHIPPED:
        st.button(
            "Use the shipped model",
            key="model_back",
            icon=":material/undo:",
            type="tertiary",
            on_click=use_model,
            args=(SHIPPED,),
        )


def caption_other_model(handle: ModelHandle) -> None:
    """Say that what follows shows the shipped model, where the one in use cannot be shown."""
    if handle.name != model_name():
        st.caption(
            "This shows the shipped model. It needs a model trained on the built-in stories, with RoPE, "
            "and with a context long enough for the start of a story."
        )


def caption_shipped_model() -> None:
    """Say that what follows always shows the shipped model, where another one is in use."""
    if model_name() != SHIPPED:
        st.caption("This always shows the shipped model, not the model in use.")


def _choice_made() -> None:
    name = st.session_state[MODEL_KEY]
    if name == SHIPPED or run_named(name) is not None:  # a message may hold what the control never offered
        use_model(name)


def model_in_use() -> ModelHandle:
    """The model the visitor has chosen; the shipped one, and a sentence in the sidebar, where it cannot be used."""
    name = model_name()
    if name == SHIPPED:
        return models.shipped()
    try:
        run = Run.by_id(name)
        handle = ModelHandle.of(run.folder)
        handle.load()
    except (ValueError, OSError) as error:
        sentence = (
            f"The model of {name} cannot be used here: {error}. The pages use the shipped model instead."
        )
        st.session_state[_UNUSABLE].warning(escape.sentence(sentence), icon=":material/heart_broken:")
        return models.shipped()
    return handle


def model_label(handle: ModelHandle) -> str:
    """The label of a model, as the sidebar shows it."""
    return model_labels()[handle.name]
