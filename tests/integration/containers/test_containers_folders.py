"""Folders of files, and data in volumes: what runs keeps what it has mounted."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from containers_host import ILL, STACK, Host

A = f"{STACK}-a"
SECRET = "not-to-be-seen-7f3a"


def folder(path: Path, *contents: str, **more: Any) -> dict[str, Any]:
    files = [{"name": f"file{number}", "content": text} for number, text in enumerate(contents)]
    return {"path": str(path), "group": os.getgid(), "files": files, **more}


def mounts(path: Path) -> list[dict[str, Any]]:
    return [{"type": "bind", "source": str(path), "target": "/run/secrets", "read_only": True}]


def mounted(host: Host) -> str:
    (mount,) = host.inspect()["Mounts"]
    return str(mount["Source"])


def versions(path: Path) -> list[str]:
    return sorted(str(each) for each in path.iterdir())


def test_other_files_are_another_version_and_the_old_one_goes_with_its_container(
    host: Host, tmp_path: Path
) -> None:
    path = tmp_path / "secrets"
    wanted = host.describe(mounts=mounts(path))
    predicted = host.good(wanted, folders=[folder(path, SECRET)], check=True)
    assert not path.exists()
    first = host.good(wanted, folders=[folder(path, SECRET)])
    assert first["made"] == predicted["made"] == [mounted(host)] == versions(path)
    assert first["written"] == predicted["written"] == [f"{mounted(host)}/file0"]
    assert Path(mounted(host), "file0").read_text() == SECRET
    assert stat.S_IMODE(Path(mounted(host)).stat().st_mode) == 0o750
    assert SECRET not in str(first)
    assert "file0 differs" in first["diff"]["after"]
    again = host.good(wanted, folders=[folder(path, SECRET)])
    assert (again["changed"], again["made"], again["written"]) == (False, [], [])
    second = host.good(wanted, folders=[folder(path, "other")])
    assert second["outdated"] == [A]
    assert mounted(host) != first["made"][0]
    assert versions(path) == [mounted(host)]
    assert not host.good(wanted, folders=[folder(path, "other")])["changed"]


def test_one_that_is_put_back_finds_the_files_that_it_had(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    host.good(host.describe(mounts=mounts(path)), folders=[folder(path, "good")])
    had = mounted(host)
    ill = host.describe(mounts=mounts(path), command=ILL, wait_timeout=3)
    refused = host.bad(ill, folders=[folder(path, "bad")])
    assert "was put back and is well" in refused["msg"]
    assert mounted(host) == had
    assert Path(had, "file0").read_text() == "good"
    # What was tried goes with the next run that comes through.
    host.good(host.describe(mounts=mounts(path)), folders=[folder(path, "good")])
    assert versions(path) == [had]


def test_what_is_tried_is_written_and_told_beside_what_runs(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    host.good(host.describe(mounts=mounts(path)), folders=[folder(path, "first")])
    before = host.inspect()
    tried = host.good(
        host.describe(mounts=mounts(path)), folders=[folder(path, "second")], state="tried"
    )
    assert tried["changed"]
    assert (tried["outdated"], len(tried["made"])) == ([A], 1)
    assert host.inspect()["Id"] == before["Id"]
    assert len(versions(path)) == 2
    # The files of a role that is no longer wanted go when nothing has them mounted.
    told = host.good(folders=[folder(path)])
    assert told["written"] == tried["made"]
    assert versions(path) == [mounted(host)]
    host.good(roles=["worker"], folders=[folder(path)])
    assert versions(path) == []


def test_files_without_versions_are_replaced_where_they_are(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    wanted = host.describe(mounts=mounts(path))
    host.good(wanted, folders=[folder(path, "first", "second", versions=False)])
    before = host.inspect()["Id"]
    changed = host.good(wanted, folders=[folder(path, "third", versions=False)])
    assert (changed["changed"], changed["outdated"]) == (True, [])
    assert host.inspect()["Id"] == before
    assert (path / "file0").read_text() == "third"
    assert os.listdir(path) == ["file0"]


def test_bad_input_writes_nothing(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    bad = folder(path, "first")
    bad["files"][0]["name"] = "../token"
    assert "Give plain names" in host.bad(host.describe(), folders=[bad])["msg"]
    refused = host.bad(host.describe("-"), folders=[folder(path, "first")])
    assert "no name of a container" in refused["msg"]
    assert not path.exists()
    assert host.names() == []


def test_data_of_another_version_is_refused_before_anything_changes(
    host: Host, tmp_path: Path
) -> None:
    volume = f"{STACK}-data"
    host.good(host.describe())
    made = Path(host.engine.volumes.create(volume).attrs["Mountpoint"])
    (made / "global").mkdir()
    (made / "PG_VERSION").write_text("17\n")
    path = tmp_path / "secrets"
    data = {"service": "postgres", "volume": volume, "major": 18}
    before = host.inspect()["Id"]
    wanted = host.describe(data=data, env={"A": "2"}, mounts=mounts(path))
    for check in (True, False):
        refused = host.bad(wanted, folders=[folder(path, "first")], check=check)
        assert "holds PostgreSQL 17" in refused["msg"]
        assert "postgres_major is 18" in refused["msg"]
    assert not path.exists()
    assert host.inspect()["Id"] == before
    # Where it is in a folder of its own, the server is told so.
    (made / "pgdata").mkdir()
    for name in ("global", "PG_VERSION"):
        (made / name).rename(made / "pgdata" / name)
    host.good(host.describe(data={**data, "major": 17}))
    assert "PGDATA=/var/lib/postgresql/data/pgdata" in host.inspect()["Config"]["Env"]
