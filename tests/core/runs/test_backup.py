"""A backup is the runs folder: unpacked elsewhere its runs are the same, and no zip grows beyond its part."""

import io
import zipfile

import pytest

from gptcore.files import write_json
from gptcore.runs import backup, execute
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, request_file

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16, "threads": 1}
TINY |= {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_samples": 1, "n_evals": 1}


@pytest.fixture
def folder(tmp_path):
    """A runs folder with two runs, the request of one, a text, and what no backup holds."""
    folder = tmp_path / "runs"
    for name, size in (("first", 600), ("second", 700)):
        (folder / name / "latest").mkdir(parents=True)
        (folder / name / "latest" / "model.safetensors").write_bytes(bytes(size))
        (folder / name / "lock").touch()
    write_json(request_file(folder / "first"), {"owners": ["a"]})
    (folder / "texts").mkdir()
    (folder / "texts" / "0123456789abcdef.txt").write_text("A fox.")
    (folder / ".incoming-1").mkdir()
    (folder / ".incoming-1" / "half").write_bytes(bytes(10))
    (folder / ".lock").touch()
    (folder / "elsewhere").symlink_to("/etc")
    return folder


def unpack(folder, names, target) -> list[str]:
    data = io.BytesIO()
    backup.write_part(folder, names, data)
    with zipfile.ZipFile(data) as archive:
        archive.extractall(target)
        return archive.namelist()


def test_a_small_folder_is_one_zip_that_unpacks_to_it(folder, tmp_path):
    (names,) = backup.parts(folder)
    members = unpack(folder, names, tmp_path / "restored")
    assert sorted(members) == [
        "first.request.json",
        "first/latest/model.safetensors",
        "second/latest/model.safetensors",
        "texts/0123456789abcdef.txt",
    ]
    assert Run(tmp_path / "restored" / "first").owners() == ["a"]
    assert (tmp_path / "restored" / "second/latest/model.safetensors").read_bytes() == bytes(700)


def test_a_large_folder_is_divided_between_runs(folder):
    first, second = backup.parts(folder, 1000)
    assert first == ["first", "first.request.json"] and second == ["second", "texts"]
    assert backup.part_bytes(folder, second) == 706
    # A run that alone is larger than a part has one to itself.
    assert backup.parts(folder, 10) == [first, ["second"], ["texts"]]
    assert backup.parts(folder / "missing") == []


def test_what_vanishes_meanwhile_is_left_out(folder, monkeypatch):
    (names,) = backup.parts(folder)
    files = backup._files

    def then_removed(path):
        found = files(path)
        for file in found:
            if "second" in file.parts:
                file.unlink()
        return found

    monkeypatch.setattr(backup, "_files", then_removed)
    data = io.BytesIO()
    backup.write_part(folder, names, data)
    assert not any("second" in name for name in zipfile.ZipFile(data).namelist())
    assert zipfile.ZipFile(data).testzip() is None


def test_a_run_taken_from_a_backup_resumes(tmp_path, text):
    (tmp_path / "animals.txt").write_text(text)
    run = Run(tmp_path / "runs" / "mine")
    request = RunRequest(corpus=str(tmp_path / "animals.txt"), tokenizer="train", steps=400, settings=TINY)
    for event in execute.start(request, run.folder):
        if event.event == "step" and event.step == 3:
            run.pause()
    unpack(tmp_path / "runs", backup.parts(tmp_path / "runs")[0], tmp_path / "restored")
    again = Run(tmp_path / "restored" / "mine")
    assert again.can_resume()
    assert [event.event for event in execute.resume(again.folder)][-1] == "done"
    assert again.is_finished()
