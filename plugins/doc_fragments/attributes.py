# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of modules."""

from __future__ import annotations


class ModuleDocFragment:
    """What each attribute means, to which a module adds its support; READ_ONLY for one that changes nothing."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
  idempotent:
    description: A second run with the same options changes nothing.
"""

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
