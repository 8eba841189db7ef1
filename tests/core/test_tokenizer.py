import doctest
import json
import os
from itertools import pairwise
from pydoc_data.topics import topics

import pytest
import regex
import requests
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as RustTokenizer

from gptcore import bpe
from gptcore import tokenizer as module
from gptcore.formats.hf_tokenizer import to_json
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import (
    BYTE_ORDER,
    EOT,
    GPT2_PATTERN,
    Tokenizer,
    TokenizerError,
    load_tiktoken,
    story_tokenizer,
)

# English prose of the Python documentation, which every Python carries; it has a tie at most merges.
PROSE = "\n".join(topics[name] for name in sorted(topics))[:200_000]

MANY_LANGUAGES = (
    """
The fox ran down to the river, and the river was wide. She didn't see the boat; they'd taken it at 6:45.
Der Fuchs lief hinab zum Fluß, und der Fluß war breit. Größe, Übung, äußerst, Straße – „ja“, sagte er.
Le renard descendit à la rivière, où l'été avait déjà séché l'herbe ; çà et là, un cœur naïf rêvait.
El zorro bajó al río, ¿y quién lo vio? ¡Nadie! La mañana siguiente el niño volvió con su señora.
Лиса спустилась к реке, и река была широка. Она не видела лодки, и лодка не видела её.
Η αλεπού κατέβηκε στο ποτάμι, και το ποτάμι ήταν πλατύ. Ποιος την είδε;
狐狸跑到河边,河很宽。她没有看见船,船也没有看见她。第二天早上,孩子回来了。
きつねは川へ下りました。川はとても広くて、舟は見えませんでした。次の朝、子どもが帰ってきました。
여우가 강으로 내려갔고, 강은 넓었다. 다음 날 아침 아이가 돌아왔다.
نزل الثعلب إلى النهر، وكان النهر واسعا. في الصباح عاد الولد ومعه ٣ قوارب.
השועל ירד אל הנהר, והנהר היה רחב. בבוקר חזר הילד.
लोमड़ी नदी तक गई, और नदी चौड़ी थी। सुबह बच्चा लौट आया।
สุนัขจิ้งจอกวิ่งลงไปที่แม่น้ำ และแม่น้ำก็กว้าง
🦊🏞️ → 🚣‍♀️❓ 👩‍👩‍👧‍👦 🇩🇪🇫🇷🇯🇵 👍🏽👍🏽 ½ ² Ⅷ 0x1F98A 3,141.59 a_b == c[d] != e{f}
"""
    + "for (int i = 0; i < n; ++i) {\n\t\tsum += x[i];\r\n}\n\n\n    return   sum;   \n"
)

HARD_STRINGS = [
    "",
    " ",
    "     ",
    "\n\n\n",
    " \n \t x",
    "ends with spaces   ",
    "\ufeffmark",
    "nul\0inside",
    "it's we'll I'D they'RE 'tis ''s",
    "a  b   c    d",
    "\u00a0no\u2003break\u3000space\u2028line",
    "café cafe\u0301 ﬁ Ǆ ß ẞ İ ı",
    "😊👩‍👩‍👧‍👦🇩🇪👍🏽",
    "日本語テキスト 中文 한국어",
    "مرحبا بالعالم ١٢٣",
    "١٢٣ ½ Ⅷ 123456789 1e-5",
    "https://example.org/?q=%20&x=[1,2]#top",
    "def f(x):\n\treturn {x: [x] * 2}  # note\n",
    EOT,
    f"one{EOT}two {EOT}",
    "<|endoftext",
    "a" * 1000,
    "ab" * 500 + "a",
    " " * 500 + "x",
    "\U0010ffff\ue000\ufffd",
    "\\xF0\\x9F",
]

# No unassigned letters: those that only one library knows, from a newer Unicode, are cut differently.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn"])) | st.text(
    st.sampled_from(list(" \n\t'sdlvetmreabAB01.,!é😊中\u0301\u00a0\u3000١½"))
)
FEW_EXAMPLES = settings(max_examples=150, deadline=None)


def rust_merges(texts: list[str], vocab_size: int, min_frequency: int) -> list[tuple[int, int]]:
    """The merges of the `tokenizers` library, as pairs of ids."""
    tokenizer = RustTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]


def our_merges(texts: list[str] | str, vocab_size: int, min_frequency: int = 2) -> list[tuple[int, int]]:
    tokenizer = Tokenizer.train(
        texts, vocab_size, special_tokens=(), min_frequency=min_frequency, shrink=True
    )
    return [(merge.left, merge.right) for merge in tokenizer.merges]


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return Tokenizer.train([PROSE, MANY_LANGUAGES * 2], 1500)


def test_examples_in_the_docstrings_hold():
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


# Training


@pytest.mark.parametrize("min_frequency", [0, 2, 5])
@pytest.mark.parametrize(
    "texts", [[PROSE], [MANY_LANGUAGES], [PROSE[:5000], MANY_LANGUAGES, PROSE[9000:20000]]]
)
def test_merges_are_those_of_the_tokenizers_library(texts, min_frequency):
    theirs = rust_merges(texts, 2000, min_frequency)
    assert our_merges(texts, 2000, min_frequency) == theirs
    assert len(theirs) > 30


@FEW_EXAMPLES
@given(st.lists(st.text("ab c", max_size=60), max_size=3), st.sampled_from([0, 2]))
def test_merges_are_those_of_the_tokenizers_library_on_runs_and_ties(texts, min_frequency):
    assert our_merges(texts, 300, min_frequency) == rust_merges(texts, 300, min_frequency)


def test_one_piece_as_long_as_the_text_is_trained_on():
    text = "".join("ACGT"[(i * i * 7 + i // 13) % 4] for i in range(50_000))
    assert our_merges(text, 1000) == rust_merges([text], 1000, 2)


def test_base_tokens_stand_in_the_order_of_gpt2(gpt2):
    assert bytes(b for i in range(256) for b in gpt2.token_bytes(i)) == BYTE_ORDER
    assert sorted(BYTE_ORDER) == list(range(256))


def test_ids_are_bytes_then_merges_then_special_tokens():
    tokenizer = Tokenizer.train(PROSE, 400, special_tokens=(EOT, "<|user|>"))
    assert tokenizer.vocab_size == 400
    assert [merge.id for merge in tokenizer.merges] == list(range(256, 398))
    assert tokenizer.special_tokens == {EOT: 398, "<|user|>": 399}
    assert tokenizer.eot_id == 398
    for merge in tokenizer.merges:
        assert merge.bytes == tokenizer.token_bytes(merge.left) + tokenizer.token_bytes(merge.right)
        assert merge.left < merge.id and merge.right < merge.id
    counts = [merge.count for merge in tokenizer.merges]
    assert counts == sorted(counts, reverse=True)


def test_the_first_merges_are_the_vocabulary_of_a_smaller_training(trained):
    smaller = Tokenizer.train([PROSE, MANY_LANGUAGES * 2], 700)
    cut = trained.first(700 - 256 - 1)
    assert cut.merges == smaller.merges
    assert cut.special_tokens == smaller.special_tokens
    assert trained.first(0).encode("abc") == [BYTE_ORDER.index(byte) for byte in b"abc"]


def test_more_tokens_than_the_text_can_give_are_refused_or_shrunk():
    with pytest.raises(TokenizerError, match=r"vocab_size=5000 .* use (\d+) or fewer") as caught:
        Tokenizer.train("to be or not to be", 5000)
    possible = int(str(caught.value).split("use ")[1].split()[0])
    assert Tokenizer.train("to be or not to be", possible).vocab_size == possible
    assert Tokenizer.train("to be or not to be", 5000, shrink=True).vocab_size == possible
    with pytest.raises(TokenizerError):
        Tokenizer.train("to be or not to be", possible + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 256}, "vocab_size=256 must be at least 257"),
        ({"vocab_size": 300, "pattern": "("}, "not a valid regular expression"),
        ({"vocab_size": 300, "special_tokens": ("", "b")}, "Special tokens must be text"),
        ({"vocab_size": 300, "special_tokens": ("b", "b")}, "occurs twice"),
    ],
)
def test_training_refuses_what_cannot_work(arguments, message):
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.train(PROSE, **arguments)


# Encoding and decoding


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("The cat sat on the mat.", [464, 3797, 3332, 319, 262, 2603, 13]),
        ("Hello 😊 world", [15496, 30325, 232, 995]),
        ("antidisestablishmentarianism", [415, 29207, 44390, 3699, 1042]),
    ],
)
def test_gpt2_ids_are_the_published_ones(gpt2, text, ids):
    assert gpt2.encode(text) == ids
    assert gpt2.encode_slowly(text) == ids


def test_gpt2_has_its_vocabulary(gpt2):
    assert gpt2.vocab_size == 50_257
    assert len(gpt2.merges) == 50_000
    assert gpt2.eot_id == 50_256
    assert [gpt2.token_text(i) for i in gpt2.encode("unbelievably")] == ["un", "bel", "iev", "ably"]
    assert [gpt2.token_text(i) for i in gpt2.encode(" unbelievably")] == [" unbelievably"]


@pytest.mark.parametrize("text", HARD_STRINGS)
def test_hard_strings(gpt2, trained, text):
    assert gpt2.encode(text) == tiktoken.get_encoding("gpt2").encode_ordinary(text)
    for tokenizer in (gpt2, trained):
        ids = tokenizer.encode(text)
        assert tokenizer.encode_slowly(text) == ids
        assert tokenizer.decode(ids) == text


@FEW_EXAMPLES
@given(ANY_TEXT)
def test_any_text_is_encoded_as_by_tiktoken_and_comes_back(gpt2, trained, text):
    assert gpt2.encode_slowly(text) == tiktoken.get_encoding("gpt2").encode_ordinary(text)
    for tokenizer in (gpt2, trained):
        ids = tokenizer.encode(text)
        assert ids == tokenizer.encode_slowly(text)
        assert ids == tokenizer.to_tiktoken().encode_ordinary(text)
        assert tokenizer.decode(ids) == text


@FEW_EXAMPLES
@given(st.binary(max_size=60) | ANY_TEXT.map(str.encode))
def test_any_bytes_come_back(gpt2, trained, data):
    for tokenizer in (gpt2, trained):
        assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


def test_bytes_of_a_text_get_the_ids_of_the_text(trained):
    assert trained.encode_bytes(MANY_LANGUAGES.encode()) == trained.encode(MANY_LANGUAGES)
    # One byte that is no text must not cost the words around it their tokens.
    assert trained.encode_bytes(b"the world\xff") == [
        *trained.encode("the world"),
        *trained.encode_bytes(b"\xff"),
    ]


@pytest.mark.parametrize("text", ["x\ud800y", "\udfff", "\ud83d\ude0a pair", "\udce9 from a file name"])
def test_lone_surrogates_are_read_as_tiktoken_reads_them(gpt2, text):
    ids = gpt2.encode(text)
    assert ids == tiktoken.get_encoding("gpt2").encode_ordinary(text) == gpt2.encode_slowly(text)
    assert gpt2.decode(ids) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_a_million_spaces_do_not_crash(trained):
    text = "word" + " " * 1_100_000 + "word"
    ids = trained.encode(text)
    assert trained.decode(ids) == text
    last_word = trained.encode(" word")
    assert ids[-len(last_word) :] == last_word


def test_a_special_token_is_plain_text_unless_allowed(trained):
    text = f"one{EOT} two{EOT}{EOT}"
    assert trained.eot_id not in trained.encode(text)
    allowed = trained.encode(text, allow_special=True)
    assert allowed.count(trained.eot_id) == 3
    assert allowed == trained.to_tiktoken().encode(text, allowed_special="all")
    assert trained.decode(allowed) == trained.decode(trained.encode(text)) == text


def test_the_longest_special_token_wins():
    tokenizer = Tokenizer.train(PROSE, 300, special_tokens=("<a>", "<a><b>"))
    assert tokenizer.encode("<a><b>", allow_special=True) == [tokenizer.special_tokens["<a><b>"]]


def test_a_token_that_is_no_text_is_shown_as_bytes(gpt2):
    assert [gpt2.token_text(i) for i in gpt2.encode(" 😊")] == [r" \xF0\x9F\x98", r"\x8A"]
    replaced = [i for i in range(gpt2.vocab_size) if "\ufffd" in gpt2.token_text(i)]
    assert all("\ufffd".encode() in gpt2.token_bytes(i) for i in replaced)
    assert gpt2.token_text(gpt2.eot_id) == EOT


def test_half_a_character_is_decoded_with_a_replacement(gpt2):
    first, second = gpt2.encode("😊")
    assert gpt2.decode([first]) == "\ufffd"
    assert gpt2.decode([first, second]) == "😊"


@pytest.mark.parametrize("token_id", [-1, 1500, 10**9])
def test_an_id_without_a_token_is_empty_text(trained, token_id):
    """A model with a padded vocabulary can predict one."""
    assert trained.decode([64, token_id, 65]) == trained.decode([64, 65])
    assert trained.token_text(token_id) == ""


# Merges by hand: that of 65 and 66 comes after that of 64 and 65, whose token it would need.
NEVER_LEARNED = [(64, 65), (65, 66), (64, 257)]


def test_merges_join_their_pair_and_no_other_that_makes_the_same_token():
    tokenizer = Tokenizer(NEVER_LEARNED)
    assert tokenizer.encode("abc") == tokenizer.encode_slowly("abc") == [256, 66]
    theirs = RustTokenizer.from_str(json.dumps(to_json(tokenizer)))
    assert theirs.encode("abc").ids == [256, 66]


def test_a_prompt_starts_as_the_tokenizer_says_and_is_never_empty(trained):
    assert trained.encode_prompt("a b") == trained.encode("a b")
    assert trained.encode_prompt("") == [trained.eot_id]
    assert trained.stop_ids == (trained.eot_id,) and Tokenizer(special_tokens={}).stop_ids == ()


def test_a_tokenizer_without_end_of_text_says_so():
    with pytest.raises(TokenizerError, match=r"has no .* token; train it"):
        _ = Tokenizer.train("a b", 256, special_tokens=()).eot_id


# Files


def test_a_saved_tokenizer_is_the_same_tokenizer(trained, gpt2, tmp_path):
    for tokenizer in (trained, gpt2):
        tokenizer.save(tmp_path / "tokenizer.json")
        loaded = Tokenizer.load(tmp_path / "tokenizer.json")
        assert loaded.merges == tokenizer.merges
        assert loaded.special_tokens == tokenizer.special_tokens
        assert loaded.pattern == tokenizer.pattern
        assert loaded.encode(MANY_LANGUAGES) == tokenizer.encode(MANY_LANGUAGES)


def a_file(**changes) -> bytes:
    content = {"format": module.FILE_FORMAT, "version": module.FILE_VERSION, "pattern": GPT2_PATTERN}
    content |= {"special_tokens": {EOT: 257}, "merges": [[64, 65, 3]]}
    return json.dumps(content | changes).encode()


def test_the_file_that_the_next_test_damages_is_sound(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(a_file())
    assert Tokenizer.load(tmp_path / "tokenizer.json").vocab_size == 258


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a tokenizer file"),
        (b"once upon a time", "is not a tokenizer file"),
        (b"\xff\xfe\x00", "is not a tokenizer file"),
        (b"[" * 100_000, "is not a tokenizer file"),
        (b"[1, 2]", "is not a tokenizer file"),
        (b'{"model": {}}', "is not a tokenizer file"),
        (a_file(version=99), "has format version 99"),
        (a_file(merges=None), "is damaged"),
        (a_file(merges=[[1, 2]]), "is damaged"),
        (a_file(merges=[[1, "2", 3]]), "is damaged"),
        (a_file(merges=[[1, 256, 3]]), "is damaged.*must both come before it"),
        (a_file(merges=[[-1, 2, 3]]), "is damaged.*must both come before it"),
        (a_file(merges=[[1, 2, 3], [1, 2, 3]], special_tokens={}), "is damaged.*the same token"),
        (a_file(special_tokens={EOT: 5}), "is damaged.*their ids must start at"),
        (a_file(special_tokens={"a": 300, "b": 300}), "is damaged.*distinct ids"),
        (a_file(special_tokens=[EOT]), "is damaged"),
        (a_file(pattern="("), "is damaged.*not a valid regular expression"),
        (a_file(pattern=None), "is damaged"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=message) as caught:
        Tokenizer.load(path)
    assert "\n" not in str(caught.value)


def test_paths_that_cannot_be_read_or_written_are_refused(trained, tmp_path):
    with pytest.raises(TokenizerError, match=r"missing\.json can't be read: No such file"):
        Tokenizer.load(tmp_path / "missing.json")
    with pytest.raises(TokenizerError, match="can't be read"):
        Tokenizer.load(tmp_path)
    with pytest.raises(TokenizerError, match="can't be written to"):
        trained.save(tmp_path / "missing" / "tokenizer.json")


def test_a_pattern_that_only_python_understands_makes_no_tiktoken_encoding():
    tokenizer = Tokenizer.train("a b", 258, pattern=r"\X", shrink=True)
    assert tokenizer.decode(tokenizer.encode("a b")) == "a b"
    with pytest.raises(TokenizerError, match="tiktoken can't use the pattern"):
        tokenizer.to_tiktoken()


@pytest.mark.parametrize("pattern", [r"\p{L}+", r"(?=[A-Z])", r"\d*", "x", r"(?<=a)b|$"])
def test_text_that_a_pattern_does_not_match_is_kept(pattern):
    """Hugging Face's `Isolated` split, as which a pattern is exported, keeps it as well."""
    tokenizer = Tokenizer.train(PROSE[:20_000], 400, pattern=pattern, shrink=True)
    theirs = RustTokenizer.from_str(json.dumps(to_json(tokenizer)))
    for text in (PROSE[20_000:22_000], *HARD_STRINGS):
        ids = tokenizer.encode(text)
        assert ids == tokenizer.encode_slowly(text)
        assert tokenizer.decode(ids) == text
        if EOT not in text:
            assert ids == theirs.encode(text).ids


def test_a_text_is_cut_alike_however_often_the_clock_interrupts(monkeypatch):
    monkeypatch.setattr(bpe, "PATTERN_SECONDS", 0.01)
    monkeypatch.setattr(bpe, "PATTERN_CHARACTERS", 1)  # one match at a time may take that long
    text = (PROSE + MANY_LANGUAGES * 10) * 2
    for pattern in (r"(?=[A-Z])|\d*", r"\b\w+|(?<=e) .", r" ?\p{L}+|\s+(?!\S)|\p{N}{1,2}"):
        cut = regex.compile(pattern)
        ends = sorted({0, len(text)}.union(*(match.span() for match in cut.finditer(text))))
        assert list(bpe.cut_texts(cut, [text])) == [text[i:j] for i, j in pairwise(ends)]


def test_without_network_gpt2_is_one_sentence_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a port where nobody answers
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    get, asked = requests.get, []
    monkeypatch.setattr(requests, "get", lambda url, **options: asked.append(url) or get(url, **options))
    with pytest.raises(
        TokenizerError, match=r"'r50k_base' can't be downloaded .*connect to the network once"
    ):
        load_tiktoken("r50k_base")
    assert len(asked) == 1  # it is not tried again


def test_an_unknown_vocabulary_is_refused():
    with pytest.raises(TokenizerError, match=r"no vocabulary 'gpt9'.*gpt2"):
        load_tiktoken("gpt9")


def test_a_missing_story_tokenizer_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "__file__", os.fspath(tmp_path / "tokenizer.py"))
    with pytest.raises(TokenizerError, match="is missing; install gptcore again"):
        story_tokenizer.__wrapped__()


def test_the_shipped_story_tokenizer_knows_stories():
    tokenizer = story_tokenizer()
    text = "\n\n".join(story.text for story in write_stories(20, seed=123))
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_slowly(text) == ids
    assert len(text) / len(ids) > 3
    assert tokenizer.eot_id == tokenizer.vocab_size - 1
