"""The runs folder as a download, in parts where it is large."""

import tempfile
from functools import partial

import streamlit as st

from gptcore.runs import backup as archive
from gptcore.runs.limits import MEGABYTE
from gptcore.runs.run import RunError, runs_folder
from pages.kit import host_access, words


@st.fragment
def backup() -> None:
    """A button for each zip that the folder takes."""
    text, folder = words.load("host"), runs_folder()
    text.show("backup")
    every = [(names, archive.part_bytes(folder, names)) for names in archive.parts(folder)]
    offered = [(names, size) for names, size in every if size <= archive.PART_BYTES]
    if not every:
        st.caption(text.read("backup_empty"))
    with st.container(horizontal=True):
        for part, (names, size) in enumerate(offered, 1):
            st.download_button(
                text.read("backup_all", mb=size / MEGABYTE)
                if len(offered) == 1
                else text.read("backup_part", part=part, parts=len(offered), mb=size / MEGABYTE),
                partial(_packed, names, host_access.ticket()),
                file_name="glassbox-runs.zip" if len(offered) == 1 else f"glassbox-runs-{part}.zip",
                mime="application/zip",
                key=f"host_backup_{part}",
                icon=":material/download:",
                on_click="ignore",
            )
    if len(offered) > 1:
        st.caption(text.read("backup_parts", limit=archive.PART_BYTES / MEGABYTE))
    if large := [names[0] for names, size in every if size > archive.PART_BYTES]:
        st.caption(text.read("backup_large", names=", ".join(large)))


def _packed(names: list[str], ticket: str) -> bytes:
    """The zip, written to disk and read once. It is made outside the session, when the button is pressed."""
    if not host_access.is_valid(ticket):
        raise RunError(words.load("host").read("not_admitted"))
    with tempfile.TemporaryFile() as file:
        archive.write_part(runs_folder(), names, file)
        file.seek(0)
        return file.read()
