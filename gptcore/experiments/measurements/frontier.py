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

    The number of experts times the sum, over experts, of the share of tokens sent there and the mean probability
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
        slogan="The balance loss of a mixture of experts is zero when all is balanced",
        source="Expected of a loss; Fedus et al. 2021 scale theirs so that it is 1.",
        how=f"A router that sends the same to each of {EXPERTS} experts, with one expert a token and with two, the "
        "shares of two summed or divided by two. It would hold where the loss is below 0.01.",
        unit="balance loss",
        headline="1 expert a token",
        measure=_balanced,
        judge=by_range(lambda loss: abs(loss) < 0.01),
        transfers="Exactly, for any number of experts: it is least when balanced, and that least is the number of "
        "experts a token, or 1 where counts are divided by it.",
    ),
    Claim(
        name="beta_pushes",
        chapter=10,
        slogan="In DPO a higher β pushes harder",
        source="Said of the β in Rafailov et al. 2023, which weighs how near the model stays to its reference.",
        how=f"The gradient of the loss −ln σ(βΔ) with respect to the margin Δ, by autograd, at β = {BETAS[1]:g} over "
        f"that at β = {BETAS[0]:g}, for margins of 0 to 10 nats. It holds at a margin where it is above 1.",
        unit=f"times the pull of β = {BETAS[0]:g}",
        headline="margin 10",
        measure=_pulls,
        judge=by_range(lambda ratio: ratio > 1),
        transfers="Exactly: the pull is β·σ(−βΔ). A higher β pulls harder at first and lets go sooner, at any size.",
    ),
    Claim(
        name="double_quantisation",
        chapter=10,
        slogan="Double quantisation saves 0.127 bits a weight",
        source="A figure of Dettmers et al. 2023 (QLoRA) taken for another one that stands beside it.",
        how="Three random matrices of 512 × 512, a constant in fp32 for each 64 weights, kept as it is or in 8 bits "
        "with one fp32 for 256; the bits stored. It holds where between 0.12 and 0.135 are saved.",
        unit="bits a weight",
        headline="saved",
        measure=_bits,
        judge=lambda measured: by_range(lambda bits: 0.12 <= bits <= 0.135)({"saved": measured["saved"]}),
        transfers="Exactly, for these two block sizes and any matrix: 0.127 bits are what is left.",
    ),
)
