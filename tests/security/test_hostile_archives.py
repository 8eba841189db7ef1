"""Zips of "My work" that a stranger made: what comes of them is a run that is data, or one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gptcore.runs.archive import import_work
from gptcore.runs.jobs import ERROR
from gptcore.runs.limits import LimitError
from gptcore.runs.run import Run, RunError, list_runs, log_file
from tests.security.hostile import WEIGHTS, ZIPS, Files, member, with_json, without_words, work_files, zipped

ROOT = Path(__file__).resolve().parents[2]
CANARY = "sesame-7f3c1d is what nobody outside may ever read"
MOST_MB = 300
BUILT_IN_CASES = ("tokenizer", "plugin", "settings")


@pytest.fixture(scope="session")
def files(paused_run) -> Files:
    return work_files(paused_run)


def left_behind(folder: Path) -> list[Path]:
    """What an import that was refused has left in the runs folder."""
    return [path for path in folder.rglob("*") if path.name != ".lock"] if folder.exists() else []


@pytest.mark.parametrize("harm", ZIPS)
def test_a_harmed_zip_is_one_sentence_or_an_honest_run(files, runs_folder, tmp_path, harm):
    before = {path for path in tmp_path.rglob("*") if runs_folder not in path.parents}
    try:
        taken, _ = import_work(ZIPS[harm](files), owner="b")
    except (RunError, LimitError) as error:
        assert "\n" not in str(error) and str(runs_folder) not in str(error) and len(str(error)) < 300
        assert not left_behind(runs_folder)
    else:
        assert all(run.state() in ("paused", "done", "interrupted") for run in taken)
        assert not [path for path in runs_folder.rglob("*") if path.is_symlink()]
        assert "root:" not in "".join(path.read_text() for path in runs_folder.rglob("corpus.txt"))
    assert {path for path in tmp_path.rglob("*") if runs_folder not in path.parents} - {runs_folder} == before


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors"])
@pytest.mark.parametrize("harm", WEIGHTS)
def test_harmed_weights_are_refused_in_one_sentence(files, runs_folder, name, harm):
    weights = member(files, f"latest/{name}")
    with pytest.raises(RunError) as refused:
        import_work(zipped(files | {weights: WEIGHTS[harm](files[weights])}), owner="b")
    assert "\n" not in str(refused.value) and str(runs_folder) not in str(refused.value)
    assert not left_behind(runs_folder)


def watched(tmp_path: Path, *zips: bytes, **job) -> dict:
    """Import zips in a child process, which reports what it opened, reached and took."""
    for name in ("runs", "temp", "home"):
        (tmp_path / name).mkdir(exist_ok=True)
    names = [tmp_path / f"{number}.zip" for number in range(len(zips))]
    for path, data in zip(names, zips):
        path.write_bytes(data)
    job |= {"zips": [str(path) for path in names], "readable": [str(ROOT)]}
    job["writable"] = [str(tmp_path / "runs"), str(tmp_path / "temp")]
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = {"GLASSBOX_HOSTED": "1", "GLASSBOX_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)}
    # What goes on ends at its first step, and no place in the queue is wanting.
    environment |= {"GLASSBOX_SECONDS": "0.001", "GLASSBOX_QUEUE": "999", "GLASSBOX_QUEUE_PER_VISITOR": "999"}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temp"), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, str(ROOT / "tests/security/watched_child.py"), str(tmp_path / "job.json")],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]} | environment,
        timeout=300,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    return json.loads(said.stdout.splitlines()[-1])


def naming(**fields):
    """A change of config.json that names something of the server's."""
    return lambda config: config.update(fields)


def settings_naming(**fields):
    def change(config: dict) -> None:
        config["train"].update(fields)
        config["settings"] = [f"{name}={value}" for name, value in fields.items()]

    return change


def instructions(outside: Path) -> dict[str, object]:
    """Every way in which a config tries to be an instruction, with the files it names."""
    secret, plugin = outside / "secret.txt", outside / "plugin.py"
    return {
        "corpus": naming(corpus=str(secret), corpus_name="a text"),
        "relative corpus": naming(corpus="../../outside/secret.txt"),
        "hub": naming(corpus="hub:someone/data"),
        "device": naming(corpus="/dev/zero"),
        "tokenizer": naming(corpus="stories", tokenizer=str(secret)),
        "plugin": naming(corpus="stories", plugin=str(plugin)),
        "threads": settings_naming(threads=4096),
        "compile": settings_naming(compile=True),
        "settings": naming(corpus="stories", settings=[f"corpus={secret}", f"plugin={plugin}"]),
        "environment": naming(environment={"GLASSBOX_HOSTED": "0"}, owner="a", lab=True),
    }


def test_an_imported_run_is_data_and_resuming_it_opens_nothing_but_its_folder(files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(f"{CANARY}\n" * 300)
    (outside / "plugin.py").write_text(f"open({str(outside / 'ran')!r}, 'w').close()\n")
    config = member(files, "config.json")
    attacks = []
    for name, change in instructions(outside).items():
        # The built-in stories are encoded for half a minute: those cases have the run's own text.
        for kept in (files, without_words(files)) if name not in BUILT_IN_CASES else (files,):
            log = member(kept, "events.jsonl")
            one = with_json(kept, config, change)
            # A log of its own for each: the same log is the same run.
            one[log] += b'{"event":"note","step":3,"tokens":96,"seconds":%d.5}\n' % len(attacks)
            attacks.append(zipped(one))
    found = watched(tmp_path, *attacks, resume=True)
    assert found["outside"] == []
    assert not [outcome["traceback"] for outcome in found["said"] if "traceback" in outcome]
    assert not (outside / "ran").exists()
    runs = list_runs(folder=tmp_path / "runs")
    assert any(
        run.last_event().get("reason") == "seconds" for run in runs
    )  # some did go on, on their own text
    written = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not [path for path in written if b"sesame" in path.read_bytes()]
    assert not [said for outcome in found["said"] for said in outcome.values() if "sesame" in said]


def test_a_small_zip_builds_no_large_model(files, tmp_path):
    attacks = []
    for shape in (
        {"d_model": 4096, "n_layers": 8, "n_heads": 32, "n_kv_heads": 32, "d_ff": 16384},
        {"n_layers": 20_000},
        {"n_layers": 2**31},
        {"vocab_size": 2**31 - 1},
        {"context_length": 2**40},
        {"d_ff": 2**40},
    ):
        names = (member(files, "config.json"), member(files, "latest/config.json"))
        one = dict(files)
        for name in names:
            one = with_json(one, name, lambda config, shape=shape: config["model"].update(shape))
        attacks.append(zipped(one))
        one.pop(member(files, "latest/config.json"))
        attacks.append(zipped(one))
    found = watched(tmp_path, *attacks, memory_mb=4_000)
    assert all("refused" in outcome for outcome in found["said"]), found["said"]
    assert not [outcome for outcome in found["said"] if str(tmp_path) in outcome["refused"]]
    assert found["grown_mb"] < MOST_MB and found["outside"] == []


def test_a_run_that_would_never_end_is_not_resumed(files, tmp_path):
    attacks = []
    for changes in ({"accumulation": 10**9}, {"batch_size": 10**9}, {"seconds": 1e9, "steps": None}):
        one = with_json(
            files,
            member(files, "config.json"),
            lambda config, changes=changes: config["train"].update(changes),
        )
        one[member(files, "events.jsonl")] += b'{"event":"note","step":3,"tokens":96,"seconds":%d.5}\n' % len(
            attacks
        )
        attacks.append(zipped(one))
    found = watched(tmp_path, *attacks, resume=True)
    assert all(outcome == {} or "refused" in outcome for outcome in found["said"])
    assert sum("refused" in outcome for outcome in found["said"]) == len(attacks)


def test_why_a_run_failed_names_no_path_of_the_server(copied):
    run = copied("failed")
    log = run.folder / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    log_file(run.folder).write_text(f"{ERROR}{run.folder} does not hold {run.folder / 'corpus.txt'}\n")
    assert run.failure() == "failed does not hold corpus.txt"
    with log.open("a") as events:
        events.write(
            json.dumps({"event": "failed", "step": 9, "tokens": 9, "seconds": 1, "reason": str(log)})
        )
        events.write("\n")
    assert run.failure() == "events.jsonl"


def test_what_a_has_and_b_imports_is_both_of_theirs(paused_run, files, runs_folder):
    (first,), _ = import_work(zipped(files), owner="a")
    (second,), _ = import_work(zipped(files), owner="b")
    assert [run.id for run in list_runs("a")] == [first.id]
    assert [run.id for run in list_runs("b")] == [second.id]
    assert second.owners()[0] == "b" or second == first
    assert Run(first.folder).owners()[0] == "a"
