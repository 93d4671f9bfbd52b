"""Fixtures: one Docker host for all tests of this folder."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest's import mode adds no folder to the path.
HERE = Path(__file__).resolve().parent
for each in (HERE, HERE.parent / "docker_hosts"):
    if str(each) not in sys.path:
        sys.path.insert(0, str(each))

from engines_host import Host  # noqa: E402  needs the path above


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    # Not pytest's folder: the path of a socket must be short, and a token is written here.
    with tempfile.TemporaryDirectory(prefix="aisha-engines-") as folder:
        host = Host(Path(folder))
        try:
            host.make()
            yield host
        finally:
            host.scenario.destroy()
