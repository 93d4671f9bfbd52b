# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides which images and finished containers of a host may go."""

from __future__ import annotations

import json
import re

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import description
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine.host_facts import LABEL

FINISHED = ("exited", "dead", "created")
# The current release, and the one that a rollback goes to.
RELEASES = 2


def _repository(name):
    return re.sub(r"[:@][^/]*$", "", name)


def _names(image):
    names = (image.get("RepoTags") or []) + (image.get("RepoDigests") or [])
    return [name for name in names if "<none>" not in name]


def _digest(reference):
    return reference.rpartition("@")[2]


def release_images(records):
    """References of the images of the current release and of the one before it.

    records: the text of roles/bot's file of releases, one JSON object a line, oldest first. A move to another
    host writes down the same release again.
    """
    releases = []
    for line in records.splitlines():
        try:
            images = [str(image) for image in json.loads(line)["images"] if image]
        except (KeyError, TypeError, ValueError):
            # A disk that was full cuts a line short.
            continue
        if images in releases:
            releases.remove(images)
        releases.append(images)
    return sorted({image for images in releases[-RELEASES:] for image in images})


def old_images(images, containers, prefix, keep, needed=()):
    """References of the images that may go: each is in repositories of this stack only, and too old in all of them.

    images, containers: as the engine lists them, containers in every state. prefix: with what the names of the
    stack's repositories begin. keep: how many of each repository stay. needed: references of images, by digest
    or tag, that a rollback needs. What any container uses stays, whether it runs, is stopped or is aside.
    """
    used = {row["ImageID"] for row in containers}
    wanted = {_digest(each) for each in needed}
    counts = {}
    old = []
    for image in sorted(images, key=lambda image: (image["Created"], image["Id"]), reverse=True):
        names = _names(image)
        repositories = {_repository(name) for name in names}
        for repository in repositories:
            counts[repository] = counts.get(repository, 0) + 1
        if (
            names
            and all(name.startswith(prefix) for name in names)
            and all(counts[repository] > int(keep) for repository in repositories)
            and image["Id"] not in used
            and not wanted & ({image["Id"]} | {_digest(name) for name in names})
        ):
            # By its ID, an engine removes no image that is in several repositories.
            old += [image["Id"]] if len(repositories) == 1 else sorted(names)
    return old


def finished_tasks(containers, stack_name):
    """Names of the stack's containers that did one thing and have ended, or never began."""
    return [
        name.lstrip("/")
        for row in containers
        if row["State"] in FINISHED and _is_task(row.get("Labels") or {}, stack_name)
        for name in row.get("Names") or []
    ]


def _is_task(labels, stack_name):
    return (labels.get(LABEL + "name"), labels.get(LABEL + "role")) == (
        stack_name,
        description.TASK,
    )


class FilterModule:
    """The filters."""

    def filters(self):
        """By their names."""
        return {
            "finished_tasks": finished_tasks,
            "old_images": old_images,
            "release_images": release_images,
        }
