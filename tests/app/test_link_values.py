"""Whatever a link asks for, on every page and for every parameter: what is no legal value is told and not used."""

import re
from functools import cache
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.kit import book, front, links
from tests.app.reading import ROOT, SECONDS

NASTY = {
    "superscript": "²",
    "infinite": "inf",
    "no number": "nan",
    "overflow": "1e999",
    "underscore": "4_0",
    "space": " 4",
    "Arabic digit": "٤",
    "fraction": "4.5",
    "null": "1\x00",
    "escape": "\x1b[31m",
    "long": "9" * 2_000,
    "long text": "a" * 2_000,
    "twice": ["1", "2"],
    "negative": "-1e308",
    "break out": "`\n\n# ![x](http://example.com/x.png)",
}
NUMBERS = {name: value for name, value in NASTY.items() if name not in ("twice", "fraction")}
NUMBERS |= {"very long": "9" * 100_000}
PAGES = [pytest.param(row, id=row.url) for row in book.TABLE]


@pytest.fixture(scope="module", autouse=True)
def no_runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLASSBOX_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


def open_page(row, **asked) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).switch_page(f"pages/{row.file}")
    for key, value in asked.items():
        app.query_params[key] = value
    return app.run()


@cache
def plain(row, **opened: str) -> tuple[dict[str, links.Bound], dict[str, object]]:
    """The parameters of a page, and the value each has where a link asks for no more than some open labs."""
    app = open_page(row, **opened)
    assert not app.exception
    bound = {key: one for key, one in app.session_state["bound_on_page"].items() if key not in opened}
    return bound, {key: present(app, key) for key in bound}


def present(app: AppTest, key: str) -> object:
    """What a page uses for a parameter."""
    names = [name for name in (key, f"{key}_kept") if name in app.session_state]
    return app.session_state[names[0]] if names else None


def attack(row, turn: int, **opened: str) -> None:
    """Ask for an illegal value of every parameter at once, another one each turn."""
    bound, before = plain(row, **opened)
    asked = {}
    for number, (key, rule) in enumerate(
        [*((key, one.rule) for key, one in bound.items()), *links.STICKY.items()]
    ):
        illegal = [value for value in NASTY.values() if links.refusal(key, value, rule)]
        asked[key] = illegal[(number + turn) % len(illegal)]
    asked["note"] = (
        "9" * 100_000
    )  # one so long: Streamlit ignores an address beyond half a million characters
    if row.url == "home":  # which leads links with some of them to chapter 0
        asked = {key: value for key, value in asked.items() if key not in front.OF_CHAPTER_0}
    app = open_page(row, **asked, **opened)
    assert not app.exception
    told = "\n".join(warning.value for warning in app.warning)
    assert [key for key in asked if f"`{key}=" not in told] == []
    assert "\x00" not in told and "\n\n" not in told
    assert {key: present(app, key) for key in bound} == before
    assert len(told) < 400 * len(asked)
    assert app.session_state["kept_parameters"] == {}  # nothing of it follows the visit to another page


@pytest.mark.parametrize("row", PAGES)
def test_an_illegal_value_is_told_and_not_used(row):
    attack(row, 0)


@pytest.mark.long
@pytest.mark.parametrize("turn", range(1, len(NASTY)))
@pytest.mark.parametrize("row", PAGES)
def test_any_illegal_value_is_told_and_not_used(row, turn):
    opened = {key: "true" for key in plain(row)[0] if "_more_" in key}
    attack(row, turn, **opened)


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize(
    "rule",
    [
        links.Number(-1e9, 1e9),
        links.Number(0.0, 1e300, 0.1),
        links.Numbers(1, -1e9, 1e9),
        links.Matrix(1, 1, -1e9, 1e9),
        links.Positions(1, 10),
        links.Choice(["1", "4"]),
        links.Switch(),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_no_rule_takes_what_only_python_reads_as_a_number(rule, value):
    assert links.refusal("key", value, rule)


@pytest.mark.parametrize("value", ["4.5", ["4", "5"], "4.0", "+4", ""])
def test_a_whole_number_is_written_in_digits_and_given_once(value):
    assert links.refusal("key", value, links.Number(0, 9))


def test_only_one_module_reads_the_url_and_it_binds_every_widget():
    readers = re.compile(r"""query_params(\.get|\.get_all|\[|\.to_dict)|bind=["']""")
    found = {
        path.name
        for path in (ROOT / "pages").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if readers.search(line)
        and "st.query_params[name] = " not in line
        and not line.strip().startswith("del ")
    }
    assert found == {Path(links.__file__).name}
