"""Claims about whole models: what tying saves, what heads and context cost, where an untrained one starts, and
what scale buys."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from gptcore.account import forward_flops, n_parameters
from gptcore.config import PRESETS, ModelConfig
from gptcore.experiments.claims import Claim, Progress, Repetition, by_range
from gptcore.experiments.paired_training import STEPS, TrainedModel, train_variants
from gptcore.initialization import INITIAL_STD
from gptcore.lessons.published_models import PUBLISHED
from gptcore.model import GPT

SIZES: Mapping[str, Mapping[str, int]] = {
    "32 × 2": {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 96},
    "48 × 3": {"d_model": 48, "n_layers": 3, "n_heads": 4, "d_ff": 144},
    "64 × 3": {"d_model": 64, "n_layers": 3, "n_heads": 4, "d_ff": 192},
    "96 × 4": {"d_model": 96, "n_layers": 4, "n_heads": 4, "d_ff": 288},
}
SPREADS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def tying_saves(config: ModelConfig) -> float:
    """Return what share of the untied model goes when the output layer shares the embedding's table."""

    untied = n_parameters(config.replace(tie_embeddings=False))
    return 1 - n_parameters(config.replace(tie_embeddings=True)) / untied


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerLaw:
    """Loss = floor + scale · weights^(-exponent): what three sizes say about a fourth."""

    floor: float
    scale: float
    exponent: float

    def loss(self, n_weights: float) -> float:
        """The loss the law expects of so many weights."""
        return self.floor + self.scale * n_weights**-self.exponent


def fit_power_law(weights: Sequence[float], losses: Sequence[float], floor: float) -> PowerLaw:
    """Return the law through these points, a straight line in logarithms; raises ValueError at or below the floor.

    `floor` is the loss no model goes below: of the stories it is known, as the grammar counts its own choices.
    """
    if len(weights) < 2 or len(weights) != len(losses):
        raise ValueError(
            f"{len(weights)} sizes and {len(losses)} losses must be equal in number and at least 2"
        )
    if min(losses) <= floor:
        raise ValueError(
            f"a loss of {min(losses):.3f} must be above the floor {floor:.3f} to fit a power law"
        )
    x = [math.log(n) for n in weights]
    y = [math.log(loss - floor) for loss in losses]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)
    return PowerLaw(floor=floor, scale=math.exp(mean_y - slope * mean_x), exponent=-slope)


@dataclass(frozen=True, kw_only=True, slots=True)
class InitialLoss:
    """An untrained model: its loss in nats a token, and how often its top token is the token it has just read."""

    loss: float
    repeats: float


def initial_loss(spread: float, *, tied: bool = True, vocab_size: int = 2048, seed: int = 0) -> InitialLoss:
    """Return where a model starts whose table is drawn with this spread, on random tokens; its blocks stay as born."""
    config = ModelConfig(
        vocab_size=vocab_size,
        context_length=64,
        d_model=128,
        n_layers=2,
        n_heads=4,
        d_ff=384,
        tie_embeddings=tied,
    )
    model = GPT(config, seed=seed).eval()
    with torch.inference_mode():
        for table in {model.embedding.weight, model.output.weight}:
            table.mul_(spread / INITIAL_STD)
        ids = torch.randint(vocab_size, (2, 65), generator=torch.Generator().manual_seed(seed))
        logits = model(ids[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        repeats = (logits.argmax(-1) == ids[:, :-1]).float().mean()
    return InitialLoss(loss=float(loss), repeats=float(repeats))


def _tying() -> Iterator[Repetition]:
    shapes = {name: PRESETS[name].model for name in ("nano", "tiny", "small")}
    shapes |= {name: published.config for name, published in PUBLISHED.items()}
    yield {name: 100 * tying_saves(config) for name, config in shapes.items()}


def _heads_and_context() -> Iterator[Repetition]:
    base = PRESETS["small"].model
    count = n_parameters(base)
    yield {
        "4 × the heads": 100
        * (n_parameters(base.replace(n_heads=48, n_kv_heads=48, head_dim=16)) / count - 1),
        "64 × the context": 100 * (n_parameters(base.replace(context_length=65_536)) / count - 1),
        "twice the width": 100 * (n_parameters(base.replace(d_model=1536)) / count - 1),
    }


def _six() -> Iterator[Repetition]:
    shapes = {name: PRESETS[name].model for name in ("nano", "tiny", "small")}
    shapes |= {name: published.config for name, published in PUBLISHED.items()}
    yield {
        name: 3 * sum(forward_flops(config, config.context_length).values())
        / config.context_length / n_parameters(config)
        for name, config in shapes.items()
    }  # fmt: skip


def _first_loss() -> Iterator[Repetition]:
    for seed in range(3):
        yield {
            f"spread {spread:g}": initial_loss(spread, seed=seed).loss - math.log(2048)
            for spread in (0.02, 0.2, 1.0)
        }


def _logits() -> Iterator[Repetition]:
    for name in ("nano", "tiny", "small"):
        config, tokens = PRESETS[name].model, 1024
        logits = 4 * tokens * config.vocab_size
        stream = 4 * tokens * config.d_model
        yield {
            "times the stream": logits / stream,
            "times a layer's feed-forward": logits / (4 * tokens * config.d_ff),
        }


def _fourth() -> Iterator[Repetition | Progress]:
    *known, last = SIZES

    def missed_by(trained: Mapping[str, TrainedModel]) -> Repetition:
        weights = {name: n_parameters(result.model.config) for name, result in trained.items()}
        law = fit_power_law([weights[name] for name in known], [trained[name].loss for name in known], 0.0)
        return {last: abs(law.loss(weights[last]) - trained[last].loss)}

    return train_variants(SIZES, missed_by)


CLAIMS = (
    Claim(
        name="tying_saves",
        chapter=7,
        slogan="Weight tying saves 30% of the parameters",
        source="A round figure in many tutorials.",
        how="The parameters of three presets and seven published shapes, with a separate output matrix and "
        "with tied embeddings. The claim holds if tying saves between 25 and 35%.",
        unit="% fewer parameters",
        headline="GPT-2 small",
        measure=_tying,
        judge=by_range(lambda percent: 25 <= percent <= 35),
        transfers="The arithmetic is exact: V·C parameters are saved. That fraction shrinks as models grow "
        "deeper and wider.",
    ),
    Claim(
        name="heads_cost",
        chapter=7,
        slogan="More heads and a longer context make a model larger",
        source="A common guess by beginners.",
        how="The 151 M preset with 4 times the heads, with 64 times the context and, for comparison, with "
        "twice the width. The claim holds if heads and context each add at least 1% of parameters.",
        unit="% more parameters",
        headline="4 × the heads",
        measure=_heads_and_context,
        judge=lambda measured: by_range(lambda more: more >= 1)(
            {name: spread for name, spread in measured.items() if name != "twice the width"}
        ),
        transfers="Heads split the same width, unless the config sets a head dimension. A longer context adds "
        "parameters only with learned positions; what it costs is FLOPs and cache.",
    ),
    Claim(
        name="six_operations",
        chapter=7,
        slogan="Training takes 6 FLOPs per parameter and token",
        source="Kaplan et al. 2020, the rule C = 6ND.",
        how="The FLOPs of a training step as `gptcore.account` counts them, at each model's full context, at most "
        "8,192 tokens, divided by parameters and tokens. The claim holds if the result is within 10% of 6.",
        unit="FLOPs",
        headline="LLaMA 3 8B",
        measure=_six,
        judge=by_range(lambda ratio: 5.4 <= ratio <= 6.6),
        transfers="The rule is good for large models and short contexts. Attention scores add to it, and the "
        "lookup in an untied embedding matrix costs no FLOPs.",
    ),
    Claim(
        name="first_loss",
        chapter=7,
        slogan="An untrained model starts at ln V",
        source="A check that every training guide recommends.",
        how="Untrained tied models with 2,048 tokens whose embedding matrix is initialized with a standard "
        "deviation of 0.02 (our default), 0.2 and 1. Measured: the loss on random tokens minus ln "
        "2,048. The claim holds if the two differ by less than 0.1 nats.",
        unit="nats above ln V",
        headline="spread 0.02",
        labels={
            "spread 0.02": "standard deviation 0.02",
            "spread 0.2": "standard deviation 0.2",
            "spread 1": "standard deviation 1",
        },
        measure=_first_loss,
        judge=by_range(lambda above: abs(above) < 0.1),
        transfers="With small initial weights it is slightly above ln V at every size. With large ones a model "
        "starts confident and wrong.",
    ),
    Claim(
        name="logits_largest",
        chapter=7,
        slogan="The logits are often the largest tensor of a forward pass",
        source="Often said when training runs out of memory.",
        how="The bytes of the logits of 1,024 tokens in three presets, divided by those of the residual "
        "stream and of one layer's feed-forward activations. The claim holds if the logits are larger "
        "than both.",
        unit="times as large",
        headline="times a layer's feed-forward",
        labels={
            "times the stream": "as the residual stream",
            "times a layer's feed-forward": "as a layer's feed-forward activations",
        },
        measure=_logits,
        judge=by_range(lambda times: times > 1),
        transfers="Nearly always true against one layer, since V is larger than F. All layers together hold more.",
    ),
    Claim(
        name="fourth_size",
        chapter=7,
        slogan="Small models predict the loss of a larger one",
        source="Kaplan et al. 2020; Hoffmann et al. 2022.",
        how=f"Four sizes, {STEPS} steps on the stories each, three seeds. A power law is fitted to the "
        "first three. Measured: its error for the fourth. The claim holds if that is below 0.1 nats "
        "with every seed.",
        unit="nats of error",
        headline=list(SIZES)[-1],
        measure=_fourth,
        judge=by_range(lambda off: off < 0.1),
        transfers="The method works: large runs are planned this way. The numbers don't carry over, because here "
        "every size gets the same few steps.",
        kind="train",
    ),
)  # fmt: skip
