"""What host_info makes of a host's raw facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import host_facts

# Rows as in /proc/net/tcp and tcp6: 127.0.0.1:5000 and [::]:8081 listen, one is a connection.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 31338 1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 00000000
"""


def want(
    port: int, address: str = "127.0.0.1", container: str = "aisha-registry"
) -> dict[str, Any]:
    return {"address": address, "port": port, "container": container, "setting": "a_setting"}


def container(name: str, *ports: list[Any]) -> dict[str, Any]:
    return {"name": name, "ports": list(ports)}


def test_only_listening_sockets_count() -> None:
    assert host_facts.parse_listeners(TCP) == {("127.0.0.1", 5000)}
    assert host_facts.parse_listeners(TCP6) == {("::", 8081)}


@pytest.mark.parametrize(
    ("wanted", "listening", "containers", "taken_by"),
    [
        (want(5000), set(), [], None),
        (want(5000), {("127.0.0.1", 5000)}, [], "another process or container"),
        (want(5000), {("0.0.0.0", 5000)}, [], "another process or container"),
        (want(5000), {("::", 5000)}, [], "another process or container"),
        (want(5000, "0.0.0.0"), {("10.0.0.1", 5000)}, [], "another process or container"),
        (want(5000), {("10.0.0.1", 5000)}, [], None),
        (want(5000), {("127.0.0.1", 5001)}, [], None),
        (
            want(5000),
            {("127.0.0.1", 5000)},
            [container("aisha-registry", ["127.0.0.1", 5000])],
            None,
        ),
        (
            want(5000),
            {("127.0.0.1", 5000)},
            [container("aisha-front", ["127.0.0.1", 5000])],
            "container aisha-front",
        ),
    ],
)
def test_a_port_is_taken_only_by_somebody_else(
    wanted: dict[str, Any],
    listening: set[tuple[str, int]],
    containers: list[dict[str, Any]],
    taken_by: str | None,
) -> None:
    taken = host_facts.taken_ports([wanted], listening, containers)
    assert [port["by"] for port in taken] == ([taken_by] if taken_by else [])


def test_the_mtu_is_that_of_the_default_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "eth7\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
        encoding="ascii",
    )
    device = tmp_path / "eth7"
    device.mkdir()
    (device / "mtu").write_text("1400\n", encoding="ascii")
    assert host_facts.default_route_mtu(str(routes), str(tmp_path)) == 1400
    routes.write_text("Iface\tDestination\n", encoding="ascii")
    assert host_facts.default_route_mtu(str(routes), str(tmp_path)) is None


def test_a_row_has_no_environment_and_survives_a_container_without_health() -> None:
    inspection = {
        "Name": "/aisha-primary",
        "Id": "abc",
        "Image": "sha256:1",
        "RestartCount": 2,
        "State": {"Status": "running", "Running": True, "ExitCode": 0, "StartedAt": "2026-01-01"},
        "Config": {
            "Image": "registry/aisha/bot@sha256:1",
            "Env": ["SECRET=do-not-show"],
            "Labels": {"aisha.bot_stack.name": "aisha", "aisha.bot_stack.role": "primary"},
        },
        "NetworkSettings": {"Networks": {"aisha-data": {"IPAddress": "172.18.0.2"}}},
        "HostConfig": {
            "PortBindings": {
                "8080/tcp": [{"HostIp": "", "HostPort": "80"}],
                "9/tcp": [{"HostPort": ""}],
            },
            "RestartPolicy": {"Name": "unless-stopped"},
        },
    }
    row = host_facts.describe(inspection)
    assert "do-not-show" not in repr(row)
    assert (row["stack"], row["role"], row["health"]) == ("aisha", "primary", "")
    assert row["addresses"] == {"aisha-data": "172.18.0.2"}
    assert row["ports"] == [["0.0.0.0", 80]]


def test_free_space_of_a_folder_that_is_not_here_is_unknown(tmp_path: Path) -> None:
    assert host_facts.free_bytes(str(tmp_path / "missing")) is None
    assert (host_facts.free_bytes(str(tmp_path)) or 0) > 0
