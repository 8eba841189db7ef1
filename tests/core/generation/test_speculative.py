"""Guessing ahead: exact by enumeration, by chi-square and at temperature 0, and counted as it is."""

import itertools

import pytest
import torch

from gptcore.cache import KVCache
from gptcore.generation.sampling import Sampling, distribution, draw, generate
from gptcore.generation.speculative import (
    CachedModel,
    NgramDraft,
    acceptance,
    acceptance_rate,
    expected_speedup,
    expected_tokens,
    first_layers,
    residual_distribution,
    speculate,
    verify,
)


def tables(n_tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two Markov chains over the same tokens, rows that sum to 1: the target's and the draft's."""
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(2, n_tokens, n_tokens, generator=generator, dtype=torch.float64)
    target, draft = torch.softmax(scores, -1)
    return target, draft


def written(*args, **options) -> tuple[list[int], str]:
    """Run `speculate` to its end; return the tokens and why it ended."""
    tokens, process = [], speculate(*args, **options)
    while True:
        try:
            tokens += next(process).token_ids
        except StopIteration as end:
            return tokens, end.value


def cycles(*args, **options) -> list:
    return list(speculate(*args, **options))


def plain(*args, **options) -> list[int]:
    return [step.token_id for step in generate(*args, **options)]


def chi_square(counts: torch.Tensor, expected: torch.Tensor) -> tuple[float, int]:
    """Return the statistic and its degrees of freedom, cells expecting fewer than five thrown together."""
    rare = expected < 5
    counts = torch.cat((counts[~rare], counts[rare].sum().reshape(1)))
    expected = torch.cat((expected[~rare], expected[rare].sum().reshape(1)))
    counts, expected = counts[expected > 0], expected[expected > 0]
    return float(((counts - expected) ** 2 / expected).sum()), len(expected) - 1


def surely_below(freedom: int) -> float:
    """What a chi-square variable exceeds about once in 30,000 (Wilson and Hilferty's cube, four deviations)."""
    return freedom * (1 - 2 / (9 * freedom) + 4 * (2 / (9 * freedom)) ** 0.5) ** 3


def test_over_all_drafts_each_token_comes_out_as_often_as_the_target_writes_it():
    for seed in range(20):
        target, draft = tables(6, seed)
        p, q = target[0], draft[0]
        kept = acceptance(p.expand(6, 1, 6), q.expand(6, 1, 6), torch.arange(6).unsqueeze(1))[:, 0]
        out = q * kept + (q * (1 - kept)).sum() * residual_distribution(p, q)
        torch.testing.assert_close(out, p)
        assert float((q * kept).sum()) == pytest.approx(float(acceptance_rate(p, q)))


@pytest.mark.parametrize("n_ahead", [1, 2, 3])
def test_whole_cycles_are_exact_by_enumeration(n_ahead):
    """Every draft with its chance, every place of the first refusal, then the target alone: the target's own law."""
    n, start = 3, 0
    target, draft = tables(n, n_ahead)
    law = torch.zeros((n,) * (n_ahead + 1), dtype=torch.float64)
    for guesses in itertools.product(range(n), repeat=n_ahead):
        befores = (start, *guesses)
        p, q = target[list(befores)], draft[list(befores[:-1])]
        kept = acceptance(p[:-1], q, torch.tensor(guesses))
        chance = float(torch.stack([q[place, one] for place, one in enumerate(guesses)]).prod())
        for n_kept in range(n_ahead + 1):
            ends = 1.0 if n_kept == n_ahead else float(1 - kept[n_kept])
            reaches = chance * float(kept[:n_kept].prod()) * ends
            after = p[n_kept] if n_kept == n_ahead else residual_distribution(p[n_kept], q[n_kept])
            for rest in itertools.product(range(n), repeat=n_ahead - n_kept + 1):
                text = (*guesses[:n_kept], *rest)
                follows = float(after[rest[0]])
                for before, now in itertools.pairwise(rest):
                    follows *= float(target[before, now])
                law[text] += reaches * follows
    for text in itertools.product(range(n), repeat=n_ahead + 1):
        own = 1.0
        for before, now in itertools.pairwise((start, *text)):
            own *= float(target[before, now])
        assert float(law[text]) == pytest.approx(own, abs=1e-12)


def drawn_by_cycles(target, draft, n_rows: int, n_new: int, n_ahead: int, sampling: Sampling, seed: int):
    """The first `n_new` tokens of `n_rows` texts, cycle after cycle, all rows at once: (n_rows, n_new)."""
    generator = torch.Generator().manual_seed(seed)
    p_of, q_of = (distribution(table.log(), sampling).double() for table in (target, draft))
    text = torch.zeros(n_rows, n_new + n_ahead + 1, dtype=torch.int64)
    length = torch.ones(n_rows, dtype=torch.int64)  # all begin with token 0
    everywhere = torch.arange(n_rows)
    while bool((length <= n_new).any()):
        befores = [text[everywhere, length - 1]]
        for _ in range(n_ahead):
            befores.append(draw(q_of[befores[-1]], generator)[:, 0])
        path = torch.stack(befores, 1)  # the last token and the guesses
        n_kept, next_id = verify(p_of[path], q_of[path[:, :-1]], path[:, 1:], generator)
        grown = torch.cat((path[:, 1:], next_id.unsqueeze(1)), 1)
        grown[everywhere, n_kept] = next_id
        going = length <= n_new
        for place in range(n_ahead + 1):
            rows = going & (place <= n_kept) & (length + place < text.shape[1])
            text[everywhere[rows], (length + place)[rows]] = grown[rows, place]
        length = torch.where(going, length + n_kept + 1, length)
    return text[:, 1 : n_new + 1]


@pytest.mark.parametrize("n_ahead", [1, 3])
@pytest.mark.parametrize(
    "filters", [{}, {"temperature": 0.7, "top_k": 3}, {"top_p": 0.8, "min_p": 0.05}], ids=str
)
def test_fifty_thousand_texts_follow_plain_samplings_law(n_ahead, filters):
    n_rows, n = 50_000, 5
    sampling = Sampling(**filters)
    target, draft = tables(n, 3)
    own = distribution(target.log(), sampling).double()
    expected = (own[0][:, None, None] * own[:, :, None] * own[None]).flatten() * n_rows
    found = drawn_by_cycles(target, draft, n_rows, 3, n_ahead, sampling, seed=11)
    cells = found[:, 0] * n * n + found[:, 1] * n + found[:, 2]
    counts = torch.bincount(cells, minlength=n**3).double()
    statistic, freedom = chi_square(counts, expected)
    assert statistic < surely_below(freedom)
    assert float(counts[expected == 0].sum()) == 0
    # The same test refuses the draft's own law, so it can tell.
    alone = distribution(draft.log(), sampling).double()
    wrong = (alone[0][:, None, None] * alone[:, :, None] * alone[None]).flatten() * n_rows
    other, freedom = chi_square(counts, wrong)
    assert other > 10 * surely_below(freedom)


def chi_square_of_models(lively, n_texts: int) -> None:
    target, draft = lively(1, vocab_size=4), lively(2, vocab_size=4, n_layers=1)
    filters = {"temperature": 0.9, "top_p": 0.95, "repetition_penalty": 1.2}
    counts = torch.zeros(4, 4, dtype=torch.float64)
    for seed in range(n_texts):
        tokens, _ = written(target, draft, [1, 3], 2, n_ahead=2, seed=seed, **filters)
        counts[tokens[0], tokens[1]] += 1
    expected = torch.zeros(4, 4, dtype=torch.float64)
    with torch.inference_mode():
        for first in range(4):
            rows = [torch.tensor([1, 3]), torch.tensor([1, 3, first])]
            p = [distribution(target(row[None])[0, -1], Sampling(**filters), row) for row in rows]
            expected[first] = float(p[0][first]) * p[1].double() * n_texts
    statistic, freedom = chi_square(counts.flatten(), expected.flatten())
    assert statistic < surely_below(freedom)


def test_texts_of_two_models_follow_the_targets_law(lively):
    chi_square_of_models(lively, 600)


@pytest.mark.long
def test_fifty_thousand_texts_of_two_models_follow_the_targets_law(lively):
    chi_square_of_models(lively, 50_000)


DRAFTS = {
    "another model": lambda lively, target: lively(7),
    "a smaller one": lambda lively, target: lively(8, n_layers=1, d_model=16, n_heads=2),
    "its own first layer": lambda lively, target: first_layers(target, 1),
    "counts": lambda lively, target: NgramDraft([5, 9, 2, 7, 5, 9, 1], 61, 3),
    "itself": lambda lively, target: target,
}


@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.parametrize("n_ahead", [1, 2, 5])
def test_greedy_guessing_writes_what_greedy_writes(lively, name, n_ahead):
    for changes in ({}, {"n_kv_heads": 2, "window": 5}):
        target = lively(**changes)
        draft = DRAFTS[name](lively, target)
        for penalty in (1.0, 1.3):
            options = {"temperature": 0, "repetition_penalty": penalty}
            tokens, why = written(target, draft, [5, 9, 2], 99, n_ahead=n_ahead, **options)
            assert tokens == plain(target, [5, 9, 2], 99, **options)
            assert (len(tokens), why) == (22, "context")
            assert written(target, draft, [5, 9, 2], 7, n_ahead=n_ahead, **options)[0] == tokens[:7]


def test_it_ends_before_a_stop_token(lively):
    target = lively()
    free = plain(target, [5, 9, 2], 15, temperature=0)
    stop = free[6]
    expected = free[: free.index(stop)]
    for draft in (target, lively(7)):
        tokens, why = written(target, draft, [5, 9, 2], 15, n_ahead=4, temperature=0, stop_ids=[stop])
        assert (tokens, why) == (expected, "stop")
    assert written(target, target, [5], 0)[1] == "length"


def test_a_draft_that_is_the_target_is_always_kept_and_gives_a_bonus(lively):
    target = lively()
    for cycle in cycles(target, target, [5, 9, 2], 15, n_ahead=4, seed=3):
        assert all(one.kept for one in cycle.drafted)
        assert cycle.is_bonus
        assert len(cycle.token_ids) == len(cycle.drafted) + 1
        assert [one.p for one in cycle.drafted] == pytest.approx([one.q for one in cycle.drafted], rel=1e-3)


def test_cycles_tell_what_happened(lively):
    target, draft = lively(), lively(7)
    text = [5, 9, 2]
    sampling = Sampling(temperature=0.8, top_k=20)
    found = cycles(target, draft, text, 20, n_ahead=3, temperature=0.8, top_k=20, seed=1)
    assert sum(len(cycle.token_ids) for cycle in found) == 20
    assert any(cycle.is_bonus for cycle in found) or any(one.kept for c in found for one in c.drafted)
    for cycle in found:
        ids = [one.token_id for one in cycle.drafted]
        with torch.inference_mode():
            p, q = (
                distribution(model(torch.tensor([text + ids]))[0, len(text) - 1 :], sampling)
                for model in (target, draft)
            )
        for place, one in enumerate(cycle.drafted):
            assert one.p == pytest.approx(float(p[place, one.token_id]), abs=1e-4)
            assert one.q == pytest.approx(float(q[place, one.token_id]), abs=1e-4)
        fates = [one.kept for one in cycle.drafted]
        n_kept = fates.index(False) if False in fates else len(fates)
        assert fates == [True] * n_kept + [False] * (n_kept < len(fates)) + [None] * (len(fates) - n_kept - 1)
        assert list(cycle.token_ids) == [*ids[:n_kept], cycle.next_id]
        assert cycle.is_bonus == (n_kept == len(ids))
        assert (cycle.draft_calls, cycle.target_calls) == (len(ids), 1)
        text = text + list(cycle.token_ids)


@torch.inference_mode()
def test_a_reader_set_back_reads_as_if_the_rest_had_never_been(lively, random_ids):
    model, ids = lively(n_kv_heads=2), random_ids(1, 14)[0].tolist()
    reader = CachedModel(model)
    reader.logits([*ids[:4], 60, 59, 58], 4)
    reader.roll_back(4)
    torch.testing.assert_close(reader.logits(ids, 3), model(torch.tensor([ids]))[0, -3:])
    assert isinstance(reader.cache, KVCache)
    assert reader.cache.length == 14


def test_counts_are_those_of_the_longest_context_the_text_holds():
    table = NgramDraft([1, 2, 3, 1, 2, 4, 1, 2, 3, 0], 6, order=3)
    p = torch.softmax(table.logits([9, 1, 2]), -1)[0]
    torch.testing.assert_close(p, torch.tensor([0, 0, 0, 2 / 3, 1 / 3, 0]))
    unseen = torch.softmax(table.logits([5, 5]), -1)[0]
    torch.testing.assert_close(unseen, torch.tensor([1, 3, 3, 2, 1, 0]) / 10)
    after = torch.softmax(table.logits([1, 2, 3], 2), -1)
    assert after[0].tolist() == pytest.approx(p.tolist())
    assert after[1].tolist() == pytest.approx([0.5, 0.5, 0, 0, 0, 0])


def test_the_first_layers_share_their_weights(lively, random_ids):
    model = lively(n_layers=3)
    whole, short = first_layers(model, 3), first_layers(model, 1)
    assert short.layers[0] is model.layers[0]
    ids = random_ids(1, 9)
    with torch.inference_mode():
        torch.testing.assert_close(whole(ids), model(ids))
        assert not torch.allclose(short(ids), model(ids))
    with pytest.raises(ValueError, match="n_layers=4 must be from 1 to the model's 3 layers"):
        first_layers(model, 4)


def test_tokens_a_cycle_and_their_cost_are_what_enumeration_gives():
    chance, n_ahead = 0.7, 4
    mean = 0.0
    for kept in itertools.product((True, False), repeat=n_ahead):
        likely = 1.0
        for one in kept:
            likely *= chance if one else 1 - chance
        mean += likely * ((kept.index(False) if False in kept else n_ahead) + 1)
    assert expected_tokens(chance, n_ahead) == pytest.approx(mean)
    assert expected_tokens(chance, n_ahead) == pytest.approx((1 - chance**5) / (1 - chance))
    assert expected_speedup(0.8, 5, 0.1) == pytest.approx(2.46, abs=0.005)
    assert expected_speedup(0.5, 5, 0.1) == pytest.approx(1.31, abs=0.005)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"draft": "other"},
            "the draft model has 12 tokens and the target 61; choose a draft model with the target's tokenizer",
        ),
        ({"n_ahead": 0}, "n_ahead=0 must be at least 1"),
        ({"ids": []}, "the prompt is empty"),
        ({"ids": [61]}, "token id 61"),
        ({"ids": [1] * 25}, "25 tokens"),
        ({"seed": -1}, "seed=-1"),
        ({"temperature": -1.0}, "temperature=-1.0"),
    ],
    ids=str,
)
def test_a_bad_request_is_refused_in_one_sentence(lively, options, sentence):
    if options.get("draft"):
        options = options | {"draft": lively(vocab_size=12)}
    request = {"target": lively(), "draft": lively(7), "ids": [1], "max_new_tokens": 3} | options
    with pytest.raises(ValueError, match=sentence):
        next(speculate(**request))
    with pytest.raises(ValueError, match="at least one token"):
        NgramDraft([], 5)
