"""Claims about what is built around such a model: experts, preferences, weights of four bits."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcore.experiments.claims import Claim, Repetition, by_range

EXPERTS = 8
BETAS = (0.1, 0.5)
MARGINS = (0.0, 2.0, 4.0, 10.0)
BLOCK, BLOCK_OF_CONSTANTS = 64, 256  # weights that share a constant, and constants that share one


def balanced_choices(n_experts: int, *, seed: int = 0) -> Tensor:
    """Return a router's probabilities under which every expert gets the same: (n_experts tokens, n_experts).

    Each token has the same shares as the one before, moved on by one expert.
    """

    probabilities = torch.rand(n_experts, generator=torch.Generator().manual_seed(seed)).mul(3).softmax(0)
    return torch.stack([probabilities.roll(expert) for expert in range(n_experts)])


def balance_loss(probabilities: Tensor, k: int, *, divided: bool) -> float:
    """Return the loss that keeps experts balanced, of a router's probabilities (tokens, experts).

    The number of experts times the sum, over experts, of the fraction of tokens sent there and the mean probability
    (Shazeer et al. 2017; Fedus et al. 2021). With `k` experts a token the shares sum to k, or `divided` by k to 1.
    """
    n_tokens, n_experts = probabilities.shape
    chosen = probabilities.topk(k, dim=-1).indices
    sent = torch.bincount(chosen.flatten(), minlength=n_experts) / n_tokens / (k if divided else 1)
    return float(n_experts * (sent * probabilities.mean(0)).sum())


def _balanced() -> Iterator[Repetition]:
    for seed in range(3):
        probabilities = balanced_choices(EXPERTS, seed=seed)
        yield {
            "1 expert a token": balance_loss(probabilities, 1, divided=False),
            "2, counts summed": balance_loss(probabilities, 2, divided=False),
            "2, divided by 2": balance_loss(probabilities, 2, divided=True),
        }


def dpo_gradient(beta: float, margin: float) -> float:
    """Return how hard the loss of DPO pulls a preferred answer away from the other, by autograd.

    `margin` is how much further the model already is than its reference, in nats (Rafailov et al. 2023).
    """
    margin_tensor = torch.tensor(margin, dtype=torch.float64, requires_grad=True)
    (-torch.nn.functional.logsigmoid(beta * margin_tensor)).backward()
    return -float(margin_tensor.grad)


def _pulls() -> Iterator[Repetition]:
    low, high = BETAS
    yield {f"margin {margin:g}": dpo_gradient(high, margin) / dpo_gradient(low, margin) for margin in MARGINS}


def bits_for_constants(weights: Tensor, *, twice: bool) -> float:
    """Return the bits a weight that the constants of a quantized matrix take, counted in what is stored.

    Each block of 64 weights keeps its largest size in fp32. `twice` keeps those in 8 bits, with one fp32 for 256
    of them (Dettmers et al. 2023, double quantization).
    """
    constants = weights.view(-1, BLOCK).abs().amax(1)
    stored = [constants]
    if twice:
        rows = constants.view(-1, BLOCK_OF_CONSTANTS)
        scale = rows.amax(1) / 255
        stored = [(rows / scale[:, None]).round().to(torch.uint8), scale]
    return 8 * sum(part.nbytes for part in stored) / weights.numel()


def _bits() -> Iterator[Repetition]:
    for seed in range(3):
        weights = torch.randn(512, 512, generator=torch.Generator().manual_seed(seed))
        once, twice = (bits_for_constants(weights, twice=twice) for twice in (False, True))
        yield {"saved": once - twice, "left": twice}


CLAIMS = (
    Claim(
        name="balance_is_zero",
        chapter=6,
        slogan="The load-balancing loss of a mixture of experts is zero when balanced",
        source="Expected of a loss; Fedus et al. 2021 scale theirs so that it is 1.",
        how=f"A router sends the same number of tokens to each of {EXPERTS} experts. One expert per token, "
        "or two whose fractions are summed or divided by two. The claim holds if the loss is below "
        "0.01.",
        unit="load-balancing loss",
        headline="1 expert a token",
        labels={
            "1 expert a token": "1 expert per token",
            "2, counts summed": "2 experts, fractions summed",
            "2, divided by 2": "2 experts, divided by 2",
        },
        measure=_balanced,
        judge=by_range(lambda loss: abs(loss) < 0.01),
        transfers="The same for any number of experts: with balanced routing, the loss is the number of experts "
        "per token, or 1 if the fractions are divided by that number.",
    ),
    Claim(
        name="beta_pushes",
        chapter=10,
        slogan="In DPO a higher β gives a larger gradient",
        source="A common reading of β in Rafailov et al. 2023, where it controls how close the model stays to its "
        "reference.",
        how="The gradient of the loss −ln σ(βΔ) with respect to the margin Δ, for margins of 0 to 10 nats. "
        f"Measured by autograd: the gradient at β = {BETAS[1]:g} over that at β = {BETAS[0]:g}. The "
        "claim holds at margins where this ratio is above 1.",
        unit=f"times the gradient of β = {BETAS[0]:g}",
        headline="margin 10",
        measure=_pulls,
        judge=by_range(lambda ratio: ratio > 1),
        transfers="Exactly the same at any size: the gradient is β·σ(−βΔ). A higher β starts with a larger "
        "gradient, which vanishes sooner.",
    ),
    Claim(
        name="double_quantisation",
        chapter=10,
        slogan="Double quantization saves 0.127 bits per weight",
        source="Dettmers et al. 2023 (QLoRA), whose figure for the remaining cost is mistaken for the saving.",
        how="Three random matrices of 512 × 512 with one fp32 constant for every 64 weights. The constants "
        "are stored as they are, or in 8 bits with one fp32 number for every 256. Measured: bits "
        "stored per weight. The claim holds if 0.12 to 0.135 bits per weight are saved.",
        unit="bits per weight",
        headline="saved",
        measure=_bits,
        judge=lambda measured: by_range(lambda bits: 0.12 <= bits <= 0.135)({"saved": measured["saved"]}),
        transfers="Exactly the same for these two block sizes and any matrix: 0.127 bits per weight is what remains.",
    ),
)
