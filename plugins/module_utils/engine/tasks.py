# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs containers that do one thing and end, with the hardening of all others."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    apply,
    connection,
    description,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import outcome as outcomes

DEFAULT_SECONDS = 600
# Of each of its two outputs, the end.
MOST_LINES = 2000


def task(given):
    """The description of a container that does one thing and ends. Raises DescriptionError."""
    wanted = description.normalised(given)
    wanted.update(role=description.TASK, restart_policy="no", publish=[])
    wanted["wait_timeout"] = given.get("wait_timeout") or DEFAULT_SECONDS
    return wanted


def run(client, applier, stack, wanted, info, scrub):
    """Runs one to its end and removes it; what it did is a result, never an error.

    wanted: from task(). Returns {"name", "image", "status": its exit code or None, "output" and "errors": what it wrote to
    either of its outputs, "oom_killed", "error": why it did not run or end, or "", "architecture",
    "image_architecture"}; no text of it has a secret.
    """
    image = applier.image(wanted["image"]) or {}
    result = {
        "name": wanted["name"],
        "image": wanted["image"],
        "status": None,
        "output": "",
        "errors": "",
        "oom_killed": False,
        "error": "",
        "architecture": outcomes.processor(info.get("Architecture")),
        "image_architecture": image.get("Architecture") or "",
    }
    # One that was broken off; the engine keeps also what it could not start.
    applier.remove(wanted["name"], 0)
    try:
        container = applier.create(wanted, description.fingerprint(wanted, stack), wanted["name"])
        client.start(container)
        result["status"] = client.wait(container, timeout=wanted["wait_timeout"])["StatusCode"]
        result["oom_killed"] = bool(client.inspect_container(container)["State"].get("OOMKilled"))
    except connection.TimedOut:
        result["error"] = outcomes.TOO_SLOW + "%d s" % wanted["wait_timeout"]
    except apply.ApplyError as error:
        result["error"] = scrub(str(error))
    except connection.ENGINE_ERRORS as error:
        result["error"] = scrub(connection.reason(error))
    try:
        for key, stdout in (("output", True), ("errors", False)):
            said = client.logs(wanted["name"], stdout=stdout, stderr=not stdout, tail=MOST_LINES)
            result[key] = scrub(said.decode("utf-8", "replace"))
    except connection.ENGINE_ERRORS:
        # It was never created.
        pass
    applier.remove(wanted["name"], 0)
    return result
