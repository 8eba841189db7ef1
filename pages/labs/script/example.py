"""Chapter 10: the worked example, a script made from the visitor's settings."""

import json

import streamlit as st

from gptcore.account import forward_flops, n_parameters, training_bytes
from gptcore.config import PRESETS
from gptcore.formats import script
from gptcore.runs.request import RunRequest
from pages.kit import controls, words
from pages.kit.units import readable_bytes
from pages.kit.worked_example import Steps

STEPS = (50, 100, 200, 400, 800, 1600, 3200)
RATES = ("0.001", "0.003", "0.01")


@st.fragment
def worked_example() -> None:
    """Choose a shape, a number of steps and a learning rate; show the command, its cost and the script."""
    text = words.load("10_script")
    text.show("example")
    left, right = st.columns(2, gap="large")
    with left:
        steps = controls.value_slider(text.read("example_steps"), "c10_steps", STEPS, 400)
    with right:
        rate = controls.choice(text.read("example_rate"), "c10_rate", RATES, default="0.01")
    nano = PRESETS["nano"]
    config = controls.model_config("c10", nano.model.vocab_size)
    if config is None:
        return
    train = nano.train.replace(seconds=None, steps=steps, learning_rate=float(rate))
    print_steps(text, script.Recipe(model=config, train=train, steps=steps))


def print_steps(text: words.Words, recipe: script.Recipe) -> None:
    """Show the command, the cost and the script of one recipe."""
    config, train = recipe.model, recipe.train
    with Steps(3, key="c10_steps") as open_:
        if open_(text.read("example_command_title")):
            text.show("example_command")
            st.code(command(recipe), language="bash", wrap_lines=True)
        if open_(text.read("example_counts_title")):
            length, batch = config.context_length, train.batch_size * train.accumulation
            text.show("example_counts", batch=batch, length=length, steps=recipe.steps)
            tokens = f"{batch * length * recipe.steps:,}".replace(",", "{,}")
            st.latex(rf"{batch} \cdot {length} \cdot {recipe.steps} = {tokens}")
            weights = n_parameters(config)
            text.show(
                "example_cost",
                weights=weights,
                operations=3.0 * sum(forward_flops(config, length, batch).values()) * recipe.steps,
                memory=readable_bytes(training_bytes(config, train.optimizer)),
                file=readable_bytes(4 * weights),
            )
        if open_(text.read("example_script_title")):
            code = script.script(recipe)
            text.show("example_script", lines=len(code.splitlines()))
            with st.container(height=400, border=True):
                st.code(code, language="python", line_numbers=True, wrap_lines=True)
            text.show("example_parts")
            with st.container(horizontal=True):
                st.download_button(
                    text.read("example_download_script"),
                    code,
                    file_name="glassbox_script.py",
                    mime="text/x-python",
                    key="c10_download_script",
                    icon=":material/download:",
                    on_click="ignore",
                )
                st.download_button(
                    text.read("example_download_notebook"),
                    json.dumps(script.notebook(recipe), ensure_ascii=False, indent=1),
                    file_name="glassbox_notebook.ipynb",
                    mime="application/x-ipynb+json",
                    key="c10_download_notebook",
                    icon=":material/download:",
                    on_click="ignore",
                )


def command(recipe: script.Recipe) -> str:
    """The command that trains the same model."""
    shape = recipe.model.changes_from(PRESETS["nano"].model)
    shape.pop("vocab_size", None)  # the tokenizer decides
    settings = shape | {"learning_rate": recipe.train.learning_rate}
    return RunRequest(steps=recipe.steps, settings=settings).command(out="runs/mine")
