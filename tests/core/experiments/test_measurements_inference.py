"""What is measured about generation: laws of the measurements, and verdicts that can come out otherwise."""

import json

import pytest
import torch

from gptcore.experiments import claims
from gptcore.experiments.claims import VERDICTS, Result
from gptcore.experiments.measurements import inference, speculative
from gptcore.lessons.exercises import get_exercise


@pytest.mark.parametrize("name", ["cache_linear", "speculative_3x", "speculative_approximates"])
def test_measuring_gives_the_headline_and_a_verdict(name):
    result = claims.measure(claims.get_claim(name))
    assert result.verdict in VERDICTS
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_attention_over_a_text_stays_quadratic_with_a_cache_and_is_cubic_without():
    n = 12
    assert inference.pairs_compared(n, cached=True) == n * (n + 1) // 2
    assert inference.pairs_compared(n, cached=False) == sum(k * (k + 1) // 2 for k in range(1, n + 1))


def test_over_all_drafts_each_token_comes_out_as_the_target_alone_would_draw_it():
    solution = get_exercise("accept_or_resample").solution
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        p, q = (torch.softmax(3 * torch.randn(7, generator=generator).double(), -1) for _ in range(2))
        out = sum(q[drafted] * solution(p, q, drafted) for drafted in range(7))
        torch.testing.assert_close(out, p)


def test_a_token_told_its_own_place_is_what_generate_writes_and_a_wrong_place_is_not():
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load
    from gptcore.generation.sampling import generate

    model, tokenizer = load(SHIPPED)
    ids = tokenizer.encode("Once upon a time there was")
    written = [step.token_id for step in generate(model.eval(), ids, 24, temperature=0.0)]
    assert inference.greedy_from(model, ids, 24, shift=0) == written
    assert inference.greedy_from(model, ids, 24, shift=64) != written


def test_times_are_given_for_each_length():
    found = inference.next_token(inference._nano(64), (4, 32), repeats=1)
    assert found.lengths == (4, 32)
    assert all(value > 0 for value in found.without + found.cached)


def test_guessing_is_counted_and_timed_beside_writing_one_by_one(lively):
    model = lively(context_length=64)
    found = speculative.time_speculative(
        model, lively(7, context_length=64), [5, 9, 2], 20, n_ahead=3, seed=1
    )
    assert found.n_tokens == 20
    drafted = [one for cycle in found.cycles for one in cycle.drafted]
    assert found.n_drafted == len(drafted) >= found.n_judged >= found.n_kept
    assert found.n_kept + len(found.cycles) == 20
    assert found.acceptance == found.n_kept / found.n_judged
    assert min(found.seconds_per_token, found.seconds_per_draft, found.seconds_per_check) > 0
    same = speculative.time_speculative(model, model, [5, 9, 2], 20, n_ahead=3, seed=1)
    assert same.acceptance == 1.0
