"""The same model under Hugging Face's names: weights of the families in `families`, in and out.

Families keep the same matrices under other names, in other pieces, transposed, or with their rows in another order.
`stored_weights` says where each row of ours is, and everything else here follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gptcore.config import ConfigError, ModelConfig
from gptcore.formats.families import FAMILIES, Family, family_of
from gptcore.formats.hf_config import check_exportable, config_dict, family_for, model_config
from gptcore.model import GPT

__all__ = ["check_exportable", "config_dict", "family_of", "load_llama", "model_config", "state_dict"]

# Tensors that files hold and no model needs: tables and masks that follow from the config.
_NOT_WEIGHTS = ("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")
_HEAD = "lm_head.weight"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredWeight:
    """Where a family keeps some rows of one of our weights, and how.

    Theirs can be transposed, our rows can be theirs in another `order`, and ours are theirs plus `offset`.
    """

    name: str
    ours: str
    rows: slice
    transposed: bool = False
    order: Tensor | None = None
    offset: float = 0.0

    def shape(self, ours: Tensor) -> list[int]:
        """Return the shape of theirs, from our whole weight."""
        shape = list(ours[self.rows].shape)
        return shape[::-1] if self.transposed else shape

    def read(self, theirs: Tensor) -> Tensor:
        """Return our rows."""
        theirs = theirs.T if self.transposed else theirs
        theirs = theirs if self.order is None else theirs[self.order]
        return theirs.float() + self.offset if self.offset else theirs

    def written(self, ours: Tensor) -> Tensor:
        """Return theirs, from our whole weight: a view of it where nothing changes."""
        rows = ours[self.rows]
        rows = rows if self.order is None else rows[self.order.argsort()]
        rows = rows.T if self.transposed else rows
        return (rows - self.offset if self.offset else rows).contiguous()


def stored_weights(model: GPT, family: Family) -> list[StoredWeight]:
    """Return where a family keeps every weight of a model; a tied output layer is not stored.

    >>> nano = GPT(PRESETS["nano"].model)
    >>> [part.name for part in stored_weights(nano, FAMILIES["llama"])][1:3]
    ['model.layers.0.self_attn.q_proj.weight', 'model.layers.0.self_attn.k_proj.weight']
    """
    stored = []
    for ours in model.state_dict():
        if ours == "output.weight" and model.config.tie_embeddings:
            continue
        part, _, end = ours.rpartition(".")
        in_layer = part.startswith("layers.")
        _, layer, inner = part.split(".", 2) if in_layer else ("", "", part)
        names = family.weights[inner]
        rows = model.get_submodule(part).parts if len(names) > 1 else [None]
        begin = 0
        for name, n_rows in zip(names, rows, strict=True):
            here = slice(begin, None if n_rows is None else begin + n_rows)
            begin = here.stop
            stored.append(
                StoredWeight(
                    name=f"{family.layers}.{layer}.{name}.{end}" if in_layer else f"{name}.{end}",
                    ours=ours,
                    rows=here,
                    transposed=family.transposed and in_layer and end == "weight" and "norm" not in inner,
                    order=_rotated_first(model.config, here) if inner == "attention.qkv_proj" else None,
                    offset=float(family.norms_minus_one and "norm" in inner),
                )
            )
    return stored


def _rotated_first(config: ModelConfig, rows: slice) -> Tensor | None:
    """Return for each of these rows of our queries, keys and values the row of theirs; None where they are the same.

    Where a part of a head rotates, theirs rotates the first W dimensions, in pairs (i, i + W/2). Our pairs are
    (i, i + D/2), so those that rotate are the first of both halves of the head.
    """
    if config.rotary_fraction == 1:
        return None
    width, kept = round(config.rotary_fraction * config.head_dim), config.head_dim
    first, second = torch.arange(width).chunk(2)
    still_first, still_second = torch.arange(width, kept).chunk(2)
    head = torch.cat((first, still_first, second, still_second))
    n_rotated, n_all = config.n_heads + config.n_kv_heads, config.n_heads + 2 * config.n_kv_heads
    order = torch.arange(n_all * kept).unflatten(0, (n_all, kept))
    order[:n_rotated] = order[:n_rotated, head]
    return order.flatten()[rows] - rows.start


def load_llama(hf_state_dict: Mapping[str, Tensor], hf_config: Any) -> GPT:
    """Return our model with the weights of a Hugging Face model, of any family in the table.

    `hf_config` is a transformers config or the dictionary of a `config.json`. Raises ConfigError for an
    architecture or option that our model does not have, naming it.
    """
    family = family_of(hf_config)
    config = with_own_output(model_config(hf_config), family, hf_state_dict)
    names, model = full_names(hf_state_dict, family), GPT(config)
    stored, ours = stored_weights(model, family), model.state_dict()
    check_names({part.name for part in stored}, set(names), config.tie_embeddings)
    for part in stored:  # one at a time: a large model need not be in memory twice
        weight, shape = hf_state_dict[names[part.name]], part.shape(ours[part.ours])
        if list(weight.shape) != shape:
            raise ConfigError(
                f"{part.name} has the shape {list(weight.shape)}, and the config requires {shape}; use the config of "
                "these weights"
            )
        ours[part.ours][part.rows].copy_(part.read(weight))
    return model.eval()


def full_names(names: Iterable[str], family: Family) -> dict[str, str]:
    """Return the names in a file by the family's full names, without what is no weight.

    A file of the model without its output layer, such as GPT-2's first, leaves out the prefix `transformer.`.
    """
    weights = [name for name in names if not name.endswith(_NOT_WEIGHTS)]
    missing = "" if any(name.startswith(family.prefix) for name in weights) else family.prefix
    return {name if name == _HEAD else missing + name: name for name in weights}


def with_own_output(config: ModelConfig, family: Family, weights: Mapping[str, Tensor]) -> ModelConfig:
    """Return the config with an untied output layer where the weights have one of their own.

    The weights count, whatever the config says, as in transformers.
    """
    names, embedding = full_names(weights, family), family.weights["embedding"][0] + ".weight"
    if not config.tie_embeddings or not {_HEAD, embedding} <= set(names):
        return config
    output, rows = weights[names[_HEAD]], weights[names[embedding]]
    same = output.shape == rows.shape and torch.equal(output, rows)
    return config if same else config.replace(tie_embeddings=False)


def check_names(needed: set[str], given: set[str], tied: bool) -> None:
    """Raise ConfigError naming the first weight that is missing, or that our model does not have."""
    if needed - given:
        raise ConfigError(f"the weights do not contain {min(needed - given)}; use the weights of this config")
    spare = given - needed - ({_HEAD} if tied else set())
    if spare:
        raise ConfigError(
            f"the weights contain {min(spare)}, which this config does not have; use the config of these weights"
        )


def shapes_by_name(config: ModelConfig, family: Family) -> dict[str, list[int]]:
    """Return the shape of every weight that a family stores of a model, without building it."""
    with torch.device("meta"):  # shapes alone: a config that lies about its size costs nothing
        model = GPT(config)
    ours = model.state_dict()
    return {part.name: part.shape(ours[part.ours]) for part in stored_weights(model, family)}


def state_dict(model: GPT) -> dict[str, Tensor]:
    """Return our weights as the family that can hold the model stores them; raises ConfigError if there is none."""
    family, ours = FAMILIES[family_for(model.config)], model.state_dict()
    return {part.name: part.written(ours[part.ours]) for part in stored_weights(model, family)}
