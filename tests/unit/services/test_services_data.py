"""Data guards: the decisions as tables, the readers on folders and on a real server's data."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import data as data_looks
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import data_versions


def fake_data(root: Path, folder: str, version: str) -> None:
    """A data directory as far as the guard reads it, with a database below it as every one has."""
    place = root / folder
    (place / "global").mkdir(parents=True)
    (place / "base" / "1").mkdir(parents=True)
    for path in (place, place / "base" / "1"):
        (path / "PG_VERSION").write_text(f"{version}\n")


@pytest.mark.parametrize(
    ("found", "major", "image", "expected"),
    [
        # A new volume.
        ({}, 17, "17", ""),
        ({}, 18, "18", "18/docker"),
        # Data where upstream's image of its version has it.
        ({"": "17"}, 17, "17", ""),
        ({"18/docker": "18"}, 18, "18", "18/docker"),
        ({"": "17"}, 17, None, ""),
        # In a sub-folder of an adopted volume.
        ({"pgdata": "17"}, 17, "17", "pgdata"),
        ({"data": "17"}, 17, "17", "data"),
        ({"17/docker": "17"}, 17, "17", "17/docker"),
        ({"": "18"}, 18, "18", ""),
        ({"pgdata": "18"}, 18, "18", "pgdata"),
        # Both, as pg_upgrade leaves them.
        ({"17/docker": "17", "18/docker": "18"}, 18, "18", "18/docker"),
        ({"17/docker": "17", "18/docker": "18"}, 17, "17", "17/docker"),
        # The usual place is meant before any other.
        ({"": "17", "old": "17"}, 17, "17", ""),
    ],
)
def test_the_folder_that_a_server_is_to_use(
    found: dict[str, str], major: int, image: str | None, expected: str
) -> None:
    assert data_versions.judge_postgres(found, major, image, "vol") == expected


@pytest.mark.parametrize(
    ("found", "major", "image", "words"),
    [
        ({"": "17"}, 18, "18", ["PostgreSQL 17 in its top folder", "postgres_major is 18"]),
        ({"18/docker": "18"}, 17, "17", ["PostgreSQL 18 in 18/docker", "postgres_major is 17"]),
        ({"18/docker": "18"}, 19, "19", ["PostgreSQL 18 in 18/docker", "postgres_major is 19"]),
        ({"pgdata": "15"}, 17, "17", ["PostgreSQL 15 in pgdata", "postgres_major is 17"]),
        ({"data": "17"}, 18, "18", ["PostgreSQL 17 in data", "pg_dumpall"]),
        ({"a": "17", "b": "17"}, 17, "17", ["in a and b", "which one is meant"]),
        # An image of another version, whatever the data is.
        ({}, 18, "17", ["postgres_image is PostgreSQL 17", "postgres_major is 18"]),
        ({"": "17"}, 17, "18", ["postgres_image is PostgreSQL 18", "postgres_major is 17"]),
    ],
)
def test_data_of_another_version_is_refused_with_both(
    found: dict[str, str], major: int, image: str, words: list[str]
) -> None:
    with pytest.raises(data_versions.DataError) as error:
        data_versions.judge_postgres(found, major, image, "vol")
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("folder", ["", "pgdata", "data", "18/docker", "a/b/c"])
def test_a_data_directory_is_found_in_its_volume(tmp_path: Path, folder: str) -> None:
    fake_data(tmp_path, folder, "18")
    (tmp_path / "lost+found").mkdir(exist_ok=True)
    assert data_versions.look_postgres(str(tmp_path)) == {folder: "18"}


def test_a_first_start_that_was_cut_off_is_no_data(tmp_path: Path) -> None:
    fake_data(tmp_path, ".init/data", "17")
    assert data_versions.look_postgres(str(tmp_path)) == {}


@pytest.mark.parametrize("name", ["postgres", "foo", "Größe"])
def test_the_superuser_of_real_data(tmp_path: Path, name: str) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "no PostgreSQL on this machine: tests/tools/packages installs it"
    version = programs[-1].parent.name
    data = tmp_path / "pgdata"
    data.mkdir()
    user = []
    if os.geteuid() == 0:
        for path in (tmp_path, *tmp_path.parents):
            if str(path).startswith("/tmp/"):  # noqa: S108
                path.chmod(0o755)
        shutil.chown(data, "postgres", "postgres")
        user = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [
            *user,
            programs[-1] / "initdb",
            "-D",
            data,
            "-U",
            name,
            "-A",
            "peer",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ],
        check=True,
        capture_output=True,
        cwd="/",
    )
    assert data_versions.look_postgres(str(tmp_path)) == {"pgdata": version}
    assert data_versions.look_superuser(str(data)) == name
    # A row of it that was changed is there twice.
    statement = f'ALTER ROLE "{name}" CONNECTION LIMIT 50;\n'
    subprocess.run(
        [*user, programs[-1] / "postgres", "--single", "-D", data, "postgres"],
        input=statement.encode(),
        check=True,
        capture_output=True,
        cwd="/",
    )
    assert data_versions.look_superuser(str(data)) == name
    data_versions.judge_superuser(name, name, "vol")
    with pytest.raises(
        data_versions.DataError, match=f"is {name}, but postgres_superuser is other"
    ):
        data_versions.judge_superuser(name, "other", "vol")


def test_a_superuser_that_can_not_be_seen_is_not_refused() -> None:
    data_versions.judge_superuser(None, "postgres", "vol")


@pytest.mark.parametrize(
    ("major", "mount"),
    [(17, "/var/lib/postgresql/data"), (18, "/var/lib/postgresql"), (19, "/var/lib/postgresql")],
)
def test_the_volume_is_mounted_where_the_image_of_its_version_has_it(
    major: int, mount: str
) -> None:
    assert data_versions.mount_of(major) == mount


@pytest.mark.parametrize("bytes_", [b"", b"\0" * 8192, b"\xff" * 8192, struct.pack("<ii", 1, 1)])
def test_other_bytes_are_no_superuser(bytes_: bytes) -> None:
    assert data_versions.parse_superuser(bytes_) is None
    assert data_versions.parse_filenode(bytes_, data_versions.AUTHID) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
            ("Redis", (7, 0, 15)),
        ),
        ("Redis server v=8.0.2 sha=0", ("Redis", (8, 0, 2))),
        ("Valkey server v=8.1.1 sha=0", ("Valkey", (8, 1, 1))),
        ("something else", None),
    ],
)
def test_what_a_server_says_of_its_version(text: str, expected: object) -> None:
    assert data_versions.parse_server(text) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"REDIS0011\xfa", ("redis", 11)),
        (b"REDIS0012\xfa", ("redis", 12)),
        (b"VALKEY080\xfa", ("valkey", 80)),
        (b"*2\r\n$6\r\n", None),
        (b"REDIS", None),
    ],
)
def test_the_header_of_an_rdb_file(header: bytes, expected: object) -> None:
    assert data_versions.parse_rdb(header) == expected


@pytest.mark.parametrize(
    ("server", "data", "expected"),
    [
        (("Valkey", (8, 1, 1)), ("redis", 11), True),
        (("Valkey", (8, 1, 1)), ("redis", 12), False),
        (("Valkey", (9, 0, 3)), ("redis", 12), False),
        (("Valkey", (8, 1, 5)), ("valkey", 80), False),
        (("Valkey", (9, 0, 0)), ("valkey", 80), True),
        (("Valkey", (9, 2, 0)), ("valkey", 81), None),
        (("Redis", (8, 0, 2)), ("redis", 12), True),
        (("Redis", (8, 0, 2)), ("redis", 11), True),
        (("Redis", (8, 0, 2)), ("valkey", 80), False),
        (("Redis", (7, 2, 4)), ("redis", 12), False),
        (("Redis", (7, 0, 15)), ("redis", 11), False),
        (("Redis", (7, 0, 15)), ("redis", 10), True),
        (("Redis", (6, 2, 0)), ("redis", 10), False),
        (("Redis", (8, 0, 2)), ("redis", 13), False),
        (("Redis", (8, 10, 0)), ("redis", 15), None),
        (("Redis", (8, 10, 0)), ("valkey", 80), False),
    ],
)
def test_which_server_reads_which_format(
    server: tuple[str, tuple[int, ...]], data: tuple[str, int], expected: bool | None
) -> None:
    assert data_versions.reads(server, data) is expected


VALKEY = ("Valkey", (8, 1, 1))
BASE = "appendonlydir/appendonly.aof.1.base.rdb"


@pytest.mark.parametrize(
    ("files", "server"),
    [
        ({}, VALKEY),
        ({BASE: ("redis", 11)}, VALKEY),
        # What runs on it is not asked.
        ({BASE: ("redis", 12)}, None),
        # With an append-only file beside it, dump.rdb is not read.
        ({BASE: ("redis", 11), "dump.rdb": ("redis", 12)}, VALKEY),
        ({"appendonlydir/appendonly.aof.1.incr.aof": None}, VALKEY),
    ],
)
def test_data_that_a_server_reads(
    files: dict[str, tuple[str, int] | None], server: tuple[str, tuple[int, ...]] | None
) -> None:
    assert data_versions.judge_redis(files, server, "vol") == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {BASE: ("redis", 12)},
            ["Redis 7.4 to 8.0 (RDB version 12)", "Valkey 8.1.1", "can't read"],
        ),
        ({"appendonly.aof": ("redis", 12)}, ["appendonly.aof", "RDB version 12"]),
        ({BASE: ("valkey", 80)}, ["Valkey 9 or newer (RDB version 80)", "Valkey 8.1.1"]),
        ({"dump.rdb": ("redis", 11)}, ["dump.rdb only", "start empty"]),
    ],
)
def test_data_that_a_server_does_not_read_is_refused(
    files: dict[str, tuple[str, int] | None], words: list[str]
) -> None:
    with pytest.raises(data_versions.DataError) as error:
        data_versions.judge_redis(files, VALKEY, "vol")
    for word in words:
        assert word in str(error.value)


def test_what_is_not_known_is_said() -> None:
    warning = data_versions.judge_redis({BASE: ("redis", 15)}, ("Redis", (8, 10, 0)), "vol")
    assert "not known" in warning


def test_the_files_of_a_redis_volume(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / BASE).write_bytes(b"REDIS0012\xfa\x09redis-ver")
    (tmp_path / "appendonlydir/appendonly.aof.manifest").write_text("file x seq 1 type b\n")
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0011\xfa")
    assert data_versions.look_redis(str(tmp_path)) == {
        BASE: ("redis", 12),
        "appendonlydir/appendonly.aof.manifest": None,
        "dump.rdb": ("redis", 11),
    }


class Host(data_looks.Engine):
    """An engine in check mode that has the volume. To run anything on it fails."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, None, "stack", {}, str, True)
        self.folder = folder

    def volume_root(self, _volume: str) -> tuple[str, str]:
        return str(self.folder), ""

    def image(self, _name: str) -> dict[str, str] | None:
        return {"Id": "sha256:1"} if (self.folder / "pulled").exists() else None


@pytest.mark.parametrize("pulled", [False, True])
def test_check_mode_runs_no_image_and_says_what_was_not_checked(
    tmp_path: Path, pulled: bool
) -> None:
    if pulled:
        (tmp_path / "pulled").touch()
    given = {"name": "redis", "image": "valkey", "data": {"service": "redis", "volume": "vol"}}
    assert data_looks.judge(Host(tmp_path), given, None) == ({}, [])
    (tmp_path / "appendonly.aof").write_bytes(b"REDIS0012")
    _needed, (warning,) = data_looks.judge(Host(tmp_path), given, None)
    assert "valkey can read the data in the volume vol is not checked in check mode" in warning
    # What the files alone forbid, no image allows.
    (tmp_path / "appendonly.aof").rename(tmp_path / "dump.rdb")
    with pytest.raises(data_versions.DataError, match=r"has data in dump\.rdb only"):
        data_looks.judge(Host(tmp_path), given, None)
