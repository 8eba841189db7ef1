"""The server takes no larger upload than GLASSBOX_UPLOAD_MB, whatever a client sends past the upload control."""

import contextlib
import http.client
import tomllib
import uuid
from collections.abc import Iterator

import pytest
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

from tests.browser.conftest import ROOT, Server, start_server, stop_server
from tests.security.forged_client import Client

MIB = 1024 * 1024
BOUNDARY = "part"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server that the README's command starts, with a limit of 3 MB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLASSBOX_HOSTED", "1")
        patch.setenv("GLASSBOX_UPLOAD_MB", "3")
        server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    stop_server(server)


def upload(url: str, session_id: str, body: bytes | Iterator[bytes]) -> int:
    """Put a file past every control, with the client's own XSRF cookie; returns the HTTP status."""
    token = generate_xsrf_token_string()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Cookie": f"_streamlit_xsrf={token}",
        "X-Xsrftoken": token,
        "Origin": url,
    }
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)) as server:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # refused before it has read all of it
            server.request("PUT", f"/_stcore/upload_file/{session_id}/{uuid.uuid4()}", body, headers)
        return server.getresponse().status


def multipart(size: int) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    return head.encode() + bytes(size) + f"\r\n--{BOUNDARY}--\r\n".encode()


def in_chunks(body: bytes) -> Iterator[bytes]:
    """A body whose length no header tells."""
    yield from (body[start : start + 65_536] for start in range(0, len(body), 65_536))


def test_the_server_itself_refuses_what_is_larger_than_the_limit(server):
    with Client(server.url, "v" * 32) as visitor:
        assert upload(server.url, visitor.session_id, multipart(2 * MIB)) == 204
        assert upload(server.url, visitor.session_id, multipart(4 * MIB)) == 413
        assert upload(server.url, visitor.session_id, in_chunks(multipart(5 * MIB))) == 413


def test_a_file_without_a_session_is_refused(server):
    assert upload(server.url, "no-session", multipart(10)) == 400


def test_before_the_first_page_the_limit_is_the_smallest_there_is():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["maxUploadSize"] == 1
