"""Files that a container's user reads by its group."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import files

GROUP = os.getgid()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(mode)
    with path.open("rb") as held:
        files.write(str(path), b"new", GROUP)
        assert held.read() == b"old", "it was changed under who reads it"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["secret"]


def test_what_fails_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "secret"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(str(path), b"new", GROUP)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["secret"]


def test_a_folder_is_made_or_put_right(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    for _time in range(2):
        files.provide_folder(str(path), GROUP)
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o750, 0)
        path.chmod(0o777)
