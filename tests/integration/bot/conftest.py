"""Fixtures: the servers once per session, a stack of its own for every test."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[2] / "images/bot"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import bot_harness as harness  # noqa: E402  needs the path above


@pytest.fixture(scope="session")
def public_folder() -> Iterator[Path]:
    """A folder that other users can get through to: pytest's own can't be."""
    with tempfile.TemporaryDirectory(prefix="aisha-bot-tests-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def servers(
    public_folder: Path,
) -> Iterator[tuple[harness.Postgres, harness.Redis, harness.ObjectServer, harness.BotApiEmulator]]:
    started: list[
        harness.Postgres | harness.Redis | harness.ObjectServer | harness.BotApiEmulator
    ] = []
    try:
        postgres = harness.Postgres(public_folder / "postgres")
        started.append(postgres)
        redis_server = harness.Redis(public_folder / "redis")
        started.append(redis_server)
        objects = harness.ObjectServer(public_folder / "objects")
        started.append(objects)
        objects.make_bucket(harness.BUCKET)
        emulator = harness.BotApiEmulator(public_folder / "emulator")
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
