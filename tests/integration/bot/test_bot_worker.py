"""What a worker does with files that kill, with much work, what is old, and a full disk."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bot_harness import (
    BUCKET,
    Process,
    Stack,
    free_port,
    http,
    make_audio,
    program,
    until,
)

POISON = b"POISON"


def ffmpeg_with(stack: Stack, script: str) -> dict[str, str]:
    """A PATH with an ffmpeg of ours; `$in` is its input, `run` is the real one."""
    folder = stack.folder / "bin"
    folder.mkdir(exist_ok=True)
    path = folder / "ffmpeg"
    path.write_text(
        '#!/bin/sh\nlast=; for a; do [ "$last" = -i ] && in=$a; last=$a; done\n'
        f"real={program('apt-get install ffmpeg', 'ffmpeg')}\n"
        f'run() {{ $real "$@"; }}\n{script}\n'
    )
    path.chmod(0o755)
    return {"PATH": f"{folder}:{stack.env('worker', 'x')['PATH']}"}


def start_primary(stack: Stack) -> None:
    """Its handlers take long to load on a machine that others use as well."""
    stack.start("primary")
    stack.wait_healthy("primary", seconds=90)


def add_callback(stack: Stack, text: str, chat_id: int) -> int:
    """As the webhook API records it; the sweeper queues it."""
    body = json.dumps({"chat_id": chat_id, "text": text}).encode()
    rows = stack.query(
        "INSERT INTO callbacks (source, delivery_id, body, received_by)"
        " VALUES ('test', gen_random_uuid(), %s, 'test') RETURNING id",
        body,
    )
    return int(rows[0]["id"])


def closed_callback(stack: Stack, row_id: int) -> Any:
    rows = stack.query("SELECT * FROM callbacks WHERE id = %s AND closed_at IS NOT NULL", row_id)
    return rows[0] if rows else None


def texts(stack: Stack) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for answer in stack.answers():
        found.setdefault(int(answer["chat_id"]), []).append(answer["text"])
    return found


def restarted_until(stack: Stack, worker: Process, done: Callable[[], Any], **extra: str) -> Any:
    """As the engine does it: a worker that was killed is started again."""

    def check() -> Any:
        nonlocal worker
        if not worker.alive:
            worker = stack.start("worker", **extra)
        return done()

    return until("all is done", check, 90)


def test_a_file_that_kills_ffmpeg_is_refused_at_the_third_try(stack: Stack, tmp_path: Path) -> None:
    """A real ffmpeg and a real file: twenty minutes are more than its second of CPU time."""
    count = stack.folder / "count"
    extra = ffmpeg_with(stack, f'echo x >> {count}\nulimit -t 1\nexec $real "$@"')
    long = tmp_path / "long.flac"
    silence = ["-af", "volume=0", "-ar", "8000"]
    sound = make_audio(long, 1200, *silence)
    start_primary(stack)
    stack.start("worker", **extra)
    row = stack.wait_closed(stack.push_voice(sound), 90)
    assert row["status"] == "failed"
    assert "3 tries ended badly" in row["error"]
    assert len(count.read_text().split()) == 3
    [answer] = stack.answers()
    assert "another format" in answer["text"]
    assert not list((stack.folder / "temp").iterdir())


def test_a_file_that_kills_its_worker_condemns_no_neighbour(stack: Stack, voice: bytes) -> None:
    count = stack.folder / "count"
    extra = ffmpeg_with(
        stack,
        f'if grep -q {POISON.decode()} "$in"; then\n'
        f"  echo x >> {count}; sleep 0.5; kill -9 $PPID; exit 1\n"
        'fi\nsleep 1.5\nrun "$@"',
    )
    start_primary(stack)
    poison = stack.push_voice(voice + POISON, chat_id=1)
    neighbour = stack.push_voice(voice, chat_id=2)
    until("both wait", lambda: stack.row(neighbour) and stack.row(poison))
    worker = stack.start("worker", **extra)

    def both_closed() -> list[dict[str, Any]] | None:
        rows = [stack.row(update_id) for update_id in (poison, neighbour)]
        return [r for r in rows if r] if all(r and r["closed_at"] for r in rows) else None

    bad, good = restarted_until(stack, worker, both_closed, **extra)
    assert good["status"] == "done", "condemned by its neighbour"
    assert good["crashes"] == 1, "it must be beside the other once, and then no more"
    assert bad["status"] == "failed"
    assert len(count.read_text().split()) == 3
    found = texts(stack)
    assert [len(found[chat]) for chat in (1, 2)] == [1, 1]
    assert "another format" in found[1][0]


def test_what_took_too_long_is_tried_again_first(stack: Stack, voice: bytes) -> None:
    marker = stack.folder / "began"
    script = f'[ -e {marker} ] || {{ : > {marker}; exec sleep 30; }}\nrun "$@"'
    start_primary(stack)
    stack.start("worker", TRANSCODE_SECONDS="2", **ffmpeg_with(stack, script))
    row = stack.wait_closed(stack.push_voice(voice), 60)
    assert (row["status"], row["crashes"]) == ("done", 1)
    assert len(stack.answers()) == 1


def test_two_long_files_hold_back_no_notification(stack: Stack, voice: bytes) -> None:
    extra = ffmpeg_with(stack, f'echo x >> {stack.folder}/began\nsleep 12\nrun "$@"')
    port = free_port()
    start_primary(stack)
    stack.start("worker", WORKER_CONCURRENCY="2", METRICS_PORT=str(port), **extra)
    voices = [stack.push_voice(voice, chat_id=chat) for chat in (1, 2)]
    began = stack.folder / "began"
    until("both are at work", lambda: began.exists() and len(began.read_text().split()) == 2, 30)
    since = time.monotonic()
    row_id = add_callback(stack, "hello", 3)
    until("the notification is out", lambda: closed_callback(stack, row_id))
    assert time.monotonic() - since < 6
    # What is open can be seen, and for how long.
    until("it is counted", lambda: b'open_rows{kind="messages"} 2.0' in metrics(port))
    until("and what is done no more", lambda: b'open_rows{kind="callbacks"} 0.0' in metrics(port))
    oldest = b'aisha_oldest_open_row_seconds{kind="messages"} '
    [line] = [line for line in metrics(port).splitlines() if line.startswith(oldest)]
    assert float(line.removeprefix(oldest)) > 0
    facts = json.loads((stack.folder / "worker.heartbeat").read_text())["facts"]
    assert facts["open_rows"] == 2
    assert [stack.wait_closed(update_id, 60)["status"] for update_id in voices] == ["done", "done"]


def metrics(port: int) -> bytes:
    return http("GET", f"http://127.0.0.1:{port}/metrics")[1]


def test_keeping_no_audio_takes_nothing_that_is_in_work(stack: Stack, voice: bytes) -> None:
    """Another worker on the same volume starts, and tidies up, in the middle."""
    marker = stack.folder / "made"
    script = f'run "$@" || exit\n[ -e {marker} ] || {{ : > {marker}; sleep 4; }}'
    extra = {"KEEP_AUDIO_HOURS": "0", **ffmpeg_with(stack, script)}
    start_primary(stack)
    stack.start("worker", "worker-1", **extra)
    update_id = stack.push_voice(voice)
    until("it is converted and not yet stored", marker.exists, 30)
    stack.start("worker", "worker-2", **extra)
    stack.wait_healthy("worker", "worker-2")
    row = stack.wait_closed(update_id, 60)
    assert (row["status"], row["attempts"]) == ("done", 1)
    assert len(stack.answers()) == 1
    assert not list((stack.folder / "audio").iterdir()), "and then nothing is kept"


def objects_of(stack: Stack) -> set[str]:
    found = stack.objects.store(BUCKET).list(f"voice/{stack.bot_id}/").collect()
    return {entry["path"] for entry in found}


def test_what_is_old_is_forgotten_with_its_object(stack: Stack, voice: bytes) -> None:
    start_primary(stack)
    worker = stack.start("worker")
    old, young = (stack.push_voice(voice, chat_id=chat) for chat in (1, 2))
    rows = {update_id: stack.wait_closed(update_id, 60) for update_id in (old, young)}
    notes = [add_callback(stack, "x", 3) for _ in range(2)]
    for row_id in notes:
        until("it is sent", lambda row_id=row_id: closed_callback(stack, row_id))
    assert objects_of(stack) == {row["object_key"] for row in rows.values()}
    for table, column, value in (("messages", "update_id", old), ("callbacks", "id", notes[0])):
        stack.query(
            f"UPDATE {table} SET closed_at = now() - interval '3 days' WHERE {column} = %s",  # noqa: S608
            value,
        )
    worker.end()
    stack.start("worker", KEEP_MESSAGES_DAYS="2", KEEP_CALLBACKS_DAYS="2")
    until("the old row is gone", lambda: stack.row(old) is None, 60)
    until("and the callback", lambda: closed_callback(stack, notes[0]) is None)
    assert objects_of(stack) == {rows[young]["object_key"]}
    assert stack.row(young) is not None
    assert closed_callback(stack, notes[1]) is not None


def consumers(stack: Stack, stream: str) -> list[str]:
    key = f"{stack.prefix}{stream}"
    if not stack.redis.root.exists(key):
        return []
    found = stack.redis.root.xinfo_consumers(key, f"{stack.prefix}workers")
    return sorted(consumer["name"].decode() for consumer in found)


def test_workers_of_two_hosts_and_two_lives_are_told_apart(stack: Stack, voice: bytes) -> None:
    """The same INSTANCE_ID twice, as on two hosts."""
    start_primary(stack)
    extra = {"WORKER_CONCURRENCY": "1", **ffmpeg_with(stack, 'sleep 3\nrun "$@"')}
    for number in range(2):
        beat = str(stack.folder / f"beat-{number}")
        stack.start("worker", HEARTBEAT_FILE=beat, **extra)
        until("it is ready", lambda beat=beat: stack.health("worker", HEARTBEAT_FILE=beat)[0])
    updates = [stack.push_voice(voice, chat_id=chat) for chat in (1, 2)]
    rows = [stack.wait_closed(update_id, 60) for update_id in updates]
    names = consumers(stack, "jobs")
    assert len(names) == 2
    assert all(name.startswith("worker@") for name in names)
    assert sorted(row["claimed_by"] for row in rows) == names, "rows say it in the same words"


async def test_consumers_of_former_lives_are_forgotten(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.core.config import load_settings
    from app.queue import broker as module

    for name, value in stack.env("worker", "worker").items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    monkeypatch.setattr(module, "CONSUMER_IDLE_MS", 0)
    former, present = module.make_broker(settings), module.make_broker(settings)
    await module.JobQueue(present).put("callbacks", 5)
    consumer = module.Consumer(former, "short")
    deliveries: list[module.Delivery] = []
    while not deliveries:
        # First it makes the group, then it looks for what others left.
        deliveries = await consumer.take(1)
    await former.shutdown()
    for left in (True, False):
        time.sleep(0.01)
        await module.Consumer(present, "short").take(1)
        assert (former.consumer in consumers(stack, "jobs:short")) is left, "it holds a job" * left
        await deliveries[0].ack()
    assert stack.redis.root.xlen(f"{stack.prefix}jobs:short") == 0
    await present.shutdown()


def test_everything_in_retry_is_unhealthy(stack: Stack, voice: bytes) -> None:
    """Files can't be had, and nothing else is wrong: each part of its health was green."""
    start_primary(stack)
    stack.start("worker")
    stack.wait_healthy("worker")
    fault = {"method": "getFile", "error_code": 500, "description": "Internal Server Error"}
    stack.control("POST", f"/bots/{stack.bot_id}/faults", fault)
    for chat in (1, 2, 3):
        stack.push_voice(voice, chat_id=chat)
    until("it is unhealthy", lambda: not stack.health("worker")[0], 60)
    assert "everything is put off" in stack.health("worker")[1]
    assert "getFile" in stack.health("worker")[1]
    stack.control("DELETE", f"/bots/{stack.bot_id}/faults")
    stack.wait_healthy("worker", seconds=90)


def test_a_full_disk_is_unhealthy(stack: Stack) -> None:
    """A real one: a small tmpfs in a namespace of the worker's own."""
    full = stack.folder / "full"
    full.mkdir()
    launcher = stack.folder / "launch"
    launcher.write_text(
        f"#!/bin/sh\nmount -t tmpfs -o size=4m tmpfs {full} || exit 99\n"
        f"{sys.executable} -m app & worker=$!\n"
        f"while [ ! -e {stack.folder}/fill ]; do sleep 0.1; done\n"
        f"head -c 8m /dev/zero > {full}/filler 2>/dev/null\n"
        f"while [ -e {stack.folder}/fill ]; do sleep 0.1; done\n"
        f"rm {full}/filler; trap 'kill $worker' TERM; wait $worker; wait $worker\n"
    )
    command = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "-rm"]
    process = Process(
        [*command, "sh", str(launcher)],
        stack.folder / "worker.out",
        env=stack.env("worker", "worker", TEMP_DIR=str(full)),
    )
    stack.processes.append(process)
    until("it runs or can't", lambda: not process.alive or stack.health("worker")[0])
    assert process.alive, f"no file system can be mounted here: {process.text}"
    fill = stack.folder / "fill"
    fill.touch()
    until("it is unhealthy", lambda: not stack.health("worker")[0], 30)
    assert f"the disk under {full} is full" in stack.health("worker")[1]
    fill.unlink()
    until("it is well again", lambda: stack.health("worker")[0], 30)
