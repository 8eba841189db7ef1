"""What `import gptcore` offers, and what it costs."""

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gptcore
from gptcore.__main__ import main

ROOT = Path(gptcore.__file__).resolve().parent.parent


def loaded_by(code: str) -> set[str]:
    """Return the modules a fresh interpreter has loaded after running this code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", gptcore.__all__)
def test_each_public_name_is_there_and_documented(name):
    thing = getattr(gptcore, name)
    assert name in dir(gptcore)
    assert name == "PRESETS" or thing.__doc__


def test_the_promised_names_are_offered():
    promised = {"ModelConfig", "TrainConfig", "PRESETS", "GPT", "KVCache", "Tokenizer"}
    promised |= {"train", "generate", "trace", "load", "save"}
    assert promised <= set(gptcore.__all__)
    assert gptcore.__all__ == sorted(gptcore.__all__)


def test_the_example_of_the_readme_writes_a_text_in_any_folder(tmp_path, monkeypatch, capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = readme.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.split()) > 10


def test_the_command_says_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"glassbox {gptcore.__version__}\n"


def test_no_submodule_bears_a_public_name():
    submodules = {module.name for module in pkgutil.iter_modules(gptcore.__path__)}
    assert not submodules & set(gptcore.__all__)
    for name in submodules - {"__main__"}:
        importlib.import_module(f"gptcore.{name}")
    assert callable(gptcore.train)
    assert callable(gptcore.trace)
    assert callable(gptcore.generate)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'GPT5'"):
        gptcore.GPT5  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    assert not {"torch", "numpy", "streamlit", "plotly", "tiktoken"} & loaded_by("import gptcore")


def test_no_module_of_the_library_imports_a_ui():
    names = [
        f"gptcore.{module.name}"
        for module in pkgutil.iter_modules(gptcore.__path__)
        if module.name != "__main__"
    ]
    loaded = loaded_by("import " + ", ".join(names))
    assert not {"streamlit", "plotly", "pages", "transformers", "datasets"} & loaded


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["sample", "--help"]])
def test_help_does_not_wait_for_torch(arguments):
    code = f"""
from gptcore.__main__ import main
try:
    main({arguments!r})
except SystemExit as end:
    assert end.code == 0
"""
    assert not {"torch", "numpy", "streamlit"} & loaded_by(code)
