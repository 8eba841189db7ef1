"""Chapter 8: what the sliders say is what is trained, and what cannot work is said in one sentence."""

import json
import os
import shlex
import time
from pathlib import Path

import pytest
import run_logs
from streamlit.testing.v1 import AppTest

from pages.labs import training
from gptcore import resources
from gptcore.account import n_parameters
from gptcore.config import ConfigError, ModelConfig
from gptcore.files import write_json
from gptcore.runs import queue, ray_jobs
from gptcore.runs.limits import LimitError
from gptcore.runs.plan import make_plan
from gptcore.runs.request import RunRequest
from gptcore.runs.run import FORMAT, Run, list_runs
from pages.kit import controls, event_log, live, session, visitor, words
from pages.labs.training import cached

ROOT = Path(__file__).resolve().parents[2]
TEXT = "The fox sat by the river. It looked at the water, and the water looked cold.\n" * 100


@pytest.fixture
def app():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    return app.switch_page("pages/08_training.py").run()


def click(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def errors(app: AppTest) -> list[str]:
    assert not app.exception
    return [error.value for error in app.error]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"d_model": 64, "d_ff": 100},
        {"n_heads": 8, "n_kv_heads": 2},
        {"norm": "layernorm", "context_length": 64},
    ],
    ids=str,
)
def test_the_command_trains_the_shape_on_the_sliders(changes):
    config = training.train.NANO.replace(**changes, head_dim=None, score_scale=None)
    request = training.train.request_for(config, controls.CorpusChoice("stories"), 20, 3)
    words = shlex.split(request.command())
    assert words[:4] == ["python", "-m", "gptcore", "train"] and words[-2:] == ["--out", "DIR"]
    plan = make_plan(RunRequest.from_arguments(words[4:-2]))
    assert plan.model == config
    assert (plan.train.seconds, plan.train.seed) == (20, 3)


def test_the_count_shown_is_the_models_own(app):
    nano = n_parameters(training.train.NANO)
    assert any(f"{nano:,} parameters" in words.value for words in app.markdown)


def test_the_size_dial_moves_the_sliders_behind_it(app):
    app.select_slider(key="c8_size").set_value("pico").run()
    shape = {field: app.slider(key=f"c8_{field}").value for field in controls.SIZES["pico"]}
    assert shape == controls.SIZES["pico"]
    assert "d_model=32" in app.code[0].value


def test_an_illegal_shape_is_explained_and_repaired_by_a_button(app):
    app.slider(key="c8_n_heads").set_value(7).run()
    assert errors(app) == [
        "This shape is not valid: d_model=128 must be divisible by n_heads=7; try 126 or 133."
    ]
    assert app.button(key="c8_start").disabled
    click(app, "n_heads = 8")
    assert not errors(app)
    assert not app.button(key="c8_start").disabled
    assert "n_heads=8" in app.code[0].value


def test_nearest_legal_values_are_legal_and_nearest():
    values = {
        "d_model": 128,
        "n_layers": 4,
        "n_heads": 7,
        "n_kv_heads": 1,
        "d_ff": 384,
        "context_length": 256,
    }
    offered = controls.nearest_legal(2048, values)
    assert ("n_heads", 8) in offered and ("n_heads", 4) in offered and ("d_model", 126) in offered
    for field, value in offered:
        ModelConfig(vocab_size=2048, **{**values, field: value})
        between = range(min(value, values[field]) + 1, max(value, values[field]))
        for other in between:
            with pytest.raises(ConfigError):
                ModelConfig(vocab_size=2048, **{**values, field: other})


def test_an_upload_that_is_not_text_is_refused_in_one_sentence(app):
    app.segmented_control(key="c8_corpus").set_value("upload").run()
    app.file_uploader(key="c8_upload").upload("picture.txt", b"\xff\xfe\x00\x01" * 100).run()
    app.button(key="c8_start").click().run()
    (sentence,) = errors(app)
    assert "picture.txt is not UTF-8 text" in sentence
    assert app.segmented_control(key="c8_corpus").value == "upload"  # nothing else is lost


def test_reset_takes_everything_back_to_where_the_lab_began(app):
    def values() -> dict:
        named = [*app.slider, *app.select_slider, *app.number_input, *app.selectbox]
        return {one.key: one.value for one in named if one.key and one.key.startswith("c8_")}

    before = values()
    app.select_slider(key="c8_size").set_value("micro").run()
    app.select_slider(key="c8_seconds").set_value(10).run()
    app.number_input(key="c8_seed").set_value(7).run()
    app.slider(key="c8_n_layers").set_value(2).run()
    assert values() != before
    app.button(key="c8_train_reset").click().run()
    assert values() == before


def test_a_run_on_an_uploaded_file_is_named_after_it(app, monkeypatch):
    monkeypatch.setattr(session, "poll_queue", lambda: None)  # it waits, and is not trained
    app.segmented_control(key="c8_corpus").set_value("upload").run()
    app.file_uploader(key="c8_upload").upload("my diary.txt", b"Today I walked to the sea. " * 200).run()
    app.button(key="c8_start").click().run()
    assert not errors(app)
    assert [run.name() for run in list_runs()] == ["my diary.txt"]


def test_no_text_at_all_is_refused(app):
    app.segmented_control(key="c8_corpus").set_value("paste").run()
    app.button(key="c8_start").click().run()
    assert errors(app) == ["There is no text to train on. Paste one or choose a .txt file, then start again."]


def wait_for(app: AppTest, run: Run, seconds: float = 120) -> AppTest:
    deadline = time.monotonic() + seconds
    while run.is_under_way():
        assert time.monotonic() < deadline, "the run did not end"
        time.sleep(0.3)
    return app.run()


def start_on_text(app: AppTest, text: str) -> Run:
    app.segmented_control(key="c8_corpus").set_value("paste").run()
    app.text_area(key="c8_paste").set_value(text).run()
    app.select_slider(key="c8_size").set_value("pico").run()
    app.select_slider(key="c8_seconds").set_value(5).run()
    app.button(key="c8_start").click().run()
    (run,) = list_runs()
    assert app.query_params["run"] == run.id
    return run


def test_a_text_of_a_few_words_is_refused_by_the_run_and_told(app):
    app = wait_for(app, start_on_text(app, "Four words, no more."))
    (sentence,) = errors(app)
    assert "at least 64" in sentence
    assert app.text_area(key="c8_paste").value == "Four words, no more."


def test_a_run_can_be_stopped_and_its_model_used_on_every_page(app):
    run = start_on_text(app, TEXT)
    while not (run.folder / "latest" / "model.safetensors").exists() and run.state() != "failed":
        time.sleep(0.1)
    app.run()
    app.button(key="c8_stop").click().run()
    app = wait_for(app, run)
    assert not errors(app)
    app.button(key="c8_use").click().run()
    assert app.sidebar.selectbox[0].value == run.id
    assert app.button(key="c8_use").disabled
    assert app.query_params["model"] == run.id
    app.switch_page("pages/00_overview.py").run()
    assert not app.exception
    assert app.sidebar.selectbox[0].value == run.id
    assert app.query_params["run"] == run.id


def test_a_run_that_waits_for_a_cluster_says_why(own_runs, monkeypatch):
    run = queue.submit(RunRequest(steps=5))
    write_json(own_runs / "ray.json", {"problem": "the cluster does not answer"})
    monkeypatch.setenv(ray_jobs.ADDRESS, "http://127.0.0.1:8265")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["run"] = run.id
    app.switch_page("pages/08_training.py").run()
    assert not errors(app)
    assert [warning.value for warning in app.warning] == ["the cluster does not answer"]
    monkeypatch.delenv(ray_jobs.ADDRESS)  # a server that trains itself
    assert not app.run().warning


def test_a_run_whose_turn_has_come_says_that_memory_is_not_free(full_container):
    run = queue.submit(RunRequest(steps=5))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["run"] = run.id
    app.switch_page("pages/08_training.py").run()
    assert not errors(app)
    (warning,) = app.warning
    assert warning.value.startswith("this run needs at least") and "100 MB are free" in warning.value
    assert "It isn't known yet how long" in app.get("progress")[0].text
    (full_container / "memory.current").write_text("1000000000\n")  # the run of somebody else has ended
    assert not app.run().warning and "starts in a moment" in app.get("progress")[0].text


def test_a_run_named_in_a_link_that_does_not_exist_leaves_the_page_whole():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["run"] = "../../etc"
    app.switch_page("pages/08_training.py").run()
    assert not app.exception
    assert not errors(app)


def formulas(app: AppTest) -> str:
    return "\n".join(piece.value for piece in app.latex)


def test_the_numbers_of_the_worked_example(app):
    import math

    text, scores = formulas(app), (2.0, 1.0, 0.5, 0.1)
    shares = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
    assert f"= {-math.log(shares[0]):.4f}" in text
    assert "= 0.00016" in text  # half-way from 3e-4 to a thirtieth, as the book has it
    assert "$-\\ln 0.450 = 0.799$" in "\n".join(piece.value for piece in app.markdown)


def test_parts_stand_in_the_order_of_every_chapter(app):
    from pages.kit.book import PARTS

    assert [one.value for one in app.header] == list(PARTS.values())


def test_the_time_machine_shows_the_text_of_its_moment(app):

    samples = [sample for sample in event_log.shipped().samples if sample.get("ladder")]
    app.select_slider(key="c8_time_step").set_value(samples[1]["step"]).run()
    assert samples[1]["text"].strip() in [text.value for text in app.text]


@pytest.fixture
def asked(monkeypatch):
    """What labs ask to be trained, without training it."""
    from pages.kit import session

    asked = []

    def ask(request, *, lab):
        asked.append((request, lab))
        raise ValueError("not here")

    monkeypatch.setattr(session, "start_run", ask)
    return asked


def test_the_button_asks_for_a_lab_run_with_the_fault(app, asked):
    app.selectbox(key="c8_fault_which").set_value("learning rate × 300").run()
    app.button(key="c8_fault_start").click().run()
    ((request, lab),) = asked
    assert dict(request.settings)["learning_rate"] == 3.0 and lab
    assert errors(app) == ["not here"]


def test_every_fault_of_the_library_is_offered_and_asks_for_another_run():
    from gptcore.training.faults import FAULTS

    assert set(training.faults.FAULT_NAMES) == set(FAULTS)
    asked = {training.faults.request_for(name, 1).key for name in FAULTS}
    assert len(asked) == len(FAULTS)
    assert training.faults.request_for("healthy", 1).key != training.faults.request_for("healthy", 2).key


def test_cases_hide_every_fault_and_the_healthy_run_too():
    drawn = [
        training.diagnosis_game.hidden_fault(case) for case in range(1, training.diagnosis_game.CASES + 1)
    ]
    assert set(drawn) == set(training.faults.FAULT_NAMES)
    assert drawn == [
        training.diagnosis_game.hidden_fault(case) for case in range(1, training.diagnosis_game.CASES + 1)
    ]


RUN = [
    run_logs.start(20),
    *(run_logs.trained(step, 7.6 - step / 4) for step in range(1, 21)),
    run_logs.evaluated(20, 2.6),
    run_logs.sampled(20, "A king sang."),
    run_logs.done(20),
]


@pytest.fixture
def finished(own_runs, monkeypatch):
    """Whatever a lab asks for is a run that is over, whose log tells of nothing wrong."""
    from pages.kit import session

    folder = own_runs / "0123456789abcdef0123"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"format": FORMAT}))
    run_logs.write(folder, RUN)
    monkeypatch.setattr(session, "start_run", lambda request, *, lab: Run(folder))


def words_of(app: AppTest) -> str:
    return "\n".join(one.value for kind in (app.markdown, app.success, app.info, app.caption) for one in kind)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_case_says_what_it_was_only_once_it_is_answered_and_keeps_the_score(app, finished, is_right):
    case = next(n for n in range(2, 99) if training.diagnosis_game.hidden_fault(n) == "gradients leak")
    set_case(app, case)
    assert app.button(key="c8_case_tell").disabled
    app.button(key="c8_case_start").click().run()
    answer = app.radio(key=f"c8_case_said_{case}")
    answer.set_value("gradients leak" if is_right else "tiny text").run()
    hidden = words_of(app)
    assert "It was **gradients leak**" not in hidden and "Diagnosis by the rule" not in hidden
    assert "gradients leak" not in str(app.query_params)
    app.button(key="c8_case_tell").click().run()
    shown = words_of(app)
    assert "Correct: **gradients leak**" in shown if is_right else "It was **gradients leak**" in shown
    assert "**Gradients leak.**" in shown and "Diagnosis by the rule: healthy" in shown
    assert f"You diagnosed **{int(is_right)}** of **1** cases" in shown
    assert app.radio(key=f"c8_case_said_{case}").disabled  # the first answer counts
    assert not errors(app)


def set_case(app: AppTest, case: int) -> AppTest:
    return app.slider(key="c8_case_n").set_value(case).run()


@pytest.mark.parametrize("name", ["sweep", "batch", "precision", "compare"])
def test_further_experiments_open_by_link(name):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params[f"c8_more_{name}"] = "true"
    app.switch_page("pages/08_training.py").run()
    assert not errors(app)
    assert words.load("08_training").read(
        f"lab_{name}" if name != "compare" else "lab_compare_none"
    ) in words_of(app)


def test_sixteen_bits_forget_small_steps(app):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["c8_more_precision"] = "true"
    app.query_params["c8_precision_move"] = "0.0001"
    app.switch_page("pages/08_training.py").run()
    assert "in bf16 at **1**" in words_of(app)


def test_a_sweep_is_watched_stopped_and_started_again():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["c8_more_sweep"] = "true"
    app.query_params["c8_sweep_optimizer"] = "adamw"
    app.switch_page("pages/08_training.py").run()
    app.button(key="c8_sweep_start").click().run()
    job = cached.sweep("adamw")
    deadline = time.monotonic() + 60
    while not job.reports:
        assert time.monotonic() < deadline and not job.is_done()
        time.sleep(0.05)
    app.button(key="c8_sweep_stop").click().run()
    while not job.is_done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    app.run()
    assert not errors(app) and job.error().cause == "cancelled"
    assert app.button(key="c8_sweep_stop").disabled and job.reports
    app.button(key="c8_sweep_start").click().run()
    assert cached.sweep("adamw") is not job and not errors(app)
    cached.stop_sweep("adamw")


def test_a_text_is_saved_whole_or_refused(own_runs, monkeypatch):
    """A disk that is full, or may hold no more, leaves no half of it."""
    path = session.save_text(b"once upon a time")
    assert path.read_bytes() == b"once upon a time"
    monkeypatch.setenv("GLASSBOX_UPLOAD_MB", "0.0001")
    with pytest.raises(ValueError, match="this text has"):
        session.save_text(b"a" * 1000)
    monkeypatch.setenv("GLASSBOX_UPLOAD_MB", "1")
    monkeypatch.setenv("GLASSBOX_DISK_MB", "0.001")
    with pytest.raises(ValueError, match="the runs use"):
        session.save_text(b"b" * 5000)
    monkeypatch.setenv("GLASSBOX_DISK_MB", "1")
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(ValueError, match="No space left"):
            session.save_text(b"c" * 5000)
    assert [text.name for text in path.parent.iterdir()] == [path.name]


# A run that does not begin at once


@pytest.fixture
def full_container(tmp_path, monkeypatch):
    """A container of 3 GB, of which all but 100 MB are taken."""
    (tmp_path / "groups").mkdir()
    for name, said in (("max", 3_000_000_000), ("current", 2_900_000_000), ("stat", "inactive_file 0")):
        (tmp_path / "groups" / f"memory.{name}").write_text(f"{said}\n")
    (tmp_path / "own").write_text("0::/\n")
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(resources, "OWN_CGROUPS", tmp_path / "own")
    return tmp_path / "groups"


def test_a_run_that_does_not_fit_is_said_before_it_is_started_and_a_replay_is_one_click_away(
    full_container, app, monkeypatch
):
    starts = ("c8_start", "c8_fault_start", "c8_case_start")
    assert len(app.warning) == len(starts)
    for warning, start in zip(app.warning, starts):
        assert warning.value.startswith("This run needs at least") and "100 MB are free" in warning.value
        assert app.button(key=start).disabled
    assert list_runs() == []
    with pytest.raises(LimitError, match=r"needs at least .* and 100 MB are free"):
        session.start_run(RunRequest(seconds=5))  # as by a message that no browser would send
    assert list_runs() == []

    app.button(key="c8_replay").click().run()
    assert not app.exception
    assert app.get("progress")[0].text.startswith("Replaying the shipped model's run: step")
    monkeypatch.setattr(live, "REPLAY_SECONDS", 1e-9)
    app.run()
    assert not app.exception and not app.get("progress")

    (full_container / "memory.current").write_text("1000000000\n")  # the run of somebody else has ended
    assert not app.run().warning and not any(app.button(key=start).disabled for start in starts)


def test_a_replay_shows_the_run_as_it_was_at_each_moment():
    history = event_log.shipped()
    half = history.until(history.seconds[-1] / 2)
    assert 0 < half.last_step < history.last_step
    assert half.steps == history.steps[: len(half.steps)] and half.seconds[-1] <= history.seconds[-1] / 2
    assert all(step <= half.last_step for step in half.eval_steps) and len(half.val_loss) == len(
        half.eval_steps
    )
    assert 0 < len(half.samples) < len(history.samples) and half.fraction_done < 1
    assert history.until(-1).steps == [] and history.until(history.seconds[-1]).steps == history.steps


def test_a_full_machine_says_how_long_a_run_would_wait(app, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS_AT_ONCE", "1")
    monkeypatch.setattr(session, "poll_queue", lambda: None)
    assert not [caption.value for caption in app.caption if "waits at position" in caption.value]
    for seed in (1, 2):
        run = queue.submit(RunRequest(seconds=40, seed=seed), owner=visitor.HOME)
    said = "A run that you start now waits at position {} in the queue, about {}."
    app.run()
    assert any(caption.value.endswith(said.format(3, "80 s")) for caption in app.caption)
    assert not app.warning and not app.button(key="c8_start").disabled
    queue.withdraw(run, visitor.HOME)
    assert any(caption.value.endswith(said.format(2, "40 s")) for caption in app.run().caption)
