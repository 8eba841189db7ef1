"""Chapter 2: text that arrives token by token, shown as soon as it is whole."""

import codecs
from collections.abc import Iterator

from gptcore.lessons.exercises import Case, Exercise, Mistake


def stream(tokens: list[bytes]) -> list[str]:
    """Return what can be shown after each token, and finally whatever is left: len(tokens) + 1 strings.

    Each token is a few bytes of a text in UTF-8. Show a character as soon as all its bytes are there, and never
    twice; hold back the bytes of an incomplete one. What is still incomplete at the end is shown as U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    shown = [decoder.decode(token) for token in tokens]
    shown.append(decoder.decode(b"", final=True))
    return shown


def _each_alone(tokens: list[bytes]) -> list[str]:
    return [*(token.decode("utf-8", "replace") for token in tokens), ""]


def _dropped(tokens: list[bytes]) -> list[str]:
    return [*(token.decode("utf-8", "ignore") for token in tokens), ""]


def _all_at_the_end(tokens: list[bytes]) -> list[str]:
    return [*([""] * len(tokens)), b"".join(tokens).decode("utf-8", "replace")]


def _again_and_again(tokens: list[bytes]) -> list[str]:
    shown = [b"".join(tokens[: n + 1]).decode("utf-8", "ignore") for n in range(len(tokens))]
    return [*shown, ""]


def _whole_tokens(tokens: list[bytes]) -> list[str]:
    held, shown = b"", []
    for token in tokens:
        held += token
        try:
            shown.append(held.decode("utf-8"))
            held = b""
        except UnicodeDecodeError:
            shown.append("")
    return [*shown, held.decode("utf-8", "replace")]


def _rest_forgotten(tokens: list[bytes]) -> list[str]:
    return [*stream(tokens)[:-1], ""]


def _one_short(tokens: list[bytes]) -> list[str]:
    return stream(tokens)[:-1]


def _cases() -> Iterator[Case]:
    turtle = "🐢".encode()
    for label, tokens in (
        ("plain English, two tokens", [b"the", b" cat"]),
        ("é in two tokens", [b"caf", b"\xc3", b"\xa9", b" au"]),
        ("an emoji byte by byte", [b"a ", *(bytes([byte]) for byte in turtle), b"!"]),
        ("a token that ends one letter and begins the next", [b"\xc3", b"\xa9\xc3", b"\xbc"]),
        ("whole letters and half a one in one token", [b"go \xe6\xb0", b"\xb4"]),
        ("a text that breaks off inside an emoji", [b"see ", turtle[:2]]),
        ("no token at all", []),
    ):
        yield Case(label=label, arguments={"tokens": tokens})


EXERCISE = Exercise(
    name="stream_decoding",
    chapter=2,
    title="Text that arrives token by token",
    task="Write what a chat window needs: for each new token, the text that can be shown now, with no broken "
    "characters, and none shown later than necessary.",
    solution=stream,
    cases=_cases,
    imports="import codecs\n",
    mistakes=(
        Mistake(
            name="each token alone",
            says="Each token is decoded alone, so a character that is spread over two tokens is broken. Keep the "
            "bytes of an incomplete character, and put them before the next token.",
            wrong=_each_alone,
        ),
        Mistake(
            name="bytes dropped",
            says="Bytes of an incomplete character are thrown away, so é and every emoji vanish. Keep them for the "
            "next token.",
            wrong=_dropped,
        ),
        Mistake(
            name="all at the end",
            says="Nothing is shown before the last token. The text is right, but the reader has waited for all of it.",
            wrong=_all_at_the_end,
        ),
        Mistake(
            name="again and again",
            says="Each step shows the whole text so far. Return only what is new: what has been shown stays shown.",
            wrong=_again_and_again,
        ),
        Mistake(
            name="waits for whole tokens",
            says="Complete characters wait because an incomplete one follows in the same token. Show the complete ones "
            "and hold back only the bytes of the last character.",
            wrong=_whole_tokens,
        ),
        Mistake(
            name="the rest forgotten",
            says="A text that ends inside a character loses its last bytes silently. Show U+FFFD for what is left.",
            wrong=_rest_forgotten,
        ),
        Mistake(
            name="one too few",
            says="There must be one string more than there are tokens: the last holds whatever is left at the end, "
            "and is empty if nothing is.",
            wrong=_one_short,
        ),
    ),
)
