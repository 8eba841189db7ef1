"""Small models and texts that the tests of gptcore share."""

import random

import pytest
import torch

from gptcore.config import ModelConfig
from gptcore.corpora.documents import text_corpus
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer, load_tiktoken


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep to one thread: small models gain nothing from more, and sums come out in the same order."""
    torch.set_num_threads(1)


def _config(**changes) -> ModelConfig:
    shape = {"vocab_size": 61, "context_length": 24, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_ff": 48}
    return ModelConfig(**(shape | changes))


@pytest.fixture(scope="session")
def small():
    """A function that returns a small config with some fields changed."""
    return _config


@pytest.fixture(scope="session")
def lively():
    """A function that builds a small model in which every part matters.

    At birth weights are so small that logits are nearly equal, gains are one and biases zero, which hides
    mistakes; here all of them are drawn at random and wide.
    """

    def build(seed: int = 0, **changes) -> GPT:
        model = GPT(_config(**changes), seed=seed).eval()
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                noise = torch.randn(weight.shape, generator=generator)
                is_gain = "norm" in name and name.endswith("weight")
                weight.copy_(1 + 0.3 * noise if is_gain else 0.25 * noise)
        return model

    return build


@pytest.fixture(scope="session")
def random_ids():
    """A function that returns token ids (B, T) of a small model."""

    def draw(*shape: int, seed: int = 0, vocab_size: int = 61) -> torch.Tensor:
        return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))

    return draw


def _sentences(count: int) -> str:
    draw = random.Random(7)
    animals = ["fox", "dog", "heron", "otter", "mole", "badger", "hare", "owl"]
    colours = ["red", "grey", "old", "small", "quiet", "brown", "quick"]
    deeds = ["saw", "followed", "missed", "thanked", "heard", "helped"]
    places = ["by the river", "in the barn", "under the oak", "near the mill", "on the hill"]
    lines = []
    for _ in range(count):
        first, second = draw.sample(animals, 2)
        colour, deed, place = draw.choice(colours), draw.choice(deeds), draw.choice(places)
        lines.append(f"The {colour} {first} {deed} the {second} {place}.")
    return "\n".join(" ".join(lines[i : i + 4]) for i in range(0, count, 4)) + "\n"


@pytest.fixture(scope="session")
def text() -> str:
    """About 4,000 words of very simple English."""
    return _sentences(440)


@pytest.fixture(scope="session")
def corpus(text):
    return text_corpus(text, "animals")


@pytest.fixture(scope="session")
def tokenizer(corpus):
    return Tokenizer.train(corpus.train, 320, shrink=True)


@pytest.fixture(scope="session")
def gpt2(gpt2_files) -> Tokenizer:
    """GPT-2's own vocabulary."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(gpt2_files))
        load_tiktoken.cache_clear()
        return load_tiktoken("gpt2")
