"""The arena: equal arms are equal, both read the same batches, every verdict can come out, a match runs to its end."""

import json
import math
import random
import shutil
from pathlib import Path

import pytest
import torch

from gptcore.__main__ import main
from gptcore.account import n_parameters
from gptcore.config import NORM_POSITIONS, PRESETS, ConfigError, ModelConfig
from gptcore.corpora.windows import Windows
from gptcore.experiments import arena, arena_records, config_diff
from gptcore.experiments.arena import Match, Result, equalize, judge, plan
from gptcore.feedforward import FEEDFORWARDS
from gptcore.model import GPT
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS
from gptcore.runs.plan import make_plan
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run
from gptcore.training import loop

FIRST_EDITION = Path(__file__).parents[2] / "first_edition"
PICO = ["d_model=32", "n_layers=1", "n_heads=2", "d_ff=64", "context_length=32"]
SHORT = ["batch_size=2", "n_evals=1", "eval_batches=1", "n_samples=0", "optimizer=adamw"]


def drawn(draw: random.Random) -> ModelConfig:
    """A shape of a small model, its parts drawn at random."""
    return ModelConfig(
        vocab_size=draw.choice((300, 2048)), context_length=draw.choice((32, 64)),
        d_model=draw.choice((32, 64, 96)), n_layers=draw.randint(1, 4), n_heads=draw.choice((2, 4)),
        d_ff=draw.choice((96, 200, 384)), norm=draw.choice(list(NORMS)), ffn=draw.choice(list(FEEDFORWARDS)),
        position=draw.choice(list(POSITIONS)), bias=draw.choice(("none", "qkv", "all")),
        norm_position=draw.choice(NORM_POSITIONS), qk_norm=draw.random() < 0.5,
    )  # fmt: skip


def test_arms_are_equal_to_one_per_cent():
    draw, found = random.Random(3), 0
    for _ in range(120):
        a, b = drawn(draw), drawn(draw)
        b = b.replace(vocab_size=a.vocab_size)
        match = Match(a=a, b=b, train=arena.train_config(steps=400))
        try:
            even = equalize(match)
        except ConfigError as error:
            assert "no d_ff gives arm b" in str(error)
            # Where it says so, the thinnest feed-forward layer is too much already, or a step of one is too coarse.
            off = [n_parameters(b.replace(d_ff=width)) / n_parameters(a) - 1 for width in range(1, 400)]
            assert min(map(abs, off)) > 0.01
        else:
            found += 1
            assert abs(n_parameters(even.b.model) / n_parameters(a) - 1) <= 0.01
            assert even.b.model.replace(d_ff=b.d_ff) == b and even.a.model == a
            assert even.a.steps == even.b.steps == 400
        even = equalize(Match(a=a, b=b, train=arena.train_config(steps=400), equal_in="flops"))
        assert abs(even.b.flops / even.a.flops - 1) <= 0.01
        assert (even.a.model, even.b.model) == (a, b)
    assert found > 60


def test_the_account_of_an_arm_is_that_of_the_module_that_is_built():
    even = equalize(arena.parse_match(settings=(PICO, (), ())))
    for arm in arena.ARMS:
        assert even[arm].n_parameters == sum(p.numel() for p in GPT(even[arm].model).parameters())


def test_what_was_adjusted_is_said():
    by_size = equalize(arena.parse_match())
    assert by_size.field == "d_ff" and by_size.after == by_size.b.model.d_ff != by_size.before
    by_work = equalize(arena.parse_match(equal_in="flops"))
    assert by_work.field == "steps" and by_work.b.steps == by_work.after != by_work.a.steps
    by_time = equalize(arena.parse_match(equal_in="seconds"))
    assert by_time.field is None and by_time.a.steps is None
    same = equalize(arena.parse_match(styles=("LLaMA-style", "LLaMA-style")))
    assert same.field is None and set(same.remaining_difference().values()) == {0.0}


@pytest.mark.parametrize("equal_in", arena.EQUAL_IN)
def test_the_listed_commands_train_the_arms_that_were_asked_for(equal_in):
    match = arena.parse_match(
        equal_in=equal_in,
        settings=(
            ["batch_size=4", "tie_embeddings=false", "d_model=96"],
            ["rope_scaling=ntk:2"],
            ["qk_norm=true", "n_kv_heads=2"],
        ),
    )
    even, planned = equalize(match), plan(match)
    assert len({one.name for one in planned}) == len(planned) == 2 * len(match.rates) * len(match.seeds)
    for one in planned:
        assert RunRequest.from_arguments(one.request.arguments()) == one.request
        found = make_plan(one.request)
        assert found.model == even[one.arm].model
        assert (found.train.learning_rate, found.train.seed) == (one.rate, one.seed)
        assert found.train.steps == even[one.arm].steps and found.train.seconds == match.train.seconds
        assert found.train.batch_size == 4 and found.train.window_length == match.window


def test_both_arms_read_the_same_batches(monkeypatch, corpus, tokenizer):
    """What training takes from its windows is written down; the GPT-2-style arm trains longer here."""
    wide = [*PICO[:3], "d_ff=512", "context_length=32"]
    match = arena.parse_match(
        settings=(wide + SHORT, (), ()), equal_in="flops", steps=12, rates=[0.01], seeds=[0, 1]
    )
    read: dict[tuple[str, int], list] = {}
    deal = Windows.next
    for one in plan(match):
        model, train = one.request.configs()
        model = model.replace(vocab_size=tokenizer.vocab_size)
        taken = read.setdefault((one.arm, one.seed), [])
        monkeypatch.setattr(Windows, "next", lambda self, taken=taken: taken.append(deal(self)) or taken[-1])
        list(loop.train(model, train, corpus, tokenizer))
    for seed in match.seeds:
        a, b = read["a", seed], read["b", seed]
        assert len(a) == 12 < len(b)
        for ours, theirs in zip(a, b):
            assert all(torch.equal(x, y) for x, y in zip(ours, theirs))
    assert not torch.equal(read["a", 0][0][0], read["a", 1][0][0])


def results(match: Match, of_arm) -> list[Result]:
    """Made-up last losses: `of_arm(arm, rate, seed)` gives each."""
    return [Result(one.arm, one.rate, one.seed, of_arm(one.arm, one.rate, one.seed)) for one in plan(match)]


def test_each_verdict_can_come_out():
    match = arena.parse_match(rates=[0.001, 0.01], seeds=[0, 1, 2])
    far = judge(results(match, lambda arm, rate, seed: 2 + 0.1 * (arm == "b") + 0.01 * seed + rate), match)
    assert (far.word, far.winner, far.apart) == ("clear", "a", True)
    assert far.difference == pytest.approx(0.1) and far.best["a"].edge == "lowest"
    other = judge(results(match, lambda arm, rate, seed: 2 - 0.1 * (arm == "b") + 0.01 * seed - rate), match)
    assert (other.word, other.winner, other.best["b"].edge) == ("clear", "b", "highest")
    near = judge(results(match, lambda arm, rate, seed: 2 + 0.005 * (arm == "b") + 0.01 * seed), match)
    assert (near.word, near.apart) == ("within the noise", False)
    # All seeds apart, and yet so scattered that two equal arms would do it more often than once in twenty.
    lucky = {"a": (1.0, 1.9, 1.95), "b": (2.0, 2.05, 3.0)}
    loose = judge(results(match, lambda arm, rate, seed: lucky[arm][seed]), match)
    assert (loose.word, loose.apart) == ("within the noise", True) and loose.chance > arena.CHANCE


def test_an_arm_is_judged_by_its_best_rate():
    match = arena.parse_match(rates=[0.001, 0.003, 0.01])
    best = {"a": 0.001, "b": 0.003}
    found = judge(
        results(match, lambda arm, rate, seed: 2 + 0.01 * seed + (0 if rate == best[arm] else 1)), match
    )
    assert {arm: one.rate for arm, one in found.best.items()} == best
    assert found.word == "within the noise" and found.best["b"].edge is None


def test_nothing_is_said_too_early():
    match = arena.parse_match(rates=[0.001, 0.01], seeds=[0, 1])
    whole = results(match, lambda arm, rate, seed: 1.0 + seed)
    assert judge(whole[:-1], match).word == "open"
    assert judge([], match).best == {}
    single = arena.parse_match(seeds=[0])
    assert judge(results(single, lambda arm, rate, seed: 1.0 + (arm == "b")), single).word == "open"
    lost = judge(results(match, lambda arm, rate, seed: math.inf if arm == "b" else 1.0), match)
    assert lost.word == "open"
    one_lost = judge(
        results(match, lambda arm, rate, seed: math.inf if rate == 0.01 else 1 + seed / 9), match
    )
    assert one_lost.word == "within the noise" and one_lost.best["a"].rate == 0.001
    assert judge(results(match, lambda arm, rate, seed: 1.0), match).chance == 1.0


@pytest.mark.parametrize(("freedom", "t"), [(2, 4.303), (4, 2.776), (6, 2.447), (10, 2.228), (20, 2.086)])
def test_the_chance_is_students(freedom, t):
    """The printed tables' bounds of one in twenty."""
    assert arena.p_value(t, freedom) == pytest.approx(0.05, abs=2e-4)
    assert arena.p_value(0.0, freedom) == 1 and arena.p_value(math.inf, freedom) == 0


def test_last_loss_waits_for_the_end():
    looked = {"event": "eval", "val_loss": 1.5}
    assert arena.last_loss([looked]) is None
    assert arena.last_loss([looked, {"event": "done", "reason": "stopped"}]) is None
    assert arena.last_loss([looked, {"event": "done", "reason": "steps"}]) == 1.5
    assert arena.last_loss([looked, {"event": "failed", "reason": "x"}]) == math.inf


def test_the_diff_shows_what_differs_and_nothing_that_follows():
    a, b = (arena.style(name, PRESETS["nano"].model) for name in arena.STYLES)
    text = config_diff.diff(a, b)
    assert '-    norm="rmsnorm",' in text and '+    norm="layernorm",' in text and "     d_model=128," in text
    assert config_diff.differing(a, b) == ["norm", "ffn", "position", "bias"]
    narrow = a.replace(d_model=64)
    assert config_diff.differing(a, narrow) == ["d_model"]  # head_dim follows
    assert not [line for line in config_diff.diff(a, a).splitlines() if line[:1] in "+-"]


def test_every_field_that_may_differ_has_its_sentence_on_large_models():
    for name in ModelConfig.__dataclass_fields__:
        if name != "vocab_size":
            assert config_diff.TRANSFERS[name].endswith(".")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"equal_in": "luck"}, "must be one of parameters, flops, seconds"),
        ({"rates": [0.1, 0.1]}, "each only once"),
        ({"rates": [-1.0]}, "greater than 0"),
        ({"equal_in": "seconds", "steps": 5}, "need a length in seconds"),
        ({"seconds": 5.0}, "need a length in steps"),
        ({"styles": ("LLaMA-style", "GPT-9")}, "must be one of LLaMA-style"),
        ({"settings": ((), ["batch_size=2"], ())}, "set it with --set"),
        ({"settings": (["grow_windows=true"], (), ())}, "set it to false"),
        ({"settings": ((), (), ["vocab_size=300"])}, "the same tokenizer"),
        ({"settings": ((), ["n_layers=1"], ["n_layers=12"])}, "no d_ff gives arm b"),
        ({"settings": ((), ["n_heads=3"], ())}, "d_model=128 must be divisible by n_heads=3"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(changes, says):
    with pytest.raises(ConfigError, match=says):
        equalize(arena.parse_match(**changes))


def test_a_match_runs_to_its_verdict_and_is_not_trained_twice(tmp_path, capsys, text):
    (tmp_path / "animals.txt").write_text(text)
    words = ["arena", "--set", *PICO, *SHORT, "--rates", "0.01", "--seeds", "0", "1", "--json", "--steps"]
    out = ["--corpus", str(tmp_path / "animals.txt"), "--out", str(tmp_path / "match")]
    assert main([*words, "3", *out]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["even", *["result"] * 4, "verdict"]
    runs = {path.name: Run(path) for path in (tmp_path / "match").iterdir()}
    assert set(runs) == {"a-0.01-0", "b-0.01-0", "a-0.01-1", "b-0.01-1"}
    for event in events[1:5]:
        last = arena.last_loss(runs[f"{event['arm']}-{event['rate']}-{event['seed']}"].events()[0])
        assert event["loss"] == last
    assert events[-1]["word"] in arena.VERDICTS[:2]
    written = {name: run.log_identity() for name, run in runs.items()}
    assert main([*words, "3", *out]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == events
    assert {name: run.log_identity() for name, run in runs.items()} == written
    assert main([*words, "4", *out]) == 2
    assert "was trained with other settings" in capsys.readouterr().err


def test_a_record_of_the_first_edition_is_found_by_its_match(tmp_path, monkeypatch):
    shutil.copytree(FIRST_EDITION / "arena", tmp_path / "arena")
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    settings = (["d_model=64", "n_layers=2", "batch_size=4"], ["rope_scaling=ntk:2"], ["qk_norm=true"])
    match = arena.parse_match(settings=settings, rates=[0.002, 0.01], seeds=[0, 1], steps=100)
    record = arena_records.find_record(match)
    assert record is not None and arena_records.all_records() == [record]
    assert (record.verdict, record.winner) == ("clear", "a")
    assert judge(record.results, match).difference == pytest.approx(record.difference)
    other = arena.parse_match(settings=settings, rates=[0.002, 0.01], seeds=[0, 1], steps=101)
    assert arena_records.find_record(other) is None
    arena_records.save_record(match, record.names, record.terms, record.results, judge(record.results, match))
    assert arena_records.all_records() == [record]


def test_a_record_is_found_by_the_values_of_its_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    match = arena.parse_match(settings=(["n_heads=8"], (), ()), rates=[0.002], seeds=[0, 1], steps=100)
    losses = results(match, lambda arm, rate, seed: 2 + 0.1 * (arm == "b") + 0.01 * seed)
    arena_records.save_record(match, ("left", "right"), "terms", losses, judge(losses, match))
    reworded = arena.parse_match(
        settings=(["head_dim=16", "n_heads=8", "n_layers=4"], (), ()), rates=[0.002], seeds=[0, 1], steps=100
    )
    record = arena_records.find_record(reworded)
    assert record is not None and record.key == arena_records.match_key(match)
    assert record.results == tuple(losses)
    for changes in ({"steps": 101}, {"seeds": [0, 2]}, {"rates": [0.003]}, {"equal_in": "flops"}):
        terms = {"rates": [0.002], "seeds": [0, 1], "steps": 100} | changes
        assert arena_records.find_record(arena.parse_match(settings=(["n_heads=8"], (), ()), **terms)) is None


def test_runs_of_the_first_edition_are_those_of_the_match_that_asked_for_them():
    """It named every field that differs, also those that follow from another: head_dim, score_scale."""
    first = plan(arena.parse_match(settings=(PICO, (), ())))[0]
    words = [
        "context_length=32",
        "d_model=32",
        "n_layers=1",
        "n_heads=2",
        "n_kv_heads=2",
        "head_dim=16",
        "d_ff=64",
        "score_scale=0.25",
        "window_length=32",
        "grow_windows=false",
        "optimizer=adamw",
        "learning_rate=0.002",
        "min_learning_rate=4e-05",
        "beta2=0.95",
        "precision=fp32",
        "attention_path=fused",
        "threads=1",
        "n_evals=8",
        "eval_batches=8",
        "n_samples=3",
    ]
    old = {"format": "glassbox-run-1", "preset": "nano", "corpus": "stories", "tokenizer": "story"}
    old |= {"seconds": None, "steps": arena.STEPS, "seed": first.seed, "plugin": None}
    old["settings"] = words
    assert "score_scale" not in dict(first.request.settings)
    assert not arena.differs_from(first, old) and not arena.differs_from(first, {})
    assert arena.differs_from(first, old | {"steps": arena.STEPS + 1})
    assert arena.differs_from(first, old | {"settings": [*words, "norm=of_another_plugin"]})
