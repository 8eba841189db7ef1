"""Every line of shown code has its note, every note its line."""

import ast
from pathlib import Path

import pytest

from pages.kit import annotated
from pages.kit.annotated import NotesError, statements, statements_with_notes

PAGES = Path(__file__).resolve().parents[2] / "pages"


def shown() -> list[str]:
    """The objects that pages show: `annotated.code("module.object", …)`, by a constant name."""
    names = []
    for path in sorted(PAGES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "annotated.code":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}: name the object by a constant"
                names.append(node.args[0].value)
    return names


@pytest.mark.parametrize("name", shown())
def test_every_line_has_a_note_and_every_note_a_line(name):
    pairs = statements_with_notes(name)
    assert all(note for statement, note in pairs if statement.needs_note)
    assert any(note.kind == "why" for _, note in pairs if note), "no note gives a reason"


def test_every_file_of_notes_is_shown():
    files = {path.stem for path in (PAGES / "text" / "en" / "notes").glob("*.md")}
    assert files == set(shown())


@pytest.fixture
def invented(tmp_path, monkeypatch):
    """Notes of our own beside the real `attention_weights`."""
    path = tmp_path / "notes.md"
    path.write_text(annotated.notes_file("attention.attention_weights").read_text(encoding="utf-8"))
    monkeypatch.setattr(annotated, "notes_file", lambda name: path)
    return path


def test_a_line_without_a_note_is_named(invented):
    text = invented.read_text(encoding="utf-8")
    head, _, rest = text.partition("## `if allowed is not None:`")
    invented.write_text(head + rest.partition("\n## ")[2].join(["## ", ""]), encoding="utf-8")
    with pytest.raises(NotesError, match="the line 'if allowed is not None:' has no note"):
        statements_with_notes("attention.attention_weights")


def test_a_note_without_a_line_is_named(invented):
    with invented.open("a", encoding="utf-8") as file:
        file.write("\n## `nowhere()`\nwhy: it is not there\n")
    with pytest.raises(NotesError, match=r"no line 'nowhere\(\)'"):
        statements_with_notes("attention.attention_weights")


def test_a_note_says_of_which_kind_it_is(invented):
    with invented.open("a", encoding="utf-8") as file:
        file.write("\n## `nowhere()`\nadds one to x\n")
    with pytest.raises(NotesError, match="must begin with one of why, shape, what"):
        statements_with_notes("attention.attention_weights")


CODE = '''def f(
    a,
):
    """What it means."""
    # a comment
    # over two lines
    b = g(
        a,
    )  # (T,)
    return b
'''


def test_a_statement_over_several_lines_is_one_and_comments_need_no_note():
    found = statements(CODE.splitlines())
    assert [(one.first, one.last, one.text, one.needs_note) for one in found] == [
        (1, 3, "def f(", True),
        (4, 4, '"""What it means."""', False),
        (5, 6, "# a comment", False),
        (7, 9, "b = g(", True),
        (10, 10, "return b", True),
    ]


def test_the_source_is_the_one_in_the_file():
    source = annotated.source("attention.Attention.forward")
    lines = (PAGES.parent / source.file).read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(source.lines):
        assert lines[source.start - 1 + place].strip() == line.strip()


def test_highlighting_keeps_every_character():
    lines = annotated.source("attention.Attention.forward").lines
    assert ["".join(text for _, text in spans) for spans in annotated._highlighted(lines)] == list(lines)


def test_code_in_a_package_is_named_as_its_module_has_it():
    shown = annotated.source("training.optim.learning_rate")
    assert (shown.name, shown.file) == ("learning_rate", "gptcore/training/optim.py")
    assert annotated.source("attention.Attention.forward").name == "Attention.forward"


@pytest.mark.parametrize("name", shown())
def test_a_long_source_opens_at_the_part_with_the_most_reasons(name):
    pairs = statements_with_notes(name)
    first, last = annotated.heart(pairs)
    n_lines = len(annotated.source(name).lines)
    if n_lines <= annotated.HEART_LINES + 3:
        assert (first, last) == (1, n_lines)
        return
    assert last - first < annotated.HEART_LINES

    def reasons(begin: int) -> int:
        inside = (note for s, note in pairs if begin <= s.first and s.last < begin + annotated.HEART_LINES)
        return sum(note is not None and note.kind == "why" for note in inside)

    assert reasons(first) == max(reasons(s.first) for s, _ in pairs if s.needs_note)
