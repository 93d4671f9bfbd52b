# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what becomes of a host's networks."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import networks


def network_plan(found, wanted, stack_name, mtu=0):
    """See network_plan.yml beside this file."""
    return networks.plan(
        wanted, found.get("networks") or [], stack_name, int(mtu), found.get("mtu")
    )


class FilterModule:
    """The filter."""

    def filters(self):
        return {"network_plan": network_plan}
