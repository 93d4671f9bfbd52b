# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values of an inventory are secret: the one place that says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleError
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import (
    MIN_SECRET,
    Scrubber,
)

# A variable, or a key in one, that is called so has a secret; so have the elements of a list of that name.
SECRET_NAME = re.compile(
    r"(?i)(?:pass(?:word|wd|phrase)?|secrets?|tokens?|credentials?|(?<!access)(?<!public)_key)\d*(?:_|\Z)|\A(?:vault|secret)_"
)
# It is about a secret, and is none.
NO_SECRET_NAME = re.compile(
    r"(?i)_(?:dir|folder|file|files|path|logging|name|names|id|length|timeout|user|username)\Z"
)
# An address with a login: its password is secret.
LOGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s@]*:[^\s]*@")
# A secret by its form, whatever its name is: that of a source is the operator's choice.
SIGNING = "whsec_"
# What Ansible itself puts there, and what roles register.
NO_SETTING = re.compile(
    r"\A(?:_|group_names\Z|groups\Z|hostvars\Z|inventory_|omit\Z|environment\Z|vars\Z)"
)
PLACES = 1000


def is_secret(name):
    """True for the name of a variable, or of a key, whose value nobody may see."""
    return bool(SECRET_NAME.search(name)) and not NO_SECRET_NAME.search(name)


def _texts(value, secret, places):
    """The secret texts of a value; secret: what its name says."""
    if places[0] <= 0 or isinstance(value, (bytes, bool)) or value is None:
        return
    places[0] -= 1
    if isinstance(value, (str, int, float)):
        text = str(value)
        if len(text) >= MIN_SECRET and (
            secret or (isinstance(value, str) and (text.startswith(SIGNING) or LOGIN.search(text)))
        ):
            yield text
    elif isinstance(value, Mapping):
        for key in value:
            own = is_secret(str(key)) or (secret and not NO_SECRET_NAME.search("_%s" % key))
            yield from _texts(value[key], own, places)
    elif isinstance(value, Sequence):
        for element in value:
            yield from _texts(element, secret, places)


def secrets_of(variables):
    """The secret texts in the variables of a host, as hostvars has them."""
    found = set()
    for name in variables:
        # Of Ansible's own, its passwords alone.
        if NO_SETTING.match(name) or (name.startswith("ansible_") and not is_secret(name)):
            continue
        try:
            value = variables[name]
        except AnsibleError:
            # One that can't be had has no value that could be shown: a file of the lookup is not there.
            continue
        found.update(_texts(value, is_secret(name), [PLACES]))
    return sorted(found)


def scrubbed(text, secrets=()):
    """The text without secrets: those that are told, and what is one by its form."""
    return Scrubber(secrets).scrub(str(text))


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self):
        return {"scrubbed": scrubbed, "secrets_of": secrets_of}
