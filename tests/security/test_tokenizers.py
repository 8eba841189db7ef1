"""Attacks through a tokenizer file: patterns that never end, files that grow, numbers that are none.

Whatever a file holds, loading it ends with a TokenizerError in one sentence, or with a tokenizer that works.
"""

import copy
import json
import os
import random
from pathlib import Path

import pytest
import tiktoken
import tiktoken_ext.openai_public
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptcore import bpe
from gptcore import tokenizer as module
from gptcore.bpe import BYTE_ORDER, GPT2_PATTERN, KNOWN_PATTERNS, TokenizerError
from gptcore.formats.hf_tokenizer import from_json, to_json
from gptcore.tokenizer import EOT, FILE_FORMAT, FILE_VERSION, Tokenizer

TEXT = "Once, in 2024, the king's ring was lost.\n\n  naïve 日本 😊" + EOT + " end"


def our_file(**changes) -> dict:
    content = {"format": FILE_FORMAT, "version": FILE_VERSION, "pattern": GPT2_PATTERN}
    return content | {"special_tokens": {EOT: 257}, "merges": [[64, 65, 3]]} | changes


def gpt2_like() -> dict:
    text = "the king's ring, the king's thing. " * 5
    return to_json(Tokenizer.train(text, 290, special_tokens=(EOT, "<|user|>"), shrink=True))


def split(pattern: str) -> dict:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def with_split(pattern: str) -> dict:
    content = gpt2_like()
    whole = content["pre_tokenizer"] | {"use_regex": False}
    return content | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(pattern), whole]}}


LLAMA3 = next(
    pattern for pattern in KNOWN_PATTERNS if r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+" in pattern
)


def llama3_like() -> dict:
    content = with_split(LLAMA3) | {"normalizer": {"type": "NFC"}}
    vocabulary = content["model"]["vocab"]
    pairs = [[token[:i], token[i:]] for token in vocabulary for i in range(1, len(token))]
    pairs = [pair for pair in pairs if set(pair) <= vocabulary.keys() and "<|" not in pair[0] + pair[1]]
    content["model"] |= {"merges": pairs, "ignore_merges": True}
    return content


def written(content: object, folder: Path) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(TokenizerError) as refused:
        Tokenizer.load(path)
    message = str(refused.value)
    assert "\n" not in message and len(message) < 600
    return message


# Patterns

ENDLESS = [
    r"(a|a|aa)+$",
    r"(?:(\p{L}+)+#|.)",
    r"(?:\s|\s)*x|\s*\s*\s*\s*y|[\s\S]",
    r"(\d+)*\.\d|(?:[^x]|[^y])*Q",
    r"(?:it|i|t)*!|\w",
]
FORBIDDEN = [
    "(",
    "x" * 3000,
    "a{1000}",
    r"(\w{99}){99}{99}",
    "(((a{99}){99}){99}){99}",
    "(?:(?R)a|b)",
    "(a(?1)?b)",
    "(?r)a+",
    "(?x)a{9 9 9 9 9 9 9}",
    "(?:some){e<=3}",
    "(?:some){i}",
    r"a\Kb",
    r"\L<names>",
    "(?L)a",
    "(" * 900 + ")" * 900,
]


@pytest.mark.parametrize("form", [lambda pattern: our_file(pattern=pattern), with_split])
@pytest.mark.parametrize("pattern", [*ENDLESS, *FORBIDDEN])
def test_a_pattern_that_is_endless_or_needs_too_much_is_refused_when_it_is_read(
    pattern, form, tmp_path, monkeypatch
):
    monkeypatch.setattr(bpe, "PATTERN_SECONDS", 0.2)  # less waiting; the patterns below get by with it
    path = written(form(pattern), tmp_path)
    assert ("takes too long" if pattern in ENDLESS else "The pattern") in refusal(path)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        r"(?=(\d{3})+(?!\d))",
        r"(?i:'s|'t)|(?<word>\w+)|\(\?R|[(*]|\\K|[{e}]|\{e\}",
        r"[^\S\n]+|\S",
    ],
)
def test_patterns_in_use_and_those_that_look_like_an_attack_are_read(pattern, tmp_path):
    for content in (our_file(pattern=pattern), with_split(pattern)):
        tokenizer = Tokenizer.load(written(content, tmp_path))
        assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


@pytest.mark.parametrize("form", [lambda pattern: our_file(pattern=pattern), with_split])
def test_a_pattern_that_only_tiktoken_backtracks_on_is_not_run_there(form, tmp_path):
    """With this one tiktoken takes seconds for 24 letters, and then panics."""
    tokenizer = Tokenizer.load(written(form(r"(?:\w|\s|[A-Za-z])*(?=#)Q|[\s\S]"), tmp_path))
    text = "a" * 24 + TEXT
    assert tokenizer.pieces(text) == list(text)
    assert tokenizer.encode(text) == tokenizer.encode_slowly(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


# The endless part waits for Hangul, of which the pattern itself holds none.
LATE = r"(?:\p{Hangul}|[\uac00-\ud7a3])*(?=#)Q|[\s\S]"


@pytest.mark.parametrize("content", [our_file(pattern=LATE), with_split(LATE)], ids=["ours", "theirs"])
def test_a_pattern_that_is_slow_on_one_text_only_is_stopped_there(content, tmp_path, monkeypatch):
    tokenizer = Tokenizer.load(written(content, tmp_path))
    monkeypatch.setattr(bpe, "PATTERN_SECONDS", 0.1)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    text = "한" * 40
    uses = [
        tokenizer.pieces,
        tokenizer.encode,
        tokenizer.encode_slowly,
        lambda text: tokenizer.encode(text + EOT, allow_special=True),
        lambda text: tokenizer.encode_bytes(text.encode()),
        lambda text: tokenizer.encode_bytes(text.encode() + b"\xff"),
        lambda text: Tokenizer.train(text, 300, pattern=LATE),
        lambda text: bpe.count_pre_tokens([text], LATE),
    ]
    for use in uses:
        with pytest.raises(TokenizerError, match="takes too long"):
            use(text)


def test_volume_is_not_mistaken_for_a_bad_pattern(monkeypatch):
    monkeypatch.setattr(bpe, "PATTERN_SECONDS", 0.3)
    cut = bpe.compile_pattern("|".join([LLAMA3, "#"]))  # one that nobody knows to be fast
    text = TEXT * 60_000  # 4 million characters, which take several times as long
    pieces = bpe.cut_texts(cut, [text])
    assert sum(map(len, pieces)) == len(text)


def test_the_patterns_that_tiktoken_ships_are_known(monkeypatch):
    for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
        monkeypatch.setattr(tiktoken_ext.openai_public, loader, lambda *args, **kwargs: {})
    shipped = {make()["pat_str"] for make in tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS.values()}
    assert shipped <= KNOWN_PATTERNS


RUNS = ["a", "1", "!", "\u0301", "aA", "'s", " a", "\n a"]
MORE_RUNS = [*"A_é中'\0😊/ǅ\x1c\u0378", "a1", "!a", " !", "\r\nx", "\u3000x"]


@pytest.mark.parametrize("unit", [*RUNS, *(pytest.param(unit, marks=pytest.mark.long) for unit in MORE_RUNS)])
def test_tiktoken_bears_the_longest_runs_with_the_known_patterns(unit):
    text = (unit * 1_200_000)[:1_200_000] + "x"
    ranks = {bytes([byte]): i for i, byte in enumerate(BYTE_ORDER)}
    for pattern in KNOWN_PATTERNS:
        encoding = tiktoken.Encoding("run", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        assert len(encoding.encode_ordinary(text)) == len(text.encode())


def test_a_panic_inside_tiktoken_is_caught(monkeypatch, capfd):
    monkeypatch.setattr(module, "_WHITE_SPACE_BLOCK", 10**9)  # so that it is not foreseen
    text = "word" + " " * 1_100_000 + "word"
    tokenizer = Tokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert "panicked" in capfd.readouterr().err


# Files

DOUBLING = [[64, 64, 1], *([256 + i, 256 + i, 1] for i in range(40))]
OUR_BOMBS = {
    "merges that double": our_file(merges=DOUBLING, special_tokens={}),
    "a huge id": our_file(special_tokens={EOT: 10**18}),
    "an id beyond 64 bits": our_file(special_tokens={EOT: 10**30}),
    "an id that is a float": our_file(special_tokens={EOT: 257.0}),
    "a huge merge": our_file(merges=[[10**4000, 1, 1]]),
    "a huge count": our_file(merges=[[1, 2, 10**30]]),
    "a negative count": our_file(merges=[[1, 2, -1]]),
    "true for a number": our_file(merges=[[True, 2, 1]]),
    "a long special token": our_file(special_tokens={"a" * 10**6: 257}),
    "many special tokens": our_file(special_tokens={f"<{i}>": 257 + i for i in range(20_000)}),
    "long special tokens": our_file(special_tokens={f"{i:0500}": 257 + i for i in range(1000)}),
    "an empty special token": our_file(special_tokens={"": 257}),
    "half a character": our_file(special_tokens={"\ud800": 257}),
    "half a character as pattern": our_file(pattern="\ud800"),
    "a nested version": our_file(version=[[[[[[1]]]]] * 1000]),
    "a long version": our_file(version="1" * 10**6),
}


def changed(content: dict, *way, value) -> dict:
    content = copy.deepcopy(content)
    at = content
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = value
    return content


def nested(depth: int, kind: str, inside: str, leaf: object) -> object:
    for _ in range(depth):
        leaf = {"type": kind, inside: [leaf]}
    return leaf


THEIRS = gpt2_like()
ADDED = THEIRS["added_tokens"][0]
THEIR_BOMBS = {
    "an infinite id": changed(THEIRS, "model", "vocab", "a", value=float("inf")),
    "no number as id": changed(THEIRS, "model", "vocab", "a", value=float("nan")),
    "a float id": changed(THEIRS, "model", "vocab", "a", value=3.5),
    "text as id": changed(THEIRS, "model", "vocab", "a", value="7"),
    "true as id": changed(THEIRS, "model", "vocab", "a", value=True),
    "a huge id": changed(THEIRS, "model", "vocab", "a", value=10**18),
    "the id of another": changed(THEIRS, "model", "vocab", "a", value=1),
    "a special token's other id": changed(THEIRS, "added_tokens", 0, "id", value=5000),
    "an infinite special id": changed(THEIRS, "added_tokens", 0, "id", value=float("inf")),
    "a special token that is no text": changed(THEIRS, "added_tokens", 0, "content", value=5),
    "a special token twice": changed(THEIRS, "added_tokens", value=[ADDED, ADDED | {"id": 900}]),
    "added tokens of a wrong type": changed(THEIRS, "added_tokens", value={"a": 5}),
    "added tokens that are text": changed(THEIRS, "added_tokens", value=["a", "b"]),
    "many special tokens": changed(
        THEIRS, "added_tokens", value=[ADDED | {"content": f"<{i}>", "id": 900 + i} for i in range(20_000)]
    ),
    "a long special token": changed(THEIRS, "added_tokens", 0, "content", value="a" * 10**6),
    "half a character": changed(THEIRS, "added_tokens", 0, "content", value="\udc00"),
    "half a character elsewhere": changed(THEIRS, "decoder", value={"type": "\ud912"}),
    "normalizers without end": changed(
        THEIRS, "normalizer", value=nested(300, "Sequence", "normalizers", {})
    ),
    "many normalizers": changed(
        THEIRS, "normalizer", value={"type": "Sequence", "normalizers": [{"type": "NFKD"}] * 10**5}
    ),
    "replacements that grow": changed(
        THEIRS,
        "normalizer",
        value={
            "type": "Sequence",
            "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aaa"}] * 10,
        },
    ),
    "a replacement of nothing": changed(
        THEIRS, "normalizer", value={"type": "Replace", "pattern": {"String": ""}, "content": "a"}
    ),
    "a long prefix": changed(THEIRS, "normalizer", value={"type": "Prepend", "prepend": "a" * 10**6}),
    "a start that is no token": changed(
        THEIRS,
        "post_processor",
        value={
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [10**9], "tokens": ["<s>"]}},
        },
    ),
    "an unknown normalizer": changed(THEIRS, "normalizer", value={"type": "a\n" * 10**5}),
    "cuts without end": changed(
        THEIRS, "pre_tokenizer", value=nested(300, "Sequence", "pretokenizers", None)
    ),
    "many cuts": changed(
        THEIRS,
        "pre_tokenizer",
        value={"type": "Sequence", "pretokenizers": [split("a")] * 1000 + [THEIRS["pre_tokenizer"]]},
    ),
    "a vocabulary that is a list": changed(THEIRS, "model", "vocab", value=["a", "b"]),
    "merges that are a number": changed(THEIRS, "model", "merges", value=5),
    "merges of numbers": changed(THEIRS, "model", "merges", value=[[5, 6]]),
    "a long type": changed(THEIRS, "model", "type", value="a\n" * 10**5),
    "a nested type": changed(THEIRS, "model", "type", value=[[["x"] * 1000] * 1000]),
    "a long option": changed(THEIRS, "model", "dropout", value="9" * 10**5),
}


@pytest.mark.parametrize("name", [*OUR_BOMBS, *THEIR_BOMBS])
def test_a_file_that_would_grow_or_holds_what_is_no_id_is_refused(name, tmp_path):
    refusal(written((OUR_BOMBS | THEIR_BOMBS)[name], tmp_path))


@pytest.mark.parametrize(
    "data",
    [
        b'{"format": ' * 200_000,
        b"[" * 1_000_000,
        b"[" + b"[]," * 5_000_000 + b"[]]",
        json.dumps(our_file()).encode()[:-1] + b', "more": 1e999}',
        json.dumps(our_file()).encode()[:-1] + b', "more": ' + b"9" * 5000 + b"}",
        json.dumps(our_file()).encode()[:-1] + b', "more": NaN}',
        json.dumps(our_file()).encode().replace(b"257", b"Infinity"),
        b"\x80" + json.dumps(our_file()).encode(),
    ],
    ids=[
        "nested objects",
        "nested lists",
        "many lists",
        "1e999",
        "many digits",
        "NaN",
        "Infinity",
        "no UTF-8",
    ],
)
def test_json_that_is_none_or_would_take_all_memory_is_refused(data, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(data)
    assert "not a tokenizer file" in refusal(path)


def test_a_file_of_a_gigabyte_is_not_read(tmp_path):
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert "can't be read: it is larger than" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_devices_and_names_that_are_none_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "a\0b"):
        refusal(path)


def test_a_byte_that_a_file_has_no_token_for_is_left_out():
    content = gpt2_like()
    del content["model"]["vocab"]["Á"]  # 0xC1, which no UTF-8 holds
    tokenizer = from_json(content, "tokenizer.json")
    assert tokenizer.encode_bytes(b"a\xc1b") == tokenizer.encode("ab")


# Damage


def llama2_like() -> dict:
    """Characters instead of bytes: SentencePiece's way, with a token for every byte to fall back to."""
    letters = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁Onceitkgrwasl,'."]
    merges = [["▁", "t"], ["i", "n"], ["in", "g"], ["▁", "k"], ["▁k", "ing"]]
    tokens = [*letters, *map("".join, merges)]
    model = {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True, "merges": merges}
    model["vocab"] = {token: token_id for token_id, token in enumerate(tokens)}
    added = [{"id": 1, "content": "<s>", "special": True, "rstrip": True}]
    added.append({"id": 0, "content": "ring", "special": False, "normalized": True})
    added[1]["id"] = model["vocab"]["ring"] = len(tokens)
    starts = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}]}
    starts["special_tokens"] = {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        "post_processor": starts,
        "decoder": {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        "model": model,
    }


FILES = {
    "llama2": llama2_like,
    "ours": lambda: our_file(
        merges=[[64, 65, 3], [256, 66, 2], [220, 84, 1]], special_tokens={EOT: 259, "<|user|>": 300}
    ),
    "gpt2": gpt2_like,
    "llama3": llama3_like,
    "cuts": lambda: with_split(r" ?\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]+"),
}
VALUES = [
    *(None, True, False, 0, -1, 1, 255, 256, 10**6, 2**31, 2**63, 10**30, 0.5, -0.0, 1e300),
    *("", "a", "Ġ", "\0", "\ud800", "a" * 2000, "▁", "<|user|>", EOT, "Regex", "NFKC", "Split", "ByteLevel"),
    *([], {}, [[]], [None], {"": None}, [[1, 2, 3]], ["a b"], [["a", "b"]], [{}] * 50),
    *(r"(\w|\w)*#", "(?R)", "(", r"\p{L}", "a{99}{99}", r"(?=a)", "$^", r"\s*", "(?<!a)|b"),
]
PARTS = [
    b"Infinity",
    b"NaN",
    b"1e999",
    b"-1",
    b"9" * 30,
    b'"',
    b"{",
    b"]",
    b",",
    b"null",
    b"\\ud800",
    b"\xff",
    b"0",
]


def places(value: object) -> list[tuple[object, object]]:
    """Return every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [entry for key, inner in items for entry in ((value, key), *places(inner))]


def damaged(content: dict, seed: int) -> bytes:
    """Write a file's content after one to four random changes, to its values or to its bytes."""
    draw = random.Random(seed)
    for _ in range(draw.randint(0, 3)):
        # The vocabulary holds most values; what stands above it gets the same chance.
        shallow = [entry for entry in places({**content, "model": None}) if entry[1] != "model"]
        container, key = draw.choice(draw.choice([places(content), shallow]) or [(content, "version")])
        kind = draw.randrange(5)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, list):
            container += [copy.deepcopy(container[key])] * draw.choice([1, 20])
        elif kind == 2:
            other, at = draw.choice(places(content))
            container[key] = copy.deepcopy(other[at])
        else:
            container[key] = copy.deepcopy(draw.choice(VALUES))
        content.setdefault("version", 1)
    data = bytearray(json.dumps(content).encode())
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            data[at : at + draw.randint(1, 20)] = b""
        elif kind == 1:
            data[at:at] = draw.choice(PARTS)
        elif kind == 2:
            data[at : at + 1] = bytes([draw.randrange(256)])
        else:
            number = bytes(data).find(b": ", at)
            data[number + 2 : number + 3] = draw.choice(PARTS)
    return bytes(data)


def check_damaged(name: str, seed: int, folder: Path) -> bool:
    """Load a damaged file; return whether it is a tokenizer, which then has to work."""
    path = folder / "tokenizer.json"
    path.write_bytes(damaged(FILES[name](), seed))
    try:
        tokenizer = Tokenizer.load(path)
    except TokenizerError as refused:
        assert "\n" not in str(refused) and len(str(refused)) < 1000
        return False
    ids = tokenizer.encode(TEXT)
    assert tokenizer.encode_slowly(TEXT) == ids == tokenizer.encode_bytes(TEXT.encode())
    assert min(ids, default=0) >= 0 and max(ids, default=0) < tokenizer.vocab_size <= bpe.MAX_TOKENS
    assert isinstance(tokenizer.decode(ids), str)
    if name == "ours":
        assert tokenizer.decode(ids) == TEXT
    tokenizer.decode(tokenizer.encode(TEXT, allow_special=True))
    tokenizer.save(path)
    assert Tokenizer.load(path).encode(TEXT) == ids
    return True


@pytest.fixture
def quick_clock(monkeypatch):
    monkeypatch.setattr(bpe, "PATTERN_SECONDS", 0.5)


ONE_FILE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(ONE_FILE, max_examples=300)
@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32))
def test_a_damaged_file_is_refused_or_works(tmp_path, quick_clock, name, seed):
    check_damaged(name, seed, tmp_path)


@pytest.mark.long
@settings(ONE_FILE, max_examples=10_000)
@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32))
def test_ten_thousand_damaged_files_are_refused_or_work(tmp_path, quick_clock, name, seed):
    check_damaged(name, seed, tmp_path)


def test_the_files_that_are_damaged_are_sound_and_the_damage_leaves_some_of_them_so(tmp_path):
    for name, make in FILES.items():
        Tokenizer.load(written(make(), tmp_path))
        works = [check_damaged(name, seed, tmp_path) for seed in range(12)]
        assert True in works and False in works
