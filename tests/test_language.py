"""The words of the project: the field's terms, in American spelling, in texts and in code."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = ("explainers/*.md", "pages/text/en/**/*.md", "*.md", "deploy/*.md", "gptcore/*.md")
CODE = ("gptcore/**/*.py", "pages/**/*.py", "explainers/*.py")
HOUSE = tomllib.loads((ROOT / "tests/discouraged_terms.toml").read_text(encoding="utf-8"))
TERMS, KEPT, SPELLED = HOUSE["term"], HOUSE["kept_values"], HOUSE["kept_spellings"]


@cache
def passages(path: Path) -> tuple[tuple[int, str], ...]:
    """The prose of a file by line: a text without code and formulas, or the words of a Python file."""
    source = path.read_text(encoding="utf-8")
    return tuple(words_of_code(source) if path.suffix == ".py" else words_of_text(source))


def words_of_text(source: str):
    hidden = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\[\[.*?\]\]|\]\([^)]*\)", re.DOTALL)
    text = hidden.sub(lambda match: "\n" * match[0].count("\n") or " ", source)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", text):
        yield line, " ".join(paragraph.split())
        line += paragraph.count("\n")


def words_of_code(source: str):
    """Docstrings, comments and strings of more than one word; of an f-string, its words without its values."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], prose(token.string)
    tree, inner = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(child) for child in ast.walk(node)}
            parts = (child.value if isinstance(child, ast.Constant) else " … " for child in node.values)
            yield node.lineno, prose("".join(parts))
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in inner else None
        if isinstance(text, str) and " " in text and text not in KEPT:
            yield node.lineno, prose(text)


def prose(text: str) -> str:
    """Text in one line, without names in backquotes and the code of doctests."""
    return " ".join(re.sub(r"`[^`\n]*`|^ *>>> .*$", " ", text, flags=re.MULTILINE).split())


@cache
def files() -> list[Path]:
    return sorted({path for pattern in (*TEXTS, *CODE) for path in ROOT.glob(pattern)})


def test_words_are_read_from_docstrings_comments_and_strings_only():
    source = '"""One doc."""\nvalue = f"two {x} words"  # three remarks\nbirth = d["born"]\n'
    assert [text for _, text in words_of_code(source)] == ["# three remarks", "two … words", "One doc."]


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term["write"])
def test_no_text_uses_a_phrase_for_which_the_field_has_a_term(term):
    phrases = re.compile("|".join(rf"\b(?:{phrase})" for phrase in term["phrases"]), re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{line}: “{match[0]}”"
        for path in files()
        if str(path.relative_to(ROOT)) not in term.get("right_in", {})
        for line, text in passages(path)
        for match in phrases.finditer(text)
    ]
    assert not found, f"write “{term['write']}” instead of:\n" + "\n".join(found)


def test_words_are_spelled_as_in_american_english():
    lines = [f"{path.relative_to(ROOT)}:{line}: {text}" for path in files() for line, text in passages(path)]
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,en-GB_to_en-US"]
    command += ["-L", ",".join(SPELLED), "-"]
    ran = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout


def chapter_text(number: int) -> str:
    (path,) = ROOT.glob(f"pages/text/en/{number:02}_*.md")
    return " ".join(text for _, text in passages(path))


TAUGHT = [(int(number), term) for number, terms in HOUSE["taught_in"].items() for term in terms]


@pytest.mark.parametrize(("number", "term"), TAUGHT, ids=lambda value: str(value))
def test_a_core_term_occurs_in_the_chapter_that_teaches_it_and_in_the_glossary(number, term):
    written = re.compile(rf"\b{re.escape(term)}", re.IGNORECASE)
    assert written.search(chapter_text(number)), f"chapter {number} teaches “{term}” and never says it"
    glossary = (ROOT / "pages/text/en/glossary_terms.md").read_text(encoding="utf-8")
    assert written.search(glossary), f"the glossary does not know “{term}”"


DEFINED = [(int(number), term) for number, terms in HOUSE["defined_in"].items() for term in terms]


@pytest.mark.parametrize(("number", "term"), DEFINED, ids=lambda value: str(value))
def test_a_chapter_marks_the_terms_that_it_defines(number, term):
    marked = re.findall(r"\*\*([^*]+)\*\*|\*([^*]+)\*|^#+ (.+)$", chapter_source(number), re.MULTILINE)
    assert any(term.lower() in " ".join(words).lower() for words in marked)


def chapter_source(number: int) -> str:
    (path,) = ROOT.glob(f"pages/text/en/{number:02}_*.md")
    return path.read_text(encoding="utf-8")
