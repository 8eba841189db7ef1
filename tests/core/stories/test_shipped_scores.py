"""The scores of the n-gram tables that the package ships: those of the stories written now, or none."""

import json

import pytest

from gptcore.stories.shipped_scores import FILE, read_file

OUTDATED = "outdated: run python -m gptcore.stories.shipped_scores"


def test_the_shipped_scores_are_those_of_tables_that_copy():
    scores = read_file(FILE)
    assert scores is not None, OUTDATED
    assert list(scores) == [3, 5, 7]
    rates = [scores[order].rate for order in (3, 5, 7)]
    assert rates == sorted(rates) and all(score.new < score.rate for score in scores.values())


def _changed(text: str, change: str) -> str:
    values = json.loads(text)
    if change == "cut short":
        return text[: len(text) // 2]
    if change == "no object":
        return json.dumps(list(values))
    if change == "another grammar":
        values["written_with"] = "0" * len(values["written_with"])
    elif change == "no scores":
        del values["scores"]
    elif change == "no order":
        values["scores"]["x"] = values["scores"].pop("3")
    else:
        del values["scores"]["3"]["rate"]
    return json.dumps(values)


@pytest.mark.parametrize(
    "change", ["cut short", "no object", "another grammar", "no scores", "no order", "a score less"]
)
def test_a_file_that_does_not_fit_is_not_used(tmp_path, change):
    file = tmp_path / "table_scores.json"
    file.write_text(_changed(FILE.read_text(encoding="utf-8"), change), encoding="utf-8")
    assert read_file(file) is None


def test_a_missing_file_is_none(tmp_path):
    assert read_file(tmp_path / "table_scores.json") is None
