"""The one who polls: what it confirms, when it is healthy, how it stops."""

from __future__ import annotations

import json
import signal
import time

from bot_harness import Process, Stack, http, stopped, until


def api(stack: Stack, method: str, **arguments: object) -> tuple[int, dict[str, object]]:
    status, body = http(
        "POST",
        f"{stack.api.url}/bot{stack.token}/{method}",
        json.dumps(arguments).encode(),
        {"Content-Type": "application/json"},
    )
    return status, json.loads(body)


def waiting_for_lock(stack: Stack) -> bool:
    return bool(
        stack.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query LIKE '%%INSERT INTO updates%%'"
        )
    )


def test_stop_confirms_the_last_batch_and_the_successor_sees_nothing_again(stack: Stack) -> None:
    first = stack.start("primary")
    stack.wait_healthy("primary")
    # Holds the poller in the middle of its batch: it can't ask again, so only the stop can confirm.
    with stack.postgres.admin(stack.database) as connection, connection.transaction():
        connection.execute("LOCK TABLE updates IN EXCLUSIVE MODE")
        update_id = stack.push_message(text="/start")
        until("the row waits", lambda: waiting_for_lock(stack))
        first.send(signal.SIGTERM)
        time.sleep(0.5)
        assert first.alive, "the batch was not stored"
    assert first.wait() == 0
    assert stack.stats()["pending"] == 0
    assert "last batch confirmed" in first.text
    second = stack.start("primary")
    stack.wait_healthy("primary")
    assert stack.wait_closed(update_id)["status"] == "done"
    assert "known already" not in second.text
    stats = stack.stats()
    assert stats["redelivered"] == 0
    assert stats["conflicts"] == {"C1": 0, "C2": 0, "C3": 0, "C4": 0}
    assert len(stack.answers()) == 1


def test_stop_while_parked_sends_no_further_poll(stack: Stack) -> None:
    primary = stack.start("primary", POLL_TIMEOUT="30")
    update_id = stack.push_message(text="/start")
    stack.wait_closed(update_id)
    until("a poll is parked", lambda: stack.stats()["parked"])
    polls = stack.stats()["polls"]
    stopping = time.monotonic()
    primary.send(signal.SIGTERM)
    assert primary.wait() == 0
    assert time.monotonic() - stopping < 5
    assert stack.stats()["polls"] == polls
    assert stack.stats()["pending"] == 0


def test_stop_without_database_confirms_nothing(stack: Stack) -> None:
    first = stack.start("primary")
    stack.wait_healthy("primary")
    with stopped(stack.postgres):
        update_id = stack.push_message(text="/start")
        until("the update waits", lambda: "update waits" in first.text)
        first.send(signal.SIGTERM)
        assert first.wait() == 0
        assert stack.stats()["pending"] == 1
    stack.start("primary")
    assert stack.wait_closed(update_id)["status"] == "done"
    assert len(stack.answers()) == 1


def test_killed_primary_is_answered_for_once(stack: Stack) -> None:
    """Between the row and the confirmation: the update comes again, and is recognised."""
    first = stack.start("primary")
    stack.wait_healthy("primary")
    with stack.postgres.admin(stack.database) as connection, connection.transaction():
        connection.execute("LOCK TABLE updates IN EXCLUSIVE MODE")
        update_id = stack.push_message(text="/start")
        until("the row waits", lambda: waiting_for_lock(stack))
        first.send(signal.SIGKILL)
        first.wait()
        until("the poll is unconfirmed", lambda: stack.stats()["pending"] == 1)
    second = stack.start("primary")
    worker = stack.start("worker")
    assert stack.wait_closed(update_id)["status"] == "done"
    until("the update is confirmed", lambda: stack.stats()["pending"] == 0)
    stack.wait_healthy("worker")
    time.sleep(1)
    assert len(stack.answers()) == 1
    assert second.alive
    assert worker.alive


def test_health_tells_a_conflict_and_a_lost_bot_api(stack: Stack) -> None:
    primary = stack.start("primary", POLL_TIMEOUT="1")
    stack.wait_healthy("primary")
    assert "successful getUpdates" in stack.health("primary")[1]

    assert api(stack, "setWebhook", url="https://example.com/hook")[0] == 200
    until("a conflict makes it unhealthy", lambda: not stack.health("primary")[0], 20)
    text = stack.health("primary")[1]
    assert "limit 7 s" in text
    assert "409" in text
    assert "webhook is active" in text
    lines = [json.loads(line) for line in primary.text.splitlines()]
    conflicts = [line for line in lines if line["event"].startswith("409 Conflict")]
    assert conflicts[0]["conflicts"] == 1
    assert conflicts[0]["level"] == "error"
    assert primary.alive
    # Nobody but the operator removes a webhook.
    assert api(stack, "getWebhookInfo")[1]["result"]["url"] == "https://example.com/hook"  # type: ignore[index]
    assert api(stack, "deleteWebhook")[0] == 200
    stack.wait_healthy("primary")

    with stopped(stack.api):
        until("no Bot API makes it unhealthy", lambda: not stack.health("primary")[0], 20)
        assert "last error" in stack.health("primary")[1]
        assert primary.alive
    until("the token is refused", lambda: "BOT_TOKEN_FILE is not valid" in primary.text, 30)
    assert not stack.health("primary")[0]
    stack.register()
    stack.wait_healthy("primary", seconds=40)
    update_id = stack.push_message(text="/start")
    assert stack.wait_closed(update_id)["status"] == "done"
    assert primary.alive


def test_second_poller_is_a_conflict_in_one_line_and_both_live(stack: Stack) -> None:
    first = stack.start("primary", "primary-1", POLL_TIMEOUT="10")
    until("the first is parked", lambda: stack.stats()["parked"], 30)
    second = stack.start("primary", "primary-2", POLL_TIMEOUT="10")

    def told() -> list[Process]:
        return [p for p in (first, second) if '"409 Conflict' in p.text]

    until("the conflict is told", told, 40)
    lines = [line for line in told()[0].text.splitlines() if "409 Conflict" in line]
    assert [line for line in lines if "terminated by other getUpdates request" not in line] == []
    assert first.alive
    assert second.alive


def test_answer_waits_for_the_bot_api(stack: Stack, voice: bytes) -> None:
    """Everything is stored, the answer can't be sent: it is sent once it can."""
    stack.start("primary")
    update_id = stack.push_voice(voice)
    row = until("the row is here", lambda: stack.row(update_id))
    # As if it had been downloaded at an earlier try, which its answer did not follow.
    (stack.folder / "temp" / f"{stack.bot_id}-{update_id}.src").write_bytes(voice)
    with stopped(stack.api):
        worker = stack.start("worker")
        until("the answer waits", lambda: "sendMessage" in worker.text, 30)
        row = stack.row(update_id)
        assert row is not None
        assert row["status"] == "stored"
        assert row["closed_at"] is None
    stack.register()
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    assert len(stack.answers()) == 1
