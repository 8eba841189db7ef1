"""How weights are initialized: the layers that have weights, and the function that draws them.

torch's layers initialize themselves from the process-wide random generator. Ours stay empty until `initialize` fills
the whole model from a separate generator, so that a seed always gives the same weights.
"""

import torch
from torch import nn

INITIAL_STD = 0.02  # GPT-2's choice (Radford et al. 2019)


class Linear(nn.Linear):
    """A matrix product with the weights `initialize` draws: (..., in) -> (..., out).

    `parts` are the row counts of the matrices stacked in it, so that one product computes them all.
    """

    def __init__(self, n_in: int, *parts: int, bias: bool = False):
        super().__init__(n_in, sum(parts), bias=bias)
        self.parts = parts

    def reset_parameters(self) -> None:
        """Leave the weights empty; `initialize` fills them."""


class Embedding(nn.Embedding):
    """A table of vectors, one row for each id: (...) -> (..., width)."""

    def reset_parameters(self) -> None:
        """Leave the table empty; `initialize` fills it."""


@torch.no_grad()
def initialize(model: nn.Module, seed: int, n_layers: int) -> None:
    """Fill every matrix from a normal distribution of standard deviation 0.02 and every bias with zeros.

    The two projections that add to the residual stream get 1/sqrt(2·n_layers) of that, so that the sum of all layers'
    outputs starts with the same standard deviation at any depth (GPT-2, section 2.3).
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if not isinstance(module, (Linear, Embedding)):
            continue
        writes_residual = name.endswith(("o_proj", "down_proj"))
        std = INITIAL_STD / (2 * n_layers) ** 0.5 if writes_residual else INITIAL_STD
        module.weight.normal_(0.0, std, generator=generator)
        if getattr(module, "bias", None) is not None:
            module.bias.zero_()
