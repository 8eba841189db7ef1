"""What is measured about training: verdicts that can come out otherwise, and the arithmetic of the chapter."""

import math

import pytest
import torch

from gptcore.lessons import by_hand
from gptcore.lessons.exercises import get_exercise


def test_the_first_step_of_adamw_has_the_size_of_the_rate_whatever_the_gradient():
    for gradient in (1e-3, 0.5, 40.0):
        step = by_hand.adamw_step(0.5, [gradient], rate=0.01, decay=0.1, beta1=0.9, beta2=0.98)
        assert step.move == pytest.approx(0.01, rel=1e-4)
        assert step.weight == pytest.approx(step.decayed - step.move, abs=1e-9)


def test_a_second_step_is_what_the_paper_says():
    m, v, weight = 0.0, 0.0, 0.5
    for turn, gradient in enumerate((0.3, -0.2), 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.98 * v + 0.02 * gradient**2
        weight *= 1 - 0.01 * 0.1
        weight -= 0.01 * (m / (1 - 0.9**turn)) / (math.sqrt(v / (1 - 0.98**turn)) + 1e-8)
    step = by_hand.adamw_step(0.5, [0.3, -0.2], rate=0.01, decay=0.1, beta1=0.9, beta2=0.98)
    assert step.weight == pytest.approx(weight, abs=1e-9)
    assert (step.first, step.second) == pytest.approx((m, v))


def test_the_pull_of_a_prediction_is_probability_minus_one_for_what_came():
    found = by_hand.cross_entropy(torch.tensor([2.0, 1.0, 0.5, 0.1]), 1)
    wanted = found.probabilities - torch.tensor([0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(found.gradient, wanted)
    assert found.loss == pytest.approx(-math.log(found.probabilities[1]))


def test_unequal_parts_give_the_gradient_of_one_batch():
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(5, 4, generator=generator)
    parts = [
        (torch.randn(n, 4, generator=generator), torch.randint(5, (n,), generator=generator))
        for n in (1, 7, 4)
    ]
    whole = [(torch.cat([x for x, _ in parts]), torch.cat([targets for _, targets in parts]))]
    solution = get_exercise("unequal_parts").solution
    torch.testing.assert_close(solution(weight, parts), solution(weight, whole), atol=1e-6, rtol=0)
