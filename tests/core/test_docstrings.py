"""What docstrings and comments name in backquotes exists: modules, functions, files, parameters."""

import ast
import io
import re
import tokenize
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import gptcore

PACKAGES = ("gptcore", "pages", "explainers")
LIBRARY = Path(gptcore.__file__).parent
ROOT = LIBRARY.parent
FILES = [path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.py"))]
MODULES = {path.stem for path in LIBRARY.glob("*.py")} | {
    path.parent.name for path in LIBRARY.glob("*/__init__.py")
}  # modules of gptcore are named without it


def quoted(path: Path) -> set[str]:
    """Return what stands in backquotes in the docstrings and comments of a file."""
    source = path.read_text(encoding="utf-8")
    texts = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts += [token.string for token in tokens if token.type == tokenize.COMMENT]
    return {name for text in texts for name in re.findall(r"`([^`\n]+)`", text)}


def code_words() -> set[str]:
    """Return every identifier of the code, and every word of its short strings, which name keys and fields."""
    words = {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name):
                    words.add(name)
                case ast.arg(arg=name) | ast.keyword(arg=name) | ast.Attribute(attr=name):
                    words.add(name)
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    dotted = [alias.name for alias in names] + [getattr(node, "module", None) or ""]
                    words |= {part for name in dotted for part in name.split(".")}
                case ast.Constant(value=str(value)) if len(value) < 60:
                    words |= set(re.findall(r"\w+", value))
    return words


def exists(name: str) -> bool:
    """Return whether a dotted name, such as `training.optim.learning_rate` of gptcore, can be reached."""
    parts = name.split(".")
    if parts[0] in ("kit", "labs"):
        parts = ["pages", *parts]
    elif parts[0] not in PACKAGES:
        parts = ["gptcore", *parts]
    for count in range(len(parts), 0, -1):
        module = ".".join(parts[:count])
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            continue
        if found is not None:
            here = import_module(module)
            for part in parts[count:]:
                if not hasattr(here, part):
                    return False
                here = getattr(here, part)
            return True
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dotted_names_and_files_that_are_mentioned_exist(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    arguments = {
        node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)
    }  # `config.steps` is one's field
    for name in quoted(path):
        first, _, last = name.partition(".")
        if re.fullmatch(r"[\w/]+\.py", name):
            assert any((folder / name).is_file() for folder in (LIBRARY, ROOT, path.parent)), name
        elif (
            re.fullmatch(r"\w+(\.\w+)+", name)
            and first in MODULES | {*PACKAGES, "kit", "labs"}
            and last != "json"
        ):
            assert first in arguments or exists(name), name


def test_every_identifier_that_is_mentioned_occurs_in_the_code():
    words = code_words()
    unknown = {
        (str(path.relative_to(ROOT)), name)
        for path in FILES
        for name in quoted(path)
        if re.fullmatch(r"[A-Za-z_]\w*(\(.*\))?", name) and name.split("(")[0] not in words
    }
    assert not unknown
