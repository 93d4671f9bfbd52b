"""What tests prove is tried once; what only makes hosts, images and packages may be tried again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FAILS_ONCE = 'test -e "$1" || { touch "$1"; exit 3; }'


def infrastructure(root: Path, attempts: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "tests/tools/infrastructure", "making a host", *command],
        env=os.environ | {"ATTEMPTS": attempts},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("attempts", "code"), [("1", 3), ("2", 0)])
def test_infrastructure_is_tried_so_often_and_says_so(
    attempts: str, code: int, root: Path, tmp_path: Path
) -> None:
    command = ("sh", "-c", FAILS_ONCE, "sh", str(tmp_path / "failed"))
    done = infrastructure(root, attempts, *command)
    assert done.returncode == code
    said = "infrastructure: making a host failed (3); attempt 2 of 2. Nothing was tested yet."
    assert (said in done.stderr) == (attempts == "2")


def test_what_never_succeeds_fails(root: Path) -> None:
    assert infrastructure(root, "2", "sh", "-c", "exit 4").returncode == 4


def test_nothing_that_proves_is_tried_again(root: Path) -> None:
    """Every use of the one tool that tries again, and no other way to do so."""
    texts = {
        path: path.read_text().replace("\\\n", " ")
        for path in [root / "Makefile", root / ".ci/run", *(root / "tests/tools").iterdir()]
        if path.is_file() and path.name != "infrastructure"
    }
    uses = [
        line.split("tests/tools/infrastructure", 1)[1]
        for text in texts.values()
        for line in text.splitlines()
        if "tests/tools/infrastructure" in line and not line.lstrip().startswith("#")
    ]
    assert len(uses) >= 5
    proves = re.compile(
        r"pytest|molecule (test|converge|idempotence|side-effect|verify)|sanity|lint"
    )
    assert [use for use in uses if proves.search(use)] == []
    again = re.compile(r"--last-failed|--lf\b|--reruns|flaky|\bretry\b")
    assert [str(path) for path, text in texts.items() if again.search(text)] == []


def test_properties_have_other_examples_in_each_run(root: Path) -> None:
    """Also in CI, where Hypothesis would take the same ones by itself."""
    code = "import conftest, hypothesis; print(hypothesis.settings().derandomize)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root / "tests/unit",
        env=os.environ | {"CI": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    fixed = re.compile(r"derandomize\s*=\s*True|@seed\(|--hypothesis-seed")
    paths = [root / "Makefile", root / "pyproject.toml", *(root / "tests").rglob("*")]
    texts = [path for path in paths if path.is_file() and path.suffix in ("", ".py", ".toml")]
    assert len(texts) > 100
    assert [
        path for path in texts if path != Path(__file__) and fixed.search(path.read_text())
    ] == []


def test_a_part_and_its_slowest_tests_are_shown(root: Path, tmp_path: Path) -> None:
    tools, times = root / "tests/tools", tmp_path / ".cache/times"
    done = subprocess.run(
        [tools / "timed", "unit", "sh", "-c", "exit 5"], cwd=tmp_path, check=False
    )
    assert done.returncode == 5
    cases = "".join(f'<testcase classname="a.b" name="test_{n}" time="{n}"/>' for n in range(12))
    (times / "unit.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    shown = subprocess.run(
        ["python", tools / "slowest.py", times], capture_output=True, text=True, check=True
    ).stdout
    assert "unit, failed" in shown
    assert re.findall(r"b::test_(\d+)", shown) == [str(n) for n in range(11, 1, -1)]
    assert "In all 0.0 minutes." in shown
