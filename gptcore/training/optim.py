"""Optimizers: which weights decay, the learning rate of each step, gradient clipping, AdamW and Muon."""

import inspect
import math

import torch
from torch import nn

from gptcore.config import TrainConfig
from gptcore.initialization import Linear

LONGEST_STAGE = 300  # steps on short windows; what they teach is learned by then


class AdamW(torch.optim.AdamW):
    """torch's AdamW without torch's compiler, which an optimizer imports when it is made and when it steps.

    That takes 2 s and 75 MB in every process that trains, sympy among it, to say that four methods and the step are
    not to be compiled. The methods are marked here as torch would mark them, and the step is the one it wraps.
    """

    @torch.no_grad()
    def step(self) -> None:
        _PLAIN_STEP(self)


_PLAIN_STEP = inspect.unwrap(torch.optim.AdamW.step)


def _spare_compiler() -> None:
    """Mark the methods that torch's compiler is to leave alone; with a torch that looks elsewhere it is imported."""
    optimizer = torch.optim.Optimizer
    for method in (
        optimizer.add_param_group,
        optimizer.zero_grad,
        optimizer.state_dict,
        optimizer.load_state_dict,
    ):
        if (plain := getattr(method, "__wrapped__", None)) is not None:
            plain.__dynamo_disable = plain


_spare_compiler()


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Split the weights in two groups: matrices, which decay, and gains and biases, which do not.

    Decay moves a weight towards zero. For a matrix that is a preference for simple maps; a norm's gain is neutral
    at 1, and moving it to zero would only shrink the signal.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]


def make_optimizers(
    model: nn.Module, config: TrainConfig, precision: str = "bf16"
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model: AdamW for all weights, or Muon for the blocks' matrices.

    AdamW (Loshchilov and Hutter 2017) is torch's fused one. Muon orthogonalizes each matrix's update; embeddings,
    gains and biases stay with AdamW. Its updates have AdamW's size, so one learning rate serves both. In a run
    whose `precision` is fp32 it orthogonalizes in fp32 too.
    """
    if config.optimizer == "adamw":
        return [_adamw(parameter_groups(model, config.weight_decay), config)]
    layers = [module for module in model.layers.modules() if isinstance(module, Linear)]
    inner = {id(layer.weight) for layer in layers}
    groups = parameter_groups(model, config.weight_decay)
    for group in groups:
        group["params"] = [weight for weight in group["params"] if id(weight) not in inner]
    muon = Muon(
        [(layer.weight, layer.parts) for layer in layers],
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        dtype=torch.float32 if precision == "fp32" else torch.bfloat16,
    )
    return [muon, _adamw(groups, config)]


def _adamw(groups: list[dict], config: TrainConfig) -> AdamW:
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def clip_gradients(model: nn.Module, max_norm: float) -> torch.Tensor:
    """Scale all gradients by one factor if their joint norm exceeds `max_norm`; return the norm before.

    Pascanu et al. 2013. torch's `clip_grad_norm_` multiplies by 1 if the norm is small enough, which reads and
    writes every gradient for nothing.
    """
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights])
    if norm > max_norm:
        torch.nn.utils.clip_grads_with_norm_(weights, max_norm, norm)
    return norm


def warmup_length(config: TrainConfig, n_steps: int) -> int:
    """Return the steps of warm-up: as configured, but at most a tenth of the run."""
    return min(config.warmup_steps, n_steps // 10)


def learning_rate(step: float, config: TrainConfig, n_steps: int) -> float:
    """Return the learning rate of step 0, 1, …, n_steps - 1: a linear warm-up, then half a cosine down.

    The first step already has a rate above zero, the last warm-up step the full one, and the cosine ends at
    `min_learning_rate` (Loshchilov and Hutter 2016). It depends on the step alone, so a resumed run follows it.
    """
    warmup = warmup_length(config, n_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, n_steps - warmup))
    height = 0.5 * (1 + math.cos(math.pi * progress))
    return config.min_learning_rate + height * (config.learning_rate - config.min_learning_rate)


def move_position(position: float, config: TrainConfig, n_steps: int, new_n_steps: int) -> float:
    """Return where a schedule of `new_n_steps` has the learning rate that one of `n_steps` has at `position`."""
    warmup, new_warmup = warmup_length(config, n_steps), warmup_length(config, new_n_steps)
    if position < warmup:
        return max(0.0, (position + 1) / warmup * new_warmup - 1)
    return new_warmup + (position - warmup) / (n_steps - warmup) * (new_n_steps - new_warmup)


def window_cuts(step: float, config: TrainConfig, n_steps: int) -> int:
    """Return how many parts each window is split into at a step of a run whose windows grow: 4, then 2, then 1.

    Each of the first two stages lasts a third of the run, but at most `LONGEST_STAGE` steps.
    Nearby dependencies are learned faster on short windows, and short windows cost less attention (Press et
    al. 2021, "Shortformer"; Li et al. 2021).
    """
    if not config.grow_windows:
        return 1
    stage = min(n_steps // 3, LONGEST_STAGE)
    return 4 if step < stage else 2 if step < 2 * stage else 1


class Muon(torch.optim.Optimizer):
    """Momentum with an orthogonalized update, equal in all directions of a matrix (Jordan et al. 2024).

    torch's own treats a weight as one matrix. Ours knows which matrices are stacked in it, so that queries and
    keys, whose first gradients are tiny, are not dominated by values; and it orthogonalizes all matrices of one
    shape at once. Updates are scaled to AdamW's usual size (Liu et al. 2025).
    """

    def __init__(
        self,
        weights: list[tuple[nn.Parameter, tuple[int, ...]]],
        *,
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.bfloat16,
    ):
        """Take each weight with the row counts of its matrices."""
        defaults = {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__([weight for weight, _ in weights], defaults)
        self.parts = {weight: parts for weight, parts in weights}
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            gradients = [weight.grad for weight in weights]
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])  # Nesterov's look ahead
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            by_shape: dict[torch.Size, list[tuple[torch.Tensor, torch.Tensor]]] = {}
            for weight, update in zip(weights, ahead):
                parts = self.parts[weight]
                for matrix, piece in zip(weight.split(parts), update.split(parts)):
                    by_shape.setdefault(matrix.shape, []).append((matrix, piece))
            for shape, pairs in by_shape.items():
                matrices, pieces = zip(*pairs)
                directions = orthogonalize(torch.stack(pieces).to(self.dtype)).to(matrices[0].dtype)
                size = 0.2 * math.sqrt(max(shape))
                torch._foreach_add_(matrices, directions.unbind(), alpha=-group["lr"] * size)

    def _momentum(self, weight: nn.Parameter) -> torch.Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


def orthogonalize(matrices: torch.Tensor, n_rounds: int = 5) -> torch.Tensor:
    """Bring all singular values of each matrix near 1, keeping its singular vectors: (N, R, C) -> (N, R, C).

    The Newton–Schulz iteration, with the polynomial Jordan et al. chose to grow small values fast: they end between
    .7 and 1.2, which works as well as 1. bf16 is precise enough for it.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalize(matrices.mT, n_rounds).mT
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(n_rounds):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
