"""The queue: one run for equal requests, a fair turn for each visitor, and nobody lost."""

import os
import threading
import time
from pathlib import Path

import pytest
import run_logs

from gptcore.config import ConfigError
from gptcore.files import read_json, write_json
from gptcore.resources import process_identity
from gptcore.runs import queue, worker_pool
from gptcore.runs import run as runs
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.expected_wait import expected_place, expected_wait, seconds_left
from gptcore.runs.jobs import TRAINING
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.request import RunRequest
from gptcore.runs.worker_process import can_fork

SIZES = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16, "threads": 1}
FIXED = {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_samples": 1, "n_evals": 1}


@pytest.fixture
def request_for(tmp_path, monkeypatch, text):
    """A function that returns the request for a tiny run."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    (tmp_path / "animals.txt").write_text(text)

    def request_for(seed: int = 0, **changes) -> RunRequest:
        settings = SIZES | FIXED | changes.pop("settings", {})
        length = {} if "seconds" in changes else {"steps": 3}
        given = {"corpus": str(tmp_path / "animals.txt"), **length, **changes}
        return RunRequest(seed=seed, settings=settings, **given)

    return request_for


def limits(**changes: str) -> Limits:
    named = {f"GLASSBOX_{name.upper()}": value for name, value in changes.items()}
    return Limits.from_environment(named, cores=4, memory=16_000_000_000)


class Pretender:
    """Launches nothing, and says which run would have begun; each is over when the test says so."""

    def __init__(self):
        self.begun: list[str] = []

    def __call__(self, job, log) -> dict:
        self.begun.append(Path(job["settings"]["folder"]).name)
        return process_identity(os.getpid())  # alive for as long as the test

    def end(self, run_id: str) -> None:
        path = runs.request_file(runs.runs_folder() / run_id)
        write_json(path, read_json(path) | {"launched": {"pid": 0, "born": 0, "log_size": 0}})


def test_thirty_equal_requests_are_one_run(request_for):
    tight = limits(hosted="1", queue_per_visitor="1", queue="2")
    found = []
    students = [
        threading.Thread(
            target=lambda i=i: found.append(
                queue.submit(request_for(corpus="book"), owner=f"s{i}", limits=tight)
            )
        )
        for i in range(30)
    ]
    for student in students:
        student.start()
    for student in students:
        student.join()
    assert len(found) == 30 and len(set(found)) == 1
    assert len(runs.list_runs()) == 1
    assert sorted(found[0].owners()) == sorted(f"s{i}" for i in range(30))
    assert all(runs.list_runs(f"s{i}") == found[:1] for i in range(30))


def test_the_order_of_settings_is_no_difference_and_the_rest_is(request_for, tmp_path):
    key = request_for().key
    arguments = request_for().arguments()
    assert RunRequest.from_arguments([*arguments[:-5], *reversed(arguments[-5:])]).key == key
    different = [request_for(seed=1), request_for(steps=4), request_for(settings={"dropout": 0.5})]
    (tmp_path / "other.txt").write_text("another text")
    different.append(request_for(corpus=str(tmp_path / "other.txt")))
    assert len({key, *(request.key for request in different)}) == 5
    (tmp_path / "copy.txt").write_text((tmp_path / "animals.txt").read_text())
    assert request_for(corpus=str(tmp_path / "copy.txt")).key == key


def test_twelve_runs_of_four_visitors_take_turns(request_for):
    """Each asks for three, one visitor after the other; two may run at once."""
    two, launch = limits(runs_at_once="2"), Pretender()
    asked = {}
    for visitor in "abcd":
        for number in range(3):
            run = queue.submit(request_for(seed=ord(visitor) * 10 + number), owner=visitor, limits=two)
            asked[run.id] = f"{visitor}{number}"
            queue.poll(runs.runs_folder(), launch, two)
    assert [asked[one] for one in launch.begun] == ["a0", "a1"]
    expected = ["b0", "c0", "d0", "b1", "c1", "d1", "a2", "b2", "c2", "d2"]
    places = {asked[run.id]: queue.position(run) for run in runs.list_runs()}
    assert places == {name: place for place, name in enumerate(expected, 1)} | {"a0": None, "a1": None}
    for ended in range(12):
        launch.end(launch.begun[ended])
        queue.poll(runs.runs_folder(), launch, two)
        assert queue.Requests(runs.runs_folder(), TRAINING).n_running() == min(2, 11 - ended)
    assert [asked[one] for one in launch.begun] == ["a0", "a1", *expected]


def test_the_wait_is_what_the_runs_before_still_need(request_for):
    one, launch = limits(runs_at_once="1"), Pretender()
    first, second, third, fourth = (
        queue.submit(request_for(seed, **length), limits=one)
        for seed, length in enumerate(({"seconds": 40}, {"seconds": 20}, {"steps": 3}, {"seconds": 5}))
    )
    queue.poll(runs.runs_folder(), launch, one)
    assert (expected_wait(second, one), expected_wait(third, one)) == (40, 60)
    assert expected_wait(fourth, one) is None  # nobody knows how long three steps take here
    first.folder.mkdir()
    run_logs.write(first.folder, [run_logs.start(5_000), run_logs.trained(2_000, 3.0)])
    found = {
        "total_steps": 5_000,
        "device": "cpu",
        "precision": "fp32",
        "attention_path": "fused",
        "threads": 1,
    }
    write_json(first.folder / "config.json", {"format": runs.FORMAT, "found": found})
    assert seconds_left(first) == 30  # a hundredth of a second a step


def test_the_place_of_one_more_run_is_the_one_it_then_has(request_for):
    """What is said before a run is started, and what holds once it waits, are the same."""
    one, launch = limits(runs_at_once="1"), Pretender()
    assert expected_place("a", one) is None
    for seed, seconds in ((0, 40), (1, 20)):
        queue.submit(request_for(seed, seconds=seconds), owner="a", limits=one)
        queue.poll(runs.runs_folder(), launch, one)
    # The first two had their turns: a newcomer goes before the second of them, and a third one after it.
    for owner, said in (("b", (1, 40)), ("a", (3, 160))):
        assert expected_place(owner, one) == said
        run = queue.submit(request_for(ord(owner), seconds=100), owner=owner, limits=one)
        assert (queue.position(run), expected_wait(run, one)) == said


def test_a_wait_on_two_slots_ends_with_the_first_that_is_free(request_for):
    two, launch = limits(runs_at_once="2"), Pretender()
    for seed, seconds in ((0, 40), (1, 10)):
        queue.submit(request_for(seed, seconds=seconds), owner=f"s{seed}", limits=two)
        queue.poll(runs.runs_folder(), launch, two)
    third = queue.submit(request_for(2, seconds=20), owner="s2", limits=two)
    assert expected_wait(third, two) == 10
    assert expected_place("s3", two) == (2, 30)  # the third run begins after 10 s and takes 20
    fourth = queue.submit(request_for(3, seconds=30), owner="s3", limits=two)
    assert expected_wait(fourth, two) == 30
    assert expected_place("s4", two) == (3, 40)
    # Where more run than may, the first to end makes room for none.
    assert expected_wait(third, limits(runs_at_once="1")) == 40


def test_a_newcomer_goes_before_the_second_run_of_somebody_else(request_for):
    one, launch = limits(runs_at_once="1"), Pretender()
    for seed in range(4):
        queue.submit(request_for(seed=seed), owner="a", limits=one)
        queue.poll(runs.runs_folder(), launch, one)
    late = queue.submit(request_for(seed=9), owner="b", limits=one)
    assert queue.position(late) == 1


def test_one_visitor_cannot_fill_the_queue_and_a_full_one_refuses(request_for):
    tight, launch = limits(runs_at_once="1", queue_per_visitor="2", queue="3"), Pretender()

    def ask(owner, seed):
        run = queue.submit(request_for(seed=seed), owner=owner, limits=tight)
        queue.poll(runs.runs_folder(), launch, tight)
        return run

    ask("a", 0), ask("a", 1), ask("a", 2)
    with pytest.raises(LimitError, match="2 of your runs are waiting, and the limit per visitor is 2"):
        ask("a", 3)
    last = ask("b", 4)
    with pytest.raises(LimitError, match="3 runs are waiting, and the limit is 3"):
        ask("c", 5)
    queue.withdraw(last, "b")
    assert last not in runs.list_runs()
    assert ask("c", 5).state() == "waiting"


def test_who_withdraws_from_a_shared_request_leaves_it_to_the_others(request_for):
    first = queue.submit(request_for(), owner="a")
    assert queue.submit(request_for(), owner="b") == first
    queue.withdraw(first, "a")
    assert first.state() == "waiting" and first.owners() == ["b"]


def test_what_exceeds_a_limit_is_refused_before_anything_is_written(request_for):
    for tight in (limits(parameters="1000"), limits(seconds="5"), limits(disk_mb="0.001")):
        (runs.runs_folder() / "texts").mkdir(parents=True, exist_ok=True)
        (runs.runs_folder() / "texts" / "long.txt").write_text("x" * 2000)
        asked = request_for(seconds=10)
        with pytest.raises(LimitError, match="the limit"):
            queue.submit(asked, limits=tight)
    with pytest.raises(ConfigError, match="must be divisible by n_heads=3"):
        queue.submit(request_for(settings={"n_heads": 3}))
    assert runs.list_runs() == []


def test_two_servers_on_one_folder_launch_each_run_once(request_for):
    both, launches = limits(runs_at_once="12"), [Pretender(), Pretender()]
    for seed in range(12):
        queue.submit(request_for(seed=seed), limits=both)
    servers = [
        threading.Thread(target=queue.poll, args=(runs.runs_folder(), launch, both)) for launch in launches
    ]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
    begun = launches[0].begun + launches[1].begun
    assert len(begun) == len(set(begun)) == 12


def test_a_run_that_waits_on_a_cluster_takes_a_slot_until_a_server_without_one_starts_it(request_for):
    def hand_over(job, log):
        return {"pid": 0, "born": 0, "ray_job": "glassbox-1", "ray_status": runs.PENDING}

    one, here = limits(runs_at_once="1"), Pretender()
    first, second = (queue.submit(request_for(seed=seed), limits=one) for seed in range(2))
    assert queue.poll(runs.runs_folder(), hand_over, one, on_cluster=True) == [first.id]
    assert queue.poll(runs.runs_folder(), hand_over, one, on_cluster=True) == []
    assert [(run.state(), queue.position(run)) for run in (first, second)] == [("waiting", 1), ("waiting", 2)]
    queue.poll(runs.runs_folder(), here, one)
    assert here.begun == [first.id] and queue.position(second) == 1


def test_a_process_that_cannot_be_started_is_a_failed_run(request_for):
    def refuse(job, log):
        raise OSError(11, "Resource temporarily unavailable")

    run = queue.submit(request_for())
    queue.poll(runs.runs_folder(), refuse)
    assert run.state() == "failed"
    assert "could not be started" in run.failure()


def test_real_runs_of_four_visitors_all_come_to_their_end(request_for, monkeypatch):
    if not can_fork():
        pytest.skip("a fresh process for each run takes too long for a test")
    monkeypatch.setenv("GLASSBOX_RUNS_AT_ONCE", "2")
    asked = [queue.submit(request_for(seed=seed, steps=2), owner="abcd"[seed % 4]) for seed in range(8)]
    worker_pool.shared().poll(runs.runs_folder())
    deadline, most = time.monotonic() + 120, 0
    while any(run.state() != "done" for run in asked):
        assert time.monotonic() < deadline, [(run.state(), run.failure()) for run in asked]
        looks = [{run.id for run in asked if run.is_locked() and not run.is_finished()} for _ in range(2)]
        most = max(most, len(set.intersection(*looks)))  # those trained at one moment, between the looks
        time.sleep(0.05)
    assert most <= 2
    turns = [runs.Run(run.folder).request()["turn"] for run in asked]
    assert turns == sorted(turns)


def test_a_waiting_run_outlives_the_server_that_took_it(request_for):
    one, launch = limits(runs_at_once="1"), Pretender()
    running, waiting = (queue.submit(request_for(seed=seed), limits=one) for seed in range(2))
    queue.poll(runs.runs_folder(), launch, one)
    assert (running.state(), waiting.state()) == ("starting", "waiting")
    launch.end(running.id)
    another = Pretender()
    queue.poll(runs.runs_folder(), another, one)
    assert another.begun == [waiting.id]


def test_a_request_that_waited_since_the_first_edition_begins(request_for):
    folder = runs.runs_folder()
    folder.mkdir()
    waiting = read_json(Path(__file__).parents[2] / "first_edition" / "requests" / "waiting.request.json")
    write_json(folder / f"{waiting['id']}.request.json", waiting)
    assert queue.find_runs([queue.read_request(waiting).key]) == [runs.Run(folder / waiting["id"])]
    launch = Pretender()
    queue.poll(folder, launch, limits())
    assert launch.begun == [waiting["id"]]


MALFORMED = {
    "seconds_as_text": {"request": {"kind": "train", "seconds": "abc"}},
    "scaling_without_factor": {"request": {"kind": "train", "settings": {"rope_scaling": {"kind": "ntk"}}}},
    "request_as_number": {"request": 5},
    "another_kind": {"request": {"kind": "system"}, "module": "os"},
    "no_turn": {"turn": ...},
    "turn_as_text": {"turn": "a"},
    "owners_as_numbers": {"owners": [5]},
    "launched_as_list": {"launched": [1], "waiting": False},
    "supervisor_as_number": {"launched": {"pid": 1, "supervisor": 7}, "waiting": False},
    "key_as_list": {"key": []},
    "asked_as_text": {"asked": "yesterday"},
}


@pytest.mark.parametrize("fault", MALFORMED)
@pytest.mark.parametrize("slots", ["training", "measurement"])
def test_a_malformed_request_file_stops_no_other(request_for, fault, slots):
    good, launch = queue.submit(request_for(), limits=limits()), Pretender()
    bad = good.request() | {"sequence": 0} | MALFORMED[fault]
    bad = {name: value for name, value in bad.items() if value is not ...}
    path = runs.request_file(queue.Requests(runs.runs_folder(), slots).folder / "bad")
    path.parent.mkdir(exist_ok=True)
    write_json(path, bad)
    queue.poll(runs.runs_folder(), launch, limits(runs_at_once="9"))
    assert good.id in launch.begun
    assert queue.submit(request_for(seed=1), limits=limits()).state() == "waiting"
    assert len(queue.find_runs(["nothing"])) == 1 and runs.list_runs()
    Cleaner().clean(runs.runs_folder(), limits(keep_hours="1"))
    queue.is_busy(runs.runs_folder())


def test_no_module_that_a_request_file_names_is_imported(request_for):
    jobs, run = [], queue.submit(request_for())
    write_json(runs.request_file(run.folder), run.request() | {"module": "os"})
    queue.poll(
        runs.runs_folder(), lambda job, log: jobs.append(job) or process_identity(os.getpid()), limits()
    )
    assert [(job["kind"], job["module"]) for job in jobs] == [("train", "gptcore.runs.execute")]


def test_a_text_that_changed_since_it_was_asked_for_is_not_trained_on(request_for, tmp_path):
    run, launch = queue.submit(request_for()), Pretender()
    (tmp_path / "animals.txt").write_text("Another text altogether.\n" * 50)
    queue.poll(runs.runs_folder(), launch, limits())
    assert launch.begun == [] and run.state() == "failed"
    assert "animals.txt has changed since this run was requested" in run.failure()


@pytest.mark.parametrize(
    "named",
    [
        {"corpus": "/etc/passwd"},
        {"corpus": "hub:roneneldan/TinyStories"},
        {"corpus": "texts/../secret.txt"},
        {"tokenizer": "/etc/passwd"},
        {"plugin": "/tmp/code.py"},
        {"start_from": "/srv/models/mine"},
    ],
    ids=str,
)
def test_a_hosted_server_trains_on_no_path_address_or_plugin(tmp_path, monkeypatch, named):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    hosted = Limits.from_environment({"GLASSBOX_HOSTED": "1"})
    with pytest.raises(ConfigError, match=r"here[;,]") as refused:
        queue.submit(RunRequest(steps=3, **named), limits=hosted)
    assert "\n" not in str(refused.value) and list(tmp_path.iterdir()) == []
    text = tmp_path / "texts" / f"{'0' * 16}.txt"
    text.parent.mkdir()
    text.write_text("A text that somebody uploaded. " * 100)
    assert queue.submit(RunRequest(steps=3, corpus=str(text)), limits=hosted).state() == "waiting"
