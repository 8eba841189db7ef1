"""Random harm to the files of a real run, as Hypothesis strategies."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.security.hostile import WEIGHTS, Files

DEEP = "deep"  # stands for a list in a list in a list …, deeper than a JSON parser may follow
NASTY: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 7, 2**31, 2**53, 2**63, 10**30, -(10**30)),
    *(0.5, -0.5, 1e308, 1e-320, float("nan"), float("inf")),
    *("", " ", "\0", "x" * 5_000, "../../etc/passwd", "/etc/passwd", "hub:someone/data", "\ud800", "\u202e"),
    *("**bold** [link](javascript:alert(1)) ![x](http://example.org/x.png)", "<script>alert(1)</script>"),
    *(":material/delete: :red[x] $x$ `x` # x", "stories", "done", "paused"),
    *([], {}, [[]], [{}], {"a": None}, DEEP),
)
NESTED = "[" * 100_000 + "]" * 100_000


def encode(value: Any) -> bytes:
    """Return a value as JSON, with NaN and a nesting that no encoder makes."""
    return json.dumps(value).replace(f'"{DEEP}"', NESTED).encode()


def paths(value: Any, at: tuple = ()) -> list[tuple]:
    """Return the way to each part of a JSON value."""
    found = [at] if at else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        found += paths(part, (*at, key))
    return found


def _nasty() -> st.SearchStrategy[Any]:
    """One of the nasty values, as a copy: what is put into a file may be changed again."""
    return st.sampled_from(NASTY).map(copy.deepcopy)


@st.composite
def changed_json(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one to three parts dropped, replaced, retyped or added."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        known = paths(value)
        if not known:
            return value
        *way, last = draw(st.sampled_from(known))
        around = value
        for key in way:
            around = around[key]
        match draw(st.sampled_from(("replace", "replace", "drop", "retype", "add", "wrap"))):
            case "replace":
                around[last] = draw(_nasty())
            case "drop":
                del around[last]
            case "retype":
                part = around[last]
                around[last] = str(part) if not isinstance(part, str) else len(part)
            case "add" if isinstance(around, dict):
                around[
                    draw(st.sampled_from(("plugin", "corpus", "owner", "owners", "path", "__class__")))
                ] = draw(_nasty())
            case _:
                around[last] = [around[last]]
    return value


@st.composite
def changed_log(draw: st.DrawFn, log: bytes) -> bytes:
    """An event log with lines dropped, swapped, doubled, cut or changed."""
    lines = log.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        if not lines:
            break
        match draw(
            st.sampled_from(
                ("change", "change", "change", "drop", "swap", "double", "cut", "shuffle", "only")
            )
        ):
            case "change":
                try:
                    lines[at] = encode(draw(changed_json(json.loads(lines[at]))))
                except ValueError:  # a line that has been cut
                    lines[at] = draw(st.binary(max_size=40))
            case "drop":
                del lines[at]
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "shuffle":
                lines = draw(st.permutations(lines[:30])) + lines[30:]
            case "only":
                lines = [lines[at]]
    end = draw(st.sampled_from((b"\n", b"", b"\0", b"\r\n")))
    return b"\n".join(lines) + end


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some of them flipped, cut or added."""
    match draw(st.sampled_from(("flip", "cut", "add", "replace"))):
        case "flip" if data:
            at = draw(st.integers(0, len(data) - 1))
            return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        case "cut":
            return data[: draw(st.integers(0, len(data)))]
        case "add":
            return data + draw(st.binary(min_size=1, max_size=40))
        case _:
            return draw(st.binary(max_size=60))


@st.composite
def changed_file(draw: st.DrawFn, name: str, data: bytes) -> bytes:
    """One file of a run, harmed in the way of its kind or as mere bytes, as one that is harmed already."""
    if draw(st.integers(0, 9)) == 0:
        return draw(changed_bytes(data))
    try:
        return draw(_changed_in_kind(name, data))
    except (ValueError, AttributeError, TypeError, LookupError, StopIteration, RecursionError):
        return draw(changed_bytes(data))


@st.composite
def _changed_in_kind(draw: st.DrawFn, name: str, data: bytes) -> bytes:
    if name.endswith(".safetensors"):
        return WEIGHTS[draw(st.sampled_from(sorted(WEIGHTS)))](data)
    if name.endswith(".jsonl"):
        return draw(changed_log(data))
    if name.endswith(".json"):
        return encode(draw(changed_json(json.loads(data))))
    return draw(changed_bytes(data))


@st.composite
def changed_files(draw: st.DrawFn, files: Files) -> Files:
    """The files of a run, one to three of them harmed, missing or under another one's name."""
    files = dict(files)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(files)))
        match draw(st.sampled_from(("change", "change", "change", "change", "change", "drop", "other"))):
            case "change":
                files[name] = draw(changed_file(name, files[name])) if files[name] else b"{}"
            case "drop" if len(files) > 1:
                del files[name]
            case _:
                files[name] = files[draw(st.sampled_from(sorted(files)))]
    return files
