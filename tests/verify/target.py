"""A host of the inventory as the tests see it."""

from __future__ import annotations

import base64
import functools
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host  # type: ignore[import-untyped]  # it has no types

HERE = Path(__file__).parent
ROLES = HERE.parents[1] / "roles"

# Containers of a group's role: the variable with the name, and the label aisha.bot_stack.role.
SERVICES = {
    "registry": "registry_container_name",
    "postgres": "postgres_container_name",
    "redis": "redis_container_name",
    "minio": "minio_container_name",
    "bot_api_emulator": "bot_api_emulator_container_name",
}
# The groups whose hosts the stack is on.
STACK = {*SERVICES, "bot"}
# No value that is secret: Ansible would print it when it fails.
VARIABLES = {
    "docker_host": ["docker_host_stack_name", "docker_host_config_dir"],
    "bot": [
        *("bot_state", "bot_name", "bot_holder", "bot_workers", "bot_webhook_replicas"),
        *("bot_config_dir", "bot_webhook_health_port", "bot_webhook_health_path"),
    ],
    **{role: [f"{role}_state", f"{role}_config_dir", name] for role, name in SERVICES.items()},
}
EXPRESSIONS = {
    "python": "ansible_python_interpreter | default('python3')",
    "bot_id": "(bot_token | default('')).split(':') | first",
    "registries": "docker_host_registries | default([]) | map(attribute='address') | list",
    "groups": "group_names",
    "fleet": "groups['bot'] | default([])",
    "docker_host_engine": "docker_host_engine | default({})",
}


@functools.cache
def groups(host: Host) -> list[str]:
    if not host.backend.HAS_RUN_ANSIBLE:
        message = "tests/verify needs an inventory: make verify, or see tests/verify/conftest.py"
        raise pytest.UsageError(message)
    return list(host.ansible.get_variables()["group_names"])


@functools.cache
def variables(host: Host) -> dict[str, Any]:
    """Ask Ansible for the values on this host: the inventory's, or else the roles' defaults."""
    parts = [f"'{name}': {expression}" for name, expression in EXPRESSIONS.items()]
    defaults: dict[str, Any] = {}
    for role, names in VARIABLES.items():
        of_role = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
        defaults |= {name: of_role[name] for name in names}
        parts += [f"'{name}': {name} | default(verify_defaults.{name})" for name in names]
    answer = host.ansible(
        "ansible.builtin.debug",
        json.dumps({"msg": "{{ {" + ", ".join(parts) + "} }}"}),
        extra_vars={"verify_defaults": defaults},
    )
    return dict(answer["msg"])


class Target:
    """A host of the inventory, and the stack's containers on it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.variables = variables(host)
        self.stack: str = self.variables["docker_host_stack_name"]
        self.config_dir: str = self.variables["docker_host_config_dir"]
        # Of the host itself, and of each role on it: they need not be below one another.
        here = STACK.intersection(self.variables["groups"])
        self.config_dirs = [self.config_dir, *(self.variables[f"{r}_config_dir"] for r in here)]
        self.used: set[str] = set()

    def call(self, *calls: list[Any]) -> list[Any]:
        """Call functions of agent.py on the host, all in one go: [name, argument, …] each."""
        agent = base64.b64encode((HERE / "agent.py").read_bytes()).decode()
        named = [[name, arguments] for name, *arguments in calls]
        wanted = json.dumps([self.variables["docker_host_engine"], named])
        request = base64.b64encode(wanted.encode()).decode()
        command = f"import base64; exec(base64.b64decode('{agent}'))"
        done = self.host.run("%s -c %s %s", self.variables["python"], command, request)
        assert done.rc == 0, f"{[name for name, *_ in calls]} failed: {done.stderr or done.stdout}"
        return list(json.loads(done.stdout))

    @functools.cached_property
    def containers(self) -> dict[str, dict[str, Any]]:
        (found,) = self.call(["containers", self.stack])
        return dict(found)

    @functools.cached_property
    def engine(self) -> dict[str, Any]:
        (found,) = self.call(["engine"])
        return dict(found)

    def names(self, *roles: str) -> list[str]:
        """The containers of these roles that are on this host."""
        label = "aisha.bot_stack.role"
        return sorted(
            name for name, c in self.containers.items() if c["Config"]["Labels"].get(label) in roles
        )

    def one(self, role: str) -> str:
        names = self.names(role)
        assert len(names) == 1, f"not one container with the role {role} on this host: {names}"
        return names[0]

    def expected(self) -> set[str]:
        """The containers that the inventory asks for on this host."""
        v = self.variables
        expected = {
            v[name]
            for role, name in SERVICES.items()
            if role in v["groups"] and v[f"{role}_state"] == "present"
        }
        if "bot" in v["groups"] and v["bot_state"] == "present":
            holder = v["bot_holder"] or v["fleet"][0]
            if self.host.backend.host == holder:
                expected.add(f"{v['bot_name']}-primary")
            counts = {"worker": v["bot_workers"], "webhook": v["bot_webhook_replicas"]}
            for role, count in counts.items():
                expected |= {f"{v['bot_name']}-{role}-{n}" for n in range(1, int(count) + 1)}
            if int(v["bot_webhook_replicas"]):
                expected.add(f"{v['bot_name']}-front")
        return expected

    def program(self, script: str, *arguments: str) -> list[str]:
        """The command that runs a script of inside/ in a container."""
        return ["python", "-c", (HERE / "inside" / script).read_text(), *arguments]

    def inside(self, argv: list[str], *roles: str) -> dict[str, Any]:
        """Run a program in every container of these roles; its JSON by container."""
        names = self.names(*roles)
        assert names, f"no container with the role {' or '.join(roles)} is on this host"
        self.used.update(names)
        (results,) = self.call(["execute_in_all", names, argv])
        return {name: parsed(name, result) for name, result in results.items()}

    def published(self, name: str, port: int) -> str:
        """Where the host reaches a published port of a container."""
        bindings = self.containers[name]["NetworkSettings"]["Ports"].get(f"{port}/tcp") or []
        assert bindings, f"{name} does not publish {port}"
        address = bindings[0]["HostIp"]
        if ipaddress.ip_address(address).is_unspecified:
            address = "127.0.0.1"
        return f"http://{address}:{bindings[0]['HostPort']}"


def parsed(name: str, result: dict[str, Any]) -> Any:
    """The JSON that a program printed in a container."""
    assert result["code"] == 0, f"in {name}: {result['output']}"
    return json.loads(result["output"].splitlines()[-1])
