"""A lab: a question, controls, live numbers; predict first, then see.

    @st.fragment
    def spread() -> None:
        with lab.frame("c5_scale", text.read("lab_scale_title")):
            d = controls.value_slider(…, "c5_scale_d", …)
            …the picture…
            lab.predict("c5_scale", text.read("lab_scale_predict"), options, right=1, because=…)

`panes` puts controls and picture next to each other, so that one screen shows a control, its effect and the
explanation. What stands inside `frame` is watched: its bound widgets can be reset, varied at random and put into a
link.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.kit import links, progress, prompt
from pages.kit.links import Bound

_LINK_CSS = """
.copy { font: inherit; font-family: var(--st-font); font-size: 0.9rem; color: var(--st-text-color);
  background: none; border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 0.5rem);
  min-height: 2.5rem; padding: 0.25rem 0.75rem; cursor: pointer; white-space: nowrap; }
.copy:hover, .copy:focus-visible { border-color: var(--st-primary-color); color: var(--st-link-color); }
.shown { font: inherit; width: 100%; margin-top: 0.3rem; box-sizing: border-box; }
"""
_LINK_JS = """
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button")
  const shown = parentElement.querySelector("input")
  button.textContent = data.label
  button.onclick = async () => {
    const link = new URL(window.location.href)
    for (const [name, value] of Object.entries(data.view)) link.searchParams.set(name, value)
    if (data.anchor) link.hash = data.anchor
    try {
      await navigator.clipboard.writeText(link.href)
      button.textContent = data.done
      setTimeout(() => { button.textContent = data.label }, 2500)
    } catch {
      shown.hidden = false; shown.value = link.href; shown.select()
    }
    button.dataset.link = link.href
  }
}
"""
_LINK = st.components.v2.component(
    "glassbox_copy_link",
    html="""<button class="copy" type="button">Copy link</button>
<input class="shown" hidden readonly aria-label="The link">""",
    css=_LINK_CSS,
    js=_LINK_JS,
)


def copy_link(view: Mapping[str, str], *, key: str, label: str = "Copy link to this view", anchor="") -> None:
    """A button that copies the page's address with these values in it, defaults included."""
    data = {"view": dict(view), "label": label, "done": "Link copied", "anchor": anchor}
    _LINK(key=key, data=data, width="content")


@contextmanager
def frame(name: str, title: str) -> Iterator[None]:
    """A frame around a lab: its title above, and buttons to reset it, randomize it and copy its link below.

    `name` begins the key of each widget inside, as "c5_scale" does "c5_scale_d".
    """
    with st.container(border=True, key=f"{name}_bench"):
        st.subheader(title, anchor=name)
        with links.watched() as bound:
            yield
        _toolbar(name, bound)


def panes() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two columns of a lab: its controls with what they say, and beside them its picture; stacked on a phone."""
    controls_pane, picture_pane = st.columns([1, 2], gap="medium")
    return controls_pane, picture_pane


def _toolbar(name: str, bound: list[Bound]) -> None:
    free = [control for control in bound if not links.locked(control.key) and control.default is not None]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Reset",
            key=f"{name}_reset",
            icon=":material/restart_alt:",
            on_click=reset,
            args=(free,),
            disabled=not free,
            help="Restores the initial values of this lab.",
        )
        varied = [control for control in free if not isinstance(control.rule, (links.Text, links.Numbers))]
        st.button(
            "Randomize values",
            key=f"{name}_surprise",
            icon=":material/casino:",
            on_click=randomize,
            args=(varied,),
            disabled=not varied,
            help="Sets every control to a random value.",
        )
        copy_link(links.full_link(bound), key=f"{name}_link", anchor=name)


def reset(bound: Sequence[Bound]) -> None:
    """Put widgets back to their defaults. For callbacks."""
    for control in bound:
        set_value(control, control.default)


def randomize(bound: Sequence[Bound], draw: random.Random | None = None) -> None:
    """Give widgets legal values drawn at random. For callbacks."""
    draw = draw or random.Random()
    for control in bound:
        value = random_value(control.rule, control.default, draw)
        if value is not None:
            set_value(control, value)


def set_value(bound: Bound, value: object) -> None:
    """Set one widget, be it bound by Streamlit or kept by the kit. For callbacks."""
    if isinstance(bound.rule, links.Matrix):
        prompt.set_matrix(bound.key, str(value))
    elif isinstance(bound.rule, links.Cell):
        # Without a choice the cell follows the other controls, which a reset moves too.
        st.session_state[bound.key] = None if value == bound.default else bound.rule.parse(str(value))
    else:
        st.session_state[bound.key] = value


def random_value(rule: links.Rule, default: object, draw: random.Random) -> object | None:
    """A legal value of a rule, of the type of the default; None for a text, which nobody draws."""
    match rule:
        case links.Number(low, high, step):
            value = low + step * draw.randint(0, int((high - low) / step + 1e-9))
            return round(value, 6) if isinstance(default, float) else round(value)
        case links.Choice(options):
            value = draw.choice(list(options))
            return type(default)(value) if default is not None else value
        case links.Switch():
            return draw.random() < 0.5
        case links.Matrix(rows, columns):
            return prompt.matrix_text(
                [[draw.randint(-10, 10) / 10 for _ in range(columns)] for _ in range(rows)]
            )
    return None


def predict(
    name: str,
    question: str,
    options: Sequence[str],
    *,
    right: int,
    because: str,
    then: Mapping[str, object] | None = None,
    then_label: str = "Show it in the lab",
) -> None:
    """Ask the reader for a prediction about the next setting; once made, tell what comes of it.

    `then` are widgets of this lab by key and the values to try: a button sets them. What a visitor predicted is
    theirs and stays out of the link.
    """
    key = f"{name}_guess"
    kept = f"{key}_kept"
    with st.container(border=False, key=f"{name}_predict"):
        before = st.session_state.get(kept)
        guess = st.radio(
            f"**Predict first.** {question}",
            range(len(options)),
            index=before if before is not None and before < len(options) else None,
            format_func=lambda index: options[index],
            key=key,
            horizontal=max(map(len, options)) < 24,
        )
        st.session_state[kept] = guess
        if guess is None:
            return
        progress.tick(f"{name.split('_')[0]}.{name}.predicted")
        with st.container(gap=None):
            progress.write_cookie(name)
            if guess == right:
                st.success(f"Correct. {because}", icon=":material/check:")
            else:
                st.info(f"Not quite: {options[right]}. {because}", icon=":material/lightbulb:")
        if then:
            st.button(
                then_label, key=f"{name}_then", icon=":material/play_arrow:", on_click=_set, args=(then,)
            )


def _set(values: Mapping[str, object]) -> None:
    for key, value in values.items():
        st.session_state[key] = value


@st.fragment
def folded_lab(key: str, title: str, draw: Callable[[], None], *, icon: str = ":material/science:") -> None:
    """A further experiment, folded; it costs nothing until it is opened, and a link can open it."""
    bind = links.check(key, links.Switch())
    folded = st.expander(title, key=key, icon=icon, bind=bind, on_change="rerun")
    if folded.open:
        with folded:
            draw()
