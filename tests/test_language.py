"""The words of the project: the field's terms, in American spelling, where a learner reads them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The texts that are in standard terms.
READ = (
    "explainers/*.md",
    "pages/text/en/notes/*.md",
    "pages/text/en/questions/*.md",
    "pages/text/en/glossary_*.md",
    "pages/text/en/0[0-4]_*.md",
    "pages/text/en/05_*.md",
    "pages/text/en/0[67]_*.md",
    "pages/text/en/08_*.md",
    "pages/text/en/09_*.md",
    "pages/text/en/1[01]_*.md",
    "pages/text/en/[a-flmr-z]*.md",
)
# Names, foreign words, and a term and a question that links and progress of the first edition name in this spelling.
KEPT = "gage,caf,lief,vor,initialisation,normalised"
TERMS = tomllib.loads((ROOT / "tests/discouraged_terms.toml").read_text(encoding="utf-8"))["term"]


def texts() -> list[Path]:
    return sorted(path for pattern in READ for path in ROOT.glob(pattern))


def prose(path: Path) -> str:
    """A text without its code, formulas and placeholders, in one line a paragraph."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(
        r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\[\[.*?\]\]|\]\([^)]*\)", " ", text, flags=re.DOTALL
    )
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term["write"])
def test_no_text_uses_a_phrase_for_which_the_field_has_a_term(term):
    found = [
        f"{path.relative_to(ROOT)}: “{match[0]}”"
        for path in texts()
        if str(path.relative_to(ROOT)) not in term.get("right_in", {})
        for phrase in term["phrases"]
        for match in re.finditer(rf"\b{phrase}", prose(path), re.IGNORECASE)
    ]
    assert not found, f"write “{term['write']}” instead of:\n" + "\n".join(found)


def test_words_are_spelled_as_in_american_english():
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,en-GB_to_en-US", "-L", KEPT]
    ran = subprocess.run([*command, *map(str, texts())], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout
