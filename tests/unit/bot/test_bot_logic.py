"""Pure decisions: signatures, health ages, texts, retries, what may be confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from app.core.backoff import Backoff
from app.core.config import Settings
from app.core.errors import LoginRefused
from app.core.health import REMEMBERED_SECONDS, Heartbeat, Streak
from app.core.healthcheck import judge
from app.logins import ATTEMPT_SECONDS, CONFIRM_SECONDS, Logins
from app.storage.postgres import refused_by_postgres
from app.storage.s3 import object_key, refusal
from app.storage.updates import chat_of
from app.telegram.client import ApiError, ApiUnreachable, explain, parse
from app.telegram.texts import duration_text, size_text
from app.workers.jobs import notification, retry_delay


def heartbeat(tmp_path: Path, clock: list[float]) -> tuple[Heartbeat, Path]:
    path = tmp_path / "heartbeat.json"
    beat = Heartbeat(path, role="primary", instance="p", clock=lambda: clock[0])
    return beat, path


def test_health_is_the_age_of_the_last_success(tmp_path: Path) -> None:
    clock = [1000.0]
    beat, path = heartbeat(tmp_path, clock)

    def verdict() -> tuple[bool, str]:
        data: dict[str, Any] = json.loads(path.read_text())
        return judge(data, clock[0])

    beat.expect("getUpdates", 25, "successful getUpdates")
    clock[0] += 3
    assert verdict() == (False, "unhealthy: no successful getUpdates yet (3 s after the start)")
    beat.beat("getUpdates")
    clock[0] += 25
    assert verdict()[0]
    beat.fail("getUpdates", "Conflict: terminated (409)")
    assert verdict()[0], "one failure is not yet illness"
    clock[0] += 1
    good, text = verdict()
    assert not good
    assert text == (
        "unhealthy: the last successful getUpdates was 26 s ago (limit 25 s), "
        "last error: Conflict: terminated (409)"
    )
    beat.beat("getUpdates")
    assert verdict() == (True, "healthy: successful getUpdates 0 s ago")


def test_every_check_must_be_fresh(tmp_path: Path) -> None:
    clock = [0.0]
    beat, path = heartbeat(tmp_path, clock)
    beat.expect("queue", 10, "read")
    beat.expect("database", 20, "query")
    beat.beat("queue")
    beat.beat("database")
    clock[0] = 15
    good, text = judge(json.loads(path.read_text()), clock[0])
    assert not good
    assert "read" in text
    assert "query" not in text
    assert judge({}, 0) == (False, "unhealthy: the process has not begun its work yet")


def test_refused_login_is_unhealthy_whatever_still_works(tmp_path: Path) -> None:
    clock = [0.0]
    beat, path = heartbeat(tmp_path, clock)
    logins = Logins(beat, lambda: clock[0])

    def verdict() -> tuple[bool, str]:
        beat.beat("queue")
        return judge(json.loads(path.read_text()), clock[0])

    beat.expect("queue", 10, "read")
    assert logins.refused("redis", LoginRefused("Redis says no"))
    assert verdict() == (False, "unhealthy: Redis says no"), "one that never worked counts at once"
    logins.accepted("redis")
    assert verdict()[0]
    assert not logins.refused("redis", LoginRefused("a start"))
    assert verdict()[0], "a single one may be a service that starts"
    logins.accepted("redis")
    clock[0] = 3
    assert not logins.refused("redis", LoginRefused("no"))
    clock[0] += CONFIRM_SECONDS - 0.1
    assert not logins.refused("redis", LoginRefused("no"))
    clock[0] += 0.1
    assert logins.refused("redis", LoginRefused("no"))
    logins.accepted("database")
    assert verdict() == (False, "unhealthy: no")
    logins.accepted("redis")
    assert verdict()[0]


def test_health_says_within_a_minute_that_a_login_is_refused() -> None:
    """The first attempt fails just after one that worked; then Docker asks three times."""
    [longest] = [
        m.le for m in Settings.model_fields["login_check_seconds"].metadata if hasattr(m, "le")
    ]
    docker = 3 * 5
    assert longest + CONFIRM_SECONDS + docker <= 60 - ATTEMPT_SECONDS


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("status code: 403 Forbidden: <Error><Code>AccessDenied</Code></Error>", "AccessDenied"),
        ("in 1ms - Server returned non-2xx status code: 401 Unauthorized: ", "401 Unauthorized: "),
        ("the operation lacked privileges", "the operation lacked privileges"),
    ],
)
def test_the_word_of_the_object_storage(text: str, word: str) -> None:
    assert refusal(text) == word


POSTGRES = 'connection failed: connection to server at "10.0.0.5", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            'FATAL:  password authentication failed for user "a"',
            'password authentication failed for user "a"',
        ),
        ('FATAL:  role "a" is not permitted to log in', 'role "a" is not permitted to log in'),
        ('FATAL:  role "a" does not exist', 'role "a" does not exist'),
        ('FATAL:  database "a" does not exist', 'database "a" does not exist'),
        (
            'FATAL:  permission denied for database "a"\nDETAIL:  x',
            'permission denied for database "a"',
        ),
        (
            "FATAL:  Passwort-Authentifizierung für Benutzer »a« fehlgeschlagen",
            "Passwort-Authentifizierung für Benutzer »a« fehlgeschlagen",
        ),
        ("ВАЖНО:  роль не существует", "роль не существует"),
        (
            "Connection refused\n\tIs the server running on",
            None,
        ),
        (
            "server closed the connection unexpectedly\n\tThis probably means",
            None,
        ),
        ("timeout expired", None),
        ("FATAL:  the database system is starting up", None),
        ("FATAL:  the database system is shutting down", None),
        ("FATAL:  the database system is in recovery mode", None),
        (
            "FATAL:  the database system is not yet accepting connections",
            None,
        ),
        ("FATAL:  sorry, too many clients already", None),
        ('FATAL:  too many connections for role "a"', None),
        (
            "FATAL:  remaining connection slots are reserved for x",
            None,
        ),
        ("FATAL:  no more connections allowed (max_client_conn)", None),
        ("FATAL:  terminating connection due to administrator command", None),
    ],
)
def test_which_words_of_postgres_are_a_refused_login(said: str, why: str | None) -> None:
    assert refused_by_postgres(psycopg.OperationalError(POSTGRES + said)) == why


def test_heartbeat_survives_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "heartbeat"
    beat = Heartbeat(path, role="worker", instance="w")
    beat.expect("queue", 10, "read")
    beat.beat("queue")
    assert not path.exists()
    path.parent.mkdir()
    beat.expect("queue", 10, "read")
    assert "queue" in json.loads(path.read_text())["checks"]


@pytest.mark.parametrize(
    ("raw", "chat"),
    [
        ({"update_id": 1, "message": {"chat": {"id": 5}, "from": {"id": 6}}}, 5),
        ({"update_id": 1, "edited_message": {"chat": {"id": -100123}}}, -100123),
        (
            {"update_id": 1, "callback_query": {"from": {"id": 6}, "message": {"chat": {"id": 5}}}},
            5,
        ),
        ({"update_id": 1, "inline_query": {"from": {"id": 6}}}, 6),
        ({"update_id": 1, "message_reaction": {"user": {"id": 6}, "chat": {"id": 5}}}, 5),
        ({"update_id": 1, "poll": {"id": "x"}}, None),
        ({"update_id": 1, "message": {"chat": {"id": "5"}}}, None),
        ({"update_id": 1, "message": {"chat": {"id": True}}}, None),
        ({"update_id": 1, "message": {"chat": {"id": 2**70}}}, None),
        ({"update_id": 1, "message": {"chat": [5]}}, None),
        ({"update_id": 1, "message": "hello"}, None),
        ({"update_id": 1}, None),
    ],
)
def test_whose_order_an_update_belongs_to(raw: dict[str, Any], chat: int | None) -> None:
    assert chat_of(raw) == chat


def test_one_failure_is_a_users_and_several_are_ours() -> None:
    streak = Streak(unproven=1, proven=3)
    assert streak.verdict(0) is None
    streak.failed("a", "KeyError", 1)
    assert streak.verdict(1) == "1 in a row, the last: KeyError", "it has never worked yet"
    streak.worked()
    assert streak.verdict(1) is None
    for now in (2.0, 3, 4, 5):
        streak.failed("a", "one poison message, tried again", now)
    streak.failed("b", "b", 6)
    assert streak.verdict(6) is None
    streak.failed("c", "c", 7)
    assert streak.verdict(7) == "3 in a row, the last: c"
    assert streak.verdict(5 + REMEMBERED_SECONDS) is None, "long ago"
    streak.failed("d", "d", 8)
    streak.worked()
    assert streak.verdict(8) is None


def test_failing_work_is_unhealthy_until_it_works_or_is_long_ago(tmp_path: Path) -> None:
    clock = [0.0]
    beat, path = heartbeat(tmp_path, clock)

    def verdict() -> tuple[bool, str]:
        beat.beat("queue")
        return judge(json.loads(path.read_text()), clock[0])

    beat.expect("queue", 10, "read")
    beat.failing("answers", "answers can't be sent: HTTP 502", 300)
    assert verdict() == (False, "unhealthy: answers can't be sent: HTTP 502")
    beat.failing("answers", None)
    assert verdict()[0]
    beat.failing("answers", "answers can't be sent: HTTP 502", 300)
    clock[0] = 301
    assert verdict()[0]


def test_answers_of_the_bot_api() -> None:
    assert parse(200, b'{"ok": true, "result": [1]}') == [1]
    with pytest.raises(ApiError) as caught:
        parse(
            429, b'{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":7}}'
        )
    assert (caught.value.code, caught.value.retry_after) == (429, 7.0)
    with pytest.raises(ApiError) as caught:
        parse(401, b'{"ok":false,"error_code":401,"description":"Unauthorized"}')
    assert "BOT_TOKEN_FILE" in explain(caught.value)
    for body in (b"", b"<html>", b"[]", b'{"result": 1}', b'{"ok": "yes"}', b"[" * 100_000):
        with pytest.raises(ApiUnreachable):
            parse(502, body)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"chat_id": 5, "text": "hi"}', (5, "hi")),
        (b'{"chat_id": -100123, "text": "hi", "more": 1}', (-100123, "hi")),
        (b'{"chat_id": 5, "text": "' + b"x" * 5000 + b'"}', (5, "x" * 4096)),
        (b'{"chat_id": "5", "text": "hi"}', None),
        (b'{"chat_id": true, "text": "hi"}', None),
        (b'{"chat_id": 5, "text": " "}', None),
        (b'{"chat_id": 99999999999999999999, "text": "hi"}', None),
        (b'{"chat_id": 5}', None),
        (b"[]", None),
        (b"\xff\x00", None),
        (b"[" * 100_000, None),
    ],
)
def test_callbacks_that_ask_to_tell_somebody(body: bytes, wanted: tuple[int, str] | None) -> None:
    assert notification(body) == wanted


def test_small_things() -> None:
    assert [retry_delay(n) for n in (0, 1, 2, 5, 7, 1000)] == [1, 1, 2, 16, 60, 60]
    assert [duration_text(ms) for ms in (0, 3040, 59_949, 60_000, 65_400, 3_723_000)] == [
        "0.0 s",
        "3.0 s",
        "59.9 s",
        "1:00 min",
        "1:05 min",
        "1:02:03",
    ]
    assert [size_text(n) for n in (12, 2048, 5 * 1024 * 1024)] == ["12 bytes", "2.0 KB", "5.0 MB"]
    assert object_key(1, 2) == "voice/1/2.ogg"
    backoff = Backoff(1, 8)
    delays = [backoff.next() for _ in range(6)]
    assert delays[0] < 1.2
    assert all(delay < 9 for delay in delays)
    assert delays[-1] > 7
