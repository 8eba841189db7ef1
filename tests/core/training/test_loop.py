"""Training: typed events in order, repeatable and resumable to the bit, right means, and every way to end."""

import copy
import gc
import math
import re
import threading
import weakref
from itertools import pairwise

import pytest
import torch

from gptcore.config import ConfigError, ModelConfig, TrainConfig
from gptcore.corpora.documents import text_corpus
from gptcore.corpora.encoding import bytes_per_token, prepare_corpus
from gptcore.corpora.windows import Windows, fixed_batches
from gptcore.generation.packed_weights import SMALLEST, can_pack, pack
from gptcore.generation.sampling import generate
from gptcore.tokenizer import Tokenizer
from gptcore.training import events
from gptcore.training.devices import ExecutionPlan
from gptcore.training.evaluation import eval_steps
from gptcore.training.loop import train, train_step
from gptcore.training.optim import make_optimizers
from gptcore.training.state import TrainingState

FIXED = {"threads": 1, "precision": "fp32", "attention_path": "fast"}
CONFIG = TrainConfig(
    steps=24,
    batch_size=4,
    accumulation=2,
    learning_rate=0.01,
    seed=5,
    n_evals=4,
    n_samples=3,
    eval_batches=2,
    **FIXED,
)


@pytest.fixture(scope="module")
def model_config(tokenizer):
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=32,
        d_model=32,
        n_layers=2,
        n_heads=2,
        d_ff=48,
        dropout=0.2,
    )


def steps(seen: list[events.Event]) -> list[tuple]:
    return [(e.step, e.tokens, e.loss, e.lr, e.grad_norm) for e in seen if isinstance(e, events.Trained)]


def frozen(event: events.Event) -> events.Event:
    """Keep an event as it is now; a checkpoint's state goes on changing with the run."""
    return copy.deepcopy(event) if isinstance(event, events.Checkpointed) else event


@pytest.fixture(scope="module")
def whole(model_config, corpus, tokenizer):
    """All events of one run from start to end."""
    return [frozen(event) for event in train(model_config, CONFIG, corpus, tokenizer)]


@pytest.mark.skipif(not can_pack(torch.float32), reason="this processor gains nothing by packing")
def test_samples_leave_no_copy_of_the_weights_behind(model_config, corpus, tokenizer, monkeypatch):
    monkeypatch.setitem(SMALLEST, torch.float32, 0)
    copies = []

    def pack_and_watch(model):
        packed = pack(model)
        copies.append(weakref.ref(packed))
        return packed

    monkeypatch.setattr("gptcore.generation.fast_model.pack", pack_and_watch)
    seen = list(train(model_config, CONFIG.replace(steps=2), corpus, tokenizer))
    assert len(copies) == sum(event.event == "sample" for event in seen)
    gc.collect()
    assert [copy() for copy in copies] == [None] * len(copies)


def test_events_come_in_order_and_typed(whole):
    names = [event.event for event in whole]
    assert names[:4] == ["start", "eval", "sample", "checkpoint"]
    assert names[-2:] == ["checkpoint", "done"]
    assert [event.step for event in whole if event.event == "step"] == list(range(1, 25))
    for before, after in pairwise(whole):
        assert after.step >= before.step
        assert after.tokens >= before.tokens
        assert after.seconds >= before.seconds
    assert all(event.tokens == event.step * 2 * 4 * 32 for event in whole)
    assert {e.step for e in whole if e.event == "eval"} == {0} | eval_steps(4, 24)
    assert {e.step for e in whole if e.event == "sample"} == {0} | eval_steps(3, 24)


def test_the_state_is_kept_once_at_the_end(whole):
    assert [event.step for event in whole if event.event == "checkpoint"].count(24) == 1


def test_the_start_says_what_will_be_trained_and_what_was_found(whole, model_config, corpus, tokenizer):
    start = whole[0]
    assert start.config["model"] == model_config.to_dict()
    assert start.config["train"] == CONFIG.to_dict()
    assert (start.total_steps, start.threads, start.precision, start.attention_path) == (
        24,
        1,
        "fp32",
        "fast",
    )
    assert start.uniform == pytest.approx(math.log(tokenizer.vocab_size))
    assert 0 < start.unigram < start.uniform
    assert start.floor is None  # nobody knows the entropy of this text
    assert start.notes == []
    n_bytes = sum(len(part.encode()) for part in corpus.validation)
    n_tokens = sum(len(tokenizer.encode(part)) + 1 for part in corpus.validation)
    assert start.bytes_per_token == pytest.approx(n_bytes / n_tokens)
    assert start.n_parameters == sum(p.numel() for p in whole[-1].model.parameters())


def test_an_evaluation_is_the_mean_over_the_held_out_windows(whole, model_config, corpus, tokenizer):
    _, held_out, _ = prepare_corpus(corpus, tokenizer, 32)
    model, last = whole[-1].model, [event for event in whole if event.event == "eval"][-1]
    total = count = 0
    with torch.no_grad():
        for ids, targets in fixed_batches(held_out, 32, 4, 2):
            log_p = torch.log_softmax(model(ids), -1)
            total -= log_p.gather(-1, targets.unsqueeze(-1)).sum().item()
            count += targets.numel()
    assert last.val_loss == pytest.approx(total / count, rel=1e-5)
    assert last.perplexity == pytest.approx(math.exp(total / count), rel=1e-4)
    bits = total / count / math.log(2) / bytes_per_token(held_out, tokenizer)
    assert last.bits_per_byte == pytest.approx(bits, rel=1e-5)


def test_events_are_json_without_the_model(whole):
    import json

    for event in whole:
        line = json.loads(event.to_json())
        assert line["event"] == event.event
        assert {"step", "tokens", "seconds"} <= set(line)
        assert not {"model", "state"} & set(line)


def test_the_first_loss_is_that_of_a_model_that_knows_nothing(whole):
    first = next(event for event in whole if event.event == "step")
    assert first.loss == pytest.approx(whole[0].uniform, rel=0.03)


def test_it_learns(whole):
    losses = [event.val_loss for event in whole if event.event == "eval"]
    assert losses[-1] < whole[0].unigram < losses[0]


def test_the_finished_model_is_ready_to_use(whole, tokenizer):
    model = whole[-1].model
    assert not model.training
    text = tokenizer.decode(
        step.token_id for step in generate(model, tokenizer.encode("The"), 8, temperature=0)
    )
    assert len(text) > 8


def test_a_seed_repeats_a_run_whatever_was_drawn_before(whole, model_config, corpus, tokenizer):
    torch.manual_seed(999)
    torch.randn(50)
    again = list(train(model_config, CONFIG, corpus, tokenizer))
    assert steps(again) == steps(whole)
    a, b = whole[-1].model.state_dict(), again[-1].model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    samples = [[event.text for event in run if event.event == "sample"] for run in (whole, again)]
    assert samples[0] == samples[1]


def test_a_resumed_run_is_the_run_that_never_stopped(whole, model_config, corpus, tokenizer):
    middle = next(event for event in whole if event.event == "checkpoint" and 0 < event.step < 24)
    state = copy.deepcopy(middle.state)  # dropout is on, so the noise must go on too
    rest = list(train(model_config, CONFIG, corpus, tokenizer, resume=state))
    assert steps(rest) == [step for step in steps(whole) if step[0] > middle.step]
    a, b = whole[-1].model.state_dict(), rest[-1].model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert rest[-1].reason == "steps"


@pytest.fixture
def begun(whole):
    """The state of the run before its first step."""
    return copy.deepcopy(next(event for event in whole if event.event == "checkpoint").state)


def test_a_flag_stops_it_at_the_next_step_with_everything_kept(begun, model_config, corpus, tokenizer):
    flag = threading.Event()
    seen = []
    for event in train(model_config, CONFIG, corpus, tokenizer, resume=begun, stop=flag):
        seen.append(frozen(event))
        if event.event == "step" and event.step == 3:
            flag.set()
    assert max(event.step for event in seen) == 3
    assert [event.event for event in seen[-4:]] == ["eval", "sample", "checkpoint", "done"]
    assert seen[-1].reason == "stopped"
    kept, given = seen[-2].state["model"].state_dict(), seen[-1].model.state_dict()
    assert all(torch.equal(kept[name], given[name]) for name in given)


def test_a_run_that_breaks_says_so_in_a_sentence(begun, model_config, corpus, tokenizer):
    with torch.no_grad():
        begun["model"].final_norm.weight[0] = math.nan
    seen = list(train(model_config, CONFIG, corpus, tokenizer, resume=begun))
    assert [event.event for event in seen] == ["step", "failed"]
    assert "nan" in seen[-1].reason
    assert "lower learning rate" in seen[-1].reason
    assert '"loss": null' in seen[0].to_json()


def trainer(model, config: TrainConfig, ids: torch.Tensor, optimizer=None) -> TrainingState:
    return TrainingState(
        model=model,
        optimizers=[optimizer] if optimizer else make_optimizers(model, config),
        windows=Windows(ids, 16, config.batch_size, seed=3),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        total_steps=10,
        plan=ExecutionPlan("fp32", "fused", 1, 0.01),
    )


def test_accumulation_is_one_large_batch(lively, random_ids):
    ids = random_ids(1, 500)[0]
    results = []
    for batch_size, accumulation in ((12, 1), (4, 3), (1, 12)):
        # Plain gradient descent, whose moves are the gradient itself; an epoch ends within the steps.
        model = lively()
        config = TrainConfig(
            steps=10, batch_size=batch_size, accumulation=accumulation, learning_rate=0.1, grad_clip=1e9
        )
        state = trainer(model, config, ids, torch.optim.SGD(model.parameters()))
        moves = [train_step(state, config) for _ in range(4)]
        assert state.tokens == 4 * 12 * 16
        results.append((moves, model.state_dict()))
    for moves, weights in results[1:]:
        torch.testing.assert_close(torch.tensor(moves), torch.tensor(results[0][0]), atol=1e-5, rtol=1e-5)
        for name, weight in weights.items():
            torch.testing.assert_close(weight, results[0][1][name], atol=1e-6, rtol=1e-5)


def test_the_loss_is_the_mean_over_all_windows_of_a_step(lively, random_ids):
    model, ids = lively(), random_ids(1, 500)[0]
    config = TrainConfig(steps=10, batch_size=2, accumulation=3)
    windows = Windows(ids, 16, 2, seed=3)
    with torch.no_grad():
        expected = sum(model.loss(*windows.next()).item() for _ in range(3)) / 3
    assert train_step(trainer(model, config, ids), config)[0] == pytest.approx(expected, rel=1e-6)


def test_the_gradient_is_clipped_and_its_norm_before_that_is_reported(lively, random_ids):
    ids = random_ids(1, 500)[0]
    moved = []
    for clip in (1e9, 0.01):
        model = lively()
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        config = TrainConfig(steps=10, batch_size=4, learning_rate=1.0, grad_clip=clip)
        _, rate, norm = train_step(trainer(model, config, ids, torch.optim.SGD(model.parameters())), config)
        after = torch.cat([p.detach().flatten() for p in model.parameters()])
        moved.append((norm, ((after - before).norm() / rate).item()))
    (free_norm, free_move), (clipped_norm, clipped_move) = moved
    assert free_norm == pytest.approx(clipped_norm)
    assert free_move == pytest.approx(free_norm, rel=1e-4)
    assert clipped_move == pytest.approx(0.01, rel=1e-2)


def test_a_step_follows_the_schedule_from_above_zero(whole):
    rates = [event.lr for event in whole if event.event == "step"]
    assert rates[0] > 0
    assert max(rates) == pytest.approx(0.01)
    assert rates[-1] < 0.2 * 0.01


def test_one_sentence_is_learned_by_heart():
    sentence = "The small grey owl heard the badger under the oak and thanked it. "
    corpus = text_corpus(sentence * 30, "one sentence")
    tokenizer = Tokenizer.train(corpus.train, 290, shrink=True)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=24, d_model=32, n_layers=1, n_heads=2, d_ff=64
    )
    plan = TrainConfig(steps=80, batch_size=8, learning_rate=0.02, n_evals=1, n_samples=1, **FIXED)
    seen = list(train(config, plan, corpus, tokenizer))
    assert steps(seen)[-1][2] < 0.25
    model = seen[-1].model
    start = tokenizer.encode("The small grey")
    out = [step.token_id for step in generate(model, start, 12, temperature=0)]
    assert sentence.startswith("The small grey" + tokenizer.decode(out).rstrip("\ufffd"))


@pytest.mark.parametrize("precision", ["bf16"])
def test_lower_precision_trains_too_and_keeps_weights_in_fp32(
    begun, model_config, corpus, tokenizer, precision
):
    begun["plan"]["precision"] = precision
    seen = list(train(model_config, CONFIG, corpus, tokenizer, resume=begun))
    losses = [event.val_loss for event in seen if event.event == "eval"]
    assert losses[-1] < losses[0]
    assert seen[-1].model.dtype == torch.float32


def test_half_precision_needs_a_gpu(model_config, corpus, tokenizer):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, where fp16 trains")
    with pytest.raises(ConfigError, match="fp16"):
        list(train(model_config, CONFIG.replace(precision="fp16"), corpus, tokenizer))


def test_a_window_longer_than_the_context_is_refused_in_one_sentence(model_config, corpus, tokenizer):
    with pytest.raises(ValueError, match="window_length=64"):
        next(train(model_config, CONFIG.replace(window_length=64), corpus, tokenizer))


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused_in_one_sentence(
    model_config, corpus, tokenizer
):
    with pytest.raises(ValueError, match="vocab"):
        next(train(model_config.replace(vocab_size=100), CONFIG, corpus, tokenizer))


@pytest.mark.parametrize("n_evals", [6, 1])
def test_weights_that_became_nan_end_the_run_before_anything_is_sampled(
    model_config, corpus, tokenizer, n_evals
):
    config = CONFIG.replace(
        steps=6, learning_rate=1e6, warmup_steps=0, optimizer="adamw", n_evals=n_evals, n_samples=6
    )
    *_, last = train(model_config, config, corpus, tokenizer)
    assert last.event == "failed"
    assert re.search(r"(nan|inf).* at step \d; .*a lower learning rate", last.reason)
