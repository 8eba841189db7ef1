"""The speed of this library compared with the libraries people use, on this machine.

Every row runs the same work with ours and with a peer, alternating in one process, and takes the median of each, so
that a busy machine slows both. A ratio above 1 means that ours is better. Peers are test dependencies; the rows of a
missing one are skipped with a reason.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from gptcore.account import forward_flops
from gptcore.config import PRESETS, ModelConfig, TrainConfig
from gptcore.experiments.bench_decoding import DECODING, memory_rate
from gptcore.experiments.bench_startup import startup
from gptcore.experiments.comparison import Row, Skipped, Work, alternate, peer_model, require
from gptcore.experiments.machine import in_one_line
from gptcore.model import GPT
from gptcore.resources import available_cores
from gptcore.training.devices import DTYPES, autocast, pick_execution_plan, steady_heap
from gptcore.training.fast_loss import training_loss
from gptcore.training.optim import clip_gradients, make_optimizers

CPU = torch.device("cpu")
TRAINING = {"nano": (8, 256), "tiny": (4, 128)}  # windows of a batch, and their tokens
PROCESS_ROUNDS = 3


def our_step(config: ModelConfig, train: TrainConfig, ids, targets) -> tuple[Work, str]:
    """Return one training step with the measured execution plan, and a description of that plan."""
    model = GPT(config)
    plan, _ = pick_execution_plan(model, train, ids, targets)
    torch.set_num_threads(available_cores())
    optimizers = make_optimizers(model, train, plan.precision)

    def step() -> None:
        with autocast(CPU, plan.precision):
            loss = training_loss(model, ids, targets, path=plan.attention_path)
        loss.backward()
        clip_gradients(model, train.grad_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step, f"{plan.precision}, {plan.attention_path} attention"


def peer_step(config: ModelConfig, ids, targets, precision: str) -> Work:
    """Return the peer's training step: the loop its users write, with torch's fused AdamW."""
    peer = peer_model(config)
    optimizer = torch.optim.AdamW(peer.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with autocast(CPU, precision):
            logits = peer(input_ids=ids).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def windows(config: ModelConfig, batch_size: int, n_tokens: int):
    """Return random ids and targets (B, T)."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, config.vocab_size, (batch_size, n_tokens + 1), generator=generator)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def training(preset: str) -> Iterator[Row]:
    """Tokens a second of a full training step, against transformers' Llama in fp32 and in its own bf16 autocast."""
    batch_size, n_tokens = TRAINING[preset]
    config = PRESETS[preset].model
    train = PRESETS[preset].train.replace(optimizer="adamw", batch_size=batch_size)
    ids, targets = windows(config, batch_size, n_tokens)
    theirs = {kind: peer_step(config, ids, targets, kind) for kind in ("fp32", "bf16")}
    ours, described = our_step(config, train, ids, targets)
    taken = alternate(ours, *theirs.values())
    for kind, seconds in zip(theirs, taken[1:], strict=True):
        yield Row(
            name=f"training-{preset}-{kind}",
            ours=ids.numel() / taken[0],
            peer=ids.numel() / seconds,
            ratio=seconds / taken[0],
            unit="tokens/s",
            how=f"{batch_size} × {n_tokens} tokens, AdamW; ours {described}; transformers {kind}",
        )


def training_memory() -> Iterator[Row]:
    """Peak memory of training at the tiny shape, each side in a separate process."""
    require("transformers")
    if not Path("/proc/self/clear_refs").exists():
        raise Skipped("only Linux reports the peak memory of one part of a process")
    peaks = {who: _in_a_process("memory", who) for who in ("ours", "peer")}
    yield Row(
        name="training-tiny-memory",
        **peaks,
        ratio=peaks["peer"] / peaks["ours"],
        unit="MB",
        how="highest resident memory beyond imports, bf16 both, 4 × 128 tokens, five steps",
    )


def training_processes() -> Iterator[Row]:
    """Tokens a second of a training step in bf16, each side in a separate process, with the heap as it leaves it."""
    require("transformers")
    for preset, (batch_size, n_tokens) in TRAINING.items():
        taken: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(PROCESS_ROUNDS):
            for who, seconds in taken.items():
                seconds.append(_in_a_process("seconds", who, preset))
        ours, peer = (statistics.median(seconds) for seconds in taken.values())
        yield Row(
            name=f"training-{preset}-processes",
            ours=batch_size * n_tokens / ours,
            peer=batch_size * n_tokens / peer,
            ratio=peer / ours,
            unit="tokens/s",
            how=f"{batch_size} × {n_tokens} tokens, AdamW, bf16, a process each; ours keeps freed memory, "
            "as every run of ours does; transformers as its users write the loop",
        )


def _in_a_process(*arguments: str) -> float:
    """Return the number that this module prints for these arguments in a new process."""
    command = [sys.executable, "-m", "gptcore.experiments.bench", *arguments]
    return float(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout)


def _seconds(who: str, preset: str) -> float:
    """Return the median seconds of ten training steps in bf16, after three that are not counted."""
    config, train = PRESETS[preset].model, PRESETS[preset].train.replace(optimizer="adamw", precision="bf16")
    ids, targets = windows(config, *TRAINING[preset])
    torch.set_num_threads(available_cores())
    if who == "ours":
        steady_heap()
        step, _ = our_step(
            config, train.replace(attention_path="fast", threads=available_cores()), ids, targets
        )
    else:
        step = peer_step(config, ids, targets, "bf16")
    for _ in range(3):
        step()
    return alternate(step, rounds=10)[0]


def _peak(who: str) -> float:
    """Return the peak megabytes that five training steps at the tiny shape add to this process."""
    config, train = PRESETS["tiny"].model, PRESETS["tiny"].train.replace(precision="bf16", steps=5)
    train = train.replace(attention_path="fast", threads=available_cores())
    if who == "peer":
        peer_model(ModelConfig(vocab_size=8, context_length=8, d_model=8, n_layers=1, n_heads=1))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak of the imports
    before = _highest_resident()
    steady_heap()
    ids, targets = windows(config, 4, 128)
    if who == "peer":
        step = peer_step(config, ids, targets, "bf16")
    else:
        step, _ = our_step(config, train, ids, targets)
    for _ in range(5):
        step()
    return _highest_resident() - before


def _highest_resident() -> float:
    """Return the most megabytes this process has held; Linux alone keeps it in a file."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def tokenizer_training() -> Iterator[Row]:
    """Seconds to learn 4,096 tokens from one megabyte of stories, against `tokenizers` (Rust)."""
    require("tokenizers")
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as RustTokenizer

    from gptcore.stories.writer import write_stories
    from gptcore.tokenizer import GPT2_PATTERN, Tokenizer

    text = "\n\n".join(story.text for story in write_stories(3000))[:1_000_000]

    def theirs() -> None:
        tokenizer = RustTokenizer(models.BPE())
        words = pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes])
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=4096, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator([text], trainer)

    ours, peer = alternate(lambda: Tokenizer.train(text, 4096, shrink=True), theirs, rounds=5)
    yield Row(
        name="bpe-training",
        ours=ours,
        peer=peer,
        ratio=peer / ours,
        unit="s",
        how=f"up to 4,096 tokens from {len(text) / 1e6:.1f} MB; tokenizers {available_cores()} threads",
    )


def hardware() -> Iterator[Row]:
    """The fraction of the machine's peak that is reached: of matrix products, and of memory bandwidth."""
    preset = PRESETS["nano"]
    ids, targets = windows(preset.model, preset.train.batch_size, preset.model.context_length)
    step, described = our_step(preset.model, preset.train.replace(optimizer="adamw"), ids, targets)
    matrix = torch.randn(2048, 2048, dtype=DTYPES[described.split(",")[0]])
    taken, product = alternate(step, lambda: matrix @ matrix)
    flops = 3 * sum(forward_flops(preset.model, ids.shape[1], ids.shape[0]).values())
    achieved, possible = flops / taken / 1e9, 2 * 2048**3 / product / 1e9
    yield Row(
        name="training-of-the-matrix-rate",
        ours=achieved,
        peer=possible,
        ratio=achieved / possible,
        unit="GFLOP/s",
        how=f"nano step, {described}; peer: a product of two 2,048 × 2,048 matrices in the same precision",
    )
    yield from memory_rate()


TABLE: dict[str, Callable[[], Iterator[Row]]] = {
    "training-nano": lambda: training("nano"),
    "training-tiny": lambda: training("tiny"),
    "training-processes": training_processes,
    "training-memory": training_memory,
    "startup": startup,
    **DECODING,
    "bpe": tokenizer_training,
    "hardware": hardware,
}


def bench(names: list[str]) -> Iterator[Row]:
    """Describe the machine, then measure the named groups of rows, all by default.

    Raises ValueError for a name that is not in TABLE.
    """
    unknown = next((name for name in names if name not in TABLE), None)
    if unknown is not None:
        raise ValueError(f"there is no benchmark {unknown!r}; choose from {', '.join(TABLE)}")
    steady_heap()  # for both sides: the peer shares this process
    torch.set_num_threads(available_cores())
    yield Row(name="machine", how=in_one_line())
    for name in names or TABLE:
        try:
            yield from TABLE[name]()
        except Skipped as reason:
            yield Row(name=name, skipped=str(reason))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    what, *arguments = sys.argv[1:]
    print({"memory": _peak, "seconds": _seconds}[what](*arguments))
