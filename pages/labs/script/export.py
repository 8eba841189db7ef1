"""Chapter 10: export the model in use as a script, a notebook or a Hugging Face folder, and train on GPUs."""

import json

import streamlit as st

from gptcore.account import n_parameters
from gptcore.config import PRESETS, ConfigError
from gptcore.formats import script
from gptcore.formats.hf_weights import check_exportable
from gptcore.runs.request import RunRequest
from pages.kit import escape, event_log, models, session, words


def scale_up() -> None:
    """Show what to change for one GPU, and for several."""
    text = words.load("10_script")
    text.show("lab_scale", small=n_parameters(PRESETS["small"].model))
    st.code(
        RunRequest(preset="small", corpus="FILE").command(out="runs/small", n_processes=2),
        language="bash",
        wrap_lines=True,
    )
    text.show("lab_scale_note")


def export_model() -> None:
    """List the runs trained here, and export the model in use as a script, a notebook or a Hugging Face folder."""
    text = words.load("10_script")
    text.show("lab_take")
    runs = [run for run in session.my_runs() if session.has_model(run)]
    if runs:
        histories = [event_log.read(run.folder) for run in runs]
        st.dataframe(
            {
                text.read("lab_take_run"): [session.run_label(run) for run in runs],
                text.read("lab_take_steps"): [history.last_step for history in histories],
                text.read("lab_take_loss"): [
                    history.val_loss[-1] if history.val_loss else None for history in histories
                ],
            },
            hide_index=True,
            key="c10_take_runs",
            alt=text.read("lab_take_alt"),
        )
    else:
        text.show("lab_take_none")
    use = session.model_in_use()
    text.show("lab_take_model", name=session.model_label(use))
    try:
        recipe = script.recipe_of_run(use.path)
    except ValueError as error:  # an imported model has no training settings of ours
        st.error(escape.sentence(str(error)), icon=":material/block:")
        return
    with st.container(horizontal=True):
        for kind, data, ending in (
            ("script", lambda: script.script(recipe), "py"),
            ("notebook", lambda: json.dumps(script.notebook(recipe), ensure_ascii=False, indent=1), "ipynb"),
        ):
            st.download_button(
                text.read("lab_take_script") if kind == "script" else text.read("lab_take_notebook"),
                data,
                file_name=f"glassbox_{kind}.{ending}",
                key=f"c10_take_{kind}",
                icon=":material/download:",
                on_click="ignore",
            )
        hugging_face_folder(text, use)
    text.show("lab_take_says")


def hugging_face_folder(text: words.Words, use) -> None:
    """Offer the model in use as a Hugging Face folder, or disable the button and say why."""
    problem = ""
    try:
        check_exportable(use.config)
    except ConfigError as error:
        problem = str(error)
    st.download_button(
        text.read("lab_take_folder"),
        b"" if problem else lambda: models.as_llama(use),
        file_name="glassbox_hf.zip",
        mime="application/zip",
        key="c10_take_folder",
        icon=":material/folder_zip:",
        on_click="ignore",
        disabled=bool(problem),
        help=problem or None,
    )
