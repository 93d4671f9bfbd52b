# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of an inventory that look like a setting of a role and are none: typing errors."""

from __future__ import annotations

import difflib
import functools
import os

from ansible.module_utils.common.yaml import yaml_load

ROLES = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "roles")
# bot_wokers is like bot_workers, and bot_channel like nothing: an inventory may have variables of its own.
LIKE = 0.85


def misspelt_settings(names):
    """One sentence for each name that begins as a role's settings do, is none, and is like one."""
    roles, settings = known_settings()
    known = set(settings)
    problems = []
    for name in sorted(set(names) - known):
        if name in roles or not name.startswith(tuple(role + "_" for role in roles)):
            continue
        near = difflib.get_close_matches(name, settings, 1, LIKE)
        if near:
            problems.append(
                "%s is no setting: is it %s? Correct its name where it is set, or give a variable of your own a name that"
                " is less like it." % (name, near[0])
            )
    return problems


@functools.lru_cache(maxsize=1)
def known_settings():
    """The names of all roles, and those of all their settings, from their argument specs."""
    roles, settings = sorted(os.listdir(ROLES)), []
    for role in roles:
        path = os.path.join(ROLES, role, "meta", "argument_specs.yml")
        with open(path, encoding="utf-8") as file:
            specs = yaml_load(file)
        for spec in specs["argument_specs"].values():
            settings += spec.get("options") or {}
    return roles, sorted(set(settings))


class FilterModule:
    def filters(self):
        return {"misspelt_settings": misspelt_settings}
