"""Logins while their password changes: the decisions as tables."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
from pathlib import Path

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import logins, redis_acl

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("accepts", "login", "leftovers"),
    [
        # New, and unchanged.
        ({}, "bot", []),
        ({"bot": True}, "bot", []),
        # A new password: one beside it.
        ({"bot": False}, "bot.1", ["bot"]),
        # The run failed, and comes again; or the old password is back.
        ({"bot": False, "bot.1": True}, "bot.1", ["bot"]),
        ({"bot": True, "bot.1": False}, "bot", ["bot.1"]),
        # A third one, while both others are in use.
        ({"bot": False, "bot.1": False}, "bot.2", ["bot", "bot.1"]),
        # Concluded: who was given one beside it keeps that.
        ({"bot": True, "bot.1": True}, "bot.1", []),
        ({"bot": False, "bot.2": False}, "bot.1", ["bot", "bot.2"]),
        # Names of others.
        ({"bot": True, "bot.x": True, "bot.01": True, "bott.1": True}, "bot", []),
        ({"bot": False, "bot.x": False, "bot.01": False, "bott.1": False}, "bot.1", ["bot"]),
    ],
)
def test_the_login_for_a_password(
    accepts: dict[str, bool], login: str, leftovers: list[str]
) -> None:
    assert logins.choose("bot", accepts) == login
    assert logins.leftovers("bot", accepts) == leftovers


def verifier(password: bytes) -> str:
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, 4096)
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    parts = [base64.b64encode(part).decode() for part in (hashlib.sha256(client).digest(), server)]
    return f"SCRAM-SHA-256$4096:{base64.b64encode(salt).decode()}${parts[0]}:{parts[1]}"


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("plain /+=@:%#?", b"plain /+=@:%#?"),
        ("soft\u00adhyphen", b"softhyphen"),
        ("no\u00a0break", b"no break"),
        ("\u2168", b"IX"),
        ("Größe", "Größe".encode()),
        # What the rules don't allow is taken as it is.
        ("bell\x07\u00a0", "bell\x07\u00a0".encode()),
        ("א\u00a0a", "א\u00a0a".encode()),
    ],
)
def test_a_scram_verifier_knows_its_password(password: str, prepared: bytes) -> None:
    assert logins.scram_matches(verifier(prepared), password)
    assert not logins.scram_matches(verifier(prepared), password + "x")


@pytest.mark.parametrize(
    "text", [None, "", "md5d41d8cd98f00b204e9800998ecf8427e", "SCRAM-SHA-256$"]
)
def test_other_verifiers_match_nothing(text: str | None) -> None:
    assert not logins.scram_matches(text, "password")


def user(name: str, *passwords: str) -> dict[str, object]:
    return {
        "name": name,
        "passwords": [redis_acl.hashed(word) for word in passwords],
        "rules": "~x",
    }


def acl(
    *users: dict[str, object], before: str = "", conclude: bool = False
) -> tuple[str, list[str]]:
    text, kept = redis_acl.render(list(users), before, conclude)
    return text, kept


def passwords(text: str, name: str) -> set[str]:
    return set(redis_acl.parse(text).get(name, ([], ""))[0])


def test_an_old_password_works_until_it_is_concluded() -> None:
    one, two, three = (redis_acl.hashed(word) for word in ("one", "two", "three"))
    text, kept = acl(user("bot", "one"))
    assert (passwords(text, "bot"), kept) == ({one}, [])
    text, kept = acl(user("bot", "two"), before=text)
    assert (passwords(text, "bot"), kept) == ({one, two}, ["bot"])
    # The run failed and comes again; it changes nothing.
    assert acl(user("bot", "two"), before=text) == (text, kept)
    # Or the old password is back, or there is a third one.
    assert passwords(acl(user("bot", "one"), before=text)[0], "bot") == {one, two}
    assert passwords(acl(user("bot", "three"), before=text)[0], "bot") == {one, two, three}
    text, kept = acl(user("bot", "two"), before=text, conclude=True)
    assert (passwords(text, "bot"), kept) == ({two}, [])


def test_who_needs_no_password_keeps_none_and_nobody_else_gets_in() -> None:
    before, _kept = acl(user("monitor", "one"))
    text, kept = acl(user("monitor"), before=before)
    assert (passwords(text, "monitor"), kept) == (set(), [])
    assert text.startswith("user default off ")


def test_a_user_that_is_not_wanted_any_more_works_until_it_is_concluded() -> None:
    before, _kept = acl(user("former", "one"))
    text, kept = acl(user("bot", "two"), before=before)
    assert passwords(text, "former") == {redis_acl.hashed("one")}
    assert kept == ["former"]
    text, kept = acl(user("bot", "two"), before=text, conclude=True)
    assert "former" not in redis_acl.parse(text)


@pytest.mark.parametrize("name", ["admin", "reload"])
def test_what_no_bot_uses_changes_at_once(name: str) -> None:
    before, _kept = acl(user(name, "one"))
    text, kept = acl(user(name, "two"), before=before)
    assert (passwords(text, name), kept) == ({redis_acl.hashed("two")}, [])
    assert name not in redis_acl.parse(acl(user("bot", "x"), before=before)[0])


@pytest.mark.parametrize(
    ("url", "logins_", "expected"),
    [
        (
            "postgresql://bot:a%40b@db:5432/bot",
            {"bot": "bot.1"},
            "postgresql://bot.1:a%40b@db:5432/bot",
        ),
        ("postgresql+psycopg://bot@db/bot", {"bot": "bot.1"}, "postgresql+psycopg://bot.1@db/bot"),
        ("postgresql://bot:x@db/bot", {"bot": "bot"}, "postgresql://bot:x@db/bot"),
        ("postgresql://bot:x@db/bot", {}, "postgresql://bot:x@db/bot"),
        ("postgresql://bott:x@db/bot", {"bot": "bot.1"}, "postgresql://bott:x@db/bot"),
        # As it stands in a URL.
        ("postgresql://a%40b:x@db/bot", {"a@b": "a@b.1"}, "postgresql://a%40b.1:x@db/bot"),
        # No login in it: a host of this name is none.
        ("postgresql://bot:5432/bot", {"bot": "bot.1"}, "postgresql://bot:5432/bot"),
        ("postgresql:///bot", {"bot": "bot.1"}, "postgresql:///bot"),
        ("", {"bot": "bot.1"}, ""),
    ],
)
def test_an_address_with_another_login(url: str, logins_: dict[str, str], expected: str) -> None:
    spec = importlib.util.spec_from_file_location(
        "with_login", ROOT / "plugins/filter/with_login.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FilterModule().filters()["with_login"](url, logins_) == expected
