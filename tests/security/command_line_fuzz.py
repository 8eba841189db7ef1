"""Random command lines, each run by `gptcore.__main__.main` in a forked child; prints what went wrong as JSON.

    python tests/security/command_line_fuzz.py SEED FIRST:LAST FOLDER

FOLDER is empty; the files of each finding stay in it. A finding is a traceback, the sentence with which `main` reports
a bug, an exit status other than 0, 1 and 2, a command that uses 30 s of a core or waits for a minute, or files left in
`--out` after a refusal.
"""

import io
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from dataclasses import fields
from pathlib import Path

import torch

import gptcore
from gptcore import __main__ as command_line
from gptcore.config import FAULTS, NORM_POSITIONS, ModelConfig, TrainConfig
from gptcore.corpora.sources import load_corpus
from gptcore.experiments import claims
from gptcore.feedforward import FEEDFORWARDS
from gptcore.lessons import exercises
from gptcore.model import GPT
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS

CPU_SECONDS, WAIT_SECONDS = 30, 60
ADDRESS_BYTES = 12 * 2**30
SENTENCES = ("Traceback (most recent call last)", "unexpected error", "Exception ignored", "panicked at")

HUGE = ("2147483648", "18446744073709551616", "9" * 30, "9" * 400, "9" * 5000, "-" + "9" * 400)
ODD_NUMBERS = (
    "0", "-1", "-0.0", "0.5", "nan", "inf", "-inf", "1e-320", "1e308", "1e400", "²", "1_0", " 2", "0x2", "", "None",
    "true", "[]", "{}", "two", "\ud800", *HUGE,
)  # fmt: skip
TEXTS = (
    "", "Once upon a time", "é漢字🙂", "\udcff\ud800", "word " * 4000, "\n\r\t\x1b[31m", "<|endoftext|>", "-", "%s {0}",
    "a" * 3000, " " * 5000,
)  # fmt: skip
SIZES = (
    "d_model=8",
    "n_heads=2",
    "n_layers=1",
    "d_ff=8",
    "vocab_size=270",
    "context_length=16",
    "batch_size=2",
)
QUICK = ("threads=1", "precision=fp32", "attention_path=fused", "n_evals=1", "n_samples=1", "eval_batches=1")
PLAUSIBLE = {
    "norm": list(NORMS),
    "norm_position": list(NORM_POSITIONS),
    "ffn": list(FEEDFORWARDS),
    "position": list(POSITIONS),
    "bias": ["none", "qkv", "all"],
    "rope_scaling": [
        "none",
        "ntk:4",
        "linear:2",
        "llama3:8",
        "ntk:1e6",
        "linear:1",
        "ntk:1e308",
        "ntk:nan",
        "x:1",
        ":",
    ],
    "optimizer": ["adamw", "muon"],
    "precision": ["fp32", "bf16", "fp16", "bfloat16", "torch.float32", "fp8"],
    "attention_path": ["explicit", "fused", "flash"],
    "fault": list(FAULTS),
    "tie_embeddings": ["true", "false", "yes"],
    "causal": ["true", "false"],
    "residual": ["true", "false"],
    "qk_norm": ["true", "false"],
    "grow_windows": ["true", "false"],
    "compile": ["false", "no"],
    "window": ["1", "4", "1000000000"],
    "dropout": ["0.5", "0.999999999", "1"],
    "n_heads": ["1", "4", "8", "3"],
    "n_kv_heads": ["1", "2", "3"],
    "head_dim": ["2", "3", "6"],
    "n_layers": ["2", "5000"],
    "d_model": ["2", "9", "10000000"],
    "context_length": ["1", "2", "3", "1000000000"],
    "window_length": ["2", "5", "16", "17"],
    "batch_size": ["1", "3", "1000000000"],
    "accumulation": ["1", "2"],
    "vocab_size": ["256", "257", "258", "2048", "100000000"],
    "learning_rate": ["1e-320", "1e-30", "1e5", "1e6"],
    "min_learning_rate": ["0", "1e-3", "1"],
    "weight_decay": ["0", "1e6"],
    "beta1": ["0", "0.999999999999", "1"],
    "beta2": ["0", "0.999999999999"],
    "grad_clip": ["1e-320", "1e30"],
    "norm_eps": ["1e-320", "1e6"],
    "rope_theta": ["1e-320", "1", "1e15"],
    "score_scale": ["0", "-1e6", "1e6"],
    "warmup_steps": ["0", "1000000000000"],
    "n_samples": ["0", "2"],
    "threads": ["2", "auto"],
    "seed": ["0", "9223372036854775807", "9223372036854775808"],
}
PLUGINS = {
    "good.py": "from gptcore.norms import NORMS, RMSNorm\nclass Halved(RMSNorm): pass\nNORMS['halved'] = Halved\n",
    "nothing.py": "x = 1\n",
    "syntax.py": "def f(:\n",
    "nul.py": "x = 1\0\n",
    "raises.py": "raise KeyError('x')\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "replaces.py": "from gptcore.norms import NORMS\nNORMS['rmsnorm'] = NORMS['none']\n",
    "no_class.py": "from gptcore.norms import NORMS\nNORMS['halved'] = 7\n",
    "wrong_count.py": "from gptcore.norms import NORMS, RMSNorm\nclass N(RMSNorm):\n"
    "    n_weights = staticmethod(lambda *a, **k: 'many')\nNORMS['halved'] = N\n",
    "wrong_shape.py": "from gptcore.norms import NORMS, RMSNorm\nclass N(RMSNorm):\n"
    "    def forward(self, x): return x[..., :-1]\nNORMS['halved'] = N\n",
    "wrong_type.py": "from gptcore.norms import NORMS, RMSNorm\nclass N(RMSNorm):\n"
    "    def forward(self, x): return None\nNORMS['halved'] = N\n",
    "stops.py": "from gptcore.norms import NORMS, RMSNorm\nclass N(RMSNorm):\n"
    "    def forward(self, x): raise SystemExit(5)\nNORMS['halved'] = N\n",
    "latin.py": "# -*- coding: nowhere -*-\nx = 1\n",
}
EXERCISES = {"good.py": "", "name.py": "x = 1\n", "syntax.py": "def f(:\n"}
ENCODINGS = ("utf-8", "cp1252", "ascii", "latin-1", "shift_jis")


class Material:
    """Files and folders to choose from; each try works in a copy."""

    def __init__(self, root: Path):
        self.root = root
        (root / "texts").mkdir()
        draw = random.Random(0)
        words = ("the", "fox", "saw", "a", "red", "hen", "and", "ran", "home", "é", "漢字", "🙂")
        good = "\n".join(" ".join(draw.choice(words) for _ in range(8)) + "." for _ in range(60))
        for name, data in (
            ("good.txt", good.encode()), ("empty.txt", b""), ("blank.txt", b" \n\t"), ("short.txt", b"Too short."),
            ("latin.txt", "schön ".encode("latin-1") * 90), ("nul.txt", b"text\0" * 90),
            ("picture.png", b"\x89PNG\xff\xfe\x00" * 90), ("spaces.txt", b" " * 3000), ("one.txt", b"a" * 3000),
            ("odd.txt", "\ufeff\u2028\x85\r".encode() * 400), ("windows.txt", good.encode("utf-16")),
        ):  # fmt: skip
            (root / "texts" / name).write_bytes(data)
        with (root / "texts" / "huge.txt").open("wb") as file:
            file.truncate(600_000_000)
        os.mkfifo(root / "texts" / "pipe")
        (root / "texts" / "loop").symlink_to("loop")
        for folder, files in (("plugins", PLUGINS), ("answers", EXERCISES)):
            (root / folder).mkdir()
            for name, text in files.items():
                (root / folder / name).write_text(text)
        self._train("finished", "--steps", "3")
        self._train("paused", "--steps", "40")
        self._pause(root / "paused")
        for to, out in (("hf", "hf"), ("script", "script.py")):
            self.run("export", str(root / "finished"), "--to", to, str(root / out))
        shutil.copytree(root / "hf", root / "hf_without_tokenizer")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (root / "hf_without_tokenizer" / name).unlink()
        shutil.copytree(root / "finished" / "latest", root / "saved")

    def run(self, *words: str) -> None:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(command_line.main(words))
        if os.waitpid(pid, 0)[1]:
            raise SystemExit(f"the material cannot be made: {words}")

    def _train(self, name: str, *length: str) -> None:
        corpus = ["--corpus", str(self.root / "texts" / "good.txt"), "--tokenizer", "train"]
        self.run(
            "train", *corpus, *length, "--set", *SIZES, *QUICK, "n_samples=20", "--out", str(self.root / name)
        )

    @staticmethod
    def _pause(run: Path) -> None:
        """Make a finished run one that was killed: its last checkpoint is of an earlier step."""
        state = json.loads((run / "latest" / "state.json").read_text())
        if state["step"] == state["total_steps"]:
            shutil.rmtree(run / "latest")
            (run / "previous").rename(run / "latest")
        lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
        (run / "events.jsonl").write_text("".join(line for line in lines if '"event": "done"' not in line))


def mutate_json(value, draw: random.Random):
    """Return a JSON value with one part of it changed to something odd."""
    odd = (
        None,
        "",
        "x" * 300,
        [],
        {},
        [[]],
        -1,
        0,
        2**64,
        10**400,
        1.5,
        math.inf,
        math.nan,
        True,
        "\ud800",
        "../x",
    )
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        changed = dict(value)
        action = draw.random()
        if action < 0.25:
            del changed[key]
        elif action < 0.35:
            changed[draw.choice(["", "x", key + "x", "__class__"])] = changed.pop(key)
        else:
            changed[key] = mutate_json(value[key], draw)
        return changed
    if isinstance(value, list) and value and draw.random() < 0.8:
        index = draw.randrange(len(value))
        return [*value[:index], mutate_json(value[index], draw), *value[index + 1 :]]
    return draw.choice(odd)


def mutate_file(path: Path, draw: random.Random) -> None:
    """Damage one file, or put something else in its way."""
    data = path.read_bytes()
    action = draw.random()
    if action < 0.5 and path.suffix in (".json", ".jsonl"):
        lines = data.splitlines() if path.suffix == ".jsonl" else [data]
        index = draw.randrange(len(lines)) if lines else 0
        try:
            lines[index] = json.dumps(mutate_json(json.loads(lines[index]), draw)).encode()
        except (ValueError, IndexError, RecursionError):
            lines = [b"[" * 100_000]
        path.write_bytes(b"\n".join(lines) + b"\n")
    elif action < 0.7 and data:
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 8, 100))):
            where = (
                draw.randrange(len(changed))
                if draw.random() < 0.5
                else draw.randrange(min(len(changed), 200))
            )
            changed[where] = draw.randrange(256)
        path.write_bytes(changed)
    elif action < 0.8:
        path.write_bytes(data[: draw.randrange(len(data) + 1)])
    elif action < 0.85:
        path.write_bytes(
            draw.choice((b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000))
        )
    else:
        path.unlink()
        kind = draw.choice(("nothing", "nothing", "folder", "pipe", "loop", "device"))
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "loop":
            path.symlink_to(path.name)
        elif kind == "device":
            path.symlink_to("/dev/zero")


class Lines:
    """Draws one command line; the files it names are in the working directory `here`."""

    def __init__(self, draw: random.Random, material: Material, here: Path):
        self.draw, self.material, self.here = draw, material, here
        self.out: Path | None = None

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    def number(self, *usual: str, odd: float = 0.2) -> str:
        return self.draw.choice(ODD_NUMBERS) if self.chance(odd) else self.draw.choice(usual)

    def text_file(self, odds: float = 0.5) -> str:
        if self.chance(1 - odds):
            return str(self.material.root / "texts" / "good.txt")
        names = [path.name for path in sorted((self.material.root / "texts").iterdir())]
        others = (
            "/dev/zero",
            "/dev/urandom",
            "/dev/full",
            "/dev/tty",
            "/dev/stdin",
            "/dev/null",
            ".",
            "nowhere",
            "",
            "-",
        )
        more = (
            "/proc/self/mem",
            "a" * 300,
            "x\0y",
            "\ud800",
            "/proc/self/environ",
            "book",
            "hub:",
            "hub:a/b",
        )
        return self.draw.choice(
            (*(str(self.material.root / "texts" / name) for name in names), *others, *more)
        )

    def folder(self, *names: str) -> str:
        """Copy a folder of models, mostly with one of its files damaged."""
        if self.chance(0.1):
            return self.text_file()
        copy = self.here / "given"
        shutil.copytree(self.material.root / self.draw.choice(names), copy, symlinks=True)
        if self.chance(0.75):
            for _ in range(self.draw.choice((1, 1, 2))):
                files = sorted(path for path in copy.rglob("*") if path.is_file() and not path.is_symlink())
                preferred = [path for path in files if "history" not in path.parts and path.name != "lock"]
                mutate_file(
                    self.draw.choice(preferred if self.chance(0.9) and preferred else files), self.draw
                )
            if self.chance(0.3) and (copy / "previous").is_dir():
                shutil.rmtree(copy / "previous")
        return str(copy)

    def tokenizer(self) -> str:
        if self.chance(0.4):
            return self.draw.choice(("story", "gpt2", "nowhere.json", self.text_file()))
        copy = self.here / "tokenizer.json"
        name = self.draw.choice(("hf/tokenizer.json", "finished/tokenizer.json"))
        shutil.copy(self.material.root / name, copy)
        if self.chance(0.7):
            mutate_file(copy, self.draw)
        return str(copy)

    def plugin(self, odds: float) -> list[str]:
        if not self.chance(odds):
            return []
        folder = self.material.root / "plugins"
        names = [str(folder / name) for name in PLUGINS]
        return ["--plugin", self.draw.choice([*names, *names, self.text_file()])]

    def settings(self, plugin: list[str], odds: float = 0.6) -> list[str]:
        words = [*SIZES, *QUICK]
        if plugin and self.chance(0.8):
            words.append("norm=halved")
        known = {field.name for kind in (ModelConfig, TrainConfig) for field in fields(kind)} - {
            "compile",
            "steps",
            "seconds",
        }
        while self.chance(odds):
            odds /= 2
            name = self.draw.choice(sorted(known))
            usual = PLAUSIBLE.get(name, ["1"])
            words.append(f"{name}={self.number(*usual, odd=0.2)}")
        if self.chance(0.05):
            words.append(
                self.draw.choice(("", "=", "d_model", "depth=3", "=3", "steps=2", "seconds=0.1", "\ud800=1"))
            )
        return words

    def new_out(self) -> str:
        name = self.draw.choice(
            ("out",) * 8
            + ("above/out", "taken", "empty", "file", "file/below", "killed", "", "\0", "/dev/null")
        )
        if name == "taken":
            (self.here / "taken").mkdir()
            (self.here / "taken" / "mine.txt").write_text("mine")
        elif name == "empty":
            (self.here / "empty").mkdir()
        elif name.startswith("file"):
            (self.here / "file").write_text("mine")
        elif name == "killed":
            (self.here / "killed").mkdir()
            (self.here / "killed" / "lock").touch()
        self.out = self.here / name if name and "\0" not in name and not name.startswith("/dev") else None
        return str(self.out) if self.out and self.chance(0.5) else name

    def train(self) -> list[str]:
        plugin = self.plugin(0.15)
        words = ["train", "--set", *self.settings(plugin), *plugin]
        words += ["--corpus", "stories"] if self.chance(0.03) else ["--corpus", self.text_file(0.15)]
        if self.chance(0.1):
            words += ["--tokenizer", self.tokenizer()]
        elif self.chance(0.9):
            words += ["--tokenizer", "train"]
        if self.chance(0.8):
            words += [f"--steps={self.draw.choice(('1', '2', '2'))}"]
        elif self.chance(0.5):
            words += [f"--steps={self.draw.choice(('0', '-1', '9' * 30, 'nan', ''))}"]
        else:
            words += [f"--seconds={self.draw.choice(('0.01', '1e-320', '1e308', 'nan', '-inf', '0', ''))}"]
        if self.chance(0.2):
            words += [f"--seed={self.number('0', '7')}"]
        if self.chance(0.1):
            words += ["--preset", self.draw.choice(("nano", "tiny", "huge", ""))]
        return [*words, "--out", self.new_out()]

    def resume(self) -> list[str]:
        return ["resume", self.folder("paused", "paused", "paused", "finished", "saved"), *self.plugin(0.05)]

    def sample(self) -> list[str]:
        words = ["sample", self.folder("finished", "saved", "saved", "hf", "hf", "hf_without_tokenizer")]
        words += [f"--max-new-tokens={self.number('1', '3', '20', odd=0.1)}"]
        if self.chance(0.8):
            words += [f"--prompt={self.draw.choice(TEXTS)}"]
        for option, usual in (
            ("temperature", ("0", "1", "1e-40", "1e38")), ("top-k", ("1", "5", "1000000")),
            ("top-p", ("0.5", "1", "1e-320")), ("min-p", ("0", "1", "0.1")),
            ("repetition-penalty", ("1", "1.2", "1e-6", "1e6")), ("seed", ("0", "9")),
        ):  # fmt: skip
            if self.chance(0.25):
                words.append(f"--{option}={self.number(*usual)}")
        words += ["--no-cache"] if self.chance(0.2) else []
        words += ["--past-context", "slide"] if self.chance(0.2) else []
        return [*words, *self.plugin(0.05)]

    def export(self) -> list[str]:
        source = self.folder("finished", "paused", "saved", "hf", "hf_without_tokenizer")
        return [
            "export",
            source,
            "--to",
            self.draw.choice(("hf", "hf", "script", "notebook", "gguf")),
            self.new_out(),
        ]

    def stories(self) -> list[str]:
        if self.chance(0.5):
            return ["stories", "--check", self.text_file()]
        return ["stories", f"--n={self.number('1', '2')}", f"--seed={self.number('0', '4')}"]

    def tokenize(self) -> list[str]:
        return ["tokenize", f"--tokenizer={self.tokenizer()}", "--", self.draw.choice(TEXTS)]

    def arena(self) -> list[str]:
        plugin = self.plugin(0.1)
        words = [
            "arena",
            "--set",
            *[word for word in self.settings(plugin, 0.4) if not word.startswith("vocab_size")],
        ]
        words += ["--corpus", self.text_file(), f"--steps={self.draw.choice(('1', '2', '0', 'x'))}", *plugin]
        words += ["--rates", self.number("0.01", "1", "1e-320"), "--seeds", self.number("0", "1")]
        if self.chance(0.3):
            words += ["--equal", self.draw.choice(("parameters", "flops", "seconds", "joules"))]
        if self.chance(0.2):
            words += ["--style-a", self.draw.choice(("GPT-2-style", "x"))]
        for option in ("--set-a", "--set-b"):
            if self.chance(0.2):
                words += [option, *self.settings([], 0.5)[len(SIZES) + len(QUICK) :], "n_layers=1"]
        return [*words, "--out", self.new_out()]

    def claims(self) -> list[str]:
        return [
            "claims",
            "--only",
            self.draw.choice(("", "nothing", "\ud800", "../x", "x" * 5000)),
            "--quick",
        ]

    def exercise(self) -> list[str]:
        name = self.draw.choice((*exercises.registry(), "nothing", "", "../gpt", "\ud800"))
        files = ([], [self.draw.choice(("nowhere", "/dev/zero", ".", "x\0", self.text_file() + "x"))])
        return ["exercise", name, *self.draw.choice(files)]

    def bench(self) -> list[str]:
        return ["bench", "--only", self.draw.choice(("", "nothing", "\ud800"))]

    def workers(self) -> list[str]:
        return ["workers", *(["--once"] if self.chance(0.7) else [])]

    def garbage(self) -> list[str]:
        words = (
            *TEXTS,
            *ODD_NUMBERS,
            "train",
            "sample",
            "--json",
            "--out",
            "--set",
            "x",
            "--help",
            "--seed",
            "-h",
        )
        return [self.draw.choice(words) for _ in range(self.draw.randrange(4))]

    def line(self) -> list[str]:
        weights = {
            self.train: 35, self.resume: 18, self.sample: 18, self.export: 8, self.stories: 4, self.tokenize: 8,
            self.arena: 4, self.claims: 1, self.exercise: 2, self.bench: 1, self.workers: 1, self.garbage: 2,
        }  # fmt: skip
        words = self.draw.choices(list(weights), list(weights.values()))[0]()
        return (
            [*words, "--json"]
            if self.chance(0.3) and words[:1] not in ([], ["export"], ["workers"])
            else words
        )


def standard_input(draw: random.Random, here: Path) -> int:
    """Return what a command reads: nothing, garbage, or messages as the app would send them."""
    job = {"kind": "exercise", "module": "gptcore.lessons.exercises.checker", "settings": {}}
    message = {"job": job, "number": 1, "seconds": 1, "environment": {}}
    values = (
        b"",
        b"garbage\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b"text " * 40,
    )
    messages = [json.dumps(mutate_json(value, draw)).encode() + b"\n" for value in (job, message)]
    (here / "input").write_bytes(draw.choice((*values, *messages, *messages)))
    return os.open(here / "input", os.O_RDONLY)


def set_up_streams(draw: random.Random, here: Path) -> None:
    """Give the child its standard streams: files, and now and then an output that cannot be written."""
    os.dup2(standard_input(draw, here), 0)
    kind = draw.choice(("file",) * 12 + ("full", "closed", "no reader"))
    if kind == "no reader":
        reading, output = os.pipe()
        os.close(reading)
    else:
        output = os.open("/dev/full" if kind == "full" else here / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    encoding = draw.choice(("utf-8", *ENCODINGS))
    os.dup2(os.open(here / "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.closerange(3, 1024)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding=encoding)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), encoding=encoding, errors="backslashreplace", line_buffering=True)  # noqa: SIM115, E501  # fmt: skip
    if kind == "closed":
        sys.stdout = None
        os.close(1)


def child(words: list[str], draw: random.Random, here: Path) -> None:
    """Run one command line as the interpreter would, and end."""
    status = 70
    try:
        os.setsid()
        os.chdir(here)
        set_up_streams(draw, here)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        if draw.random() < 0.05:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            status = command_line.main(words)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        try:
            sys.stdout.flush()
        except (OSError, ValueError) as error:  # the interpreter would print this and exit with 120
            print(f"Exception ignored: {error!r}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status & 255)


def wait(pid: int) -> int | None:
    """Return the wait status of a child, None where it had to be ended."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = 0.002
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(pause)
        pause = min(0.05, 1.3 * pause)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def problem(status: int | None, errors: str, lines: Lines, before: set[str], here: Path) -> str | None:
    """Return what is wrong with how a try ended, or None."""
    if status is None:
        return "it waited for more than a minute"
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return "it took more than 30 s of CPU time"
    if code not in (0, 1, 2):
        return f"exit status {code}"
    if (said := next((sentence for sentence in SENTENCES if sentence in errors), None)) is not None:
        return said
    if code and not errors.strip():
        return f"exit status {code} and no sentence"
    if code and lines.out is not None:
        left = {
            name
            for name in listing(here) - before
            if not name.startswith(("given", "input", "output", "errors"))
        }
        with_checkpoint = [Path(name).parent for name in left if Path(name).name == "latest"]
        kept = {str(parent) for folder in with_checkpoint for parent in (folder, *folder.parents)}
        rest = {
            name for name in left if not any(Path(name).is_relative_to(folder) for folder in with_checkpoint)
        }
        if rest - kept:
            return f"files left after a refusal: {', '.join(sorted(rest - kept)[:5])}"
    return None


def one_try(seed: int, number: int, material: Material, folder: Path) -> dict:
    """Run one try; return what it ended with, or the finding, whose files stay."""
    draw = random.Random(f"{seed}/{number}")
    here = folder / str(number)
    here.mkdir()
    lines = Lines(draw, material, here)
    words = lines.line()
    before = listing(here)
    pid = os.fork()
    if pid == 0:
        child(words, draw, here)
    status = wait(pid)
    errors = (
        (here / "errors").read_text(encoding="utf-8", errors="replace") if (here / "errors").exists() else ""
    )
    if words[:1] == ["export"] and "No space left on device" in errors:
        lines.out = None  # it was written, and its name could not be printed
    found = problem(status, errors, lines, before, here)
    if found is None:
        shutil.rmtree(here, ignore_errors=True)
        code = os.waitstatus_to_exitcode(status)
        return {"command": words[0] if words else "", "status": code, "said": errors[-200:] if code else ""}
    shown = [word if len(word) < 200 else f"{word[:60]}…" for word in words]
    return {
        "finding": found,
        "try": number,
        "folder": str(here),
        "words": shown,
        "errors": errors[-3000:],
    }


def prepare() -> None:
    """Load once what many commands need, so that each fork has it."""
    os.environ |= {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HF_ENDPOINT")}
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "TIKTOKEN_CACHE_DIR": "",
        "OMP_NUM_THREADS": "1",
        "DATA_GYM_CACHE_DIR": "",
    }
    torch.set_num_threads(1)
    claims.registry()
    load_corpus("stories")
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.zeros(2)
    torch.optim.AdamW([weight]).step()  # its first step imports much
    model = GPT(ModelConfig(vocab_size=9, context_length=8, d_model=8, n_layers=1, n_heads=2)).eval()
    list(gptcore.generate(model, [1], 2))


def main(seed: int, tries: range, folder: Path) -> None:
    """Run tries, and print a JSON object a line: what each ended with, or what was found."""
    prepare()
    os.environ["GLASSBOX_RUNS"] = str(folder / "runs")
    for name in ("material", "tries"):
        (folder / name).mkdir()
    material = Material(folder / "material")
    for number in tries:
        print(json.dumps(one_try(seed, number, material, folder / "tries")), flush=True)


if __name__ == "__main__":
    first, last = sys.argv[2].split(":")
    main(int(sys.argv[1]), range(int(first), int(last)), Path(sys.argv[3]))
