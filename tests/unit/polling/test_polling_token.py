"""A token is recognised however it is written, and never shown."""

from __future__ import annotations

import hashlib
import os
import string
import traceback
from pathlib import Path
from secrets import token_hex, token_urlsafe
from urllib.parse import quote

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import scrub
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import (
    Token,
    TokenError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[3]
ALPHABET = string.ascii_letters + string.digits + "_-"
ID = "712345678"
# Other ones in each run; a failure prints how to repeat it. `make soak` tries many more.
EXAMPLES = int(os.environ.get("EXAMPLES", "400"))
EVERY = settings(max_examples=EXAMPLES, deadline=None, database=None, print_blob=True)

# Where a token is found: in a URL, JSON, a command, a line of a log.
AROUND = [
    "{}",
    "https://api.telegram.org/bot{}/getUpdates?timeout=50",
    "https://example.com/?next=https%3A%2F%2Fapi.telegram.org%2Fbot{}%2FgetMe",
    '{{"token": "{}", "admin": 1}}',
    "BOT_TOKEN={}\nDEBUG=1\n",
    "--token={} --verbose",
    "2026-01-01 12:30:05 [INFO] 127.0.0.1:8080 {} started",
    "50% of {}: 7%",
]


def secret() -> str:
    return token_urlsafe(26)[:35]


def secrets_of(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABET, min_size=least, max_size=most)


SECRETS = secrets_of(35, 35)
IDS = st.integers(10**7, 10**12).map(str)
WRAPPERS = st.sampled_from(AROUND)


@st.composite
def encoded(draw: st.DrawFn, text: str) -> str:
    """The text with any of its characters percent-encoded."""
    result = ""
    for character in text:
        if character == "%" or draw(st.booleans()):
            character = (
                f"%{ord(character):02X}" if draw(st.booleans()) else f"%{ord(character):02x}"
            )
        result += character
    return result


@pytest.mark.parametrize("around", AROUND)
def test_this_token_is_found(around: str) -> None:
    own = secret()
    token = Token(f"{ID}:{own}")
    for form in (f"{ID}:{own}", f"{ID}%3A{own}", f"{ID}%3a{own}", f"{ID}%253A{own}", own):
        assert token.find(around.format(form)) is True


@EVERY
@given(IDS, SECRETS, WRAPPERS, st.data())
def test_this_token_is_found_however_it_is_encoded(
    bot_id: str, own: str, around: str, data: st.DataObject
) -> None:
    token = Token(f"{bot_id}:{own}")
    for text in (f"{bot_id}:{own}", own):
        once = data.draw(encoded(text))
        assert token.find(around.format(once)) is True
        assert token.find(around.format(data.draw(encoded(once)))) is True


@EVERY
@given(secrets_of(16, 64), WRAPPERS)
def test_a_short_or_long_secret_is_found_alone(own: str, around: str) -> None:
    assert Token(f"{ID}:{own}").find(around.format(own)) is True


@EVERY
@given(SECRETS, SECRETS, WRAPPERS, st.data())
def test_another_token_of_the_bot_is_told_apart(
    own: str, older: str, around: str, data: st.DataObject
) -> None:
    token = Token(f"{ID}:{own}x")
    text = f"{ID}:{older}"
    once = data.draw(encoded(text))
    for form in (text, once, data.draw(encoded(once))):
        assert token.find(around.format(form)) is False


@pytest.mark.parametrize(
    "make",
    [
        lambda: ID,
        lambda: f"{ID}:",
        lambda: f"{ID}:8080",
        lambda: f"{ID}:12:30",
        lambda: f"user {ID} wrote",
        lambda: f"9{ID}:{secret()}",
        lambda: f"{ID}0:{secret()}",
        lambda: f"712345679:{secret()}",
        lambda: secret(),
        lambda: f"{ID} : {secret()}",
        lambda: quote(f"9{ID}:{secret()}", safe=""),
        lambda: "100%",
        lambda: "",
        lambda: "%ff%fe" + ID,
    ],
)
def test_the_number_alone_and_other_bots_are_nothing(make: object) -> None:
    assert callable(make)
    assert Token(f"{ID}:{secret()}").find(make()) is None


@EVERY
@given(st.text())
def test_any_other_text_is_nothing(text: str) -> None:
    assert Token(f"{ID}:{secret()}").find(text) is None


# Scrubbing

# No part of a token; what stands beside it can't hide it.
BESIDE = st.text(
    st.characters(exclude_characters=ALPHABET + ":%", exclude_categories=("Cs", "Nd")), max_size=20
)


def pieces(own: str) -> set[str]:
    return {own[start : start + 8] for start in range(len(own) - 7)}


@EVERY
@given(IDS, SECRETS, BESIDE, WRAPPERS, BESIDE, st.sampled_from([":", "%3A", "%3a"]))
def test_no_piece_of_a_token_survives(
    bot_id: str, own: str, before: str, around: str, after: str, colon: str
) -> None:
    text = before + around.format(bot_id + colon + own) + after
    beside = before + around.format(bot_id + colon) + after
    for scrubbed in (scrub(text), Token(f"{bot_id}:{own}").scrub(text)):
        assert not [piece for piece in pieces(own) if piece in scrubbed and piece not in beside]
        assert scrub(scrubbed) == scrubbed
        assert scrubbed.startswith(before)


@EVERY
@given(secrets_of(16, 64), BESIDE, WRAPPERS, BESIDE)
def test_no_piece_of_the_own_secret_survives_even_alone(
    own: str, before: str, around: str, after: str
) -> None:
    token = Token(f"{ID}:{own}")
    scrubbed = token.scrub(before + around.format(own) + after + around.format(token.reveal()))
    assert not [piece for piece in pieces(own) if piece in scrubbed and piece not in around]
    assert token.scrub(scrubbed) == scrubbed


def test_what_else_is_secret_is_scrubbed() -> None:
    token = Token(f"{ID}:{secret()}", ["a key of a vendor"])
    assert token.scrub(f"a key of a vendor, {token.reveal()}") == f"***, {ID}:***"


@EVERY
@given(st.text().filter(lambda text: ":" not in text and "%3a" not in text.lower()))
def test_text_without_tokens_stays_as_it_is(text: str) -> None:
    assert scrub(text) == text
    assert Token(f"{ID}:{secret()}").scrub(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01 12:30:05.123456 GET http://127.0.0.1:8081/status",
        "registry.example.com:5000/aisha/bot:1.2.3",
        f"{ID}:",
        f"{ID}:***",
        "12:" + "a" * 40,
        "message 4711: some words, each of them short",
    ],
)
def test_what_only_resembles_a_token_stays_as_it_is(text: str) -> None:
    assert scrub(text) == text


def test_the_digest_of_an_image_is_no_token() -> None:
    digest = f"registry.example.com:5000/aisha/bot@sha256:{token_hex(32)}"
    assert scrub(digest) == digest


def test_a_token_right_after_a_word_is_scrubbed() -> None:
    for word in ("bot", "x", "natasha", "sha"):
        assert scrub(f"{word}{ID}:{secret()}") == f"{word}{ID}:***"


@EVERY
@given(SECRETS, SECRETS, st.sampled_from([", ", "\n", " ", '","', "&t="]))
def test_every_token_of_a_text_is_scrubbed(first: str, second: str, between: str) -> None:
    text = f"{ID}:{first}{between}{ID}9:{second}"
    assert scrub(text) == f"{ID}:***{between}{ID}9:***"


# Making one


@pytest.mark.parametrize(
    "make",
    [
        lambda own: own,
        lambda own: "",
        lambda own: ":",
        lambda own: ID,
        lambda own: f"{ID}:",
        lambda own: f":{own}",
        lambda own: f"0{ID}:{own}",
        lambda own: f"-{ID}:{own}",
        lambda own: f"bot{ID}:{own}",
        lambda own: f"1234567890{ID}9:{own}",
        lambda own: f"{ID}:{own[:15]}",
        lambda own: f"{ID}:{own}{own}",
        lambda own: f"{ID}:{own}!",
        lambda own: f"{ID}:{own}:{own}",
        lambda own: f"{ID}:{own[:20]}\n{own[:20]}",
        lambda own: f"{ID} {own}",
        lambda own: f"{ID}%3A{own}",
        lambda own: f"\u0661\u0662\u0663\u0664\u0665:{own}",
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(make: object) -> None:
    assert callable(make)
    own = secret()
    with pytest.raises(TokenError) as caught:
        Token(make(own))
    shown = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.args)
    assert str(caught.value)
    assert not [piece for piece in pieces(own) if piece in shown]
    assert ID not in shown


def test_spaces_and_a_line_end_around_a_token_do_not_count() -> None:
    own = secret()
    token = Token(f"  {ID}:{own}\r\n")
    assert (token.reveal(), token.bot_id) == (f"{ID}:{own}", ID)
    assert own not in repr(token)


# The fingerprint


@pytest.mark.parametrize("name", ["aisha", "other stack", "b\u00f6t", ""])
def test_the_fingerprint_is_that_of_the_role(name: str) -> None:
    text = f"{ID}:{secret()}"
    expression = yaml.safe_load((ROOT / "roles/bot/vars/main.yml").read_text())["__bot_fingerprint"]
    templar = Templar(loader=DataLoader(), variables={"bot_token": text, "bot_stack_name": name})
    fingerprint = Token(text).fingerprint(name)
    assert fingerprint == templar.template(trust_as_template(expression))
    digest = hashlib.sha256((name + text).encode()).hexdigest()
    assert fingerprint == f"{ID}:{digest[:16]}"
