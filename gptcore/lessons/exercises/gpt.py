"""Chapter 10, the capstone: your file, our weights.

A learner's model class is made for the shipped model's config, gets the shipped weights under Hugging Face's names,
and reads the same tokens. What its parts give is caught on the way, so that the first tensor that differs can be
named: its location, its index, its value.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gptcore.checkpoint import SHIPPED
from gptcore.formats import load
from gptcore.formats.hf_weights import state_dict
from gptcore.lessons.exercises import Case, Exercise, Mistake, Verdict, _line_of, first_difference
from gptcore.lessons.exercises import _own_gpt as own
from gptcore.tracing import trace

TOLERANCE = 1e-4  # on numbers of size 1, and in proportion for larger ones
TEXTS = (
    "Once upon a time, a king named Tom lived in a castle.",
    "Long",
    "She wanted a golden ring. He wanted a cat.",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One tensor on its way: the name of the learner's part, whether it is what goes in, and our tensor's name."""

    part: str
    goes_in: bool
    ours: str


def order(n_layers: int) -> list[Seen]:
    """Return what is compared, in the order of computation; parts that a class does not have are passed over."""
    values = [Seen("embed_tokens", False, "embedding")]
    for layer in range(n_layers):
        theirs, ours = f"layers.{layer}.", f"layers.{layer}."
        for part, goes_in, name in (
            ("input_layernorm", False, "attention_normed"),
            ("self_attn.q_proj", False, "attention.q"),
            ("self_attn.k_proj", False, "attention.k"),
            ("self_attn.v_proj", False, "attention.v"),
            ("self_attn.o_proj", True, "attention.mixed"),
            ("self_attn", False, "attention_output"),
            ("post_attention_layernorm", True, "after_attention"),
            ("post_attention_layernorm", False, "feedforward_normed"),
            ("mlp.gate_proj", False, "feedforward.gate_logits"),
            ("mlp.up_proj", False, "feedforward.up"),
            ("mlp.down_proj", True, "feedforward.hidden"),
            ("mlp", False, "feedforward_output"),
            ("", False, "after_feedforward"),
        ):
            values.append(Seen((theirs + part).rstrip("."), goes_in, ours + name))
    return [*values, Seen("norm", False, "final_normed"), Seen("lm_head", False, "logits")]


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the shipped weights by the names a learner's class gives them; a tied output layer stands there too."""

    renamed = {name.removeprefix("model."): weight for name, weight in state_dict(model).items()}
    return renamed | {"lm_head.weight": model.output.weight.detach()}


def judge(learner: Callable) -> Verdict:
    """Return the verdict on a model class; whatever its code raises becomes one too."""

    model, tokenizer = load(SHIPPED)
    batches = [torch.tensor([tokenizer.encode(text)]) for text in TEXTS]
    batches.append(torch.cat((batches[0], batches[0].flip(1))))
    n_cases = len(batches)

    def no(says: str, **more: str | None) -> Verdict:
        return Verdict(passed=False, says=says, n_cases=n_cases, **more)

    try:
        mine = learner(model.config).eval()
        if problem := _fill(mine, weights(model)):
            return no(problem)
        for ids in batches:
            found = compare(mine, model, ids)
            if found is not None:
                mistake = _recognize(mine, model, batches[0])
                where = f"{tuple(ids.shape)} tokens"
                if mistake is not None:
                    return no(mistake.says, mistake=mistake.name, case=where)
                return no(f"With {where}, the first tensor that differs is {found}.", case=where)
    except NotImplementedError:
        return no("The class is still empty; fill in the gap first.")
    except Exception as error:  # whatever a learner's code raises is an answer to them
        reason = " ".join(str(error).split()) or "no message"
        return no(f"{type(error).__name__}: {reason[:300]}{_line_of(error)}")
    return Verdict(
        passed=True, says=f"Your file, our weights: every tensor agrees on {n_cases} texts.", n_cases=n_cases
    )


def _fill(mine: nn.Module, given: dict[str, Tensor]) -> str | None:
    """Put the weights into a learner's model; the sentence that says why they do not fit, or None."""
    needed = dict(mine.named_parameters(remove_duplicate=False))
    optional = {"lm_head.weight"}
    if missing := sorted(set(given) - set(needed) - optional):
        return f"Your class has no {missing[0]}, of shape {tuple(given[missing[0]].shape)}; {len(missing)} are missing."
    if spare := sorted(set(needed) - set(given)):
        return f"Your class has a parameter {spare[0]} that the checkpoint does not have."
    with torch.no_grad():
        for name, weight in needed.items():
            if weight.shape != given[name].shape:
                return f"{name} has the shape {tuple(weight.shape)} and should be {tuple(given[name].shape)}."
            weight.copy_(given[name])
    return None


def catch(mine: nn.Module, ids: Tensor, wanted: list[Seen]) -> dict[Seen, Tensor]:
    """Return what the parts of a model give and take while it reads ids, of those parts that it has."""
    parts, caught, hooks = dict(mine.named_modules()), {}, []

    def hook(value: Seen) -> Callable:
        def keep(_module: nn.Module, inputs: tuple, output: Tensor) -> None:
            caught[value] = inputs[0] if value.goes_in else output

        return keep

    for value in wanted:
        if value.part in parts:
            hooks.append(parts[value.part].register_forward_hook(hook(value)))
    try:
        with torch.inference_mode():
            logits = mine(ids)
    finally:
        for handle in hooks:
            handle.remove()
    return caught | {wanted[-1]: logits}


def compare(mine: nn.Module, model: nn.Module, ids: Tensor) -> str | None:
    """Return in words the first tensor in which a learner's model and ours differ, or None."""

    seen, wanted = trace(model, ids), order(model.config.n_layers)
    caught = catch(mine, ids, wanted)
    for value in wanted:
        if value not in caught:
            continue
        right = seen[value.ours]
        if right.dim() == 4 and isinstance(caught[value], Tensor) and caught[value].dim() == 3:
            right = right.transpose(1, 2).flatten(2)  # heads laid side by side
        scale = max(1.0, right.abs().max().item())
        if difference := first_difference(caught[value], right, TOLERANCE * scale):
            side = "what goes into" if value.goes_in else "what comes out of"
            where = "the logits" if value is wanted[-1] else f"{side} {value.part} ({value.ours})"
            return f"{where}: {difference}"
    return None


def _recognize(mine: nn.Module, model: nn.Module, ids: Tensor) -> Mistake | None:
    """Return the known mistake whose logits a learner's model gives."""
    with torch.inference_mode():
        got = mine(ids)
        for mistake in MISTAKES:
            theirs = mistake.wrong(model.config).eval()
            _fill(theirs, weights(model))
            same = theirs(ids)
            if first_difference(got, same, TOLERANCE * max(1.0, same.abs().max().item())) is None:
                return mistake
    return None


def _with(block: type | None = None, **parts: type) -> type:
    """Return the solution with some of its parts changed."""
    return type("GPT", (own.GPT,), {"block": block or type("Block", (own.Block,), parts)})


class _NoMask(own.Attention):
    def may_look(self, n_tokens: int) -> Tensor:
        return torch.ones(n_tokens, n_tokens, dtype=torch.bool)


class _NoScale(own.Attention):
    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        return q @ k.transpose(-2, -1)


class _NeighborPairs(own.Attention):
    def turn(self, x: Tensor) -> Tensor:
        whole = torch.cat((x[..., 0::2], x[..., 1::2]), dim=-1)
        a, b = super().turn(whole).chunk(2, dim=-1)
        return torch.stack((a, b), dim=-1).flatten(-2)


class _NoTurn(own.Attention):
    def turn(self, x: Tensor) -> Tensor:
        return x


class _HeadsLast(own.Attention):
    def forward(self, x: Tensor) -> Tensor:
        hold, self.o_proj = self.o_proj, nn.Identity()
        try:
            mixed = super().forward(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
        finally:
            self.o_proj = hold
        return self.o_proj(mixed.reshape(x.shape[0], x.shape[1], -1))


class _GateSwapped(own.MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(nn.functional.silu(self.up_proj(x)) * self.gate_proj(x))


class _GeluGate(own.MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(nn.functional.gelu(self.gate_proj(x)) * self.up_proj(x))


class _MeanTaken(own.RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(-1, keepdim=True))


class _NoResidual(own.Block):
    def forward(self, x: Tensor) -> Tensor:
        x = self.self_attn(self.input_layernorm(x))
        return self.mlp(self.post_attention_layernorm(x))


class _StreamNormed(own.Block):
    def forward(self, x: Tensor) -> Tensor:
        x = self.input_layernorm(x)
        x = self.post_attention_layernorm(x + self.self_attn(x))
        return x + self.mlp(x)


class _NoFinalNorm(own.GPT):
    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(x)


class _ScaledEmbedding(own.GPT):
    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids) * self.embed_tokens.embedding_dim**0.5
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


MISTAKES = (
    Mistake(
        name="no mask",
        says="Every token attends to all tokens, later ones too. Forbidden scores become -inf before the "
        "softmax.",
        wrong=_with(attention=_NoMask),
    ),
    Mistake(
        name="no scale",
        says="The scores are not divided by the root of the head width.",
        wrong=_with(attention=_NoScale),
    ),
    Mistake(
        name="neighbors rotated",
        says="Your rotary embedding pairs neighbors, 0 with 1. These weights pair the first half with the "
        "second.",
        wrong=_with(attention=_NeighborPairs),
    ),
    Mistake(
        name="not turned",
        says="Queries and keys are not turned by their position.",
        wrong=_with(attention=_NoTurn),
    ),
    Mistake(
        name="heads not laid side by side",
        says="After mixing, heads stand before tokens. Swap them back before you flatten, or different tokens "
        "end up in one row.",
        wrong=_with(attention=_HeadsLast),
    ),
    Mistake(
        name="gate and up swapped",
        says="SiLU belongs to the gate projection; yours bends the up projection.",
        wrong=_with(mlp_kind=_GateSwapped),
    ),
    Mistake(
        name="GELU for SiLU",
        says="The gate is bent by GELU. This model was trained with SiLU, z times sigmoid of z.",
        wrong=_with(mlp_kind=_GeluGate),
    ),
    Mistake(
        name="mean subtracted",
        says="Your norm in the blocks subtracts the mean, which is LayerNorm. RMSNorm subtracts nothing.",
        wrong=_with(norm=_MeanTaken),
    ),
    Mistake(
        name="no residual",
        says="The layers replace the stream instead of adding to it.",
        wrong=_with(_NoResidual),
    ),
    Mistake(
        name="stream normed",
        says="The norms stand on the stream. They belong on the branch: x plus the layer of the normed x.",
        wrong=_with(_StreamNormed),
    ),
    Mistake(
        name="no last norm",
        says="The stream goes into the output layer as it is; the last norm is missing.",
        wrong=_NoFinalNorm,
    ),
    Mistake(
        name="embedding scaled",
        says="The embedding is multiplied by the root of the width, as in the 2017 Transformer and Gemma. Not here.",
        wrong=_ScaledEmbedding,
    ),
)

START = '''"""Your file, our weights. Check it with: python -m gptcore exercise gpt FILE

Write a model whose parameters have these names and shapes (C 128, F 384, V 2,048, four layers, four heads):

    embed_tokens.weight                                    (V, C)
    layers.0.input_layernorm.weight                        (C,)
    layers.0.self_attn.q_proj.weight, k_proj, v_proj, o_proj  (C, C)
    layers.0.post_attention_layernorm.weight               (C,)
    layers.0.mlp.gate_proj.weight, up_proj                 (F, C)
    layers.0.mlp.down_proj.weight                          (C, F)
    norm.weight                                            (C,)
    lm_head.weight                                         (V, C), the table again; it may be left out

No layer has a bias. Modules that carry these names are compared on the way, so that the first tensor that differs can
be named; how you compute inside them is up to you.
"""

import torch
from torch import Tensor, nn


class GPT(nn.Module):
    """Token ids (B, T) in, logits (B, T, V) out."""

    def __init__(self, config):
        """config has vocab_size, d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff, norm_eps, rope_theta."""
        super().__init__()
        raise NotImplementedError  # your lines
'''


def _cases() -> Iterator[Case]:
    for text in TEXTS:
        yield Case(label=text, arguments={})


EXERCISE = Exercise(
    name="gpt",
    chapter=10,
    title="Your file, our weights",
    task="From an empty file, write a model class of about 100 lines that loads the shipped weights and agrees with "
    "the library to 1e-4.",
    solution=own.GPT,
    cases=_cases,
    mistakes=MISTAKES,
    tolerance=TOLERANCE,
    judge=judge,
    start=START,
)


def differences(learner: Callable, model: nn.Module, ids: Tensor) -> list[tuple[str, float]]:
    """Return how far each tensor of a class with our weights is from ours, largest difference, in order."""

    mine = learner(model.config).eval()
    _fill(mine, weights(model))
    seen, wanted = trace(model, ids), order(model.config.n_layers)
    caught, largest = catch(mine, ids, wanted), []
    for value in wanted:
        right, got = seen[value.ours], caught[value]
        if right.dim() == 4:
            right = right.transpose(1, 2).flatten(2)
        largest.append((value.ours, (got - right).abs().max().item()))
    return largest
