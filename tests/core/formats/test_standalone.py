"""Scripts and notebooks with the model's source in them: they train as the library does, where it is not."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest

from gptcore import load
from gptcore.__main__ import main
from gptcore.checkpoint import SHIPPED
from gptcore.config import ConfigError
from gptcore.formats import hf_tokenizer, script, source_code, standalone
from gptcore.formats.imported_tokenizer import ImportedTokenizer
from gptcore.formats.source_code import SourceError, collect
from gptcore.runs import execute
from gptcore.runs.request import RunRequest
from gptcore.tokenizer import EOT

SETTINGS = {"d_model": 16, "n_heads": 2, "n_layers": 2, "vocab_size": 280, "context_length": 32, "threads": 1}
SETTINGS |= {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_samples": 0, "n_evals": 1}

# Runs the script in a process in which neither the library nor what it needs besides torch can be imported.
RUNNER = """
import sys, runpy
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("gptcore", "safetensors", "datasets", "msgspec"):
            raise ImportError(f"{name} is refused here")
sys.meta_path.insert(0, Refuse())
runpy.run_path("mine.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, text):
    """The folder of a tiny run on a table of texts, and its events."""
    folder = tmp_path_factory.mktemp("standalone")
    rows = [{"text": f"{line}\n<|endoftext|>\n"} for line in text.splitlines() if line]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = RunRequest(corpus=str(folder / "rows.jsonl"), steps=3, settings=SETTINGS)
    events = list(execute.start(request, folder / "run"))
    return folder / "run", events


def test_the_script_trains_as_the_run_did_where_the_library_cannot_be_imported(trained, tmp_path):
    run, events = trained
    assert main(["export", str(run), "--standalone", str(tmp_path / "mine.py")]) == 0
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"step +\d+ +loss ([\d.]+)", done.stdout)]
    assert losses == pytest.approx([event.loss for event in events if event.event == "step"], abs=2e-3)
    before, after = (float(re.search(rf"{word}: ([\d.]+)", done.stdout)[1]) for word in ("before", "after"))
    evals = [event.val_loss for event in events if event.event == "eval"]
    assert (before, after) == pytest.approx((evals[0], evals[-1]), abs=5e-3)
    assert (tmp_path / "my-model.pt").is_file()
    start = next(event for event in events if event.event == "start")
    assert f"{start.n_parameters:,} weights" in done.stdout


def test_the_notebook_is_valid_and_holds_the_same_code(trained, tmp_path):
    run, _ = trained
    assert main(["export", str(run), "--to", "notebook", "--standalone", str(tmp_path / "mine.ipynb")]) == 0
    made = nbformat.read(tmp_path / "mine.ipynb", 4)
    nbformat.validate(made)
    cells = [cell.source for cell in made.cells if cell.cell_type == "code"]
    code = standalone.standalone_script(script.recipe_of_run(run), load(run)[1], 'Path("mine-data")')
    statements = [line for line in code.partition('"""\n\n')[2].split("\n") if line and " · " not in line]
    assert [line for cell in cells for line in cell.split("\n") if line and " · " not in line] == statements
    kept = json.loads((run / "corpus.json").read_text())
    for name, part in (("train.json", "train"), ("held_out.json", "validation")):
        assert json.loads((tmp_path / "mine-data" / name).read_text()) == kept[part]


def test_the_source_is_that_of_the_library_without_what_nothing_calls():
    found = collect(
        {"model": ["GPT"], "corpora.windows": ["Windows"]}, "GPT(c).loss(x, y)\nWindows(x, 8, 2).next()"
    )
    attention = found.sections["gptcore.attention"]
    assert attention in source_code.inspect.getsource(sys.modules["gptcore.attention"])
    windows = found.sections["gptcore.corpora.windows"]
    assert "def next" in windows and "def _begin" in windows
    assert "def restore" not in windows and "fixed_batches" not in windows
    assert not re.search(r"^\s*(from|import) gptcore", "\n".join(found.sections.values()), re.MULTILINE)
    order = list(found.sections)
    assert order.index("gptcore.attention") < order.index("gptcore.model")


def test_two_definitions_of_one_name_are_refused():
    with pytest.raises(
        SourceError, match=r"FORMAT is defined in gptcore\.\S+ and in gptcore\.\S+; rename one"
    ):
        collect({"checkpoint": ["FORMAT"], "runs.run": ["FORMAT"]}, "")


def test_what_cannot_stand_alone_is_one_sentence(trained, tmp_path):
    run, _ = trained
    (tmp_path / "mine-data").mkdir()
    with pytest.raises(ValueError, match="mine-data already exists; choose a new file name"):
        standalone.write_standalone(run, "script", tmp_path / "mine.py")
    assert main(["export", str(run), "--to", "hf", "--standalone", str(tmp_path / "hf")]) == 2
    imported = ImportedTokenizer(hf_tokenizer.to_json(load(run)[1]), "tokenizer.json", EOT)
    with pytest.raises(ConfigError, match="imported tokenizer needs the library"):
        standalone.standalone_script(script.recipe_of_run(run), imported, "Path()")
    described = json.loads((run / "config.json").read_text())
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "config.json").write_text(json.dumps(described))
    (run / "latest").rename(tmp_path / "lost" / "latest")
    with pytest.raises(ConfigError, match="does not contain its text; export it without --standalone"):
        standalone.write_standalone(tmp_path / "lost", "script", tmp_path / "other.py")
    (tmp_path / "lost" / "latest").rename(run / "latest")
    assert not list(tmp_path.glob("*.py"))
    assert standalone._documents(SHIPPED, "stories")[1]
