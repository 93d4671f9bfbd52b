# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of the modules that only look."""

from __future__ import annotations


class ModuleDocFragment:
    """A module that changes nothing."""

    READ_ONLY = r"""
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
    details: Changes nothing in any mode.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
"""
