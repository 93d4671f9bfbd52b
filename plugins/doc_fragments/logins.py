# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that provide a service's logins, and change their passwords without a gap."""

from __future__ import annotations


class ModuleDocFragment:
    """What arguments() of module_utils/services/logins.py takes."""

    DOCUMENTATION = r"""
options:
  users:
    description: The logins.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      password:
        description: Password.
        type: str
        required: true
  conclude:
    description: Whether nobody uses another password than the wanted one any more.
    type: bool
    default: false
"""
