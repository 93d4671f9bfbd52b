"""Starting: migrations, wrong settings, paths that can't be written."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from bot_harness import PASSWORD, Process, Stack, free_port, stopped, until


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
    assert {t["tablename"] for t in tables} >= {
        "alembic_version",
        "messages",
        "callbacks",
        "updates",
    }


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


NEWER = """
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE messages ADD COLUMN mood text NOT NULL DEFAULT 'good'")
    op.execute("CREATE TABLE moods (mood text PRIMARY KEY)")
"""


def test_image_from_before_a_migration_runs_on_the_newer_tables(
    empty_stack: Stack, tmp_path: Path, voice: bytes
) -> None:
    """A rollback: migrate, then work, as ever; and the newer image finds what it left."""
    stack, old = empty_stack, empty_stack.code
    stack.code = tmp_path / "newer"
    shutil.copytree(old, stack.code)
    versions = stack.code / "app/migrations/versions"
    head = max(path.name for path in versions.glob("[0-9]*.py")).partition("_")[0]
    (versions / "9999_newer.py").write_text(NEWER.format(head=head))

    def migrate() -> str:
        done = stack.run("migrate", role="primary", name="m")
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    assert '"changed": true' in migrate()
    stack.code = old
    for _ in range(2):
        text = migrate()
        assert "the tables are newer than this image knows; they are left as they are" in text
        assert '"changed": false' in text
    for role in ("primary", "worker"):
        stack.start(role)
        stack.wait_healthy(role)
    assert stack.wait_closed(stack.push_voice(voice))["mood"] == "good"
    stack.code = tmp_path / "newer"
    assert '"changed": false' in migrate()


def test_migrate_refuses_the_database_of_another_application(empty_stack: Stack) -> None:
    stack = empty_stack
    stack.query("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    stack.query("INSERT INTO alembic_version VALUES ('1a2b3c')")
    stack.query("GRANT ALL ON alembic_version TO aisha")
    done = stack.run("migrate", role="primary", name="m")
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert "this database is another application's: check DATABASE_URL_FILE" in line
    assert "revision 1a2b3c is not known, and no table messages" in line
    assert done.stderr == ""


def test_failing_migration_is_one_line(empty_stack: Stack) -> None:
    stack = empty_stack
    stack.query("CREATE TABLE callbacks (mine text)")
    done = stack.run("migrate", role="primary", name="m")
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert "the tables could not be brought up to date" in line
    assert 'relation \\"callbacks\\" already exists' in line
    assert stack.query("SELECT to_regclass('messages') AS made") == [{"made": None}]


def test_primary_before_the_migration_waits_and_says_what_to_do(empty_stack: Stack) -> None:
    stack = empty_stack
    update_id = stack.push_message(text="/start")
    primary = stack.start("primary")
    until("it says so", lambda: "with the command `migrate`" in primary.text, 30)
    assert stack.run("migrate", role="primary", name="m").returncode == 0
    assert stack.wait_closed(update_id)["status"] == "done"


def test_wrong_settings_are_one_sentence_each(empty_stack: Stack) -> None:
    """The sentences themselves are in the unit tests."""
    done = empty_stack.run(role="primary", name="x", BOT_TOKEN_FILE="/nowhere/token")
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("BOT_TOKEN_FILE names /nowhere/token, which can't be read")
    assert PASSWORD not in done.stderr


def test_path_that_is_not_writable_is_named(
    empty_stack: Stack, tmp_path: Path, public_folder: Path
) -> None:
    """Its answer was "[Errno 13]" once, and production was down."""
    folder = public_folder / "audio"
    folder.mkdir(mode=0o555)
    code = (
        "import os; from pathlib import Path; from app.core.paths import problem_with; "
        "os.getuid() == 0 and (os.setgroups([]), os.setgid(10001), os.setuid(10001)); "
        f"print(problem_with(Path({str(folder)!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(empty_stack.code)},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout.strip()
    assert f"{folder} is not writable for uid" in text, done.stderr
    assert "Permission denied" in text
    assert "owner uid" in text
    assert "chown -R" in text

    missing = empty_stack.run(role="worker", name="w", AUDIO_DIR=str(tmp_path / "gone"))
    assert missing.returncode == 78
    assert f"{tmp_path / 'gone'} can't be used" in missing.stderr


def _says(process: Process, text: str) -> bool:
    return text in process.text


def test_stop_during_the_start(stack: Stack) -> None:
    """Even before the imports are done, and while nothing that it needs answers."""
    early = stack.start("primary", "early")
    time.sleep(0.3)
    early.send(signal.SIGTERM)
    assert early.wait(5) == 0
    nowhere = f"http://127.0.0.1:{free_port()}"
    for role in ("primary", "worker"):
        lonely = stack.start(role, f"lonely-{role}", BOT_API_URL=nowhere, S3_ENDPOINT_URL=nowhere)
        ready = "getUpdates failed" if role == "primary" else "object storage does not answer"
        until(f"{role} runs", partial(_says, lonely, ready), 30)
        lonely.send(signal.SIGTERM)
        assert lonely.wait(10) == 0


def test_healthcheck_is_fast_and_says_why(stack: Stack) -> None:
    healthy, text = stack.health("primary")
    assert not healthy
    assert "no heartbeat" in text
    best = min(_timed_health(stack) for _ in range(5))
    # On an idle machine 30 ms.
    assert best < 0.25
    done = stack.run("health", role="primary", name="primary")
    assert (done.returncode, done.stdout.strip()) == (1, text)


def _timed_health(stack: Stack) -> float:
    began = time.monotonic()
    stack.health("primary")
    return time.monotonic() - began
