"""The page of the host: without the secret nobody sees or does anything there, whatever messages they send."""

import urllib.request

import pytest

from gptcore.files import write_json
from gptcore.runs.run import request_file
from pages.kit import host_access
from tests.browser.conftest import complaints, start_server, stop_server
from tests.security.forged_client import Client

SECRET = "Qm7-vkP2-xT9w-host"
HOST, STRANGER = "H" * 32, "S" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a secret, on which one run waits."""
    folder = tmp_path_factory.mktemp("hosted")
    (folder / "runs" / "theirs").mkdir(parents=True)
    write_json(folder / "runs" / "theirs" / "config.json", {"format": "glassbox-run-1"})
    write_json(request_file(folder / "runs" / "theirs"), {"owners": ["a" * 32], "name": "the run of A"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLASSBOX_HOSTED", "1")
        patch.setenv(host_access.VARIABLE, SECRET)
        server = start_server(folder)
        yield server
        stop_server(server)
    assert not complaints(server)
    assert SECRET not in server.log.read_text()


def give(client: Client, secret: str):
    gate = client.open("host")
    return client.open(
        "host", forged={gate.widget_id("host_secret"): secret, gate.widget_id("host_enter"): True}
    )


def test_nobody_without_the_secret_sees_or_does_anything(server):
    run = server.runs / "theirs"
    with Client(server.url, HOST) as host:
        page = give(host, SECRET)
        assert page.has("host_stop") and "the run of A" in page.text and SECRET not in page.text
        ids = {
            key: page.widget_id(key)
            for key in ("host_stop", "host_delete_theirs", "host_backup_1", "host_run")
        }
        file_id = page.elements[ids["host_backup_1"]].deferred_file_id
        session = host.session_id
        assert host.ask_for_file(file_id)[0]

        with Client(server.url, STRANGER) as stranger:
            for secret in ("", "x" * 10_000, SECRET.lower(), SECRET + "0"):
                answer = give(stranger, secret)
                assert not answer.has("host_stop") and "theirs" not in answer.text and not answer.exceptions
            for key in ("host_stop", "host_delete_theirs", "host_backup_1"):
                answer = stranger.open("host", forged={ids[key]: True, ids["host_run"]: "theirs"})
                assert "theirs" not in answer.text
                assert not any(answer.has(other) for other in ids)
            # The name under which the backup is made is random, and only the admitted page says it.
            assert len(file_id) == 32 and stranger.ask_for_file(file_id[::-1], session)[0] is None
        assert (run / "config.json").is_file() and request_file(run).is_file()

        # What was admitted is asked again at each press.
        left = host.open("host", forged={page.widget_id("host_leave"): True})
        assert not left.has("host_stop")
        host.open("host", forged={ids["host_delete_theirs"]: True})
        assert (run / "config.json").is_file()

        # The attack is a real one: from an admitted session the same message does what it says.
        give(host, SECRET)
        host.open("host", forged={ids["host_delete_theirs"]: True})
        assert not run.exists()


def test_a_session_that_tries_often_waits_even_with_the_secret(server):
    with Client(server.url, STRANGER) as client:
        for _ in range(host_access.MOST_IN_SESSION):
            assert "This is not the secret" in give(client, "a wrong secret").text
        page = give(client, SECRET)
        assert "Too many attempts" in page.text and not page.has("host_stop")


def test_the_secret_is_in_no_address_and_no_page_of_others(server):
    with Client(server.url, HOST) as client:
        give(client, SECRET)
        for name in ("", "runs", "training"):
            assert SECRET not in client.open(name).text
    assert SECRET not in urllib.request.urlopen(f"{server.url}/_stcore/metrics").read().decode()
