"""Words and scripts agree: every section is used, every number it mentions is handed in."""

import ast
from functools import cache
from pathlib import Path

import pytest

from pages.kit import words

PAGES = Path(__file__).resolve().parents[2] / "pages"
SCRIPTS = sorted(
    path
    for path in PAGES.rglob("*.py")
    if "words.load(" in (source := path.read_text(encoding="utf-8"))
    or ("words.Words" in source and PAGES / "labs" in path.parents)
)
FILES = sorted((PAGES / "text" / "en").glob("*.md"))


@cache
def parsed(script: Path) -> ast.AST:
    return ast.parse(script.read_text(encoding="utf-8"))


def loads(tree: ast.AST) -> list[str]:
    """The files of words a script loads: `words.load("name")`."""
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "load"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "words"
    ]


def uses(tree: ast.AST) -> list[tuple[str, set[str] | None]]:
    """Sections a script asks for, with the numbers it hands in; a section chosen by `if` counts as both."""
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        is_text = isinstance(owner, ast.Name) and owner.id == "text"
        is_loaded = isinstance(owner, ast.Call) and ast.unparse(owner).startswith("words.load(")
        if node.func.attr not in ("show", "read") or not (is_text or is_loaded) or not node.args:
            continue
        numbers = {keyword.arg for keyword in node.keywords}
        assert None not in numbers, f"{ast.unparse(node)}: hand numbers in by name"
        if isinstance(node.args[0], ast.IfExp):
            names = [node.args[0].body, node.args[0].orelse]
        else:
            names = [node.args[0]]
        found += [(name.value, numbers) for name in names if isinstance(name, ast.Constant)]
    return found


@cache
def loaded_for(script: Path) -> set[str]:
    """The files of words a script loads, or is handed by the labs of its folder."""
    own = set(loads(parsed(script)))
    return own or {name for path in script.parent.glob("*.py") for name in loads(parsed(path))}


@cache
def texts_in(script: Path) -> set[str]:
    """The string constants of a script."""
    nodes = ast.walk(parsed(script))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_section_asked_for_exists_and_gets_its_numbers(script):
    names = loaded_for(script)
    assert len(names) == 1, "a script has one file of words"
    sections = words.load(*names).sections
    for section, numbers in uses(parsed(script)):
        assert section in sections
        assert words.gaps(sections[section]) == numbers, section


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_section_is_used(file):
    mentioned = set().union(*(texts_in(script) for script in SCRIPTS if file.stem in loaded_for(script)))
    assert set(words.load(file.stem).sections) <= mentioned


def test_numbers_take_their_format_and_mathematics_stays():
    text = words.fill(r"$\frac{[[a]]}{2}$ is [[half:.3f]], not {half}", {"a": 5, "half": 2.5})
    assert text == r"$\frac{5}{2}$ is 2.500, not {half}"


def test_a_missing_number_is_named():
    with pytest.raises(words.WordsError, match="uses b"):
        words.fill("[[a]] [[b:.1f]]", {"a": 1})


def test_an_unused_number_is_named():
    with pytest.raises(words.WordsError, match="passes b"):
        words.fill("[[a]]", {"a": 1, "b": 2})


def test_sections_are_split_at_their_headings():
    assert words.split("note\n\n## one\nA\n\n### inside\nB\n## two\nC\n") == {
        "one": "A\n\n### inside\nB",
        "two": "C",
    }


def test_a_section_that_stands_twice_is_refused():
    with pytest.raises(words.WordsError, match="one occurs twice"):
        words.split("## one\nA\n## one\nB\n")


def test_an_unknown_section_and_file_are_named():
    with pytest.raises(words.WordsError, match="no section nowhere"):
        words.Words("file", {}).read("nowhere")
    with pytest.raises(words.WordsError, match=r"no file nowhere\.md"):
        words.load("nowhere")


def test_a_section_missing_in_a_translation_is_taken_from_english(tmp_path, monkeypatch):
    for language, text in (("en", "## a\nEnglish a\n## b\nEnglish b\n"), ("de", "## a\nDeutsch\n")):
        (tmp_path / language).mkdir()
        (tmp_path / language / "page.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(words, "TEXT", tmp_path)
    assert words.load("page", "de").sections == {"a": "Deutsch", "b": "English b"}
