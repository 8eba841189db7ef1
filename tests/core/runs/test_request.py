"""Requests: the same through JSON and through words, equal by value, one key for one result, true to their files."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcore.config import (
    ATTENTION_PATHS,
    BIASES,
    NORM_POSITIONS,
    OPTIMIZERS,
    PRESETS,
    ConfigError,
    ModelConfig,
    RopeScaling,
)
from gptcore.files import read_json
from gptcore.runs.request import RunRequest, parse_settings, setting_words

FIRST_EDITION = Path(__file__).parents[2] / "first_edition" / "requests"
LLAMA3 = RopeScaling(kind="llama3", factor=8.0, low_freq_factor=2.0)

VALUES = {
    "d_model": st.sampled_from([16, 64, 128]),
    "n_layers": st.integers(1, 100),
    "norm": st.sampled_from(["rmsnorm", "layernorm", "none"]),
    "norm_position": st.sampled_from(NORM_POSITIONS),
    "bias": st.sampled_from(BIASES),
    "rope_theta": st.floats(1e-3, 1e12),
    "rope_scaling": st.none()
    | st.builds(RopeScaling, kind=st.sampled_from(["ntk", "linear"]), factor=st.floats(1, 1e6)),
    "tie_embeddings": st.booleans(),
    "dropout": st.floats(0, 0.99),
    "optimizer": st.sampled_from(OPTIMIZERS),
    "learning_rate": st.floats(1e-9, 1.0),
    "attention_path": st.sampled_from(ATTENTION_PATHS),
    "threads": st.just("auto") | st.integers(1, 512),
    "grow_windows": st.booleans(),
}
NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)
FILE_NAMES = NAMES.filter(lambda name: not name.startswith("-"))


@st.composite
def requests(draw):
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True))
    length = draw(
        st.sampled_from([{}, {"steps": draw(st.integers(1, 10**9))}, {"seconds": draw(st.floats(1e-6, 1e9))}])
    )
    return RunRequest(
        preset=draw(st.sampled_from(sorted(PRESETS))),
        settings={name: draw(VALUES[name]) for name in names},
        corpus=draw(NAMES | st.lists(FILE_NAMES, min_size=2, max_size=3).map("\n".join)),
        text_field=draw(st.none() | NAMES),
        start_from=draw(st.none() | NAMES),
        tokenizer=draw(st.none() | NAMES),
        seed=draw(st.none() | st.integers(0, 2**63 - 1)),
        plugin=draw(st.none() | NAMES),
        **length,
    )


@settings(deadline=None)
@given(requests())
def test_a_request_is_the_same_after_words_and_after_json(request):
    assert RunRequest.from_arguments(request.arguments()) == request
    said = json.loads(json.dumps(request.to_dict()))
    assert RunRequest.from_dict(said) == request
    assert hash(RunRequest.from_dict(said)) == hash(request)


def test_files_whose_names_begin_with_a_dash_are_written_as_paths():
    words = RunRequest(corpus="-a\nb\n-c").arguments()
    assert words[words.index("--corpus") :][:4] == ("--corpus", "./-a", "b", "./-c")
    assert RunRequest.from_arguments(words).corpus == "./-a\nb\n./-c"


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.recursive(st.none() | st.booleans() | st.integers() | NAMES,
                                           lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))))  # fmt: skip
def test_a_job_of_another_kind_carries_any_json(payload):
    request = RunRequest(kind="exercise", settings=payload)
    assert request.payload == payload
    again = RunRequest.from_dict(json.loads(json.dumps(request.to_dict())))
    assert again == request and hash(again) == hash(request) and again.key == request.key
    assert request.key != replace(request, kind="claim").key
    with pytest.raises(ConfigError, match="cannot be run with `train`"):
        request.arguments()


def test_requests_are_equal_by_value_and_cannot_change():
    one = RunRequest(settings={"d_model": 64, "n_heads": 2}, seconds=60)
    other = RunRequest(settings=[("n_heads", 2), ("d_model", 64)], seconds=60.0)
    assert one == other and len({one, other}) == 1
    assert one != replace(one, seed=1)
    with pytest.raises(FrozenInstanceError):
        one.seed = 1


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("", "d8a8883476d09d1c4df82187985a91ea405d6d869b467431b5052ca23844216c"),
        ("--seconds 20 --seed 3", "73734c4c072ea8f4f6875729cce8fa4a278bdeb68b7c9617ba4e49a2951fdb66"),
        (
            "--preset nano --corpus stories --seconds 60 --seed 1 --set threads=3",
            "442515367d4182fe09da59cd16245aab973b282472de358013572d2634922cd0",
        ),
        (
            "--preset tiny --steps 7 --corpus hub:karpathy/tiny_shakespeare",
            "ac43966daf3e73ef3b2f347b27f13162855a436428272980b005470e97d547a4",
        ),
        (
            "--preset small_legacy --tokenizer gpt2 --set dropout=0.1 rope_theta=500000",
            "506cad02c2d390216b7caa0252099a7295adbbcf41770126b0027c36359aa9f0",
        ),
        (
            "--steps 300 --set d_model=64 n_heads=2 rope_scaling=ntk:2.5 tie_embeddings=false learning_rate=1e-3",
            "2fe5b28188af6c2acc0286e743edb6dcd0df597a8c5eab273f0be71698b9c17b",
        ),
        (
            "--corpus animals.txt --tokenizer merges.json --set norm=layernorm context_length=64",
            "0b3d944b47359679e2775f0085e4b9ba649051aaf5b0b276a90f1d5080009b0f",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_the_key_is_the_first_editions(words, key, tmp_path, monkeypatch):
    """Its runs are found by equal requests. A field added to a config changes every key."""
    monkeypatch.chdir(tmp_path)
    Path("animals.txt").write_text("The fox sat by the river.\n" * 40, encoding="utf-8")
    Path("merges.json").write_text("{}\n", encoding="utf-8")
    assert RunRequest.from_arguments(words.split()).key == key


def test_a_run_and_a_waiting_request_of_the_first_edition_are_read():
    waiting = RunRequest.from_dict(read_json(FIRST_EDITION / "waiting.request.json"))
    assert waiting.key == read_json(FIRST_EDITION / "waiting.request.json")["key"]
    assert (waiting.corpus, waiting.steps, waiting.seed) == ("book", 3, 4)
    assert dict(waiting.settings)["rope_scaling"] == RopeScaling(kind="ntk", factor=2.0)
    config = read_json(FIRST_EDITION / "config.json")
    request = RunRequest.from_dict(config)
    assert request == replace(waiting, tokenizer="train")
    model, train = request.configs()
    assert model == ModelConfig.from_dict(config["model"])
    assert train.to_dict() == config["train"]


def test_the_key_and_the_seal_follow_what_is_in_the_files(tmp_path):
    names = {name: str(tmp_path / name) for name in ("corpus", "tokenizer", "plugin")}
    for name, path in names.items():
        Path(path).write_text(name, encoding="utf-8")
    request = RunRequest(**names, steps=2)
    sealed = request.sealed()
    assert set(dict(sealed.hashes)) == set(names)
    assert sealed.key == request.key and sealed.sealed() == sealed != request
    assert RunRequest.from_dict(json.loads(json.dumps(sealed.to_dict()))) == sealed
    sealed.check_files()
    for name, path in names.items():
        Path(path).write_text("something else", encoding="utf-8")
        assert request.key != sealed.key == sealed.sealed().key
        with pytest.raises(ConfigError, match=f"{name} .* has changed since"):
            sealed.check_files()
        Path(path).write_text(name, encoding="utf-8")
    copy = tmp_path / "copy"
    copy.write_text("corpus")
    assert replace(request, corpus=str(copy)).key == request.key
    assert RunRequest(steps=2).sealed().hashes == ()


def test_every_file_of_a_corpus_counts_and_so_does_the_field_of_its_text(tmp_path):
    (tmp_path / "texts").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "texts" / name).write_text(name)
    folder = RunRequest(corpus=str(tmp_path / "texts")).sealed()
    several = RunRequest(
        corpus="\n".join(str(path) for path in sorted((tmp_path / "texts").iterdir()))
    ).sealed()
    assert folder.hashes and folder.key == several.key != replace(folder, text_field="body").key
    (tmp_path / "texts" / "b.jsonl").write_text("c")
    for request in (folder, several):
        with pytest.raises(ConfigError, match="has changed since"):
            request.check_files()


def test_a_length_among_the_settings_replaces_the_preset_s():
    train = RunRequest(settings={"steps": 3}).configs()[1]
    assert (train.steps, train.seconds) == (3, None)
    with pytest.raises(ConfigError, match="leave one of them out"):
        RunRequest(settings={"steps": 3}, seconds=5).configs()


def test_a_plugin_is_part_of_the_key(tmp_path):
    (tmp_path / "own.py").write_text("x = 1")
    assert RunRequest(plugin=str(tmp_path / "own.py")).key != RunRequest().key


@pytest.mark.parametrize("preset", PRESETS)
def test_a_request_made_of_configs_trains_these_configs(preset):
    base = PRESETS["nano"]
    model = PRESETS[preset].model.replace(norm="layernorm", n_kv_heads=2, qk_norm=True)
    train = PRESETS[preset].train.replace(learning_rate=1e-3, seed=7, threads=2)
    request = RunRequest.of(model, train, corpus="book", tokenizer="story")
    assert request.configs() == (model, train)
    assert (request.preset, request.corpus, request.tokenizer) == ("nano", "book", "story")
    assert RunRequest.of(base.model, base.train).settings == ()
    same = RunRequest.of(PRESETS[preset].model, PRESETS[preset].train, preset=preset)
    assert same.settings == () and same.configs() == (PRESETS[preset].model, PRESETS[preset].train)


def test_the_command_can_be_pasted_into_a_shell():
    request = RunRequest(corpus="my notes.txt", seconds=90, settings={"d_model": 64})
    assert request.command() == (
        "python -m gptcore train --preset nano --corpus 'my notes.txt' --seconds 90 --set d_model=64 --out DIR"
    )
    assert RunRequest().command(n_processes=2).startswith("torchrun --nproc-per-node=2 -m gptcore train ")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"preset": "huge"}, "preset='huge' must be one of nano, tiny"),
        ({"settings": {"width": 3, "depth": 2}}, "there is no setting depth, width; use a field of"),
        ({"seconds": 0}, "--seconds 0 must be greater than 0"),
        ({"seconds": float("nan")}, "--seconds nan must be greater than 0"),
        ({"steps": -3}, "--steps -3 must be greater than 0"),
        ({"settings": {"norm": "true"}}, "norm=true cannot be written on a command line"),
        ({"settings": {"window": None}}, "window=None cannot be written"),
        ({"settings": {"rope_scaling": LLAMA3}}, "rope_scaling=llama3:8 cannot be written"),
        ({"settings": {"rope_scaling": {"kind": "magic", "factor": 2}}}, "kind='magic' must be one of"),
        ({"settings": {"rope_scaling": {"kind": "ntk"}}}, "RopeScaling requires factor"),
        ({"kind": 3}, "kind=3 must be text"),
        ({"preset": ["a"]}, "preset=.'a'. must be text"),
        ({"corpus": 7}, "corpus=7 must be text"),
        ({"plugin": 7}, "plugin=7 must be text"),
        ({"seconds": "abc"}, "seconds='abc' must be a number"),
        ({"steps": 2.5}, "steps=2.5 must be a whole number"),
        ({"seed": True}, "seed=True must be a whole number"),
        ({"settings": 5}, "settings=5 must map names to values"),
        ({"hashes": 5}, "hashes=5 must map names to values"),
        ({"hashes": {"corpus": 5}}, "hashes={'corpus': 5} must be text"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_a_sentence(fields, says):
    with pytest.raises(ConfigError, match=says):
        RunRequest(**fields)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--steps", "many"], "invalid int value: 'many'"),
        (["--steps", "3", "--seconds", "4"], "not allowed with"),
        (["--depth", "3"], "unrecognized arguments: --depth 3"),
        (["--set", "d_model"], "must have the form FIELD=VALUE"),
        (["--set", "rope_scaling=ntk"], "must have the form KIND:FACTOR"),
    ],
)
def test_words_that_make_no_request_are_refused_in_a_sentence(words, says):
    with pytest.raises(ConfigError, match=says):
        RunRequest.from_arguments(words)


@pytest.mark.parametrize("values", [5, [], {"hashes": 5}, {"settings": 5}, {"settings": [5]}, {"arguments": 5},
                                    {"arguments": ["--steps", 3]}, {"kind": "claim", "corpus": {}}])  # fmt: skip
def test_json_of_the_wrong_types_is_refused(values):
    with pytest.raises(ConfigError):
        RunRequest.from_dict(values)


def test_what_no_request_has_is_refused_from_json():
    with pytest.raises(ConfigError, match="a request has no field colour"):
        RunRequest.from_dict({"kind": "train", "colour": "red"})


def test_a_shape_that_cannot_work_is_refused_when_it_is_resolved():
    request = RunRequest(settings={"n_heads": 3})
    with pytest.raises(ConfigError, match="d_model=128 must be divisible by n_heads=3"):
        request.configs()
    assert parse_settings(setting_words(dict(request.settings))) == {"n_heads": 3}
