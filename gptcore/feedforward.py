"""The feed-forward layer, applied to each token separately: SwiGLU, and the MLPs it replaced."""

from torch import Tensor, nn
from torch.nn import functional as F

from gptcore.initialization import Linear
from gptcore.tracing import Scope, record


class SwiGLU(nn.Module):
    """Two projections, one of which gates the other: (B, T, C) -> (B, T, C).

    down(silu(gate(x)) * up(x)), three matrices of C·F weights each (Shazeer 2020).
    """

    n_matrices = 3

    def __init__(self, d_model: int, d_ff: int, bias: bool = False):
        super().__init__()
        self.gate_up_proj = Linear(d_model, d_ff, d_ff, bias=bias)  # two products in one
        self.down_proj = Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Tensor, trace: Scope = None) -> Tensor:
        gate_logits, up = self.gate_up_proj(x).chunk(2, dim=-1)  # (B, T, F) each
        gate_logits, up = record(trace, "gate_logits", gate_logits), record(trace, "up", up)
        gate = record(trace, "gate", F.silu(gate_logits))
        hidden = record(trace, "hidden", gate * up)
        return self.down_proj(hidden)  # (B, T, C)


class GeGLU(SwiGLU):
    """Gemma's feed-forward layer, with GELU in its tanh form instead of SiLU (Shazeer 2020)."""

    def forward(self, x: Tensor, trace: Scope = None) -> Tensor:
        gate_logits, up = self.gate_up_proj(x).chunk(2, dim=-1)  # (B, T, F) each
        gate_logits, up = record(trace, "gate_logits", gate_logits), record(trace, "up", up)
        gate = record(trace, "gate", F.gelu(gate_logits, approximate="tanh"))
        hidden = record(trace, "hidden", gate * up)
        return self.down_proj(hidden)  # (B, T, C)


class _MLP(nn.Module):
    """Widen, apply the activation, narrow: (B, T, C) -> (B, T, C), two matrices of C·F weights each."""

    n_matrices = 2

    def __init__(self, d_model: int, d_ff: int, bias: bool = False):
        super().__init__()
        self.up_proj = Linear(d_model, d_ff, bias=bias)
        self.down_proj = Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Tensor, trace: Scope = None) -> Tensor:
        up = record(trace, "up", self.up_proj(x))  # (B, T, F)
        hidden = record(trace, "hidden", self.activation(up))
        return self.down_proj(hidden)  # (B, T, C)


class GELUMLP(_MLP):
    """GPT-2's feed-forward layer, with the tanh form of GELU that its weights were trained with."""

    def activation(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")


class ReLUMLP(_MLP):
    """The 2017 Transformer's feed-forward layer."""

    def activation(self, x: Tensor) -> Tensor:
        return F.relu(x)


FEEDFORWARDS: dict[str, type[nn.Module]] = {
    "swiglu": SwiGLU,
    "geglu": GeGLU,
    "gelu": GELUMLP,
    "relu": ReLUMLP,
}
