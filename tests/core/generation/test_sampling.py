"""Generation: the same ids with and without a cache, filters equal to transformers', and every way to end."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation import logits_process as theirs

from gptcore.config import ModelConfig
from gptcore.generation.batch import generate_batch
from gptcore.generation.sampling import (
    Sampling,
    distribution,
    generate,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
)
from gptcore.model import GPT
from gptcore.positions import POSITIONS

NINE = torch.tensor([0.45, 0.22, 0.13, 0.08, 0.05, 0.03, 0.02, 0.01, 0.01])


def drained(*args, **options):
    """Run `generate` to its end; return its steps and why it ended."""
    steps, process = [], generate(*args, **options)
    while True:
        try:
            steps.append(next(process))
        except StopIteration as end:
            return steps, end.value


def token_ids(*args, **options) -> list[int]:
    return [step.token_id for step in generate(*args, **options)]


@pytest.fixture
def logits():
    return 3 * torch.randn(5, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seen(random_ids):
    return random_ids(5, 12, seed=1, vocab_size=40)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_temperature_is_transformers(logits, temperature):
    expected = torch.softmax(theirs.TemperatureLogitsWarper(temperature)(None, logits), -1)
    torch.testing.assert_close(distribution(logits, Sampling(temperature=temperature)), expected)


@pytest.mark.parametrize("k", [1, 2, 7, 40, 1000])
def test_top_k_is_transformers(logits, k):
    assert torch.equal(keep_top_k(logits, k), theirs.TopKLogitsWarper(k)(None, logits))


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_top_p_is_transformers(logits, p):
    assert torch.equal(keep_top_p(logits, p), theirs.TopPLogitsWarper(p)(None, logits))


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 1.0])
def test_min_p_is_transformers(logits, p):
    assert torch.equal(keep_min_p(logits, p), theirs.MinPLogitsWarper(p)(None, logits))


@pytest.mark.parametrize("penalty", [0.8, 1.2, 5.0])
def test_repetition_penalty_is_transformers(logits, seen, penalty):
    expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(seen, logits)
    torch.testing.assert_close(penalize_repetition(logits, seen, penalty), expected)


COMBINED = {
    "temperature": [0.5, 1.4],
    "top_k": [None, 6],
    "top_p": [None, 0.8],
    "min_p": [None, 0.15],
    "repetition_penalty": [1.0, 1.6],
}


def test_filters_combined_act_in_the_order_of_transformers_own_generate(random_ids):
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=1.0,
        )
    ).eval()
    prompt = random_ids(1, 6, vocab_size=40)
    for values in itertools.product(*COMBINED.values()):
        options = dict(zip(COMBINED, values))
        asked = {"top_k": 0} | {name: value for name, value in options.items() if value is not None}
        out = model.generate(
            prompt,
            do_sample=True,
            max_new_tokens=4,
            eos_token_id=None,
            pad_token_id=0,
            output_scores=True,
            output_logits=True,
            return_dict_in_generate=True,
            **asked,
        )
        for step, (scores, logits) in enumerate(zip(out.scores, out.logits)):
            so_far = out.sequences[:, : 6 + step]
            ours = distribution(logits, Sampling(**options), so_far)
            torch.testing.assert_close(ours, torch.softmax(scores, -1), atol=1e-6, rtol=1e-4)


def test_filters_work_row_by_row(logits, seen):
    for values in itertools.product(*COMBINED.values()):
        sampling = Sampling(**dict(zip(COMBINED, values)))
        rows = [distribution(row, sampling, ids) for row, ids in zip(logits, seen)]
        batch = distribution(logits, sampling, seen)
        torch.testing.assert_close(batch, torch.stack(rows))
        torch.testing.assert_close(batch.sum(-1), torch.ones(5))


def test_worked_softmax_at_three_temperatures():
    logits = torch.tensor([2.0, 1.0, 0.5, 0.1])
    for temperature, expected in {
        0.5: [0.828, 0.112, 0.041, 0.019],
        1.0: [0.575, 0.211, 0.128, 0.086],
        2.0: [0.406, 0.246, 0.192, 0.157],
    }.items():
        assert distribution(logits, Sampling(temperature=temperature)).tolist() == pytest.approx(
            expected, abs=6e-4
        )


@pytest.mark.parametrize(("p", "kept"), [(0.9, 5), (0.5, 2), (0.44, 1), (0.46, 2), (1.0, 9), (1e-9, 1)])
def test_top_p_keeps_the_token_that_crosses_p(p, kept):
    probabilities = distribution(NINE.log(), Sampling(top_p=p))
    assert (probabilities > 0).sum() == kept
    torch.testing.assert_close(probabilities[:kept], NINE[:kept] / NINE[:kept].sum())


def test_temperature_zero_is_greedy_and_takes_the_first_of_equals(logits):
    best = distribution(logits, Sampling(temperature=0))
    assert torch.equal(best.argmax(-1), logits.argmax(-1))
    assert torch.equal(best.sum(-1), torch.ones(5))
    assert ((best == 0) | (best == 1)).all()
    assert distribution(torch.tensor([1.0, 3.0, 3.0]), Sampling(temperature=0)).tolist() == [0, 1, 0]


@pytest.mark.parametrize("temperature", [1e-45, 1e-39, 1e-8, 1e-3])
def test_a_temperature_near_zero_comes_near_greedy(logits, temperature):
    probabilities = distribution(logits, Sampling(temperature=temperature))
    torch.testing.assert_close(probabilities, distribution(logits, Sampling(temperature=0)))


def test_the_best_token_stays_whatever_is_asked_for():
    flat = torch.zeros(4)
    for sampling in (Sampling(top_k=1), Sampling(top_p=1e-12), Sampling(min_p=1.0)):
        probabilities = distribution(flat, sampling)
        assert probabilities.isfinite().all()
        assert probabilities.sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": float("nan")},
    ],
    ids=str,
)
def test_a_sampling_without_meaning_is_refused_by_name(changes, lively):
    ((name, value),) = changes.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Sampling(**changes)
    with pytest.raises(ValueError, match=f"{name}={value}"):
        next(generate(lively(), [1], 1, **changes))


VARIANTS = [
    {"position": position, "n_kv_heads": n_kv_heads} for position in POSITIONS for n_kv_heads in (4, 2, 1)
] + [
    {"window": 6},
    {"window": 1, "n_kv_heads": 2, "position": "learned"},
    {"rope_scaling": {"kind": "llama3", "factor": 4.0, "original_context_length": 8}},
    {"rope_scaling": {"kind": "ntk", "factor": 2.0}, "qk_norm": True, "bias": "all"},
    {"norm": "layernorm", "norm_position": "post", "ffn": "gelu", "position": "learned", "bias": "all"},
]
WAYS = [
    {"temperature": 0},
    {"temperature": 1.0, "seed": 3},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.2, "seed": 4},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_with_and_without_a_cache_the_ids_are_the_same_over_the_whole_context(lively, changes):
    model = lively(**changes)
    for way in WAYS:
        cached, why = drained(model, [5, 9, 2], 1000, **way)
        plain, plainly_why = drained(model, [5, 9, 2], 1000, use_cache=False, **way)
        assert [step.token_id for step in cached] == [step.token_id for step in plain]
        assert len(cached) == 24 - 3 + 1  # the last is drawn from a full context
        assert why == plainly_why == "context"
        assert [s.probability for s in cached] == pytest.approx(
            [s.probability for s in plain], rel=1e-3, abs=1e-6
        )


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_with_and_without_a_cache_the_ids_are_the_same_past_the_context(lively, changes):
    model = lively(**changes)
    for way in WAYS:
        cached, why = drained(model, [5, 9, 2], 70, past_context="slide", **way)
        plain, _ = drained(model, [5, 9, 2], 70, past_context="slide", use_cache=False, **way)
        assert [step.token_id for step in cached] == [step.token_id for step in plain]
        assert (len(cached), why) == (70, "length")


def test_past_the_context_the_text_goes_on_from_its_last_half(lively):
    model = lively()
    ids = [5, 9, 2, *token_ids(model, [5, 9, 2], 22, temperature=0)]  # one more than the context of 24
    slid = token_ids(model, [5, 9, 2], 34, temperature=0, past_context="slide")
    assert slid[22:] == token_ids(model, ids[-12:], 12, temperature=0)


def test_a_prompt_longer_than_the_context_may_slide(lively, random_ids):
    model, ids = lively(), random_ids(1, 60)[0].tolist()
    cached = token_ids(model, ids, 40, past_context="slide", seed=1)
    assert cached == token_ids(model, ids, 40, past_context="slide", seed=1, use_cache=False)
    assert cached[:5] == token_ids(model, ids[-12:], 5, seed=1)


@pytest.mark.parametrize("context_length", [1, 2, 3])
@pytest.mark.parametrize("use_cache", [True, False])
def test_the_smallest_contexts_slide_too(lively, context_length, use_cache):
    model = lively(context_length=context_length)
    assert len(token_ids(model, [5], 9, past_context="slide", use_cache=use_cache)) == 9


@torch.no_grad()
def test_greedy_is_the_argmax_of_the_whole_forward_pass(lively):
    model = lively(n_kv_heads=2)
    steps, _ = drained(model, [5, 9, 2], 15, temperature=0)
    ids = [5, 9, 2]
    for step in steps:
        probabilities = torch.softmax(model(torch.tensor([ids]))[0, -1], -1)
        assert step.token_id == int(probabilities.argmax())
        assert step.probability == pytest.approx(float(probabilities.max()), rel=1e-4)
        assert [i for i, _ in step.alternatives] == probabilities.topk(10).indices.tolist()
        assert [p for _, p in step.alternatives] == pytest.approx(
            probabilities.topk(10).values.tolist(), rel=1e-3
        )
        assert step.seconds > 0
        ids.append(step.token_id)


def test_probability_and_alternatives_are_the_models_own_before_any_filter(lively):
    model = lively()
    plain = next(generate(model, [5, 9], 1, temperature=0))
    filtered = next(generate(model, [5, 9], 1, temperature=0.2, top_k=1, n_alternatives=3))
    assert filtered.token_id == plain.token_id
    assert filtered.probability == plain.probability
    assert filtered.alternatives == plain.alternatives[:3]


def test_sampling_draws_by_the_distribution(small):
    model = GPT(small(vocab_size=4, position="none"))
    torch.nn.init.normal_(model.embedding.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.softmax(model(torch.tensor([[1]]))[0, -1], -1)
    drawn = torch.tensor([token_ids(model, [1], 1, seed=seed)[0] for seed in range(600)])
    shares = torch.bincount(drawn, minlength=4) / 600
    # Four standard errors: a correct sampler leaves this about once in ten thousand such choices of seeds.
    assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / 600).sqrt() + 1e-9).all()


def test_the_same_seed_gives_the_same_text_and_another_another(lively):
    model = lively()
    torch.manual_seed(1)
    first = token_ids(model, [5], 20, seed=7)
    torch.manual_seed(2)
    assert token_ids(model, [5], 20, seed=7) == first
    assert token_ids(model, [5], 20, seed=8) != first


def test_ids_may_be_a_list_or_a_tensor(lively, random_ids):
    model, ids = lively(), random_ids(1, 6)
    first = token_ids(model, ids[0].tolist(), 5)
    assert token_ids(model, ids[0], 5) == token_ids(model, ids, 5) == first


def test_it_stops_before_a_stop_token_at_the_length_or_at_the_context(lively):
    model = lively()
    free = token_ids(model, [5, 9, 2], 15, temperature=0)
    place = next(i for i in range(1, 15) if free[i] not in free[:i])
    steps, why = drained(model, [5, 9, 2], 15, temperature=0, stop_ids={free[place]})
    assert ([s.token_id for s in steps], why) == (free[:place], "stop")
    assert drained(model, [5, 9, 2], 4)[1] == "length"
    assert drained(model, [5, 9, 2], 0) == ([], "length")
    assert drained(model, [5, 9, 2], 99)[1] == "context"


@pytest.mark.parametrize(
    ("ids", "options", "sentence"),
    [
        ([], {}, "the prompt is empty"),
        ([1, 61], {}, "token id 61 must be from 0 to 60"),
        ([-1], {}, "token id -1 must be from 0 to 60"),
        ([1] * 25, {}, "the prompt has 25 tokens and the model's context is 24"),
        ([1], {"past_context": "wrap"}, "past_context='wrap'"),
        ([1], {"seed": 2**70}, "seed"),
    ],
)
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_bad_request_is_refused_in_one_sentence(lively, ids, options, sentence, use_cache):
    with pytest.raises(ValueError, match=sentence):
        next(generate(lively(), ids, 3, use_cache=use_cache, **options))


def test_a_batch_writes_what_each_row_would_alone(lively, random_ids):
    model, ids = lively(n_kv_heads=2), random_ids(5, 6)
    greedy = Sampling(temperature=0)
    rows = generate_batch(model, ids, 99, greedy)
    alone = [token_ids(model, row, 99, temperature=0) for row in ids]
    assert rows == alone
    stop = alone[0][3]
    stopped = generate_batch(model, ids, 99, greedy, stop_id=stop)
    assert stopped == [row[: row.index(stop)] if stop in row else row for row in alone]
    penalised = generate_batch(model, ids, 9, Sampling(temperature=0, repetition_penalty=2.0))
    assert penalised == [token_ids(model, row, 9, temperature=0, repetition_penalty=2.0) for row in ids]


@pytest.mark.parametrize("changes", [{}, {"window": 4}, {"position": "learned"}], ids=str)
def test_rows_of_any_length_are_what_generate_writes_with_their_seeds(lively, random_ids, changes):
    model, stop = lively(**changes), 7
    prompts = [random_ids(n, seed=n).tolist() for n in (3, 8, 3, 24, 1)]
    filters = {"temperature": 1.5, "top_k": 30, "repetition_penalty": 1.2}
    rows = generate_batch(model, prompts, 40, Sampling(**filters), seed=5, stop_id=stop)
    alone = [
        token_ids(model, prompt, 40, seed=5 + row, stop_ids={stop}, **filters)
        for row, prompt in enumerate(prompts)
    ]
    assert rows == alone
    assert len({len(row) for row in rows}) >= 3  # rows left at different times
    assert generate_batch(model, prompts, 0, Sampling()) == [[]] * 5
    assert generate_batch(model, prompts, 5, Sampling(), give_up=lambda: True) is None


def test_a_batch_of_a_model_without_a_decode_step_writes_the_same(lively, random_ids):
    prompts = [random_ids(n, seed=n).tolist() for n in (3, 8, 3)]
    expected = generate_batch(lively(), prompts, 9, Sampling(), seed=1)
    assert generate_batch(lively().train(), prompts, 9, Sampling(), seed=1) == expected


def test_rows_of_a_batch_are_drawn_apart(lively, random_ids):
    rows = generate_batch(lively(), random_ids(1, 4).expand(6, 4), 15, Sampling(), seed=2)
    assert len({tuple(row) for row in rows}) == 6


def test_a_batch_refuses_what_one_text_would_be_refused(lively, random_ids):
    with pytest.raises(ValueError, match="25 tokens"):
        generate_batch(lively(), random_ids(2, 25), 3, Sampling())
    with pytest.raises(ValueError, match="empty"):
        generate_batch(lively(), random_ids(2, 0), 3, Sampling())


@pytest.mark.parametrize("use_cache", [True, False])
def test_eight_threads_write_what_one_after_the_other_would(lively, use_cache):
    model = lively(context_length=64, n_kv_heads=2, dropout=0.0)

    def write(seed: int) -> list[int]:
        return token_ids(model, [seed % 61, 5], 50, seed=seed, use_cache=use_cache)

    expected = [write(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(8))) == expected


def test_two_texts_grown_in_turns_do_not_meet(lively):
    model = lively()
    expected = [token_ids(model, [i], 12, seed=i) for i in range(3)]
    processes = [generate(model, [i], 12, seed=i) for i in range(3)]
    turns = [[next(process).token_id for process in processes] for _ in range(12)]
    assert [list(text) for text in zip(*turns)] == expected


def test_generating_leaves_gradients_on_for_the_caller(lively):
    model = lively()
    for _ in generate(model, [1], 2):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert model.loss(torch.tensor([[1, 2]]), torch.tensor([[2, 3]])).requires_grad


def test_an_open_generator_can_be_closed_early(lively):
    process = generate(lively(), [1], 20)
    next(process)
    process.close()
    assert torch.is_grad_enabled()


def test_only_the_last_position_is_scored(small):
    # A vocabulary far larger than the rest: scoring all 64 positions would dominate.
    model = GPT(ModelConfig(vocab_size=3000, context_length=64, d_model=8, n_layers=1, n_heads=1))
    shapes = []
    model.output.register_forward_hook(lambda module, args, out: shapes.append(tuple(args[0].shape)))
    for use_cache in (True, False):
        token_ids(model, list(range(50)), 3, use_cache=use_cache)
    assert set(shapes) == {(1, 8)}
