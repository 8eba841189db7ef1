"""What the first edition left behind: its scripts import, its runs, archives and exports load."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gptcore import load
from gptcore.files import read_json
from gptcore.runs import queue
from gptcore.runs.archive import import_work
from gptcore.runs.run import Run, list_runs

LEFT = Path(__file__).resolve().parents[1] / "first_edition"

# Imports that its exported scripts make, and that its explainers showed most.
IMPORTS = (
    "from gptcore import GPT, ModelConfig, TrainConfig, generate, load, save",
    "from gptcore.corpus import Windows, cut, fixed_batches, load_corpus, prepare",
    "from gptcore.corpus import bytes_per_token, encode_documents",
    "from gptcore.optim import clip_gradients, learning_rate, make_optimizers, window_cuts",
    "from gptcore.tokenizer import EOT, Tokenizer, load_tiktoken, story_tokenizer",
    "from gptcore.hf import load_llama, state_dict",
    "from gptcore.generation import Sampling, distribution, generate, generate_batch",
    "from gptcore.training import train, unigram_entropy",
    "from gptcore.stories import write_stories, write_story",
    "from gptcore.parser import accepts",
    "from gptcore.ladder import judge_pronouns, passages, sample_table, split_sentences",
    "from gptcore.checkpoint import SHIPPED",
    "from gptcore.attention import allowed_pairs, attention_weights, explicit_attention",
    "from gptcore.positions import POSITIONS, apply_rope, inverse_frequencies, rope_table",
    "from gptcore.norms import NORMS, LayerNorm, RMSNorm",
    "from gptcore.feedforward import FEEDFORWARDS",
    "from gptcore.account import cache_bytes, forward_flops, n_parameters",
)


@pytest.mark.parametrize("line", IMPORTS)
def test_each_import_works_in_a_fresh_interpreter(line):
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", ["gptcore.tokenizer", "gptcore.formats"])
def test_its_scripts_read_a_hugging_face_tokenizer_whatever_is_imported_first(first):
    path = LEFT / "hf" / "tokenizer.json"
    code = f"import {first}; from gptcore.tokenizer import Tokenizer; print(Tokenizer.load({str(path)!r}).vocab_size)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(load(path.parent)[1].vocab_size), done.stderr


def test_an_old_name_is_the_module_itself_and_leaves_it_as_it_was():
    old, new = importlib.import_module("gptcore.hf"), importlib.import_module("gptcore.formats.hf_weights")
    assert old is new and new.__spec__.name == new.__name__ == "gptcore.formats.hf_weights"


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="corpse"):
        importlib.import_module("gptcore.corpse")


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """The first edition's runs folder, as a copy that may change."""
    folder = tmp_path / "runs"
    shutil.copytree(LEFT / "runs", folder)
    monkeypatch.setenv("GLASSBOX_RUNS", str(folder))
    return folder


def command(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gptcore", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def steps_of(run: Run) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in run.events()[0] if event["event"] == "step"}


def same_weights(one, other) -> bool:
    weights, others = one.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(map(torch.equal, weights.values(), others.values()))


def test_runs_are_listed_with_their_state_name_and_events(runs):
    listed = {run.id: run for run in list_runs()}
    waiting = listed.pop("bcae6a9232c8d6c9ce02")
    assert (waiting.state(), waiting.name()) == ("waiting", "A run that waits")
    assert {run_id: run.state() for run_id, run in listed.items()} == {"finished": "done", "paused": "paused"}
    assert listed["paused"].action() == "resume" and listed["finished"].action() is None
    events, _ = listed["finished"].events()
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 41))
    assert events[-1]["event"] == "done" and events[0]["n_parameters"] == 9808


@pytest.mark.parametrize(
    "name", ["finished", "paused", "finished/latest", "paused/previous", "paused/history/000014"]
)
def test_models_load_and_write(runs, name):
    model, tokenizer = load(runs / name)
    assert sum(weight.numel() for weight in model.parameters()) == 9808
    assert tokenizer.vocab_size == 320
    said = json.loads(command("sample", runs / name, "--prompt", "Once", "--max-new-tokens", 5, "--json"))
    assert len(said["token_ids"]) <= 5 and said["text"]


def test_a_paused_run_resumes_to_the_numbers_of_the_one_that_was_never_paused(runs):
    lines = [json.loads(line) for line in command("resume", runs / "paused", "--json").splitlines()]
    assert lines[-1]["event"] == "done" and lines[-1]["step"] == 40
    whole, resumed = steps_of(Run(runs / "finished")), steps_of(Run(runs / "paused"))
    assert list(resumed) == list(whole)
    assert list(resumed.values()) == pytest.approx(list(whole.values()), abs=1e-4)
    assert Run(runs / "paused").state() == "done"


def test_a_request_that_waited_asks_for_the_same_run(runs, tmp_path):
    record = read_json(runs / "bcae6a9232c8d6c9ce02.request.json")
    request = queue.read_request(record)
    assert set(record["arguments"]) <= {"--set", *request.arguments()}
    command("train", *request.arguments(), "--out", tmp_path / "carried-out", "--json")
    run = Run(tmp_path / "carried-out")
    assert len(steps_of(run)) == 3 and run.last_event()["event"] == "done"
    assert load(run.folder)[0].config.d_model == 16


def test_a_run_is_exported_again(runs, tmp_path):
    finished = runs / "finished"
    command("export", finished, "--to", "hf", tmp_path / "hf")
    assert same_weights(load(tmp_path / "hf")[0], load(LEFT / "hf")[0])
    for kind, name in (("script", "again.py"), ("notebook", "again.ipynb")):
        command("export", finished, "--to", kind, tmp_path / name)
    assert "vocab_size=320" in (tmp_path / "again.py").read_text(encoding="utf-8")


def test_an_exported_folder_loads_as_the_model_it_came_from(runs):
    model, tokenizer = load(LEFT / "hf")
    ours, words = load(runs / "finished")
    assert same_weights(model, ours)
    assert tokenizer.encode("The king was sad.") == words.encode("The king was sad.")


def code_of(name: str) -> str:
    text = (LEFT / name).read_text(encoding="utf-8")
    if not name.endswith(".ipynb"):
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("name", ["script.py", "notebook.ipynb"])
def test_an_exported_script_runs_where_its_files_are_now(name, runs, tmp_path):
    code = code_of(name).replace("/home/learner/runs", str(runs))
    code = re.sub(r"^STEPS = \d+$", "STEPS = 3", code, flags=re.MULTILINE)
    shutil.copy(LEFT / "twenty-stories.txt", tmp_path)
    (tmp_path / "it.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "it.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "step     3" in done.stdout
    assert load(tmp_path / "my-model")[0].config == load(runs / "finished")[0].config


def test_my_work_is_imported_with_its_runs_and_what_was_passed(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    taken, about = import_work((LEFT / "my-work.zip").read_bytes(), owner="me")
    assert sorted(run.state() for run in taken) == ["done", "paused"]
    assert about["progress"] == {"passed": ["overview_1", "c5_quiz_2"]} and about["settings"] == {"seed": "3"}
    assert {run.id for run in list_runs(owner="me")} == {run.id for run in taken}
    for run in taken:
        assert same_weights(
            load(run.folder)[0], load(LEFT / "runs" / run.state().replace("done", "finished"))[0]
        )
