"""An image is built again when its sources change, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.aisha.bot_stack.plugins.lookup.tree_hash import LookupModule, tree_hash


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    (folder / "app").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (folder / "app" / "main.py").write_text("print()\n", encoding="utf-8")
    return folder


def test_leftovers_and_times_do_not_count(sources: Path) -> None:
    before = tree_hash(sources)
    (sources / "app" / "__pycache__").mkdir()
    (sources / "app" / "__pycache__" / "main.pyc").write_bytes(b"1")
    (sources / "build-ca.crt").write_text("certificate", encoding="utf-8")
    (sources / "Dockerfile").touch()
    assert tree_hash(sources) == before


def test_content_name_and_mode_count(sources: Path) -> None:
    seen = {tree_hash(sources)}
    (sources / "Dockerfile").write_text("FROM other\n", encoding="utf-8")
    seen.add(tree_hash(sources))
    (sources / "Dockerfile").chmod(0o755)
    seen.add(tree_hash(sources))
    (sources / "app" / "main.py").rename(sources / "app" / "run.py")
    seen.add(tree_hash(sources))
    assert len(seen) == 4


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AnsibleLookupError, match=r"no folder .*missing"):
        LookupModule().run([str(tmp_path / "missing")])
