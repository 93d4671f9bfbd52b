"""Fixtures: the servers once per session, a stack of its own for every test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[2] / "images/bot"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import bot_harness as harness  # noqa: E402  needs the path above


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[harness.Postgres, harness.Redis, harness.ObjectServer, harness.BotApiEmulator]]:
    base = tmp_path_factory.mktemp("servers")
    # initdb runs as the user postgres, who has to get through to his folder.
    for parent in (base, *base.parents):
        if parent.stat().st_uid == base.stat().st_uid and parent != Path("/tmp"):  # noqa: S108
            parent.chmod(parent.stat().st_mode | 0o111)
    started: list[
        harness.Postgres | harness.Redis | harness.ObjectServer | harness.BotApiEmulator
    ] = []
    try:
        postgres = harness.Postgres(base / "postgres")
        started.append(postgres)
        redis_server = harness.Redis(base / "redis")
        started.append(redis_server)
        objects = harness.ObjectServer(base / "objects")
        started.append(objects)
        objects.make_bucket(harness.BUCKET)
        emulator = harness.BotApiEmulator(base / "emulator")
        started.append(emulator)
        yield postgres, redis_server, objects, emulator
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three seconds of Ogg/Opus, as Telegram's clients record them."""
    path = tmp_path_factory.mktemp("audio") / "voice.ogg"
    return harness.make_audio(path, 3, "-c:a", "libopus", "-b:a", "32k")


@pytest.fixture
def empty_stack(
    tmp_path: Path,
    servers: tuple[harness.Postgres, harness.Redis, harness.ObjectServer, harness.BotApiEmulator],
    request: pytest.FixtureRequest,
) -> Iterator[harness.Stack]:
    """Before its migration."""
    stack = harness.Stack(tmp_path / "stack", *servers)
    try:
        yield stack
    finally:
        stack.end()
        if stack.processes:
            # Shown by pytest for a failed test only.
            print(stack.logs())


@pytest.fixture(scope="session")
def schema(
    tmp_path_factory: pytest.TempPathFactory,
    servers: tuple[harness.Postgres, harness.Redis, harness.ObjectServer, harness.BotApiEmulator],
) -> None:
    """Migrates the template that every test's database is copied from."""
    stack = harness.Stack(tmp_path_factory.mktemp("schema") / "stack", *servers)
    (stack.folder / "secrets/database_url").write_text(stack.postgres.url("template_aisha"))
    done = stack.run("migrate", role="primary", name="migrate")
    stack.end()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def stack(schema: None, empty_stack: harness.Stack) -> harness.Stack:
    return empty_stack
