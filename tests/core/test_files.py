"""Files that are whole or not there, also where the system refuses what Windows refuses."""

import fcntl
import os
from pathlib import Path

import pytest

from gptcore import files
from gptcore.formats.hf_folder import export_hf


@pytest.fixture
def strict_sync(monkeypatch):
    """A system that syncs no file that is open for reading only; how many it has synced."""
    synced, sync = [], os.fsync

    def fsync(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        synced.append(handle)
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return synced


def test_folders_are_written_where_only_files_open_for_writing_can_be_synced(
    strict_sync, lively, tokenizer, tmp_path
):
    model = lively(vocab_size=tokenizer.vocab_size)
    export_hf(model, tokenizer, tmp_path / "model")
    assert len(strict_sync) >= len(list((tmp_path / "model").iterdir())) > 2


def test_what_somebody_is_reading_is_moved_once_it_is_closed(tmp_path, monkeypatch):
    """As on Windows, which moves neither a file that is open nor one onto it."""
    refusals, moved = [PermissionError(13, "in use")] * 2, Path.replace

    def replace(source: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return moved(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(files, "PAUSES", (0.0, 0.0))
    (tmp_path / "state").write_bytes(b"old")
    files.write_bytes(tmp_path / "state", b"new")
    assert (tmp_path / "state").read_bytes() == b"new"
    refusals += [PermissionError(13, "in use")] * 3
    with pytest.raises(PermissionError, match="in use"):
        files.write_bytes(tmp_path / "state", b"newer")
    assert (tmp_path / "state").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
