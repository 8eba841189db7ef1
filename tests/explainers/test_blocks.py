"""What the explainers' code prints is what their text shows, and every value a reader may choose works."""

import ast
import json

import pytest

from explainers.comparison import differences, numbers
from explainers.library import explainers

BLOCKS = [(explainer, block) for explainer in explainers() for block in explainer.blocks]
SECONDS = 2.0  # a reader waits for a block no longer than this
every_block = pytest.mark.parametrize(
    ("explainer", "block"), BLOCKS, ids=lambda part: getattr(part, "topic", None) or f"block{part.number}"
)


@every_block
def test_a_block_prints_what_the_text_shows(explainer, block, runs):
    said = runs[explainer.topic, block.number][0]
    assert said["values"] == {}
    assert said["error"] is None
    assert not differences(block.expected, said["output"], block.tolerance)


@every_block
def test_a_block_works_at_both_ends_of_every_range(explainer, block, runs):
    rest = runs[explainer.topic, block.number][1:]
    ends = {
        end
        for constant in block.constants
        for end in ((constant.name, constant.low), (constant.name, constant.high))
    }
    tried = {(name, value) for run in rest for name, value in run["values"].items()}
    assert tried == ends - {(constant.name, constant.default) for constant in block.constants}
    for run in rest:
        assert run["error"] is None, run["values"]
        assert "nan" not in run["output"].split(), run["values"]


@every_block
def test_a_block_answers_quickly(explainer, block, runs):
    """By the processor's clock, which does not run while others have the processor."""
    assert max(run["seconds"] for run in runs[explainer.topic, block.number]) < SECONDS


@every_block
def test_a_figure_has_a_title_and_named_axes(explainer, block, runs):
    for run in runs[explainer.topic, block.number]:
        if run["figure"] is None:
            continue
        figure = json.loads(run["figure"])
        assert figure["data"], "an empty figure"
        assert figure["layout"]["title"]["text"]
        axes = [axis for name, axis in figure["layout"].items() if name.startswith(("xaxis", "yaxis"))]
        assert axes and all(axis["title"]["text"] for axis in axes if "matches" not in axis)


@every_block
def test_a_block_is_code_that_reads_well(explainer, block):
    ast.parse(block.code)
    assert max(map(len, block.code.splitlines())) <= 110
    assert block.expected, "a block prints something"


def test_constants_move_what_is_printed(runs):
    """A slider that changes nothing is no slider."""
    for explainer, block in BLOCKS:
        default, *rest = runs[explainer.topic, block.number]
        for constant in block.constants:
            moved = [run for run in rest if constant.name in run["values"]]
            same = all(
                (run["output"], run["figure"]) == (default["output"], default["figure"]) for run in moved
            )
            assert not same, f"{explainer.topic}, block {block.number}: {constant.name} changes nothing"


@pytest.mark.parametrize(
    ("shown", "printed", "tolerance", "same"),
    [
        ("loss 0.458", "loss  0.459", 0.0, True),
        ("loss 0.458", "loss 0.461", 0.0, False),
        ("loss 0.458", "loss 0.470", 0.05, True),
        ("12 heads", "13 heads", 0.0, False),
        ("12 heads", "13 heads", None, True),
        ("1e-06", "3e-06", 0.0, False),
        ("1,000 tokens", "1,000 words", None, False),
        ("a 1\nb 2", "a 1", 0.0, False),
        ("-0.5", "0.5", 0.0, False),
    ],
)
def test_words_must_agree_and_numbers_be_near(shown, printed, tolerance, same):
    assert (not differences(shown, printed, tolerance)) == same


def test_numbers_are_read_as_written():
    assert numbers("−1.5, 1,024 and 2e-3 of x2") == [(-1.5, 0.1), (1024.0, 0.0), (0.002, 0.001)]
