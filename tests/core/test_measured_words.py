"""The claims about tokens and embeddings: each verdict can come out otherwise, and the quick ones are measured."""

import pytest

from gptcore import claims
from gptcore.claims import Spread

MADE_UP = {
    "token_is_a_word": ({"stories": 0.99}, {"stories": 0.5}),
    "four_characters": ({"stories": 4.0}, {"stories": 2.0}),
    "space_is_nothing": ({"words": 1.0}, {"words": 0.0}),
    "longest_match": ({"stories": 0.0}, {"stories": 0.2}),
    "half_as_long": ({"512 to 1024": 0.5}, {"512 to 1024": 0.9}),
    "vocabulary_perplexity": (
        {"per token": 0.7, "bits per byte": 1.0},
        {"per token": 1.8, "bits per byte": 0.6},
    ),
    "king_minus_man": ({"inputs left out": 0.9}, {"inputs left out": 0.1}),
    "a_step_moves_what_it_saw": ({"tied": 0.0}, {"tied": 1.0}),
    "a_dimension_means": ({"turned": 0.5}, {"turned": 1e-6}),
    "near_on_the_map": ({"words": 0.9}, {"words": 0.1}),
    "unused_rows_stay": ({"untied": 1.0}, {"untied": 0.0}),
    "gpt2_scales": ({"GPT-2's shape": 1.0}, {"GPT-2's shape": 0.04}),
}
EXPECTED = {
    "space_is_nothing": "holds not",
    "longest_match": "depends",
    "king_minus_man": "holds not",
    "a_step_moves_what_it_saw": "depends",
    "a_dimension_means": "holds not",
    "near_on_the_map": "holds not",
    "gpt2_scales": "holds not",
}


@pytest.mark.parametrize("name", MADE_UP)
def test_a_verdict_can_come_out_either_way(name):
    judge = claims.named(name).judge

    def verdict(values):
        return judge({key: Spread(value, value, value) for key, value in values.items()})

    holding, failing = MADE_UP[name]
    assert verdict(holding) == "holds" and verdict(failing) == "holds not"


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_measured_here_has_its_headline_and_the_verdict_of_arithmetic(name):
    assert claims.measure(claims.named(name)).verdict == EXPECTED[name]
