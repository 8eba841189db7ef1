"""Chapter 10: the finding at its top, the script made from the visitor's settings, and the whole road."""

import json
from itertools import pairwise

import streamlit as st

from gptcore.account import forward_flops, n_parameters, training_bytes
from gptcore.config import PRESETS, ConfigError
from gptcore.formats import script
from gptcore.runs.request import RunRequest
from pages.kit import controls, diagram, dim_colors, event_log, figures, models, plots, session, words
from pages.kit.worked_example import Steps
from pages.labs.attention.cost import size
from pages.labs.script import cached

STEPS = (50, 100, 200, 400, 800, 1600, 3200)
RATES = ("0.001", "0.003", "0.01")


def finding() -> None:
    """The one thing to see: another program with the same weights gives the same numbers."""
    text = words.load("10_script")
    lines, found = cached.own_class_differences()
    text.show("finding", lines=lines, tensors=len(found))
    picture = plots.curves(
        list(range(1, len(found) + 1)),
        {"largest difference": [max(far, 1e-9) for _, far in found]},
        x_title="tensor, from the embedding to the logits",
        y_title=text.read("finding_chart"),
        log_y=True,
        y_range=(1e-9, 1.0),
        height=250,
        lines=(),
        revision="finding",
    )
    picture.figure.update_traces(
        text=[name for name, _ in found],
        hovertemplate="%{text}: %{y:.1e}<extra></extra>",
        mode="lines+markers",
    )
    picture.figure.update_yaxes(exponentformat="power", dtick=2)
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    left.plotly_chart(picture.figure, key="c10_finding", config=figures.CONFIG, alt=picture.alt)
    with side:
        text.show("finding_says", largest=max(far for _, far in found))


@st.fragment
def worked_example() -> None:
    """A shape, a length, a rate: the command, what it costs, and the script."""
    text = words.load("10_script")
    text.show("example")
    left, right = st.columns(2, gap="large")
    with left:
        steps = controls.stops(text.read("example_steps"), "c10_steps", STEPS, 400)
    with right:
        rate = controls.choice(text.read("example_rate"), "c10_rate", RATES, default="0.01")
    nano = PRESETS["nano"]
    config = controls.model_config("c10", nano.model.vocab_size)
    if config is None:
        return
    train = nano.train.replace(seconds=None, steps=steps, learning_rate=float(rate))
    print_steps(text, script.Recipe(model=config, train=train, steps=steps))


def print_steps(text: words.Words, made) -> None:
    """Command, numbers and script of one recipe."""
    config, train, open_ = made.model, made.train, Steps(3)
    if open_(text.read("example_command_title")):
        text.show("example_command")
        st.code(command(made), language="bash", wrap_lines=True)
    if open_(text.read("example_counts_title")):
        length, batch = config.context_length, train.batch_size * train.accumulation
        text.show("example_counts", batch=batch, length=length, steps=made.steps)
        tokens = f"{batch * length * made.steps:,}".replace(",", "{,}")
        st.latex(rf"{batch} \cdot {length} \cdot {made.steps} = {tokens}")
        weights = n_parameters(config)
        text.show(
            "example_cost",
            weights=weights,
            operations=3.0 * sum(forward_flops(config, length, batch).values()) * made.steps,
            memory=size(training_bytes(config)),
            file=size(4 * weights),
        )
    if open_(text.read("example_script_title")):
        code = script.script(made)
        text.show("example_script", lines=len(code.splitlines()))
        with st.container(height=460, border=True):
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
                json.dumps(script.notebook(made), ensure_ascii=False, indent=1),
                file_name="glassbox_notebook.ipynb",
                mime="application/x-ipynb+json",
                key="c10_download_notebook",
                icon=":material/download:",
                on_click="ignore",
            )


def command(made: script.Recipe) -> str:
    """The line in a terminal that trains the same model."""
    shape = made.model.changes_from(PRESETS["nano"].model)
    shape.pop("vocab_size", None)  # the tokenizer decides
    settings = shape | {"learning_rate": made.train.learning_rate}
    return RunRequest(steps=made.steps, settings=settings).command(out="runs/mine")


def flow() -> None:
    """From text to text: every station of the script, with the shapes of the model in use."""
    text = words.load("10_script")
    text.show("diagram")
    config = session.model_in_use().model.config
    sizes, t = dim_colors.sizes_of(config), config.context_length
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("text", "text: stories, a book, yours"),
        node("bpe", "tokenizer (2)", "step"),
        node("windows", "windows of token ids", sizes={"T": t}),
        node("table", "embedding (3)", "weight", {"V": sizes["V"], "C": sizes["C"]}),
        node("blocks", f"{sizes['L']} blocks (4, 5, 6)", "weight", {"C": sizes["C"], "F": sizes["F"]}),
        node("out", "output layer (7)", "weight", {"C": sizes["C"], "V": sizes["V"]}),
        node("logits", "logits", sizes={"T": t, "V": sizes["V"]}),
        node("loss", "loss, gradient, one step (8)", "step"),
        node("files", "config, weights, tokenizer (10)"),
        node("draw", "draw the next token (9)", "step"),
        node("new", "new text"),
    ]
    road = ("text", "bpe", "windows", "table", "blocks", "out", "logits")
    edges = [
        *(edge(a, b) for a, b in pairwise(road)),
        edge("logits", "loss", "while training"),
        edge("loss", "blocks", "moves the weights"),
        edge("out", "files", "save"),
        edge("logits", "draw", "while writing"),
        edge("draw", "new"),
        edge("draw", "windows", "goes on from it"),
    ]
    diagram.flowchart(nodes, edges, alt="The whole script from text to text")


def scale_up() -> None:
    """What to change for a GPU and for several."""
    text = words.load("10_script")
    text.show("lab_scale", small=n_parameters(PRESETS["small"].model))
    st.code(
        RunRequest(preset="small", corpus="FILE").command(out="runs/small", n_processes=2),
        language="bash",
        wrap_lines=True,
    )
    text.show("lab_scale_note")


def take_along() -> None:
    """What was trained here, and the model in use as a script, a notebook or a folder for others."""
    text = words.load("10_script")
    text.show("lab_take")
    runs = [run for run in session.runs() if session.has_model(run)]
    if runs:
        histories = [event_log.read(run.folder) for run in runs]
        st.dataframe(
            {
                text.read("lab_take_run"): [session.label(run) for run in runs],
                text.read("lab_take_steps"): [one.last_step for one in histories],
                text.read("lab_take_loss"): [one.val_loss[-1] if one.val_loss else None for one in histories],
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
        made = script.of_run(use.path)
    except ValueError as error:  # a model of another make has no settings of ours
        st.error(str(error), icon=":material/block:")
        return
    with st.container(horizontal=True):
        for kind, data, ending in (
            ("script", lambda: script.script(made), "py"),
            ("notebook", lambda: json.dumps(script.notebook(made), ensure_ascii=False, indent=1), "ipynb"),
        ):
            st.download_button(
                text.read("lab_take_script") if kind == "script" else text.read("lab_take_notebook"),
                data,
                file_name=f"glassbox_{kind}.{ending}",
                key=f"c10_take_{kind}",
                icon=":material/download:",
                on_click="ignore",
            )
        hugging_face(text, use)
    text.show("lab_take_says")


def hugging_face(text: words.Words, use) -> None:
    """The model in use as a folder that transformers loads, or why it has no place there."""
    from gptcore.formats.hf_weights import check_exportable

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
