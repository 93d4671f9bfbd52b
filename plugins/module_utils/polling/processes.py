# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds processes of a host, outside its containers, that hold a bot's token."""

from __future__ import annotations

import os
import re

from ansible_collections.aisha.bot_stack.plugins.module_utils.polling.files import named_files

MAX_BYTES = 1 << 20
RUNTIMES = ("runc", "crun", "docker-runc")
CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
UNIT = re.compile(r"/([^/]+\.service)(?:/|$)", re.M)


def _read(path):
    with open(path, "rb") as file:
        return file.read(MAX_BYTES).decode("utf-8", "replace")


def ancestors(pid, proc="/proc"):
    """The process and all that started it: this module, Ansible, the login."""
    found = []
    while pid > 0 and pid not in found:
        found.append(pid)
        try:
            pid = int(_read("%s/%d/stat" % (proc, pid)).rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return found


def is_ansible(arguments):
    """Whether a command line is one of Ansible's own, whose files hold the options of its tasks."""
    for argument in arguments[:4]:
        name = os.path.basename(argument)
        if name.startswith("AnsiballZ_") or name in (
            "ansible-playbook",
            "ansible",
            "ansible-connection",
            "molecule",
        ):
            return True
    return "/.ansible/tmp/ansible-tmp-" in " ".join(arguments)


def is_runtime(arguments):
    """Whether a command line is of the engine's runtime, at work on a container.

    For each health check, runc gets the container's whole environment in a file (opencontainers/runc: exec --process);
    what the container has is found in the container.
    """
    return os.path.basename(arguments[0]) in RUNTIMES and any(
        CONTAINER_ID.fullmatch(argument) for argument in arguments[1:]
    )


def observe(token, reader, containers, proc="/proc", own=None):
    """Findings about processes, and places in containers.

    token: Token. reader: FileReader. containers: ids of this engine's containers.
    Returns (rows, inside): a row is {"pid", "name", "state", "unit", "places"}; inside is from the
    id of a container to the places in its processes. A place is {"where", "field", "same_token"}.
    """
    rows = []
    inside = {}
    left_out = set(ancestors(os.getpid() if own is None else own, proc))
    try:
        own_namespace = os.readlink(proc + "/self/ns/pid")
    except OSError:
        own_namespace = ""
    for entry in os.listdir(proc):
        if not entry.isdigit() or int(entry) in left_out:
            continue
        try:
            row = _process(token, reader, proc, int(entry), own_namespace, containers)
        except (OSError, ValueError):
            # It ended meanwhile.
            continue
        if row is None:
            continue
        container = row.pop("container")
        if container:
            inside.setdefault(container, []).extend(row["places"])
        else:
            rows.append(row)
    return rows, inside


def _process(token, reader, proc, pid, own_namespace, containers):
    base = "%s/%d" % (proc, pid)
    command = _read(base + "/cmdline")
    if not command:
        # A kernel thread, or dead.
        return None
    arguments = command.rstrip("\0").split("\0")
    try:
        variables = [item for item in _read(base + "/environ").split("\0") if item]
    except PermissionError:
        reader.unread += 1
        variables = []
    places = []
    for item in variables:
        name, _separator, value = item.partition("=")
        _note(places, token.find(value), "process environment", name)
    _note(places, token.find("\n".join(arguments)), "process command", "command line")
    if is_ansible(arguments) or is_runtime(arguments):
        return None
    try:
        foreign = os.readlink(base + "/ns/pid") != own_namespace
        folder = "" if foreign else os.readlink(base + "/cwd")
    except PermissionError:
        # Of another user: its command line is all that can be seen.
        foreign = True
    if not foreign:
        values = [item.partition("=")[2] for item in variables]
        for path in named_files(arguments[1:], values, folder):
            _note(places, reader.find(base + "/root" + path), "file", path)
    if not places:
        return None
    groups = _read(base + "/cgroup")
    container = next(
        (found for found in CONTAINER_ID.findall(groups)[::-1] if found in containers), ""
    )
    unit = UNIT.search(groups)
    return {
        "pid": pid,
        "name": _read(base + "/comm").strip(),
        "state": "running",
        "started": _read(base + "/stat").rpartition(")")[2].split()[19],
        "unit": unit.group(1) if unit and not container else "",
        "container": container,
        "places": places,
    }


def _note(places, answer, where, field):
    if answer is not None:
        places.append({"where": where, "field": field, "same_token": answer})
