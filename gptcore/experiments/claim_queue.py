"""What is measured next: requests for measurements, the queue they wait in, and their launch, one at a time.

A time taken while another is taken is no measurement, so on one machine one claim is measured at a time, whoever
asks. A request is a file in the folder of results: it outlives a server, two servers on one folder share it under
a lock, and the same claim asked for by thirty visitors is measured once. As with runs, the queue is fair between
visitors (`runs/queue.py`): whoever asks for all claims does not hold up who asks for one.
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gptcore.experiments import claims
from gptcore.files import read_json, write_json
from gptcore.resources import process_identity, process_is_running
from gptcore.runs.queue import Launch
from gptcore.runs.run import changing

REQUEST, LOG = ".request.json", ".log"


def ask(names: Iterable[str], *, owner: str = "") -> None:
    """Ask for these claims to be measured, one after the other; `owner` is the hash of who asks.

    Raises ClaimError for an unknown claim, or one that needs what this machine has not, and RunError where the
    folder cannot be written.
    """
    names = list(names)
    for name in names:
        claims.check(claims.named(name))
    folder = claims.folder()
    with changing(folder):
        known = _requests(folder)
        for name in names:
            request = known.get(name) or {"owners": [], "launched": None, **_turn(known, owner)}
            if owner not in request["owners"]:
                request["owners"] = [*request["owners"], owner]
            known[name] = request
            (folder / f"{name}{LOG}").unlink(missing_ok=True)  # what went wrong the last time
            write_json(folder / f"{name}{REQUEST}", request)


def leave(names: Iterable[str], *, owner: str = "") -> None:
    """Take this owner's wish for these claims back; a measurement that nobody wants any more is ended."""
    folder = claims.folder()
    with changing(folder):
        known = _requests(folder)
        for name in names:
            request = known.get(name)
            if request is None or owner not in request["owners"]:
                continue
            left = [one for one in request["owners"] if one != owner]
            if left:
                write_json(folder / f"{name}{REQUEST}", request | {"owners": left})
                continue
            _end(request)
            for path in (folder / f"{name}{REQUEST}", claims.progress_file(name)):
                path.unlink(missing_ok=True)


def _end(request: dict[str, Any]) -> None:
    """End the process that measures, if it is there. Nothing is lost but what it had found so far."""
    launched = request["launched"] or {}
    if process_is_running(launched):
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(launched["pid"], signal.SIGTERM)  # it leads a session of its own
            else:
                os.kill(launched["pid"], signal.SIGTERM)


def asked(*, owner: str | None = None) -> list[str]:
    """Return the claims that wait or are measured, in the order of the queue; those of one owner, or all."""
    known = {name: one for name, one in _requests(claims.folder()).items() if _is_open(one)}
    mine = [name for name, one in known.items() if owner is None or owner in one["owners"]]
    return sorted(mine, key=lambda name: _place(known[name]))


def state(name: str) -> str | None:
    """Return `measuring`, `waiting`, or None where nobody wants this claim measured."""
    if claims.is_under_way(name):
        return "measuring"
    request = _requests(claims.folder()).get(name)
    return "waiting" if request is not None and _is_open(request) else None


def share_done(name: str) -> float | None:
    """Return the share of a measurement's work that is done; None where it does not say."""
    share = read_json(claims.progress_file(name)).get("share")
    return float(share) if isinstance(share, (int, float)) else None


def problem(name: str) -> str | None:
    """Return the sentence with which the last measurement of a claim ended, where it gave no result."""
    try:
        lines = (claims.folder() / f"{name}{LOG}").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return said[-1] if said else None


def tend(folder: Path, launch: Launch) -> str | None:
    """Launch the next claim of a runs folder's queue if none is measured; return its name, or None."""
    place = folder / claims.FOLDER
    if not _requests(place):
        return None
    with changing(place):
        known = _requests(place)
        for name in [name for name, one in known.items() if not _is_open(one)]:
            (place / f"{name}{REQUEST}").unlink(missing_ok=True)
            del known[name]
        waiting = sorted(
            (name for name, one in known.items() if not one["launched"]), key=lambda n: _place(known[n])
        )
        if not waiting or len(waiting) < len(known):
            return None
        name, log = waiting[0], place / f"{waiting[0]}{LOG}"
        try:
            log.write_bytes(b"")
            launched = process_identity(launch(["claims", "--only", name, "--json"], log))
        except OSError as error:
            launched = {"pid": 0, "born": 0}
            with contextlib.suppress(OSError):
                log.write_text(
                    f"error: the process could not be started: {error.strerror}\n", encoding="utf-8"
                )
        write_json(place / f"{name}{REQUEST}", known[name] | {"launched": launched})
        return name


def is_busy(folder: Path) -> bool:
    """Return whether anything of a runs folder waits to be measured, or is measured for its pages."""
    return bool(_requests(folder / claims.FOLDER))


def _requests(place: Path) -> dict[str, dict[str, Any]]:
    found = {path.name.removesuffix(REQUEST): read_json(path) for path in sorted(place.glob(f"*{REQUEST}"))}
    known = claims.registry() if found else {}
    return {name: one for name, one in found.items() if name in known and isinstance(one.get("owners"), list)}


def _is_open(request: dict[str, Any]) -> bool:
    """Return whether a request waits, or its process lives."""
    return not request["launched"] or process_is_running(request["launched"])


def _place(request: dict[str, Any]) -> tuple[bool, int, int]:
    return not request["launched"], request["turn"], request["sequence"]


def _turn(known: dict[str, dict[str, Any]], owner: str) -> dict[str, int]:
    """Return the place in the queue of one more request: after the owner's own last, never before what is served."""
    being_served = min((one["turn"] for one in known.values() if one["launched"]), default=0)
    last = max((one["turn"] for one in known.values() if one["owners"][:1] == [owner]), default=-1)
    return {
        "turn": max(being_served, last + 1),
        "sequence": 1 + max((one["sequence"] for one in known.values()), default=0),
    }
