# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the outcomes of containers that do one thing mean."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import outcome as outcomes
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import volumes


def task_answer(outcome, nonce=""):
    """The JSON object that a container has printed behind nonce, or an empty one."""
    return outcomes.answer(outcome, nonce) or {}


def task_problem(outcome, subject, nonce="", volumes=(), memory="", setting=""):
    """Why a container has given no answer, or an empty string where it has."""
    if outcomes.answer(outcome, nonce) is not None:
        return ""
    return outcomes.problem(outcome, subject, volumes, memory, setting)


def image_problems(ended, nonce, memory="", setting=""):
    """What the checks of images found, and why a check could not run: sentences."""
    sentences = []
    for outcome in ended:
        subject = "the image %s" % outcome["image"]
        said = outcomes.answer(outcome, nonce)
        if said is None:
            sentences.append(outcomes.problem(outcome, subject, (), memory, setting))
        else:
            sentences += ["%s: %s" % (subject, sentence) for sentence in said["image"]]
            sentences += said["token"]
    # The token is the same in all of them.
    return list(dict.fromkeys(sentences))


def volume_task(description, image, paths=()):
    """The container that tries the volumes of a description, or gives those at paths to its user."""
    if paths:
        return volumes.gift(description, image, paths)
    return volumes.probe(description, image)


def task_outcomes(results):
    """Outcomes of what community.docker.docker_container has run, one for each result."""
    return [outcome(result) for result in results]


def outcome(result):
    container = result.get("container") or {}
    state = container.get("State") or {}
    ran = "Output" in container
    config = container.get("Config") or {}
    return {
        "image": (result.get("item") or {}).get("image") or config.get("Image") or "",
        "status": result.get("status", state.get("ExitCode")) if ran else None,
        "output": container.get("Output") or "",
        "errors": "",
        "oom_killed": bool(state.get("OOMKilled")),
        "error": "" if ran else result.get("msg") or "",
    }


class FilterModule:
    """The filters."""

    def filters(self):
        return {
            "image_problems": image_problems,
            "task_answer": task_answer,
            "task_outcomes": task_outcomes,
            "task_problem": task_problem,
            "volume_task": volume_task,
            "volume_verdict": lambda ended, description: volumes.judge(description, ended),
        }
