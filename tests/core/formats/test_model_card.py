"""The card of an exported model: what its files say, in a header the hub reads, and nothing made up."""

import json
import re
import shutil

import pytest
import yaml

from gptcore import load, save
from gptcore.account import n_parameters
from gptcore.checkpoint import SHIPPED
from gptcore.formats.export import export
from gptcore.formats.model_card import model_card


def rows(card: str) -> dict[str, str]:
    return dict(re.findall(r"^\| (.+?) \| (.+?) \|$", card, re.MULTILINE))


def test_the_card_says_what_the_run_measured_and_leaves_the_license_open(tmp_path):
    folder = export(SHIPPED, "hf", tmp_path / "my model")
    card = (folder / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])
    assert header == {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["glassbox"]}
    assert "\n# license: " in card and "\n# my model\n" in card
    config, said = load(SHIPPED)[0].config, rows(card)
    assert f"{n_parameters(config):,} parameters" in card
    assert said["layers"] == str(config.n_layers) and said["vocabulary"] == f"{config.vocab_size:,}"
    events = [
        json.loads(line) for line in (SHIPPED / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    last = {event["event"]: event for event in events}
    assert float(said["loss, nats per token"]) == pytest.approx(last["eval"]["val_loss"], rel=1e-3)
    assert said["tokens seen"] == f"{last['done']['tokens']:,}" and said["text"] == "stories"
    assert said["sentences that the grammar accepts"] == f"{last['sample']['ladder']['rate']:.1%}"


def test_a_model_without_a_history_has_a_card_that_says_so(tmp_path):
    model, tokenizer = load(SHIPPED)
    save(model, tokenizer, tmp_path / "saved")
    card = model_card(model.config, tmp_path / "saved", "saved")
    assert "do not say how it was trained" in card and "say nothing about its quality" in card
    assert "| loss" not in card and "| steps" not in card


def test_the_files_of_a_stranger_put_no_markup_into_a_card(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "run")
    described = json.loads((SHIPPED / "config.json").read_text(encoding="utf-8"))
    described["corpus_name"] = "[x](http://evil)\n---\n<script>alert(1)</script> | a | b"
    described["train"] = ["no object"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(described), encoding="utf-8")
    lines = ['{"event": "eval", "step": "<b>1</b>", "val_loss": "<i>", "perplexity": 2}', "[" * 100_000, "[]"]
    (tmp_path / "run" / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    card = model_card(load(SHIPPED)[0].config, tmp_path / "run", "a\n---\nlicense: mit")
    assert not re.search(r"[<>\[\]]", card.split("```")[0])
    assert card.count("\n---\n") == 1 and "\nlicense" not in card
    assert rows(card)["perplexity"] == "2" and "nats per token" not in card
