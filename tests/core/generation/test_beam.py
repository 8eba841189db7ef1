"""Beam search against greedy, against every text there is, against transformers, and with and without a cache."""

import itertools
import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gptcore.formats import hf_weights
from gptcore.generation.beam import ROOT, beam_search, length_normalized
from gptcore.generation.sampling import generate


def greedy_ids(model, ids, n_new, stop_ids=()) -> list[int]:
    return [step.token_id for step in generate(model, ids, n_new, temperature=0, stop_ids=stop_ids)]


@torch.inference_mode()
def log_probability(model, prompt, new) -> float:
    """The log-probability of `new` after the prompt, from one whole pass."""
    logits = model(torch.tensor([[*prompt, *new]]))[0].double()
    own = torch.log_softmax(logits, -1)
    return sum(float(own[len(prompt) - 1 + place, token_id]) for place, token_id in enumerate(new))


@torch.inference_mode()
def all_texts(model, prompt, n_new, stop) -> dict[tuple[int, ...], float]:
    """Every text of up to `n_new` tokens over the whole vocabulary, with its log-probability; a stop ends it."""
    n_vocabulary = model.config.vocab_size
    texts = torch.tensor(list(itertools.product(range(n_vocabulary), repeat=n_new)))
    rows = torch.cat((torch.tensor(prompt).expand(len(texts), -1), texts), dim=1)
    own = torch.log_softmax(model(rows[:, :-1]).double(), -1)[:, len(prompt) - 1 :]
    each = own.gather(-1, texts.unsqueeze(-1))[..., 0]
    found = {}
    for text, values in zip(texts.tolist(), each.tolist()):
        end = text.index(stop) + 1 if stop in text else n_new
        found[tuple(text[:end])] = sum(values[:end])
    return found


def whole(hypothesis, stop) -> tuple[int, ...]:
    return (*hypothesis.token_ids, stop) if hypothesis.ended else hypothesis.token_ids


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("stop", [None, 7])
def test_one_beam_is_greedy(lively, penalty, stop):
    for seed in range(4):
        model = lively(seed)
        stops = set() if stop is None else {greedy_ids(model, [5, 9, 2], 15)[stop]}
        found = beam_search(model, [5, 9, 2], 15, n_beams=1, length_penalty=penalty, stop_ids=stops)
        assert list(found.best.token_ids) == greedy_ids(model, [5, 9, 2], 15, stops)
        assert found.best == found.greedy
        assert len(found.hypotheses) == 1
        assert found.reason == ("length" if stop is None else "stop")


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
def test_the_best_is_never_below_greedy(lively, penalty):
    below = 0
    for seed, stops in itertools.product(range(8), ([], [3])):
        model = lively(seed, vocab_size=6)
        options = {"n_beams": 2, "length_penalty": penalty, "stop_ids": stops}
        found = beam_search(model, [5, 2], 8, **options)
        plain = beam_search(model, [5, 2], 8, keep_greedy=False, **options)
        assert list(found.greedy.token_ids) == greedy_ids(model, [5, 2], 8, stops)
        assert found.best.score == max(plain.best.score, found.greedy.score)
        below += plain.best.score < plain.greedy.score
    assert below > 0  # so the law needs greedy's text among the hypotheses


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all_texts(lively, penalty):
    stop, n_new = 2, 4
    for seed in range(3):
        model = lively(seed, vocab_size=5)
        texts = all_texts(model, [1, 4], n_new, stop)
        best = max(texts, key=lambda text: length_normalized(texts[text], len(text), penalty))
        found = beam_search(
            model, [1, 4], n_new, n_beams=5**n_new, length_penalty=penalty, stop_ids=[stop], keep_greedy=False
        )
        assert whole(found.best, stop) == best
        assert found.best.total == pytest.approx(texts[best], abs=1e-4)
        assert {whole(one, stop) for one in found.hypotheses} == set(texts)


def test_a_wider_beam_is_not_always_better_but_the_widest_is(lively):
    gaps = []
    for seed in range(10):
        model = lively(seed, vocab_size=6)
        scores = [
            beam_search(model, [1], 5, n_beams=width, length_penalty=0, keep_greedy=False).best.total
            for width in (1, 2, 4, 6**4)
        ]
        assert max(scores) == pytest.approx(scores[-1], abs=1e-5)
        gaps += [after - before for before, after in itertools.pairwise(scores)]
    assert min(gaps) < 0 < max(gaps)


@pytest.mark.parametrize("changes", [{}, {"n_kv_heads": 1}, {"window": 4, "position": "learned"}], ids=str)
def test_with_and_without_a_cache_it_is_the_same_tree(lively, changes):
    model = lively(**changes)
    for n_beams in (2, 5):
        cached = beam_search(model, [5, 9, 2], 30, n_beams=n_beams)
        plain = beam_search(model, [5, 9, 2], 30, n_beams=n_beams, use_cache=False)
        assert [(n.parent, n.token_id, n.fate) for n in cached.nodes] == [
            (n.parent, n.token_id, n.fate) for n in plain.nodes
        ]
        assert cached.best.token_ids == plain.best.token_ids
        assert cached.best.total == pytest.approx(plain.best.total, abs=1e-3)
        assert cached.reason == "context"
        assert cached.best.n_counted == 24 - 3 + 1  # the last is drawn from a full context


@pytest.mark.parametrize("penalty", [0.0, 1.0, 1.5])
def test_it_is_transformers_beam_search(lively, penalty):
    stop = 3
    for seed, n_beams in itertools.product(range(3), (2, 4)):
        model = lively(seed, vocab_size=14, n_kv_heads=2, tie_embeddings=False)
        theirs = LlamaForCausalLM(LlamaConfig(**hf_weights.config_dict(model.config))).eval()
        theirs.load_state_dict(hf_weights.state_dict(model))
        out = theirs.generate(
            torch.tensor([[5, 9, 2]]),
            max_new_tokens=12,
            num_beams=n_beams,
            num_return_sequences=n_beams,
            length_penalty=penalty,
            early_stopping=True,
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=0,
            output_scores=True,
            return_dict_in_generate=True,
        )
        ours = beam_search(
            model,
            [5, 9, 2],
            12,
            n_beams=n_beams,
            length_penalty=penalty,
            stop_ids=[stop],
            keep_greedy=False,
        )
        for one, ids, score in zip(ours.hypotheses, out.sequences[:, 3:].tolist(), out.sequences_scores):
            text = list(whole(one, stop))
            assert ids[: len(text)] == text
            assert one.score == pytest.approx(float(score), abs=1e-4)


def test_scores_are_of_the_whole_vocabulary_and_of_new_tokens_only(lively):
    model = lively()
    found = beam_search(model, [5, 9, 2], 6, n_beams=3, length_penalty=0.8)
    for one in found.hypotheses:
        total = log_probability(model, [5, 9, 2], one.token_ids)
        assert one.total == pytest.approx(total, abs=1e-4)
        assert one.score == pytest.approx(total / 6**0.8, abs=1e-4)


def test_the_tree_holds_together(lively):
    n_beams = 3
    found = beam_search(lively(), [5, 9, 2], 8, n_beams=n_beams, stop_ids=[11, 12])
    nodes = found.nodes
    for place, node in enumerate(nodes[1:], start=1):
        above = nodes[node.parent]
        assert node.parent < place
        assert node.depth == above.depth + 1
        assert node.total == pytest.approx(above.total + node.log_probability)
        assert above.fate in ("kept", "cut", "greedy") if node.fate == "greedy" else above.fate == "kept"
    for depth in range(1, 9):
        here = [node for node in nodes if node.depth == depth]
        going = [node.total for node in here if node.fate == "kept"]
        assert len(going) + (depth == 8) * len([node for node in here if node.fate == "ended"]) == n_beams
        best_cut = max(
            (n.total for n in here if n.fate == "cut" and n.token_id not in (11, 12)), default=-math.inf
        )
        assert min(going) >= best_cut
    assert nodes[ROOT].parent == ROOT
    for one in (*found.hypotheses, found.greedy):
        ids = [nodes[place].token_id for place in one.path]
        assert ids[: len(one.token_ids)] == list(one.token_ids)
    assert found.n_calls == 8


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_beams": 0}, "n_beams=0 must be at least 1"),
        ({"length_penalty": -0.5}, "length_penalty=-0.5"),
        ({"length_penalty": math.nan}, "length_penalty=nan"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"ids": []}, "the prompt is empty"),
        ({"ids": [61]}, "token id 61"),
        ({"ids": [1] * 25}, "25 tokens"),
    ],
    ids=str,
)
def test_a_bad_request_is_refused_in_one_sentence(lively, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        beam_search(**({"model": lively(), "ids": [1], "max_new_tokens": 3} | options))
