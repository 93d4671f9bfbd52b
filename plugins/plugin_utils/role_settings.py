# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the roles, from their argument specs: what names them, types them and gives their defaults."""

from __future__ import annotations

import functools
import os

from ansible.module_utils.common.yaml import yaml_load

ROLES = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "roles")


@functools.lru_cache(maxsize=1)
def specs():
    """{role: {setting: its argument spec}} of all roles."""
    found = {}
    for role in sorted(os.listdir(ROLES)):
        path = os.path.join(ROLES, role, "meta", "argument_specs.yml")
        with open(path, encoding="utf-8") as file:
            entries = yaml_load(file)["argument_specs"]
        # Every entry point has the same settings.
        found[role] = entries["main"].get("options") or {}
    return found


def of(role, variables):
    """A function from the name of a setting, without its role, to its value in a host's variables; "" for none."""
    options = specs()[role]

    def value(name):
        whole = role + "_" + name
        return variables[whole] if whole in variables else options.get(whole, {}).get("default", "")

    return value
