"""Claims about the machine: what a processor's rate says about training, what fewer bits and more threads save,
what a view copies."""

import math
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, device

from gptcore.account import forward_flops
from gptcore.config import PRESETS
from gptcore.experiments.bench import windows
from gptcore.experiments.claims import Claim, Repetition, Spread, by_median, by_range
from gptcore.experiments.timing import seconds, single_thread
from gptcore.model import GPT
from gptcore.resources import available_cores
from gptcore.training.devices import DTYPES, autocast, pick_device, precisions, time_step

SIDES = (16, 64, 256, 1024)
LARGE = 1024
NANO, TINY = "training nano", "training tiny"
PRODUCT = "matrix product, {}"
ROUNDS = 5


def square(side: int, precision: str = "fp32", on: device | str = "cpu") -> Tensor:
    """Return a square matrix of random numbers: (side, side)."""

    generator = torch.Generator().manual_seed(side)
    return torch.randn(side, side, generator=generator).to(on, DTYPES[precision])


def product_rate(side: int, precision: str = "fp32", clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the operations a second, in 10^9, of the product of two square matrices on the CPU."""
    matrix = square(side, precision)
    return 2 * side**3 / seconds(lambda: matrix @ matrix, clock=clock) / 1e9


def training_gflops(preset: str, batch_size: int, precision: str, seconds: float = 2.0) -> float:
    """Return the operations a second, in 10^9, that real training reaches: matrix products of whole steps."""
    chosen = PRESETS[preset]
    ids, targets = windows(chosen.model, batch_size, chosen.model.context_length)
    choice = precision, "fast", available_cores()
    step_seconds = time_step(GPT(chosen.model), chosen.train, ids, targets, *choice, seconds)
    flops = 3 * sum(forward_flops(chosen.model, ids.shape[1], batch_size).values())
    return flops / step_seconds / 1e9


def _rates() -> Iterator[Repetition]:
    for _ in range(2):
        torch.set_num_threads(available_cores())
        products = {kind: product_rate(LARGE, kind) for kind in precisions(torch.device("cpu"))}
        best = max(products, key=products.__getitem__)
        yield {PRODUCT.format(kind): rate for kind, rate in products.items()} | {
            NANO: training_gflops("nano", 8, best, 1.0),
            TINY: training_gflops("tiny", 2, best, 1.0),
        }


def peak_of(measured: Mapping[str, Spread]) -> float:
    """Return the fastest matrix product among what `flops_over_peak` measured."""
    return max(spread.middle for name, spread in measured.items() if name not in (NANO, TINY))


def _judge_peak(measured: Mapping[str, Spread]) -> str:
    shares = [measured[name].middle / peak_of(measured) for name in (NANO, TINY)]
    return "holds" if min(shares) >= 0.9 else "holds not" if max(shares) < 0.9 else "depends"


def _speeds() -> Iterator[Repetition]:
    with single_thread():  # what several of them cost is another claim
        for _ in range(ROUNDS):
            rates = {side: product_rate(side, clock=time.process_time) for side in SIDES}
            yield {f"n = {side}": rate / max(rates.values()) for side, rate in rates.items()}


def _bf16_ratios() -> Iterator[Repetition]:
    with single_thread():
        for _ in range(ROUNDS):
            yield {
                f"n = {side}": product_rate(side, "bf16", time.process_time)
                / product_rate(side, clock=time.process_time)
                for side in SIDES[1:]
            }


def _thread_ratios() -> Iterator[Repetition]:
    most = max(2, available_cores())
    for _ in range(ROUNDS):
        found = {}
        for side in SIDES:
            torch.set_num_threads(1)
            alone = product_rate(side)
            torch.set_num_threads(most)
            found[f"n = {side}"] = product_rate(side) / alone
        yield found


def saved_activation_bytes(precision: str) -> int:
    """Return the bytes a nano model's forward pass keeps for the backward one, its weights not counted."""
    config = PRESETS["nano"].model
    model, saved = GPT(config), {}
    ids, targets = windows(config, 1, config.context_length)
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in weights:
            # The tensor is held, so that its address is not reused.
            saved[address] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    keeping = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with keeping, autocast(torch.device("cpu"), precision):
        model.loss(ids, targets)
    return sum(n_bytes for n_bytes, _ in saved.values())


def training_state(precision: str) -> int:
    """Return the bytes of a small model's weights, gradients and moments after one real step."""
    config = PRESETS["nano"].model.replace(n_layers=1)
    model = GPT(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids, targets = windows(config, 1, 32)
    with autocast(torch.device("cpu"), precision):
        loss = model.loss(ids, targets)
    loss.backward()
    optimizer.step()
    weights = list(model.parameters())
    moments = [v for state in optimizer.state.values() for v in state.values() if v.dim() > 0]
    return sum(t.nbytes for t in (*weights, *(weight.grad for weight in weights), *moments))


def _memory_ratios() -> Iterator[Repetition]:
    yield {
        "weights, gradients, moments": training_state("bf16") / training_state("fp32"),
        "kept for the backward pass": saved_activation_bytes("bf16") / saved_activation_bytes("fp32"),
    }


def _autocast_exponents() -> Iterator[Repetition]:
    def bits(dtype: torch.dtype) -> int:
        return round(math.log2(math.log2(torch.finfo(dtype).max))) + 1

    yield {kind: bits(torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda", "mps")}


def copied(operation: str) -> float:
    """Return 1 where an operation puts its result into memory of its own, 0 where it returns a view of A."""
    a = torch.arange(12.0).reshape(3, 4)
    result = {
        "view": lambda: a.view(4, 3),
        "transpose": lambda: a.T,
        "slice": lambda: a[:, 1:3],
        "expand": lambda: a[:1].expand(3, 4),
        "reshape": lambda: a.reshape(2, 6),
        "reshape after transpose": lambda: a.T.reshape(2, 6),
        "contiguous after transpose": lambda: a.T.contiguous(),
    }[operation]()
    return float(result.untyped_storage().data_ptr() != a.untyped_storage().data_ptr())


READINGS = ("view", "transpose", "slice", "expand", "reshape")
COPIES = ("reshape after transpose", "contiguous after transpose")


def _copies() -> Iterator[Repetition]:
    yield {name: copied(name) for name in (*READINGS, *COPIES)}


def _gpu_ratios() -> Iterator[Repetition]:
    found = pick_device()
    wait = torch.cuda.synchronize if found.type == "cuda" else torch.mps.synchronize
    for _ in range(ROUNDS):
        ratios = {}
        for side in SIDES:
            here, there = square(side), square(side, on=found)
            ratios[f"n = {side}"] = seconds(lambda a=here: a @ a) / seconds(lambda a=there: a @ a, wait=wait)
        yield ratios


CLAIMS = (
    Claim(
        name="flops_over_peak",
        chapter=1,
        slogan="Training time is FLOPs divided by the processor's peak rate",
        source="The usual estimate: count the FLOPs of a run and divide by the rate of the processor.",
        how="The FLOP/s of whole training steps in the faster precision, compared with those of a product of two "
        f"{LARGE} × {LARGE} matrices (two seconds each). The claim holds if training reaches at least "
        "90% of the fastest matrix product.",
        unit="GFLOP/s",
        headline=NANO,
        measure=_rates,
        judge=_judge_peak,
        timed=True,
        transfers="Training stays far below the peak everywhere: norms, softmax, the optimizer and small "
        "products take time but count few FLOPs. PaLM reports a utilization of 46% (Chowdhery et al. "
        "2022).",
    ),
    Claim(
        name="one_speed",
        chapter=1,
        slogan="A processor has one speed",
        source="Data sheets give one number.",
        how="Products of two n × n matrices in fp32 on one thread, timed in CPU time. Measured: FLOP/s as "
        "a fraction of the fastest size. The claim holds if the slowest size reaches at least half.",
        unit="of the fastest rate",
        headline="n = 16",
        measure=_speeds,
        judge=by_median(lambda share: share >= 0.5, within=0.1),
        timed=True,
        transfers="The same, and far more so on a GPU: launching an operation takes the same time, however small "
        "it is.",
    ),
    Claim(
        name="more_threads",
        chapter=1,
        slogan="More threads are faster",
        source="A common expectation of machines with many cores.",
        how="Products of two n × n matrices in fp32, with all threads against one thread. The claim holds "
        "for a size at which all threads are at least 1.5 times as fast.",
        unit="times as fast",
        headline="n = 1024",
        measure=_thread_ratios,
        judge=by_range(lambda ratio: ratio >= 1.5),
        timed=True,
        transfers="Small operations gain little on any machine: starting a second thread takes longer than "
        "they do. When other programs use the cores, more threads can even be slower.",
    ),
    Claim(
        name="bf16_doubles",
        chapter=1,
        slogan="Half the bits, twice the speed",
        source="Said of mixed precision in most tutorials.",
        how="Products of two n × n matrices in bf16 against fp32, on one thread, timed in CPU time. The "
        "claim holds for a size at which bf16 is at least 1.8 times as fast.",
        unit="times as fast",
        headline="n = 1024",
        measure=_bf16_ratios,
        judge=by_median(lambda ratio: ratio >= 1.8, within=0.1),
        timed=True,
        transfers="Depends on the hardware: without bf16 units in the processor, bf16 can be slower than fp32; "
        "with them, it can be many times as fast.",
    ),
    Claim(
        name="autocast_halves_memory",
        chapter=1,
        slogan="Mixed precision halves the memory of training",
        source="Said of mixed precision in most tutorials.",
        how="Bytes under bf16 autocast divided by bytes in fp32: the weights, gradients and AdamW's "
        "moments after one step, and the tensors the forward pass saves for the backward pass. The "
        "claim holds if both are at most 0.55.",
        unit="of the fp32 bytes",
        headline="weights, gradients, moments",
        labels={
            "kept for the backward pass": "saved for the backward pass",
        },
        measure=_memory_ratios,
        judge=by_range(lambda share: share <= 0.55),
        transfers="The same everywhere: autocast changes the precision of matrix products, not of what is stored "
        "between steps.",
    ),
    Claim(
        name="autocast_default",
        chapter=1,
        slogan="Autocast uses bf16 by default",
        source="A common assumption.",
        how="The default dtype of torch's autocast on each kind of device. bf16 has 8 exponent bits, fp16 "
        "has 5. The claim holds for a device with 8.",
        unit="exponent bits",
        headline="cuda",
        measure=_autocast_exponents,
        judge=by_range(lambda bits: bits == 8),
        transfers="The same on every machine, because torch sets the default. In fp16 small gradients become 0 "
        "unless the loss is scaled up first.",
    ),
    Claim(
        name="view_copies",
        chapter=1,
        slogan="Reshaping a tensor copies it",
        source="Expected from lists in Python.",
        how="Whether the result has its own memory (1) or shares the memory of the original tensor (0). "
        "The claim holds for an operation that copies.",
        unit="copies (1) or not (0)",
        headline="view",
        measure=_copies,
        judge=by_range(lambda share: share == 1),
        transfers="Exactly the same everywhere. `reshape` copies only when the new shape cannot be described by "
        "strides over the old memory.",
    ),
    Claim(
        name="gpu_faster",
        chapter=1,
        slogan="A GPU is always faster",
        source="Expected by most people who buy one.",
        how="Products of two n × n matrices in fp32 on this machine's CPU against its accelerator. The "
        "claim holds for a size at which the accelerator is faster.",
        unit="times as fast",
        headline="n = 1024",
        measure=_gpu_ratios,
        judge=by_median(lambda ratio: ratio > 1, within=0.1),
        needs="accelerator",
        timed=True,
        transfers="Small operations never repay the cost of starting them on an accelerator. Where the "
        "break-even size lies depends on both processors.",
    ),
)
