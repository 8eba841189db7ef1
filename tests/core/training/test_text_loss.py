"""The loss on a text: every token scored once. `test_hf_folder.py` compares it with transformers."""

import json
import math

import pytest
import torch

from gptcore import ModelConfig, load, story_tokenizer
from gptcore.__main__ import main
from gptcore.checkpoint import SHIPPED
from gptcore.model import GPT
from gptcore.stories.writer import write_numbered_story
from gptcore.training.text_loss import measure_text_loss

STORIES = [write_numbered_story(i, seed=77).text for i in range(9)]


@pytest.fixture(scope="module")
def shipped():
    return load(SHIPPED)


@pytest.mark.parametrize("stride", [1, 3, 8])
def test_each_token_is_scored_once_with_all_the_context_its_window_has(stride):
    tokenizer = story_tokenizer()
    model = GPT(
        ModelConfig(vocab_size=2048, context_length=8, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=3
    )
    model = model.eval()
    documents = [STORIES[0][:120], "The", STORIES[1][:90]]
    total = n_tokens = 0
    for document in documents:
        ids = [tokenizer.eot_id, *tokenizer.encode(document)]
        for i in range(1, len(ids)):
            start = stride * max(0, math.ceil((i - 8) / stride))  # the first window that reaches this token
            logits = model(torch.tensor([ids[start:i]]))[0, -1]
            total -= logits.log_softmax(-1)[ids[i]].item()
            n_tokens += 1
    result = measure_text_loss(model, tokenizer, documents, stride=stride)
    assert result.n_tokens == n_tokens
    assert result.loss == pytest.approx(total / n_tokens, rel=1e-5)


def test_a_stride_or_a_text_that_cannot_be_is_refused(shipped):
    for stride in (-1, 257):
        with pytest.raises(
            ValueError, match=f"stride={stride} must be between 1 and the model's context of 256"
        ):
            measure_text_loss(*shipped, STORIES[:1], stride=stride)
    with pytest.raises(ValueError, match="no token to predict"):
        measure_text_loss(*shipped, [""])


def test_the_command_reads_a_text_as_train_does(tmp_path, capsys, shipped):
    data = tmp_path / "stories.jsonl"
    data.write_text("".join(json.dumps({"story": story, "n": "1"}) + "\n" for story in STORIES))
    assert main(["eval", str(SHIPPED), "--data", str(data), "--json"]) == 2
    assert "one of story, n with --text-field" in capsys.readouterr().err
    assert main(["eval", str(SHIPPED), "--data", str(data), "--text-field", "story", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = measure_text_loss(*shipped, STORIES)
    assert printed["loss"] == pytest.approx(expected.loss)
    assert printed["documents"] == 9 and printed["tokens"] == expected.n_tokens
    assert set(printed) == {"loss", "perplexity", "bits_per_byte", "tokens", "bytes", "documents"}
