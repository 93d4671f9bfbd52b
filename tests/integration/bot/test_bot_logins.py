"""The bot's login stops working while every open connection goes on: health says so."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bot_harness import PASSWORD, Stack, free_port, http, stopped, until
from psycopg import sql

EVERYWHERE = ("primary", "worker", "webhook")
PORTS = {name: str(free_port()) for name in ("WEBHOOK_PORT", "WEBHOOK_HEALTH_PORT")}
READY = f"http://127.0.0.1:{PORTS['WEBHOOK_HEALTH_PORT']}/readyz"


@contextmanager
def altered_role(stack: Stack, broken: str) -> Iterator[None]:
    with stack.postgres.admin("postgres") as connection:
        password = sql.SQL("PASSWORD {}")
        whole = sql.SQL("ALTER ROLE aisha LOGIN ") + password.format(sql.Literal(PASSWORD))
        connection.execute("ALTER ROLE aisha " + broken)
        try:
            yield
        finally:
            connection.execute(whole)


@contextmanager
def altered_user(stack: Stack, *broken: str) -> Iterator[None]:
    whole = ("on", f"#{hashlib.sha256(PASSWORD.encode()).hexdigest()}", "~aisha:*", "&aisha:*")
    root = stack.redis.root
    root.execute_command("ACL", *broken)
    try:
        yield
    finally:
        rights = ("+@all", "-@dangerous", "-@admin")
        root.execute_command("ACL", "SETUSER", "aisha", "resetpass", *whole, *rights)


@contextmanager
def other_keys(stack: Stack) -> Iterator[None]:
    stack.objects.stop()
    stack.objects.start("another-password")
    try:
        yield
    finally:
        stack.objects.stop()
        stack.objects.start()


@contextmanager
def other_token(stack: Stack) -> Iterator[None]:
    """Another token of the same bot: the one that it has is revoked."""
    stack.control("POST", "/bots", {"token": f"{stack.bot_id}:{'x' * 35}"})
    try:
        yield
    finally:
        stack.register()


CASES: dict[str, tuple[Callable[[Stack], Any], tuple[str, ...], str]] = {
    "PostgreSQL, password": (
        lambda stack: altered_role(stack, "PASSWORD 'another'"),
        EVERYWHERE,
        "PostgreSQL refuses the login in DATABASE_URL_FILE: password authentication failed",
    ),
    "PostgreSQL, role": (
        lambda stack: altered_role(stack, "NOLOGIN"),
        EVERYWHERE,
        'PostgreSQL refuses the login in DATABASE_URL_FILE: role "aisha" is not permitted to log',
    ),
    "Redis, password": (
        lambda stack: altered_user(stack, "SETUSER", "aisha", "resetpass", ">another"),
        EVERYWHERE,
        "Redis refuses the login in REDIS_URL_FILE: invalid username-password pair",
    ),
    "Redis, user": (
        lambda stack: altered_user(stack, "DELUSER", "aisha"),
        EVERYWHERE,
        "Redis refuses the login in REDIS_URL_FILE: invalid username-password pair",
    ),
    "object storage": (other_keys, ("worker",), "user's policy): SignatureDoesNotMatch"),
    "Bot API": (
        other_token,
        ("primary", "worker"),
        "the Bot API refuses the token in BOT_TOKEN_FILE: Unauthorized (401)",
    ),
}


@pytest.fixture(scope="module")
def serving(
    schema: str, tmp_path_factory: pytest.TempPathFactory, servers: Any, code: Path
) -> Iterator[Stack]:
    """All three, for all tests here: each of them leaves them healthy."""
    folder = tmp_path_factory.mktemp("logins") / "stack"
    with Stack(folder, *servers, code=code, template=schema) as stack:
        for role in EVERYWHERE:
            stack.start(role, **PORTS, WEBHOOK_HOST="127.0.0.1", LOGIN_CHECK_SECONDS="1")
        yield stack


@pytest.fixture
def whole(serving: Stack) -> Iterator[Stack]:
    until("all are healthy", lambda: not told(serving), 40, 0.5)
    yield serving
    # Shown by pytest for a failed test only.
    print(serving.logs())


def told(stack: Stack, *roles: str) -> dict[str, str]:
    """What each unhealthy role says; nothing from a healthy one."""
    verdicts = {role: stack.health(role, **PORTS) for role in roles or EVERYWHERE}
    return {role: text for role, (good, text) in verdicts.items() if not good}


# Broken at the same time: each is told of by itself, by those who have it.
ROUNDS = (
    ("PostgreSQL, password", "Redis, password"),
    ("PostgreSQL, role", "Redis, user"),
    ("object storage", "Bot API"),
)


def test_each_refused_login_is_told_and_forgotten(whole: Stack) -> None:
    assert sorted(sum(ROUNDS, ())) == sorted(CASES)
    stack = whole
    for names in ROUNDS:
        told_by = {role: [CASES[n][2] for n in names if role in CASES[n][1]] for role in EVERYWHERE}
        wanted = {role: sentences for role, sentences in told_by.items() if sentences}
        with ExitStack() as broken:
            for name in names:
                broken.enter_context(CASES[name][0](stack))

            def all_say(wanted: dict[str, list[str]] = wanted) -> bool:
                said = told(stack, *wanted)
                return said.keys() == wanted.keys() and all(
                    sentence in said[role] for role in wanted for sentence in wanted[role]
                )

            until(f"who has it says: {names}", all_say, 20, 0.5)
            said = told(stack)
            assert said.keys() == wanted.keys(), names
            for role, sentence in ((r, CASES[n][2]) for r in wanted for n in names):
                assert (sentence in said[role]) == (sentence in wanted[role]), (role, sentence)
            if "PostgreSQL, password" in names:
                # What has its connections still works: callers are served, not cut off.
                assert http("GET", READY)[0] == 200
        until(f"all are healthy again after {names}", lambda: not told(stack), 40, 0.5)
    text = stack.logs()
    assert PASSWORD not in text


def test_services_that_start_again_refuse_nobody(whole: Stack) -> None:
    stack = whole
    refused = stack.logs().count("a login is refused")
    said = []
    for server in (stack.postgres, stack.redis, stack.objects):
        with stopped(server):
            time.sleep(3)
            said.append(told(stack))
        for _ in range(5):
            said.append(told(stack))
            time.sleep(0.2)
        until("all are healthy again", lambda: not told(stack), 40, 0.5)
    assert "refuse" not in str(said)
    assert "webhook" in said[0]
    assert not [verdicts for verdicts in said if "primary" in verdicts]
    assert stack.logs().count("a login is refused") == refused


def test_logins_are_few_and_short(whole: Stack) -> None:
    """One connection at a time for each process, and closed again."""
    stack = whole
    query = "SELECT count(*) AS logins FROM pg_stat_activity WHERE application_name LIKE '%%-login'"
    seen = []
    for _ in range(40):
        with stack.postgres.admin(stack.database) as connection:
            row = connection.execute(psycopg.sql.SQL(query)).fetchone()
            seen.append(row["logins"] if row else None)
        time.sleep(0.05)
    assert max(seen) <= len(EVERYWHERE)
    assert seen.count(0) > len(seen) / 2
