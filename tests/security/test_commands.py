"""Inputs that once ended a command with a traceback, kept it waiting for ever, or left files behind."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from gptcore.__main__ import main
from gptcore.checkpoint import SHIPPED
from gptcore.formats.export import export
from gptcore.norms import NORMS
from tests.security.command_line_fuzz import QUICK, SIZES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with a text, a pipe, and a plugin whose norm returns nothing."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("The quick brown fox sees the lazy dog. " * 60, encoding="utf-8")
    os.mkfifo("pipe")
    Path("plugin.py").write_text(
        "from gptcore.norms import NORMS, RMSNorm\nclass Empty(RMSNorm):\n"
        "    def forward(self, x): return None\nNORMS['empty'] = Empty\n",
        encoding="utf-8",
    )
    yield tmp_path
    NORMS.pop("empty", None)


def refused(capsys, *words: str, printed: int = 0) -> str:
    """Run a command that must be refused, after so many lines of output; return its one sentence."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    *before, said = err.removesuffix("\n").split("\n")
    assert (
        out.count("\n") == len(before) == printed and said.startswith("error: ") and "unexpected" not in said
    )
    return said


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("head_dim=18446744073709551616", "head_dim=18446744073709551616 must be at most 10,000,000"),
        ("n_layers=2147483648", "n_layers=2147483648 must be at most 4,096"),
        ("d_model=" + "9" * 400, "d_model=9999"),
        ("learning_rate=" + "9" * 400, "learning_rate=9999"),
        ("context_length=100000000", "held-out text"),
        ("d_ff=900000000", "GB of memory"),
        ("batch_size=900000000", "GB of memory"),
        ("precision=float8", "must be one of auto, fp32, bf16, fp16"),
    ],
    ids=lambda value: value[:30],
)
def test_a_size_that_nothing_holds_is_refused_and_leaves_nothing(here, capsys, setting, says):
    words = ["train", "--corpus", "text.txt", "--tokenizer", "train", "--steps", "1"]
    assert says in refused(capsys, *words, "--set", *SIZES, *QUICK, setting, "--out", "above/run")
    assert not Path("above").exists()


def test_torchs_name_of_a_precision_trains(here, capsys):
    words = [
        "train",
        "--corpus",
        "text.txt",
        "--tokenizer",
        "train",
        "--steps",
        "1",
        "--json",
        "--set",
        *SIZES,
        *QUICK,
    ]
    assert main([*words, "precision=bfloat16", "--out", "run"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["precision"] == "bf16"


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/urandom", "pipe", "."])
@pytest.mark.parametrize(
    "words",
    [
        ["train", "--out", "run", "--corpus"],
        ["train", "--corpus", "text.txt", "--out", "run", "--tokenizer"],
        ["train", "--corpus", "text.txt", "--out", "run", "--plugin"],
        ["stories", "--check"],
        ["tokenize", "text", "--tokenizer"],
        ["exercise", "sliding_window"],
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_what_is_no_regular_file_is_not_read(here, capsys, words, name):
    refused(capsys, *words, name)
    assert not Path("run").exists()


def test_a_file_of_a_model_that_is_a_pipe_is_not_waited_for(here, capsys):
    for name in ("config.json", "tokenizer.json", "checksums.json"):
        folder = here / f"with {name}"
        shutil.copytree(SHIPPED / "latest", folder)
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
        if name == "checksums.json":  # a model needs none
            assert main(["sample", str(folder), "--max-new-tokens", "1"]) == 0
            capsys.readouterr()
        else:
            refused(capsys, "sample", str(folder))


def test_a_model_without_a_tokenizer_is_refused(here, capsys):
    export(SHIPPED, "hf", "hf")
    Path("hf/tokenizer.json").unlink()
    assert "does not contain a tokenizer" in refused(capsys, "sample", "hf")
    assert "does not contain a tokenizer" in refused(capsys, "export", "hf", "--to", "hf", "out")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stories", "--n", "9" * 40], "must be from 1 to 1,000,000"),
        (["sample", "--max-new-tokens", "9" * 400], "must be from 1 to 1,000,000"),
        (["sample", "--repetition-penalty", "inf"], "repetition_penalty=inf"),
        (["tokenize", "a\0b"], "NUL"),
    ],
    ids=["stories", "sample", "penalty", "nul"],
)
def test_a_number_too_large_is_refused(here, capsys, words, says):
    assert says in refused(capsys, *words)


def test_a_temperature_that_float32_rounds_to_0_is_greedy(here, capsys):
    texts = []
    for temperature in ("0", "1e-320", "5e-324"):
        assert main(["sample", "--max-new-tokens", "8", "--temperature", temperature]) == 0
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 1


def test_a_part_of_a_plugin_that_fails_is_named_with_its_plugin(here, capsys):
    words = ["train", "--plugin", "plugin.py", "--corpus", "text.txt", "--tokenizer", "train", "--steps", "1"]
    said = refused(capsys, *words, "--set", *SIZES, *QUICK, "norm=empty", "--out", "run", printed=1)
    assert "plugin.py" in said and "check the parts that it adds" in said
    assert not Path("run").exists()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("text", ["é漢字🙂", "lone \udcff surrogate", "plain"])
def test_output_is_utf_8_whatever_the_console_and_half_a_character_is_its_escape(monkeypatch, encoding, text):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(["tokenize", text, "--json"]) == 0
    shown = json.loads(raw.getvalue().decode("utf-8"))
    assert shown["token_ids"]
    assert main(["sample", "--prompt", text, "--max-new-tokens", "1", "--json"]) == 0
    prompt = json.loads(raw.getvalue().decode("utf-8").splitlines()[1])["text"]
    assert prompt.startswith(text)


def test_a_run_on_a_russian_text_with_emoji_prints_it_whatever_the_console(here, monkeypatch):
    Path("russian.txt").write_text("Лиса увидела цаплю у реки 🦊. " * 80, encoding="utf-8")
    printed, told = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="cp1252"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(told, encoding="cp1252"))
    words = [
        "train",
        "--corpus",
        "russian.txt",
        "--tokenizer",
        "train",
        "--steps",
        "1",
        "--out",
        "run",
        "--json",
    ]
    assert main([*words, "--set", *SIZES, *QUICK]) == 0
    assert main(["sample", "run", "--prompt", "Лиса 🦊", "--max-new-tokens", "1"]) == 0
    assert main(["sample", "лиса", "--prompt", "x"]) == 2
    lines = printed.getvalue().decode("utf-8").splitlines()
    samples = [event for event in map(json.loads, lines[:-1]) if event["event"] == "sample"]
    assert samples and all(set(sample["prompt"]) & set("Лисацплю") for sample in samples)
    assert lines[-1].startswith("Лиса 🦊")
    sys.stderr.flush()
    assert "лиса" in told.getvalue().decode("utf-8")


def test_a_full_output_is_one_sentence(here, monkeypatch, capsys):
    words = ["train", "--corpus", "text.txt", "--tokenizer", "train", "--steps", "1", "--json"]
    for command in (["tokenize", "text"], [*words, "--set", *SIZES, *QUICK, "--out", "run"]):
        full = io.TextIOWrapper(open("/dev/full", "wb"), encoding="utf-8")  # noqa: SIM115
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", full)
            assert main(command) == 2
        full.close()  # what was left went nowhere
        assert "No space left on device" in capsys.readouterr().err
    assert not Path("run").exists()


class BrokenInput:
    """A standard input that fails in a way no command expects."""

    @property
    def buffer(self):
        raise KeyError("missing")


def test_an_error_that_nobody_expects_is_one_sentence_that_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", BrokenInput())
    assert main(["stories", "--check", "-"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: unexpected error; please report it") and "KeyError: 'missing'" in said
    assert said.count("\n") == 1
