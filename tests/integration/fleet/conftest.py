"""Fixtures: three Docker hosts for all tests of this folder, and for each of them a new bot."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# pytest's import mode adds no folder to the path.
HERE = Path(__file__).resolve().parent
for each in (HERE, HERE.parent / "docker_hosts"):
    if str(each) not in sys.path:
        sys.path.insert(0, str(each))

from fleet_hosts import Fleet, made_fleet  # noqa: E402  needs the path above


@pytest.fixture(scope="session")
def hosts() -> Iterator[Fleet]:
    # Not pytest's folder: the path of a socket must be short, and tokens are written here.
    with (
        tempfile.TemporaryDirectory(prefix="aisha-fleet-") as folder,
        made_fleet(Path(folder)) as made,
    ):
        yield made


@pytest.fixture
def fleet(hosts: Fleet) -> Iterator[Fleet]:
    """The hosts with a bot that runs nowhere yet; in the end, no run has shown its token."""
    hosts.new_bot()
    yield hosts
    assert hosts.plays
    hosts.assert_no_secret()


@pytest.fixture
def deployed(hosts: Fleet) -> Iterator[Fleet]:
    """Its host `here` polls; the same bot as in the test before where that has left it so."""
    if not hosts.find_deployed():
        hosts.new_bot()
        hosts.poller().ok()
        hosts.note_deployed()
    hosts.plays.clear()
    hosts.describe()
    hosts.wait_for_polls()
    hosts.emulator.reset(hosts.token)
    yield hosts
    assert hosts.plays
    hosts.assert_no_secret()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what is on the hosts, and what the last run printed of what failed."""
    report = yield
    hosts = getattr(item, "funcargs", {}).get("hosts")
    if report.when == "call" and report.failed and isinstance(hosts, Fleet):
        try:
            said = [f"{play.code} {play.failures} {play.recap}" for play in hosts.plays]
            report.sections.append(("the runs", "\n".join(said)))
            report.sections.append(("the hosts", hosts.report()))
        except Exception as error:
            report.sections.append(("the hosts", f"can't be read: {error!r}"))
    return report
