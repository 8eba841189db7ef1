"""What the first edition left behind: its scripts import, its runs, archives and exports load."""

import importlib
import subprocess
import sys

import pytest

# Imports that its exported scripts, its explainers and its exercises make.
IMPORTS = (
    "from gptcore import GPT, ModelConfig, TrainConfig, generate, load, save",
    "from gptcore.corpus import Windows, cut, fixed_batches, load_corpus, prepare",
    "from gptcore.corpus import bytes_per_token, encode_documents",
    "from gptcore.optim import clip_gradients, learning_rate, make_optimizers, window_cuts",
    "from gptcore.tokenizer import EOT, Tokenizer, load_tiktoken, story_tokenizer",
    "from gptcore.hf import load_llama, state_dict",
    "from gptcore.generation import Sampling, distribution, generate, generate_batch",
    "from gptcore.training import train, unigram_entropy",
    "from gptcore.stories import write_stories, write_story",
    "from gptcore.parser import accepts",
    "from gptcore.ladder import judge_pronouns, passages, sample_table, split_sentences",
    "from gptcore.tuning import followed, single_names",
    "from gptcore.checkpoint import SHIPPED",
    "from gptcore.attention import allowed_pairs, attention_weights, explicit_attention",
    "from gptcore.positions import POSITIONS, apply_rope, inverse_frequencies, rope_table",
    "from gptcore.norms import NORMS, LayerNorm, RMSNorm",
    "from gptcore.feedforward import FEEDFORWARDS",
    "from gptcore.account import cache_bytes, forward_flops, n_parameters",
)


@pytest.mark.parametrize("line", IMPORTS)
def test_each_import_works_in_a_fresh_interpreter(line):
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_old_name_is_the_module_itself_and_leaves_it_as_it_was():
    old, new = importlib.import_module("gptcore.hf"), importlib.import_module("gptcore.formats.hf_weights")
    assert old is new and new.__spec__.name == new.__name__ == "gptcore.formats.hf_weights"


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="corpse"):
        importlib.import_module("gptcore.corpse")
