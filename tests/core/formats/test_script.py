"""The script and the notebook made from settings: they run from an empty folder and do what the library does."""

import ast
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

import gptcore
from gptcore import load, load_corpus, story_tokenizer, train
from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS, ConfigError, ModelConfig, RopeScaling, TrainConfig
from gptcore.formats.export import WRITERS, checked_format, export
from gptcore.formats.script import Recipe, notebook, recipe_of_run, script, write_recipe
from gptcore.runs.options import EXPORTS

TINY = ModelConfig(vocab_size=2048, context_length=32, d_model=16, n_layers=1, n_heads=2, norm="layernorm")
TRAIN = TrainConfig(batch_size=2, accumulation=2, warmup_steps=1, eval_batches=1, seed=5, optimizer="muon")
TEXT = "The king found a golden ring. " * 60


@pytest.fixture
def recipe(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    return Recipe(model=TINY, train=TRAIN, steps=3, corpus=str(text), prompt="The king")


# Runs it.py and writes down what it has imported, so that the test sees what must be installed for it.
RUNNER = """
import json, runpy, sys
runpy.run_path("it.py", run_name="__main__")
json.dump(sorted({name.partition(".")[0] for name in sys.modules}), open("imported.json", "w"))
"""


def run(code: str, folder) -> str:
    folder.mkdir()
    (folder / "it.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def installed_by_requirements() -> set[str]:
    """Every distribution that the library depends on, with all that these need."""
    root = Path(__file__).resolve().parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [re.match(r"[\w.-]+", line)[0] for line in project["dependencies"]]
    found: set[str] = {"glassbox"}
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):  # for another system or Python
            needed = metadata.requires(name) or []
            waiting += [re.match(r"[\w.-]+", line)[0] for line in needed if "extra ==" not in line]
    return found


def others(folder) -> set[str]:
    """The distributions a run has imported which the library does not bring."""
    known, allowed = metadata.packages_distributions(), installed_by_requirements()
    allowed |= {"sentencepiece"}  # `gguf` imports it where it happens to be installed
    imported = json.loads((folder / "imported.json").read_text())
    sources = [{one.lower().replace("_", "-") for one in known.get(name, ())} for name in imported]
    return {min(names) for names in sources if names and not names & allowed}


def test_the_script_trains_as_the_library_does_writes_and_keeps(recipe, tmp_path):
    said = run(script(recipe), tmp_path / "empty")
    losses = [float(one) for one in re.findall(r"step +\d+ +loss ([\d.]+)", said)]
    config = TRAIN.replace(
        steps=3, precision="fp32", attention_path="fused", threads=1, n_evals=1, n_samples=0
    )
    events = train(TINY, config, load_corpus(recipe.corpus), story_tokenizer())
    assert losses == pytest.approx([event.loss for event in events if event.event == "step"], abs=2e-3)
    assert load(tmp_path / "empty" / "my-model")[0].config == TINY
    assert "The king" in said.splitlines()[-1]
    assert others(tmp_path / "empty") == set()


def test_the_notebook_is_valid_and_its_cells_run(recipe, tmp_path):
    made = notebook(recipe)
    nbformat.validate(nbformat.from_dict(made))
    cells = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == 7
    assert "The king" in run("\n".join(cells), tmp_path / "empty")
    assert others(tmp_path / "empty") == set()


def test_what_the_requirements_do_not_bring_is_noticed(tmp_path):
    run("import nbformat", tmp_path / "empty")
    assert "nbformat" in others(tmp_path / "empty")


@pytest.mark.parametrize("tokenizer", ["story", "gpt2", "a/tokenizer.json"])
def test_the_script_and_the_notebook_import_from_the_top_of_the_library_alone(recipe, tokenizer):
    recipe = replace(recipe, tokenizer=tokenizer)
    cells = ["".join(cell["source"]) for cell in notebook(recipe)["cells"] if cell["cell_type"] == "code"]
    for code in (script(recipe), "\n".join(cells)):
        imports = [
            node for node in ast.walk(ast.parse(code)) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        modules = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
        assert {module for module in modules if module.partition(".")[0] == "gptcore"} == {"gptcore"}
        names = {alias.name for node in imports if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert names <= set(gptcore.__all__)


def test_the_script_is_about_a_hundred_lines_in_style():
    code = script(recipe_of_run(SHIPPED))
    assert 85 <= len(code.splitlines()) <= 120
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "-"],
        input=code, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        PRESETS["small_legacy"].model,
        PRESETS["nano"].model.replace(n_kv_heads=2, rope_scaling=RopeScaling(kind="ntk", factor=2.0)),
        TRAIN,
        PRESETS["nano"].train,
    ],
)
def test_fields_written_down_give_the_config_again_and_none_can_be_spared(config):
    kept = config.changes_from()
    assert type(config)(**kept) == config
    for name in kept:
        rest = {other: value for other, value in kept.items() if other != name}
        with contextlib.suppress(TypeError, ValueError):  # what cannot be built cannot be spared either
            assert type(config)(**rest) != config


def test_a_run_that_was_broken_on_purpose_becomes_no_script(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "run")
    described = json.loads((SHIPPED / "config.json").read_text())
    described["train"]["fault"] = "leaking_gradients"
    (tmp_path / "run" / "config.json").write_text(json.dumps(described))
    with pytest.raises(ConfigError, match="leaking_gradients"):
        recipe_of_run(tmp_path / "run")


def test_a_run_gives_its_own_settings():
    found = recipe_of_run(SHIPPED)
    described = json.loads((SHIPPED / "config.json").read_text())
    assert found.model.to_dict() == described["model"]
    assert found.steps == described["found"]["total_steps"]
    assert found.tokenizer == "story" and found.corpus == "stories"


def test_the_command_writes_a_new_file_and_no_other(tmp_path):
    def command(kind: str, name: str) -> subprocess.CompletedProcess:
        words = ["export", str(SHIPPED), "--to", kind, str(tmp_path / name)]
        return subprocess.run(
            [sys.executable, "-m", "gptcore", *words], capture_output=True, text=True, check=False
        )

    assert command("script", "a.py").returncode == 0
    compile((tmp_path / "a.py").read_text(encoding="utf-8"), "a.py", "exec")
    again = command("script", "a.py")
    assert again.returncode == 2 and "already exists; choose a new file name" in again.stderr
    write_recipe(recipe_of_run(SHIPPED), "notebook", tmp_path / "a.ipynb")
    nbformat.validate(nbformat.read(tmp_path / "a.ipynb", 4))


def test_the_command_line_offers_every_format_there_is():
    assert set(WRITERS) == set(EXPORTS)


def test_a_suffix_says_the_format_and_may_not_contradict_it(tmp_path):
    assert [checked_format(None, name) for name in ("a.py", "b.ipynb")] == ["script", "notebook"]
    assert [checked_format(to, "OUT") for to in EXPORTS] == list(EXPORTS)
    assert checked_format("script", "a.txt") == "script"
    for to, out in (("script", "OUT.ipynb"), ("notebook", "OUT.py"), ("hf", "OUT.py"), ("hf", "OUT.gguf")):
        with pytest.raises(
            ValueError, match=f"is the suffix of a .* and not of --to {to}; change one of the two"
        ):
            export(SHIPPED, to, tmp_path / out)
    with pytest.raises(ValueError, match="add --to gguf, --to hf, --to script, --to notebook"):
        export(SHIPPED, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
