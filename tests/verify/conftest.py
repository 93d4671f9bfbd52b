"""Fixtures of the Testinfra suite. It runs on any inventory, from Molecule and by hand:

    pytest tests/verify --hosts=ansible://all --ansible-inventory=inventory/local

A test names the inventory's groups that it concerns, and runs on each host of them. What it knows
of the stack comes from the inventory and the roles' defaults; what it sees comes from the Docker
Engine of the host, through agent.py there.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import scrub
from testinfra.host import Host  # type: ignore[import-untyped]  # it has no types

# pytest's import mode adds no folder to the path.
sys.path.insert(0, str(Path(__file__).parent))

from target import STACK, Target, groups


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "group(*names): the inventory's groups that a test is for")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out a test on a host that is in none of its groups, or on which the stack is not."""
    kept, left_out = [], []
    for item in items:
        marker = item.get_closest_marker("group")
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        host = parameters.get("_testinfra_host")
        if host and not set(marker.args if marker else STACK) & set(groups(host)):
            left_out.append(item)
        else:
            kept.append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


@functools.cache
def target_of(host: Host) -> Target:
    return Target(host)


@pytest.fixture
def target(host: Host) -> Target:
    found: Target = target_of(host)
    found.used.clear()
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log and the health of the containers that a failed test used."""
    report = yield
    target = getattr(item, "funcargs", {}).get("target")
    if report.when == "call" and report.failed and target is not None:
        try:
            wanted = ["logs", target.stack, sorted(target.used), target.config_dirs]
            (texts,) = target.call(wanted)
        except AssertionError as error:
            texts = {"the host": f"its logs can't be read: {error}"}
        report.sections += [
            (f"container {name}", scrub(text)) for name, text in sorted(texts.items())
        ]
    return report
