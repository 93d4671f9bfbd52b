# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts another login into an address, where a login beside the named one is in use."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote


def with_login(url, logins):
    """The address with the login that stands for its user; as it is where none does. logins: {user: login}."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*://)([^:@/?#]+)((?::[^@/?#]*)?@.*)$", url, re.DOTALL)
    if not match:
        return url
    user = unquote(match.group(2))
    if logins.get(user, user) == user:
        return url
    return match.group(1) + quote(logins[user], safe="") + match.group(3)


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"with_login": with_login}
