"""Fixtures: one Docker host for all tests of this folder, with everything planted on it once."""

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

from polling_field import Field  # noqa: E402  needs the path above
from polling_forms import Bots  # noqa: E402
from polling_host import Host, made_host  # noqa: E402


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    # Not pytest's folder: the path of a socket must be short, and tokens are written here.
    with (
        tempfile.TemporaryDirectory(prefix="aisha-polling-") as folder,
        made_host(Path(folder)) as made,
    ):
        yield made


@pytest.fixture(scope="session")
def field(host: Host) -> Field:
    field = Field(host, Bots())
    field.plant()
    return field


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the state of the host, and the log of each container that the failure names."""
    report = yield
    values = getattr(item, "funcargs", {})
    found = next((v for v in values.values() if isinstance(v, Field)), None)
    if report.when == "call" and report.failed and found is not None:
        try:
            text = str(report.longrepr)
            names = [n for n in found.names() if n in text]
            report.sections.append(("the host", found.report()))
            report.sections.append(("containers", found.logs(*names)))
        except Exception as error:
            report.sections.append(("the host", f"can't be read: {error!r}"))
    return report
