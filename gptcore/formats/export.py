"""Writing a saved model or a run in another format."""

from pathlib import Path

from gptcore.formats import gguf_export, hf_folder, script
from gptcore.formats.model_card import model_card
from gptcore.formats.models import load_with_tokenizer
from gptcore.formats.standalone import write_standalone


def _gguf(folder: str | Path, out: str | Path, kind: str | None) -> Path:
    return gguf_export.export_gguf(*load_with_tokenizer(folder), out, kind or "f32")


def _hf(folder: str | Path, out: str | Path) -> Path:
    model, tokenizer = load_with_tokenizer(folder)
    return hf_folder.export_hf(model, tokenizer, out, model_card(model.config, folder, Path(out).name))


def _script(folder: str | Path, out: str | Path) -> Path:
    return script.write_recipe(script.recipe_of_run(folder), "script", out)


def _notebook(folder: str | Path, out: str | Path) -> Path:
    return script.write_recipe(script.recipe_of_run(folder), "notebook", out)


SUFFIXES = {
    ".py": "script",
    ".ipynb": "notebook",
    ".gguf": "gguf",
}  # what the suffix of a file says of its format
WRITERS = {"gguf": _gguf, "hf": _hf, "script": _script, "notebook": _notebook}  # by the word after `--to`


def export(
    folder: str | Path, to: str | None, out: str | Path, kind: str | None = None, *, standalone: bool = False
) -> Path:
    """Write a model as `to`: a Hugging Face folder, a GGUF file, a script or a notebook; return what was written.

    Without `to` the suffix of `out` says the format; `kind` is the number format of a GGUF file; a `standalone`
    script or notebook has the model's source in it, and its data in a folder beside it. Raises ValueError for a suffix
    that says another format, a folder that holds no model, a part the format does not have, and an `out` that exists.
    """
    to = checked_format(to, out)
    if standalone and to not in ("script", "notebook"):
        raise ValueError(f"--standalone is for --to script and --to notebook; leave it out with --to {to}")
    if to == "gguf":
        return _gguf(folder, out, kind)
    if kind is not None:
        raise ValueError(f"--type {kind} is for --to gguf; leave it out with --to {to}")
    return write_standalone(folder, to, out) if standalone else WRITERS[to](folder, out)


def checked_format(to: str | None, out: str | Path) -> str:
    """Return the format that is meant; raises ValueError where nothing names it, or two things name two."""
    suffix = Path(out).suffix.lower()
    named = SUFFIXES.get(suffix)
    if to is None and named is None:
        raise ValueError(f"nothing says in which format to write {out}; add --to {', --to '.join(WRITERS)}")
    if to is not None and named not in (None, to):
        raise ValueError(f"{suffix} is the suffix of a {named} and not of --to {to}; change one of the two")
    return to or named
