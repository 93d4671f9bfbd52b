# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one container should be, as data, and how an engine is told to create it. Pure functions.

A description is a dictionary with the keys of OPTIONS; normalised() fills in what is left out and turns sizes and
times into bytes and nanoseconds. creation() is the only place where the hardening of containers is decided.
"""

from __future__ import annotations

import hashlib
import json
import re

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine.host_facts import LABEL

# Nothing starts these again but what put them there.
NEXT = ".next"
PREVIOUS = ".previous"
ASIDE = re.compile(r"(\.next|\.previous|\.disabled-[0-9a-f]{12})$")
# The role of containers that do one thing and end.
TASK = "task"

PINNED = re.compile(r"(^|@)sha256:[0-9a-f]{64}$")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
# From this version of its API on, an engine knows an interval for the time of the start.
START_INTERVAL_API = (1, 44)
# Every check starts a process in the container: often while it starts, so that nobody waits for the next one, then seldom.
# Three that fail are half a minute: the bot's login, tried every 20 s and once more after 5 s, is told of within a minute.
PACE = {"Interval": 10 * 10**9, "StartInterval": 10**9}
DEFAULT_WAIT = 120
TMPFS = ["/tmp:size=64m,mode=1777", "/run:size=16m,mode=1777"]  # noqa: S108 # nosec: paths in a container

OPTIONS = {
    "name": {"type": "str", "required": True},
    "role": {"type": "str", "default": ""},
    "image": {"type": "str", "default": ""},
    "command": {"type": "list", "elements": "str"},
    "entrypoint": {"type": "list", "elements": "str"},
    "user": {"type": "str", "default": ""},
    "env": {"type": "dict", "default": {}},
    "mounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "type": {"type": "str", "choices": ["volume", "bind"], "required": True},
            "source": {"type": "str", "required": True},
            "target": {"type": "str", "required": True},
            "read_only": {"type": "bool", "default": False},
        },
    },
    "networks": {"type": "list", "elements": "str", "default": []},
    "publish": {"type": "list", "elements": "str", "default": []},
    "tmpfs": {"type": "list", "elements": "str", "default": TMPFS},
    "memory": {"type": "str", "default": "256m"},
    "pids_limit": {"type": "int", "default": 256},
    "cpu_shares": {"type": "int", "default": 1024},
    "healthcheck": {
        "type": "dict",
        "options": {
            "test": {"type": "list", "elements": "str"},
            "interval": {"type": "str"},
            "timeout": {"type": "str"},
            "start_period": {"type": "str"},
            "retries": {"type": "int"},
        },
    },
    "shm_size": {"type": "str", "default": ""},
    "stop_signal": {"type": "str", "default": ""},
    "stop_timeout": {"type": "int", "default": 30},
    "labels": {"type": "dict", "default": {}},
    "restart_policy": {
        "type": "str",
        "choices": ["always", "unless-stopped", "on-failure", "no"],
        "default": "always",
    },
    "read_only": {"type": "bool", "default": True},
    "cap_add": {"type": "list", "elements": "str", "default": []},
    "config_hash": {"type": "str", "default": ""},
    "data": {
        "type": "dict",
        "options": {
            "service": {"type": "str", "choices": ["postgres", "redis"], "required": True},
            "volume": {"type": "str", "required": True},
            "major": {"type": "int"},
            "superuser": {"type": "str", "default": "postgres"},
        },
        "required_if": [("service", "postgres", ["major"])],
    },
    "log_options": {"type": "dict", "default": {"max-size": "10m", "max-file": "3"}},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 0},
    "swap": {"type": "str", "choices": ["stop_first", "start_first"], "default": "stop_first"},
}


class DescriptionError(ValueError):
    """A description that can't be a container; the message says whose, what is wrong, and what to do."""


def nanoseconds(text):
    """A time as the engine's clients write it ("1m30s", "500ms") in nanoseconds."""
    units = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    parts = re.findall(r"(\d+)(ms|s|m|h)", str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        raise DescriptionError("%s is no time; write it as in 30s or 1m30s" % text)
    return sum(int(number) * units[unit] for number, unit in parts)


def size(text):
    """A size as the engine's clients write it ("256m", "1g", "1048576") in bytes."""
    match = re.match(r"(\d+)([bkmg]?)(?:i?b)?\Z", str(text).lower())
    if not match:
        raise DescriptionError("%s is no size; write it as in 256m or 1g" % text)
    return int(match[1]) * 1024 ** "bkmg".index(match[2] or "b")


def variable(name, value):
    """The text that a value of an environment becomes: numbers as they are written, true and false in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise DescriptionError(
        "%s in its environment is %s; write it as text"
        % (name, "empty" if value is None else "no single value")
    )


def published(text):
    """("address", port of the host, port of the container) of address:port:port; an IPv6 address stands in brackets."""
    match = re.match(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d+):(\d+)\Z", text)
    if not match:
        raise DescriptionError(
            "%s can't be published; write it as 127.0.0.1:8080:8080 or [::1]:8080:8080" % text
        )
    return match[1].strip("[]"), int(match[2]), int(match[3])


def normalised(given):
    """The description with every key, in bytes and nanoseconds. Raises DescriptionError."""
    wanted = {key: option.get("default") for key, option in OPTIONS.items()}
    wanted.update((key, value) for key, value in given.items() if value is not None)
    try:
        _check(wanted)
        wanted["env"] = {
            name: variable(name, value) for name, value in sorted(wanted["env"].items())
        }
        wanted["memory"] = size(wanted["memory"])
        wanted["shm_size"] = size(wanted["shm_size"]) if wanted["shm_size"] else 0
        wanted["publish"] = [published(text) for text in wanted["publish"]]
        wanted["networks"] = [name for name in wanted["networks"] if name != "none"]
        check = dict(wanted["healthcheck"] or {})
        for key in ("interval", "timeout", "start_period"):
            if check.get(key):
                check[key] = nanoseconds(check[key])
        wanted["healthcheck"] = {key: value for key, value in check.items() if value}
    except DescriptionError as error:
        raise DescriptionError("Container %s: %s." % (wanted["name"], error)) from None
    if not wanted["wait_timeout"]:
        start = wanted["healthcheck"].get("start_period", 0) // 10**9
        wanted["wait_timeout"] = max(DEFAULT_WAIT, start + 60)
    return wanted


def _check(wanted):
    if not NAME.match(wanted["name"]):
        raise DescriptionError(
            "this is no name of a container; use letters, digits, dot, dash and underscore"
        )
    if not PINNED.search(wanted["image"]):
        raise DescriptionError(
            "its image, %s, is not named by a digest. Set it to name@sha256:… (site.yml takes it from the role "
            "images); a tag can change what runs" % (wanted["image"] or "(none)")
        )
    if not re.match(r"\d+:\d+\Z", wanted["user"]):
        raise DescriptionError(
            "its user is %s; write it as numbers, as in 10001:10001" % (wanted["user"] or "not set")
        )
    if wanted["swap"] == "start_first" and (wanted["publish"]):
        raise DescriptionError(
            "it publishes a port, so two of it can't run at once; say swap: stop_first"
        )


def fingerprint(wanted, stack):
    """A hash of all that can't be changed while the container lives, its hardening too; the engine's version is none of it."""
    body = creation(wanted, stack, "", None)
    for key in ("Memory", "MemorySwap", "CpuShares", "RestartPolicy"):
        del body["HostConfig"][key]
    del body["Labels"][LABEL + "restart_policy"]
    return hashlib.sha256(
        json.dumps([body, wanted["networks"]], sort_keys=True).encode()
    ).hexdigest()


def labels(wanted, stack, spec):
    """The labels by which a container is known again."""
    return dict(
        {str(key): str(value) for key, value in wanted["labels"].items()},
        **{
            LABEL + "name": stack,
            LABEL + "role": wanted["role"],
            LABEL + "config": wanted["config_hash"],
            LABEL + "spec": spec,
            LABEL + "restart_policy": wanted["restart_policy"],
        },
    )


def creation(wanted, stack, spec, api_version, image=None):
    """The body of the engine's request that creates the container (its API, POST /containers/create).

    wanted: from normalised(). spec: from fingerprint(). api_version: the engine's, as (1, 44). image: as
    the engine inspects it.
    """
    ports = {"%d/tcp" % inside for _address, _port, inside in wanted["publish"]}
    bindings = {port: [] for port in sorted(ports)}
    for address, port, inside in wanted["publish"]:
        bindings["%d/tcp" % inside].append({"HostIp": address, "HostPort": str(port)})
    networks = wanted["networks"]
    host = {
        "CapDrop": ["ALL"],
        "CapAdd": wanted["cap_add"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": wanted["read_only"],
        "Tmpfs": dict(entry.partition(":")[::2] for entry in wanted["tmpfs"]),
        "Memory": wanted["memory"],
        "MemorySwap": wanted["memory"],
        "CpuShares": wanted["cpu_shares"],
        "PidsLimit": wanted["pids_limit"],
        "RestartPolicy": {"Name": wanted["restart_policy"]},
        "LogConfig": {"Type": "json-file", "Config": wanted["log_options"]},
        "Mounts": [
            {
                "Type": mount["type"],
                "Source": mount["source"],
                "Target": mount["target"],
                "ReadOnly": bool(mount.get("read_only")),
            }
            for mount in wanted["mounts"]
        ],
        "NetworkMode": networks[0] if networks else "none",
        "PortBindings": bindings,
    }
    if wanted["shm_size"]:
        host["ShmSize"] = wanted["shm_size"]
    body = {
        "Image": wanted["image"],
        "User": wanted["user"],
        "Env": ["%s=%s" % pair for pair in wanted["env"].items()],
        "Labels": labels(wanted, stack, spec),
        "StopTimeout": wanted["stop_timeout"],
        "ExposedPorts": {port: {} for port in sorted(ports)},
        "HostConfig": host,
    }
    check = health_check(wanted, api_version, image)
    if check:
        body["Healthcheck"] = check
    for key, name in (
        ("Cmd", "command"),
        ("Entrypoint", "entrypoint"),
        ("StopSignal", "stop_signal"),
    ):
        if wanted[name]:
            body[key] = wanted[name]
    if networks:
        # One here; engines before 25 take no more. The others are attached before the start.
        body["NetworkingConfig"] = {"EndpointsConfig": {networks[0]: endpoint(wanted)}}
    return body


def health_check(wanted, api_version, image=None):
    """The engine's words for the health check; what is left out is the image's."""
    if wanted["role"] == TASK:
        return {"Test": ["NONE"]}
    names = {
        "test": "Test",
        "interval": "Interval",
        "timeout": "Timeout",
        "start_period": "StartPeriod",
        "retries": "Retries",
    }
    check = {names[key]: value for key, value in wanted["healthcheck"].items()}
    if api_version and api_version >= START_INTERVAL_API and check.get("Test") != ["NONE"]:
        check.update(PACE)
        of_image = ((image or {}).get("Config") or {}).get("Healthcheck") or {}
        # An engine checks often in that time only.
        if not check.get("StartPeriod") and not of_image.get("StartPeriod"):
            check["StartPeriod"] = PACE["Interval"]
    return check


def endpoint(wanted):
    """How it is known in a network: by its own name, also while it is a successor under another one."""
    return {"Aliases": [wanted["name"]]}
