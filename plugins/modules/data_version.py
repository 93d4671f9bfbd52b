#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses a server on data of another version, before any container is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_version
short_description: Refuses a server on data that it can't use
version_added: 0.1.0
description:
  - Reads on the host which version wrote the data in a volume, and fails where a server of the wanted image can't use it.
  - Finds PostgreSQL's data where the volume has it in a sub-folder.
  - Changes nothing that runs. An image that is not on the host is pulled, and an image of Redis or Valkey that is to read data is run once,
    to say which version it is. Check mode does neither.
  - Files that the host does not see (a remote engine, a network file system that is not mounted) are not judged; a warning says so.
author: The aisha.bot_stack team (@aisha)
options:
  stack_name:
    description: Name of the stack, label C(aisha.bot_stack.name) of the container that says which version an image of Redis is.
    type: str
    default: aisha
  service:
    description: What the data belongs to.
    type: str
    choices: [postgres, redis]
    required: true
  volume:
    description: The named volume.
    type: str
    required: true
  image:
    description: The image that is to run, by digest or ID.
    type: str
    required: true
  container:
    description: Name of the container. Where it has this image already, the image of Redis is not asked for its version.
    type: str
    required: true
  major:
    description: Wanted major version of PostgreSQL. Required for it.
    type: int
  superuser:
    description: Wanted name of PostgreSQL's superuser.
    type: str
    default: postgres
extends_documentation_fragment:
  - aisha.bot_stack.attributes
  - aisha.bot_stack.engine
attributes:
  check_mode:
    support: partial
    details: Does not ask an image of Redis or Valkey for its version. Where that matters, a warning says what was not checked.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Refuse data of another version
  aisha.bot_stack.data_version:
    service: postgres
    volume: aisha-postgres
    image: "{{ postgres_image }}"
    container: aisha-postgres
    major: 17
  register: found
"""

RETURN = r"""
found:
  description: From a file or folder in the volume to the version that wrote it. Empty for a new volume.
  returned: success
  type: dict
  sample: {"": "17"}
folder:
  description: For PostgreSQL, the folder in the volume that the server is to use.
  returned: success
  type: str
  sample: pgdata
pgdata:
  description: For PostgreSQL, this folder's path in the container; empty where it is what the image uses by itself.
  returned: success
  type: str
  sample: /var/lib/postgresql/data/pgdata
seen:
  description: Whether the host sees the files of the volume, or there is no volume yet.
  returned: success
  type: bool
"""

import os
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    apply,
    connection,
    plan,
    tasks,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import data_versions
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import Scrubber

UNSEEN = (
    "Could not look into the volume %s: %s. Whether its data fits the image was not checked; see to it yourself"
    " before you change the version."
)
UNSAID = "The image %s does not say which version of Valkey or Redis it is"
NOT_RUN = "In check mode the image %s is not run to say which version of Valkey or Redis it is"


def volume_root(client, volume):
    """(folder of the volume on this host or None, why not). (None, "") where there is no volume."""
    try:
        found = client.inspect_volume(volume)
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


def image_of(module, client):
    """The inspected image, pulled where it is not there; None in check mode where it is not there."""
    image = module.params["image"]
    try:
        return client.inspect_image(image)
    except connection.NotFound:
        if module.check_mode:
            return None
    client.pull(image)
    return client.inspect_image(image)


def environment(image, name):
    """The value of a variable of the image; None where it does not have it."""
    for entry in (image["Config"] or {}).get("Env") or []:
        key, _separator, value = entry.partition("=")
        if key == name:
            return value
    return None


def image_runs(client, container, image):
    """Whether the container has this image already."""
    try:
        return client.inspect_container(container)["Image"] == image["Id"]
    except connection.NotFound:
        return False


def server_of(client, stack, container, image):
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
    for problem in plan.foreign(names, apply.observe(client, names, stack), stack):
        raise data_versions.DataError("%s." % (problem[0].upper() + problem[1:]))
    scrub = Scrubber().scrub
    applier = apply.Applier(client, stack, socket.gethostname(), scrub)
    said = tasks.run(client, applier, stack, wanted, client.info(), scrub)
    return data_versions.parse_server(said["output"] + said["errors"])


def judge(module, client):
    """The module's result. Raises DataError and ENGINE_ERRORS."""
    params = module.params
    volume = params["volume"]
    root, unseen = volume_root(client, volume)
    if unseen:
        module.warn(UNSEEN % (volume, unseen))
    image = image_of(module, client)
    result = {"changed": False, "found": {}, "folder": "", "pgdata": "", "seen": not unseen}
    if params["service"] == "postgres":
        major = params["major"]
        if root:
            result["found"] = data_versions.look_postgres(root)
        folder = data_versions.judge_postgres(
            result["found"], major, environment(image, "PG_MAJOR") if image else None, volume
        )
        if folder in result["found"]:
            data_versions.judge_superuser(
                data_versions.look_superuser(os.path.join(root, folder)),
                params["superuser"],
                volume,
            )
        result["folder"] = folder
        if folder != data_versions.usual_folder(major):
            result["pgdata"] = "/".join(filter(None, [data_versions.mount_of(major), folder]))
    elif root:
        files = data_versions.look_redis(root)
        # What runs on it reads it; asking an image takes a container.
        server = None
        if files and not (image and image_runs(client, params["container"], image)):
            if not module.check_mode:
                server = server_of(client, params["stack_name"], params["container"], image)
            if server is None:
                module.warn(
                    "%s, so whether it can read the data in the volume %s was not checked."
                    % ((NOT_RUN if module.check_mode else UNSAID) % params["image"], volume)
                )
        warning = data_versions.judge_redis(files, server, volume)
        if warning:
            module.warn(warning)
        result["found"] = {
            name: "%s %d" % data if data else "" for name, data in sorted(files.items())
        }
    return result


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(
            connection.ARGUMENTS,
            stack_name={"type": "str", "default": "aisha"},
            service={"type": "str", "choices": ["postgres", "redis"], "required": True},
            volume={"type": "str", "required": True},
            image={"type": "str", "required": True},
            container={"type": "str", "required": True},
            major={"type": "int"},
            superuser={"type": "str", "default": "postgres"},
        ),
        required_if=[("service", "postgres", ["major"])],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**judge(module, connection.connect(module)))
    except data_versions.DataError as error:
        module.fail_json(msg="%s Nothing that runs was touched." % error)
    except PermissionError as error:
        module.fail_json(
            msg="Can't look into the volume %s: %s. Let Ansible become root on this host."
            % (module.params["volume"], error)
        )
    except (apply.ApplyError, *connection.ENGINE_ERRORS) as error:
        module.fail_json(
            msg="Can't find out whether %s fits the volume %s: %s Nothing that runs was touched."
            % (module.params["image"], module.params["volume"], error)
        )


if __name__ == "__main__":
    main()
