"""The bot stack: its volumes, its logins, its code."""

from __future__ import annotations

import uuid

import pytest
from target import Target, parsed

pytestmark = pytest.mark.group("bot")

BOT = ("primary", "worker", "webhook")


def test_storage_is_written_and_read_as_the_real_user(target: Target) -> None:
    name, text = f"verify-{uuid.uuid4().hex}", uuid.uuid4().hex
    containers = target.names(*BOT)
    assert containers, "no container of the bot is on this host"
    target.used.update(containers)
    write, read, remove = (
        target.program("volume.py", action, name, text) for action in ("write", "read", "remove")
    )
    written, removed, gone = target.call(
        ["execute_in_all", containers, write],
        ["execute", containers[0], remove],
        ["execute_in_all", containers, read],
    )
    for container in containers:
        result = parsed(container, written[container])
        assert not result["failed"], container
        user = target.containers[container]["Config"]["User"].split(":")[0]
        assert str(result["uid"]) == str(result["uid_of_pid_1"]) == user, container
    # All have the same volumes: what one of them removed is gone for the others.
    assert not parsed(containers[0], removed)["failed"]
    for container in containers:
        failed = parsed(container, gone[container])["failed"]
        assert len(failed) == 3, f"{container} has volumes of its own"


def test_storage_outlives_the_container(target: Target) -> None:
    """A new container of the same image, user and volumes stands for the re-created one, without
    network and secrets: so nothing that runs is touched."""
    name, text = f"verify-{uuid.uuid4().hex}", uuid.uuid4().hex
    container = next(iter(target.names(*BOT)), "")
    assert container, "no container of the bot is on this host"
    target.used.add(container)
    written, read = target.call(
        ["execute", container, target.program("volume.py", "write", name, text)],
        ["once", container, target.program("volume.py", "remove", name, text)],
    )
    assert not parsed(container, written)["failed"]
    result = parsed(f"a new container like {container}", read)
    assert not result["failed"]
    assert str(result["uid"]) == target.containers[container]["Config"]["User"].split(":")[0]


def test_the_process_can_do_nothing_but_its_work(target: Target) -> None:
    for container, result in target.inside(target.program("confinement.py"), *BOT).items():
        user = target.containers[container]["Config"]["User"].split(":")[0]
        assert result == {
            "root": "Read-only file system",
            "uid": user,
            "capabilities": 0,
            "no_new_privileges": True,
        }, container


def test_the_background_worker_can_be_imported(target: Target) -> None:
    code = "from app.workers.background_worker import BackgroundWorker as b; print('true')"
    assert target.inside(["python", "-c", code], *BOT)


@pytest.mark.parametrize("script", ["table.py", "keys.py", "bucket.py"])
def test_its_own_login_works_and_no_more(target: Target, script: str) -> None:
    """A row in PostgreSQL, a key in Redis, an object in MinIO; what it must not do is refused."""
    target.used.update(target.names("postgres", "redis", "minio"))
    for worker, result in target.inside(target.program(script), "worker").items():
        done = {case: value for case, value in result.items() if isinstance(value, bool)}
        assert done["same"], f"{worker}: what was read is not what was written"
        assert all(done.values()), worker
        refused = {case: value for case, value in result.items() if case not in done}
        assert set(refused.values()) == {"refused"}, worker


def test_the_fleet_has_one_primary(target: Target) -> None:
    v = target.variables
    holder = v["bot_holder"] or v["fleet"][0]
    wanted = [f"{v['bot_name']}-primary"] if target.host.backend.host == holder else []
    assert target.names("primary") == wanted
