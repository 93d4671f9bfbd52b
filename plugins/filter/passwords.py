# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of the inventory: which can't work, and how one is written into an address."""

from __future__ import annotations

import re
from urllib.parse import quote

PLACEHOLDER = re.compile(r"(?i)change_?me|placeholder")
MIN_PASSWORD = 16


def percent_encoded(text):
    """The text as a login in a URL: everything but letters, digits and -._~ percent-encoded."""
    return quote(str(text), safe="")


def password_problems(passwords, most_bytes=0):
    """One sentence for each password that can't work; none of them has a part of it.

    passwords: from what a password is called to the password. most_bytes: how many the service
    takes, 0 for any.
    """
    sentences = []
    for name, password in passwords.items():
        problem = _problem(password, most_bytes)
        if problem:
            sentences.append("%s %s. Set it in the inventory's secrets." % (name, problem))
    return sentences


def _problem(password, most_bytes):
    if not isinstance(password, str):
        return "is no text: write it in quotes"
    if not password:
        return "is empty"
    if PLACEHOLDER.search(password):
        return "is still a placeholder"
    if len(password) < MIN_PASSWORD:
        return "is shorter than %d characters" % MIN_PASSWORD
    # Files, environments and protocols of lines can't carry them.
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", password):
        return "has a line break or another control character"
    # Programs that read it from a file take blanks off its ends.
    if password != password.strip():
        return "begins or ends with a blank"
    if most_bytes and len(password.encode("utf-8", "surrogateescape")) > most_bytes:
        return "is longer than the %d bytes that the service takes" % most_bytes
    return None


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self):
        return {"percent_encoded": percent_encoded, "password_problems": password_problems}
