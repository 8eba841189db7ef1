"""A script or a notebook that needs no library of ours: the model's source is in it, its text and vocabulary beside it.

It trains as the script of `script.py` does, with the same parts. What it needs of the library is collected from the
modules themselves, so that both always compute the same.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptcore.checkpoint import model_folder, read_folder
from gptcore.config import ConfigError
from gptcore.corpora import load_corpus
from gptcore.corpora.sources import BUILT_IN
from gptcore.files import read_json, replacing
from gptcore.formats import script
from gptcore.formats.source_code import collect, read_module
from gptcore.tokenizer import Tokenizer

SOURCES = {  # what the script calls, by module of the library
    "config": ("ModelConfig", "TrainConfig"),
    "model": ("GPT",),
    "cache": ("KVCache",),
    "corpora.windows": ("Windows", "fixed_batches", "split_windows"),
    "training.optim": ("make_optimizers", "learning_rate", "window_cuts", "clip_gradients"),
}
TRAIN, HELD_OUT, VOCABULARY = (
    "train.json",
    "held_out.json",
    "vocabulary.tiktoken",
)  # the files beside the script


def write_standalone(folder: str | Path, kind: str, out: str | Path) -> Path:
    """Write a `script` or a `notebook` that trains the model of a run, and a folder with its data; return the file.

    Raises ValueError where either exists, and for a run whose text was not kept or whose tokenizer was imported.
    """
    out = Path(out)
    data = out.with_name(f"{out.stem}-data")
    for path in (out, data):
        if path.exists():
            raise ValueError(f"{path} already exists; choose a new file name")
    recipe = script.recipe_of_run(folder)
    _, tokenizer = read_folder(model_folder(folder))
    parts = _documents(Path(folder), recipe.corpus)
    text = standalone_script(recipe, tokenizer, _data_path(kind, data.name))
    ranks = sorted(tokenizer.ranks.items(), key=lambda item: item[1])
    with replacing(data) as fresh:
        for name, documents in zip((TRAIN, HELD_OUT), parts, strict=True):
            (fresh / name).write_text(json.dumps(documents, ensure_ascii=False), encoding="utf-8")
        lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks]
        (fresh / VOCABULARY).write_text("".join(lines), encoding="utf-8")
    return script.write_script(text, kind, out)


def _data_path(kind: str, name: str) -> str:
    """Return the code that names the folder of the data; a notebook does not know where its file is."""
    return f'Path("{name}")' if kind == "notebook" else f'Path(__file__).with_name("{name}")'


def _documents(folder: Path, corpus: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the documents a run was trained on and those held out; raises ConfigError where it keeps none.

    Nothing is read that the run's files name, since they may come from a stranger.
    """
    kept = read_json(folder / "corpus.json")
    if _is_text_list(kept.get("train")) and _is_text_list(kept.get("validation")):
        return kept["train"], kept["validation"]
    if (folder / "corpus.txt").is_file():
        text = load_corpus(folder / "corpus.txt")
    elif corpus in BUILT_IN:
        text = load_corpus(corpus)
    else:
        raise ConfigError(f"{folder} does not contain its text; export it without --standalone")
    return text.train, text.validation


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def standalone_script(recipe: script.Recipe, tokenizer: Tokenizer, data: str) -> str:
    """Return the text of the script; `data` is the code that names the folder with its text and vocabulary."""
    if type(tokenizer) is not Tokenizer:
        raise ConfigError("an imported tokenizer needs the library; export without --standalone")
    tokenizer.to_tiktoken()  # raises TokenizerError for a pattern that tiktoken does not know
    text = _TEXT.format(
        pattern=tokenizer.pattern, special=json.dumps(tokenizer.special_tokens), end=tokenizer.eot_id
    )
    parts = (
        script.settings_part(recipe, f'OUT = "my-model.pt"\nDATA = {data}')
        + text
        + script.WINDOWS
        + script.MODEL
    )
    parts += script.VALIDATION_LOSS + _WRITE + script.TRAINING + _SAVE
    library = collect(SOURCES, _IMPORTS + parts)
    sections = [
        f"# 0.{number} · {module.removeprefix('gptcore.')}: {read_module(module).summary}\n{source}"
        for number, (module, source) in enumerate(library.sections.items(), 1)
    ]
    head = _HEAD.format(imports=library.imports, n_sections=len(sections))
    return "\n\n\n".join([head.rstrip("\n"), *sections]) + "\n\n" + parts


_IMPORTS = """
import base64
import json
import math
import time
from pathlib import Path

import tiktoken
import torch
"""

_HEAD = '''"""A language model from scratch, from text to samples, with the source of the model.

Run it with `python FILE` where torch and tiktoken are installed. Parts 0.1 to 0.{n_sections} are the model, copied
from Glassbox's library. The numbers in part 1 are the settings this file was made from; change them there. The
chapters named below explain each part.
"""

from __future__ import annotations

{imports}
'''

_TEXT = '''
# 2 · Text becomes token ids (chapter 2)
lines = (DATA / "vocabulary.tiktoken").read_text(encoding="utf-8").splitlines()
tokenizer = tiktoken.Encoding(
    "learned",
    pat_str={pattern!r},
    mergeable_ranks={{base64.b64decode(token): int(rank) for token, rank in map(str.split, lines)}},
    special_tokens={special},
)
END_OF_TEXT = {end}


def token_ids(name: str) -> torch.Tensor:
    """Return the ids of the texts in a JSON file, (N,), each text followed by the end-of-text token."""
    texts = json.loads((DATA / name).read_text(encoding="utf-8"))
    return torch.tensor([i for text in texts for i in (*tokenizer.encode_ordinary(text), END_OF_TEXT)])


train_ids, held_out_ids = token_ids("train.json"), token_ids("held_out.json")
'''

_WRITE = '''

@torch.inference_mode()
def write(prompt: str, n_tokens: int = 120, temperature: float = 0.8) -> str:
    """Return the prompt and the text the model generates after it."""
    ids = tokenizer.encode_ordinary(prompt) or [END_OF_TEXT]
    generator = torch.Generator().manual_seed(1)
    cache = KVCache(MODEL, device=device)
    new = ids
    for _ in range(min(n_tokens, MODEL.context_length - len(ids))):
        logits = model(torch.tensor([new], device=device), cache=cache)[0, -1]
        probabilities = torch.softmax(logits.cpu() / temperature, dim=-1)
        new = torch.multinomial(probabilities, 1, generator=generator).tolist()
        if new == [END_OF_TEXT]:
            break
        ids += new
    return tokenizer.decode(ids)
'''

_SAVE = """
# 6 · Save it, load it again, generate text (chapters 9 and 10)
torch.save(model.state_dict(), OUT)
model.load_state_dict(torch.load(OUT, weights_only=True))
print(write(PROMPT))
"""
