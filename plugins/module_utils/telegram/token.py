# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bot's token: how to recognise it in any text, and how to speak of it without showing it."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import Scrubber

# Percent-encoded once, and once more inside another URL.
MAX_DECODINGS = 2


class TokenError(ValueError):
    """The text is no token."""


class Token:
    """One bot's token.

    text: "<bot id>:<secret>" as BotFather gives it; the id is a positive number, the secret at least
    16 characters of A-Z a-z 0-9 _ -. Anything else raises TokenError, which never shows the text.
    secrets: what else scrub() takes out of a text.
    """

    def __init__(self, text, secrets=()):
        bot_id, separator, secret = text.strip().partition(":")
        if not separator or not re.match(r"[1-9][0-9]{0,18}\Z", bot_id):
            raise TokenError("it must be the bot's number, a colon and its secret")
        if not re.match(r"[A-Za-z0-9_-]{16,64}\Z", secret):
            raise TokenError("after the colon come 16 to 64 letters, digits, _ or -")
        self.bot_id = bot_id
        self._secret = secret
        self._scrubber = Scrubber(secrets)
        # Another token of the same bot: BotFather's have 35 characters, so that a clock time or a port is none.
        self._older = re.compile(r"(?<![0-9])%s:[A-Za-z0-9_-]{30,}" % bot_id)

    def reveal(self):
        """The whole token, for a request to the Bot API and for nothing else."""
        return "%s:%s" % (self.bot_id, self._secret)

    def fingerprint(self, salt):
        """What identifies the token without showing it; the same as the role bot writes to its label."""
        digest = hashlib.sha256((salt + self.reveal()).encode("utf-8")).hexdigest()
        return "%s:%s" % (self.bot_id, digest[:16])

    def find(self, text):
        """True: this token is in the text; False: another token of the same bot is; None: neither.

        Plain or percent-encoded, in a URL or beside other text. The secret alone is enough, as
        some keep the number elsewhere.
        """
        if self._secret in text:
            return True
        decoded = text
        for _turn in range(MAX_DECODINGS):
            if "%" not in decoded:
                break
            decoded = unquote(decoded)
            if self._secret in decoded:
                return True
        if self._older.search(text) or (decoded is not text and self._older.search(decoded)):
            return False
        return None

    def scrub(self, text):
        """The text without this token, any other, and the other secrets."""
        return self._scrubber.scrub(text.replace(self._secret, "***"))
