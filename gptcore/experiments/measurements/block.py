"""Claims about the block: what a norm costs, what a residual promises, where the norm may stand."""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.checkpoint import SHIPPED
from gptcore.config import PRESETS
from gptcore.experiments.claims import Claim, Progress, Repetition, Spread, by_median, by_range
from gptcore.experiments.paired_training import train_variants
from gptcore.experiments.timing import processor_seconds, single_thread
from gptcore.formats import load
from gptcore.interpret.gradient_depth import at_initialization, gradient_factors, profile, rms, stack_config
from gptcore.model import GPT
from gptcore.norms import rms_norm
from gptcore.stories.scores import reference_probe
from gptcore.stories.writer import write_story
from gptcore.tokenizer import Tokenizer
from gptcore.tracing import trace

ROWS, WIDTHS = 512, (128, 768)
ROUNDS = 5
DEPTHS = (12, 48, 128)
PLACES = ("pre", "branch", "post")


def layer_norm_by_hand(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return LayerNorm written out in single operations, as `norms.rms_norm` is: (..., C) -> (..., C)."""

    centered = x - x.mean(-1, keepdim=True)
    inverse_std = torch.rsqrt(centered.square().mean(-1, keepdim=True) + eps)
    return weight * (centered * inverse_std) + bias


def gelu_by_hand(x: Tensor) -> Tensor:
    """Return the tanh form of GELU in single operations (Hendrycks and Gimpel 2016)."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def norm_calls(n_rows: int, width: int) -> dict[str, Callable[[], Tensor]]:
    """Return both norms, written out and torch's own, on the same random rows, ready to be called."""

    x = torch.randn(n_rows, width, generator=torch.Generator().manual_seed(0))
    weight, bias = torch.ones(width), torch.zeros(width)
    return {
        "LayerNorm, written out": lambda: layer_norm_by_hand(x, weight, bias, 1e-5),
        "RMSNorm, written out": lambda: rms_norm(x, weight, 1e-5),
        "LayerNorm, torch's": lambda: F.layer_norm(x, (width,), weight, bias, 1e-5),
        "RMSNorm, torch's": lambda: F.rms_norm(x, (width,), weight, 1e-5),
    }


def activation_calls(n_rows: int, width: int) -> dict[str, Callable[[], Tensor]]:
    """Return the activations, written out and torch's own, on the same random rows, ready to be called."""
    x = torch.randn(n_rows, width, generator=torch.Generator().manual_seed(0))
    return {
        "SiLU, written out": lambda: x * torch.sigmoid(x),
        "SiLU, torch's": lambda: F.silu(x),
        "GELU, written out": lambda: gelu_by_hand(x),
        "GELU, torch's": lambda: F.gelu(x, approximate="tanh"),
        "ReLU, torch's": lambda: F.relu(x),
    }


def _norm_ratios() -> Iterator[Repetition]:
    shapes = {(16, WIDTHS[0]): "small", (ROWS, WIDTHS[1]): "large"}
    calls = {name: norm_calls(*shape) for shape, name in shapes.items()}
    with torch.inference_mode(), single_thread():
        for _ in range(ROUNDS):
            times = {
                name: {key: processor_seconds(call) for key, call in versions.items()}
                for name, versions in calls.items()
            }
            yield {
                f"{name}, {how}": took[f"LayerNorm, {how}"] / took[f"RMSNorm, {how}"]
                for name, took in times.items()
                for how in ("written out", "torch's")
            }


def _activation_ratios() -> Iterator[Repetition]:
    calls = activation_calls(ROWS, WIDTHS[0] * 3)
    with torch.inference_mode(), single_thread():
        for _ in range(ROUNDS):
            took = {name: processor_seconds(call) for name, call in calls.items()}
            yield {name: took[f"{name}, written out"] / took[f"{name}, torch's"] for name in ("SiLU", "GELU")}


def _norm_share() -> Iterator[Repetition]:
    config = PRESETS["nano"].model
    model = GPT(config)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (2, 129), generator=generator)
    x = torch.randn(2, 128, config.d_model, generator=generator).requires_grad_()
    norm = model.final_norm

    def step() -> None:
        model.loss(ids[:, :-1], ids[:, 1:]).backward()

    def norms() -> None:
        for _ in range(2 * config.n_layers + 1):
            norm(x).sum().backward()

    with single_thread():
        for _ in range(ROUNDS):
            yield {
                "nano, 2 × 128 tokens": 100 * processor_seconds(norms) / processor_seconds(step, least=0.1)
            }


def _cut_residuals() -> Iterator[Repetition]:
    for seed in range(3):
        yield {
            f"{n} blocks": math.log10(
                at_initialization(stack_config(n, residual=False), seed=seed).gradient_norms[0]
                / at_initialization(stack_config(n), seed=seed).gradient_norms[0]
            )
            for n in DEPTHS
        }


def _smallest_factors() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    for probe in reference_probe()[:3]:
        ids = tokenizer.encode(probe.female)
        yield {
            f"block {layer + 1}": gradient_factors(model, ids, layer, len(ids) - 1).min().item()
            for layer in range(model.config.n_layers)
        }


def _growth_of_the_stream() -> Iterator[Repetition]:
    model, tokenizer = load(SHIPPED)
    last = model.config.n_layers - 1
    for probe in reference_probe()[:3]:
        seen = trace(model, tokenizer.encode(probe.female))
        first = rms(seen["layers.0.after_feedforward"])
        yield {"last block over first": rms(seen[f"layers.{last}.after_feedforward"]) / first}


def _places_at_birth() -> Iterator[Repetition]:
    for seed in range(3):
        yield {
            f"{norm_position}, {n} blocks": math.log10(max(gradients) / min(gradients))
            for norm_position in PLACES
            for n in DEPTHS
            if (
                gradients := at_initialization(
                    stack_config(n, norm_position=norm_position, norm_eps=1e-5), seed=seed
                ).relative_gradients[1:]
            )
        }


def mixed_by(part: str, *, seed: int = 0) -> int:
    """Return how many other tokens' outputs move when one token's vector does: in `attention` or `feedforward`."""
    model, _ = load(SHIPPED)
    block, n_tokens, position = model.layers[0], 12, 4
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n_tokens, model.config.d_model, generator=generator)
    other = x.clone()
    other[0, position] += 1
    layer = getattr(block, part)
    with torch.inference_mode():
        moved = (layer(x) - layer(other)).abs().amax(-1)[0] > 1e-6
    return int(moved.sum()) - int(moved[position])


def _tokens_mixed() -> Iterator[Repetition]:
    for seed in range(3):
        yield {
            "feed-forward": mixed_by("feedforward", seed=seed),
            "attention": mixed_by("attention", seed=seed),
        }


def _not_linear() -> Iterator[Repetition]:
    model, _ = load(SHIPPED)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        a, b = (torch.randn(1, 8, model.config.d_model, generator=generator) for _ in range(2))
        with torch.inference_mode():
            parts = {"attention": model.layers[0].attention, "feed-forward": model.layers[0].feedforward}
            yield {
                name: 100 * ((part(a) + part(b) - part(a + b)).norm() / part(a + b).norm()).item()
                for name, part in parts.items()
            }


def unevenness(model: GPT, tokenizer: Tokenizer) -> float:
    """Return how unevenly the loss pulls along the blocks, on a story: largest over smallest, in powers of ten."""
    ids = torch.tensor([tokenizer.encode(write_story(900_000).text)[: model.config.context_length + 1]])
    gradients = profile(model, ids[:, :-1], ids[:, 1:]).relative_gradients[1:]
    return math.log10(max(gradients) / min(gradients)) if min(gradients) > 0 else math.inf


def _places_trained() -> Iterator[Repetition | Progress]:
    narrow = {"d_ff": 192, "context_length": 64, "batch_size": 4, "n_layers": 24, "grow_windows": False}
    ways = {
        "post, AdamW": {"norm_position": "post", "optimizer": "adamw", "learning_rate": 3e-3},
        "post, Muon": {"norm_position": "post"},
        "pre, AdamW": {"norm_position": "pre", "optimizer": "adamw", "learning_rate": 3e-3},
    }
    return train_variants(
        {name: narrow | way for name, way in ways.items()},
        lambda trained: {
            name: unevenness(result.model, result.tokenizer) for name, result in trained.items()
        },
        steps=40,
    )


def _gated() -> Iterator[Repetition | Progress]:
    shape = {"d_model": 128, "n_layers": 4}
    ways = {"SwiGLU": shape | {"ffn": "swiglu", "d_ff": 384}, "GELU": shape | {"ffn": "gelu", "d_ff": 576}}
    return train_variants(
        ways, lambda trained: {"GELU over SwiGLU": trained["GELU"].loss - trained["SwiGLU"].loss}, steps=150
    )


def _judge_trained(measured: Mapping[str, Spread]) -> str:
    fails = [measured[name].low > 2 for name in ("post, AdamW", "post, Muon")]
    if measured["pre, AdamW"].high > 2 or not any(fails):
        return "holds not"
    return "holds" if all(fails) else "depends"


CLAIMS = (
    Claim(
        name="rmsnorm_faster",
        chapter=6,
        slogan="RMSNorm is 15% faster than LayerNorm",
        source="Zhang and Sennrich 2019 report 7% to 64% on whole models, against a LayerNorm written the "
        "same way.",
        how=f"Both norms on 16 × {WIDTHS[0]} and on {ROWS} × {WIDTHS[1]} numbers, written as separate "
        "operations and as torch provides them. They take turns on one thread for five rounds, and processor "
        "time is measured. The claim holds if LayerNorm takes at least 1.15 times as long as RMSNorm in the median.",
        unit="times RMSNorm's time",
        headline="large, torch's",
        measure=_norm_ratios,
        judge=by_median(lambda ratio: ratio >= 1.15),
        timed=True,
        transfers="Fewer operations help only until a kernel fuses them: then both norms read and write the same "
        "numbers once. On a CPU torch fuses LayerNorm and not RMSNorm; compilers and GPU kernels fuse "
        "both.",
    ),
    Claim(
        name="norm_share",
        chapter=6,
        slogan="A faster norm makes a faster model",
        source="Inferred from claims such as “RMSNorm is 15% faster”.",
        how="All nine norms of the nano model, forward and backward, as a percentage of a whole step "
        "without the optimizer. 2 × 128 tokens, processor time, five rounds. The claim holds if norms "
        "take at least a third of a step. Within 10% of this limit the verdict is “depends”.",
        unit="% of a step",
        headline="nano, 2 × 128 tokens",
        measure=_norm_share,
        judge=by_median(lambda percent: percent >= 33, within=0.1),
        timed=True,
        transfers="The fraction falls as the width grows: a norm's work grows with C, a matrix product's with C "
        "squared.",
    ),
    Claim(
        name="activation_fused",
        chapter=6,
        slogan="The cost of an activation function is its arithmetic",
        source="Inferred from the formulas of SiLU and GELU.",
        how=f"SiLU and GELU on {ROWS} × {3 * WIDTHS[0]} numbers, written as separate operations and "
        "as torch's fused call. They take turns on one thread for five rounds, and processor time is "
        "measured. The claim holds if the unfused version takes at most 1.2 times as long. Within 10% "
        "of this limit the verdict is “depends”.",
        unit="times the fused time",
        headline="SiLU",
        measure=_activation_ratios,
        judge=by_median(lambda ratio: ratio <= 1.2, within=0.1),
        timed=True,
        transfers="The same: the time goes into reading and writing all numbers in memory, not into the "
        "arithmetic. A fused kernel reads and writes them once.",
    ),
    Claim(
        name="residual_cut",
        chapter=6,
        slogan="Without residual connections gradients cannot pass through a deep stack",
        source="Hochreiter 1991, for deep networks; He et al. 2015 added residual connections because deeper "
        "networks had a higher training error.",
        how="Stacks of 12, 48 and 128 pre-norm blocks of width 64 at initialization, ε = 1e-20. Measured: "
        "the gradient at the first block's input without residual connections, divided by that with them, "
        "in powers of ten. The claim holds if the two differ by at least 3.",
        unit="powers of ten",
        headline="48 blocks",
        measure=_cut_residuals,
        judge=by_range(lambda powers: abs(powers) >= 3),
        transfers="At every size, the gradient grows or shrinks exponentially with depth. Which of the two depends "
        "on the initialization and ε: with ε = 1e-5, the gradients of the same stacks vanish.",
    ),
    Claim(
        name="residual_guarantee",
        chapter=6,
        slogan="Residual connections guarantee the gradient",
        source="Inferred from the 1 in 1 + ∂F.",
        how="The feed-forward sub-layer of each block of the shipped model at the last token of three "
        "stories. Measured: the smallest singular value of its Jacobian I + ∂F. The claim holds if "
        "none is below one half.",
        unit="smallest singular value",
        headline="block 1",
        measure=_smallest_factors,
        judge=lambda measured: (
            "holds" if min(spread.low for spread in measured.values()) >= 0.5 else "holds not"
        ),
        transfers="The same: training changes ∂F in any direction that lowers the loss, and some of them cancel "
        "part of the residual stream.",
    ),
    Claim(
        name="norm_keeps_small",
        chapter=6,
        slogan="The norms keep the residual stream small",
        source="Assumes that the norm is applied to the residual stream itself.",
        how="The root mean square of the shipped model's residual stream after the last block, divided by that "
        "after the first, on three stories. The claim holds if the ratio is below 1.5.",
        unit="times as large",
        headline="last block over first",
        measure=_growth_of_the_stream,
        judge=by_range(lambda ratio: ratio < 1.5),
        transfers="The same for every pre-norm model: the norms are inside the branches, and the stream itself "
        "is normalized only once, at the end.",
    ),
    Claim(
        name="ffn_mixes",
        chapter=6,
        slogan="The feed-forward layer mixes tokens",
        source="A guess from its shape, (B, T, C) in and out.",
        how="One of 12 random vectors is changed in the first block of the shipped model. Measured: at how "
        "many other positions the output changes by more than 1e-6. The claim holds if the "
        "feed-forward layer changes any.",
        unit="other positions change",
        headline="feed-forward",
        measure=_tokens_mixed,
        judge=lambda measured: "holds" if measured["feed-forward"].low >= 1 else "holds not",
        transfers="The same: the feed-forward layer is applied to each position separately. Only "
        "attention moves information between tokens.",
    ),
    Claim(
        name="attention_linear",
        chapter=6,
        slogan="Attention is linear, which is why a feed-forward layer is needed",
        source="Often said, because averaging with fixed weights is linear.",
        how="The distance of f(a) + f(b) from f(a + b), in percent of its length, for attention and the "
        "feed-forward layer of the shipped model's first block. The claim holds if attention is off by "
        "less than 1%.",
        unit="% off",
        headline="attention",
        measure=_not_linear,
        judge=lambda measured: "holds" if measured["attention"].high < 1 else "holds not",
        transfers="The same: the attention weights come from the input through a softmax. The feed-forward layer "
        "adds computation on each token, with two thirds of a block's parameters.",
    ),
    Claim(
        name="post_norm_birth",
        chapter=6,
        slogan="Pre-norm is stable past 100 layers, post-norm fails past 12: at initialization",
        source="Repeated since Xiong et al. 2020, who analyzed the last layers.",
        how="Stacks of 12, 48 and 128 blocks of width 64 at initialization, with three norm "
        "placements. Measured: gradient norm times activation norm, largest over smallest along the "
        "stack, in powers of ten. The claim holds if post-norm exceeds 2 and pre-norm does not.",
        unit="powers of ten",
        headline="post, 128 blocks",
        measure=_places_at_birth,
        judge=lambda measured: (
            "holds"
            if measured["post, 128 blocks"].low > 2 > measured["pre, 128 blocks"].high
            else "holds not"
        ),
        transfers="The same, if the initial weights are small. With large ones, or a learning rate too high for the "
        "depth, post-norm is the most fragile of the three.",
    ),
    Claim(
        name="post_norm_trained",
        chapter=6,
        slogan="Pre-norm is stable past 100 layers, post-norm fails past 12: after training",
        source="Repeated since Xiong et al. 2020; BERT-large trained 24 post-norm layers (Devlin et al. 2018).",
        how="Models of 24 blocks of width 64, 40 steps on the stories, three seeds, with AdamW at 0.003 "
        "and the nano preset's Muon. Measured: gradient norm times activation norm, largest over "
        "smallest along the stack, in powers of ten. The claim holds if post-norm exceeds 2 with both "
        "optimizers and pre-norm does not.",
        unit="powers of ten",
        headline="post, AdamW",
        measure=_places_trained,
        judge=_judge_trained,
        transfers="At every size, the result depends on the norm placement, the optimizer and the learning rate. "
        "With a long warm-up and a low learning rate, deep post-norm models have been trained.",
        kind="train",
    ),
    Claim(
        name="swiglu_gelu",
        chapter=6,
        slogan="SwiGLU beats GELU with the same number of parameters",
        source="Shazeer 2020, who offers no explanation.",
        how="The nano shape with a context of 128: SwiGLU with d_ff = 384 against GELU with d_ff = 576. "
        "150 steps on the stories, three seeds. Measured: the loss of GELU minus that of SwiGLU. The "
        "claim holds if SwiGLU gains more than 0.01 nats with every seed.",
        unit="nats per token gained",
        headline="GELU over SwiGLU",
        measure=_gated,
        judge=by_range(lambda gain: gain > 0.01),
        transfers="LLaMA, Mistral, Qwen and Gemma all use gated layers. How much a gate gains depends on size and "
        "training length: a narrower model after fewer steps may do as well without one.",
        kind="train",
        nothing=0.0,
    ),
)
