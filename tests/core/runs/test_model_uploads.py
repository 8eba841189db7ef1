"""Models from elsewhere: transformers' logits, the ids of `tokenizers`, and a name for what cannot be had."""

import io
import json
import os
import pickle
import shutil
import zipfile
from dataclasses import replace

import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from gptcore import load, save
from gptcore.bpe import replay_merges
from gptcore.formats.gguf_export import export_gguf
from gptcore.formats.hf_tokenizer import ImportedTokenizer, from_json, to_json
from gptcore.generation.sampling import generate
from gptcore.runs.limits import MAX_CONTEXT, LimitError, Limits
from gptcore.runs.model_uploads import import_folder, import_upload
from gptcore.runs.run import list_runs, runs_folder
from gptcore.tokenizer import EOT, Tokenizer, TokenizerError
from tests.core.transformers_models import LLAMA3, randomized

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
PROSE = (
    "The king's ring was golden, and they'll say it wasn't 1234 times. naïve café, e\u0301t\u00e9. Ελλάδα 日本語\n"
    "  def f(x):\n\treturn x + 1\r\n\r\nIt's, IT'S, we've, WE'VE; 'tis 99.95% true... 😊😊 👩‍👩‍👧 aaaaaaa bababab\n"
)


def byte_level(use_regex: bool = True):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def learned(pre_tokenizer, specials=(EOT,), normalizer=None, size: int = 420) -> dict:
    """Train with the library itself, and return its file's content."""
    words = tokenizers.Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizer
    words.decoder = decoders.ByteLevel()
    if normalizer is not None:
        words.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator([PROSE * 3], trainer)
    return json.loads(words.to_str())


def split(pattern: str, behavior: str = "isolated", invert: bool = False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def in_sequence(*parts):
    return pre_tokenizers.Sequence([*parts, byte_level(use_regex=False)])


def as_llama3(content: dict) -> dict:
    """Tell the merges as Llama 3's file does: every pair that makes a token, in the order of the tokens."""
    vocabulary = content["model"]["vocab"]
    pairs = []
    for token in sorted(vocabulary, key=vocabulary.get):
        made_of = [(token[:i], token[i:]) for i in range(1, len(token))]
        made_of = [pair for pair in made_of if pair[0] in vocabulary and pair[1] in vocabulary]
        pairs += sorted(made_of, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    content["model"] |= {"merges": [list(pair) for pair in pairs], "ignore_merges": True}
    return content


FILES = {
    "gpt2": lambda: learned(byte_level()),
    "llama 3": lambda: as_llama3(learned(in_sequence(split(LLAMA3_PATTERN)), ("<|a|>", "<|end_of_text|>"))),
    "qwen": lambda: learned(in_sequence(split(QWEN_PATTERN)), normalizer=normalizers.NFC()),
    "digits first": lambda: learned(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
        (EOT, "<|im_start|>", "<|im_end|>"),
    ),
    "several cuts": lambda: learned(
        in_sequence(
            split(r"\p{N}{1,3}"),
            split("[一-龥]+"),
            split(r"\s?\p{L}+|\s?\p{P}+$"),
            pre_tokenizers.Digits(False),
        )
    ),
    "only matches": lambda: learned(in_sequence(split(QWEN_PATTERN, "removed", invert=True))),
}


@pytest.fixture(scope="module")
def both():
    """Ours and theirs of each kind of file."""
    made = {name: make() for name, make in FILES.items()}
    return {
        name: (from_json(content, name), tokenizers.Tokenizer.from_str(json.dumps(content)))
        for name, content in made.items()
    }


KNOWN = st.characters(exclude_categories=["Cs", "Cn"])  # what every edition of Unicode in use knows
NEAR = st.text(st.sampled_from(list(dict.fromkeys(PROSE)) + list("ſK\x1f\u2028\u0301\u0345ßﬆ")))


@pytest.mark.parametrize("name", FILES)
def test_an_imported_tokenizer_gives_the_librarys_ids(both, name):
    ours, theirs = both[name]

    @settings(deadline=None, max_examples=80)
    @given(st.text(KNOWN) | NEAR | st.lists(st.sampled_from(PROSE.split(" "))).map(" ".join))
    def same(text):
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, allow_special=True) == ids
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)

    same()
    for text in (PROSE, PROSE.replace(" ", "  "), f"a{EOT} b<|im_end|>{EOT}", "a" * 3000):
        assert ours.encode(text, allow_special=True) == theirs.encode(text).ids
    assert ours.vocab_size == theirs.get_vocab_size()


def test_special_tokens_that_come_first_keep_their_ids(both):
    assert [name for name, (ours, _) in both.items() if not isinstance(ours, ImportedTokenizer)] == []
    ours, _ = both["digits first"]
    assert (ours.eot_id, ours.special_tokens["<|im_end|>"], ours.encode("!")) == (0, 2, [3])


BARE = learned(in_sequence(split(QWEN_PATTERN)), specials=(), size=256)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_merges_in_any_order_and_with_any_ids_are_replayed_as_there(data):
    """Vocabularies nobody would learn: a merge whose result was known before, ranks that fall."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = [*"abc"]
    merges = []
    for _ in range(data.draw(st.integers(1, 12))):
        pair = data.draw(st.tuples(st.sampled_from(known), st.sampled_from(known)))
        merges.append(list(pair))
        known.append("".join(pair))
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*alphabet, *known]))}
    merges = data.draw(st.permutations([list(pair) for pair in dict.fromkeys(map(tuple, merges))]))
    model = BARE["model"] | {"vocab": vocabulary, "merges": merges, "ignore_merges": data.draw(st.booleans())}
    content = BARE | {"model": model}
    theirs = tokenizers.Tokenizer.from_str(json.dumps(content))
    text = data.draw(st.text("abc", max_size=30) | st.sampled_from(known))
    assert ImportedTokenizer(content, "random").encode(text) == theirs.encode(text).ids


def test_a_piece_that_is_a_token_needs_no_merges_where_the_file_says_so():
    vocabulary = BARE["model"]["vocab"] | {"Ġcastle": 300}
    for whole, n_tokens in ((True, 1), (False, 7)):
        content = BARE | {"model": BARE["model"] | {"vocab": vocabulary, "ignore_merges": whole}}
        ids = tokenizers.Tokenizer.from_str(json.dumps(content)).encode(" castle").ids
        assert ImportedTokenizer(content, "whole").encode(" castle") == ids
        assert len(ids) == n_tokens


def test_replay_takes_the_lowest_rank_then_the_leftmost():
    rules = {(1, 1): (0, 2), (2, 1): (1, 3), (2, 2): (2, 4)}
    assert replay_merges([1] * 5, rules) == [2, 3]
    assert replay_merges([1, 1, 1, 1], rules) == [4]
    assert replay_merges([], rules) == []
    assert replay_merges([9], rules) == [9]


def test_what_an_imported_tokenizer_is_asked_for(both, tmp_path):
    ours, _ = both["llama 3"]
    assert isinstance(ours, ImportedTokenizer)
    assert ours.encode("<|a|>") != [0] and ours.encode("<|a|>", allow_special=True) == [0]
    assert ours.token_text(0) == "<|a|>" and ours.token_bytes(10**6) == b""
    assert ours.decode_bytes(ours.encode_bytes(b"ab\xff\xfe c")) == b"ab\xff\xfe c"
    assert ours.encode_bytes(PROSE.encode()) == ours.encode(PROSE)
    assert {merge.bytes for merge in ours.merges} <= set(ours.ranks)
    assert ours.stop_ids == (1,)  # its usual name says which one it is
    nameless = from_json(ours.content | {"added_tokens": ours.content["added_tokens"][:1]}, "nameless")
    assert nameless.stop_ids == ()
    with pytest.raises(TokenizerError, match="does not name an end-of-text token"):
        nameless.eot_id  # noqa: B018
    for refuse in (lambda: ours.first(3), ours.to_tiktoken):
        with pytest.raises(TokenizerError):
            refuse()
    named = from_json(ours.content, "named", end_of_text="<|end_of_text|>")
    named.save(tmp_path / "tokenizer.json")
    back = Tokenizer.load(tmp_path / "tokenizer.json")
    assert back.eot_id == named.eot_id == 1
    assert back.encode(PROSE) == named.encode(PROSE)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(to_json(back)))
    assert theirs.encode(PROSE).ids == back.encode(PROSE)


def changed(content: dict, path: str, value) -> dict:
    content = json.loads(json.dumps(content))
    *way, last = path.split(".")
    place = content
    for part in way:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("model.type", "WordPiece", "WordPiece"),
        ("model.type", "Unigram", "Unigram"),
        ("model.dropout", 0.1, "dropout"),
        ("model.end_of_word_suffix", "</w>", "end_of_word_suffix"),
        ("model.vocab", {"a": 0}, "damaged"),
        ("model.vocab", {"日": 300}, "must be byte-level"),
        ("model.vocab", None, "damaged"),
        ("model.merges", [["a"]], "damaged"),
        ("model.merges", ["a b c"], "damaged"),
        ("model.merges", ["zz zz"], "damaged"),
        ("model", [], "contains no model"),
        ("normalizer", {"type": "Lowercase"}, "Lowercase"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": ""}, "Precompiled"),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "a"}, "content": "b"}, "Regex"),
        ("pre_tokenizer", {"type": "Whitespace"}, "Whitespace"),
        ("post_processor", {"type": "BertProcessing"}, "BertProcessing"),
        ("added_tokens.0.id", -1, "must be at least 0"),
        ("added_tokens", 3, "damaged"),
    ],
    ids=str,
)
def test_a_tokenizer_we_cannot_follow_is_named_in_one_sentence(path, value, words):
    content = learned(byte_level(), size=262)
    with pytest.raises(TokenizerError, match=words) as refused:
        from_json(changed(content, path, value), "tokenizer.json")
    assert "\n" not in str(refused.value) and "tokenizer.json" in str(refused.value)


@pytest.mark.parametrize("pattern", ["(", "a{1000}", "x" * 3000, r"(\w{200}){200}"])
def test_a_pattern_that_is_none_or_too_much_is_refused(pattern):
    content = learned(byte_level(), size=262)
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            content["pre_tokenizer"] | {"use_regex": False},
        ],
    }
    with pytest.raises(TokenizerError, match="pattern"):
        from_json(content, "tokenizer.json")


# Folders


SHAPE = {
    "vocab_size": 430,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "attn_implementation": "eager",
}
THEIRS = {
    "llama 1": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 4, "rms_norm_eps": 1e-6}),
    "llama 3": (
        LlamaConfig,
        LlamaForCausalLM,
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
    ),
    "llama 3.1": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": LLAMA3}),
    "llama 3.2": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 5}),
    "qwen 2.5": (Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True}),
    "qwen 2.5 large": (Qwen2Config, Qwen2ForCausalLM, {"use_sliding_window": False, "sliding_window": 4}),
    "qwen window": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0},
    ),
    "qwen window above": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2},
    ),
    "qwen 3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 12}),
}


def theirs(name: str, **changes):
    config_class, model_class, own = THEIRS[name]
    return randomized(model_class(config_class(**(SHAPE | own | changes))))


@pytest.mark.parametrize("name", THEIRS)
@torch.no_grad()
def test_a_folder_that_transformers_saved_gives_its_logits(name, tmp_path, random_ids):
    model = theirs(name)
    model.save_pretrained(tmp_path)
    ours, tokenizer = load(tmp_path)
    ids = random_ids(2, 40, vocab_size=430)
    expected = model(ids).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(ids), expected, atol=1e-4, rtol=0)
    assert tokenizer is None  # the folder brings none
    assert not ours.training


@pytest.mark.parametrize("name", ["qwen window", "qwen window above"])
@torch.no_grad()
def test_a_config_from_before_layers_were_listed_says_the_same(name, tmp_path, random_ids):
    model = theirs(name)
    model.save_pretrained(tmp_path)
    edit_config(tmp_path, layer_types=None)
    ids = random_ids(1, 20, vocab_size=430)
    torch.testing.assert_close(load(tmp_path)[0](ids), model(ids).logits, atol=1e-4, rtol=0)
    edit_config(tmp_path, max_window_layers=1)
    assert [kind.window for kind in load(tmp_path)[0].layer_kinds] == [None, model.config.sliding_window]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_smaller_weights_in_several_files_load_as_fp32(dtype, tmp_path, random_ids):
    model = theirs("llama 3").to(dtype)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    ours, _ = load(tmp_path)
    assert ours.dtype == torch.float32
    ids = random_ids(1, 20, vocab_size=430)
    torch.testing.assert_close(ours(ids), model.float()(ids).logits, atol=1e-4, rtol=0)


@pytest.fixture
def llama(tmp_path, both):
    """A folder with everything: weights, tokenizer, and which token ends a text."""
    folder = tmp_path / "llama"
    theirs("llama 3.2", eos_token_id=1).save_pretrained(folder)
    words = both["llama 3"][0]
    (folder / "tokenizer.json").write_text(json.dumps(words.content))
    return folder


def test_a_whole_folder_writes_text(llama, both):
    model, tokenizer = load(llama)
    assert tokenizer.encode(PROSE) == both["llama 3"][0].encode(PROSE)
    assert tokenizer.eot_id == 1
    (llama / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|a|>"}}))
    assert load(llama)[1].eot_id == 0
    steps = list(generate(model, tokenizer.encode("The king"), 5, temperature=0))
    assert len([tokenizer.token_text(step.token_id) for step in steps]) == 5


def test_an_imported_model_is_saved_and_comes_back(llama, tmp_path, random_ids):
    model, tokenizer = load(llama)
    back, words = load(save(model, tokenizer, tmp_path / "saved"))
    ids = random_ids(1, 9)
    assert torch.equal(back(ids), model(ids))
    assert (words.encode(PROSE), words.eot_id) == (tokenizer.encode(PROSE), tokenizer.eot_id)


def edit_config(folder, **changes):
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(described | changes))


def spoil(folder, what: str) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = "model.layers.1.self_attn.k_proj.weight"
    if what == "pickles":
        path.rename(folder / "pytorch_model.bin")
    elif what == "nothing":
        path.unlink()
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif what == "missing":
        weights.pop(name)
        save_file(weights, path)
    elif what == "spare":
        save_file(weights | {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}, path)
    elif what == "shape":
        save_file(weights | {name: torch.ones(3, 5)}, path)
    elif what == "int8":
        save_file(weights | {name: torch.ones(16, 32, dtype=torch.int8)}, path)
    elif what == "outside":
        path.rename(folder.parent / "beside.safetensors")
        index = {"weight_map": dict.fromkeys(weights, "../beside.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif what == "sentencepiece":
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer.model").write_bytes(b"\n")
    elif what == "old tokenizer":
        (folder / "tokenizer.json").unlink()
        for part in ("vocab.json", "merges.txt"):
            (folder / part).write_text("{}")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("pickles", "pickle"),
        ("nothing", "does not contain a model.safetensors"),
        ("cut", "not a complete safetensors file"),
        ("missing", "model.layers.1.self_attn.k_proj.weight"),
        ("spare", "model.layers.0.self_attn.q_proj.bias"),
        ("shape", r"k_proj.weight has the shape \[3, 5\]"),
        ("int8", "stored as I8"),
        ("outside", "which is missing"),
        ("sentencepiece", "only as tokenizer.model"),
        ("old tokenizer", "vocab.json"),
    ],
)
def test_a_folder_that_is_not_whole_is_one_sentence(llama, what, words):
    spoil(llama, what)
    with pytest.raises(ValueError, match=words) as refused:
        load(llama)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, "model_type='mamba'"),
        ({"model_type": "gpt2"}, "n_positions"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}, "longrope"),
        ({"rope_parameters": {"rope_type": "linear"}}, "damaged"),
        ({"quantization_config": {"bits": 4}}, "quantized"),
        ({"hidden_size": "wide"}, "d_model='wide'"),
        ({"hidden_size": 10**7}, "GB of memory"),
        ({"vocab_size": 400}, "tokenizer|shape"),
        ({"num_hidden_layers": None}, "n_layers=None"),
    ],
    ids=str,
)
def test_what_a_config_asks_for_and_we_lack_is_named(llama, changes, words):
    edit_config(llama, **changes)
    with pytest.raises(ValueError, match=words) as refused:
        load(llama)
    assert "\n" not in str(refused.value)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(llama, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        broken = tmp_path / name.replace(".", "-")
        shutil.copytree(llama, broken)
        (broken / name).write_bytes(bomb)
        with pytest.raises(ValueError):
            load(broken)
    (llama / "model.safetensors").unlink()
    (llama / "pytorch_model.bin").write_bytes(bomb)
    with pytest.raises(ValueError, match="pickle"):
        load(llama)
    assert not (tmp_path / "exploded").exists()


# What a visitor brings


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Small limits, and a runs folder of the test's own."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    return Limits.from_environment({"GLASSBOX_UPLOAD_MB": "2", "GLASSBOX_PARAMETERS": "200000"})


def files_of(folder) -> list[tuple[str, io.BytesIO]]:
    return [(path.name, io.BytesIO(path.read_bytes())) for path in sorted(folder.iterdir()) if path.is_file()]


def zipped(folder, inside: str = "model/", **more: bytes) -> list[tuple[str, io.BytesIO]]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (path for path in folder.iterdir() if path.is_file()):
            archive.write(path, inside + path.name)
        for name, content in more.items():
            archive.writestr(name, content)
    return [("mine.zip", buffer)]


@pytest.mark.parametrize(
    "pack", [files_of, zipped, lambda folder: zipped(folder, "")], ids=["files", "zip", "flat"]
)
def test_a_model_that_is_brought_becomes_a_run_that_pages_load(llama, limits, random_ids, pack):
    run = import_upload(pack(llama), name="  my   llama ", owner="me", limits=limits)
    assert [found.id for found in list_runs()] == [run.id]
    assert (run.state(), run.is_finished(), run.can_resume()) == ("done", False, False)
    assert (run.config()["corpus_name"], run.owners()) == ("my llama", ["me"])
    (ours, words), (model, tokenizer) = load(run.folder), load(llama)
    ids = random_ids(1, 20)
    assert torch.equal(ours(ids), model(ids))
    assert (words.encode(PROSE), words.eot_id) == (tokenizer.encode(PROSE), tokenizer.eot_id)
    assert run.config()["model"] == ours.config.to_dict()
    assert not list(run.folder.parent.glob(".import-*"))


def test_a_model_saved_here_can_be_brought_and_one_of_a_folder_too(lively, tokenizer, limits, tmp_path):
    model = lively(vocab_size=tokenizer.vocab_size, norm="layernorm")
    folder = save(model, tokenizer, tmp_path / "mine")
    for run in (import_upload(zipped(folder), limits=limits), import_folder(folder, limits=limits)):
        assert torch.equal(load(run.folder)[0].embedding.weight, model.embedding.weight)
    assert run.config()["corpus_name"] == "mine"
    with pytest.raises(ValueError, match="no folder"):
        import_folder(tmp_path / "nowhere", limits=limits)


def test_a_long_context_is_shortened_and_small_weights_stay_small(both, limits, tmp_path, random_ids):
    theirs("llama 3.1", max_position_embeddings=131_072).to(torch.bfloat16).save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").write_text(json.dumps(both["qwen"][0].content))
    run = import_upload(files_of(tmp_path / "a"), limits=limits)
    model, _ = load(run.folder)
    assert model.config.context_length == 4096
    assert model.dtype == torch.float32
    assert load_file(run.folder / "latest" / "model.safetensors")["embedding.weight"].dtype == torch.bfloat16
    ids = random_ids(1, 20)
    torch.testing.assert_close(model(ids), load(tmp_path / "a")[0](ids), atol=1e-5, rtol=0)


def without(folder, name: str) -> list:
    return [(given, content) for given, content in files_of(folder) if given != name]


def with_config(folder, **changes) -> list:
    edit_config(folder, **changes)
    return files_of(folder)


REFUSED = {
    "no config": (lambda folder: without(folder, "config.json"), "config.json is missing"),
    "no weights": (lambda folder: without(folder, "model.safetensors"), "model.safetensors is missing"),
    "no tokenizer": (lambda folder: without(folder, "tokenizer.json"), "tokenizer.json is missing"),
    "pickles": (
        lambda folder: [*without(folder, "model.safetensors"), ("pytorch_model.bin", io.BytesIO(b"x"))],
        "pickle",
    ),
    "sentencepiece": (
        lambda folder: [*without(folder, "tokenizer.json"), ("tokenizer.model", io.BytesIO(b"x"))],
        "only as tokenizer.model",
    ),
    "twice": (lambda folder: files_of(folder) * 2, "two files"),
    "no zip": (lambda folder: [("a.zip", io.BytesIO(b"PK"))], "not a readable zip"),
    "empty zip": (lambda folder: zipped(folder / "nothing"), "must contain a folder"),
    "too many bytes": (lambda folder: [("a.safetensors", io.BytesIO(bytes(2_100_000)))], "2 MB"),
    "zip bomb": (lambda folder: zipped(folder, **{"model/b.safetensors": bytes(30_000_000)}), "2 MB"),
    "long config": (lambda folder: [("config.json", io.BytesIO(b" " * 1_100_000))], "1 MB"),
    "too wide": (lambda folder: with_config(folder, hidden_size=1 << 20), "limit"),
    "too deep": (
        lambda folder: with_config(folder, num_hidden_layers=10**6),
        "n_layers=1000000 must be at most",
    ),
    "unknown": (lambda folder: with_config(folder, model_type="bert"), "bert"),
    "another config": (
        lambda folder: [*without(folder, "config.json"), ("config.json", io.BytesIO(b"[1]"))],
        "must be from a Hugging Face model",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_brought_is_one_sentence_and_leaves_nothing(llama, limits, what):
    make, words = REFUSED[what]
    (llama / "nothing").mkdir()
    files = make(llama)
    with pytest.raises(ValueError, match=words) as refused:
        import_upload(files, limits=limits)
    assert "\n" not in str(refused.value) and str(runs_folder()) not in str(refused.value)
    assert list(runs_folder().iterdir()) == []


def test_names_in_a_zip_lead_nowhere(llama, limits, tmp_path):
    more = {
        "../../evil.json": b"{}",
        "/tmp/evil.json": b"{}",
        "model/../evil.json": b"{}",
        "a/config.json": b"{}",
    }
    run = import_upload(zipped(llama, **more, **{"model/run.py": b"", "model/.hidden": b""}), limits=limits)
    assert load(run.folder)
    assert not list(tmp_path.rglob("evil*")) and not list(tmp_path.rglob("run.py"))
    stranger = [(f"{tmp_path}/evil.safetensors", io.BytesIO(b"{}")), ("..\\config.json", io.BytesIO(b"{}"))]
    assert load(import_upload([*stranger, *files_of(llama)], limits=limits).folder)
    assert not list(tmp_path.rglob("evil*"))


def test_a_full_allowance_refuses_one_more_model(llama, limits):
    runs_folder().mkdir(parents=True, exist_ok=True)
    (runs_folder() / "filling").write_bytes(bytes(1_100_000))
    full = replace(limits, disk_mb=1)
    for brought in (
        lambda: import_upload(files_of(llama), limits=full),
        lambda: import_folder(llama, limits=full),
    ):
        with pytest.raises(LimitError, match="1 MB of disk, and the limit is 1 MB"):
            brought()


def gguf_of(folder, tmp_path) -> bytes:
    model, tokenizer = load(folder)
    return export_gguf(model, tokenizer, tmp_path / "model.gguf").read_bytes()


def test_a_gguf_file_is_kept_as_a_model(llama, limits, tmp_path):
    data = gguf_of(llama, tmp_path)
    run = import_upload([("model.gguf", io.BytesIO(data))], limits=limits)
    model, tokenizer = load(run.folder)
    expected, words = load(llama)
    assert all(
        torch.equal(weight, model.state_dict()[name]) for name, weight in expected.state_dict().items()
    )
    assert tokenizer.encode(PROSE) == words.encode(PROSE) and tokenizer.eot_id == words.eot_id


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: [("a.gguf", data[:-500])], "is damaged"),
        (lambda data: [("a.gguf", data[:400])], "damaged|ends before"),
        (lambda data: [("a.gguf", b"PK" + data)], "not a GGUF file"),
        (lambda data: [("a.gguf", data), ("b.gguf", data)], "2 GGUF files"),
        (
            lambda data: [("a.gguf", data.replace(b"tokenizer.ggml.model", b"tokenizer.ggml.modem"))],
            "tokenizer",
        ),
        (lambda data: [("a.gguf", data + bytes(2_100_000))], "2 MB"),
    ],
)
def test_a_gguf_file_that_cannot_be_kept_is_one_sentence_and_leaves_nothing(
    llama, limits, tmp_path, damage, words
):
    files = [(name, io.BytesIO(data)) for name, data in damage(gguf_of(llama, tmp_path))]
    with pytest.raises(ValueError, match=words) as refused:
        import_upload(files, limits=limits)
    assert "\n" not in str(refused.value) and str(runs_folder()) not in str(refused.value)
    assert list(runs_folder().iterdir()) == []


def test_a_gguf_file_beyond_the_limits_is_refused_before_it_is_built(llama, limits, tmp_path):
    data = gguf_of(llama, tmp_path)
    small = replace(limits, parameters=10_000)
    with pytest.raises(LimitError, match="10,000"):
        import_upload([("model.gguf", io.BytesIO(data))], limits=small)
    name = b"llama.context_length\x04\x00\x00\x00"
    longer = data.replace(name + (64).to_bytes(4, "little"), name + (2**20).to_bytes(4, "little"))
    assert longer != data
    kept = import_upload([("model.gguf", io.BytesIO(longer))], limits=limits)
    assert load(kept.folder)[0].config.context_length == MAX_CONTEXT
