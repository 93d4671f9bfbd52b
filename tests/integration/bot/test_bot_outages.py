"""What is broken for a while, or changed behind a running bot: nothing is lost, health tells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from app.core.config import Settings, load_settings
from app.core.errors import Again
from app.queue.broker import JobQueue, make_broker
from bot_harness import Stack, stopped, until
from test_bot_intake import release, replay, start, status, update
from test_bot_worker import add_callback, closed_callback, ffmpeg_with, start_primary, texts


def settings_of(stack: Stack, role: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in stack.env(role, role).items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_a_migration_under_running_processes_breaks_none_of_them(
    stack: Stack, voice: bytes
) -> None:
    """Each release is migrated while the one before works, with statements it has prepared."""
    primary = stack.start("primary")
    worker = stack.start("worker", WORKER_CONCURRENCY="1")
    stack.wait_healthy("primary", seconds=90)
    stack.wait_healthy("worker")

    def all_kinds() -> None:
        for chat in range(1, 13):
            stack.wait_closed(stack.push_message(chat_id=chat, text="/start"))
        rows = [stack.wait_closed(stack.push_voice(voice, chat_id=50 + n)) for n in range(12)]
        assert {row["status"] for row in rows} == {"done"}
        for row_id in [add_callback(stack, "hello", 90 + n) for n in range(12)]:
            until("it is sent", lambda row_id=row_id: closed_callback(stack, row_id))

    all_kinds()
    for table in ("messages", "callbacks", "updates"):
        stack.query(f"ALTER TABLE {table} ADD COLUMN of_the_next_release text")
    all_kinds()
    assert "cached plan" not in primary.text + worker.text
    assert stack.query("SELECT count(*) AS n FROM updates WHERE status = 'failed'")[0]["n"] == 0


def test_old_updates_go_faster_than_new_ones_come(stack: Stack) -> None:
    """More than a minute's worth of messages at the pace at which they may be answered."""
    stack.query(
        "INSERT INTO updates (bot_id, update_id, raw, status, closed_at)"
        " SELECT %s, n, '', 'done', now() - interval '3 days' FROM generate_series(1, 5000) n",
        stack.bot_id,
    )
    stack.start("primary")
    stack.wait_healthy("primary", seconds=90)
    until("they are gone", lambda: not stack.query("SELECT 1 FROM updates LIMIT 1"))


def test_an_error_of_any_text_is_a_failure_like_others(stack: Stack, tmp_path: Path) -> None:
    """Half of a character can be neither stored nor logged."""
    bad = release(stack, tmp_path / "bad", "poison")
    handlers = bad / "app/bot/handlers.py"
    handlers.write_text(handlers.read_text().replace("a defect of this release", "\\ud800\\x00"))
    primary = start(stack, bad)
    stack.wait_healthy("primary", seconds=90)
    poison = stack.push_message(chat_id=1, text="poison")
    behind = stack.push_message(chat_id=1, text="/start")
    until("it is put aside", lambda: status(stack, poison) == "failed")
    assert update(stack, poison)["attempts"] == 5
    assert stack.wait_closed(behind)["status"] == "done"
    assert "Logging error" not in primary.text
    assert "KeyError" in replay(stack)


def test_two_who_replay_at_once_run_each_update_once(stack: Stack, tmp_path: Path) -> None:
    primary = start(stack, release(stack, tmp_path / "bad", "poison"))
    stack.wait_healthy("primary", seconds=90)
    ids = [stack.push_message(chat_id=chat, text="poison") for chat in range(1, 6)]
    until("all failed", lambda: all(status(stack, one) == "failed" for one in ids))
    primary.end()
    command = [sys.executable, "-m", "app", "replay", "run"]
    both = [
        subprocess.Popen(command, env=stack.env("primary", "replay"), stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=30)[0].decode() for process in both]
    assert sum(int(text.split()[0]) for text in said) == 5
    stack.start("primary")
    for update_id in ids:
        stack.wait_closed(update_id)
    assert all(len(sent) == 1 for sent in texts(stack).values())


def test_a_redis_that_takes_nothing_is_unhealthy(stack: Stack, voice: bytes) -> None:
    """Its memory is full: it can be read, and all that is due waits for ever."""
    start_primary(stack)
    stack.start("worker")
    stack.wait_healthy("worker")
    root = stack.redis.root
    root.config_set("maxmemory", "1")
    try:
        update_id = stack.push_voice(voice)
        until("it is recorded", lambda: stack.row(update_id))
        until("health tells", lambda: not stack.health("worker")[0], 30)
        assert "Redis" in stack.health("worker")[1]
    finally:
        root.config_set("maxmemory", "0")
    assert stack.wait_closed(update_id)["status"] == "done"
    stack.wait_healthy("worker")


async def test_a_redis_that_became_a_replica_is_left(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover its name leads to another one: connections to this one help nobody."""
    broker = make_broker(settings_of(stack, "worker", monkeypatch))
    queue = JobQueue(broker)
    await queue.put("callbacks", 1, "short")
    before = await broker.redis.client_id()
    root = stack.redis.root
    root.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(Again):
            await queue.put("callbacks", 2, "short")
    finally:
        root.replicaof("no", "one")
    await queue.put("callbacks", 3, "short")
    assert await broker.redis.client_id() != before
    await broker.shutdown()


def test_an_outage_of_the_database_says_nothing_about_a_file(stack: Stack, voice: bytes) -> None:
    """It was counted as a try that ended badly: three such, and a good file was refused."""
    began = stack.folder / "began"
    start_primary(stack)
    script = f'[ -e {began} ] || {{ : > {began}; sleep 4; }}\nrun "$@"'
    # Its row is another's only when its lease ends, long after.
    worker = stack.start("worker", LEASE_SECONDS="30", **ffmpeg_with(stack, script))
    update_id = stack.push_voice(voice)
    until("it is in work", began.exists, 60)
    with stopped(stack.postgres):
        until("it can't be noted", lambda: "job will be tried again" in worker.text, 30)
        # In the words of now, or of then.
        said = ("a result waits for PostgreSQL", "row not released")
        until("nor given back", lambda: any(words in worker.text for words in said), 30)
    row = stack.wait_closed(update_id, 90)
    assert (row["status"], row["crashes"]) == ("done", 0)
    assert len(stack.answers()) == 1


def test_a_flood_wait_of_a_year_ends_sooner(stack: Stack) -> None:
    primary = stack.start("primary")
    stack.wait_healthy("primary", seconds=90)
    fault = {"method": "sendMessage", "error_code": 429, "retry_after": 365 * 86_400}
    stack.control("POST", f"/bots/{stack.bot_id}/faults", fault)
    update_id = stack.push_message(text="/start")
    until("it is put off", lambda: (stack.row(update_id) or {}).get("last_error"))
    [left] = stack.query(
        "SELECT extract(epoch FROM due_at - now())::float AS seconds FROM messages"
        " WHERE update_id = %s",
        update_id,
    )
    assert left["seconds"] <= 3600
    assert primary.alive
