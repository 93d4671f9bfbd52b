"""Fixtures: the servers once per session, a bot of its own for every test that disturbs it."""

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
def code(public_folder: Path) -> Path:
    return harness.compiled(public_folder / "code")


@pytest.fixture(scope="session")
def servers(public_folder: Path) -> Iterator[harness.Servers]:
    with harness.servers(public_folder) as running:
        yield running


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three seconds of Ogg/Opus, as Telegram's clients record them."""
    path = tmp_path_factory.mktemp("audio") / "voice.ogg"
    return harness.make_audio(path, 3, "-c:a", "libopus", "-b:a", "32k")


@pytest.fixture
def empty_stack(tmp_path: Path, servers: harness.Servers, code: Path) -> Iterator[harness.Stack]:
    """Before its migration."""
    with harness.Stack(tmp_path / "stack", *servers, code=code) as stack:
        yield stack


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory, servers: harness.Servers, code: Path) -> str:
    """The database, migrated once, that every test's is copied from."""
    folder = tmp_path_factory.mktemp("schema") / "stack"
    with harness.Stack(folder, *servers, code=code) as stack:
        url = stack.postgres.url(harness.TEMPLATE)
        (stack.folder / "secrets/database_url").write_text(url)
        done = stack.run("migrate", role="primary", name="migrate")
        assert done.returncode == 0, done.stdout + done.stderr
    return harness.TEMPLATE


@pytest.fixture
def stack(
    schema: str, tmp_path: Path, servers: harness.Servers, code: Path
) -> Iterator[harness.Stack]:
    with harness.Stack(tmp_path / "stack", *servers, code=code, template=schema) as stack:
        yield stack


@pytest.fixture(scope="module")
def running(
    schema: str, tmp_path_factory: pytest.TempPathFactory, servers: harness.Servers, code: Path
) -> Iterator[harness.Stack]:
    """A primary and a worker for all tests of a module that leave everything as it is."""
    folder = tmp_path_factory.mktemp("running") / "stack"
    with harness.Stack(folder, *servers, code=code, template=schema) as stack:
        stack.start("primary")
        stack.start("worker")
        stack.wait_healthy("primary")
        stack.wait_healthy("worker")
        yield stack
