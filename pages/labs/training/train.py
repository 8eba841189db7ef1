"""Chapter 8: train a model, watch its curves, and compare runs."""

import streamlit as st

from gptcore.account import n_parameters, training_bytes
from gptcore.config import PRESETS, ModelConfig, TrainConfig
from gptcore.corpora.text_files import as_one_text
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run
from pages.kit import (
    controls,
    escape,
    event_log,
    lab,
    lab_runs,
    links,
    live,
    room,
    run_comparison,
    session,
    words,
)
from pages.kit.controls import CorpusChoice

NANO = PRESETS["nano"].model
VOCABULARY = controls.Dial(
    "Vocabulary", 300, 8192, 4, "Number of tokens. The first 256 are bytes, the others are merges."
)
SECONDS = (5, 10, 20, 30, 60, 120, 300, 600)
_PROBLEM = "c8_problem"


@st.fragment
def train_here() -> None:
    """Choose a text, a size and a training time, start the run and watch it."""
    text = words.load("08_training")
    with lab.frame("c8_train", text.read("lab_train_title")):
        text.show("lab_train")
        _start_here(text)
        _on_view(text)
        predict(text)


def _start_here(text: words.Words) -> None:
    """Show the choices, the memory they take, and the start button with the state of the run beside it."""
    source, shape, duration = st.columns(3, gap="medium")
    with source:
        corpus = controls.corpus_choice("c8")
        vocab_size = NANO.vocab_size
        if corpus.source != "stories":
            vocab_size = controls.integer(VOCABULARY.label, "c8_vocab_size", VOCABULARY, NANO.vocab_size)
    with shape:
        config = controls.model_config("c8", vocab_size)
    with duration:
        bind = links.check("c8_seconds", links.Choice([str(value) for value in SECONDS]), 60)
        seconds = st.select_slider(
            "Training time (seconds)",
            SECONDS,
            60,
            key="c8_seconds",
            bind=bind,
            help=text.read("seconds_help"),
        )
        seed = controls.seed("c8_seed")
    if config is not None:
        with source:
            state = training_bytes(config, PRESETS["nano"].train.optimizer)
            text.show("cost", parameters=n_parameters(config), megabytes=state / 1e6)
            with st.expander(text.read("cost_title"), icon=":material/terminal:"):
                text.show("cost_more")
                command = request_for(config, corpus, seconds, seed).command()
                st.code(command, language="bash", wrap_lines=True)
    button, state = lab_runs.button_and_state()
    with state:
        if problem := st.session_state.get(_PROBLEM):
            st.error(escape.sentence(problem), icon=":material/error:")
        if run := own_run():
            live.run_status(run, "c8")
        found = _obstacles(config, corpus, seconds, seed)
        room.show(found, "c8", replays=True)
    button.button(
        "Start training",
        key="c8_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=config is None or found.lack is not None,
        help=text.read("start_help"),
        on_click=_start,
        args=(config, corpus, seconds, seed),
        width="stretch",
    )


def _obstacles(config: ModelConfig | None, corpus: CorpusChoice, seconds: int, seed: int) -> room.Obstacles:
    """What keeps the run from beginning at once."""
    if config is None:
        return room.Obstacles()
    return room.obstacles(lambda: [request_for(config, corpus, seconds, seed)])


def predict(text: words.Words) -> None:
    """Ask when sentences become grammatical, and answer from the shipped model's run."""
    history = event_log.shipped()
    losses = list(zip(history.eval_steps, history.val_loss))
    scored = [sample for sample in history.samples if sample.get("ladder")]
    half_right = next((sample for sample in scored if (sample["ladder"]["rate"] or 0) >= 0.5), None)
    if half_right is None or len(losses) < 2:
        return
    loss = min(losses, key=lambda point: abs(point[0] - half_right["step"]))[1]
    share = (losses[0][1] - loss) / (losses[0][1] - losses[-1][1])
    lab.predict(
        "c8_train",
        text.read("lab_train_predict"),
        (text.read("lab_train_before"), text.read("lab_train_after"), text.read("lab_train_end")),
        right=1 if share > 0.5 else 0,
        because=text.read("lab_train_because", step=half_right["step"], share=share),
    )


def own_run() -> Run | None:
    """The displayed run, unless a lab started it."""
    run = session.run_on_view()
    return None if run is None or run.request().get("lab") else run


def use_own_run() -> None:
    """Offer the displayed run's model for use or download. Not a fragment, because the sidebar changes too."""
    if run := own_run():
        live.use_or_download(run.id, "c8")


def _on_view(text: words.Words) -> None:
    """Draw the curves of the displayed run, or of the shipped model's run, and explain how to read them."""
    if live.is_replaying("c8"):
        live.replay_view("c8")
    elif run := own_run():
        live.run_curves(run, "c8")
    elif event_log.shipped().start:
        st.caption(text.read("lab_shipped_run"))
        live.shipped_view("c8")
    with st.expander(text.read("lab_look_title"), icon=":material/help:"):
        text.show("lab_look")


def request_for(
    config: ModelConfig, corpus: CorpusChoice, seconds: int, seed: int, file: str = "FILE"
) -> RunRequest:
    """The request that trains this model on this text, which is in `file` unless it is built in."""
    source = "stories" if corpus.source == "stories" else file
    return RunRequest.of(config, _training(seconds, seed), corpus=source)


def _training(seconds: int, seed: int) -> TrainConfig:
    """The preset's training, for as long as was chosen."""
    length = {"steps": None, "seconds": float(seconds), "seed": seed}
    return PRESETS["nano"].train.replace(**length, **lab_runs.page_settings())


def _start(config: ModelConfig, corpus: CorpusChoice, seconds: int, seed: int) -> None:
    """Start the run and display it, or keep the error message. For callbacks."""
    if corpus.source == "paste":
        corpus = controls.pasted("c8")
    live.stop_replay("c8")
    st.session_state[_PROBLEM] = start(config, corpus, seconds, seed)


def start(config: ModelConfig, corpus: CorpusChoice, seconds: int, seed: int) -> str | None:
    """Start the run and display it; return an error message, or None."""
    try:
        file = ""
        if corpus.source != "stories":
            if not corpus.text:
                return words.load("08_training").read("no_text")
            text = as_one_text(
                corpus.text, corpus.name
            )  # what is not text is refused here, not in the child process
            file = str(session.save_text(text))
        name = (
            corpus.name if corpus.source == "upload" else ""
        )  # the file of the text is named after its hash
        session.start_run(request_for(config, corpus, seconds, seed, file), name=name)
    except ValueError as error:
        return str(error)
    return None


@st.fragment
def compare_my_runs() -> None:
    """Compare the reader's own runs: losses, texts, and every setting in which they differ."""
    text = words.load("08_training")
    if len(session.my_runs()) < 2:
        text.show("lab_compare_none")
        return
    text.show("lab_compare")
    run_comparison.compare_runs()
