"""A folder for others: transformers gives our logits, `tokenizers` our ids, and what has no place is named."""

import json
import math

import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from gptcore import generate, load, save
from gptcore.__main__ import main
from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS, ConfigError
from gptcore.formats import hf_folder, hf_tokenizer
from gptcore.model import GPT
from gptcore.stories.writer import write_numbered_story
from gptcore.tokenizer import EOT, Tokenizer
from gptcore.training.text_loss import measure_text_loss

HARD = [
    "",
    " ",
    "  two spaces  before  and   after  ",
    "a line  \nand another  ",
    "\n\n\tlines\r\nand\ttabs \n",
    " the king's crown, don't they'll I'VE",
    "naïve café, Ελλάδα, עברית, हिन्दी, 日本語, 한국어",
    "e\u0301 and \u00e9 differ; \u200b\u200d\ufeff are not seen",
    "😊👩‍👩‍👧 1234567 ١٢٣ ½ ²",
    f"before{EOT}after {EOT} {EOT}{EOT}",
    "<|endoftext|",
    "\x00\x1f\x7f\u2028\u3000",
]


def as_theirs(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(hf_tokenizer.to_json(tokenizer)))


@pytest.fixture(scope="session")
def pairs(gpt2, tokenizer):
    """Our tokenizers and what the library makes of their files, by name."""
    shipped = load(SHIPPED)[1]
    # White space is one piece at the end of a text and nowhere else: what others read in `$` is the end of a line.
    texts = ["one 1  ", "two 22  ", "three 333  "] * 3
    ending = Tokenizer.train(texts, 290, pattern=r"\p{N}| ?\p{L}+|\s+$|[^\p{L}\p{N}]", shrink=True)
    assert (len(ending.encode("a  ")), len(ending.encode("a  \nb"))) == (2, 5)
    return {
        name: (ours, as_theirs(ours))
        for name, ours in {"own": tokenizer, "shipped": shipped, "gpt2": gpt2, "pattern": ending}.items()
    }


@pytest.mark.parametrize("name", ["own", "shipped", "gpt2", "pattern"])
def test_the_tokenizers_library_gives_our_ids(pairs, name):
    ours, theirs = pairs[name]
    for text in HARD:
        ids = ours.encode(text, allow_special=True)
        assert theirs.encode(text).ids == ids
        assert theirs.decode(ids, skip_special_tokens=False) == text
    assert theirs.get_vocab_size() == ours.vocab_size
    assert ours.eot_id in theirs.encode(f"a{EOT}b").ids


# Python 3.11 and the libraries know different editions of Unicode: only characters that all of them know.
KNOWN = st.characters(exclude_categories=["Cs", "Cn"])


@settings(deadline=None, max_examples=150)
@given(st.text(KNOWN) | st.text(st.sampled_from(" \n\t'stdmlrev1é😊.ſK")))
def test_any_text_has_the_same_ids_there(pairs, text):
    for name in ("shipped", "gpt2", "pattern"):
        ours, theirs = pairs[name]
        assert theirs.encode(text).ids == ours.encode(text, allow_special=True)


@torch.no_grad()
def test_the_shipped_run_goes_to_transformers_through_the_command(tmp_path, capsys):
    assert main(["export", str(SHIPPED), "--to", "hf", str(tmp_path / "deep" / "out")]) == 0
    folder = tmp_path / "deep" / "out"
    assert str(folder) in capsys.readouterr().out
    model, tokenizer = load(SHIPPED)
    theirs, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ids = torch.tensor([tokenizer.encode("Once upon a time there was a king who found a golden ring.")])
    torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-4, rtol=0)

    for reader in (PreTrainedTokenizerFast, AutoTokenizer):
        words = reader.from_pretrained(folder)
        assert words.eos_token_id == words.bos_token_id == tokenizer.eot_id
        assert words.model_max_length == model.config.context_length
        for text in HARD:
            assert words(text).input_ids == tokenizer.encode(text, allow_special=True)
            assert words.decode(words(text).input_ids) == text
    prompt = tokenizer.encode("Once upon")
    story = theirs.generate(torch.tensor([prompt]), max_new_tokens=200, do_sample=False)
    ours = generate(model, prompt, 200, temperature=0, stop_ids=(tokenizer.eot_id,))
    assert theirs.generation_config.eos_token_id == tokenizer.eot_id
    assert story[0].tolist() == [*prompt, *(step.token_id for step in ours), tokenizer.eot_id]


@torch.no_grad()
def test_the_shape_of_tiny_goes_with_gpt2s_vocabulary(gpt2, tmp_path):
    model = GPT(PRESETS["tiny"].model, seed=3).eval()
    hf_folder.export_hf(model, gpt2, tmp_path / "out")
    theirs = LlamaForCausalLM.from_pretrained(tmp_path / "out")
    words = PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")
    ids = words("Hello 😊 world, unbelievably", return_tensors="pt").input_ids
    assert ids[0].tolist() == gpt2.encode("Hello 😊 world, unbelievably")
    torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-4, rtol=0)


@pytest.mark.parametrize("changes", [{}, {"bias": "qkv", "n_kv_heads": 2}, {"window": 5}, {"qk_norm": True}])
@torch.no_grad()
def test_what_was_exported_comes_back_the_same(lively, random_ids, tokenizer, tmp_path, changes):
    model = lively(vocab_size=tokenizer.vocab_size, tie_embeddings=not changes, **changes)
    folder = hf_folder.export_hf(model, tokenizer, tmp_path / "out")
    back, words = load(folder)
    assert back.config == model.config
    ids = random_ids(2, 20)
    assert torch.equal(back(ids), model(ids))
    torch.testing.assert_close(
        AutoModelForCausalLM.from_pretrained(folder)(ids).logits, model(ids), atol=1e-4, rtol=1e-5
    )
    assert (words.merges, words.special_tokens) == (
        Tokenizer([(m.left, m.right) for m in tokenizer.merges]).merges,
        tokenizer.special_tokens,
    )
    assert type(words) is Tokenizer


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm": "layernorm"}, "norm=layernorm"),
        ({"position": "learned"}, "position=learned"),
        ({"ffn": "gelu"}, "ffn=gelu"),
        ({"norm_position": "post"}, "norm_position=post"),
        ({"residual": False}, "residual=False"),
    ],
    ids=str,
)
def test_what_llama_does_not_have_is_named_and_nothing_is_written(
    lively, tokenizer, tmp_path, capsys, changes, words
):
    model = lively(vocab_size=tokenizer.vocab_size, **changes)
    with pytest.raises(ConfigError, match=words):
        hf_folder.export_hf(model, tokenizer, tmp_path / "out")
    save(model, tokenizer, tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), "--to", "hf", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ") and words in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_export_never_writes_over_what_is_there(lively, tokenizer, tmp_path):
    model = lively(vocab_size=tokenizer.vocab_size)
    empty, full, file = (tmp_path / name for name in ("empty", "full", "file"))
    empty.mkdir()
    full.mkdir()
    (full / "mine").write_text("x")
    file.write_text("x")
    hf_folder.export_hf(model, tokenizer, empty)
    assert (empty / "model.safetensors").is_file()
    for taken in (full, file, empty):
        with pytest.raises(ValueError, match="not empty"):
            hf_folder.export_hf(model, tokenizer, taken)
    assert [path.name for path in full.iterdir()] == ["mine"]


def test_a_prompt_starts_as_the_post_processor_says_and_every_end_token_ends_the_text(
    lively, tokenizer, tmp_path, capsys
):
    """The vocabulary is padded, too: many of the ids that this model predicts have no token."""
    model = lively(vocab_size=tokenizer.vocab_size + 200)
    folder = hf_folder.export_hf(model, tokenizer, tmp_path / "out")
    start = [{"SpecialToken": {"id": EOT, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    edit(
        folder / "tokenizer.json",
        post_processor={
            "type": "TemplateProcessing",
            "single": start,
            "pair": [],
            "special_tokens": {EOT: {"id": EOT, "ids": [tokenizer.eot_id], "tokens": [EOT]}},
        },
    )
    words = [
        "sample",
        str(folder),
        "--prompt",
        "The fox",
        "--json",
        "--max-new-tokens",
        "12",
        "--temperature",
        "0",
    ]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["prompt_ids"] == AutoTokenizer.from_pretrained(folder)("The fox").input_ids
    assert said["prompt_ids"] == [tokenizer.eot_id, *tokenizer.encode("The fox")]
    assert len(said["token_ids"]) == 12 and max(said["token_ids"]) >= tokenizer.vocab_size

    known = next(i for i in said["token_ids"] if i < tokenizer.vocab_size)
    edit(folder / "generation_config.json", eos_token_id=[tokenizer.eot_id, known])
    assert load(folder)[1].stop_ids == (tokenizer.eot_id, known)
    assert main(words) == 0
    stopped = json.loads(capsys.readouterr().out)
    template = "{{ messages[0]['content'] }}"
    edit(folder / "tokenizer_config.json", chat_template=template)
    again = hf_folder.export_hf(*load(folder), tmp_path / "again")
    assert AutoTokenizer.from_pretrained(again).chat_template == load(again)[1].chat_template == template
    assert stopped["token_ids"] == said["token_ids"][: said["token_ids"].index(known)]
    assert stopped["stop"] == "stop"


def test_a_base_model_that_names_no_end_token_continues_a_text(lively, tokenizer, tmp_path, capsys):
    folder = hf_folder.export_hf(lively(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "out")
    edit(folder / "tokenizer_config.json", eos_token=None)
    edit(folder / "tokenizer.json", added_tokens=[])
    for name in ("config.json", "generation_config.json"):
        edit(folder / name, eos_token_id=None)
    assert load(folder)[1].stop_ids == ()
    words = ["sample", str(folder), "--json", "--max-new-tokens", "5", "--prompt"]
    assert main([*words, "The fox"]) == 0
    assert len(json.loads(capsys.readouterr().out)["token_ids"]) == 5
    assert main([*words, ""]) == 2
    assert "does not name an end-of-text token" in capsys.readouterr().err


def edit(path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_loss_on_a_text_is_that_of_transformers(tmp_path):
    shipped = load(SHIPPED)
    stories = [write_numbered_story(i, seed=77).text for i in range(9)]
    folder = hf_folder.export_hf(*shipped, tmp_path / "hf")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    documents = [*stories[:3], " ".join(stories)]  # the last is longer than the context of 256
    total = n_tokens = 0
    for document in documents:
        ids = torch.tensor(
            [[tokenizer.bos_token_id, *tokenizer(document, add_special_tokens=False).input_ids]]
        )
        scored = 1
        for start in range(0, ids.shape[1], 128):  # as in transformers' guide to perplexity
            window = ids[:, start : start + 257]
            labels = window.clone()
            labels[:, : scored - start] = -100
            with torch.no_grad():
                logits = model(window[:, :-1]).logits
            losses = torch.nn.functional.cross_entropy(logits[0], labels[0, 1:], reduction="sum")
            total += losses.item()
            n_tokens += int((labels[0, 1:] != -100).sum())
            scored = start + window.shape[1]
            if scored == ids.shape[1]:
                break
    for ours, theirs in ((shipped, tokenizer), (load(folder), tokenizer)):
        result = measure_text_loss(*ours, documents)
        assert result.n_tokens == n_tokens == sum(len(theirs(text).input_ids) for text in documents)
        assert result.loss == pytest.approx(total / n_tokens, rel=1e-5)
        assert result.perplexity == pytest.approx(math.exp(total / n_tokens), rel=1e-4)
        n_bytes = sum(len(document.encode()) for document in documents)
        assert result.bits_per_byte == pytest.approx(total / math.log(2) / n_bytes, rel=1e-5)
