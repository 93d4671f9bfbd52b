# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers an operator means by a target: a part of the stack, in one word, or one container by its name."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import description

# The roles of containers, in the order in which they are restarted.
ROLES = (
    "registry",
    "minio",
    "postgres",
    "redis",
    "webhook",
    "front",
    "worker",
    "primary",
    "bot_api",
)
# Other words for them, besides their plural.
WORDS = {"postgresql": "postgres", "emulator": "bot_api", "poller": "primary"}
# What a word means that is not the one role, for each purpose.
MEANS = {
    "logs": {"all": ROLES, "webhook": ("webhook", "front")},
    # The front is in nobody's way when all behind it is new, and the emulator would forget its bots.
    "restart": {"all": tuple(set(ROLES) - {"front", "bot_api"}), "bot_api": None},
}


def _roles(target, purpose):
    """The roles that a word means; None where it is no such word."""
    for word in (target, target[:-1] if target.endswith("s") else target):
        word = WORDS.get(word, word)
        if word in MEANS[purpose]:
            return MEANS[purpose][word]
        if word in ROLES:
            return (word,)
    return None


def _eligible(rows, purpose):
    """What is aside may be read, and is not started; nor is what a purpose is not for."""
    return [
        row
        for row in rows
        if _roles(row["role"], purpose)
        and (purpose == "logs" or not description.ASIDE.search(row["name"]))
    ]


def targeted(rows, target, purpose):
    """See targeted.yml beside this file."""
    roles = _roles(target, purpose)
    found = {role: [] for role in ROLES}
    for row in _eligible(rows, purpose):
        if row["name"] == target if roles is None else row["role"] in roles:
            found[row["role"]].append({"name": row["name"]})
    return found


def target_problems(results, target, purpose):
    """See target_problems.yml beside this file."""
    seen = [found.get("found") or {} for found in results.values()]
    rows = _eligible([row for found in seen for row in found.get("containers") or []], purpose)
    hosts = ", ".join(sorted(results))
    if not rows:
        return ["No container of the stack is on %s: make up makes them." % (hosts or "any host")]
    if any(targeted(rows, target, purpose).values()):
        return []
    if _roles(target, purpose):
        return ["target is %s, and no such container is on %s." % (target, hosts)]
    words = [role for role in ROLES if _roles(role, purpose)]
    return [
        "target is %s. Say all, %s, or the name of a container: %s."
        % (
            target or "not set",
            ", ".join(words),
            ", ".join(sorted({row["name"] for row in rows})),
        )
    ]


class FilterModule:
    """The filters."""

    def filters(self):
        return {"target_problems": target_problems, "targeted": targeted}
