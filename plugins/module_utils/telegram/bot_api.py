# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the Bot API about a bot, and never for its updates.

getMe and getWebhookInfo disturb no poller (https://core.telegram.org/bots/api#getwebhookinfo); a
getUpdates would be a second poller.
"""

from __future__ import annotations

import json
import re
from urllib.error import HTTPError

from ansible.module_utils.urls import open_url

TIMEOUT_SECONDS = 10
ADDRESS = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#@]*)?\Z")


class BotApiError(Exception):
    """The Bot API does not answer, or refuses; the message says what to do and shows no token."""


class BotApi:
    """The Bot API at an address, for one token."""

    def __init__(self, address, token, timeout=TIMEOUT_SECONDS):
        self._url = address.rstrip("/")
        # As it may be shown.
        self._address = token.scrub(self._url)
        self._token = token
        self._timeout = timeout

    def webhook(self):
        """(URL of the webhook or "", with no token in it; number of pending updates)."""
        info = self._call("getWebhookInfo")
        return self._token.scrub(info.get("url") or ""), int(info.get("pending_update_count") or 0)

    def delete_webhook(self):
        """Removes the webhook; pending updates stay."""
        self._call("deleteWebhook")

    def _call(self, method):
        # Before any request: errors about what is no URL repeat it, and the token would be in it.
        if not ADDRESS.match(self._url):
            raise BotApiError(
                "bot_api_url (%s) is no address of a Bot API. Write it like https://api.telegram.org."
                % self._address
            )
        url = "%s/bot%s/%s" % (self._url, self._token.reveal(), method)
        try:
            with open_url(
                url, method="POST", data=b"", timeout=self._timeout, use_proxy=True
            ) as answer:
                body = answer.read()
        except HTTPError as error:
            body = error.read()
            if error.code == 401:
                raise BotApiError(
                    "The Bot API at %s refuses the token of bot %s (401 Unauthorized): it was revoked or "
                    "mistyped. Set the token that BotFather shows now."
                    % (self._address, self._token.bot_id)
                ) from None
            raise BotApiError(
                "The Bot API at %s answers %s with HTTP %d: %s"
                % (self._address, method, error.code, self._description(body))
            ) from None
        except Exception as error:  # open_url lets through whatever its transport raises
            raise BotApiError(
                "The Bot API at %s does not answer %s: %s. Check bot_api_url, and that this host reaches it."
                % (self._address, method, self._token.scrub(str(error)))
            ) from None
        try:
            return json.loads(body)["result"]
        except (ValueError, KeyError, TypeError):
            raise BotApiError(
                "What answers at %s is no Bot API. Check bot_api_url." % self._address
            ) from None

    def _description(self, body):
        try:
            return self._token.scrub(str(json.loads(body)["description"]))[:200]
        except (ValueError, KeyError, TypeError):
            return "no description"
