"""docker-py inspects each container and image that it lists: one removed meanwhile is an error."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest


def races(source: str) -> list[str]:
    """The calls, by line, that fail when something else removes what they list."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        listed = ast.unparse(call.func)
        kept = {word.arg for word in call.keywords} & {"ignore_removed", "sparse"}
        if listed.endswith("images.list") or (listed.endswith("containers.list") and not kept):
            found.append(f"{call.lineno}: {listed}")
    return found


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("host.engine.containers.list()", 1),
        ("CLIENT.containers.list(all=True, filters={})", 1),
        ("CLIENT.containers.list(all=True, ignore_removed=True)", 0),
        ("CLIENT.containers.list(sparse=True)", 0),
        ("CLIENT.images.list('aisha/base')", 1),
        ("CLIENT.api.images('aisha/base')", 0),
    ],
)
def test_what_races(call: str, number: int) -> None:
    assert len(races(call)) == number


def test_no_list_fails_over_what_is_removed_meanwhile(root: Path) -> None:
    files = [
        p for f in ("tests", "plugins", "molecule", "images") for p in (root / f).rglob("*.py")
    ]
    assert len(files) > 50
    found = {str(p.relative_to(root)): races(p.read_text()) for p in files}
    assert not {path: calls for path, calls in found.items() if calls}
