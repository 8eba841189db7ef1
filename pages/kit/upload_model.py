"""A visitor's own model: files from their machine, checked and kept, then in use on every page."""

import streamlit as st

from gptcore.runs.limits import Limits
from pages.kit import escape, session, visitor

_PROBLEM = "bring_problem"  # session state: why the last try came to nothing
_FRESH = "bring_round"  # counts up, so that an uploader whose files were used stands empty again
LOCAL = ("localhost", "127.0.0.1", "::1")


def form() -> None:
    """The control with which a visitor brings a model; it is in use as soon as it has been checked.

    Paths on the server are offered only on a local server.
    """
    limits = Limits.from_environment()
    version = st.session_state.setdefault(_FRESH, 0)
    files = st.file_uploader(
        "Zip file of the model folder, or its files",
        type=["zip", "safetensors", "json", "gguf"],
        accept_multiple_files=True,
        key=f"bring_files_{version}",
        max_upload_size=limits.file_widget_mb,
        help=f"A Hugging Face folder of a Llama-style model (Llama 3, Mistral, Qwen) with tokenizer.json, or a model "
        f"saved here: config.json, model.safetensors, tokenizer.json. Or one GGUF file. "
        f"Up to {limits.parameters:,} parameters.",
    )
    path = ""
    if visitor.is_local() and st.get_option("server.address") in LOCAL:
        path = st.text_input("Or the path of a folder on this machine", key=f"bring_path_{version}").strip()
    st.button(
        "Use this model",
        key="bring_go",
        on_click=_bring,
        args=(files, path),
        disabled=not (files or path),
        width="stretch",
    )
    problem = st.session_state.pop(_PROBLEM, None)
    if problem:
        st.error(escape.sentence(problem))


def _bring(files: list, path: str) -> None:
    # In a callback: the model must be there before the sidebar lists the models.
    from gptcore.runs import model_uploads  # brings torch, for which the first words of chapter 0 do not wait

    try:
        owner = visitor.visitor_id()
        if files:
            name = files[0].name.removesuffix(".zip") if len(files) == 1 else ""
            run = model_uploads.import_upload([(file.name, file) for file in files], name=name, owner=owner)
        else:
            run = model_uploads.import_folder(path, owner=owner)
    except ValueError as error:
        st.session_state[_PROBLEM] = str(error)
        return
    st.session_state[_FRESH] += 1
    session.use_model(run.id)
