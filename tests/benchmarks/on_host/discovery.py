"""Times a look for a bot's token on a Docker host beside bare listing and inspecting; prints JSON.

discovery.py TOKEN_FILE REPETITIONS, with the modules' Python. ../benchmark.py puts this on the
host, and beside it what the modules import: the collection's module_utils, and Ansible's.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    containers as polling_containers,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import files as polling_files
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    processes as polling_processes,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import sight as polling_sight
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import Token

PARAMETERS = {
    "name": "aisha",
    "processes": True,
    "docker_host": "unix:///var/run/docker.sock",
    "api_version": "auto",
    "timeout": 15,
    "tls": False,
    "validate_certs": False,
}
# What look() takes of an AnsibleModule.
MODULE = SimpleNamespace(params=PARAMETERS)


def connect() -> Any:
    return connection.connect(MODULE)


def one_after_the_other() -> list[Any]:
    client = connect()
    found = client.containers(all=True, trunc=False)
    return [client.inspect_container(each["Id"]) for each in found]


def side_by_side() -> list[Any]:
    return list(polling_containers.inspect_all(connect, connection.NotFound))


def main() -> None:
    token = Token(Path(sys.argv[1]).read_text())
    repetitions = int(sys.argv[2])
    inspections = one_after_the_other()
    ids = {inspection["Id"] for inspection in inspections}
    fingerprint = token.fingerprint("aisha")

    def processes() -> Any:
        return polling_processes.observe(token, polling_files.FileReader(token), ids)

    def containers() -> Any:
        reader = polling_files.FileReader(token)
        return polling_containers.observe(token, fingerprint, reader, inspections, {})[0]

    ways: dict[str, Callable[[], Any]] = {
        "one_after_the_other": one_after_the_other,
        "side_by_side": side_by_side,
        "look": lambda: polling_sight.look(MODULE, token),
        "look_at_processes": processes,
        "look_at_containers": containers,
    }
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        # All in turn: what else the machine does falls on each alike.
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    sight = polling_sight.look(MODULE, token)
    print(
        json.dumps(
            {
                "containers": len(inspections),
                "seconds": seconds,
                "found": sorted(row["name"] for row in sight.containers),
            }
        )
    )


if __name__ == "__main__":
    main()
