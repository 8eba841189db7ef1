"""Two visitors of a hosted server: B changes nothing of A's, by a button or by a message no browser would send."""

import contextlib
import hashlib
import io
import shutil
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from gptcore.files import write_json
from gptcore.runs.run import Run, request_file
from tests.browser.conftest import Server, complaints, start_server, stop_server
from tests.security.forged_client import Client

A, B = "A" * 32, "B" * 32
BUTTONS = ("runs_pause", "runs_stop", "runs_resume", "runs_withdraw", "runs_rename", "runs_delete")
A_NAME = "the run of A"


def owner(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()[:32]


@dataclass
class House:
    """A hosted server, and the runs that A and B have there in each state."""

    server: Server
    runs: dict[str, Run]
    locks: contextlib.ExitStack

    def record(self, name: str) -> tuple[dict, list[str]]:
        """Return all that says what a run is and does: its request, and its files with their sizes."""
        run = self.runs[name]
        files = [
            f"{path.relative_to(run.folder)} {path.stat().st_size}"
            for path in run.folder.rglob("*")
            if path.name != "lock"  # a reader takes it for an instant to see whether it is held
        ]
        return run.request(), sorted(files)


@pytest.fixture(scope="module")
def house(paused_run, tmp_path_factory):
    """A run is training while this process holds its lock; that of a command line takes the only slot."""
    folder = tmp_path_factory.mktemp("house")
    states = {
        "training_of_a": ([A], {"launched": None}),
        "training_of_b": ([B], {"launched": None}),
        "paused_of_a": ([A], {"launched": None}),
        "waiting_of_a": ([A], {"waiting": True, "resume": True, "turn": 0, "sequence": 1}),
        "waiting_of_both": ([A, B], {"waiting": True, "resume": True, "turn": 1, "sequence": 2}),
        "training_of_nobody": ([], None),
    }
    runs, locks = {}, contextlib.ExitStack()
    for name, (owners, state) in states.items():
        run = Run(folder / "runs" / name)
        shutil.copytree(paused_run.folder, run.folder)
        if state is not None:
            asked = {"owners": [owner(one) for one in owners]}
            asked["name"] = f"{A_NAME}: {name}" if A in owners else ""
            write_json(request_file(run.folder), asked | state)
        if name.startswith("training"):
            log = run.folder / "events.jsonl"
            log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
            locks.enter_context(FileLock(run.folder / "lock"))
        runs[name] = run
    with pytest.MonkeyPatch.context() as patch, locks:
        patch.setenv("GLASSBOX_HOSTED", "1")
        patch.setenv("GLASSBOX_RUNS_AT_ONCE", "1")
        server = start_server(folder)
        try:
            yield House(server, runs, locks)
        finally:
            stop_server(server)
        assert not complaints(server)


def presses(client: Client, house: House, run_id: str) -> dict[str, str]:
    """Return the widget id of each button that the page of Runs shows for a run, and of the box with its name."""
    page = client.open("runs", run=run_id)
    keys = (*BUTTONS, f"runs_name_{run_id}")
    return {key: page.widget_id(key) for key in keys if page.has(key)}


def test_b_sees_nothing_of_a_without_a_link(house):
    with Client(house.server.url, B) as client:
        for name in ("runs", "training", "arena", "journey"):
            page = client.open(name)
            assert not page.exceptions
            for run_id, run in house.runs.items():
                if owner(B) not in run.owners():
                    assert run_id not in page.text and f"{A_NAME}: {run_id}" not in page.text


@pytest.mark.parametrize("run_id", ["training_of_a", "paused_of_a", "waiting_of_a"])
def test_b_presses_every_button_of_a(house, run_id):
    before = house.record(run_id)
    with Client(house.server.url, A) as client:
        ids = presses(client, house, run_id)
    assert {"runs_stop", "runs_rename", "runs_delete"} <= set(ids)
    with Client(house.server.url, B) as client:
        seen = client.open("runs", run=run_id)
        assert A_NAME in seen.text  # the link lets B read
        assert not seen.has("runs_rename") and not seen.has("runs_delete")
        for key, widget in ids.items():
            forged = {widget: True} if key in BUTTONS else {widget: "B was here"}
            for extra in ({}, {ids[f"runs_name_{run_id}"]: "B was here"}):
                page = client.open("runs", forged=forged | extra, run=run_id)
                assert not page.exceptions
    assert house.record(run_id) == before


def test_nobody_presses_a_button_of_a_run_that_a_command_line_started(house):
    before = house.record("training_of_nobody")
    with Client(house.server.url, A) as client:
        ids = presses(client, house, "training_of_a")
        client.open("runs", run="training_of_nobody")
        for key in BUTTONS:
            if key in ids:
                assert not client.open("runs", forged={ids[key]: True}, run="training_of_nobody").exceptions
    assert house.record("training_of_nobody") == before


def test_b_presses_a_button_of_its_own_run_and_names_a_run_of_a_in_the_same_message(house):
    before = house.record("training_of_a")
    with Client(house.server.url, B) as client:
        ids = presses(client, house, "training_of_b")
        client.open("runs", forged={ids["runs_pause"]: True}, run="training_of_a")
    assert house.record("training_of_a") == before
    assert (
        house.runs["training_of_b"].requested_action() == "pause"
    )  # the press was heard, and meant B's own run


@pytest.mark.parametrize("key", ["runs_one", "model_chosen"])
def test_b_chooses_what_no_control_offers(house, key):
    """Who knows an id may read the run, as by its link; a choice that is no id leads nowhere."""
    with Client(house.server.url, B) as client:
        for value in ("../paused_of_a", "/etc/passwd", "*", "", "x" * 10_000):
            page = client.open("runs")
            answer = client.open("runs", forged={page.widget_id(key): value})
            assert not answer.exceptions
            assert "paused_of_a" not in answer.text.replace(value or "-", "")


def test_one_of_two_who_wait_leaves_the_other_in_the_queue(house):
    with Client(house.server.url, B) as client:
        ids = presses(client, house, "waiting_of_both")
        client.open("runs", forged={ids["runs_withdraw"]: True}, run="waiting_of_both")
    request = house.runs["waiting_of_both"].request()
    assert request["waiting"] and request["owners"] == [owner(A)]


def test_a_file_is_found_by_its_address_alone_and_nobody_can_guess_that(house):
    with Client(house.server.url, A) as client:
        page = client.open("runs")
        file_id, session_id = page.elements[page.widget_id("runs_pack")].deferred_file_id, client.session_id
        address, refused = client.ask_for_file(file_id)
        assert not refused
        name = Path(address).name.split(".")[0]
        assert len(name) == 32 and int(name, 16) >= 0  # 128 bits, of what is in the file
        with urllib.request.urlopen(house.server.url + address) as answer:
            members = zipfile.ZipFile(io.BytesIO(answer.read())).namelist()
    own = {run_id for run_id, run in house.runs.items() if owner(A) in run.owners()}
    assert {
        name.split("/")[1] for name in members if name.startswith("runs/")
    } == own  # all of A's, and no other
    for guess in ("/media/", f"/media/{'0' * 32}.zip", address.replace(name, name[::-1])):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(house.server.url + guess)
    with Client(house.server.url, B) as client:
        assert client.ask_for_file(file_id, session_id)[0] is None  # of a page that A has open, or had


def test_what_a_may_do_is_heard_when_a_sends_the_same_messages(house):
    """The attack is a real one: from A each of these messages does what it says."""
    with Client(house.server.url, A) as client:
        ids = presses(client, house, "training_of_a")
        client.open("runs", forged={ids["runs_pause"]: True}, run="training_of_a")
        assert house.runs["training_of_a"].requested_action() == "pause"
        ids = presses(client, house, "waiting_of_a")
        client.open("runs", forged={ids["runs_withdraw"]: True}, run="waiting_of_a")
        assert not house.runs["waiting_of_a"].request()["waiting"]
        ids = presses(client, house, "paused_of_a")
        named = {ids["runs_name_paused_of_a"]: "A was here", ids["runs_rename"]: True}
        client.open("runs", forged=named, run="paused_of_a")
        assert house.runs["paused_of_a"].name() == "A was here"
        client.open("runs", forged={ids["runs_delete"]: True}, run="paused_of_a")
        assert not house.runs["paused_of_a"].folder.exists()
