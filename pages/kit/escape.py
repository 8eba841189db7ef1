"""Text from outside as text: what a visitor, a link, a file or a model wrote is shown as it was written.

A name may hold `**`, a link, an image, a formula, an icon or a tag. Streamlit reads labels and captions as Markdown,
Plotly reads names and hover texts as a small HTML. Everything from outside passes through one of these functions on
its way there; `st.text`, tables and the chips show text as it is.
"""

import html as _html
import re

# Invisible. Streamlit looks for icons, emoji, addresses and arrows in what is left once Markdown has been read, so a
# backslash does not stop them: this character between their parts does.
_JOINER = "\u2060"
# An underscore inside a word is never read as emphasis.
_MARKS = re.compile(r"[\\`*\[\]|<~$]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w)")
_AT_START = re.compile(r"^( ?)([>#+=-])|^( ?[0-9]{1,9})([.)])(?=\s|$)")
_SPACES = re.compile(r"\s+")
_APART = re.compile(r"www(?=\.)|:(?=[\w+/-])|@(?=\w)|[<>~-](?=[>=-])", re.IGNORECASE)
_CODE_SPAN = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Markdown(str):
    """Text that is Markdown and meant to be read as such, made by our own code."""

    __slots__ = ()


def markdown(text: object) -> Markdown:
    """Text on one line that reads in Markdown as it was written; Markdown of our own stays as it is."""
    if isinstance(text, Markdown):
        return text
    escaped = _MARKS.sub(r"\\\g<0>", _APART.sub(rf"\g<0>{_JOINER}", _on_one_line(text)))
    return Markdown(_AT_START.sub(r"\1\3\\\2\4", escaped))


def sentence(text: object) -> Markdown:
    """A sentence of ours that quotes text from outside, such as an error: code spans stay, the rest is text."""
    if isinstance(text, Markdown):
        return text
    line, parts, end = _on_one_line(text), [], 0
    for span in _CODE_SPAN.finditer(line):
        parts += [markdown(line[end : span.start()]), span.group()]
        end = span.end()
    return Markdown("".join([*parts, markdown(line[end:])]))


def code(text: object) -> Markdown:
    """Text as a code span of Markdown; backquotes, which would end it, become an accent of that look."""
    line = _on_one_line(text).replace("`", "ˋ")
    # Streamlit rewrites this before it reads code spans.
    return Markdown(f"`{line.replace(':material/', f':{_JOINER}material/')}`")


def plotly(text: object) -> str:
    """Text for a name, a label or a hover text of Plotly, which reads tags, entities and `%{…}`."""
    escaped = _html.escape(_without_controls(str(text)), quote=False)
    # Plotly fills %{…} in templates, and MathJax would read a text between dollar signs.
    return escaped.replace("%{", f"%{_JOINER}{{").replace("$", f"{_JOINER}$")


def has_controls(text: str) -> bool:
    """Whether a text holds control characters other than tabs and line ends."""
    return _CONTROLS.search(text) is not None


def _on_one_line(text: object) -> str:
    return _SPACES.sub(" ", _without_controls(str(text)))


def _without_controls(text: str) -> str:
    """Text whose control characters, line ends aside, are visible as one replacement character each."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
