"""Training on from a run or an imported model: its weights, tokenizer and shape, gently, with nothing left behind."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptcore.config import PRESETS, ConfigError
from gptcore.formats import load
from gptcore.formats.hf_folder import export_hf
from gptcore.runs import execute
from gptcore.runs.plan import make_plan
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run

SIZES = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16}
FIXED = {
    "threads": 1,
    "batch_size": 2,
    "precision": "fp32",
    "attention_path": "fused",
    "n_samples": 0,
    "n_evals": 1,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory, text):
    """A folder with a text and a finished run."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "animals.txt").write_text(text)
    request = RunRequest(corpus=str(folder / "animals.txt"), steps=3, settings=SIZES | FIXED)
    assert list(execute.start(request, folder / "run"))[-1].event == "done"
    return folder


def request_from(source, model="run", **fields) -> RunRequest:
    fields = {"steps": 4, "settings": FIXED} | fields
    return RunRequest(corpus=str(source / "animals.txt"), start_from=str(source / model), **fields)


def weights_of(folder) -> dict[str, torch.Tensor]:
    return load(folder)[0].state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def padded_hf_folder(source, tmp_path):
    """The run as a Hugging Face folder, its embedding padded to a round number of rows."""
    folder = export_hf(*load(source / "run"), tmp_path / "hf")
    weights = load_file(folder / "model.safetensors")
    for name in weights.keys() & {"model.embed_tokens.weight", "lm_head.weight"}:
        weights[name] = torch.cat([weights[name], torch.zeros(320 - len(weights[name]), 16)])
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 320}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_training_begins_with_the_weights_and_resumes_when_their_source_is_gone(source, tmp_path):
    shutil.copytree(source / "run", tmp_path / "run")
    shutil.copy(source / "animals.txt", tmp_path)
    before = weights_of(tmp_path / "run")
    whole = [event for event in execute.start(request_from(tmp_path), tmp_path / "whole")]
    assert same(
        weights_of(tmp_path / "whole" / "history" / "000000"),
        {k: v.bfloat16().float() for k, v in before.items()},
    )
    assert not same(weights_of(tmp_path / "whole"), before)
    rates = [event.lr for event in whole if event.event == "step"]
    assert 0 < max(rates) <= PRESETS["nano"].train.learning_rate / 10

    events = execute.start(request_from(tmp_path), tmp_path / "half")
    for event in events:
        if event.event == "checkpoint":
            break
    events.close()
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "animals.txt").unlink()
    described = Run(tmp_path / "half").config()
    assert described["start_from"] == str(tmp_path / "run") and len(described["start_from_sha256"]) == 64
    list(execute.resume(tmp_path / "half"))
    assert same(weights_of(tmp_path / "half"), weights_of(tmp_path / "whole"))


def test_an_imported_model_with_a_padded_vocabulary_is_trained_and_resumed(source, tmp_path):
    padded_hf_folder(source, tmp_path)
    shutil.copy(source / "animals.txt", tmp_path)
    events = execute.start(request_from(tmp_path, "hf"), tmp_path / "more")
    for event in events:
        if event.event == "checkpoint":
            break
    events.close()
    assert list(execute.resume(tmp_path / "more"))[-1].event == "done"
    model, tokenizer = load(tmp_path / "more")
    assert model.config.vocab_size == 320 > tokenizer.vocab_size
    assert tokenizer.encode("The red fox") == load(source / "run")[1].encode("The red fox")


def test_the_model_keeps_its_shape_and_only_what_shapes_no_weight_can_change(source):
    plan = make_plan(request_from(source, settings={"dropout": 0.1, "context_length": 32, "rope_theta": 5e4}))
    theirs = load(source / "run")[0].config
    assert plan.model == theirs.replace(dropout=0.1, context_length=32, rope_theta=5e4)
    assert plan.train.learning_rate == PRESETS["nano"].train.learning_rate / 10
    assert make_plan(request_from(source, settings={"learning_rate": 0.5})).train.learning_rate == 0.5
    with pytest.raises(ConfigError, match=r"d_model belongs to the shape of the model in .*; leave it out"):
        make_plan(request_from(source, settings={"d_model": 32, "n_layers": 2}))
    with pytest.raises(ConfigError, match="its own tokenizer; leave out --tokenizer"):
        make_plan(request_from(source, tokenizer="train"))
    with pytest.raises(ValueError, match="there is no file or folder"):
        make_plan(request_from(source, "nothing"))


def test_a_longer_context_than_the_preset_s_is_trained_in_shorter_windows(source, monkeypatch):
    longest = PRESETS["nano"].model.context_length
    plan = make_plan(request_from(source, settings={"context_length": 4 * longest}))
    assert (plan.model.context_length, plan.train.window_length) == (4 * longest, longest)
    assert any("in windows of 256 tokens, of the model's context of 1,024" in note for note in plan.notes)
    named = make_plan(request_from(source, settings={"context_length": 1024, "window_length": 512}))
    assert named.train.window_length == 512


def test_the_key_follows_the_weights_and_not_where_they_are(source, tmp_path):
    shutil.copytree(source / "run" / "latest", tmp_path / "copy")
    request = request_from(source).sealed()
    moved = replace(request, start_from=str(tmp_path / "copy"), hashes=()).sealed()
    assert dict(request.hashes).keys() == {"corpus", "start_from"} and moved.key == request.key
    weights = load_file(tmp_path / "copy" / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, tmp_path / "copy" / "model.safetensors")
    assert replace(moved, hashes=()).key != request.key
    with pytest.raises(ConfigError, match=r"start_from .* has changed since"):
        next(execute.start(moved, tmp_path / "out"))
