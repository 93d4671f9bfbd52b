# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a play can be run on in check mode: not those that have nothing yet that could look at them."""

from __future__ import annotations

# The role docker_host puts hosts into it, in check mode only.
GROUP = "aisha_unprepared"


def prepared(pattern, groups, whole=False):
    """See prepared.yml beside this file."""
    unprepared = set(groups.get(GROUP) or ())
    if not unprepared:
        return pattern
    # All other hosts are told by it which images there are.
    provider = next(iter([*groups.get("registry", ()), *groups.get("bot", ())]), None)
    if whole or provider in unprepared:
        unprepared = set(groups.get("all") or ()) | unprepared
    return ":".join([pattern] + ["!" + host for host in sorted(unprepared)])


class FilterModule:
    """The filter."""

    def filters(self):
        return {"prepared": prepared}
