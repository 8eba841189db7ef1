"""llama.cpp, which runs the GGUF files that the tests write, and says how it reads a text."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import xllamacpp


class LlamaCpp:
    """A GGUF file served on this machine, on one thread, until the object goes away."""

    def __init__(self, path: Path, n_ctx: int = 256):
        settings = xllamacpp.CommonParams()
        settings.model.path = str(path)
        settings.n_ctx, settings.n_parallel, settings.n_gpu_layers = n_ctx, 1, 0
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
        settings.warmup, settings.verbosity = False, -1
        settings.fit_params = False
        self.server = xllamacpp.Server(settings)

    def _post(self, path: str, **values: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.server.listening_address}/{path}",
            data=json.dumps(values).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def tokenize(self, text: str, *, specials: bool = False, start: bool = True) -> list[int]:
        """Return the ids of a text."""
        return self._post("tokenize", content=text, add_special=start, parse_special=specials)["tokens"]

    def detokenize(self, ids: list[int]) -> str:
        return self._post("detokenize", tokens=ids)["content"]

    def greedy(self, prompt: str | list[int], n: int) -> list[int]:
        """Return the ids of a greedy continuation, the end token included where it comes."""
        return self._post("completion", prompt=prompt, n_predict=n, temperature=0, return_tokens=True)[
            "tokens"
        ]

    def logprobs(self, prompt: list[int], n: int = 10) -> dict[int, float]:
        """Return the largest log-probabilities of the next token, by id."""
        answer = self._post("completion", prompt=prompt, n_predict=1, temperature=0, n_probs=n)
        return {row["id"]: row["logprob"] for row in answer["completion_probabilities"][0]["top_logprobs"]}
