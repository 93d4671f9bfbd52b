"""Folders of files that containers mount: by version, what is in use stays as it is."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import files

HERE = os.getgid()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (({"a": b"b"}, ""), ({"a": b"c"}, "")),
        (({"ab": b""}, ""), ({"a": b"b"}, "")),
        (({"a": b"b"}, ""), ({"a": b"b"}, "salt")),
        (({"a": b"", "b": b""}, ""), ({"a": b""}, "")),
    ],
)
def test_other_names_contents_and_salts_are_another_version(
    one: tuple[dict[str, bytes], str], other: tuple[dict[str, bytes], str]
) -> None:
    assert files.version("/etc/x", *one) != files.version("/etc/x", *other)
    assert files.version("/etc/x", *one) == files.version("/etc//x/", *one)


def test_a_folder_has_exactly_its_files_and_folders_in_it_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "parent/secrets"
    assert files.provide(folder, {"a": b"1"}, HERE, check=True) == (True, ["a"], [])
    assert not folder.exists()
    assert files.provide(folder, {"a": b"1", "b": b"2"}, HERE, check=False)[0]
    (folder / "stale").write_text("")
    (folder / "somebody's").mkdir()
    assert files.provide(folder, {"a": b"3"}, HERE, check=False) == (True, ["a"], ["b", "stale"])
    assert files.provide(folder, {"a": b"3"}, HERE, check=False) == (False, [], [])
    assert sorted(os.listdir(folder)) == ["a", "somebody's"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o640


def test_what_is_used_is_kept_however_its_path_is_written(tmp_path: Path) -> None:
    written = f"{tmp_path}//x/"
    used = files.version(written, {"a": b"1"}, "")
    os.makedirs(used)
    (tmp_path / "x/0123456789ab").mkdir()
    (tmp_path / "x/somebody's").mkdir()
    (tmp_path / "x/flat").write_text("")
    assert files.unused(written, [used]) == [
        str(tmp_path / "x/0123456789ab"),
        str(tmp_path / "x/flat"),
    ]
    for path in files.unused(written, [used]):
        files.discard(path)
    assert sorted(os.listdir(tmp_path / "x")) == sorted([Path(used).name, "somebody's"])
    assert files.unused(f"{tmp_path}/nothing", []) == []


@pytest.mark.parametrize("name", ["../token", "a/b", "/etc/passwd"])
def test_a_name_with_a_folder_is_told(name: str) -> None:
    assert files.with_folder([{"name": name}, {"name": "plain"}]) == [name]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(mode)
    with path.open("rb") as held:
        files.write(str(path), b"new", HERE)
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
        files.write(str(path), b"new", HERE)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["secret"]


def test_a_folder_is_made_or_put_right(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    for _time in range(2):
        files.make_folder(str(path), HERE)
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o750, 0)
        path.chmod(0o777)
