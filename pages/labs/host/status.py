"""What the server is doing now: visitors, jobs, memory and disk, measured every few seconds."""

import os
from collections import Counter

import streamlit as st
from streamlit import runtime

from gptcore.files import disk_bytes
from gptcore.resources import available_memory
from gptcore.runs import worker_pool
from gptcore.runs.activity import Activity, list_activity
from gptcore.runs.footprint import Footprint, footprint
from gptcore.runs.limits import MEGABYTE, Limits
from gptcore.runs.run import list_runs, runs_folder
from pages.kit import escape, host_access, live, session, words

EVERY_SECONDS = 4.0
SESSIONS = "active_sessions"  # the name of Streamlit's own count


@st.fragment(run_every=EVERY_SECONDS)
def status(offered: list[str]) -> None:
    """The numbers of this moment; the page runs again where the runs that it offers (by id) have changed."""
    if not host_access.is_admitted():
        st.rerun()  # closed in another fragment, or the secret has changed
    folder = runs_folder()
    jobs = list_activity(folder)
    taken = footprint(os.getpid(), folder)
    if problem := session.queue_problem():
        st.warning(escape.sentence(problem), icon=":material/cloud_off:")
    _numbers(jobs, taken)
    _jobs(jobs)
    _processes(taken)
    if offered != [run.id for run in list_runs()]:
        st.rerun()


def connected_sessions() -> int | None:
    """How many browser tabs are connected to this server; None where no server runs the page."""
    if not runtime.exists():
        return None
    stats = runtime.get_instance().stats_mgr.get_stats([SESSIONS]).get(SESSIONS, [])
    value = stats[0].value if stats else None
    return round(value) if isinstance(value, int | float) else None


def _numbers(jobs: list[Activity], taken: Footprint) -> None:
    text, limits = words.load("host"), Limits.from_environment()
    runs = [job for job in jobs if job.kind != "claim"]
    waiting = sum(job.position is not None for job in runs)
    sessions = connected_sessions()
    with st.container(horizontal=True, gap="medium", key="host_numbers"):
        metrics = (
            (text.read("sessions"), "–" if sessions is None else sessions, text.read("sessions_help")),
            (
                text.read("running"),
                text.read("running_value", n=len(runs) - waiting, most=limits.runs_at_once),
                None,
            ),
            (text.read("waiting"), text.read("waiting_value", n=waiting, most=limits.queue), None),
            (
                text.read("memory"),
                text.read("memory_value", mb=taken.pss / MEGABYTE, total=available_memory() / MEGABYTE),
                text.read("memory_help"),
            ),
            (
                text.read("disk"),
                text.read("disk_value", mb=disk_bytes(runs_folder()) / MEGABYTE, limit=limits.disk_mb),
                None,
            ),
        )
        for label, value, about in metrics:
            st.metric(label, value, help=about, width="content")


def _jobs(jobs: list[Activity]) -> None:
    text = words.load("host")
    text.show("jobs")
    if jobs:
        st.dataframe([_row(job) for job in jobs], key="host_jobs", hide_index=True, alt=text.read("jobs_alt"))
    else:
        st.caption(text.read("no_jobs"))
    if kinds := Counter(worker_pool.shared().unanswered):
        st.caption(text.read("interactive", list=", ".join(f"{n} × {kind}" for kind, n in kinds.items())))


def _row(job: Activity) -> dict[str, str]:
    others = f" +{job.n_owners - 1}" if job.n_owners > 1 else ""
    total = f" of {job.total_steps:,}" if job.total_steps else ""
    return {
        "Job": job.id[:12],
        "Kind": job.kind,
        "State": "running" if job.position is None else f"waiting, position {job.position}",
        "Owner": f"{job.owner or ''}{others}",
        "Time": "" if job.seconds is None else live.duration(job.seconds),
        "Step": "" if job.step is None else f"{job.step:,}{total}",
        "Memory": "" if job.memory is None else f"{job.memory / MEGABYTE:,.0f} MB",
    }


def _processes(taken: Footprint) -> None:
    text = words.load("host")
    text.show("processes")
    rows = [
        {"Process": kind, "Number": taken.counts[kind], "Memory (MB)": round(size / MEGABYTE)}
        for kind, size in sorted(taken.parts.items(), key=lambda part: -part[1])
    ]
    st.dataframe(rows, key="host_processes", hide_index=True, width="content", alt=text.read("processes_alt"))
