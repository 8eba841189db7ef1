"""The page of runs: what is listed, what a link may do, what goes down and comes up, and how fast it opens."""

import json
import shutil
from pathlib import Path

import pytest
import run_logs
from streamlit.testing.v1 import AppTest

from gptcore.config import ModelConfig
from gptcore.runs import archive
from gptcore.runs import run as runs
from gptcore.runs.run import Run
from pages.kit import event_log, visitor

ROOT = Path(__file__).resolve().parents[2]


def write_run(folder: Path, *, steps: int = 30, name: str = "", owner: str = visitor.HOME, **train) -> Run:
    """A finished run without a model: its config and its log."""
    folder.mkdir(parents=True)
    model = ModelConfig(vocab_size=99, context_length=16, d_model=32, n_layers=2, n_heads=2).to_dict()
    config = {"format": runs.FORMAT, "corpus_name": "stories", "model": model, "train": train, "owner": owner}
    (folder / "config.json").write_text(json.dumps(config))
    scores = {"rate": 0.5, "new": 0.4, "pronouns": None, "names": None, "sentences": 9, "accepted": 4}
    log = [run_logs.start(steps)]
    for step in range(1, steps + 1):
        loss = 7 - 5 * step / steps
        log.append(run_logs.trained(step, loss))
        if step % max(1, steps // 10) == 0:
            log += [run_logs.evaluated(step, loss), run_logs.sampled(step, f"A fox at {step}.", scores)]
    run_logs.write(folder, [*log, run_logs.done(steps)])
    if name:
        runs.rename(Run(folder), name)
    return Run(folder)


def open_page(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.switch_page("pages/runs.py").run()
    assert not app.exception
    return app


def test_an_empty_folder_says_so():
    app = open_page()
    assert "No training runs yet" in app.info[0].value


def test_each_run_is_a_row_with_its_state_loss_and_grammar(own_runs):
    write_run(own_runs / "first", name="my first")
    write_run(own_runs / "second")
    table = open_page().dataframe[0].value
    row = table[table["Run"] == "my first"].iloc[0]
    assert (row["State"], row["Parameters"], row["Grammar"]) == ("done", 12_345, 0.5)
    assert row["Loss"] == pytest.approx(2.0)
    assert len(row["Loss curve"]) == 10 and len(table) == 2


def test_a_run_whose_process_is_gone_is_offered_resume_only_where_it_can_go_on(own_runs):
    run = write_run(own_runs / "first")
    run_logs.write(run.folder, [run_logs.start(30), run_logs.trained(3, 6.5)])
    (status,) = open_page(run="first").get("progress")
    assert "before it had saved a checkpoint" in status.text and "Resume" not in status.text
    for state in ("latest/state.json", "latest/model.safetensors"):
        (run.folder / state).parent.mkdir(exist_ok=True)
        (run.folder / state).write_bytes(b"{}")
    app = open_page(run="first")
    assert "Resume continues from the last checkpoint" in app.get("progress")[0].text
    assert not app.button(key="runs_resume").disabled


def test_a_run_is_renamed_and_deleted(own_runs):
    run = write_run(own_runs / "first")
    app = open_page()
    app.text_input(key="runs_name_first").set_value("a better name").run()
    app.button(key="runs_rename").click().run()
    assert run.name() == "a better name"
    app.button(key="runs_delete").click().run()
    assert not app.exception and runs.list_runs() == []


def test_runs_are_compared(own_runs):
    write_run(own_runs / "first", learning_rate=0.1)
    write_run(own_runs / "second", learning_rate=0.2, steps=40)
    app = open_page(runs_compared="first,second,nowhere")
    differences = app.dataframe[1].value
    assert differences["Setting"].tolist() == ["learning_rate"]
    assert set(differences.iloc[0].tolist()[1:]) == {"0.1", "0.2"}
    for against in ("tokens", "seconds"):
        app.segmented_control(key="runs_against").set_value(against).run()
        assert not app.exception


def test_a_visitor_reads_the_run_of_another_by_its_link_and_changes_nothing(own_runs, monkeypatch):
    monkeypatch.setattr(visitor, "is_local", lambda: False)
    write_run(own_runs / "theirs", owner="somebody else")
    assert "No training runs yet" in open_page().info[0].value
    app = open_page(run="theirs")
    assert "theirs" in app.selectbox(key="runs_one").value
    keys = {button.key for button in app.button}
    assert not keys & {"runs_rename", "runs_delete"}
    assert all(button.disabled for button in app.button if button.key in ("runs_pause", "runs_stop"))
    assert any("Only the browser that started it" in caption.value for caption in app.caption)


def test_what_was_packed_elsewhere_is_unpacked(own_runs):
    shutil.copytree(ROOT / "tests" / "first_edition" / "runs" / "finished", own_runs / "first")
    runs.rename(Run(own_runs / "first"), "from home")
    data = archive.export_work([Run(own_runs / "first")], {"progress": {"passed": ["c5.why"]}})
    runs.delete(Run(own_runs / "first"))
    app = open_page()
    app.file_uploader(key="runs_bring").upload("work.zip", b"not a zip").run()
    app.button(key="runs_unpack").click().run()
    assert "not a zip" in app.error[0].value
    app.file_uploader(key="runs_bring").upload("work.zip", data).run()
    app.button(key="runs_unpack").click().run()
    assert not app.exception
    assert app.success[0].value == "Import complete. Runs: 1. Passed checks: 1."
    assert [run.name() for run in runs.list_runs()] == ["from home"]


def test_of_a_log_of_100_000_steps_few_are_drawn(own_runs):
    """What is parsed and sent to the browser stays bounded, however long a run is, and reaches to its end."""
    write_run(own_runs / "long", steps=100_000)
    history = event_log.read(own_runs / "long")
    every = -(-100_000 // event_log.MOST_STEPS)
    assert history.steps == list(range(every, 100_001, every))
    assert len(history.steps) <= event_log.MOST_STEPS
    assert not open_page(run="long").exception
