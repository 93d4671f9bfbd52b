# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access list of Redis: one user a line. While a password changes, a user has the old one as well. Pure."""

from __future__ import annotations

import hashlib
import re

# No bot uses these: they change at once.
AT_ONCE = ("default", "admin", "reload")


def hashed(password):
    """A password as an access list has it."""
    return "#" + hashlib.sha256(password.encode("utf-8")).hexdigest()


def parse(text):
    """{user: (passwords as hashes, line)} of an access list."""
    users = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "user":
            users[words[1]] = ([word for word in words if re.match("#[0-9a-f]{64}$", word)], line)
    return users


def render(users, before, conclude):
    """(text of the access list, names of what is kept beside what is wanted).

    users: [{"name", "passwords" as hashes, "rules"}]; before: text of the list that is there. A password or a user that is not wanted any
    more stays until it is concluded, because what runs still uses it.
    """
    there = {} if conclude else parse(before)
    lines, kept = [], []
    for user in users:
        old = [
            password
            for password in there.get(user["name"], ([], ""))[0]
            if password not in user["passwords"]
        ]
        if old and user["passwords"] and user["name"] not in AT_ONCE:
            kept.append(user["name"])
        else:
            old = []
        lines.append(
            " ".join(["user", user["name"], "on", *user["passwords"], *old, user["rules"]])
        )
    names = [user["name"] for user in users]
    for name, (_passwords, line) in there.items():
        if name not in names and name not in AT_ONCE:
            lines.append(line)
            kept.append(name)
    return "\n".join(["user default off resetpass resetkeys resetchannels -@all", *lines, ""]), kept
