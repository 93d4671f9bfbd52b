"""Whatever shows a container's log is told what is secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

# Those of the module containers that show no container's words.
SILENT = {"absent", "created"}


def tasks(found: Any) -> list[dict[str, Any]]:
    """All tasks in a file's plays, tasks and blocks."""
    if isinstance(found, list):
        return [task for each in found for task in tasks(each)]
    if not isinstance(found, dict):
        return []
    below = [
        task for key in ("tasks", "block", "rescue", "always") for task in tasks(found.get(key))
    ]
    return [found, *below]


def shows_words(task: dict[str, Any]) -> dict[str, Any] | None:
    """The options of a call that may show what a container wrote."""
    options: dict[str, Any] | None = task.get("aisha.bot_stack.containers")
    if options and "containers" not in options and "roles" not in options:
        return None
    if options and options.get("state", "present") not in SILENT:
        return options
    options = task.get("aisha.bot_stack.container_logs")
    for module in ("polling_singleton", "polling_singleton_info"):
        polling = task.get(f"aisha.bot_stack.{module}")
        options = polling if polling and "holder" in polling else options
    return options


@pytest.mark.parametrize("folder", ["roles", "playbooks"])
def test_what_shows_a_log_is_told_the_secrets(root: Path, folder: str) -> None:
    calls = {
        f"{path.relative_to(root)}: {task['name']}": options
        for path in sorted((root / folder).rglob("*.yml"))
        for task in tasks(yaml.safe_load(path.read_text()))
        if (options := shows_words(task)) is not None
    }
    assert len(calls) > 5
    assert [name for name, options in calls.items() if "secrets" not in options] == []
