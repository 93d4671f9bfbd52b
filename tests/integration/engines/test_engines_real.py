"""The roles and modules on real engines, and the real engines that they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import images
from engines_host import NEWEST, SOCKET, TLS, Host


@dataclass
class Engine:
    """One to use, and how it is reached."""

    name: str
    version: str
    programs: str = ""
    daemon: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)


CONTAINERD = {"features": {"containerd-snapshotter": True}}
ENGINES = [
    Engine(
        "debian-13-by-ssh",
        "26.1.",
        daemon=CONTAINERD,
        engine={"docker_host": "ssh://root@127.0.0.1:2222", "use_ssh_client": True},
        # Here the role judges the environment.
        variables={
            "docker_host_manage_python": True,
            "docker_host_python_dir": "/opt/modules-ssh",
            "modules_python": "/opt/modules-ssh/bin/python",
        },
    ),
    Engine(
        "testing-by-tls",
        "",
        "testing",
        {
            **CONTAINERD,
            "hosts": [SOCKET, "tcp://127.0.0.1:2376"],
            "tlsverify": True,
            "tlscacert": f"{TLS}/ca.pem",
            "tlscert": f"{TLS}/server.pem",
            "tlskey": f"{TLS}/server.key",
        },
        {
            "docker_host": "tcp://127.0.0.1:2376",
            "validate_certs": True,
            "ca_path": f"{TLS}/ca.pem",
            "client_cert": f"{TLS}/client.pem",
            "client_key": f"{TLS}/client.key",
        },
    ),
]
if NEWEST:
    ENGINES.append(Engine("newest", "", "newest"))


@pytest.fixture(scope="session", params=ENGINES, ids=lambda engine: engine.name)
def said(host: Host, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What roles and modules said on one engine."""
    chosen: Engine = request.param
    if "ssh" in chosen.name:
        host.run_ssh()
    if "tls" in chosen.name:
        host.make_certificates()
    version = host.use(chosen.name, chosen.programs, **chosen.daemon)
    assert version.startswith(chosen.version)
    host.load_images()
    # A call that goes elsewhere finds no engine.
    said = host.use_roles_and_modules(chosen.engine, **chosen.variables)
    return said | {"version": version}


def test_the_engine_is_found(said: dict[str, Any]) -> None:
    engine = said["host"]["engine"]
    assert (engine["kind"], engine["image_store"], engine["problems"]) == (
        "docker",
        "containerd",
        [],
    )
    assert engine["version"] == said["version"]
    assert said["host"]["free_bytes"] > 0


def test_volumes_are_seen_to(said: dict[str, Any]) -> None:
    assert said["rooted"]["results"][0]["status"] == 0, said["rooted"]
    (given,) = said["registry"]["given"]
    assert "engines-registry (/var/lib/registry), 2 of whose files" in given
    assert "belonged to 0:0" in given
    assert (said["tried"]["given"], said["tried"]["changed"]) == ([], False)


def test_an_image_is_pulled_by_the_digest_of_its_push(said: dict[str, Any]) -> None:
    reference = f"127.0.0.1:5000/engines/redis@{said['digests']['digests']['redis']}"
    assert said["pulled"]["containers"]["engines-redis"]["image"] == reference
    assert said["pulled"]["containers"]["engines-redis"]["health"] == "healthy"


def test_a_release_that_fails_is_taken_back(said: dict[str, Any]) -> None:
    assert said["failed"]["failed"]
    assert "exit code 3" in said["failed"]["msg"]
    assert "no such release" in said["failed"]["msg"]
    assert "was put back and is well" in said["failed"]["msg"]
    before, after = (
        said[key]["containers"]["engines-redis"]["id"] for key in ("pulled", "restored")
    )
    assert (after, said["restored"]["changed"]) == (before, False)


def test_data_is_looked_at(said: dict[str, Any]) -> None:
    assert any("does not say which version" in each for each in said["failed"]["warnings"])
    assert said["restored"].get("warnings", []) == []
    assert "Ready to accept connections" in said["logs"]["logs"]["engines-redis"]


def test_what_could_not_be_looked_into_is_said(said: dict[str, Any]) -> None:
    """This store does not say where the files of a container are that does not run."""
    seen = said["seen"]
    assert seen["unseen_containers"] == ["dark"]
    assert [(row["name"], row["where"], row["field"]) for row in seen["suspects"]] == [
        ("light", "file", "/opt/settings")
    ]
    assert "could not look into dark: not running" in seen["warnings"][0]


def test_a_suspect_is_refused_and_stopped(said: dict[str, Any]) -> None:
    assert said["refused"]["failed"]
    assert "light" in said["refused"]["msg"]
    assert said["stopped"]["changed"]
    (light,) = (row for row in said["listed"]["containers"] if row["Names"][0].startswith("/light"))
    assert (light["State"], ".disabled-" in light["Names"][0]) == ("exited", True)


def test_no_image_in_use_may_go(said: dict[str, Any]) -> None:
    listed = said["listed"]
    old = images.old_images(listed["images"], listed["containers"], "", 0)
    left = {image["Id"] for image in listed["images"]} - set(old)
    assert said["images"]["registry"] in left
    assert said["images"]["volumes"] in left
    used = {row["ImageID"] for row in listed["containers"]}
    assert used <= left


def test_engines_of_other_kinds_are_refused_in_the_first_play(host: Host) -> None:
    """Each by its name, before anything is changed."""
    host.use("userns", **{"userns-remap": "default"})
    kinds = {"rootless": host.run_rootless(), "podman": host.run_podman()}
    code, output = host.deploy({"local": SOCKET} | kinds)
    assert code != 0
    assert output.count("PLAY [") == 1, output
    assert "changed=1" not in output
    assert f"the engine at {kinds['rootless']} is rootless" in output
    assert f"what answers at {kinds['podman']} is Podman, not a Docker Engine" in output
    assert f"the engine at {SOCKET} runs with userns-remap" in output
