"""Thousands of harmed archives, runs and models: a sentence and no traceback, and nothing outside is touched."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gptcore.files import write_json
from gptcore.resources import process_identity
from gptcore.runs import queue
from gptcore.runs.archive import export_work, import_work
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.limits import Limits
from gptcore.runs.model_uploads import import_upload
from gptcore.runs.run import Run, delete, differences, list_runs, rename, request_file
from pages.kit import curves, event_log, models, session
from pages.labs.runs import run_list
from tests.security.hostile import ZIPS, work_files, zipped
from tests.security.mutations import changed_files, changed_json, encode
from tests.security.watched_child import Watch

ROOT = Path(__file__).resolve().parents[2]
FEW = 70  # cases of each kind in the gate
MANY = {"archives": 4_000, "zips": 4_000, "disk": 1_500, "models": 2_500}  # in the long run
SELDOM = st.sampled_from((False, False, False, True))  # figures take most of the time
QUIET = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],  # a case that failed is not made smaller: that takes minutes
}


def cases(n: int):
    return settings(max_examples=n, **QUIET)


class World:
    """A runs folder in a folder of its own, and the hook that sees what is opened outside."""

    def __init__(self, folder: Path, paused: Run):
        self.folder, self.paused = folder, paused
        self.runs = folder / "runs"
        (folder / "temp").mkdir()
        self.watch = Watch(
            [str(ROOT), sys.prefix, sys.base_prefix, *sys.path, str(paused.folder)],
            [str(self.runs), str(folder / "temp")],
        )
        self.watch.is_on = False
        sys.addaudithook(self.watch)
        self.files = work_files(paused)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Begin with an empty runs folder; fail where anything outside is opened, or left beside it."""
        shutil.rmtree(self.runs, ignore_errors=True)
        self.runs.mkdir()
        self.watch.outside.clear()
        self.watch.is_on = True
        try:
            yield
        finally:
            self.watch.is_on = False
        assert self.watch.outside == set()
        assert sorted(path.name for path in self.folder.iterdir()) == ["runs", "temp"]


@pytest.fixture(scope="module")
def world(paused_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLASSBOX_RUNS", str(folder / "runs"))
        patch.setenv("GLASSBOX_HOSTED", "1")
        patch.setenv("GLASSBOX_RUNS_AT_ONCE", "1")
        patch.setattr("tempfile.tempdir", str(folder / "temp"))
        yield World(folder, paused_run)


def check_sentence(world: World, error: Exception) -> None:
    """A refusal is one sentence that names nothing of the server's."""
    sentence = str(error)
    assert sentence and "\n" not in sentence and str(world.folder) not in sentence, sentence
    assert len(sentence) < 600, sentence


def read_all(world: World, *, with_figures: bool) -> None:
    """Read the runs folder as the pages, the queue and the cleaner do, then go on with each run and delete it."""
    runs = list_runs()
    for run in runs:
        run.state(), run.failure(), run.action(), run.name(), run.owners(), run.has_checkpoint()
        session.run_label(run), session.has_model(run), run_list._row(run)
        history = event_log.read(run.folder)
        _ = history.seconds_left
        if with_figures:
            curves.loss(history, log_x=True, height=200)
            curves.story_scores(history, None, log_x=False)
        models.snapshots(models.ModelHandle.of(run.folder)) if run.folder.is_dir() else []
    differences(runs)
    export_work(runs)
    launched = []

    def launch(job, log: Path) -> dict[str, int]:
        launched.append(job)
        return process_identity(os.getpid())

    queue.poll(world.runs, launch, Limits.from_environment())
    queue.find_runs(["0" * 64])
    Cleaner().clean(world.runs, Limits.from_environment())
    for run in runs:
        try:
            rename(run, "a name")
            queue.submit_resume(run, owner="b")
        except ValueError as error:
            check_sentence(world, error)
    for run in runs:
        if run.is_alive():  # launched above, by a process that is this one
            request_file(run.folder).unlink()
        delete(run)
    assert list_runs() == []


def import_and_read(world: World, data: bytes, *, with_figures: bool) -> None:
    with world.watched():
        try:
            import_work(data, owner="b")
        except ValueError as error:
            check_sentence(world, error)
            assert [path for path in world.runs.iterdir() if path.name != ".lock"] == []
        else:
            read_all(world, with_figures=with_figures)


def fuzz_archives(world: World, data: st.DataObject) -> None:
    files = data.draw(changed_files(world.files))
    import_and_read(world, zipped(files), with_figures=data.draw(SELDOM))


def fuzz_zips(world: World, data: st.DataObject) -> None:
    packed = ZIPS[data.draw(st.sampled_from(sorted(ZIPS)))](world.files)
    at = data.draw(st.integers(0, max(0, len(packed) - 1)))
    harmed = packed[:at] + data.draw(st.binary(max_size=8)) + packed[at:]
    import_and_read(world, harmed, with_figures=data.draw(SELDOM))


def fuzz_disk(world: World, data: st.DataObject) -> None:
    """A run that lies damaged on the disk, its request file among its files."""
    names = [path for path in world.paused.folder.rglob("*") if path.is_file() and path.name != "lock"]
    kept = {str(path.relative_to(world.paused.folder)): path.read_bytes() for path in names}
    request = {"owners": ["b"], "name": "one", "waiting": data.draw(st.booleans()), "resume": True, "turn": 0}
    request |= {"sequence": 1, "asked": 1e9, "launched": process_identity(os.getpid()) | {"log_size": 0}}
    request["launched"] = data.draw(st.sampled_from((None, request["launched"])))
    with world.watched():
        for name, content in data.draw(changed_files(kept)).items():
            path = world.runs / "damaged" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if data.draw(st.booleans()):
            (world.runs / "damaged.request.json").write_bytes(encode(data.draw(changed_json(request))))
        else:
            write_json(world.runs / "damaged.request.json", request)
        read_all(world, with_figures=data.draw(SELDOM))


def fuzz_models(world: World, data: st.DataObject) -> None:
    """A model folder that is uploaded, as Glassbox writes them and as Hugging Face does."""
    folder = world.paused.folder / "latest"
    kept = {
        name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors", "tokenizer.json")
    }
    files = data.draw(changed_files(kept))
    if data.draw(st.booleans()):
        upload = [
            ("model.zip", BytesIO(zipped({f"model/{name}": content for name, content in files.items()})))
        ]
    else:
        upload = [(name, BytesIO(content)) for name, content in files.items()]
    with world.watched():
        try:
            import_upload(upload, name="a model", owner="b")
        except ValueError as error:
            check_sentence(world, error)
        else:
            read_all(world, with_figures=data.draw(SELDOM))


FUZZ = {"archives": fuzz_archives, "zips": fuzz_zips, "disk": fuzz_disk, "models": fuzz_models}


@pytest.mark.parametrize("name", FUZZ)
def test_harm_is_a_sentence_and_touches_nothing_outside(world, name):
    cases(FEW)(given(st.data())(lambda data: FUZZ[name](world, data)))()


@pytest.mark.long
@pytest.mark.parametrize("name", FUZZ)
def test_much_harm_is_a_sentence_and_touches_nothing_outside(world, name):
    cases(MANY[name])(given(st.data())(lambda data: FUZZ[name](world, data)))()
