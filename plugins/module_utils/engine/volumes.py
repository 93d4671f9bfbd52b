# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives a container's volumes to its user, by containers of the collection's own image (images/volumes).

Call `see_to` when the container exists and does not run yet: as it is created, the engine gives an
empty volume the content and the owner of the image's folder. `judge` decides and runs nothing.
"""

from __future__ import annotations

import re

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import outcome as outcomes

# Below it, the image of ours has a volume at the path that it has in the container that is served.
BELOW = "/volumes"
MEMORY = "128m"
# A large volume, on a slow file server.
TIMEOUT = 900


def writable(description):
    """The named volumes that the container of a description writes to."""
    return [
        mount
        for mount in description.get("mounts") or []
        if mount["type"] == "volume" and mount.get("source") and not mount.get("read_only")
    ]


def numeric(user):
    """UID:GID of a user as containers have it; None for a name, which only its image knows."""
    found = re.match(r"(\d+)(?::(\d+))?$", str(user or "0"))
    return "%s:%s" % (found.group(1), found.group(2) or 0) if found else None


def task(description, image, user, command, capabilities, volumes):
    """The description of a container that does one thing with the volumes of another one."""
    return {
        "name": description["name"] + "-volumes",
        "role": "task",
        "image": image,
        "command": command,
        "user": user,
        "mounts": [dict(mount, target=BELOW + mount["target"]) for mount in volumes],
        "networks": ["none"],
        "memory": MEMORY,
        "cap_add": capabilities,
        "read_only": True,
        "restart_policy": "no",
        "wait_timeout": TIMEOUT,
    }


def arguments(volumes):
    return ["%s=%s" % (mount["source"], mount["target"]) for mount in volumes]


def probe(description, image):
    """The container that looks whether the user of a description can write its volumes."""
    volumes = writable(description)
    return task(
        description,
        image,
        numeric(description.get("user")),
        ["probe", *arguments(volumes)],
        description.get("cap_add") or [],
        volumes,
    )


def gift(description, image, paths):
    """The container that gives the volumes at paths to the user of a description."""
    volumes = [mount for mount in writable(description) if mount["target"] in paths]
    return task(
        description,
        image,
        "0:0",
        ["give", numeric(description.get("user")), *arguments(volumes)],
        ["CHOWN", "FOWNER", "DAC_OVERRIDE"],
        volumes,
    )


def judge(description, ended):
    """What to do after the outcomes of probe, gift and the second probe, as far as they ended.

    Returns next ("probe", "give", or "" at the end), paths (of the volumes to give), unwritable (a
    sentence for each of these), given and broken (sentences).
    """
    volumes = writable(description)
    user = numeric(description.get("user"))
    told = {"next": "", "paths": [], "unwritable": [], "given": [], "broken": []}
    if not volumes:
        return told
    if not user:
        told["broken"] = [
            "the user of %s is %s, a name that only its image knows, so its volumes can't be given"
            " to it: write UID:GID" % (description["name"], description["user"])
        ]
        return told
    if not ended:
        return dict(told, next="probe")
    answers = [outcomes.answer(outcome) for outcome in ended]
    if answers[-1] is None:
        subject = "the image that sees to the volumes of %s" % description["name"]
        told["broken"] = [outcomes.problem(ended[-1], subject, volumes, MEMORY)]
        return told
    first = answers[0]
    if len(ended) == 1:
        sentences = [row["sentence"] for row in first["unwritable"]]
        if first["broken"]:
            # Where one has to be refused, none is given.
            return dict(told, broken=first["broken"] + sentences)
        paths = [row["path"] for row in first["unwritable"]]
        return dict(told, next="give" if paths else "", paths=paths, unwritable=sentences)
    told.update(given=answers[1]["given"], broken=answers[1]["failed"])
    if len(ended) == 2:
        return dict(told, next="" if told["broken"] else "probe")
    # A volume that its user may write now may still be full.
    told["broken"] = answers[2]["broken"] + [
        "%s, though it was given to %s; look for access control lists, SELinux or AppArmor on this"
        " host" % (row["sentence"], user)
        for row in answers[2]["unwritable"]
    ]
    return told


def see_to(description, image, run):
    """See that a container can write its volumes; returns given and broken (sentences).

    run takes a description, runs its container to the end, removes it, and returns its outcome.
    """
    ended = []
    while True:
        told = judge(description, ended)
        if told["next"] == "probe":
            ended.append(run(probe(description, image)))
        elif told["next"] == "give":
            ended.append(run(gift(description, image, told["paths"])))
        else:
            return {"given": told["given"], "broken": told["broken"]}


def sentence(description, given):
    """What to tell of what was given."""
    return "given to %s: %s." % (numeric(description.get("user")), "; ".join(given))
