"""Who may import whom in the bot: each part only what stands below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[3] / "images/bot/app"
# From below upwards. Parts of one line know nothing of each other.
LAYERS = (
    ("core",),
    ("storage",),
    ("telegram", "queue"),
    ("logins", "migrations"),
    ("workers",),
    ("bot", "webhook"),
    ("run", "replay"),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
MODULES = sorted(path for path in APP.rglob("*.py") if path != APP / "__init__.py")


def part_of(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


def imported(text: str) -> set[str]:
    """The parts of the bot that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no relative import: they are not looked at here"
            # `from app import run` names a part, `from app.core import x` has one.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("app.")} & RANK.keys()


def wrong(part: str, text: str) -> set[str]:
    return {other for other in imported(text) - {part} if RANK[other] >= RANK[part]}


def test_every_part_has_its_place() -> None:
    assert {part_of(path) for path in MODULES} <= RANK.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(APP)))
def test_nothing_is_imported_from_above(path: Path) -> None:
    assert wrong(part_of(path), path.read_text()) == set()


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("core", "def f():\n    from app.telegram.client import BotApi"),
        ("core", "from app import run"),
        ("workers", "import app.bot.texts"),
        ("queue", "from app.telegram import client"),
    ],
)
def test_an_import_from_above_is_seen(part: str, text: str) -> None:
    assert wrong(part, text)
