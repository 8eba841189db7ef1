"""Models on disk: they come back the same, are replaced whole or not at all, and nothing is unpickled."""

import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptcore.checkpoint import CheckpointError, read_folder, replacing, save
from gptcore.formats import load

VARIANTS = [
    {},
    {
        "tie_embeddings": False,
        "n_kv_heads": 2,
        "window": 5,
        "bias": "all",
        "position": "learned",
        "norm": "layernorm",
    },
    {"rope_scaling": {"kind": "llama3", "factor": 8.0}, "qk_norm": True, "norm_position": "pre+branch"},
]


@pytest.fixture
def saved(lively, tokenizer, tmp_path):
    model = lively(vocab_size=tokenizer.vocab_size)
    return model, save(model, tokenizer, tmp_path / "model")


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@torch.no_grad()
def test_a_model_comes_back_the_same(lively, random_ids, tokenizer, tmp_path, changes):
    model = lively(vocab_size=tokenizer.vocab_size, **changes)
    back, words = load(save(model, tokenizer, tmp_path / "deep" / "model"))
    assert back.config == model.config
    assert list(back.state_dict()) == list(model.state_dict())
    assert all(torch.equal(weight, back.state_dict()[name]) for name, weight in model.state_dict().items())
    assert torch.equal(back(random_ids(1, 9)), model(random_ids(1, 9)))
    assert not back.training
    assert (back.output.weight is back.embedding.weight) == model.config.tie_embeddings
    assert words.encode("The red fox") == tokenizer.encode("The red fox")


def test_the_files_are_json_and_safetensors(saved):
    _, folder = saved
    assert sorted(path.name for path in folder.iterdir()) == [
        "checksums.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    json.loads((folder / "config.json").read_text())
    assert "output.weight" not in load_file(folder / "model.safetensors")  # tied


def test_one_flipped_bit_in_the_weights_is_told(saved, tmp_path):
    _, folder = saved
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-100] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(
        CheckpointError, match=r"damaged, because model\.safetensors does not match its checksum"
    ):
        load(copy)
    (copy / "checksums.json").unlink()  # of a version that wrote none
    load(copy)


def test_weights_may_be_stored_smaller_and_come_back_wide(lively, tokenizer, tmp_path):
    model = lively(vocab_size=tokenizer.vocab_size)
    wide, narrow = tmp_path / "wide", tmp_path / "narrow"
    save(model, tokenizer, wide)
    save(model, tokenizer, narrow, dtype=torch.bfloat16)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (wide, narrow)]
    assert sizes[1] < 0.6 * sizes[0]
    back, _ = load(narrow)
    assert back.dtype == torch.float32
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weight, atol=0, rtol=2**-8)


def test_saving_again_replaces_and_leaves_nothing_beside(saved, lively, tokenizer):
    _, folder = saved
    other = lively(seed=5, vocab_size=tokenizer.vocab_size, n_layers=1)
    save(other, tokenizer, folder)
    assert load(folder)[0].config == other.config
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_failure_in_the_middle_leaves_the_old_model_whole(saved, lively, tokenizer):
    model, folder = saved

    class Unwritable:
        """A tokenizer whose file cannot be written, as on a full disk."""

        def save(self, path):
            raise OSError(28, "No space left on device", str(path))

    with pytest.raises(OSError, match="No space left"):
        save(lively(seed=5, vocab_size=tokenizer.vocab_size), Unwritable(), folder)
    assert torch.equal(load(folder)[0].embedding.weight, model.embedding.weight)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_kept_predecessor_is_whole(tmp_path):
    place, before = tmp_path / "latest", tmp_path / "previous"
    for number in range(3):
        with replacing(place, keep=before) as fresh:
            (fresh / "number").write_text(str(number))
    assert ((place / "number").read_text(), (before / "number").read_text()) == ("2", "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "previous"]


def refused(folder) -> str:
    with pytest.raises(CheckpointError) as error:
        load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_that_is_not_there_or_holds_nothing(tmp_path):
    assert "there is no file or folder" in refused(tmp_path / "nowhere")
    assert "does not contain a model" in refused(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"file is not a GGUF file"):  # the only single file that is a model
        load(tmp_path / "file")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "does not contain a readable model"),
        ("{not json", "does not contain a readable model"),
        ("[]", "format"),
        ('{"format": "another-9", "model": {}}', "format"),
        ('{"format": "glassbox-1"}', "does not contain a readable model"),
        ('{"format": "glassbox-1", "model": 3}', "does not contain a readable model"),
        ('{"format": "glassbox-1", "model": {}}', "does not contain a readable model"),
        ("\udcff", "does not contain a readable model"),
    ],
)
def test_a_broken_config_is_one_sentence(saved, config, words):
    _, folder = saved
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_bytes(config.encode("utf-8", "surrogateescape"))
    assert words in refused(folder)


def changed_config(folder, **changes) -> None:
    described = json.loads((folder / "config.json").read_text())
    described["model"] |= changes
    (folder / "config.json").write_text(json.dumps(described))


def test_a_folder_may_be_given_by_its_name(saved):
    model, folder = saved
    assert read_folder(str(folder))[0].config == model.config


def test_a_config_nested_too_deep_is_one_sentence(saved):
    _, folder = saved
    (folder / "config.json").write_text("[" * 100_000)
    assert "does not contain a readable model" in refused(folder)


def test_a_fault_of_the_program_is_not_taken_for_a_damaged_file(saved, monkeypatch):
    monkeypatch.setattr("gptcore.checkpoint.load_file", lambda path, device: None)  # called with one argument
    with pytest.raises(TypeError):
        load(saved[1])


def test_a_config_with_a_field_of_another_kind_is_one_sentence(saved):
    _, folder = saved
    changed_config(folder, norm=["rmsnorm"])
    with pytest.raises(ValueError) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit_the_config_are_one_sentence(saved):
    _, folder = saved
    changed_config(folder, d_ff=50)
    assert "do not match" in refused(folder)


@pytest.mark.parametrize("edit", ["missing", "extra", "cut", "text"])
def test_broken_weights_are_one_sentence(saved, edit):
    _, folder = saved
    path = folder / "model.safetensors"
    weights = load_file(path)
    if edit == "missing":
        weights.pop("layers.0.attention.qkv_proj.weight")
        save_file(weights, path)
    elif edit == "extra":
        save_file(weights | {"stranger": torch.ones(2)}, path)
    elif edit == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_text("these are not weights")
    assert "weights" in refused(folder)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(saved, tmp_path):
    _, folder = saved
    bomb = tmp_path / "exploded"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        broken = tmp_path / f"with-{name}"
        shutil.copytree(folder, broken)
        (broken / name).write_bytes(pickle.dumps(Bomb(bomb)))
        with pytest.raises(ValueError):
            load(broken)
    torch.save({"weight": Bomb(bomb)}, folder / "model.safetensors")
    assert "weights" in refused(folder)
    assert not bomb.exists()


def test_a_tokenizer_that_is_missing_or_too_large_for_the_model_is_one_sentence(
    saved, lively, tokenizer, tmp_path
):
    _, folder = saved
    mismatched = save(lively(vocab_size=100), tokenizer, tmp_path / "mismatched")
    with pytest.raises(ValueError, match="vocab"):
        load(mismatched)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="tokenizer"):
        load(folder)


def test_a_run_is_loaded_from_its_latest_state_or_the_one_before(saved, tmp_path):
    _, folder = saved
    run = tmp_path / "run"
    shutil.copytree(folder, run / "previous")
    (run / "config.json").write_text("{}")
    assert load(run)[0].config == load(folder)[0].config
    shutil.copytree(folder, run / "latest")
    changed_config(run / "latest", norm_eps=1e-3)
    assert load(run)[0].config.norm_eps == 1e-3
