"""The server's own limit on uploads: it follows GLASSBOX_UPLOAD_MB, as the upload controls do.

A control's limit holds in the browser; a client that sends a file by itself meets only `server.maxUploadSize`. The
server takes a file only for a session, whose first act is a run of a page, and `.streamlit/config.toml` holds the
limit at 1 MB until then.
"""

import streamlit as st
from streamlit import config

from gptcore.runs.limits import Limits

OPTION = "server.maxUploadSize"  # in MiB; Streamlit reads it at each upload
SET_BY = "GLASSBOX_UPLOAD_MB"


def enforce() -> None:
    """Have the server refuse what is larger than a visitor may upload.

    `st.set_option` sets options of the client alone.
    """
    allowed = Limits.from_environment().file_widget_mb
    if st.get_option(OPTION) != allowed:
        config.set_option(OPTION, allowed, SET_BY)
