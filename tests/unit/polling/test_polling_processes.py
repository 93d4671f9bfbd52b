"""Real processes that hold a token are found, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import apply as polling_apply
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import files as polling_files
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    processes as polling_processes,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import Token

Process = subprocess.Popen[str]
Start = Callable[..., Process]
# Just after its start, a process has no command line yet; it is ready when it says so.
WAITS = "print('ready', flush=True); input()"
NOBODY = 65534


@pytest.fixture
def text() -> str:
    return f"712345678:{token_urlsafe(26)[:35]}"


def ready(process: Process) -> Process:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start Python with a program, arguments and variables; it ends with the test."""
    started = []

    def run(program: str, *arguments: str, **variables: str) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={"PATH": os.environ["PATH"], **variables},
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return ready(process) if "ready" in program else process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def observe(text: str, **more: Any) -> dict[int, dict[str, Any]]:
    token = Token(text)
    reader = polling_files.FileReader(token)
    rows, inside = polling_processes.observe(token, reader, set(), **more)
    assert inside == {}
    return {row["pid"]: row for row in rows}


def places(row: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(place["where"], place["field"], place["same_token"]) for place in row["places"]]


# Found


def test_a_token_is_found_wherever_a_process_has_it(
    start: Start, text: str, tmp_path: Path
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/bot.ini").write_text(f"[bot]\ntoken = {text}\n")
    named = str(tmp_path / "conf/bot.ini")
    encoded = text.replace(":", "%3A")
    older = f"712345678:{token_urlsafe(26)[:35]}"
    expected = {
        start(WAITS, BOT_TOKEN=text): [("process environment", "BOT_TOKEN", True)],
        start(WAITS, A="1", URL=f"https://example.com/bot{encoded}/getMe"): [
            ("process environment", "URL", True)
        ],
        start(WAITS, OLD=older): [("process environment", "OLD", False)],
        start(WAITS, "--token", text): [("process command", "command line", True)],
        start(WAITS, f"--token={encoded}"): [("process command", "command line", True)],
        start(WAITS, "--config", named): [("file", named, True)],
        start(WAITS, "--config=conf/bot.ini"): [("file", named, True)],
        start(WAITS, SETTINGS=named): [("file", named, True)],
        start(WAITS, text, BOT_TOKEN=text, CONFIG="conf/bot.ini"): [
            ("process environment", "BOT_TOKEN", True),
            ("process command", "command line", True),
            ("file", named, True),
        ],
        start(f"TOKEN = '{text}'; {WAITS}"): [("process command", "command line", True)],
    }
    innocent = start(WAITS, "--token", "none", BOT_TOKEN="712345678", SETTINGS=str(tmp_path))
    rows = observe(text)
    assert {pid: places(row) for pid, row in rows.items()} == {
        process.pid: where for process, where in expected.items()
    }
    assert innocent.pid not in rows
    for pid, row in rows.items():
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert row["started"] == stat[19]
        assert row["state"] == "running"
        assert row["name"] == Path(f"/proc/{pid}/comm").read_text().strip()


def test_neither_rows_nor_messages_show_the_token(start: Start, text: str, tmp_path: Path) -> None:
    (tmp_path / "bot.ini").write_text(text)
    start(WAITS, text, "bot.ini", BOT_TOKEN=text)
    rows = list(observe(text).values())
    assert len(rows) == 1
    secret = text.partition(":")[2]
    for suspects in ("fail", "report", "stop"):
        desired = polling_plan.Desired("aisha", suspects=suspects)
        made = polling_plan.plan([], rows, None, None, None, desired, "host-a")
        assert made.problems or made.warnings or made.steps
        shown = repr((rows, vars(made), polling_plan.diff(made, rows)))
        assert not [part for part in range(28) if secret[part : part + 8] in shown]


def test_the_process_itself_and_who_started_it_are_left_out(start: Start, text: str) -> None:
    other = start(WAITS, BOT_TOKEN=text)
    looks = """
import json, os, sys
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    files as polling_files, processes as polling_processes)
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import Token
token = Token(os.environ["BOT_TOKEN"])
rows, inside = polling_processes.observe(token, polling_files.FileReader(token), set())
print(json.dumps([row["pid"] for row in rows]))
"""
    starts = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    )
    login = start(starts, looks, BOT_TOKEN=text)
    answer, _errors = login.communicate(timeout=60)
    assert json.loads(answer) == [other.pid]
    assert set(observe(text)) == {other.pid}
    assert observe(text, own=other.pid) == {}


def test_ancestors_go_up_to_the_first_process(start: Start) -> None:
    child = start(WAITS)
    found = polling_processes.ancestors(child.pid)
    assert found[:3] == [child.pid, os.getpid(), os.getppid()]
    assert polling_processes.ancestors(child.pid, proc="/nowhere") == [child.pid]


def test_a_task_of_ansible_is_left_out(start: Start, text: str, tmp_path: Path) -> None:
    task = tmp_path / "AnsiballZ_polling_singleton.py"
    task.write_text(WAITS)
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={"BOT_TOKEN": text},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for arguments in (
            [str(task), text],
            ["-u", str(task)],
            ["-c", WAITS, text, "polling", str(task)],
        )
    ]
    try:
        for process in processes:
            ready(process)
        # Where the name stands further back, it is an argument like others.
        assert set(observe(text)) == {processes[2].pid}
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["python3", "/root/.ansible/tmp/ansible-tmp-1/AnsiballZ_setup.py"], True),
        (["/usr/bin/ansible-playbook", "site.yml"], True),
        (["/usr/bin/python3", "/usr/bin/ansible-playbook", "site.yml"], True),
        (["/usr/bin/python3", "/usr/bin/molecule", "test"], True),
        (["sh", "-c", "python3 /root/.ansible/tmp/ansible-tmp-1/run.py && sleep 0"], True),
        (["python3", "/srv/ansible-bot/bot.py"], False),
        (["python3", "bot.py", "--playbook", "x", "ansible"], False),
        (["my-ansible"], False),
        ([], False),
    ],
)
def test_what_belongs_to_ansible(arguments: list[str], answer: bool) -> None:
    assert polling_processes.is_ansible(arguments) is answer


CONTAINER = "ab" * 32


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["runc", "exec", "--process", "/run/runc-process1", "--detach", CONTAINER], True),
        (["/usr/bin/runc", "--root", "/run/runc", "create", "--bundle", "/b", CONTAINER], True),
        (["crun", "start", CONTAINER], True),
        (["runc", "exec", "--process", "/srv/bot.json"], False),
        (["runc"], False),
        (["python3", "bot.py", CONTAINER], False),
        ([""], False),
    ],
)
def test_what_is_the_engines_runtime(arguments: list[str], answer: bool) -> None:
    assert polling_processes.is_runtime(arguments) is answer


def test_the_runtime_that_has_a_containers_environment_is_left_out(
    text: str, tmp_path: Path
) -> None:
    """As the engine runs it for each health check."""
    environment = tmp_path / "runc-process"
    environment.write_text(json.dumps({"env": [f"BOT_TOKEN={text}"]}))
    proc = tmp_path / "proc"
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to("pid:[1]")
    check = ("exec", "--process", str(environment))
    write_process(proc, 20, "0::/\n", "pid:[1]", "runc", *check, CONTAINER)
    write_process(proc, 21, "0::/\n", "pid:[1]", "runc", *check)
    assert set(observe(text, proc=str(proc), own=1)) == {21}


def test_processes_that_end_meanwhile_do_not_disturb(start: Start, text: str) -> None:
    stays = start(WAITS, BOT_TOKEN=text)
    # Dead, and not yet forgotten: it has no command line any more.
    dead = start("", BOT_TOKEN=text)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            subprocess.run(["/bin/true"], env={"BOT_TOKEN": text}, check=True)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for _turn in range(5):
            rows = observe(text)
            assert stays.pid in rows
            assert dead.pid not in rows
    finally:
        over.set()
        churning.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_command_line_counts_where_the_environment_may_not_be_read(
    start: Start, text: str
) -> None:
    process = start(WAITS, text)
    token = Token(text)
    reader = polling_files.FileReader(token)
    os.seteuid(NOBODY)
    try:
        rows, _inside = polling_processes.observe(token, reader, set())
    finally:
        os.seteuid(0)
    assert reader.unread > 0
    assert [row["pid"] for row in rows] == [process.pid]


def write_process(proc: Path, pid: int, cgroup: str, namespace: str, *arguments: str) -> None:
    """A process as the kernel shows it."""
    base = proc / str(pid)
    (base / "ns").mkdir(parents=True)
    (base / "root").symlink_to("/")
    (base / "cwd").symlink_to("/")
    (base / "ns/pid").symlink_to(namespace)
    (base / "cmdline").write_text("".join(argument + "\0" for argument in arguments))
    (base / "environ").write_text("A=1\0")
    (base / "cgroup").write_text(cgroup)
    (base / "comm").write_text("my) bot\n")
    fields = ["S", "1", *("0" for _field in range(17)), "4711", "0"]
    (base / "stat").write_text(f"{pid} (my) bot) {' '.join(fields)}\n")


def test_a_container_and_a_unit_are_read_from_the_cgroup(text: str, tmp_path: Path) -> None:
    token = Token(text)
    reader = polling_files.FileReader(token)
    config = tmp_path / "config"
    config.write_text(text)
    here, there = "pid:[1]", "pid:[2]"
    known, unknown = "a" * 64, "b" * 64
    proc = tmp_path / "proc"
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to(here)
    (proc / "4000").mkdir()
    write_process(proc, 10, "0::/system.slice/my-bot.service\n", here, "bot", text)
    write_process(proc, 11, f"0::/system.slice/docker-{known}.scope\n", there, "bot", text)
    write_process(proc, 12, f"1:name=x:/docker/{known}\n", there, "bot", text)
    write_process(proc, 13, f"0::/system.slice/docker-{unknown}.scope\n", there, "bot", text)
    # In another namespace of processes, its paths are not those of this host.
    write_process(proc, 14, "0::/\n", there, "bot", str(config))
    write_process(proc, 15, "0::/user.slice\n", here, "bot", str(config))
    write_process(proc, 16, f"0::/system.slice/docker.service/{known}\n", here, "bot", text)
    write_process(proc, 17, "0::/\n", here)
    rows, inside = polling_processes.observe(token, reader, {known}, proc=str(proc), own=1)
    found = {row["pid"]: (row["unit"], row["name"], row["started"]) for row in rows}
    assert found == {
        10: ("my-bot.service", "my) bot", "4711"),
        13: ("", "my) bot", "4711"),
        15: ("", "my) bot", "4711"),
    }
    assert [place["where"] for place in inside.pop(known)] == ["process command"] * 3
    assert inside == {}


# Ended

# Says when it is ready, and answers each line with the signals that it got.
COUNTS = """
import signal, sys
seen = []
signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
print("ready", flush=True)
for line in sys.stdin:
    print(len(seen), flush=True)
"""


def began(process: Process) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_sigterm_ends_a_process(start: Start) -> None:
    ends = "import signal; print('ready', flush=True); signal.pause()"
    process = start(ends)
    polling_apply.terminate(process.pid, began(process), 30)
    assert process.wait(30) == -signal.SIGTERM


def test_a_process_may_take_its_time_to_end(start: Start) -> None:
    ends = """
import signal, sys
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
print("ready", flush=True)
signal.pause()
"""
    process = start(ends)
    polling_apply.terminate(process.pid, began(process), 30)
    assert process.wait(30) == 7


def test_sigkill_ends_what_sigterm_does_not(start: Start) -> None:
    process = start(COUNTS)
    polling_apply.terminate(process.pid, began(process), 0.3)
    assert process.wait(30) == -signal.SIGKILL


def test_a_paused_process_ends_as_well(start: Start) -> None:
    process = start(COUNTS)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    polling_apply.terminate(process.pid, began(process), 0.3)
    assert process.wait(30) == -signal.SIGKILL


def test_another_process_with_the_same_number_is_not_touched(start: Start) -> None:
    process = start(COUNTS)
    polling_apply.terminate(process.pid, str(int(began(process)) + 1), 0.3)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("how many?\n")
    process.stdin.flush()
    assert process.stdout.readline() == "0\n"
    assert process.poll() is None


def test_what_has_ended_is_left_alone(start: Start) -> None:
    process = start("")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    started = began(process)
    polling_apply.terminate(process.pid, started, 0.3)
    assert process.wait(30) == 0
    polling_apply.terminate(process.pid, started, 0.3)
