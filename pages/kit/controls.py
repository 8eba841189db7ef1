"""Widgets that belong together, as one function that returns what they describe.

Every widget is bound to the URL under its key, so a link opens the same view; what a link may ask for is
checked just before the widget is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from gptcore.config import FEEDFORWARDS, NORMS, POSITIONS, PRESETS, ConfigError, ModelConfig
from gptcore.generation.sampling import Sampling
from gptcore.runs.limits import Limits
from pages.kit import escape, links
from pages.kit.renamed_values import RENAMED

# The first dial: one word for a whole shape. "nano" is the preset of the same name.
_NANO = PRESETS["nano"].model
SIZES: dict[str, dict[str, int]] = {
    "pico": {"d_model": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "d_ff": 96},
    "micro": {"d_model": 64, "n_layers": 3, "n_heads": 4, "n_kv_heads": 2, "d_ff": 192},
    "nano": {
        "d_model": _NANO.d_model,
        "n_layers": _NANO.n_layers,
        "n_heads": _NANO.n_heads,
        "n_kv_heads": _NANO.n_kv_heads,
        "d_ff": _NANO.d_ff,
    },
    "milli": {"d_model": 192, "n_layers": 6, "n_heads": 6, "n_kv_heads": 2, "d_ff": 576},
    "centi": {"d_model": 256, "n_layers": 8, "n_heads": 8, "n_kv_heads": 4, "d_ff": 768},
}


@dataclass(frozen=True, slots=True)
class Dial:
    """A slider for one field of a config: its label and the values it may take."""

    label: str
    low: int
    high: int
    step: int
    help: str


DIALS = {
    "d_model": Dial("Width, d_model", 8, 512, 2, "Length of the residual stream vector of each token."),
    "n_layers": Dial("Layers, n_layers", 1, 16, 1, "Number of transformer blocks."),
    "n_heads": Dial("Query heads, n_heads", 1, 16, 1, "Attention heads per layer. Must divide d_model."),
    "n_kv_heads": Dial(
        "Key/value heads, n_kv_heads",
        1,
        16,
        1,
        "With fewer than query heads, several query heads share each one (GQA).",
    ),
    "d_ff": Dial("Feed-forward width, d_ff", 8, 2048, 8, "Hidden width of the feed-forward layer."),
    "context_length": Dial(
        "Context, context_length", 16, 512, 16, "Maximum number of tokens the model attends to."
    ),
}
PARTS: dict[str, tuple[str, Sequence[str]]] = {
    "norm": ("Norm", tuple(NORMS)),
    "ffn": ("Feed-forward", tuple(FEEDFORWARDS)),
    "position": ("Positions", tuple(POSITIONS)),
}


def integer(label: str, key: str, dial: Dial, default: int, *, first: int | None = None, **more: Any) -> int:
    """A slider over whole numbers, bound to the URL, with the link's value checked.

    A lab's Reset sets it to `default`, which it also begins at unless `first` is another value.
    """
    bind = links.check(key, links.Number(dial.low, dial.high, dial.step), default)
    return st.slider(
        label,
        dial.low,
        dial.high,
        default if first is None else first,
        dial.step,
        key=key,
        bind=bind,
        help=dial.help,
        disabled=links.locked(key),
        **more,
    )


def number(
    label: str, key: str, low: float, high: float, default: float, step: float, help: str, **more: Any
) -> float:
    """A slider over numbers with a point, bound to the URL, with the link's value checked."""
    bind = links.check(key, links.Number(low, high, step), default)
    return st.slider(
        label,
        low,
        high,
        default,
        step,
        key=key,
        bind=bind,
        help=help,
        disabled=links.locked(key),
        **more,
    )


def choice(
    label: str, key: str, options: Sequence[str], *, default: str | None = None, help: str | None = None
) -> str:
    """One of a few words, the first by default, bound to the URL, with the link's value checked."""
    options = list(options)
    default = default or options[0]
    rule = links.Choice(options, RENAMED.get(key, {}))
    renamed = links.rename(key, rule)
    bind = links.check(key, rule, default)
    return st.segmented_control(
        label,
        options,
        default=None if renamed else default,  # Streamlit warns of a default next to a value that is set
        required=True,
        key=key,
        bind=bind,
        help=help,
        wrap=True,
        disabled=links.locked(key),
    )


def dropdown(
    label: str, key: str, options: Sequence[str], *, default: str | None = None, help: str | None = None
) -> str:
    """One of many words from a list that opens, bound to the URL, with the link's value checked."""
    options = list(options)
    default = default or options[0]
    rule = links.Choice(options, RENAMED.get(key, {}))
    index, bound = options.index(default), links.Bound(key, rule, default)
    if links.rename(key, rule):
        index = 0
    chosen = st.session_state.get(key, default)
    if chosen not in options:  # chosen while another model or text was in use
        # Set, and not forgotten: the browser goes on showing a value until it is told another one. Streamlit warns of
        # an index next to a value that is set, though not of the first.
        st.session_state[key], index = default, 0
    if chosen not in options and links.gives(key, chosen):  # no link asked for it: nothing to tell
        links.watch(bound)
        bind = "query-params"
    else:
        bind = links.check(bound.key, bound.rule, default)
    return st.selectbox(
        label,
        options,
        index,
        key=key,
        bind=bind,
        help=help,
        disabled=links.locked(key),
    )


def matrix_cell(n_rows: int, n_columns: int, key: str, label: str) -> tuple[int, int]:
    """Choose one cell of a matrix, row and column; it lives in the URL as ?key=2,1, counted from 1."""
    options = [f"{row},{column}" for row in range(1, n_rows + 1) for column in range(1, n_columns + 1)]
    row, column = dropdown(label, key, options).split(",")
    return int(row) - 1, int(column) - 1


def value_slider(
    label: str, key: str, options: Sequence[int], default: int, *, help: str | None = None
) -> int:
    """A slider that stops at these values only, such as powers of two; bound to the URL."""
    options = list(options)
    bind = links.check(key, links.Choice([str(option) for option in options]), default)
    return st.select_slider(
        label, options, default, key=key, bind=bind, help=help, disabled=links.locked(key)
    )


def switch(label: str, key: str, default: bool = False, *, help: str | None = None) -> bool:
    """On or off, bound to the URL, with the link's value checked."""
    bind = links.check(key, links.Switch(), default)
    return st.toggle(label, default, key=key, bind=bind, help=help, disabled=links.locked(key))


def search_field(label: str, key: str, placeholder: str, longest: int = 60) -> str:
    """A field to search in, bound to the URL; returns what is typed there, empty where nothing is."""
    bind = links.check(key, links.Text(longest), "")
    typed = st.text_input(
        label,
        key=key,
        type="search",
        bind=bind,
        max_chars=longest,
        placeholder=placeholder,
        disabled=links.locked(key),
    )
    return typed or ""


def seed(key: str, default: int = 1) -> int:
    """The seed of a random draw."""
    bind = links.check(key, links.Number(0, 999_999), default)
    return st.number_input(
        "Seed",
        0,
        999_999,
        default,
        1,
        key=key,
        bind=bind,
        help="The same seed and settings give the same result.",
    )


def model_config(prefix: str, vocab_size: int) -> ModelConfig | None:
    """The shape the visitor has chosen, or None if it is invalid, with an error on the page.

    `prefix` begins every key ("c8" gives ?c8_size=…), so that chapters do not share sliders.
    """
    size_key = f"{prefix}_size"
    sizes = list(SIZES)
    bind = links.check(size_key, links.Choice(sizes), "nano")
    size = st.select_slider(
        "Size",
        sizes,
        "nano",
        key=size_key,
        bind=bind,
        on_change=_follow_size,
        args=(prefix,),
        help="Sets the sliders under “More” to a preset.",
    )
    nano, shape = ({"context_length": _NANO.context_length, **SIZES[name]} for name in ("nano", size))
    values: dict[str, Any] = {}
    with links.show_refusals_here(), st.expander("More: nine sliders and switches", icon=":material/tune:"):
        columns = st.columns(2)
        for index, (field, dial) in enumerate(DIALS.items()):
            with columns[index % 2]:
                values[field] = integer(
                    dial.label, f"{prefix}_{field}", dial, nano[field], first=shape[field]
                )
        for field, (label, options) in PARTS.items():
            values[field] = choice(label, f"{prefix}_{field}", options)
    try:
        return ModelConfig(vocab_size=vocab_size, **values)
    except ConfigError as error:
        explain_refusal(error, prefix, vocab_size, values)
        return None


def _follow_size(prefix: str) -> None:
    for field, value in SIZES[st.session_state[f"{prefix}_size"]].items():
        st.session_state[f"{prefix}_{field}"] = value


def explain_refusal(error: ConfigError, prefix: str, vocab_size: int, values: dict[str, Any]) -> None:
    """Show the rule that was broken, and the nearest legal values as buttons."""
    st.error(escape.sentence(f"This shape is not valid: {error}."), icon=":material/block:")
    with st.container(horizontal=True):
        for field, value in nearest_legal(vocab_size, values):
            st.button(
                f"{field} = {value}",
                key=f"{prefix}_repair_{field}_{value}",
                on_click=_set,
                args=(f"{prefix}_{field}", value),
            )


def _set(key: str, value: int) -> None:
    st.session_state[key] = value


def nearest_legal(vocab_size: int, values: dict[str, Any], most: int = 6) -> list[tuple[str, int]]:
    """Single changes that make a shape legal: for each field the next legal value below and above."""

    def legal(field: str, value: int) -> bool:
        try:
            ModelConfig(vocab_size=vocab_size, **{**values, field: value})
        except ConfigError:
            return False
        return True

    repairs: list[tuple[float, str, int]] = []
    for field in ("n_heads", "n_kv_heads", "d_model"):
        dial, now = DIALS[field], values[field]
        below = range(now - dial.step, dial.low - 1, -dial.step)
        above = range(now + dial.step, dial.high + 1, dial.step)
        for side in (below, above):
            legal_value = next((value for value in side if legal(field, value)), None)
            if legal_value is not None:
                repairs.append((abs(legal_value - now) / now, field, legal_value))
    return [(field, value) for _, field, value in sorted(repairs)[:most]]


@dataclass(frozen=True, slots=True)
class CorpusChoice:
    """What a run is to read: `source` is stories, paste or upload; `text` the bytes of the last two."""

    source: str
    text: bytes | None = None
    name: str = "stories"


def pasted(prefix: str, text: str | None = None) -> CorpusChoice:
    """The pasted text. For callbacks without `text`: it may have arrived with the very click that calls them."""
    text = st.session_state.get(f"{prefix}_paste", "") if text is None else text
    return CorpusChoice("paste", text.encode(), "your text")


def corpus_choice(prefix: str) -> CorpusChoice:
    """The built-in stories, a pasted text or an uploaded file. The text is checked when a run starts."""
    source = choice(
        "Training text",
        f"{prefix}_corpus",
        ("stories", "paste", "upload"),
        help="The stories come from a known grammar, so the app can measure what the model has learned.",
    )
    if source == "paste":
        # Pasted text stays out of the URL: it is long, and it is the visitor's own.
        text = st.text_area(
            "Your text",
            key=f"{prefix}_paste",
            persist_state="session",
            height=160,
            placeholder="Paste at least a few pages.",
        )
        return pasted(prefix, text)
    if source == "upload":
        largest = Limits.from_environment().file_widget_mb
        file = st.file_uploader(
            "Text file",
            type=("txt", "md", "jsonl", "csv"),
            key=f"{prefix}_upload",
            max_upload_size=largest,
            help="Plain text, or a table in which one column holds text: then each row is a document.",
        )
        return CorpusChoice("upload", file.getvalue(), file.name) if file else CorpusChoice("upload")
    return CorpusChoice("stories")


def sampling(prefix: str) -> tuple[Sampling, int]:
    """The sampling controls and the seed: temperature first, the rest behind "more"."""
    temperature = number(
        "Temperature",
        f"{prefix}_temperature",
        0.0,
        2.0,
        0.8,
        0.05,
        "0 always takes the most likely token. 1 samples from the model's probabilities. Above 1 flattens them.",
    )
    with links.show_refusals_here(), st.expander("More: filters and seed", icon=":material/tune:"):
        top_k = integer(
            "Top-k (0 = off)",
            f"{prefix}_top_k",
            Dial("", 0, 100, 1, "Keeps the k most likely tokens."),
            0,
        )
        top_p = number(
            "Top-p (1 = off)",
            f"{prefix}_top_p",
            0.05,
            1.0,
            1.0,
            0.05,
            "Keeps the most likely tokens until their probabilities sum to p.",
        )
        min_p = number(
            "Min-p (0 = off)",
            f"{prefix}_min_p",
            0.0,
            0.5,
            0.0,
            0.01,
            "Keeps tokens with at least this fraction of the highest probability.",
        )
        penalty = number(
            "Repetition penalty (1 = off)",
            f"{prefix}_penalty",
            1.0,
            2.0,
            1.0,
            0.05,
            "Makes tokens that are already in the text less likely.",
        )
        drawn = seed(f"{prefix}_seed", 0)
    chosen = Sampling(
        temperature=temperature,
        top_k=top_k or None,
        top_p=top_p if top_p < 1 else None,
        min_p=min_p or None,
        repetition_penalty=penalty,
    )
    return chosen, drawn
