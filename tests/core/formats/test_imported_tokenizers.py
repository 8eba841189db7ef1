"""Tokenizers from elsewhere, kind by kind: the ids and the text of `tokenizers` on the same file."""

import json
import random
import unicodedata

import pytest
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from gptcore.bpe import KNOWN_PATTERNS, TokenizerError
from gptcore.formats import load_tokenizer
from gptcore.formats.hf_tokenizer import from_json
from gptcore.tokenizer import EOT, Tokenizer

PROSE = (
    "The king's ring was golden, and they'll say it wasn't 1234 times.  naïve café, e\u0301t\u00e9. Ελλάδα 日本語\n"
    "  def f(x):\n\treturn x + 1\r\n\r\nIt's, IT'S, we've; 'tis 99.95% true... 😊😊 👩‍👩‍👧 aaaaaaa bababab   end\n"
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def learned(
    words: tokenizers.Tokenizer, specials: list[str], *, size: int = 420, alphabet=(), limit=None
) -> None:
    more = {} if limit is None else {"limit_alphabet": limit}
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=list(alphabet), show_progress=False, **more
    )
    words.train_from_iterator([PROSE.replace("語", "")] * 3, trainer)


def as_plain_tokens(words: tokenizers.Tokenizer, names: list[str]) -> tokenizers.Tokenizer:
    """Leave names in the vocabulary and out of the added tokens, as the bytes of SentencePiece are."""
    content = json.loads(words.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in names]
    return tokenizers.Tokenizer.from_str(json.dumps(content))


def sentencepiece(normalizer, pre_tokenizer, strips: bool, **model) -> tokenizers.Tokenizer:
    """Characters, with bytes to fall back to, and a start token."""
    words = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True, **model))
    if normalizer is not None:
        words.normalizer = normalizer
    if pre_tokenizer is not None:
        words.pre_tokenizer = pre_tokenizer
    strip = [decoders.Strip(content=" ", left=1, right=0)] if strips else []
    words.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    learned(words, ["<unk>", "<s>", "</s>", *BYTES], size=400, limit=60)
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return as_plain_tokens(words, BYTES)


def mark_spaces():
    return normalizers.Replace(" ", "▁")


def llama2() -> tokenizers.Tokenizer:
    return sentencepiece(normalizers.Sequence([normalizers.Prepend("▁"), mark_spaces()]), None, True)


def metaspace(**how) -> tokenizers.Tokenizer:
    return sentencepiece(None, pre_tokenizers.Metaspace(**how), True)


def gemma() -> tokenizers.Tokenizer:
    words = sentencepiece(mark_spaces(), pre_tokenizers.Split(" ", "merged_with_previous"), False)
    words.add_tokens([AddedToken("\n" * n, normalized=False) for n in range(2, 5)])
    return words


def unknowns(fuse: bool) -> tokenizers.Tokenizer:
    """No bytes to fall back to: what the vocabulary lacks is the unknown token."""
    words = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.decoder = decoders.Metaspace()
    learned(words, ["<unk>"], size=100, limit=30)
    return words


def byte_level(
    *, prefix: bool = False, lacking: str = "", added: tuple = (), normalizer=None
) -> tokenizers.Tokenizer:
    words = tokenizers.Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    words.decoder = decoders.ByteLevel()
    if normalizer is not None:
        words.normalizer = normalizer
    alphabet = [character for character in pre_tokenizers.ByteLevel.alphabet() if character not in lacking]
    learned(words, [EOT, "<|im_end|>"], alphabet=alphabet)
    words.add_tokens(list(added))
    return words


def llama3() -> tokenizers.Tokenizer:
    words = byte_level()
    pattern = next(
        known for known in KNOWN_PATTERNS if r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+" in known
    )
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    words.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    start = processors.TemplateProcessing(single="<|im_end|> $A", special_tokens=[("<|im_end|>", 1)])
    words.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), start])
    return words


KINDS = {
    "llama 2": llama2,
    "metaspace first": lambda: metaspace(prepend_scheme="first", split=False),
    "metaspace always": lambda: metaspace(prepend_scheme="always", split=True),
    "metaspace never": lambda: metaspace(prepend_scheme="never", split=True),
    "gemma": gemma,
    "unknown": lambda: unknowns(False),
    "unknown in a row": lambda: unknowns(True),
    "bytes lacking": lambda: byte_level(lacking="Ã©ĠĊ"),
    "prefix space": lambda: byte_level(prefix=True),
    "llama 3": llama3,
    "runs of spaces": lambda: byte_level(added=[AddedToken(" " * n, normalized=False) for n in range(2, 9)]),
    "added tokens": lambda: byte_level(
        added=(
            AddedToken("<mask>", lstrip=True, special=True),
            AddedToken("<end>", rstrip=True, lstrip=True),
            AddedToken("ring", single_word=True),
        )
    ),
    "normalized first": lambda: byte_level(
        normalizer=normalizers.NFKC(),
        added=(AddedToken("fi", normalized=True), AddedToken("㏂", normalized=False)),
    ),
}


@pytest.fixture(scope="module")
def both():
    """Ours and theirs of each kind."""
    theirs = {name: make() for name, make in KINDS.items()}
    return {name: (from_json(json.loads(words.to_str()), name), words) for name, words in theirs.items()}


def texts(n: int) -> list[str]:
    """Return random texts: any assigned character, characters near the prose, its words, and names of tokens.

    Assigned in Unicode 3.2: how later ones are normalized depends on the year of Python's tables and of the peer's.
    """
    draw = random.Random(0)
    category = unicodedata.ucd_3_2_0.category
    assigned = [chr(i) for i in range(0x1F000) if category(chr(i)) not in ("Cs", "Cn", "Co")]
    near = list(dict.fromkeys(PROSE)) + list(" \n▁")
    words = [
        *PROSE.split(" "),
        " ",
        "  ",
        "\n",
        "ring",
        "<mask>",
        "<end>",
        EOT,
        "</s>",
        "<s>",
        "ﬁ",
        "㏂",
        "fi",
        "<0x41>",
    ]
    kinds = (assigned, near, near, words, words)
    return ["".join(draw.choices(draw.choice(kinds), k=draw.randrange(25))) for _ in range(n)]


TEXTS = [*texts(300), PROSE, " leading", "", " ", "a" * 2000, "<s> a<s>b", "ring rings ring"]


@pytest.mark.parametrize("name", KINDS)
def test_the_ids_and_the_text_are_those_of_the_library(both, name):
    ours, theirs = both[name]
    for text in TEXTS:
        theirs.encode_special_tokens = False
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, allow_special=True) == expected
        assert ours.decode(expected) == theirs.decode(expected, skip_special_tokens=False)
        theirs.encode_special_tokens = True  # their name for taking them as text
        expected = theirs.encode(text).ids
        assert (ours.encode_prompt(text) if text else [*ours.start_ids]) == expected
        assert ours.encode_bytes(text.encode()) == ours.encode(text)


@pytest.mark.parametrize("name", KINDS)
def test_saved_and_read_again_it_is_the_same(both, name, tmp_path):
    ours, _ = both[name]
    ours.save(tmp_path / "tokenizer.json")
    back = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (back.start_ids, back.stop_ids, back.vocab_size) == (
        ours.start_ids,
        ours.stop_ids,
        ours.vocab_size,
    )
    assert back.encode(PROSE, allow_special=True) == ours.encode(PROSE, allow_special=True)


def test_text_that_continues_keeps_the_space_that_a_text_loses_at_its_start(both):
    ours, _ = both["llama 2"]
    ids = ours.encode("the king")
    for cut in range(len(ids) + 1):
        assert ours.decode(ids[:cut]) + ours.decode(ids[cut:], continues=cut > 0) == "the king"


def test_bytes_that_are_no_text_come_back_from_a_vocabulary_with_bytes_to_fall_back_to(both):
    for name in ("llama 2", "gemma", "prefix space", "llama 3"):
        ours, _ = both[name]
        data = b"ring\xff\xfe \x80!"
        assert ours.decode_bytes(ours.encode_bytes(data)).strip(b" ") == data


def test_a_whole_text_without_cuts_takes_time_in_proportion(both):
    """Llama 2's merges may reach over spaces, so that a text is one piece; few of them could."""
    ours, _ = both["llama 2"]
    assert max(map(len, ours._parts(ours.pieces(PROSE * 5)[0]))) < 40


def test_ids_without_a_token_are_empty_text(both):
    for ours, _ in both.values():
        assert ours.decode([10**6, -1]) == "" == ours.token_text(10**6)


def test_the_end_token_is_named_by_the_file_beside_it_or_by_its_usual_name(tmp_path):
    words = byte_level(added=[AddedToken("<|end_of_text|>", special=True), AddedToken("<fin>", special=True)])
    content = json.loads(words.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != EOT]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    assert load_tokenizer(path).eot_id == words.token_to_id("<|end_of_text|>")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<fin>"}))
    assert load_tokenizer(path).eot_id == words.token_to_id("<fin>")
    content["added_tokens"] = []
    path.write_text(json.dumps(content))
    with pytest.raises(
        TokenizerError,
        match=r"does not name an end-of-text token.* tokenizer_config\.json with its eos_token",
    ):
        _ = load_tokenizer(path).eot_id


def test_several_tokens_can_end_a_text(both):
    content = both["llama 3"][0].content
    several = from_json(content, "several", end_of_text=[EOT, 1, 10**6])
    assert several.stop_ids == (0, 1) and several.eot_id == 0
