"""One run at a time on a host, seen from real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling.lease import (
    LEASE_SECONDS,
    Lease,
    LeaseError,
)

# Takes a lease, says so, and gives it back when it is told: "keep" or "end".
RUN = """
import sys
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling.lease import (
    Lease, LeaseError)
lease = Lease("aisha", sys.argv[1], "host-a", sys.argv[2])
try:
    lease.take()
except LeaseError as error:
    print(error, flush=True)
    sys.exit(3)
print("taken", flush=True)
lease.release(keep=input() == "keep")
"""
Process = subprocess.Popen[str]
Start = Callable[[str], Process]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a run with an id in a process of its own."""
    started = []

    def run(run_id: str) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, run_id, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def said(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def refusal(process: Process) -> str:
    line = said(process)
    assert process.wait(60) == 3
    return line


def told(process: Process, what: str) -> None:
    process.communicate(what + "\n", timeout=60)
    assert process.returncode == 0


def lease(folder: Path, run_id: str = "", name: str = "aisha") -> Any:
    return Lease(name, run_id, "host-b", str(folder))


def content(folder: Path) -> Any:
    return json.loads((folder / "polling-aisha.json").read_text())


def refused(taking: Callable[[], None]) -> str:
    with pytest.raises(LeaseError) as caught:
        taking()
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"), [("", ""), ("a", "b"), ("a", ""), ("", "b"), ("a", "a")]
)
def test_two_calls_at_once_are_one_too_many(start: Start, first: str, second: str) -> None:
    holds = start(first)
    assert said(holds) == "taken"
    assert refusal(start(second)).startswith(
        "host-a: another run of polling_singleton is under way right now"
    )
    told(holds, "end")
    again = start(second)
    assert said(again) == "taken"
    told(again, "end")


def test_a_run_keeps_its_right_between_its_calls(start: Start, folder: Path) -> None:
    first = start("a")
    assert said(first) == "taken"
    told(first, "keep")
    sentence = refusal(start("b"))
    assert "under way since" in sentence
    assert str(folder / "polling-aisha.json") in sentence
    same = start("a")
    assert said(same) == "taken"
    told(same, "end")
    other = start("b")
    assert said(other) == "taken"
    told(other, "keep")
    for run_id in ("a", ""):
        assert "under way since" in refusal(start(run_id))


def test_a_call_without_an_id_keeps_nothing(folder: Path) -> None:
    one = lease(folder)
    one.take()
    one.release(keep=True)
    assert content(folder)["until"] == 0
    two = lease(folder, "b")
    two.take()
    two.release(keep=False)


def test_a_run_that_died_gives_the_host_free(start: Start, folder: Path) -> None:
    died = start("a")
    assert said(died) == "taken"
    died.kill()
    died.wait(60)
    left = int(refusal(start("b")).partition("ends in ")[2].partition(" s")[0])
    assert 0 < left <= LEASE_SECONDS
    # The run itself may go on.
    same = lease(folder, "a")
    same.take()
    same.release(keep=True)
    stale = dict(content(folder), until=time.time() - 1)
    (folder / "polling-aisha.json").write_text(json.dumps(stale))
    other = lease(folder, "b")
    other.take()
    assert content(folder)["run_id"] == "b"
    other.release(keep=False)


def test_a_call_that_died_without_an_id_gives_the_host_free_at_once(
    start: Start, folder: Path
) -> None:
    died = start("")
    assert said(died) == "taken"
    died.kill()
    died.wait(60)
    other = lease(folder, "b")
    other.take()
    other.release(keep=False)


@pytest.mark.parametrize(("run_id", "keep"), [("", False), ("b", False), ("b", True)])
def test_who_was_refused_takes_nothing_away_between_calls(
    folder: Path, run_id: str, keep: bool
) -> None:
    """The module releases in any case, also what it did not get."""
    first = lease(folder, "a")
    first.take()
    first.release(keep=True)
    before = content(folder)
    other = lease(folder, run_id)
    refused(other.take)
    other.release(keep=keep)
    assert content(folder) == before
    refused(lease(folder, run_id).take)


def test_who_was_refused_takes_nothing_away_from_a_call(start: Start, folder: Path) -> None:
    holds = start("a")
    assert said(holds) == "taken"
    before = content(folder)
    other = lease(folder, "b")
    refused(other.take)
    other.release(keep=False)
    assert content(folder) == before


def test_who_was_refused_does_not_stand_in_the_way(folder: Path) -> None:
    first = lease(folder, "a")
    first.take()
    first.release(keep=True)
    other = lease(folder, "b")
    refused(other.take)
    same = lease(folder, "a")
    same.take()
    same.release(keep=False)


def test_when_the_last_rival_was_stopped_is_passed_on(folder: Path) -> None:
    first = lease(folder, "a")
    first.take()
    assert first.stopped_at == 0
    first.stopped_at = 1234.5
    first.release(keep=True)
    second = lease(folder, "a")
    second.take()
    assert second.stopped_at == 1234.5
    second.release(keep=False)
    looking = lease(folder, "b")
    looking.look()
    assert looking.stopped_at == 1234.5


def test_check_mode_writes_nothing(folder: Path) -> None:
    looking = lease(folder, "a")
    looking.look()
    looking.release(keep=True)
    assert not folder.exists()
    first = lease(folder, "a")
    first.take()
    first.release(keep=True)
    path = folder / "polling-aisha.json"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    looking = lease(folder, "a")
    looking.look()
    looking.release(keep=False)
    other = lease(folder, "b")
    assert "since" in refused(other.look)
    other.release(keep=False)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(folder.iterdir()) == [path]


def test_stacks_do_not_wait_for_each_other_and_stay_in_the_folder(folder: Path) -> None:
    names = ["aisha", "other", "../../escape", "a b"]
    leases = [lease(folder, "run", name) for name in names]
    for each in leases:
        each.take()
    assert len(list(folder.iterdir())) == len(names)
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}
    for each in leases:
        each.release(keep=False)


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b'{"run_id": "a", "until": 99', b"\xff\xfe\0", b"[]", b"null", b'"x"', b"{}"],
)
def test_a_broken_file_stands_in_nobodys_way(folder: Path, broken: bytes) -> None:
    folder.mkdir()
    path = folder / "polling-aisha.json"
    path.write_bytes(broken)
    lease(folder, "b").look()
    assert path.read_bytes() == broken
    taken = lease(folder, "b")
    taken.take()
    assert content(folder)["run_id"] == "b"
    taken.release(keep=False)


def test_the_file_is_for_its_owner_only(folder: Path) -> None:
    first = lease(folder, "a")
    first.take()
    assert (folder / "polling-aisha.json").stat().st_mode & 0o777 == 0o600
    first.release(keep=False)
