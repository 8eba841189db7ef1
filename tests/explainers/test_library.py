"""Finding explainers, reading their files, constants with ranges, and the child process that runs a block."""

import json
import os
import subprocess
import sys

import pytest

from explainers import constants, execution, library, reading
from explainers.__main__ import _filled

FRONT = """---
title: A title
summary: A summary.
chapter: 5
order: 2
theme: attention
know_before: [one, two]
---
"""


def written(tmp_path, body, front=FRONT):
    path = tmp_path / "a-topic.md"
    path.write_text(front + body, encoding="utf-8")
    return path


def test_a_file_becomes_front_matter_prose_and_blocks(tmp_path):
    body = "## What it is\n\nWords.\n\n```python\nn = 3  # 1 … 9\nprint(n)\n```\n\n```text within 5%\n3\n```\n\nMore.\n"
    found = reading.read(written(tmp_path, body))
    assert (found.topic, found.title, found.chapter, found.know_before) == (
        "a-topic",
        "A title",
        5,
        ("one", "two"),
    )
    before, block, after = found.parts
    assert (before, after) == ("## What it is\n\nWords.", "More.")
    assert (block.number, block.expected, block.tolerance) == (1, "3\n", 0.05)
    assert [constant.name for constant in block.constants] == ["n"]
    assert found.n_words == 6


def test_a_block_that_continues_takes_those_before_it_along(tmp_path):
    body = "```python\na = 1\n```\n\n```python continues\nprint(a)\n```\n\n```python\nprint(2)\n```\n"
    found = reading.read(written(tmp_path, body))
    assert [[block.number for block in found.chain(number)] for number in (1, 2, 3)] == [[1], [1, 2], [3]]


@pytest.mark.parametrize(
    ("front", "body", "says"),
    [
        ("no front matter\n", "", "must begin with front matter"),
        (FRONT.replace("order: 2\n", ""), "", "must have title, summary"),
        (FRONT.replace("order: 2", "order: two"), "", "order 'two' must be a whole number"),
        (FRONT.replace("theme: attention", "theme: cooking"), "", "theme 'cooking' must be one of"),
        (FRONT, "```python\nprint(1)\n", "never closed"),
        (FRONT, "```python continues\nprint(1)\n```\n", "a fence is `python`"),
        (FRONT, "```python\nprint(1)\n```\n\n```text roughly\n1\n```\n", "after text write nothing"),
        (FRONT, "```python\nn = 9  # 1 … 5\n```\n", "give a whole number from 1 to 5"),
    ],
)
def test_a_file_out_of_form_says_what_is_wrong(tmp_path, front, body, says):
    with pytest.raises(reading.ExplainerError, match=says) as error:
        reading.read(written(tmp_path, body, front))
    assert str(error.value).startswith("a-topic.md: ")


def test_a_range_is_read_with_its_steps_and_its_note():
    code = "d = 64  # 2 … 1024, doubling; width\nx = 0.5  # -1.0 … 1.0, step 0.25\nn = 3  # 1 … 9\ny = 3  # a note\n"
    d, x, n = constants.find(code)
    assert (d.doubling, d.note, d.options[:3], d.options[-1]) == (True, "width", (2, 4, 8), 1024)
    assert (x.whole, x.step, x.low) == (False, 0.25, -1.0)
    assert (n.whole, n.step, n.default) == (True, 1, 3)


def test_values_are_put_in_place_and_nowhere_else():
    code = "n = 3  # 1 … 9\nm = n = 3\nprint(n, 3)\n"
    assert constants.put(code, {"n": 7}) == "n = 7  # 1 … 9\nm = n = 3\nprint(n, 3)\n"


@pytest.mark.parametrize("value", [0, 10, 2.5, "3", "__import__('os')", True, None, float("nan"), [3]])
def test_a_value_that_is_not_legal_never_reaches_the_code(value):
    with pytest.raises(constants.ConstantError, match="from 1 to 9"):
        constants.put("n = 3  # 1 … 9\n", {"n": value})


def test_doubling_and_steps_are_kept():
    with pytest.raises(constants.ConstantError, match="one of 2, 4, 8"):
        constants.put("n = 4  # 2 … 8, doubling\n", {"n": 6})
    with pytest.raises(constants.ConstantError, match="in steps of 2"):
        constants.put("n = 4  # 2 … 8, step 2\n", {"n": 5})
    with pytest.raises(constants.ConstantError, match="no adjustable constant"):
        constants.put("n = 4\n", {"n": 5})


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A library of its own, with a block that prints, one that goes on, one that fails and one that hangs."""
    blocks = [
        "n = 3  # 1 … 9\nprint('n is', n)\n",
        "import plotly.graph_objects as go\nfigure = go.Figure(go.Bar(y=[n]))\nprint(n * n)\n",
        "print('so far')\nraise ValueError('no good')\n",
        "while True:\n    pass\n",
    ]
    fences = ["python", "python continues", "python", "python"]
    body = "Words.\n\n" + "\n".join(f"```{fence}\n{code}```\n" for fence, code in zip(fences, blocks))
    path = written(tmp_path, body)
    monkeypatch.setattr(library, "FOLDER", path.parent)
    return "a-topic"


def test_a_block_is_run_with_its_defaults_and_with_values(shelf):
    assert execution.perform(shelf, 1, {}).output == "n is 3\n"
    assert execution.perform(shelf, 1, {"n": 9}).output == "n is 9\n"
    continued = execution.perform(shelf, 2, {"n": 5})
    assert continued.output == "25\n"
    assert json.loads(continued.figure)["data"][0]["y"] == [5]
    with pytest.raises(constants.ConstantError, match="no adjustable constant"):
        execution.perform(shelf, 1, {"m": 5})
    with pytest.raises(reading.ExplainerError, match="so block 9 does not exist"):
        execution.perform(shelf, 9, {})


def test_what_goes_wrong_in_a_block_is_told(shelf):
    answer = execution.perform(shelf, 3, {})
    assert (answer.output, answer.error) == ("so far\n", "ValueError: no good")


def test_a_child_answers_and_one_that_hangs_is_stopped():
    topic = library.explainers()[0].topic
    answer = execution.run_block(topic, 1, {})
    assert answer.error is None and answer.output
    assert "took more than" in execution.run_block(topic, 1, {}, seconds=0).error


def test_several_blocks_share_a_child_and_each_begins_anew():
    topic = library.explainers()[0].topic
    once, again = execution.run_blocks([(topic, 1, {}), (topic, 1, {"n_merges": 1})], 60)
    assert once.output == execution.run_block(topic, 1, {}).output
    assert again.error is None and again.output != once.output
    late = execution.run_blocks([(topic, 1, {})] * 2, 0)
    assert all("took more than" in answer.error for answer in late)


def test_a_child_refuses_what_the_page_would_refuse():
    explainer = next(found for found in library.explainers() if found.blocks[0].constants)
    constant = explainer.blocks[0].constants[0]
    with pytest.raises(constants.ConstantError):
        execution.run_block(explainer.topic, 1, {constant.name: constant.high + 1})
    with pytest.raises(constants.ConstantError):
        execution.perform(explainer.topic, 1, {constant.name: "9"})


def test_outputs_are_written_where_they_belong():
    text = "a\n```python\nprint(1)\n```\n\n```text within 5%\nold\n```\nb\n```python\nprint(2)\n```\nc\n"
    first = _filled(text, 1, "new\n")
    assert first == text.replace("old", "new")
    assert _filled(first, 2, "2\n").endswith("print(2)\n```\n\n```text\n2\n```\nc\n")


def test_search_wants_every_word_and_prefers_titles():
    hits = library.search("rotary")
    assert hits and hits[0].explainer.topic == "rotary-embeddings"
    assert "rotary" in hits[0].excerpt.casefold()
    assert not library.search("rotary zebra-crossing")
    assert len(library.search("")) == len(library.explainers())


def test_neighbours_and_addresses():
    every = library.explainers()
    assert library.neighbours(every[0].topic) == (None, every[1])
    assert library.neighbours(every[-1].topic) == (every[-2], None)
    assert (
        library.readdress("[x](a-b.md) [y](https://e.org/a.md)", "?topic=")
        == "[x](?topic=a-b) [y](https://e.org/a.md)"
    )
    with pytest.raises(reading.ExplainerError, match="there is no explainer"):
        library.explainer("../../etc/passwd")


def test_the_library_imports_nothing_heavy():
    script = "import explainers.library, explainers.execution, sys; print(sorted(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(library.FOLDER.parent)}
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    ).stdout
    assert "'explainers.library'" in loaded
    assert not {"'torch'", "'plotly'", "'streamlit'", "'numpy'"} & set(loaded.strip("[]\n").split(", "))
