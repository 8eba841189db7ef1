"""Query strings at random: each rule of `links` gives a legal value of its type, or refuses with its one sentence."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pages.kit import links

NASTY = (
    "²",
    "inf",
    "-inf",
    "nan",
    "1e999",
    "4_0",
    " 4",
    "٤",
    "4.5",
    "\0",
    "x" * 100_000,
    "0x10",
    "1,2;3",
    "true\n",
)
RULES = {
    "whole number": links.Number(1, 64),
    "stepped number": links.Number(16, 512, 16),
    "fraction": links.Number(0.0, 1.0, 0.05),
    "choice": links.Choice(("rope", "learned", "none")),
    "text": links.Text(),
    "numbers": links.Numbers(3, -10, 10),
    "positions": links.Positions(3, 16),
    "matrix": links.Matrix(2, 3, -2, 2),
    "switch": links.Switch(),
    "names": links.Names(),
    "run": links.RunId(),
}
# Mostly what looks almost legal: digits, signs and separators of every script.
ALMOST = st.text(st.sampled_from("0123456789-+.,;eE_ \t\n²٤½∞infatrues\0"), max_size=40)
VALUES = st.one_of(
    st.sampled_from(NASTY), ALMOST, st.text(max_size=60), st.integers().map(str), st.floats().map(str)
)


def check(rule: links.Rule, text: str) -> None:
    try:
        value = rule.parse(text)
    except links.Refused as refused:
        sentence = str(refused)
        assert sentence and "\n" not in sentence and len(sentence) < 300
        assert links.refusal("c5_d", text, rule).endswith(".")
        return
    match rule:
        case links.Number(low, high, _):
            assert math.isfinite(value) and low <= value <= high
            assert text.isascii() and not set(text) & set("_ \t\n")
        case links.Numbers() | links.Positions():
            assert len(value) == rule.count and all(map(math.isfinite, value))
        case links.Matrix():
            assert len(value) == rule.rows and all(len(row) == rule.columns for row in value)
        case links.Choice(options):
            assert value in options
        case links.Switch():
            assert value is (text.lower() == "true")
        case links.Text(longest):
            assert len(value) <= longest and "\0" not in value


def run(name: str, n: int) -> None:
    quiet = settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    quiet(given(VALUES)(lambda text: check(RULES[name], text)))()


@pytest.mark.parametrize("name", RULES)
def test_a_value_is_legal_or_refused(name):
    run(name, 40)


@pytest.mark.long
@pytest.mark.parametrize("name", RULES)
def test_many_values_are_legal_or_refused(name):
    run(name, 10_000)
