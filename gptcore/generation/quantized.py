"""Quantized weights: a model whose matrices are stored as 8-bit or 4-bit integers, with a scale for each few of them.

A token of a large model waits for its weights to arrive from memory, so fewer bytes a weight mean more tokens a
second. What it costs is rounding: `perplexity` and `greedy_agreement` measure it. The user chooses a kind; nothing
is quantized on its own.

- `int8`: each row of a matrix has one scale, weight = integer · scale. Activations are rounded to 8 bits too, one
  scale a token, so that the product runs in integers, which are summed without rounding (Dettmers et al. 2022,
  section 2, without the outliers in 16 bits).
- `int4`: each 32 weights of a row have a scale and a zero point of their own; activations stay bf16. The embedding
  and the output matrix, which a small model feels most, have 8 bits in this kind as well.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcore.initialization import Embedding, Linear
from gptcore.model import GPT
from gptcore.norms import soft_cap

KINDS = ("int8", "int4")
GROUP = 32  # weights of a row that have one 4-bit scale
ROWS = 16  # the 4-bit product takes rows by so many
TINY = 1e-30  # the scale of a row of zeros
LARGEST = torch.tensor(127.0)  # as a tensor, since torch makes one of a number in each call


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to integers from -127 to 127 times a scale: x (..., C) -> int8 (..., C), scale (..., 1).

    >>> quantize_rows(torch.tensor([[1.27, -0.5, 0.004]]))[0]
    tensor([[127, -50,   0]], dtype=torch.int8)
    """
    scale = x.abs().amax(-1, True).div_(LARGEST).clamp_min_(TINY)
    return (x / scale).round_().char(), scale


class Int8Linear(nn.Module):
    """What a `Linear` computes, soft cap included, from 8-bit weights and activations: (..., in) -> (..., out)."""

    def __init__(self, plain: nn.Module):
        super().__init__()
        self.cap = getattr(plain, "cap", None)
        weight, scale = quantize_rows(plain.weight.detach().float())
        self.register_buffer("weight", weight)  # (out, in)
        self.register_buffer("columns", weight.t(), persistent=False)  # the same memory
        self.register_buffer("scale", scale.squeeze(-1))  # (out,)
        bias = getattr(plain, "bias", None)
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        y, scale = self._product(x)
        y = y.mul_(scale)
        return soft_cap(y if self.bias is None else y.add_(self.bias), self.cap)

    def add_to(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return x plus the product of `hidden`, for a product without bias and cap: (B, out), (B, in) -> (B, out)."""
        return torch.addcmul(x, *self._product(hidden))

    def _product(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the product with the rounded activations, and the scale of each row that is still to be applied."""
        integers, scale = quantize_rows(x)
        if x.dim() == 2:
            return torch._int_mm(integers, self.columns) * self.scale, scale  # the sums are exact, in int32
        sums = torch._int_mm(integers.flatten(0, -2), self.columns)
        return (sums * self.scale).unflatten(0, x.shape[:-1]), scale


class Int4Linear(nn.Module):
    """What a `Linear` computes, from 4-bit weights in groups of 32: (..., in) -> (..., out).

    A weight is (integer - 8) · scale + middle, where the 16 integers span its group from the least to the largest.
    """

    def __init__(self, plain: nn.Module):
        super().__init__()
        self.n_out, n_in = plain.weight.shape
        self.n_missing = -n_in % GROUP  # zeros that fill the last group
        weight = F.pad(plain.weight.detach().float(), (0, self.n_missing, 0, -self.n_out % ROWS))
        groups = weight.unflatten(-1, (-1, GROUP))  # (out, groups, 32)
        least, largest = groups.aminmax(dim=-1, keepdim=True)
        scale = ((largest - least) / 15).bfloat16().clamp_min(TINY)
        middle = (least + 8 * scale).bfloat16()
        integers = ((groups - middle.float()) / scale.float() + 8).round().clamp(0, 15)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(integers.flatten(1).int(), 1)
        self.register_buffer("weight", packed)  # (out, in/2), two integers a byte
        self.register_buffer("scales", torch.cat((scale, middle), -1).transpose(0, 1).contiguous())
        bias = getattr(plain, "bias", None)
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        rows = F.pad(x, (0, self.n_missing)) if self.n_missing else x
        rows = rows.flatten(0, -2).bfloat16()
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self.weight, GROUP, self.scales)
        y = y[:, : self.n_out].float().unflatten(0, x.shape[:-1])
        return y if self.bias is None else y.add_(self.bias)


class QuantizedEmbedding(nn.Module):
    """A table of 8-bit vectors with a scale each; the same integers as the output matrix's where they are tied."""

    def __init__(self, table: Int8Linear):
        super().__init__()
        self.register_buffer("rows", table.weight)  # (V, C)
        self.register_buffer("scale", table.scale)  # (V,)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.rows) * F.embedding(ids, self.scale.unsqueeze(-1))


class QuantizedGPT(GPT):
    """A model that computes about what `model` does from integer weights; norms and activations are float32.

    It is for generation and evaluation on the CPU: no gradient passes through it. Its cache is float32. Raises
    ValueError for a kind that does not exist, or a model on another device.
    """

    def __init__(self, model: GPT, kind: str):
        if kind not in KINDS:
            raise ValueError(f"quantize={kind!r} is none of {', '.join(KINDS)}")
        if model.device.type != "cpu":
            raise ValueError(f"the model is on {model.device}; quantized products need it on the CPU")
        shared = [*model.parameters(), *model.buffers()]
        # Everything a GPT has, without the weights that its own __init__ would make.
        self.__dict__ = copy.deepcopy(model, {id(tensor): tensor for tensor in shared}).__dict__
        self.kind = kind
        table, output = Int8Linear(model.embedding), Int8Linear(model.output)
        self.embedding = QuantizedEmbedding(output if model.config.tie_embeddings else table)
        self.output = output
        for parent in list(self.modules()):
            for name, part in list(parent.named_children()):
                if type(part) is Linear:
                    setattr(parent, name, Int8Linear(part) if kind == "int8" else Int4Linear(part))
                elif type(part) is Embedding or isinstance(getattr(part, "weight", None), nn.Parameter):
                    setattr(parent, name, copy.deepcopy(part).float())
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return self.embedding.rows.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of activations, and so of a cache."""
        return torch.float32


def weight_bytes(model: GPT) -> int:
    """Return the bytes of a model's weights, scales included; a matrix that two parts use counts once."""
    parts = [model.embedding, model.layers, model.final_norm, model.output, *model.positions.parameters()]
    tensors = [
        tensor
        for part in parts
        for tensor in ([part] if isinstance(part, Tensor) else [*part.parameters(), *part.buffers()])
    ]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


@torch.inference_mode()
def perplexity(model: GPT, ids: Tensor) -> float:
    """Return the perplexity of a text, ids (N,): e to the mean cross-entropy of its tokens after the first.

    The text is read in windows of the model's context; each continues the last token of the one before.
    """
    total = sum(
        float(F.cross_entropy(logits, targets, reduction="sum")) for logits, targets in _read(model, ids)
    )
    return float(torch.tensor(total / (len(ids) - 1)).exp())


@torch.inference_mode()
def greedy_agreement(model: GPT, other: GPT, ids: Tensor) -> float:
    """Return the fraction of a text's positions, ids (N,), at which both models give the same token most probability.

    Both read the given text, so one disagreement does not lead to more.
    """
    same = sum(
        int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        for (ours, _), (theirs, _) in zip(_read(model, ids), _read(other, ids))
    )
    return same / (len(ids) - 1)


def _read(model: GPT, ids: Tensor):
    """Yield the logits (T, V) of what follows each token, and the tokens (T,) that do, window by window."""
    if len(ids) < 2:
        raise ValueError(f"a text of {len(ids)} tokens has none to predict; give at least 2")
    for start in range(0, len(ids) - 1, model.config.context_length):
        window = ids[start : start + model.config.context_length + 1]
        yield model(window[None, :-1])[0].float(), window[1:]
