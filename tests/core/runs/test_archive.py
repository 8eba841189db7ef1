"""My work as a zip: what goes down comes up, and what a stranger made is refused with nothing left behind."""

import io
import json
import zipfile

import pytest
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes

from gptcore.config import ModelConfig, TrainConfig
from gptcore.formats import load
from gptcore.runs import run as runs
from gptcore.runs.archive import export_work, import_work
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.recorder import Recorder
from gptcore.runs.run import Run, RunError, request_file
from gptcore.training.loop import train

CONFIG = TrainConfig(
    steps=4,
    batch_size=2,
    n_evals=1,
    n_samples=1,
    eval_batches=1,
    threads=1,
    precision="fp32",
    attention_path="fused",
)


@pytest.fixture
def run(tmp_path, monkeypatch, corpus, tokenizer) -> Run:
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "runs" / "first"
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=16, d_model=16, n_layers=1, n_heads=2)
    recorder = Recorder(folder)
    recorder.describe(
        {"format": runs.FORMAT, "model": shape.to_dict(), "train": CONFIG.to_dict()}, tokenizer, corpus
    )
    list(recorder.record(train(shape, CONFIG, corpus, tokenizer)))
    recorder.close()
    run = Run(folder)
    runs.rename(run, "my first")
    return run


def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def test_what_goes_down_comes_up_once(run, tmp_path, monkeypatch):
    data = export_work([run], {"progress": {"passed": ["c5.why"]}})
    folder = elsewhere(tmp_path, monkeypatch)
    (taken,), about = import_work(data, owner="me")
    assert about == {"progress": {"passed": ["c5.why"]}}
    assert (taken.name(), taken.owners(), taken.state()) == ("my first", ["me"], "done")
    assert taken.id != run.id
    assert taken.events()[0] == run.events()[0]
    weights = [load(one.folder)[0].state_dict() for one in (run, taken)]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert import_work(data, owner="me")[0] == [taken]
    assert runs.list_runs() == [taken]
    assert not [path for path in folder.glob(".*") if path.is_dir()]


def test_a_finished_run_leaves_its_optimizer_at_home(run):
    names = zipfile.ZipFile(io.BytesIO(export_work([run]))).namelist()
    assert "runs/first/latest/model.safetensors" in names
    assert "runs/first/latest/state.safetensors" not in names
    log = run.folder / "events.jsonl"
    log.write_bytes(b"\n".join(log.read_bytes().splitlines()[:-1]) + b"\n")
    assert "runs/first/latest/state.safetensors" in zipfile.ZipFile(io.BytesIO(export_work([run]))).namelist()


def changed(data: bytes, change) -> bytes:
    """The same zip with its files changed: `change` gets a dict of names and bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        files = {name: source.read(name) for name in source.namelist()}
    change(files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


def put(name, content):
    return lambda files: files.update({name: content})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("../outside.txt", b"x"), "not part of a run"),
        (put("/etc/cron.d/x", b"x"), "not part of a run"),
        (put("runs/../../x/config.json", b"{}"), "not part of a run"),
        (put("runs/first/latest/model.pkl", b"x"), "not part of a run"),
        (put("runs/first/lock", b"x"), "not part of a run"),
        (put("runs/first/corpus.txt", b"x" * 5_000_000), "expands from"),
        (put("runs/first/config.json", b"[]"), "config.json is damaged"),
        (put("runs/first/config.json", b"{}"), "must have the format"),
        (put("runs/first/events.jsonl", b"hello\n"), "line 1 of its events.jsonl is not a valid event"),
        (put("runs/first/latest/model.safetensors", b"\x80\x04."), "weights in latest are damaged"),
        (put("work.json", b"{}"), "work.json is damaged"),
        (put("work.json", b'{"format": "other", "names": {}, "about": {}}'), "must have the format"),
        (lambda files: files.pop("work.json"), "no readable work.json"),
    ],
)
def test_what_a_stranger_made_is_refused_and_leaves_nothing(run, tmp_path, monkeypatch, change, words):
    data = changed(export_work([run]), change)
    folder = elsewhere(tmp_path, monkeypatch)
    with pytest.raises(RunError, match=words) as refused:
        import_work(data)
    assert "\n" not in str(refused.value)
    assert not [path for path in folder.rglob("*") if path.name != ".lock"] if folder.exists() else True
    assert not (tmp_path / "outside.txt").exists()


def test_no_zip_a_damaged_one_and_one_too_large(run, tmp_path, monkeypatch):
    data = export_work([run])
    elsewhere(tmp_path, monkeypatch)
    with pytest.raises(RunError, match="not a zip"):
        import_work(b"hello")
    middle = len(data) // 2
    with pytest.raises(RunError):
        import_work(data[:middle] + b"\0" * 200 + data[middle + 200 :])
    tight = Limits.from_environment({"GLASSBOX_UPLOAD_MB": "0.01"})
    with pytest.raises(LimitError, match="the limit is"):
        import_work(data, limits=tight)


def test_a_run_restored_under_another_cookie_belongs_to_who_restored_it(run):
    data = export_work([run])
    (first,), _ = import_work(data, owner="before")
    (second,), _ = import_work(data, owner="after")
    assert (first.owners(), second.owners()) == (["before"], ["after"])
    assert import_work(data, owner="after")[0] == [second]
    assert runs.list_runs("after") == [second]


def test_what_comes_from_a_zip_names_no_path_plugin_or_address(run, tmp_path, monkeypatch):
    config = json.loads((run.folder / "config.json").read_text())
    named = {"corpus": "/etc/passwd", "plugin": "/tmp/x.py", "tokenizer": "/tmp/t.json", "owner": "another"}
    change = put("runs/first/config.json", json.dumps(config | named | {"more": "/etc"}).encode())
    data = changed(export_work([run]), change)
    elsewhere(tmp_path, monkeypatch)
    (taken,), _ = import_work(data, owner="me")
    written = (taken.folder / "config.json").read_text()
    assert "/etc" not in written and "/tmp" not in written and "another" not in written
    assert taken.config()["corpus"] == "corpus.txt"  # what the zip itself carries
    data = changed(data, lambda files: files.pop("runs/first/corpus.txt"))
    data = changed(data, put("runs/first/events.jsonl", b""))
    (without_text,), _ = import_work(data, owner="me")
    assert without_text.config()["corpus"] == ""


@pytest.mark.parametrize("sizes", [{"d_model": 4096, "n_layers": 8}, {"n_layers": 4_000}])
def test_a_model_that_is_too_large_is_refused_before_it_is_built(run, tmp_path, monkeypatch, sizes):
    config = json.loads((run.folder / "config.json").read_text())
    config["model"] |= sizes
    model = {"format": "glassbox-1", "model": config["model"]}
    data = changed(export_work([run]), put("runs/first/config.json", json.dumps(config).encode()))
    data = changed(data, put("runs/first/latest/config.json", json.dumps(model).encode()))
    elsewhere(tmp_path, monkeypatch)
    monkeypatch.setattr("gptcore.checkpoint.GPT", None)
    with pytest.raises(LimitError, match="first in this zip is too large"):
        import_work(data, limits=Limits.from_environment({"GLASSBOX_HOSTED": "1"}, memory=8_000_000_000))


def test_a_model_that_computes_no_numbers_is_refused(run, tmp_path, monkeypatch):
    def blow_up(files):
        weights = load_bytes(files["runs/first/latest/model.safetensors"])
        weights["embedding.weight"][0, 0] = float("nan")
        files["runs/first/latest/model.safetensors"] = save_bytes(weights)
        del files["runs/first/latest/checksums.json"]

    data = changed(export_work([run]), blow_up)
    elsewhere(tmp_path, monkeypatch)
    with pytest.raises(RunError, match="outputs are NaN or infinite"):
        import_work(data)


def test_a_run_of_the_command_line_is_not_doubled_at_home_and_is_no_visitors(run):
    request_file(run.folder).unlink()
    assert run.owners() == []
    data = export_work([run])
    assert import_work(data, owner="home", is_local=True)[0] == [run]
    (copy,), _ = import_work(data, owner="visitor")
    assert copy != run and copy.owners() == ["visitor"]
