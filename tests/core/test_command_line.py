"""The command line as others call it: real processes, lines of JSON, and one sentence for bad input."""

import contextlib
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gptcore
from gptcore.__main__ import COMMANDS, main, parser
from gptcore.config import PRESETS
from gptcore.formats import load
from gptcore.runs.plan import make_plan
from gptcore.runs.request import RunRequest, parse_settings
from gptcore.runs.run import Run

ROOT = Path(gptcore.__file__).resolve().parent.parent
SETTINGS = [
    "d_model=32",
    "n_heads=2",
    "n_layers=1",
    "d_ff=48",
    "vocab_size=300",
    "context_length=32",
    "batch_size=4",
    "dropout=0.1",
    "threads=1",
    "precision=fp32",
    "attention_path=fused",
    "n_evals=3",
    "n_samples=4",
    "eval_batches=2",
]
STEPS = 150


@pytest.fixture(autouse=True)
def own_signal_handlers():
    """Give the test process its handlers back after a training command has run in it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def gpt(*arguments, **options) -> subprocess.Popen:
    """Start `python -m gptcore` as a shell would."""
    return subprocess.Popen(
        [sys.executable, "-m", "gptcore", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process: subprocess.Popen, timeout: float = 90) -> tuple[int, list[dict], str]:
    """Wait for a command; return its exit status, its lines of JSON, and its standard error."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def training(file, out, *more) -> list:
    return ["train", "--corpus", file, "--steps", STEPS, "--seed", 1, "--set", *SETTINGS, "--out", out, *more]


@pytest.fixture(scope="module")
def file(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "animals.txt"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def trained(file, tmp_path_factory):
    """A finished run: its directory and the lines it printed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    status, lines, err = ended(gpt(*training(file, folder, "--json")))
    assert (status, err) == (0, "")
    return folder, lines


FIELDS = {
    "start": {
        "config",
        "n_parameters",
        "total_steps",
        "floor",
        "uniform",
        "unigram",
        "bytes_per_token",
        "precision",
        "attention_path",
        "threads",
        "notes",
    },
    "step": {"loss", "lr", "grad_norm", "tokens_per_second"},
    "eval": {"val_loss", "perplexity", "bits_per_byte"},
    "sample": {"text", "prompt", "ladder"},
    "checkpoint": {"path"},
    "done": {"reason"},
}


def test_train_prints_each_event_as_a_line_with_the_promised_fields(trained):
    folder, lines = trained
    assert {line["event"] for line in lines} == set(FIELDS)
    for line in lines:
        assert {"step", "tokens", "seconds"} | FIELDS[line["event"]] <= set(line)
    assert lines[-1]["reason"] == "steps"
    assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, STEPS + 1))
    assert lines == Run(folder).events()[0]
    assert {line["path"] for line in lines if line["event"] == "checkpoint"} == {str(folder / "latest")}


def test_train_learns_a_text_nobody_prepared(trained):
    _, lines = trained
    losses = [line["val_loss"] for line in lines if line["event"] == "eval"]
    assert losses[-1] < 0.7 * lines[0]["unigram"]


def sampled(capsys, *arguments) -> dict:
    assert main(["sample", *map(str, arguments), "--json"]) == 0
    out = capsys.readouterr()
    assert out.err == ""
    (line,) = out.out.splitlines()
    return json.loads(line)


def test_sample_prints_one_line_with_the_promised_fields(trained):
    folder, _ = trained
    status, (line,), err = ended(
        gpt("sample", folder, "--prompt", "The red", "--max-new-tokens", 12, "--json")
    )
    assert (status, err) == (0, "")
    promised = "prompt_ids token_ids text stop tokens_per_second prefill_seconds cache_bytes cache_bytes_used"
    assert set(promised.split()) <= set(line)
    model, tokenizer = load(folder)
    assert line["prompt_ids"] == tokenizer.encode("The red")
    assert line["text"] == "The red" + tokenizer.decode(line["token_ids"])
    assert (line["stop"], len(line["token_ids"])) == ("length", 12)
    assert line["tokens_per_second"] > 0
    n_prompt = len(line["prompt_ids"])
    a_position = 2 * model.config.n_kv_heads * model.config.head_dim * 4
    assert line["cache_bytes"] == (n_prompt + 12) * a_position
    assert line["cache_bytes_used"] == (n_prompt + 11) * a_position  # the last token is drawn, not read


@pytest.mark.parametrize(
    "way", [["--temperature", "0"], ["--top-k", "40", "--top-p", "0.95", "--seed", "3"]], ids=str
)
def test_with_and_without_the_cache_the_ids_are_the_same(trained, capsys, way):
    folder, _ = trained
    arguments = [folder, "--prompt", "The", "--max-new-tokens", 100, *way]
    cached, plain = sampled(capsys, *arguments), sampled(capsys, *arguments, "--no-cache")
    assert cached["token_ids"] == plain["token_ids"]
    assert cached["stop"] == plain["stop"] == "context"
    assert (plain["cache_bytes"], plain["cache_bytes_used"]) == (0, 0)
    slid = [sampled(capsys, *arguments, "--past-context", "slide", *more) for more in ([], ["--no-cache"])]
    assert slid[0]["token_ids"] == slid[1]["token_ids"]
    assert len(slid[0]["token_ids"]) == 100


def test_an_empty_prompt_starts_a_new_document(trained, capsys):
    folder, _ = trained
    line = sampled(capsys, folder, "--max-new-tokens", 5)
    _, tokenizer = load(folder)
    assert line["prompt_ids"] == [tokenizer.eot_id]
    assert "<|endoftext|>" not in line["text"]


def test_sample_for_a_person_prints_the_text(trained, capsys):
    folder, _ = trained
    arguments = [folder, "--prompt", "The red", "--max-new-tokens", 20]
    line = sampled(capsys, *arguments)
    assert main(["sample", *map(str, arguments)]) == 0
    assert capsys.readouterr().out.rstrip("\n") == line["text"].rstrip("\ufffd\n")


def test_a_person_sees_progress_and_the_notes(file, tmp_path, capsys):
    status = main(
        ["train", "--corpus", str(file), "--out", str(tmp_path / "run"), "--steps", "2", "--set", *SETTINGS]
    )
    assert status == 0
    out = capsys.readouterr()
    assert "parameters on cpu" in out.out
    assert "done: steps" in out.out


def test_stopped_or_killed_a_run_goes_on_to_the_weights_of_one_never_disturbed(
    trained, file, tmp_path, capsys
):
    folder = tmp_path / "run"
    process = gpt(*training(file, folder, "--json"))
    until(process, lambda event: event["event"] == "step" and event["step"] == 10)
    process.send_signal(signal.SIGTERM)
    status, lines, err = ended(process)
    assert (status, err) == (0, "")
    assert (lines[-1]["event"], lines[-1]["reason"]) == ("done", "stopped")
    assert 10 <= lines[-1]["step"] < STEPS
    state = json.loads((folder / "latest" / "state.json").read_text())
    assert state["step"] == lines[-1]["step"]

    process = gpt("resume", folder, "--json")
    kept = until(process, lambda event: event["event"] == "checkpoint")
    until(process, lambda event: event["step"] > kept["step"] + 2)
    process.kill()
    process.communicate(timeout=30)
    assert Run(folder).state() == "interrupted"

    status, lines, err = ended(gpt("resume", folder, "--json"))
    assert (status, err) == (0, "")
    assert (lines[-1]["event"], lines[-1]["reason"], lines[-1]["step"]) == ("done", "steps", STEPS)
    assert Run(folder).state() == "done"
    assert same_weights(trained[0], folder)
    assert step_losses(folder) == step_losses(trained[0])
    assert main(["resume", str(folder)]) == 2
    assert "is finished" in one_sentence(capsys)


def until(process: subprocess.Popen, wanted) -> dict:
    """Read a process's lines until one is wanted; return it."""
    for line in process.stdout:
        event = json.loads(line)
        if wanted(event):
            return event
    raise AssertionError(process.stderr.read())


def step_losses(folder: Path) -> list[tuple]:
    return [(event["step"], event["loss"]) for event in Run(folder).events()[0] if event["event"] == "step"]


def same_weights(a: Path, b: Path) -> bool:
    first, second = load(a)[0].state_dict(), load(b)[0].state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def one_sentence(capsys) -> str:
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.endswith("\n")
    assert out.err.count("\n") == 1
    assert "Traceback" not in out.err
    return out.err.strip()


TEXTS = {
    "empty.txt": b"",
    "blank.txt": b" \n\n\t ",
    "short.txt": b"Too short to learn from.",
    "picture.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe\x00",
    "latin.txt": "Ein schöner Text in Latin-1. ".encode("latin-1") * 50,
    "nul.txt": b"some text\0with zeros " * 50,
}


@pytest.fixture(scope="module")
def texts(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name, data in TEXTS.items():
        (folder / name).write_bytes(data)
    (folder / "good.txt").write_bytes(file.read_bytes())
    (folder / "taken").mkdir()
    (folder / "taken" / "mine.txt").write_text("mine")
    return folder


GOOD = ["--corpus", "good.txt", "--out", "new"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--corpus", "empty.txt", "--out", "new"], ["empty.txt", "empty"]),
        (["--corpus", "blank.txt", "--out", "new"], ["blank.txt", "empty"]),
        (["--corpus", "short.txt", "--out", "new"], ["64"]),
        (["--corpus", "picture.png", "--out", "new"], ["picture.png", "text"]),
        (["--corpus", "latin.txt", "--out", "new"], ["latin.txt", "UTF-8"]),
        (["--corpus", "nul.txt", "--out", "new"], ["nul.txt", "text"]),
        (["--corpus", "nowhere.txt", "--out", "new"], ["nowhere.txt"]),
        (["--corpus", "taken", "--out", "new"], ["6 tokens", "longer text"]),
        ([*GOOD, "--seconds", "0"], ["--seconds", "0"]),
        ([*GOOD, "--seconds", "-3"], ["--seconds", "-3"]),
        ([*GOOD, "--seconds", "nan"], ["--seconds", "nan"]),
        ([*GOOD, "--seconds", "inf"], ["seconds", "inf"]),
        ([*GOOD, "--steps", "0"], ["--steps", "0"]),
        ([*GOOD, "--seed", str(2**80)], ["seed"]),
        ([*GOOD, "--preset", "huge"], ["huge", "nano", "tiny"]),
        ([*GOOD, "--set", "depth=3"], ["depth"]),
        ([*GOOD, "--set", "d_model"], ["d_model", "FIELD=VALUE"]),
        ([*GOOD, "--set", "d_model=130"], ["d_model=130", "n_heads=4"]),
        ([*GOOD, "--set", "d_model=big"], ["d_model", "big"]),
        ([*GOOD, "--set", "norm=batchnorm"], ["norm", "batchnorm", "rmsnorm"]),
        ([*GOOD, "--set", "rope_scaling=4"], ["rope_scaling", "KIND:FACTOR"]),
        ([*GOOD, "--set", "vocab_size=60000"], ["60000|60,000"]),
        ([*GOOD, "--set", "context_length=100000"], ["context_length=100000"]),
        ([*GOOD, "--tokenizer", "nowhere.json"], ["nowhere.json"]),
        ([*GOOD, "--tokenizer", "good.txt"], ["good.txt"]),
        ([*GOOD, "--tokenizer", "story", "--set", "vocab_size=300"], ["vocab_size=300", "story"]),
        (["--corpus", "good.txt", "--out", "taken"], ["taken", "empty"]),
        (["--corpus", "good.txt", "--out", "good.txt/below"], ["good.txt/below"]),
        (["--corpus", "good.txt", "--out", "/proc/nowhere"], ["/proc/nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_train_refuses_what_cannot_be_in_one_sentence(texts, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(texts)
    before = sorted(path.name for path in texts.rglob("*"))
    assert main(["train", *arguments]) == 2
    sentence = one_sentence(capsys)
    for word in words:
        assert re.search(word.replace("/", "."), sentence), sentence
    assert sorted(path.name for path in texts.rglob("*")) == before  # nothing half made is left


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "The red fox " * 30], ["context is 32", "shorten"]),
        (["--temperature", "-1"], ["temperature=-1"]),
        (["--temperature", "nan"], ["temperature=nan"]),
        (["--top-k", "0"], ["top_k=0"]),
        (["--top-p", "0"], ["top_p=0"]),
        (["--min-p", "2"], ["min_p=2"]),
        (["--repetition-penalty", "0"], ["repetition_penalty=0"]),
        (["--max-new-tokens", "0"], ["max-new-tokens 0"]),
        (["--seed", str(2**80)], ["seed"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["", "json"])
def test_sample_refuses_what_cannot_be_in_one_sentence(trained, capsys, arguments, words, more):
    assert main(["sample", str(trained[0]), *arguments, *more]) == 2
    sentence = one_sentence(capsys)
    assert all(word in sentence for word in words), sentence


def test_a_temperature_next_to_zero_is_no_accident(trained, capsys):
    greedy, cold = (
        sampled(capsys, trained[0], "--temperature", t, "--max-new-tokens", 5) for t in ("0", "1e-40")
    )
    assert cold["token_ids"] == greedy["token_ids"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "nowhere"], ["nowhere"]),
        (["sample", "taken"], ["taken", "does not contain a model"]),
        (["resume", "nowhere"], ["nowhere", "not a run"]),
        (["resume", "taken"], ["taken", "not a run"]),
        (["stories", "--n", "0"], ["--n 0"]),
        (["stories", "--check", "nowhere.txt"], ["nowhere.txt"]),
        (["stories", "--check", "picture.png"], ["picture.png", "UTF-8"]),
        (["tokenize", "text", "--tokenizer", "nowhere.json"], ["nowhere.json"]),
        (["tokenize", "text", "--tokenizer", "good.txt"], ["good.txt"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_other_commands_refuse_in_one_sentence_too(texts, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(texts)
    assert main(arguments) == 2
    sentence = one_sentence(capsys)
    assert all(word in sentence for word in words), sentence


def test_bad_input_of_a_real_process_is_one_line_and_status_2(texts, tmp_path):
    process = gpt("train", "--corpus", texts / "picture.png", "--out", tmp_path / "run")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_preset_values_shrink_to_the_text_and_say_so(file, capsys, tmp_path):
    plan = make_plan(RunRequest(corpus=str(file)))
    assert plan.model.vocab_size < 2048
    assert any("vocabulary" in note for note in plan.notes)
    short = tmp_path / "short.txt"
    short.write_text(file.read_text()[:1500])
    plan = make_plan(RunRequest(corpus=str(short)))
    assert plan.model.context_length < 256
    assert any("context" in note for note in plan.notes)
    arguments = ["train", "--corpus", str(short), "--steps", "1", "--out", str(tmp_path / "run"), "--json"]
    quick = [
        "n_evals=1",
        "n_samples=0",
        "batch_size=1",
        "threads=1",
        "precision=fp32",
        "attention_path=fused",
    ]
    assert main([*arguments, "--set", *quick]) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert start["config"]["model"]["context_length"] == plan.model.context_length
    assert set(plan.notes) <= set(start["notes"])


def test_settings_are_typed_and_what_follows_from_a_size_follows(file):
    words = ["d_model=64", "learning_rate=1e-3", "norm=none", "tie_embeddings=False", "rope_scaling=ntk:4"]
    assert parse_settings(words[:4]) == {
        "d_model": 64,
        "learning_rate": 1e-3,
        "norm": "none",
        "tie_embeddings": False,
    }
    settings = parse_settings(words)
    plan = make_plan(RunRequest(corpus=str(file), settings=settings))
    assert (plan.model.head_dim, plan.model.score_scale) == (16, 16**-0.5)
    assert plan.model.rope_scaling.factor == 4
    nano = PRESETS["nano"].train
    share = nano.min_learning_rate / nano.learning_rate  # the final rate keeps its share of the full one
    assert plan.train.min_learning_rate == pytest.approx(share * 1e-3)
    assert make_plan(RunRequest(corpus=str(file), settings={"head_dim": 64})).model.score_scale == 1 / 8
    assert make_plan(RunRequest(corpus=str(file), settings={"context_length": 8})).model.context_length == 8


def test_every_option_of_every_command_has_a_help_text():
    (commands,) = (action for action in parser()._actions if action.dest == "command")
    assert {choice.dest for choice in commands._choices_actions} == set(commands.choices)
    assert all(choice.help for choice in commands._choices_actions)
    without = {
        (name, action.dest)
        for name, command in commands.choices.items()
        for action in command._actions
        if not action.help
    }
    assert not without


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "workers"])
def test_the_help_of_a_command_ends_with_examples_that_parse(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out.split("examples:\n")[1].splitlines()
    for words in shown:
        assert parser().parse_args(shlex.split(words)[3:]).command == name


def test_a_length_given_replaces_the_presets(file):
    assert make_plan(RunRequest(corpus=str(file))).train.seconds == 60
    plan = make_plan(RunRequest(corpus=str(file), steps=7, seed=3))
    assert (plan.train.steps, plan.train.seconds, plan.train.seed) == (7, None, 3)
    assert (
        make_plan(RunRequest(preset="tiny", corpus=str(file), tokenizer="train", seconds=2.0)).train.steps
        is None
    )


def ran_out_of_room(process: subprocess.Popen, message: str) -> None:
    _, err = process.communicate(timeout=90)
    assert process.returncode == 2, err
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    assert message in err


def test_a_full_disk_is_one_sentence(trained, file, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)], capture_output=True
        )
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        ran_out_of_room(gpt(*training(file, disk / "run", "--json")), "No space left on device")
    finally:
        with contextlib.suppress(OSError):
            subprocess.run(["umount", str(disk)], check=False)


@pytest.mark.parametrize("n_bytes", [8_000, 60_000])
def test_a_quota_is_one_sentence(file, tmp_path, n_bytes):
    """A limit on the size of a file: the corpus does not fit, or the first weights do not."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    ran_out_of_room(gpt(*training(file, tmp_path / "run", "--json"), preexec_fn=limit), "File too large")


def test_a_reader_who_leaves_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "gptcore", "stories", "--n", "2000"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(30)


def test_tokenize_shows_ids_and_tokens(capsys):
    assert main(["tokenize", "The fox ran.", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    shown = json.loads(line)
    assert "".join(shown["tokens"]) == "The fox ran."
    assert len(shown["token_ids"]) == len(shown["tokens"])


def test_stories_are_parted_by_a_blank_line_and_the_same_by_seed(capsys):
    assert main(["stories", "--n", "3", "--seed", "4"]) == 0
    plain = capsys.readouterr().out
    assert plain.strip().count("\n\n") == 2
    assert main(["stories", "--n", "3", "--seed", "4", "--json"]) == 0
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "\n\n".join(story["text"] for story in written) == plain.strip()
    assert all(story["entropy"] > 0 for story in written)


def test_stories_check_gives_the_ladder(capsys, tmp_path):
    main(["stories", "--n", "3", "--seed", "4"])
    (tmp_path / "stories.txt").write_text(capsys.readouterr().out)
    assert main(["stories", "--check", str(tmp_path / "stories.txt"), "--json"]) == 0
    ladder = json.loads(capsys.readouterr().out)
    assert {"sentences", "accepted", "rate", "new", "pronouns", "names"} <= set(ladder)
    assert ladder["rate"] == 1.0


def test_the_installed_command_is_the_module():
    installed = Path(sys.executable).with_name("glassbox")
    texts = [
        subprocess.run([*command, "tokenize", "The king", "--json"], capture_output=True, text=True).stdout
        for command in ([str(installed)], [sys.executable, "-m", "gptcore"])
    ]
    assert texts[0] == texts[1] and json.loads(texts[0])["tokens"] == ["The", " king"]
