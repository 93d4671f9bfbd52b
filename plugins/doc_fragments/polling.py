# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and return values that polling_singleton and polling_singleton_info share."""

from __future__ import annotations


class ModuleDocFragment:
    """What module_utils/polling/sight.py takes."""

    DOCUMENTATION = r"""
options:
  name:
    description: Containers with this value in the label C(aisha.bot_stack.name) belong to the stack.
    type: str
    default: aisha
  token:
    description: The bot's token, as BotFather gives it. Give this or O(token_file).
    type: str
  token_file:
    description: File on the target with the token and nothing else. Give this or O(token).
    type: path
  holder:
    description: Name of the container on this host that may poll. Empty where the holder is on another host.
    type: str
    default: ""
  allowed:
    description:
      - Names of containers and processes that may hold the token and are left alone, as shell patterns (V(backup-*)).
    type: list
    elements: str
    default: []
  bot_api_url:
    description: Address of the Bot API as this host reaches it, without C(/bot). Asked only where there is a O(holder).
    type: str
    default: https://api.telegram.org
  processes:
    description: Look at the processes of the host outside its containers, too.
    type: bool
    default: true
  secrets:
    description: What else is secret, beside tokens of any bot and passwords in URLs. No text that the module returns has it.
    type: list
    elements: str
    default: []
notes:
  - Needs root on the target, as it looks into what other users run and mount.
  - >-
    Where a token is looked for: environment, command line, entry point, health check and labels of each container; files of at most 64 KiB
    that are mounted into it (in a folder, 400 files of the 4000 entries nearest to its top, three levels deep,
    likely names first); files that its command line, entry point or
    environment names and C(.env) in its working directory; environment and command line of processes, and files that these name. Plain or
    percent-encoded. Another token of the same bot (same number) counts, too.
  - The result has names, places and states; it never has a byte of the token's secret part.
"""
