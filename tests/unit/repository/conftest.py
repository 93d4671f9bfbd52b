"""What the tests of the repository itself share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for every role, module, playbook or image it asks for."""
    things = {
        "role": sorted(p for p in (ROOT / "roles").iterdir() if p.is_dir()),
        "module": sorted(
            p for p in (ROOT / "plugins/modules").glob("*.py") if p.name != "__init__.py"
        ),
        "playbook": sorted((ROOT / "playbooks").glob("*.yml")),
        "dockerfile": sorted((ROOT / "images").glob("*/Dockerfile")),
    }
    for name, paths in things.items():
        if name in metafunc.fixturenames:
            ids = [p.parent.name if name == "dockerfile" else p.stem for p in paths]
            metafunc.parametrize(name, paths, ids=ids)
