# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds containers of a host, in every state, that hold a bot's token."""

from __future__ import annotations

import concurrent.futures
import os
import posixpath
import stat
import threading

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine.host_facts import LABEL
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import files as polling_files

# An engine answers some questions side by side; more than this makes it slower.
THREADS = 4
# So many are asked about faster than another client is made.
FEW = 40


def inspect_all(connect, not_found):
    """All containers of an engine as `docker inspect` gives them; one that vanishes meanwhile is left out.

    connect: makes a client; each thread has its own. not_found: the client's error for what is gone.
    """
    local = threading.local()

    def inspect(container_id):
        if not hasattr(local, "client"):
            local.client = connect()
        try:
            return local.client.inspect_container(container_id)
        except not_found:
            return None

    local.client = connect()
    ids = [found["Id"] for found in local.client.containers(all=True, trunc=False)]
    if len(ids) <= FEW:
        return [inspection for inspection in map(inspect, ids) if inspection]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return [inspection for inspection in pool.map(inspect, ids) if inspection]


def observe(token, fingerprint, reader, inspections, inside):
    """(One row for each container that holds the token, names of those that could not be looked into).

    inspections: from inspect_all(). inside: from a container's id to places in its processes, as
    processes.observe() gives it. A row is {"id", "name", "image", "state", "health",
    "restart_policy", "auto_remove", "stack", "stack_role", "release", "bot_role", "service",
    "started_at", "restarts", "exit_code", "pid", "places"}; the places are the surest first.
    """
    rows, unseen = [], []
    for inspection in inspections:
        places, looked = _places(token, fingerprint, reader, inspection)
        places += inside.get(inspection["Id"], [])
        if not places and not looked:
            unseen.append(inspection["Name"].lstrip("/"))
        if places:
            # A place with this very token says more than one with an older one.
            rows.append(dict(describe(inspection), places=sorted(places, key=_is_older)))
    return rows, sorted(unseen)


def _is_older(place):
    return not place["same_token"]


def describe(inspection):
    """What the plan needs to know about a container, wherever it holds a token."""
    state = inspection["State"]
    config = inspection["Config"]
    host_config = inspection["HostConfig"]
    labels = config.get("Labels") or {}
    return {
        "id": inspection["Id"],
        "name": inspection["Name"].lstrip("/"),
        "image": config["Image"],
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "restart_policy": (host_config.get("RestartPolicy") or {}).get("Name") or "no",
        "auto_remove": bool(host_config.get("AutoRemove")),
        "stack": labels.get(LABEL + "name", ""),
        "stack_role": labels.get(LABEL + "role", ""),
        "release": labels.get(LABEL + "release", ""),
        "bot_role": _variables(config).get("BOT_ROLE", ""),
        "service": labels.get("com.docker.swarm.service.name", ""),
        "started_at": state["StartedAt"],
        "restarts": inspection["RestartCount"],
        "exit_code": state["ExitCode"],
        "pid": state["Pid"],
    }


def _variables(config):
    pairs = (item.partition("=") for item in config.get("Env") or ())
    return {name: value for name, _separator, value in pairs}


def _places(token, fingerprint, reader, inspection):
    """(Where a container has the token, whether its own files could be looked into)."""
    config = inspection["Config"]
    places = []

    def note(answer, where, field):
        if answer is not None:
            places.append({"where": where, "field": field, "same_token": answer})

    variables = _variables(config)
    for name, value in variables.items():
        note(token.find(value), "environment", name)
    command = {
        "entry point": config.get("Entrypoint") or [],
        "command": config.get("Cmd") or [],
        "health check": (config.get("Healthcheck") or {}).get("Test") or [],
    }
    for field, words in command.items():
        note(token.find("\n".join(words)), "command", field)
    for name, value in (config.get("Labels") or {}).items():
        if name == LABEL + "fingerprint":
            if value.partition(":")[0] == token.bot_id:
                note(value == fingerprint, "label", name)
        else:
            note(token.find(value), "label", name)
    mounts = _mounts(inspection)
    for destination, source in mounts.items():
        if os.path.isdir(source):
            for path, answer in reader.walk(source):
                note(answer, "file", posixpath.join(destination, path))
        else:
            note(reader.find(source), "file", destination)
    folder = config.get("WorkingDir") or "/"
    named = polling_files.named_files(
        command["entry point"] + command["command"], variables.values(), folder
    )
    seen = {place["field"] for place in places}
    trees = _trees(inspection)
    root = _root(trees, mounts)
    # Libraries of bots read this file without being told.
    for path in [*named, posixpath.join(folder, ".env")]:
        if path not in seen:
            host_path = polling_files.resolve(path, root)
            note(reader.find(host_path) if host_path else None, "file", path)
    return places, bool(trees)


def _mounts(inspection):
    """From a place in the container to the host's path that is mounted there."""
    return {
        mount["Destination"].rstrip("/") or "/": mount["Source"]
        for mount in inspection.get("Mounts") or ()
        if mount.get("Source") and not mount["Source"].endswith(".sock")
    }


def _trees(inspection):
    """Folders of the host in which a container's own files are, the upper first; none where they can't be found.

    A running one's own view has its tmpfs, too. Else it is the layers, which an engine with containerd's
    image store, or with a storage driver of other ways, does not name.
    """
    pid = inspection["State"].get("Pid") or 0
    running = "/proc/%d/root" % pid
    if pid and os.path.isdir(running + "/"):
        return [running]
    data = (inspection.get("GraphDriver") or {}).get("Data") or {}
    layers = [data.get("UpperDir") or "", *(data.get("LowerDir") or "").split(":")]
    layers = [layer for layer in layers if layer]
    return layers if layers and os.path.isdir(layers[0]) else []


def _root(trees, mounts):
    """Finds the host's path of a path without links in its folders: of a mount, else in one of the trees."""

    def locate(path):
        below = path
        while below != "/":
            if below in mounts:
                host = mounts[below] + path[len(below) :]
                return host if os.path.lexists(host) else None
            below = posixpath.dirname(below)
        for layer in trees:
            host = layer + path
            if os.path.lexists(host):
                status = os.lstat(host)
                # In an upper layer, this device stands for a file that was removed.
                return None if _is_whiteout(status) else host
        return None

    return locate


def _is_whiteout(status):
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
