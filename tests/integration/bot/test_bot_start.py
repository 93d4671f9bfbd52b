"""Starting: migrations, wrong settings, paths that can't be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from bot_harness import BOT, PASSWORD, Stack, free_port, stopped, until


def test_migrate_is_idempotent_and_waits_its_turn(empty_stack: Stack) -> None:
    stack = empty_stack
    results: list[Any] = []

    def migrate() -> None:
        results.append(stack.run("migrate", role="primary", name="migrate"))

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    migrate()
    assert [r.returncode for r in results] == [0, 0, 0], results
    assert sum('"changed": true' in r.stdout for r in results) == 1
    tables = stack.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {t["tablename"] for t in tables} == {"alembic_version", "messages", "callbacks"}


def test_migrate_waits_for_the_database_with_a_limit(empty_stack: Stack) -> None:
    stack = empty_stack
    results: list[Any] = []
    with stopped(stack.postgres):
        began = time.monotonic()
        short = stack.run("migrate", role="primary", name="m", MIGRATE_WAIT_SECONDS="1")
        assert time.monotonic() - began < 15
        waiting = threading.Thread(
            target=lambda: results.append(stack.run("migrate", role="primary", name="m"))
        )
        waiting.start()
        time.sleep(1)
    waiting.join()
    assert short.returncode == 69
    assert "check DATABASE_URL_FILE" in short.stdout
    assert results[0].returncode == 0, results[0].stdout


def test_migrate_stops_at_once_at_a_wrong_password(empty_stack: Stack) -> None:
    stack = empty_stack
    url = f"postgresql://aisha:wrong-one@127.0.0.1:{stack.postgres.port}/{stack.database}"
    (stack.folder / "secrets/database_url").write_text(url)
    began = time.monotonic()
    done = stack.run("migrate", role="primary", name="m")
    assert time.monotonic() - began < 20
    assert done.returncode == 69
    assert "password authentication failed" in done.stdout
    assert "wrong-one" not in done.stdout + done.stderr


def test_primary_before_the_migration_waits_and_says_what_to_do(empty_stack: Stack) -> None:
    stack = empty_stack
    update_id = stack.push_message(text="/start")
    primary = stack.start("primary")
    until("it says so", lambda: "with the command `migrate`" in primary.text, 30)
    assert stack.run("migrate", role="primary", name="m").returncode == 0
    assert stack.wait_closed(update_id)["status"] == "done"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"BOT_ROLE": ""}, "BOT_ROLE is not set"),
        ({"BOT_ROLE": "boss"}, "BOT_ROLE is not valid"),
        ({"BOT_TOKEN_FILE": ""}, "BOT_TOKEN_FILE is not set"),
        ({"BOT_TOKEN_FILE": "/nowhere/token"}, "BOT_TOKEN_FILE names /nowhere/token"),
        ({"BOT_API_URL": "aisha-bot-api"}, "BOT_API_URL is not valid"),
        ({"POLL_TIMEOUT": "soon"}, "POLL_TIMEOUT is not valid"),
        ({"BOT_TOKEN": "123:abc"}, "BOT_TOKEN is set in the environment"),
    ],
)
def test_wrong_setting_is_one_sentence(
    empty_stack: Stack, changes: dict[str, str], sentence: str
) -> None:
    role = changes.pop("BOT_ROLE", "primary")
    done = empty_stack.run(role=role, name="x", **changes)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith(sentence)
    assert PASSWORD not in done.stderr


def test_path_that_is_not_writable_is_named(
    empty_stack: Stack, tmp_path: Path, public_folder: Path
) -> None:
    """Its answer was "[Errno 13]" once, and production was down."""
    folder = public_folder / "audio"
    folder.mkdir(mode=0o555)
    code = (
        "from pathlib import Path; from app.core.paths import problem_with; "
        f"print(problem_with(Path({str(folder)!r})))"
    )
    identity: dict[str, Any] = {}
    if os.getuid() == 0:
        identity = {"user": 10001, "group": 10001, "extra_groups": []}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(BOT)},
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    text = done.stdout.strip()
    assert f"{folder} is not writable for uid" in text, done.stderr
    assert "Permission denied" in text
    assert "owner uid" in text
    assert "chown -R" in text

    missing = empty_stack.run(role="worker", name="w", AUDIO_DIR=str(tmp_path / "gone"))
    assert missing.returncode == 78
    assert f"{tmp_path / 'gone'} can't be used" in missing.stderr


def test_stop_during_the_start(stack: Stack) -> None:
    """Even before the imports are done, and while nothing that it needs answers."""
    early = stack.start("primary", "early")
    time.sleep(0.3)
    early.send(signal.SIGTERM)
    assert early.wait(5) == 0
    nowhere = f"http://127.0.0.1:{free_port()}"
    for role in ("primary", "worker"):
        lonely = stack.start(role, f"lonely-{role}", BOT_API_URL=nowhere, S3_ENDPOINT_URL=nowhere)
        ready = "getMe failed" if role == "primary" else "object storage does not answer"
        until(f"{role} runs", lambda p=lonely, r=ready: r in p.text, 30)
        lonely.send(signal.SIGTERM)
        assert lonely.wait(10) == 0


def test_healthcheck_is_fast_and_says_why(stack: Stack) -> None:
    healthy, text = stack.health("primary")
    assert not healthy
    assert "no heartbeat" in text
    best = min(_timed_health(stack) for _ in range(5))
    assert best < 0.1
    done = stack.run("health", role="primary", name="primary")
    assert (done.returncode, done.stdout.strip()) == (1, text)


def _timed_health(stack: Stack) -> float:
    began = time.monotonic()
    stack.health("primary")
    return time.monotonic() - began
