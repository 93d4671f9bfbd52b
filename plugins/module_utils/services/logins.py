# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins whose password changes while somebody uses the old one (rotation by alternating users).

A server keeps one password for a login. So a new password gets a login beside the old one, NAME.1 or NAME.2, with the same rights,
and both work until all that used the old one is gone. Pure, and no state but what the server itself knows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import stringprep
import unicodedata


def arguments(password_required, **more):
    """Options of a module that provides logins (doc_fragments/logins.py). more: what each login has beside its password."""
    user = dict(
        more,
        name={"type": "str", "required": True},
        password={"type": "str", "required": password_required, "no_log": True},
    )
    return {
        "users": {"type": "list", "elements": "dict", "required": True, "options": user},
        "conclude": {"type": "bool", "default": False},
    }


def is_alternate(login, name):
    """Whether a login is one beside this name."""
    return re.match(re.escape(name) + r"\.[1-9][0-9]*$", login) is not None


def choose(name, accepts):
    """The login for the wanted password: one that has it, else the name where it is new, else a new one beside it.

    accepts: {login that can log in: whether the wanted password is its password}, of this name and those beside it. One beside it goes
    first: whoever was given it keeps it, until the next password.
    """
    alternates = sorted(
        (login for login in accepts if is_alternate(login, name)),
        key=lambda login: int(login[len(name) + 1 :]),
    )
    for login in alternates:
        if accepts[login]:
            return login
    if accepts.get(name, True):
        return name
    number = 1
    while "%s.%d" % (name, number) in accepts:
        number += 1
    return "%s.%d" % (name, number)


def leftovers(name, accepts):
    """The logins that still have another password: of the name it is to be changed, those beside it are to go."""
    return sorted(
        login
        for login, fits in accepts.items()
        if not fits and (login == name or is_alternate(login, name))
    )


def saslprep(password):
    """The password as SCRAM takes it (RFC 4013); as it is where the rules don't allow it, as PostgreSQL does."""
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    prohibited = (
        stringprep.in_table_a1,
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if not prepared or any(test(char) for char in prepared for test in prohibited):
        return password
    if any(stringprep.in_table_d1(char) for char in prepared) and (
        any(stringprep.in_table_d2(char) for char in prepared)
        or not stringprep.in_table_d1(prepared[0])
        or not stringprep.in_table_d1(prepared[-1])
    ):
        return password
    return prepared


def scram_matches(verifier, password):
    """Whether a password is the one of a SCRAM-SHA-256 verifier (pg_authid.rolpassword)."""
    match = re.match(
        r"SCRAM-SHA-256\$([0-9]+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):", verifier or ""
    )
    if not match:
        return False
    salted = hashlib.pbkdf2_hmac(
        "sha256",
        saslprep(password).encode("utf-8"),
        base64.b64decode(match.group(2)),
        int(match.group(1)),
    )
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    return hmac.compare_digest(
        hashlib.sha256(client_key).digest(), base64.b64decode(match.group(3))
    )
