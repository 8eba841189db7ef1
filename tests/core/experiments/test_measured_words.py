"""The claims about tokens and embeddings: each verdict can come out otherwise, and the quick ones are measured."""

import pytest

from gptcore.experiments import claims

EXPECTED = {
    "space_is_nothing": "holds not",
    "longest_match": "depends",
    "king_minus_man": "holds not",
    "a_step_moves_what_it_saw": "depends",
    "a_dimension_means": "holds not",
    "near_on_the_map": "holds not",
    "gpt2_scales": "holds not",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_measured_here_has_its_headline_and_the_verdict_of_arithmetic(name):
    assert claims.measure(claims.get_claim(name)).verdict == EXPECTED[name]
