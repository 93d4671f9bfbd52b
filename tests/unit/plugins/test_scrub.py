"""No secret stays in a text, however it is written there; everything else stays as it is."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import string
import time
from collections.abc import Callable
from secrets import token_hex, token_urlsafe
from urllib.parse import quote, quote_plus

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram import token
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import (
    MIN_INSIDE_BASE64,
    MIN_SECRET,
    Scrubber,
    scrub,
)
from hypothesis import given, settings
from hypothesis import strategies as st

EVERY = settings(max_examples=200, deadline=None, database=None)
TYPED = "/+=@:%#?'\"\\$ &<>!*()[]{};,|`^~"
# Longer than what a text has by chance, with every character that has a meaning somewhere.
NASTY = [f"{token_hex(3)}{character}{token_hex(4)}" for character in TYPED] + [
    f"{token_hex(3)}{TYPED}{token_hex(3)}",
    f"пароль{token_hex(4)}",
    f"{token_hex(4)}\n{token_hex(9)}",
    f"{token_hex(3)}\t{token_hex(3)}",
]


def base64_behind(before: str) -> Callable[[str], str]:
    return lambda text: base64.b64encode(f"{before}:{text}:x".encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quote": lambda text: quote(text, safe=""),
    "quote, lower case": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "quote, but not slashes": quote,
    "quote_plus": quote_plus,
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 of login 1": base64_behind("u"),
    "base64 of login 2": base64_behind("us"),
    "base64 of login 3": base64_behind("usr"),
    "JSON": json.dumps,
    "JSON, not ASCII only": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "shell": shlex.quote,
    "shell, backslashes": lambda text: re.sub(r"([^A-Za-z0-9_./\n-])", r"\\\1", text),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "repr of a dict": lambda text: repr({"password": text, "it's": '"'}),
    "HTML": html.escape,
}


def pieces(text: str) -> set[str]:
    """What would tell something of a secret; words of one language are no secret."""
    runs = re.findall(r"[0-9a-f]{6,}", text)
    return {run[start : start + 6] for run in runs for start in range(len(run) - 5)}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", NASTY, ids=range(len(NASTY)))
def test_a_secret_that_is_told_is_hidden(secret: str, form: Callable[[str], str]) -> None:
    written = form(secret)
    assert written not in (scrubbed := Scrubber([secret]).scrub(f"before <{written}> after"))
    # What stands around it in the same base64 or quotes may go, or stay.
    assert re.fullmatch(r"before <.*> after", scrubbed)
    assert "***" in scrubbed
    assert pieces(secret)
    assert not [piece for piece in pieces(secret) if piece in scrubbed]


@EVERY
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=MIN_SECRET, max_size=40).filter(
        lambda text: not set(text) <= set("*")
    ),
    st.sampled_from(sorted(FORMS)),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_any_secret_is_hidden(secret: str, form: str, before: str, after: str) -> None:
    if form.startswith("base64 of login") and len(secret.encode()) < MIN_INSIDE_BASE64:
        form = "base64"
    scrubber = Scrubber([secret])
    written = FORMS[form](secret)
    scrubbed = scrubber.scrub(f"{before} {written} {after}")
    assert written not in scrubbed or written in f"{before}***{after}"
    assert scrubber.scrub(scrubbed) == scrubbed


@EVERY
@given(st.lists(st.text(string.printable, max_size=12), max_size=4), st.text(string.printable))
def test_twice_is_as_once(secrets: list[str], text: str) -> None:
    scrubber = Scrubber(secrets)
    scrubbed = scrubber.scrub(text + "".join(secrets) + text)
    assert scrubber.scrub(scrubbed) == scrubbed


def test_the_longer_of_two_secrets_leaves_nothing() -> None:
    short, long = token_hex(8), token_hex(8)
    assert Scrubber([short, short + long]).scrub(f"{short}{long} {short}") == "*** ***"
    # Neither of two that overlap.
    assert Scrubber([short + long[:8], long]).scrub(short + long) == "***"


def test_a_short_secret_is_left_out() -> None:
    assert Scrubber(["", "a", "abc"]).scrub("abc a b") == "abc a b"


def test_a_token_that_is_told_keeps_its_number() -> None:
    bot, short = "712345678", token_urlsafe(14)[:16]
    own = f"{bot}:{short}"
    assert Scrubber([own]).scrub(f"POST /bot{own}/getMe {short}") == f"POST /bot{bot}:***/getMe ***"


def test_of_an_address_that_is_told_the_password_is_secret() -> None:
    password = f"{token_hex(4)}/{token_hex(4)}"
    url = f"postgresql://aisha:{quote(password, safe='')}@db.example.com:5432/aisha"
    scrubbed = Scrubber([url]).scrub(f"{url} and {password} at db.example.com")
    assert scrubbed == "postgresql://aisha:***@db.example.com:5432/aisha and *** at db.example.com"


def test_every_line_of_a_key_is_hidden() -> None:
    lines = [token_urlsafe(48) for _number in range(4)]
    scrubbed = Scrubber(["\n".join(lines)]).scrub(f"key: {lines[2]}")
    assert scrubbed == "key: ***"


# Without being told

URLS = [
    "redis://aisha:{}@cache.example.com:6379/0",
    "redis://:{}@cache.example.com:6379/0",
    "rediss://aisha:{}@[2001:db8::1]:6379/0",
    "postgresql://aisha:{}@db1.example.com:5432,db2.example.com:5432/aisha?sslmode=require",
    "postgresql+psycopg://a.b-c%40d:{}@db.example.com/aisha",
    "http://aisha:{}@aisha-minio:9000/bucket/key",
    "https://aisha:{}@example.com",
    "amqp://aisha:{}@example.com/%2F",
    "s3+http://key:{}@127.0.0.1:9000",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("around", ["{}", "at '{}': no", '{{"url": "{}"}}', "URL={}\n", "<{}>"])
@pytest.mark.parametrize("typed", ["", *"/+=:%#?\\$&!*()[]{};,|`^~", "@", "@@", "://", "/a@"])
def test_the_password_of_an_address_is_hidden(url: str, around: str, typed: str) -> None:
    password = f"{token_hex(4)}{typed}{token_hex(4)}"
    for written in (password, quote(password, safe=""), quote(password)):
        assert scrub(around.format(url.format(written))) == around.format(url.format("***"))


@pytest.mark.parametrize("typed", [" ", "'", '"', " it's "])
def test_the_password_of_an_address_may_have_blanks_and_quotes(typed: str) -> None:
    password = f"{token_hex(4)}{typed}{token_hex(4)}"
    for url in URLS:
        assert scrub(f"URL={url.format(password)}") == f"URL={url.format('***')}"


def test_several_addresses_on_one_line() -> None:
    for between in (" ", ",", "', '", '","', ";"):
        text = between.join(URLS)
        assert scrub(text.replace("{}", token_hex(9))) == text.replace("{}", "***")


def test_an_address_within_an_address() -> None:
    inner = quote(f"redis://aisha:{token_hex(9)}@example.com/0", safe="")
    scrubbed = scrub(f"https://example.com/?next={inner}&a=b")
    assert scrubbed == "https://example.com/?next=redis%3A%2F%2Faisha%3A***%40example.com%2F0&a=b"


def test_a_password_that_is_a_number() -> None:
    assert scrub("http://aisha:8080@example.com/") == "http://aisha:***@example.com/"
    assert scrub("redis://aisha:12/34@example.com/") == "redis://aisha:***@example.com/"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic {}",
        "authorization: bearer {}",
        "{{'Authorization': 'Bearer {}', 'Accept': '*/*'}}",
        '{{"Proxy-Authorization": "Basic {}"}}',
        '[["authorization", "Basic {}"]]',
        "curl -H 'Authorization: Bearer {}'",
        "X-Registry-Auth: {}",
        "sent Bearer {}, refused",
    ],
)
def test_the_login_of_a_request_is_hidden(text: str) -> None:
    login = base64.b64encode(f"aisha:{token_hex(12)}1".encode()).decode()
    assert scrub(text.format(login)) == text.format("***")


def test_the_token_in_a_log_of_httpx() -> None:
    line = (
        'HTTP Request: POST https://api.telegram.org/bot712345678:{}/sendMessage "HTTP/1.1 200 OK"'
    )
    assert scrub(line.format(token_urlsafe(26)[:35])) == line.format("***")
    own = token.Token(f"812345678:{token_urlsafe(26)[:35]}")
    assert own.scrub(line.format(token_urlsafe(26)[:35])) == line.format("***")


@pytest.mark.parametrize("place", [9, 10, 11, 20, 43])
def test_colours_in_a_token_hide_nothing_of_it(place: int) -> None:
    """As loggers write them that mark numbers or what they look for."""
    secret = token_urlsafe(26)[:35]
    whole = f"712345678:{secret}"
    written = f"{whole[:place]}\x1b[1;31m{whole[place:]}"
    scrubbed = scrub(f"POST /bot{written}/getMe")
    assert scrubbed == "POST /bot712345678:***/getMe"


@pytest.mark.parametrize(
    "text",
    [
        f"registry.example.com:5000/aisha/bot@sha256:{token_hex(32)}",
        f"docker://registry.example.com:5000/aisha/bot:1.2@sha256:{token_hex(32)}",
        f"docker://alpine:3.20@sha256:{token_hex(32)}",
        f"http://127.0.0.1:5000/v2/aisha/bot@sha256:{token_hex(32)}",
        f"sha256:{token_hex(32)}",
        "2026-11-26T21:24:58.123456Z 12:30:05,123 +00:00",
        "http://[2001:db8::1]:8080/a@b fe80::1%eth0 ::1 [::]:5000",
        "http://127.0.0.1:8080/users/me@example.com",
        "https://example.com:443?mail=me@example.com",
        "redis://cache.example.com:6379/0 as aisha@example.com",
        "redis://cache.example.com:6379, asked by aisha@example.com",
        "could not reach https://example.com: write to admin@example.com",
        "https://example.com/a:b@c",
        "ssh://git@example.com:22/aisha/bot.git",
        "git@github.com:aisha/bot.git",
        "http://aisha@example.com:8080/",
        "postgresql://aisha@/aisha?host=/var/run/postgresql",
        "authorization: failed for aisha",
        "Basic authentication is switched off",
        'WWW-Authenticate: Basic realm="registry.example.com"',
        "redis://aisha:***@example.com",
        "Authorization: Basic ***",
        "bot712345678:***",
        "user: me@example.com",
        "C:\\Users\\me@example.com",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    for secrets in ((), (token_hex(16), "p@ss:w/rd")):
        assert Scrubber(secrets).scrub(text) == text
        assert Scrubber(secrets).scrub(f"[{text}] and on\n") == f"[{text}] and on\n"


@EVERY
@given(st.text().filter(lambda text: "://" not in text and not re.search(r"[0-9]{3}(:|%)", text)))
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Scrubber([token_hex(16)]).scrub(text) == text


def test_a_long_log_is_quick() -> None:
    """Neither backtracking nor a pass for every secret makes it slow."""
    log = ("http://aisha:" + "a" * 900 + "\n") * 2000 + "redis://a:" * 20000
    start = time.process_time()
    Scrubber([token_hex(16) for _number in range(20)]).scrub(log + "%+")
    assert time.process_time() - start < 20
