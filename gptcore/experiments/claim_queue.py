"""Claims in the job queue: which are asked for, how far a measurement is, and why one failed.

A time taken while another is taken is no measurement, so claims share the queue's one measurement slot, whoever
asks; whoever asks for all of them does not hold up a visitor who asks for one.
"""

from collections.abc import Iterable

from gptcore.experiments import claims
from gptcore.files import read_json
from gptcore.runs import queue
from gptcore.runs.jobs import MEASUREMENT, last_error
from gptcore.runs.request import RunRequest
from gptcore.runs.run import log_file, runs_folder


def submit_claims(names: Iterable[str], *, owner: str = "") -> None:
    """Ask for these claims to be measured, one after the other; `owner` is the hash of who asks.

    Raises ClaimError for an unknown claim, or one that needs what this machine has not, and RunError where the
    folder cannot be written.
    """
    names = list(names)
    for name in names:
        claims.check_machine(claims.get_claim(name))
    requests = {name: RunRequest(kind=claims.KIND, settings={"name": name}) for name in names}
    queue.submit_named(requests, slots=MEASUREMENT, owner=owner)


def withdraw_claims(names: Iterable[str], *, owner: str = "") -> None:
    """Take this owner off these claims; a measurement that nobody wants any more is ended."""
    queue.withdraw_named(list(names), slots=MEASUREMENT, owner=owner)


def open_claims(*, owner: str | None = None) -> list[str]:
    """Return the claims that are measured or wait, in the order of the queue; those of one owner, or all."""
    requests = queue.Requests(runs_folder(), MEASUREMENT)
    records = [*requests.running, *requests.waiting]
    known = claims.registry() if records else {}
    return [
        record["id"]
        for record in records
        if record["id"] in known and (owner is None or owner in record["owners"])
    ]


def state(name: str) -> str | None:
    """Return `measuring`, `waiting`, or None where nobody wants this claim measured."""
    if claims.is_being_measured(name):
        return "measuring"
    return "waiting" if name in open_claims() else None


def fraction_done(name: str) -> float | None:
    """Return the fraction of a measurement's work that is done; None where it does not say."""
    share = read_json(claims.claim_progress_file(name)).get("share")
    return float(share) if isinstance(share, (int, float)) else None


def problem(name: str) -> str | None:
    """Return the sentence with which the last measurement of a claim ended, where it gave no result."""
    return last_error(log_file(claims.folder() / name))
