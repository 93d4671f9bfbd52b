# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of the webhook API and its front, and what of it can't work."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping

SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PREFIX = "whsec_"
BYTES = range(24, 65)
AT_ONCE = 2
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
MAKE = 'Make one with: echo "whsec_$(openssl rand -base64 32)".'


def webhook_secret_problems(secrets, setting, needed=True):
    """One sentence for each thing that is wrong with the secrets of the sources; no secret is in any.

    setting: the name of the variable of the inventory. needed: whether there are replicas.
    """
    if not isinstance(secrets, Mapping):
        return [
            "%s is no dictionary. Write from a source to its secrets, as in {shop: [whsec_…]}."
            % setting
        ]
    if not secrets:
        return (
            ["Not set: %s, from each source to a list of its secrets. %s" % (setting, MAKE)]
            if needed
            else []
        )
    sentences = []
    seen = {}
    for source, own in secrets.items():
        if not isinstance(source, str) or not SOURCE.fullmatch(source):
            sentences.append(
                "%s has a source %r, which can't be in an address. Use letters, digits, _ . and -, up to 64."
                % (setting, str(source))
            )
            continue
        name = "%s.%s" % (setting, source)
        if not isinstance(own, (list, tuple)) or not 1 <= len(own) <= AT_ONCE:
            sentences.append("%s is no list of one or two secrets. %s" % (name, MAKE))
            continue
        if any(_key(secret) is None for secret in own):
            sentences.append(
                "%s has a secret that is not %s and the base64 of 24 to 64 bytes. %s"
                % (name, PREFIX, MAKE)
            )
        for key in {_key(secret) for secret in own} - {None}:
            if key in seen:
                sentences.append(
                    "%s has a secret of %s.%s, so that each could call as the other. Give each source its own."
                    % (name, setting, seen[key])
                )
            seen.setdefault(key, source)
    return sentences


def _key(secret):
    """The key in a secret, None where it has another form."""
    if not isinstance(secret, str) or not secret.startswith(PREFIX):
        return None
    try:
        key = base64.b64decode(secret[len(PREFIX) :].encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in BYTES else None


def front_problems(settings):
    """One sentence for each setting of the front that HAProxy's configuration can't hold."""
    sentences = []
    for header in settings["bot_front_required_headers"]:
        if not HEADER.fullmatch(str(header)):
            sentences.append(
                "bot_front_required_headers has %r, which is no name of a header." % str(header)
            )
    for network in settings["bot_front_proxies"]:
        try:
            ipaddress.ip_network(str(network))
        except ValueError:
            sentences.append(
                "bot_front_proxies has %r, which is no address and no network, as 192.0.2.7 or 192.0.2.0/24."
                % str(network)
            )
    for name, least, most in (
        ("bot_front_connections", 1, 100000),
        ("bot_front_address_connections", 0, 100000),
        ("bot_front_address_calls", 0, 10000000),
        ("bot_front_address_refused", 0, 10000000),
        ("bot_webhook_health_port", 1, 65535),
        ("bot_webhook_body_limit", 1, 64 * 1024 * 1024),
    ):
        if not least <= int(settings[name]) <= most:
            sentences.append("%s is %s. Set it to %d to %d." % (name, settings[name], least, most))
    if not PATH.fullmatch(str(settings["bot_webhook_health_path"])):
        sentences.append(
            "bot_webhook_health_path is %r, which is no path as /readyz."
            % str(settings["bot_webhook_health_path"])
        )
    return sentences


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self):
        return {
            "front_problems": front_problems,
            "webhook_secret_problems": webhook_secret_problems,
        }
