"""A model as a Hugging Face folder: written so that other engines serve it, and read from any family we know.

config.json               the shape, under Hugging Face's names
model.safetensors         the weights; large models in several files, with model.safetensors.index.json
tokenizer.json            the vocabulary, for `tokenizers`
tokenizer_config.json     which token starts and ends a text
generation_config.json    where generation stops
README.md                 the model card, from `model_card.py`
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gptcore.account import check_memory, model_bytes
from gptcore.checkpoint import write_tensors
from gptcore.config import ConfigError, ModelConfig
from gptcore.files import MAX_JSON_BYTES, read_bytes, replacing, write_json
from gptcore.formats import hf_tokenizer, hf_weights
from gptcore.formats.model_card import CARD
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer

INDEX = "model.safetensors.index.json"
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class FolderError(ValueError):
    """A Hugging Face folder that cannot be used, said in one sentence."""


def export_hf(model: GPT, tokenizer: Tokenizer, folder: str | Path, card: str | None = None) -> Path:
    """Write a model as a new folder, with a model card where its text is given; return the folder.

    Raises ConfigError naming a part that no family has, FolderError for a folder that is not empty.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderError(f"{folder} is not empty; choose a new or empty folder for the export")
    hf_weights.check_exportable(model.config)
    with replacing(folder) as fresh:
        write_files(model, tokenizer, fresh)
        if card is not None:
            (fresh / CARD).write_text(card, encoding="utf-8")
    return folder


def write_files(model: GPT, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the five files into an existing folder; raises ConfigError naming a part that no family has."""
    eot_id, start_id = tokenizer.eot_id, (*tokenizer.start_ids, tokenizer.eot_id)[0]
    config = hf_weights.config_dict(
        model.config, eot_id=eot_id, start_id=start_id, stop_ids=tokenizer.stop_ids
    )
    weights = {name: weight.detach().cpu() for name, weight in hf_weights.state_dict(model).items()}
    write_json(folder / "config.json", config)
    write_tensors(weights, folder / "model.safetensors", {"format": "pt"})  # transformers asks for this word
    write_json(folder / "tokenizer.json", hf_tokenizer.to_json(tokenizer))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.config.context_length,
            "clean_up_tokenization_spaces": False,  # it would take away spaces before punctuation
            "bos_token": tokenizer.token_text(start_id),
            "eos_token": tokenizer.token_text(eot_id),
        }
        | ({"chat_template": tokenizer.chat_template} if tokenizer.chat_template else {}),
    )
    write_json(
        folder / "generation_config.json",
        {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")},
    )


def load_hf(folder: str | Path) -> tuple[GPT, Tokenizer | None]:
    """Return the model in fp32 and the tokenizer of a folder, None where it brings no tokenizer.

    Raises ValueError, naming it, for an architecture, an option or a file that is not supported.
    """
    folder = Path(folder)
    theirs = _json(folder / "config.json")
    config = read_config(folder)
    check_memory(model_bytes(config), f"the model in {folder}")
    files = weight_files(folder)
    check_shapes(stored_shapes(files), config, theirs)
    tokenizer = load_folder_tokenizer(folder)
    if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise FolderError(
            f"the tokenizer in {folder} has {tokenizer.vocab_size} tokens, more than its model's "
            f"vocab_size={config.vocab_size}; use the model's own tokenizer"
        )
    return hf_weights.load_llama(_Weights(files), theirs), tokenizer


def read_config(folder: Path) -> ModelConfig:
    """Return our config of a Hugging Face folder; raises ValueError naming what is not supported.

    The output layer is tied as the weights say, which need not be what the config says.
    """
    theirs = _json(folder / "config.json")
    if theirs.get("quantization_config"):
        raise FolderError(
            f"{folder} contains quantized weights; choose the model's bf16, fp16 or fp32 weights"
        )
    try:
        config = hf_weights.model_config(theirs)
    except ConfigError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise FolderError(f"{folder}/config.json is damaged: {type(error).__name__} {error}") from error
    return hf_weights.with_own_output(config, hf_weights.family_of(theirs), _Weights(weight_files(folder)))


def weight_files(folder: Path) -> dict[str, Path]:
    """Return for each weight's name the safetensors file that holds it; raises FolderError if there is none.

    A whole model.safetensors counts, whatever an index beside it says: it may be left over from an earlier save.
    """
    single = folder / "model.safetensors"
    if single.is_file():
        return dict.fromkeys(shapes(single), single)
    if (folder / INDEX).is_file():
        return _indexed_files(folder)
    if any(path for pattern in PICKLES for path in folder.glob(pattern)):
        raise FolderError(
            f"{folder} keeps its weights as pickle files, which run code when they are opened; "
            "save the model as safetensors and load that"
        )
    raise FolderError(f"{folder} does not contain a model.safetensors; choose a folder with one")


def _indexed_files(folder: Path) -> dict[str, Path]:
    """Return the file of each weight as the index maps them; raises FolderError where it does not fit the files."""
    weight_map = _json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise FolderError(
            f"{folder}/{INDEX} is damaged, because it does not map weights to files; download it again"
        )
    for name in sorted(set(weight_map.values())):
        if Path(name).name != name or not (folder / name).is_file():
            raise FolderError(f"{folder}/{INDEX} names {name!r}, which is missing; download the model again")
    files = {weight: folder / name for weight, name in weight_map.items()}
    for path in set(files.values()):
        missing = {weight for weight, file in files.items() if file == path} - set(shapes(path))
        if missing:
            raise FolderError(
                f"{path} does not contain {min(missing)}, as {INDEX} says; download the model again"
            )
    return files


def stored_shapes(files: dict[str, Path]) -> dict[str, tuple[str, list[int]]]:
    """Return the kind and shape of each weight, from the files' heads."""
    stored = {}
    for path in sorted(set(files.values())):
        stored |= {name: shape for name, shape in shapes(path).items() if files.get(name) == path}
    return stored


def check_shapes(stored: Mapping[str, tuple[str, list[int]]], config: ModelConfig, theirs: Any) -> None:
    """Compare names and shapes of weights with what the config needs, before anything is built.

    `theirs` is the config of which ours was read. Raises ValueError naming the first weight that is missing, left
    over, of another shape or quantised.
    """
    family = hf_weights.family_of(theirs)
    names, needed = hf_weights.full_names(stored, family), hf_weights.shapes_by_name(config, family)
    hf_weights.check_names(set(needed), set(names), config.tie_embeddings)
    for name, needed_shape in needed.items():
        kind, shape = stored[names[name]]
        if kind not in DTYPES:
            raise FolderError(f"{name} is stored as {kind}; choose weights in bf16, fp16 or fp32")
        if shape != needed_shape:
            raise FolderError(
                f"{name} has the shape {shape}, and its config.json requires {needed_shape}; use the config.json of "
                "these weights"
            )


def load_folder_tokenizer(folder: Path) -> Tokenizer | None:
    """Return a folder's tokenizer, None where it brings none; raises TokenizerError for one we cannot read."""
    path = folder / "tokenizer.json"
    if path.is_file():
        template = _json_if_there(folder / "tokenizer_config.json").get("chat_template")
        return hf_tokenizer.load_hf_tokenizer(path, end_of_text=end_tokens(folder), chat_template=template)
    if (folder / "tokenizer.model").is_file():
        raise FolderError(
            f"{folder} contains its tokenizer only as tokenizer.model, which cannot be read; save it with "
            "transformers' AutoTokenizer first, which writes tokenizer.json"
        )
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        raise FolderError(
            f"{folder} contains its tokenizer as vocab.json and merges.txt, which cannot be read; save it "
            "with transformers' AutoTokenizer first, which writes tokenizer.json"
        )
    return None


def end_tokens(folder: Path) -> list[int | str] | None:
    """Return the tokens, or their ids, that end a text, None where no file names one.

    The tokenizer's own token comes first: it is what ends a document. Generation also ends at those that
    generation_config.json names, or where there is none config.json.
    """
    token = _json_if_there(folder / "tokenizer_config.json").get("eos_token")
    token = token.get("content") if isinstance(token, dict) else token
    ends: list[int | str] = [token] if isinstance(token, str) else []
    generation = _json_if_there(folder / "generation_config.json").get("eos_token_id")
    ids = _json_if_there(folder / "config.json").get("eos_token_id") if generation is None else generation
    ends += [end for end in (ids if isinstance(ids, list) else [ids]) if type(end) is int]
    return ends or None


def _json_if_there(path: Path) -> dict[str, Any]:
    return _json(path) if path.is_file() else {}


class _Weights(dict):
    """Weights by name, each read from its file when it is asked for."""

    def __getitem__(self, name: str) -> Tensor:
        with safe_open(super().__getitem__(name), framework="pt") as file:
            return file.get_tensor(name)


def shapes(path: Path) -> dict[str, tuple[str, list[int]]]:
    """Return the kind and shape of each tensor in a safetensors file, from its head."""
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            return {name: (part.get_dtype(), list(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise FolderError(f"{path} is not a complete safetensors file; copy it again") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path, MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise FolderError(f"{path} is not valid JSON; copy it again") from error
    if not isinstance(content, dict):
        raise FolderError(f"{path} must contain a JSON object; copy it again")
    return content
