"""Files that say one thing and hold another, or leave something out: read as transformers reads them."""

import io
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from gptcore import load
from gptcore.__main__ import main
from gptcore.formats import hf_folder
from gptcore.formats.hf_config import model_config, with_shorter_context
from gptcore.formats.hf_tokenizer import from_json, to_json
from gptcore.runs.limits import MAX_CONTEXT, LimitError, Limits
from gptcore.runs.model_uploads import import_upload
from tests.core.transformers_models import randomized

SHAPE = {
    "vocab_size": 320,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": None,
}
INDEX = "model.safetensors.index.json"


def saved(folder, family: str = "llama", model_class=AutoModelForCausalLM, **changes):
    """Save a small model of transformers; return it."""
    config = AutoConfig.for_model(family, **(SHAPE | changes))
    model = randomized(model_class.from_config(config, attn_implementation="eager"))
    model.save_pretrained(folder)
    return model


def edit(path, drop=(), **changes) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in drop}))


def as_transformers_reads_it(folder, ids: torch.Tensor) -> torch.Tensor:
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    return theirs.eval()(ids).logits


@pytest.fixture
def ids(random_ids):
    return random_ids(1, 24, vocab_size=320)


@pytest.fixture
def limits(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    return Limits.from_environment({"GLASSBOX_UPLOAD_MB": "2", "GLASSBOX_PARAMETERS": "200000"})


def upload(folder, limits, tokenizer):
    (folder / "tokenizer.json").write_text(json.dumps(to_json(tokenizer)))
    files = [(path.name, io.BytesIO(path.read_bytes())) for path in folder.iterdir() if path.is_file()]
    return load(import_upload(files, limits=limits).folder)[0]


@pytest.mark.parametrize("own", [True, False], ids=["its own head", "the same twice"])
@torch.no_grad()
def test_an_output_layer_in_the_file_counts_more_than_a_config_that_ties_it(
    own, tmp_path, ids, limits, tokenizer
):
    model = saved(tmp_path, tie_word_embeddings=False)
    if not own:
        path = tmp_path / "model.safetensors"
        weights = load_file(path)
        save_file(weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}, path)
    edit(tmp_path / "config.json", tie_word_embeddings=True)
    expected = as_transformers_reads_it(tmp_path, ids)
    assert torch.equal(expected, model(ids).logits) == own
    for ours in (load(tmp_path)[0], upload(tmp_path, limits, tokenizer)):
        assert ours.config.tie_embeddings == (not own)
        torch.testing.assert_close(ours(ids), expected, atol=1e-4, rtol=0)


def test_limits_count_an_output_layer_that_the_config_does_not_mention(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    saved(tmp_path / "in", tie_word_embeddings=False)
    edit(tmp_path / "in" / "config.json", tie_word_embeddings=True)
    limits = Limits.from_environment({"GLASSBOX_UPLOAD_MB": "2", "GLASSBOX_PARAMETERS": "10000"})
    with pytest.raises(LimitError, match="10,000"):
        upload(tmp_path / "in", limits, tokenizer)


@torch.no_grad()
def test_a_whole_file_counts_more_than_what_is_left_of_an_index(tmp_path, ids):
    model = saved(tmp_path)
    save_file({"model.norm.weight": torch.zeros(16)}, tmp_path / "old.safetensors")
    for weight_map in ({"model.norm.weight": "old.safetensors"}, {"model.norm.weight": "gone.safetensors"}):
        (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
        torch.testing.assert_close(load(tmp_path)[0](ids), model(ids).logits, atol=1e-4, rtol=0)
        assert torch.equal(as_transformers_reads_it(tmp_path, ids), model(ids).logits)


DEFAULTED = (
    "rms_norm_eps", "rope_parameters", "rope_theta", "tie_word_embeddings", "hidden_act", "hidden_activation",
    "attention_bias", "mlp_bias", "sliding_window", "layer_types", "query_pre_attn_scalar", "no_rope_layers",
    "attn_logit_softcapping", "final_logit_softcapping", "use_sliding_window", "max_window_layers", "head_dim",
    "no_rope_layer_interval", "rope_local_base_freq", "_sliding_window_pattern", "sliding_window_pattern",
)  # fmt: skip


@pytest.mark.parametrize(
    "family",
    ["llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3", "olmo2", "gemma", "gemma2", "gemma3_text"],
)
@torch.no_grad()
def test_what_a_config_leaves_out_is_the_familys_default(family, tmp_path, ids):
    model = saved(tmp_path, family, num_hidden_layers=6 if family == "gemma3_text" else 4)
    edit(tmp_path / "config.json", drop=DEFAULTED)
    expected = as_transformers_reads_it(tmp_path, ids)
    assert torch.equal(expected, model(ids).logits)
    torch.testing.assert_close(load(tmp_path)[0](ids), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("absent", ["num_key_value_heads", "head_dim"])
@torch.no_grad()
def test_a_size_that_is_null_follows_from_the_others(absent, tmp_path, ids):
    saved(tmp_path)
    edit(tmp_path / "config.json", **{absent: None})
    torch.testing.assert_close(
        load(tmp_path)[0](ids), as_transformers_reads_it(tmp_path, ids), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@torch.no_grad()
def test_names_without_their_prefix_and_tables_that_are_no_weights_are_understood(family, tmp_path, ids):
    saved(tmp_path, family, AutoModel, tie_word_embeddings=True)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    assert not any(name.startswith(("model.", "transformer.")) for name in weights)
    tables = {
        "llama": {"layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
        "gpt2": {"h.0.attn.bias": torch.ones(1, 1, 64, 64), "h.0.attn.masked_bias": torch.tensor(-1e4)},
    }
    save_file(weights | tables[family], path, metadata={"format": "pt"})
    expected = as_transformers_reads_it(tmp_path, ids)
    torch.testing.assert_close(load(tmp_path)[0](ids), expected, atol=1e-4, rtol=0)


OLD_STYLE = {
    "linear": {"rope_theta": 5e4, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "yarn": {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
    "yarn by lengths": {
        "rope_scaling": {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 16}
    },
    "both names": {
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    },
    "ignored fraction": {"partial_rotary_factor": 0.5},
}


@pytest.mark.parametrize("name", OLD_STYLE)
@torch.no_grad()
def test_rotary_options_of_older_files_and_in_combination_mean_what_they_mean_there(name, tmp_path, ids):
    saved(tmp_path)
    edit(tmp_path / "config.json", drop=("rope_parameters", "rope_theta"))
    edit(tmp_path / "config.json", **OLD_STYLE[name])
    expected = as_transformers_reads_it(tmp_path, ids)
    torch.testing.assert_close(load(tmp_path)[0](ids), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_gemma_3_of_before_rotary_options_were_kept_by_layer_says_the_same(tmp_path, ids):
    saved(tmp_path, "gemma3_text", head_dim=8)
    old = {"rope_theta": 5e5, "rope_local_base_freq": 200.0, "sliding_window_pattern": 2, "sliding_window": 4}
    edit(tmp_path / "config.json", drop=("rope_parameters", "layer_types"))
    edit(tmp_path / "config.json", **old, rope_scaling={"rope_type": "linear", "factor": 8.0})
    expected = as_transformers_reads_it(tmp_path, ids)
    torch.testing.assert_close(load(tmp_path)[0](ids), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@torch.no_grad()
def test_gemmas_norms_keep_their_digits_in_every_precision_and_as_a_run(
    dtype, tmp_path, ids, limits, tokenizer
):
    saved(tmp_path, "gemma", head_dim=8).to(dtype).save_pretrained(tmp_path)
    expected = as_transformers_reads_it(tmp_path, ids)
    for ours in (load(tmp_path)[0], upload(tmp_path, limits, tokenizer)):
        torch.testing.assert_close(ours(ids), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}},
        {
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
            }
        },
        {},
    ],
    ids=["yarn", "llama3", "plain"],
)
def test_a_shorter_context_changes_no_frequency(rope):
    long = {"model_type": "llama", **SHAPE, "max_position_embeddings": 16 * MAX_CONTEXT} | rope
    before, after = model_config(long), model_config(with_shorter_context(long, MAX_CONTEXT))
    assert after == before.replace(context_length=MAX_CONTEXT)


def test_a_model_with_more_learned_positions_than_pages_show_is_refused(tmp_path, limits, tokenizer):
    saved(tmp_path, "gpt2", max_position_embeddings=MAX_CONTEXT + 1)
    with pytest.raises(LimitError, match="context_length"):
        upload(tmp_path, limits, tokenizer)


def test_every_end_token_and_the_start_token_go_out_as_they_came_in(lively, tokenizer, tmp_path, capsys):
    content = to_json(tokenizer)
    first = len(content["model"]["vocab"]) + 1
    more = ["<s>", "</s>", "<|im_end|>"]
    content["added_tokens"] += [
        content["added_tokens"][0] | {"id": first + i, "content": text} for i, text in enumerate(more)
    ]
    start = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [start, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [start, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [first], "tokens": ["<s>"]}},
    }
    words = from_json(content, "tokenizer.json", end_of_text=["</s>", "<|im_end|>"])
    model = lively(vocab_size=first + len(more) + 9)  # padded, as vocabularies often are
    out = hf_folder.export_hf(model, words, tmp_path / "out")
    for name in ("config.json", "generation_config.json"):
        written = json.loads((out / name).read_text())
        assert (written["bos_token_id"], written["eos_token_id"]) == (first, [first + 1, first + 2])
    back = load(out)[1]
    assert (back.start_ids, back.stop_ids, back.eot_id) == ((first,), (first + 1, first + 2), first + 1)
    assert main(["sample", str(out), "--prompt", "The", "--max-new-tokens", "3"]) == 0


def test_a_folder_without_a_tokenizer_is_one_sentence_for_whoever_needs_one(
    lively, tokenizer, tmp_path, capsys
):
    model = lively(vocab_size=tokenizer.vocab_size)
    folder = hf_folder.export_hf(model, tokenizer, tmp_path / "out")
    (folder / "tokenizer.json").unlink()
    assert load(folder)[1] is None
    assert main(["sample", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
