"""docker_host_engine: every module goes to the engine that it names, and to no other."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


class Forward(socketserver.BaseRequestHandler):
    """One connection, passed on to the engine's socket."""

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect("/var/run/docker.sock")
            back = threading.Thread(target=self.copy, args=(engine, self.request))
            back.start()
            self.copy(self.request, engine)
            back.join()

    @staticmethod
    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def address() -> Iterator[str]:
    """The same engine at another address, on the loopback."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def settings(tmp_path: Path, address: str) -> dict[str, Any]:
    name = f"host-{secrets.token_hex(3)}"
    return {
        "docker_host_engine": {"docker_host": address},
        "docker_host_stack_name": name,
        "docker_host_networks": [{"name": f"{name}-data", "internal": True}],
        "docker_host_config_dir": str(tmp_path / "config"),
        "docker_host_registries": [],
        "docker_host_min_free_mb": 1,
        "docker_host_ports": [],
        "bot_stack_name": name,
    }


def run(playbook: str | Path, settings: dict[str, Any], *more: str) -> tuple[int, str]:
    """A module that does not take the setting finds no engine: DOCKER_HOST leads nowhere."""
    done = subprocess.run(
        ["ansible-playbook", playbook, "-i", "inventory/local", "-e", json.dumps(settings), *more],
        cwd=ROOT,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
            "DOCKER_HOST": "unix:///nowhere.sock",
        },
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def prepare(tmp_path: Path) -> Path:
    """The play of site.yml that prepares the hosts."""
    playbook = tmp_path / "prepare.yml"
    playbook.write_text(
        """---
- name: Prepare
  hosts: all
  gather_facts: false
  module_defaults:
    group/aisha.bot_stack.engine: "{{ docker_host_engine | default({}) }}"
    group/community.docker.docker: "{{ docker_host_engine | default({}) }}"
  roles: [aisha.bot_stack.docker_host]
""",
        encoding="utf-8",
    )
    return playbook


@pytest.mark.parametrize("playbook", ["cleanup.yml", "teardown.yml"])
def test_all_calls_go_to_the_engine_of_the_setting(
    settings: dict[str, Any], playbook: str, tmp_path: Path
) -> None:
    """Both modules of community.docker and our own. Of a host without it, the calls fail."""
    inventory = yaml.safe_load((ROOT / "inventory/local/hosts.yml").read_text())
    hosts = inventory["all"]["hosts"]
    hosts["without"] = dict(hosts["local"])
    hosts["local"]["docker_host_engine"] = settings.pop("docker_host_engine")
    for group in inventory["all"]["children"].values():
        group["hosts"]["without"] = {}
    beside = tmp_path / "hosts.json"
    beside.write_text(json.dumps(inventory))
    code, output = run(f"playbooks/{playbook}", settings, "--check", "-i", str(beside))
    assert code == 2, output
    ended = dict(re.findall(r"(\w+) : ok=\d+ changed=\d+ (unreachable=\d+ failed=\d+)", output))
    assert ended == {"local": "unreachable=0 failed=0", "without": "unreachable=0 failed=1"}, output


def test_what_looks_at_the_engine_takes_the_setting(settings: dict[str, Any]) -> None:
    _code, output = run("playbooks/verify.yml", settings)
    assert "no container of the stack runs here" in output


def test_networks_in_use_are_refused_and_others_made_anew(
    settings: dict[str, Any], prepare: Path
) -> None:
    client = docker.from_env()
    name = settings["docker_host_networks"][0]["name"]
    images = [image for image in client.api.images() if image["RepoTags"]]
    try:
        code, output = run(prepare, settings)
        assert code == 0, output
        first = client.networks.get(name).id
        code, output = run(prepare, settings)
        assert (code, "changed=0" in output) == (0, True), output

        changed = settings | {"docker_host_mtu": 1300}
        client.api.create_container(
            images[0]["Id"],
            ["true"],
            name=f"{name}-user",
            host_config=client.api.create_host_config(network_mode=name),
        )
        code, output = run(prepare, changed)
        assert code != 0
        assert f"the network {name} differs: its MTU is " in output
        assert f"cut off {name}-user" in output
        assert client.networks.get(name).id == first

        client.containers.get(f"{name}-user").remove()
        code, output = run(prepare, changed)
        assert code == 0, output
        made = client.networks.get(name)
        assert made.id != first
        assert made.attrs["Options"]["com.docker.network.driver.mtu"] == "1300"

        code, output = run(prepare, settings | {"docker_host_stack_name": "host-other"})
        assert code != 0
        assert f"the network {name} belongs to the stack" in output
    finally:
        for container in client.containers.list(
            all=True, filters={"name": f"{name}-user"}, ignore_removed=True
        ):
            container.remove(force=True)
        for network in client.networks.list(names=[name]):
            network.remove()


def test_ssh_without_its_client_is_refused_by_a_sentence(
    settings: dict[str, Any], prepare: Path
) -> None:
    engine = {"docker_host": "ssh://bot1.example.com"}
    code, output = run(prepare, settings | {"docker_host_engine": engine})
    assert code != 0
    assert "set use_ssh_client: true" in output


def test_a_setting_that_is_no_mapping_is_refused(settings: dict[str, Any]) -> None:
    address = "unix:///var/run/docker.sock"
    code, output = run("site.yml", settings | {"docker_host_engine": address}, "--check")
    assert code != 0
    assert "docker_host_engine is unix:///var/run/docker.sock. Set the options" in output


class Podman(socketserver.StreamRequestHandler):
    """Answers as Podman 4.3.1 of Debian 12 does, as far as it is asked before the first change."""

    def handle(self) -> None:
        path = self.rfile.readline().decode().split()[1]
        while self.rfile.readline().strip():
            pass
        answer = {"Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}
        if path == "/info":
            answer = {"ServerVersion": "4.3.1", "OSType": "linux", "BuildahVersion": "1.28.2"}  # type: ignore[dict-item]
        body = json.dumps(answer).encode()
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def test_the_first_play_refuses_podman_by_name(tmp_path: Path) -> None:
    path = f"{tmp_path}/podman.sock"
    with socketserver.ThreadingUnixStreamServer(path, Podman) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine = {"docker_host": f"unix://{path}"}
        code, output = run("site.yml", {"docker_host_engine": engine}, "--check")
        server.shutdown()
    assert code != 0
    assert f"what answers at unix://{path} is Podman, not a Docker Engine" in output
    assert output.count("PLAY [") == 1, output
    assert "changed=0" in output


def test_the_first_play_goes_on_without_a_host_that_is_away(tmp_path: Path) -> None:
    """Who may be away is for the plays that need a host."""
    playbook = tmp_path / "first.yml"
    playbook.write_text(
        """---
- name: First
  hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Check
      ansible.builtin.include_role:
        name: aisha.bot_stack.docker_host
        tasks_from: check
- name: Next
  hosts: local
  gather_facts: false
  tasks:
    - name: Go on
      ansible.builtin.ping:
""",
        encoding="utf-8",
    )
    away = tmp_path / "away.ini"
    away.write_text("away ansible_host=127.0.0.1 ansible_port=1\n", encoding="utf-8")
    code, output = run(playbook, {"docker_host_engine": {}}, "-i", str(away))
    assert code == 0, output
    assert "UNREACHABLE" in output
    assert "TASK [Go on]" in output
