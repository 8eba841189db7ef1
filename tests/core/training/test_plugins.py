"""A part of ones own: added by name, trained and sampled; what cannot be is said, and nothing of it stays."""

import json

import pytest

from gptcore.__main__ import main
from gptcore.account import n_parameters
from gptcore.config import ConfigError
from gptcore.model import GPT
from gptcore.runs.run import Run
from gptcore.training import plugins

HALVED = """
from gptcore.norms import NORMS, RMSNorm

class Halved(RMSNorm):
    def forward(self, x):
        return super().forward(x) / 2

NORMS["halved"] = Halved
"""


@pytest.fixture(autouse=True)
def tables_as_they_were():
    before = {field: dict(table) for field, table in plugins.TABLES.items()}
    yield
    for field, table in plugins.TABLES.items():
        table.clear()
        table.update(before[field])


@pytest.fixture
def halved(tmp_path):
    path = tmp_path / "halved.py"
    path.write_text(HALVED)
    return str(path)


def test_a_part_of_ones_own_is_as_good_as_any(halved, small, random_ids):
    assert plugins.load(halved) == {"norm": ["halved"], "ffn": [], "position": []}
    model, plain = GPT(small(norm="halved")), GPT(small())
    assert n_parameters(model.config) == sum(weight.numel() for weight in model.parameters())
    ids = random_ids(1, 8)
    assert (model(ids) / plain(ids)).median().item() == pytest.approx(0.5, abs=0.1)
    plugins.load(halved)  # a second time it is the same plugin


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("norm = (", "not valid Python in line 1"),
        ("1 / 0", "stopped with ZeroDivisionError"),
        ("x = 1", "must add an entry"),
        ("from gptcore.norms import *\nNORMS['rmsnorm'] = LayerNorm", "replaces norm=rmsnorm"),
        ("from gptcore.feedforward import *\nFEEDFORWARDS['mine'] = Tensor", "without n_matrices"),
    ],
)
def test_what_is_no_plugin_is_said_and_leaves_nothing(tmp_path, code, says):
    before = {field: dict(table) for field, table in plugins.TABLES.items()}
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(ConfigError, match=says):
        plugins.load(tmp_path / "own.py")
    assert before == plugins.TABLES
    with pytest.raises(ConfigError, match="cannot be read"):
        plugins.load(tmp_path / "nowhere.py")


def test_a_match_with_a_plugin(tmp_path, halved, text, capsys):
    (tmp_path / "animals.txt").write_text(text)
    shape = [
        "d_model=32",
        "n_layers=1",
        "n_heads=2",
        "d_ff=64",
        "context_length=32",
        "batch_size=2",
        "n_evals=1",
    ]
    words = ["arena", "--style-b", "LLaMA-style", "--set", *shape, "eval_batches=1", "n_samples=0"]
    words += ["--set-b", "norm=halved", "--rates", "0.01", "--seeds", "0", "--steps", "2", "--json"]
    words += ["--corpus", str(tmp_path / "animals.txt"), "--out", str(tmp_path / "match")]
    assert main(words) == 2 and "norm='halved' must be one of" in capsys.readouterr().err
    assert main([*words, "--plugin", halved]) == 0
    last = [json.loads(line) for line in capsys.readouterr().out.splitlines()][-1]
    assert last["word"] == "open"  # one seed is an anecdote
    run = Run(tmp_path / "match" / "b-0.01-0")
    assert run.config()["plugin"] == halved and run.config()["model"]["norm"] == "halved"
    sample = ["sample", str(run.folder), "--max-new-tokens", "2"]
    assert main([*sample, "--plugin", halved]) == 0
    del plugins.TABLES["norm"]["halved"]
    capsys.readouterr()
    assert main(sample) == 2 and "norm='halved' must be one of" in capsys.readouterr().err
