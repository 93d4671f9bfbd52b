"""The Bot API's client never repeats a token, whatever the address is."""

from __future__ import annotations

from secrets import token_urlsafe

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.bot_api import (
    BotApi,
    BotApiError,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import Token

TOKEN = f"712345678:{token_urlsafe(26)[:35]}"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "api.telegram.org",
        "https//api.telegram.org",
        "ftp://127.0.0.1",
        "file:///etc",
        "http://127.0.0.1 :1",
        "http://127.0.0.1:1 ",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://a..b",
        "http://\u00e4\ud800:1",
        "http://127.0.0.1:1\n",
        "http://127.0.0.1:1/?x=",
        f"http://127.0.0.1:1/bot{TOKEN}",
        f"http://{TOKEN}@127.0.0.1:1",
        "http://127.0.0.1:1",
        "http://" + "a" * 300,
    ],
)
def test_no_address_makes_an_error_show_the_token(address: str) -> None:
    with pytest.raises(BotApiError) as caught:
        BotApi(address, Token(TOKEN), timeout=2).webhook()
    secret = TOKEN.partition(":")[2]
    shown = [caught.value, caught.value.__cause__]
    assert not [error for error in shown if error is not None and secret in str(error)]
    assert "bot_api_url" in str(caught.value)
