"""Training on a Ray cluster: the runs of the queue become jobs of Ray's job API, instead of processes here.

With GLASSBOX_RAY the supervisor keeps one process that follows the cluster for a runs folder (the job kind `ray`). It
asks Ray about each job and writes the answer to the run's request file, so pages never wait for the network and a
server that restarts finds its jobs again. Events, checkpoints, pause and stop go through the runs folder, which every
machine sees under the same path. The turns and limits of the queue stay ours; where a job runs is Ray's decision.

Source: https://docs.ray.io/en/latest/cluster/running-applications/job-submission/
"""

import json
import math
import os
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gptcore.files import read_json, write_json
from gptcore.runs import queue
from gptcore.runs.jobs import (
    TRAINING,
    Report,
    append_error,
    error_sentence,
    find_kind,
    job_kind,
    last_error,
    log_line,
)
from gptcore.runs.limits import MEGABYTE, PREFIX, RAY, Limits
from gptcore.runs.limits import names as limit_names
from gptcore.runs.queue_watch import watch_this_process
from gptcore.runs.run import (
    ENDED,
    PENDING,
    RUNNING,
    Run,
    folder_lock,
    log_file,
    read_record,
    request_file,
)

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

ADDRESS = RAY  # the address of the job API, such as http://127.0.0.1:8265
CPUS, GPUS = "GLASSBOX_RAY_CPUS", "GLASSBOX_RAY_GPUS"  # what a run reserves on the cluster
POLL_SECONDS = 0.5
RETRY_SECONDS = 3.0  # after a cluster did not answer
CONNECT_SECONDS = 5.0  # the client itself waits for as long as the system does, two minutes
ANSWER_SECONDS = 30.0  # after which a request counts as not answered; the client itself would wait forever
LONGEST_REASON = 300  # characters
INSTALL = 'pip install "ray[default]>=2.50,<3"'


class ClusterError(ValueError):
    """Why no run can go to the cluster at the moment, in one sentence."""


def is_used() -> bool:
    """Return whether runs that pages start train on a cluster."""
    return bool(os.environ.get(ADDRESS))


def problem(folder: Path) -> str | None:
    """Return why the cluster takes no runs of this folder, in one sentence; None where it does or none is used."""
    return read_json(_problem_file(folder)).get("problem") if is_used() else None


def has_work(folder: Path) -> bool:
    """Return whether a run of this folder waits, or is a job that has not ended as far as we know."""
    records = queue.Requests(folder, TRAINING).records
    return any(record.get("waiting") or _ray_status(record) == RUNNING for record in records)


@job_kind("ray", slots=TRAINING)
def _follow_cluster(settings: Mapping[str, Any], report: Report) -> None:
    """Hand over the runs of a folder and follow their jobs, until none is left."""
    folder, cluster = Path(settings["folder"]), None
    sentence = problem(folder)  # of a process that was killed
    try:
        while has_work(folder) or (cluster is not None and cluster.jobs):
            before, sentence = sentence, None
            try:
                cluster = cluster or Cluster(folder, _connect(os.environ.get(ADDRESS, "")))
                cluster.advance(Limits.from_environment())
            except Exception as error:  # whatever a cluster answers, its runs are followed again soon
                cluster, sentence = None, error_sentence(error)
            if sentence != before:
                log_line(f"{ADDRESS}={os.environ.get(ADDRESS)}: {sentence or 'the cluster takes runs again'}")
                write_json(_problem_file(folder), {"problem": sentence})
            time.sleep(RETRY_SECONDS if sentence else POLL_SECONDS)
    finally:
        _problem_file(folder).unlink(missing_ok=True)


@job_kind("cluster_run", slots=TRAINING, outlives_server=True)
def _run_alone(settings: Mapping[str, Any], report: Report) -> None:
    """Do a job of the queue on a machine of the cluster, where no supervisor watches its limits.

    Ray starts a job that was stopped while it waited, and stops it then; such a job does nothing here.
    """
    folder = Path(settings["job"]["settings"]["folder"])
    if not _is_wanted(read_record(request_file(folder)), settings["ray_job"]):
        return
    threading.Thread(target=watch_this_process, args=(log_file(folder),), daemon=True).start()
    job = settings["job"]
    find_kind(job["kind"], job["module"]).work(job["settings"], report)


def _connect(address: str) -> "JobSubmissionClient":
    """Return a client of the job API at an address; raises ClusterError."""
    parts = urlsplit(address)
    try:
        where = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError) as error:
        raise ClusterError(
            f"{ADDRESS}={address} must be the address of a Ray job API, such as http://127.0.0.1:8265"
        ) from error
    try:
        # Ray takes 50 MB of memory, and only those who have a cluster install it.
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise ClusterError(
            f"{ADDRESS} is set, but Ray is not installed on this server; install it with `{INSTALL}`"
        ) from error

    class Client(JobSubmissionClient):
        def _do_request(self, *arguments, **named):  # Ray has no public way to a time limit
            return super()._do_request(*arguments, **named, timeout=ANSWER_SECONDS)

    def connect() -> JobSubmissionClient:
        with closing(socket.create_connection(where, CONNECT_SECONDS)):
            return Client(address)

    return _answer(connect)


def _answer(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return what the cluster answers to a call; raises ClusterError where it does not."""
    try:
        return call(*arguments, **named)
    except OSError as error:
        raise ClusterError(
            f"the Ray cluster does not answer; runs wait until it does, so check {ADDRESS} and the cluster"
        ) from error
    except Exception as error:
        raise ClusterError(
            f"the Ray cluster answers with an error: {error_sentence(error)[:LONGEST_REASON]}"
        ) from error


class Cluster:
    """The jobs of one runs folder on a Ray cluster."""

    def __init__(self, folder: Path, client: "JobSubmissionClient"):
        self.folder, self.client = folder, client
        self.jobs = {  # those that may still be there
            job.submission_id
            for job in _answer(client.list_jobs)
            if (job.metadata or {}).get("glassbox_runs") == str(folder) and not job.status.is_terminal()
        }

    def advance(self, limits: Limits) -> None:
        """Hand over the runs whose turn it is, stop jobs that nobody wants, and note how far the others are.

        Raises ClusterError.
        """
        queue.poll(self.folder, _new_job, limits, slot_kinds=[TRAINING], on_cluster=True)
        records = queue.Requests(self.folder, TRAINING).records
        wanted = {record["launched"]["ray_job"]: record for record in records if _is_wanted(record)}
        for job in self.jobs - wanted.keys():  # withdrawn while they waited
            if self._details(job) is not None:
                _answer(self.client.stop_job, job)
            self.jobs.discard(job)
        for job, record in wanted.items():
            self._follow(job, record, limits)

    def _follow(self, job: str, record: dict[str, Any], limits: Limits) -> None:
        """Submit the job of a run that has just been handed over, or note how far it is."""
        before, details = _ray_status(record), self._details(job)
        run = Run(self.folder / record["id"])
        if details is None and before == PENDING:
            try:
                self._submit(job, record, limits)
            except ClusterError:
                raise
            except ValueError as error:  # a request that cannot be carried out, as when its text has changed
                self._note(job, run, ENDED, error_sentence(error))
            return
        now = (
            ENDED if details is None else {"PENDING": PENDING, "RUNNING": RUNNING}.get(details.status, ENDED)
        )
        if before == PENDING and details.error_type == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT":
            self._note(job, run, None)  # no room for 15 minutes: the run waits again, and goes to Ray again
        elif now != before:
            self._note(job, run, now, _reason(details, run, record) if now == ENDED else None)

    def _submit(self, job: str, record: dict[str, Any], limits: Limits) -> None:
        """Send a run to the cluster as the command that a process here would be started with."""
        requests = queue.Requests(self.folder, TRAINING)
        work = {"kind": "cluster_run", "module": __name__, "log": str(log_file(requests.path(record)))}
        work["settings"] = {"ray_job": job, "job": queue.job_of(requests, record)}
        # Limits alone: Ray shows the environment of a job to everybody, and the server has secrets. How many runs
        # train at once is a number of the whole cluster, from which no machine's share of memory follows.
        sent = set(limit_names()) - {f"{PREFIX}RUNS_AT_ONCE"}
        env = {name: os.environ[name] for name in sorted(sent & os.environ.keys())}
        asked = {
            "entrypoint": f"printf '%s\\n' {shlex.quote(json.dumps(work))} | python -m gptcore workers --once",
            "entrypoint_num_cpus": _number(CPUS, _threads(record, self.folder)),
            "entrypoint_num_gpus": _number(GPUS, 0),
            "entrypoint_memory": int(limits.memory_mb * MEGABYTE) if f"{PREFIX}MEMORY_MB" in env else None,
            "metadata": {"glassbox_runs": str(self.folder), "run": record["id"]},
            "runtime_env": {"env_vars": env | {f"{PREFIX}RUNS": str(self.folder)}},
        }
        try:
            _answer(self.client.submit_job, submission_id=job, **asked)
        except ClusterError as error:
            if "already exists" not in str(error):  # another server on this folder was faster
                raise
        self.jobs.add(job)

    def _details(self, job: str) -> "JobDetails | None":
        """Return what the cluster knows of a job, None for nothing."""
        try:
            return _answer(self.client.get_job_info, job)
        except ClusterError as error:
            if "status code 404" in str(error):
                return None
            raise

    def _note(self, job: str, run: Run, status: str | None, error: str | None = None) -> None:
        """Write how far a job is to the request file of its run, unless the run is no longer this job.

        Without a status the run waits in our queue again. `error` says why it ended badly.
        """
        with folder_lock(self.folder):
            requests = queue.Requests(self.folder, TRAINING)
            record = requests.find(run.id)
            if record is not None and _is_wanted(record, job):
                if error is not None:
                    append_error(log_file(run.folder), error)
                launched = None if status is None else record["launched"] | {"ray_status": status}
                requests.write(record | {"waiting": status is None, "launched": launched})
        if status in (ENDED, None):
            self.jobs.discard(job)


def _new_job(job: Mapping[str, Any], log: Path) -> dict[str, Any]:
    """Return what a request file says of a run that is about to be submitted."""
    return {"pid": 0, "born": 0, "ray_job": f"glassbox-{secrets.token_hex(8)}", "ray_status": PENDING}


def _ray_status(record: Mapping[str, Any]) -> str | None:
    return (record.get("launched") or {}).get("ray_status")


def _is_wanted(record: Mapping[str, Any], job: str | None = None) -> bool:
    """Return whether a run is a job on the cluster, this one if given, that has not been withdrawn or ended."""
    known = (record.get("launched") or {}).get("ray_job")
    if known is None or job not in (None, known):
        return False
    return bool(record.get("waiting")) if queue.is_pending(record) else _ray_status(record) == RUNNING


def _reason(details: "JobDetails | None", run: Run, record: Mapping[str, Any]) -> str | None:
    """Return why a job ended, in one sentence; None where the run itself says it."""
    has_begun = run.log_size() != record["launched"].get("log_size")
    ended_well = has_begun and run.last_event().get("event") in ("done", "failed")
    if ended_well or last_error(log_file(run.folder)) is not None:
        return None
    advice = "resume it from its last checkpoint" if run.has_checkpoint() else "start it again"
    if details is None:
        return f"the Ray cluster lost its job, perhaps because the cluster was restarted; {advice}"
    if details.status == "STOPPED":
        return f"its job was stopped on the Ray cluster; {advice}"
    if details.driver_exit_code in (137, -9):  # SIGKILL, as a shell reports it and as Python does
        return f"its process on the Ray cluster was killed, perhaps because memory ran out; {advice}"
    if details.driver_exit_code is not None:
        last_line = (details.message or "").strip().rpartition("\n")[2][:LONGEST_REASON]
        return f"its process on the Ray cluster ended with status {details.driver_exit_code} ({last_line}); {advice}"
    first_line = (details.message or "").partition("\n")[0][:LONGEST_REASON]
    return f"the Ray cluster could not run its job ({first_line}); {advice}"


def _threads(record: Mapping[str, Any], folder: Path) -> float:
    """Return the CPU threads that a run is to use, 1 where it measures how many are best."""
    _, train = queue.record_configs(queue.Requests(folder, TRAINING), record)
    return train.threads if isinstance(train.threads, int) else 1


def _number(name: str, default: float) -> float:
    """Return a number from the environment; raises ClusterError unless it is greater than 0."""
    value = os.environ.get(name, "").strip()
    try:
        number = float(value) if value else None
    except ValueError:
        number = math.nan
    if number is not None and not 0 < number < math.inf:
        raise ClusterError(f"{name}={value} must be a number greater than 0")
    return default if number is None else number


def _problem_file(folder: Path) -> Path:
    return folder / "ray.json"
