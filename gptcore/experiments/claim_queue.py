"""Claims in the job queue: which are requested, the progress of a measurement, and why one failed.

Two measurements at the same time would disturb each other, so all claims use the queue's one measurement slot. The
queue is fair: a visitor who requests all claims does not block another who requests one.
"""

from collections.abc import Iterable

from gptcore.experiments import claims
from gptcore.files import read_json
from gptcore.runs import queue
from gptcore.runs.jobs import MEASUREMENT, last_error
from gptcore.runs.request import RunRequest
from gptcore.runs.run import log_file, runs_folder


def submit_claims(names: Iterable[str], *, owner: str = "") -> None:
    """Request measurements of these claims, one after the other; `owner` is the hash of the visitor's id.

    Raises ClaimError for an unknown claim or one that needs other hardware, and RunError if the folder cannot be
    written.
    """
    names = list(names)
    for name in names:
        claims.check_machine(claims.get_claim(name))
    requests = {name: RunRequest(kind=claims.KIND, settings={"name": name}) for name in names}
    queue.submit_named(requests, slots=MEASUREMENT, owner=owner)


def withdraw_claims(names: Iterable[str], *, owner: str = "") -> None:
    """Withdraw this owner's requests; a measurement without any owner is stopped."""
    queue.withdraw_named(list(names), slots=MEASUREMENT, owner=owner)


def open_claims(*, owner: str | None = None) -> list[str]:
    """Return the claims that are being measured or waiting, in the order of the queue; those of one owner, or all."""
    requests = queue.Requests(runs_folder(), MEASUREMENT)
    records = [*requests.running, *requests.waiting]
    known = claims.registry() if records else {}
    return [
        record["id"]
        for record in records
        if record["id"] in known and (owner is None or owner in record["owners"])
    ]


def state(name: str) -> str | None:
    """Return `measuring`, `waiting`, or None if this claim is not requested."""
    if claims.is_being_measured(name):
        return "measuring"
    return "waiting" if name in open_claims() else None


def fraction_done(name: str) -> float | None:
    """Return the fraction of a measurement's work that is done; None if it does not report it."""
    share = read_json(claims.claim_progress_file(name)).get("share")
    return float(share) if isinstance(share, (int, float)) else None


def problem(name: str) -> str | None:
    """Return the error of the last measurement of a claim; None if it gave a result."""
    return last_error(log_file(claims.folder() / name))
