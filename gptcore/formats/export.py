"""Writing a saved model or a run in another format."""

from pathlib import Path

from gptcore.formats import hf_folder, script
from gptcore.formats.models import load_with_tokenizer


def _hf(folder: str | Path, out: str | Path) -> Path:
    return hf_folder.export_hf(*load_with_tokenizer(folder), out)


def _script(folder: str | Path, out: str | Path) -> Path:
    return script.write_recipe(script.recipe_of_run(folder), "script", out)


def _notebook(folder: str | Path, out: str | Path) -> Path:
    return script.write_recipe(script.recipe_of_run(folder), "notebook", out)


WRITERS = {"hf": _hf, "script": _script, "notebook": _notebook}  # by the word after `--to`


def export(folder: str | Path, to: str, out: str | Path) -> Path:
    """Write the model in a folder as `to`: a Hugging Face folder, a script or a notebook; return what was written.

    Raises ValueError for a folder that holds no model, a part the format does not have, and an `out` that exists.
    """
    return WRITERS[to](folder, out)
