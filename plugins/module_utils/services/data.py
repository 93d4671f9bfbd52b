# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks on a host at the data in a server's volume, before a container on it is changed. What is decided of it: data_versions.py."""

from __future__ import annotations

import os

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    apply,
    connection,
    plan,
    tasks,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import data_versions

UNSEEN = (
    "Could not look into the volume %s: %s. Whether its data fits the image was not checked; see to it yourself"
    " before you change the version."
)
UNTOLD = (
    "The image %s does not say which version of Valkey or Redis it is, so whether it can read the data in"
    " the volume %s was not checked."
)
NOT_ASKED = (
    "Whether %s can read the data in the volume %s is not checked in check mode, as that takes a container. A run"
    " checks it before it changes anything."
)


class Engine:
    """What the look needs of one engine: client, applier (engine/apply.py), stack, info (`docker info`), scrub, check (mode)."""

    def __init__(self, client, applier, stack, info, scrub, check):
        self.client = client
        self.applier = applier
        self.stack = stack
        self.info = info
        self.scrub = scrub
        self.check = check

    def volume_root(self, volume):
        """(folder of the volume on this host or None, why not). (None, "") where there is no volume."""
        try:
            found = self.client.inspect_volume(volume)
        except connection.NotFound:
            return None, ""
        path = found.get("Mountpoint") or ""
        if not os.path.isdir(path):
            return None, "its folder %s is not on this host" % (path or "(unknown)")
        # A volume with options is mounted (NFS, a device) only while a container uses it.
        if (
            (found.get("Options") or {}).get("type", "none") not in ("none", "")
            or found["Driver"] != "local"
        ) and not os.path.ismount(path):
            return None, "it is not mounted while no container uses it"
        return path, ""

    def image(self, name):
        """The inspected image, pulled where it is not there; None in check mode where it is not there."""
        if not self.check:
            self.applier.provide_images([name], self.info)
        return self.applier.image(name)

    def server_of(self, container, image):
        """What the image's server says of its version; None where it does not say it. Raises DataError."""
        wanted = tasks.task(
            {
                "name": container + "-version",
                "image": image["Id"],
                "entrypoint": ["redis-server", "--version"],
                "user": "65534:65534",
                "memory": "64m",
                "pids_limit": 64,
            }
        )
        names = [wanted["name"]]
        rows = apply.observe(self.client, names, self.stack)
        for problem in plan.foreign(names, rows, self.stack):
            raise data_versions.DataError("%s." % (problem[0].upper() + problem[1:]))
        said = tasks.run(self.client, self.applier, self.stack, wanted, self.info, self.scrub)
        return data_versions.parse_server(said["output"] + said["errors"])


def environment(image, name):
    """The value of a variable of the image; None where it does not have it."""
    for entry in (image["Config"] or {}).get("Env") or []:
        key, _separator, value = entry.partition("=")
        if key == name:
            return value
    return None


def judge(engine, given, current):
    """(what the container's environment needs so that its server finds the data, warnings). Raises DataError.

    engine: an Engine. given: a container's description with `data` (service, volume, major, superuser). current: its row
    (engine/host_facts.py), or None.
    """
    data = given["data"]
    volume = data["volume"]
    root, unseen = engine.volume_root(volume)
    warnings = [UNSEEN % (volume, unseen)] if unseen else []
    image = engine.image(given["image"])
    if data["service"] == "postgres":
        return _postgres(data, root, image), warnings
    if not root:
        return {}, warnings
    files = data_versions.look_redis(root)
    # What runs on it reads it; asking an image takes a container.
    runs = current is not None and image is not None and current["image_id"] == image["Id"]
    server = None
    if files and not runs:
        # Without an answer, what the files alone forbid is refused all the same.
        if not engine.check:
            server = engine.server_of(given["name"], image)
        if server is None:
            warnings.append((NOT_ASKED if engine.check else UNTOLD) % (given["image"], volume))
    warning = data_versions.judge_redis(files, server, volume)
    return {}, warnings + ([warning] if warning else [])


def _postgres(data, root, image):
    major = data["major"]
    found = data_versions.look_postgres(root) if root else {}
    folder = data_versions.judge_postgres(
        found, major, environment(image, "PG_MAJOR") if image else None, data["volume"]
    )
    if folder in found:
        data_versions.judge_superuser(
            data_versions.look_superuser(os.path.join(root, folder)),
            data["superuser"],
            data["volume"],
        )
    if folder == data_versions.usual_folder(major):
        return {}
    return {"PGDATA": "/".join(filter(None, [data_versions.mount_of(major), folder]))}
