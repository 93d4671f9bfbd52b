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


# Where nothing but a text tells: (module, function) -> why.
BY_TEXT = {
    ("storage/postgres.py", "refused_by_postgres"): "libpq gives no code for a refused connection",
    (
        "telegram/client.py",
        "download",
    ): "the Bot API has one code for all ills of a file",
    ("queue/broker.py", "listen"): "the Redis client has no kind for a missing group",
    ("queue/broker.py", "take"): "the same",
}
LOOKS = {"startswith", "endswith", "search", "match", "fullmatch", "findall", "find", "count"}


def texts_of_errors(node: ast.AST) -> bool:
    """`str(error)`, `error.description`, `error.args`: of a name that is caught or annotated."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            named = [a.id for a in part.args if isinstance(a, ast.Name)]
            if part.func.id in ("str", "repr") and {"error", "problem"} & set(named):
                return True
        if (
            isinstance(part, ast.Attribute)
            and part.attr in ("description", "args")
            and isinstance(part.value, ast.Name)
            and part.value.id in ("error", "problem")
        ):
            return True
    return False


def told_by_text(text: str) -> set[str]:
    """The functions that look into an error's text to tell what it is."""
    found = set()
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            looks = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                looks = node.func.attr in LOOKS
            if looks and texts_of_errors(node):
                found.add(function.name)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(APP)))
def test_no_error_is_told_from_its_text(path: Path) -> None:
    name = str(path.relative_to(APP))
    assert {f for f in told_by_text(path.read_text()) if (name, f) not in BY_TEXT} == set()


@pytest.mark.parametrize(
    "line",
    [
        'return "is full" in str(error)',
        'return "too big" not in error.description',
        'return str(error).startswith("NOGROUP")',
        'return re.search("x", str(error))',
    ],
)
def test_an_error_that_is_told_from_its_text_is_seen(line: str) -> None:
    assert told_by_text(f"def f(error):\n    {line}") == {"f"}
