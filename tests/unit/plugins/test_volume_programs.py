"""The programs of the image `volumes`, run as in it: as another user, on real files.

What only a mount can show is seen in a mount namespace of its own, so nothing of it is left here.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "images/volumes"
PYTHON = "/usr/bin/python3"  # that of the checkout's environment may be out of another user's reach
USER = 10001
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="gives files to other users: needs root")


@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder that belongs to the bot's user. pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "logs")
        path.mkdir(mode=0o755)
        os.chown(path, USER, USER)
        yield path


def answer(command: list[str], **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def probe(volume: Path, before: str = "true", after: str = "true") -> dict[str, list[Any]]:
    """What it says of the volume, between shell commands in the same mount namespace."""
    script = (FILES / "probe.py").read_text()
    return answer(
        [
            *["unshare", "--mount", "sh", "-ec", f'{before}; "$@"; {after}', "sh"],
            *[*AS_USER, PYTHON, "-I", "-c", script, f"aisha-logs={volume}"],
        ],
        PATH="/usr/sbin:/usr/bin:/sbin:/bin",
    )


def give(volume: Path) -> dict[str, list[str]]:
    script = (FILES / "give.py").read_text()
    return answer([PYTHON, "-I", "-c", script, f"{USER}:{USER}", f"aisha-logs={volume}"])


def belongs_to(path: Path) -> int:
    return path.lstat().st_uid


def test_a_volume_that_can_be_written_is_left_as_it_is(volume: Path) -> None:
    (volume / "app.log").write_text("mine")
    os.chown(volume / "app.log", USER, USER)
    (volume / "app.log").chmod(0o400)  # its owner can change that
    assert probe(volume) == {"broken": [], "unwritable": []}
    assert [path.name for path in volume.iterdir()] == ["app.log"], "the probe is still there"
    assert give(volume) == {"given": [], "failed": []}
    assert (volume / "app.log").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("owner", "mode"),
    [(0, 0o700), (1000, 0o755), (USER, 0o555), (USER, 0)],
    ids=["root's", "an older image's", "its own, read-only", "its own, closed"],
)
def test_a_folder_without_permission_is_mended(volume: Path, owner: int, mode: int) -> None:
    (volume / "kept").write_text("content")
    os.chown(volume, owner, owner)
    volume.chmod(mode)
    found = probe(volume)
    assert not found["broken"]
    (unwritable,) = found["unwritable"]
    assert unwritable["path"] == str(volume)
    assert f"the volume aisha-logs ({volume}) can't be written by {USER}:{USER}" in str(unwritable)
    assert f"belongs to {owner}:{owner} with mode {mode:04o}" in unwritable["sentence"]
    (given,) = give(volume)["given"]
    assert f"aisha-logs ({volume})" in given
    assert probe(volume) == {"broken": [], "unwritable": []}
    assert (volume / "kept").read_text() == "content"
    assert belongs_to(volume / "kept") == USER


def test_what_is_in_a_folder_of_the_right_owner_counts(volume: Path) -> None:
    (volume / "app.log").write_text("content")
    (volume / "old").mkdir(mode=0o700)
    (volume / "old/deep.log").write_text("content")
    found = probe(volume)
    assert not found["broken"]
    (unwritable,) = found["unwritable"]
    # What is in old/ can't be seen before old/ is given.
    assert "2 of the files and folders in the volume" in unwritable["sentence"]
    assert "belongs to 0:0" in unwritable["sentence"]
    assert give(volume)["given"] == [
        f"aisha-logs ({volume}), 3 of whose files and folders belonged to 0:0"
    ]
    assert {belongs_to(path) for path in volume.rglob("*")} == {USER}
    assert probe(volume) == {"broken": [], "unwritable": []}


def test_a_foreign_file_without_permission_for_its_owner_can_be_written_then(volume: Path) -> None:
    path = volume / "app.log"
    path.write_text("content")
    path.chmod(0o440)
    assert len(probe(volume)["unwritable"]) == 1
    give(volume)
    assert path.stat().st_mode & 0o777 == 0o640


def test_no_link_is_followed(volume: Path) -> None:
    outside = volume.parent / "outside"
    outside.mkdir(mode=0o700)
    (outside / "secret").write_text("content")
    (volume / "folder").symlink_to(outside)
    (volume / "file").symlink_to(outside / "secret")
    assert probe(volume) == {"broken": [], "unwritable": []}
    os.chown(volume, 0, 0)
    give(volume)
    assert {belongs_to(path) for path in volume.iterdir()} == {USER}
    assert {belongs_to(path) for path in (outside, outside / "secret")} == {0}
    assert outside.stat().st_mode & 0o777 == 0o700


def test_a_large_volume_is_looked_at_in_part_and_mended_as_a_whole(volume: Path) -> None:
    for number in range(10_500):
        (volume / str(number)).touch()
    (unwritable,) = probe(volume)["unwritable"]
    assert "10000 of the files and folders" in unwritable["sentence"]
    (given,) = give(volume)["given"]
    assert "10500 of whose files and folders" in given
    assert probe(volume) == {"broken": [], "unwritable": []}


def test_a_read_only_volume_is_not_for_want_of_permission(volume: Path) -> None:
    os.chown(volume, 0, 0)  # chown would not help
    found = probe(volume, f"mount --bind {volume} {volume}; mount -o remount,bind,ro {volume}")
    assert not found["unwritable"]
    (sentence,) = found["broken"]
    assert sentence.startswith(f"the volume aisha-logs ({volume}) is read-only (Read-only file")
    assert "make it writable" in sentence


@pytest.mark.parametrize(
    ("options", "fill", "free"),
    [
        ("size=64k", "dd if=/dev/zero of={0}/big 2>/dev/null || true", "0 of 64 KiB"),
        ("size=64k,nr_inodes=2", "touch {0}/one", "0 of 2 inodes"),
    ],
    ids=["no block is free", "no inode is free"],
)
def test_a_full_volume_is_not_for_want_of_permission(
    volume: Path, options: str, fill: str, free: str
) -> None:
    mount = f"mount -t tmpfs -o {options},uid={USER},gid={USER} tmpfs {volume}"
    left = volume.parent / "left"
    found = probe(volume, f"{mount}; {fill.format(volume)}", f"ls -A {volume} > {left}")
    assert not found["unwritable"]
    (sentence,) = found["broken"]
    assert sentence.startswith(f"the volume aisha-logs ({volume}) is full (No space left on device")
    assert free in sentence
    assert "free space there" in sentence
    assert len(left.read_text().split()) == 1, f"the probe is still there: {left.read_text()}"


def test_a_volume_that_is_not_there_is_named(volume: Path) -> None:
    volume.rmdir()
    (sentence,) = probe(volume)["broken"]
    assert f"the volume aisha-logs ({volume}) can't be written (No such file" in sentence


def test_what_can_not_be_given_is_a_sentence(volume: Path) -> None:
    (volume / "app.log").touch()
    marked = subprocess.run(["chattr", "+i", volume / "app.log"], check=False, capture_output=True)
    if marked.returncode:
        pytest.skip(f"no immutable files here: {marked.stderr.decode()}")
    try:
        (sentence,) = give(volume)["failed"]
    finally:
        subprocess.run(["chattr", "-i", volume / "app.log"], check=True)
    assert f"the volume aisha-logs ({volume}) can't be given to {USER}:{USER}" in sentence
    assert f"Operation not permitted at {volume}/app.log" in sentence
    assert len(give(volume)["given"]) == 1


def test_the_paths_are_those_below_the_working_folder(volume: Path) -> None:
    """So a volume has in the image of the programs no folder of theirs as its place."""
    (volume / "closed").mkdir(mode=0o700)
    for program, who, first in (("probe", AS_USER, []), ("give", [], [f"{USER}:{USER}"])):
        done = subprocess.run(
            [*who, PYTHON, "-I", "-c", (FILES / f"{program}.py").read_text(), *first, "n=/logs"],
            cwd=volume.parent, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        said = json.loads(done.stdout)
        assert "(/logs)" in str(said)
        assert not said.get("broken")
        assert not said.get("failed")
    assert belongs_to(volume / "closed") == USER
