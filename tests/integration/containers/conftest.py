"""Fixtures of the tests of the module `containers`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from containers_host import Host


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    host.clear()
    yield host
    host.clear()
