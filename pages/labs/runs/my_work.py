"""Export and import of runs, progress and settings as one zip file."""

from functools import partial
from typing import Any

import streamlit as st

from gptcore.runs.archive import export_work, import_work
from gptcore.runs.limits import Limits
from gptcore.runs.run import list_runs
from pages.kit import escape, links, progress, session, visitor, words

_SAID = "runs_said"


@st.fragment
def my_work() -> None:
    """Export and import of runs, progress and settings as one zip file."""
    text = words.load("runs")
    st.download_button(
        "Export my work",
        partial(_packed, None if visitor.is_local() else visitor.visitor_id(), _about()),
        file_name="glassbox-my-work.zip",
        mime="application/zip",
        key="runs_pack",
        icon=":material/download:",
        on_click="ignore",
        disabled=not session.my_runs(),
    )
    brought = st.file_uploader(
        "Zip file to import",
        type="zip",
        key="runs_bring",
        max_upload_size=Limits.from_environment().file_widget_mb,
        help=text.read("bring_help"),
    )
    if brought is not None and st.button("Import this file", key="runs_unpack", icon=":material/unarchive:"):
        _unpack(brought.getvalue())
    if message := st.session_state.pop(_SAID, None):
        st.success(message, icon=":material/check:")


def _packed(owner: str | None, about: dict[str, Any]) -> bytes:
    """The zip of an owner's runs, of all runs for None. It is made outside the session, which is not known then."""
    return export_work(list_runs(owner), about)


def _about() -> dict[str, Any]:
    return {
        "progress": {"passed": sorted(progress.passed())},
        "settings": {key: value for key in ("seed", "present") if (value := links.sticky_value(key))},
    }


def _unpack(data: bytes) -> None:
    text = words.load("runs")
    try:
        runs, about = import_work(data, owner=visitor.visitor_id(), is_local=visitor.is_local())
    except (ValueError, OSError) as error:
        st.error(escape.sentence(str(error)), icon=":material/error:")
        return
    passed = (about.get("progress") or {}).get("passed") if isinstance(about.get("progress"), dict) else None
    names = [name for name in passed or [] if isinstance(name, str) and len(name) < 60]
    if names:
        progress.tick(*names)
    settings = about.get("settings")
    for key in ("seed", "present"):
        value = settings.get(key) if isinstance(settings, dict) else None
        if isinstance(value, str) and links.STICKY[key].refuses(value) is None:
            links.set_sticky(key, value)
    st.session_state[_SAID] = text.read("brought", runs=len(runs), checks=len(names))
    st.rerun()
