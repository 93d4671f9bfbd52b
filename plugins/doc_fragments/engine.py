# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that ask a Docker Engine."""

from __future__ import annotations


class ModuleDocFragment:
    """What module_utils/_engine.py takes."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description: Address of the engine.
    type: str
    default: unix:///var/run/docker.sock
  timeout:
    description: Seconds to wait for each answer of the engine.
    type: int
    default: 15
requirements:
  - docker >= 6.0 (Python SDK), on the target
"""
