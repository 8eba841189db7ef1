"""A client of a running app that speaks Streamlit's websocket protocol itself, and so sends what no browser would."""

import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from google.protobuf.message import Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

from pages.kit.visitor import COOKIE

WAIT_SECONDS = 120


@dataclass(frozen=True)
class Page:
    """What one run of a page has sent: elements by widget id, and every delta in its order.

    `fragments` names the fragment of each element that is in one, `reruns` the fragments that the browser is to run
    again by itself, with the seconds between two runs; `stopped` those that it no longer is to. `is_fragment` tells
    that this is a part of the page that was there already.
    """

    elements: dict[str, Message]
    deltas: list[Message]
    exceptions: list[str]
    fragments: dict[str, str] = field(default_factory=dict)
    reruns: dict[str, float] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    is_fragment: bool = False

    def widget_id(self, key: str) -> str:
        """Return the widget id of a key; raises KeyError where the page has no such widget."""
        found = [name for name in self.elements if name.endswith(f"-{key}")]
        if not found:
            raise KeyError(key)
        return found[0]

    def has(self, key: str) -> bool:
        return any(name.endswith(f"-{key}") for name in self.elements)

    @property
    def text(self) -> str:
        """Every text in it; written out only when it is asked for, which takes longer than to receive it."""
        return "\n".join(map(str, self.deltas))


@dataclass
class Client:
    """One browser: a cookie, a connection, the page it is on. `first` is the bookmark it comes by."""

    url: str
    cookie: str
    first: str = ""
    page_hashes: dict[str, str] = field(default_factory=dict)
    session_id: str = ""

    @property
    def visitor_id(self) -> str:
        """The name under which the server keeps this browser's runs."""
        return hashlib.sha256(self.cookie.encode()).hexdigest()[:32]

    def __enter__(self) -> Self:
        self._connection = connect(
            self.url.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit"],
            additional_headers={"Cookie": f"{COOKIE}={self.cookie}"},
            origin=self.url,
            max_size=None,
        )
        self.socket = self._connection.__enter__()
        self.landed = self.open(self.first)  # the first page names all others
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.__exit__(kind, error, trace)

    def open(
        self,
        page: str,
        /,
        *,
        forged: dict[str, Any] | None = None,
        fragment: str = "",
        timer: bool = False,
        **query: str,
    ) -> Page:
        """Run a page with a query, or a fragment of it; `forged` are widget values by widget id, True for a press.

        `timer` says that the fragment runs because its time has come.
        """
        message = BackMsg()
        state = message.rerun_script
        state.query_string = urlencode(query)
        state.page_script_hash = self.page_hashes.get(page, "")
        state.page_name = "" if page in self.page_hashes else page
        state.context_info.url = f"{self.url}/{page}"
        state.fragment_id = fragment
        state.is_auto_rerun = timer
        for widget, value in (forged or {}).items():
            state.widget_states.widgets.append(widget_state(widget, value))
        self.send(message)
        return self.read_page(state.page_script_hash)

    def send(self, message: BackMsg) -> None:
        self.socket.send(message.SerializeToString())

    def read_page(self, page_hash: str = "") -> Page:
        """Take in what the server sends until the script of this page has finished.

        A run that ended early for a rerun is not counted, nor one of another page that was still under way.
        """
        page, this_page = Page({}, [], []), not page_hash
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            message = ForwardMsg.FromString(self.socket.recv(max(0.1, deadline - time.monotonic())))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session_id = message.new_session.initialize.session_id
                this_page = message.new_session.page_script_hash == page_hash or not page_hash
            elif not this_page:
                continue
            elif kind == "navigation":
                self.page_hashes |= {
                    one.url_pathname: one.page_script_hash for one in message.navigation.app_pages
                }
            elif kind == "delta":
                _take_in(message, page)
            elif kind == "auto_rerun":
                page.reruns[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            elif kind == "stop_auto_rerun":
                page.stopped.update(message.stop_auto_rerun.fragment_ids)
            elif kind == "session_event" and message.session_event.HasField("script_compilation_exception"):
                page.exceptions.append(str(message.session_event.script_compilation_exception))
            elif kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                is_fragment = message.script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
                return replace(page, is_fragment=is_fragment)

    def ask_for_file(self, file_id: str, session_id: str = "") -> tuple[str | None, str]:
        """Ask for the file that a download button makes when it is pressed: its address, or the refusal."""
        message = BackMsg()
        message.backend_operation_request.request_id = "1"
        message.backend_operation_request.session_id = session_id or self.session_id
        message.backend_operation_request.deferred_file.file_id = file_id
        self.send(message)
        while True:
            answer = ForwardMsg.FromString(self.socket.recv(WAIT_SECONDS))
            if answer.WhichOneof("type") == "backend_operation_response":
                response = answer.backend_operation_response
                return response.deferred_file.url or None, response.error_msg


def widget_state(widget: str, value: Any) -> WidgetState:
    """Return what a browser says of a widget: True is a press, a float the value of a slider."""
    state = WidgetState(id=widget)
    if value is True:
        state.trigger_value = True
    elif isinstance(value, str):
        state.string_value = value
    elif isinstance(value, int):
        state.int_value = value
    elif isinstance(value, float):
        state.double_array_value.data.append(value)
    else:
        state.json_value = json.dumps(value)
    return state


def _take_in(message: ForwardMsg, page: Page) -> None:
    delta = message.delta
    page.deltas.append(delta)
    if delta.WhichOneof("type") == "add_block":
        element = (
            delta.add_block.tab_container
        )  # its id is empty where the server need not know which tab is open
    elif delta.WhichOneof("type") == "new_element":
        element = getattr(delta.new_element, delta.new_element.WhichOneof("type"))
    else:
        return
    if delta.new_element.WhichOneof("type") == "exception":
        page.exceptions.append(f"{element.type}: {element.message}")
    if name := getattr(element, "id", ""):
        page.elements[name] = element
        if delta.fragment_id:
            page.fragments[name] = delta.fragment_id
