"""Apple's GPUs have no float64: training and every way to generate text must do without it there."""

from threading import Event

import pytest
import torch
from gpu_without_float64 import DEVICE, gpu_without_float64

from gptcore.config import TrainConfig
from gptcore.generation.batch import generate_batch
from gptcore.generation.beam import beam_search
from gptcore.generation.sampling import Sampling, generate
from gptcore.generation.speculative import NgramDraft, first_layers, speculate
from gptcore.training import loop

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture
def gpu(monkeypatch):
    with gpu_without_float64(monkeypatch) as mode:
        yield mode


def texts(model) -> dict[str, list[int]]:
    """What each way to generate writes with a model, wherever that is."""
    filters = {"temperature": 0.9, "top_k": 20, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.2}
    drafts = {"model": first_layers(model, 1), "table": NgramDraft(PROMPT * 3, model.config.vocab_size)}
    rows = torch.tensor([PROMPT, PROMPT[::-1]])
    written = {
        f"{cache} {name}": [step.token_id for step in generate(model, PROMPT, 8, use_cache=cache, **options)]
        for cache in (True, False)
        for name, options in {"greedy": {"temperature": 0.0}, "filtered": filters}.items()
    }
    written["batch"], written["batch 2"] = generate_batch(model, rows, 8, Sampling(**filters))
    for name, draft in drafts.items():
        cycles = speculate(model, draft, PROMPT, 8, **filters)
        written[f"speculative {name}"] = [token for cycle in cycles for token in cycle.token_ids]
    for cache in (True, False):
        written[f"beam {cache}"] = list(
            beam_search(model, PROMPT, 8, n_beams=3, use_cache=cache).best.token_ids
        )
    return written


def test_every_way_to_generate_writes_the_same_text_without_float64_on_the_device(lively, gpu):
    on_cpu = texts(lively())
    assert gpu.n_marked == 0
    there = lively().to(DEVICE)
    assert there.device == DEVICE
    assert texts(there) == on_cpu
    assert gpu.n_marked > 0


def test_a_timed_run_samples_and_trains_without_float64_on_the_device(small, corpus, tokenizer, gpu):
    ready = {"precision": "fp32", "attention_path": "fused", "threads": 1}
    config = TrainConfig(seconds=60, n_samples=1, n_evals=1, eval_batches=1, batch_size=2, **ready)
    stop, seen = Event(), []
    for event in loop.train(
        small(vocab_size=tokenizer.vocab_size), config, corpus, tokenizer, device=DEVICE, stop=stop
    ):
        seen.append(event.event)
        if event.event == "step":
            stop.set()
    assert {"start", "eval", "sample", "step", "done"} <= set(seen)
    assert event.model.device == DEVICE
