"""What a failing handler, an update that can't be read and a bad release do: nothing is lost."""

from __future__ import annotations

import json
import shutil
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from app.storage.postgres import make_pool
from app.storage.updates import Updates
from bot_harness import Process, Stack, until

# A release with a defect: what its users write decides whether its handlers raise.
DEFECT = """
    @router.message(F.text.startswith("{words}"))
    async def defect(message: Message) -> None:
        raise KeyError("a defect of this release")

    @router.message(CommandStart())"""


def release(stack: Stack, folder: Path, words: str) -> Path:
    """A copy of the bot whose handler raises at what begins with `words`."""
    shutil.copytree(stack.code, folder)
    handlers = folder / "app/bot/handlers.py"
    text = handlers.read_text()
    mark = "\n    @router.message(CommandStart())"
    assert text.count(mark) == 1
    handlers.write_text(text.replace(mark, DEFECT.format(words=words)))
    return folder


def start(stack: Stack, code: Path, name: str = "primary", **extra: str) -> Process:
    before, stack.code = stack.code, code
    try:
        return stack.start("primary", name, **extra)
    finally:
        stack.code = before


def update(stack: Stack, update_id: int) -> dict[str, Any]:
    [row] = stack.query("SELECT * FROM updates WHERE update_id = %s", update_id)
    return row


def status(stack: Stack, update_id: int) -> str:
    rows = stack.query("SELECT status FROM updates WHERE update_id = %s", update_id)
    return str(rows[0]["status"]) if rows else ""


def replay(stack: Stack, *arguments: str) -> str:
    done = stack.run("replay", *arguments, role="primary", name="replay")
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def test_a_poison_message_is_kept_and_delays_nobody(stack: Stack, tmp_path: Path) -> None:
    bad = release(stack, tmp_path / "bad", "poison")
    primary = start(stack, bad)
    stack.wait_healthy("primary")
    stack.wait_closed(stack.push_message(chat_id=3, text="/start"))
    began = time.monotonic()
    poison = stack.push_message(chat_id=1, text="poison: my secret words")
    behind = stack.push_message(chat_id=1, text="/start")
    others = [stack.push_message(chat_id=chat, text="/start") for chat in range(10, 40)]
    for other in others:
        until("others are handled", lambda other=other: status(stack, other) == "done")
    assert time.monotonic() - began < 5
    assert status(stack, behind) == "open", "the order within a chat is kept"
    until("all are confirmed", lambda: stack.stats()["pending"] == 0)

    until("it is put aside", lambda: status(stack, poison) == "failed")
    until("its chat goes on", lambda: status(stack, behind) == "done")
    assert stack.health("primary")[0], "one bad message does not make a release bad"
    assert update(stack, poison)["attempts"] == 5
    assert "secret words" in update(stack, poison)["raw"]
    assert update(stack, behind)["raw"] == "", "what users write is not kept for longer than needed"
    listed = replay(stack)
    assert f"update {poison}\tchat 1" in listed
    assert "tried 5 times\tKeyError: 'a defect of this release'" in listed
    assert "secret words" not in listed
    row_id = update(stack, poison)["id"]
    assert "secret words" in replay(stack, "show", str(row_id))

    primary.end()
    stack.start("primary")
    assert "1 are open again" in replay(stack, "run", str(row_id))
    assert stack.wait_closed(poison)["status"] == "done"
    until("it is done", lambda: status(stack, poison) == "done")
    assert "No update failed." in replay(stack)


def test_a_release_whose_handlers_fail_is_unhealthy_at_its_first_message(
    stack: Stack, tmp_path: Path
) -> None:
    bad = start(stack, release(stack, tmp_path / "bad", ""))
    first = stack.push_message(chat_id=1, text="/start")
    until("it is told", lambda: "handlers fail" in stack.health("primary")[1], 40)
    healthy, text = stack.health("primary")
    assert not healthy
    assert "a defect of this release" in text
    assert "replay" in text
    until("it is confirmed all the same", lambda: stack.stats()["pending"] == 0)
    second = stack.push_message(chat_id=2, text="/help")
    until("that one waits for its turn", lambda: status(stack, second) == "open")
    bad.end()

    # The deploy goes back: what was not given up is handled, what was given up waits for a word.
    stack.start("primary")
    stack.wait_healthy("primary")
    assert stack.wait_closed(second)["status"] == "done"
    assert stack.row(first) is None
    replay(stack, "run")
    assert stack.wait_closed(first)["status"] == "done"


def test_a_release_that_can_not_be_loaded_keeps_what_comes(stack: Stack, tmp_path: Path) -> None:
    broken = release(stack, tmp_path / "broken", "x")
    (broken / "app/bot/handlers.py").write_text("raise ImportError('not in this release')\n")
    update_id = stack.push_message(text="/start")
    primary = start(stack, broken)
    assert primary.wait() == 1
    assert not stack.health("primary")[0]
    assert status(stack, update_id) in ("open", "")
    stack.start("primary")
    assert stack.wait_closed(update_id)["status"] == "done"
    assert len(stack.answers()) == 1


def test_what_the_library_can_not_read_is_kept(stack: Stack) -> None:
    """An update of a newer Bot API, by which one type became another."""
    primary = stack.start("primary")
    stack.wait_healthy("primary")
    newer = stack.push_message(chat_id=1, date="yesterday", text="/start")
    until("it is put aside", lambda: status(stack, newer) == "failed")
    good = stack.push_message(chat_id=1, text="/start")
    assert stack.wait_closed(good)["status"] == "done"
    assert "message.date" in replay(stack, "list")
    shown = replay(stack, "show", str(update(stack, newer)["id"]))
    assert json.loads(shown.partition("\n")[2])["message"]["date"] == "yesterday"
    assert stack.stats()["pending"] == 0
    stack.wait_healthy("primary")
    assert primary.alive


def test_a_primary_that_is_killed_in_a_handler(stack: Stack, tmp_path: Path) -> None:
    """Stored and confirmed, not handled: the successor does it from the row, in order."""
    slow = release(stack, tmp_path / "slow", "slow")
    handlers = slow / "app/bot/handlers.py"
    text = handlers.read_text()
    waits = 'await __import__("asyncio").sleep(600)'
    handlers.write_text(text.replace('raise KeyError("a defect of this release")', waits))
    first = start(stack, slow)
    stack.wait_healthy("primary")
    ids = [stack.push_message(chat_id=1, text=text) for text in ("slow", "/start", "/help")]
    until("they are confirmed", lambda: stack.stats()["pending"] == 0)
    first.send(signal.SIGKILL)
    first.wait()
    assert [status(stack, update_id) for update_id in ids] == ["open"] * 3
    stack.start("primary")
    rows = [stack.wait_closed(update_id) for update_id in ids]
    assert [row["status"] for row in rows] == ["done"] * 3
    assert sorted(row["id"] for row in rows) == [row["id"] for row in rows]


def test_two_primaries_at_a_time_keep_the_order_of_each_chat(stack: Stack) -> None:
    """A handover: the old one still handles what it took, the new one polls."""
    both = [stack.start("primary", name) for name in ("primary-1", "primary-2")]
    # Not their health: they end each other's polls.
    until("both are there", lambda: all("handlers are loaded" in p.text for p in both), 60)
    ids = [stack.push_message(chat_id=50 + n % 5, text="/start") for n in range(100)]
    until("all are done", lambda: all(status(stack, one) == "done" for one in ids), 60)
    for chat in range(50, 55):
        rows = stack.query("SELECT update_id FROM messages WHERE chat_id = %s ORDER BY id", chat)
        found = [row["update_id"] for row in rows]
        assert found == sorted(found)
        assert len(found) == 20
    assert all(process.alive for process in both)


def test_a_text_that_databases_refuse_is_stored(stack: Stack) -> None:
    stack.start("primary")
    stack.wait_healthy("primary")
    odd = stack.push_message(chat_id=1, text="/start \x00 end")
    assert stack.wait_closed(odd)["status"] == "done"


def test_commands_of_others_ask_nobody_else(stack: Stack) -> None:
    """`/x@y` made the library ask Telegram's own address, with the token."""
    primary = stack.start("primary")
    stack.wait_healthy("primary")
    update_id = stack.push_message(chat_id=1, text="/x@y")
    began = time.monotonic()
    assert stack.wait_closed(update_id)["status"] == "done"
    assert time.monotonic() - began < 5
    assert "api.telegram.org" not in primary.text


@pytest.mark.parametrize("arguments", [["run", "17"], ["show", "17"]])
def test_replay_of_what_is_not_there(stack: Stack, arguments: list[str]) -> None:
    done = stack.run("replay", *arguments, role="primary", name="replay")
    assert done.returncode == 1
    assert "17" in done.stderr


async def test_what_may_be_handled_is_found_soon_among_many(stack: Stack) -> None:
    """It took 10 s, by a plan that was right for an empty table."""
    fill = """
        INSERT INTO updates (bot_id, update_id, chat_id, raw, status)
        SELECT 1, %s + n, n %% %s, '{}', %s FROM generate_series(1, %s) n
    """
    stack.query(fill, 0, 1000, "done", 20000)
    stack.query("ANALYZE updates")
    stack.query(fill, 10**6, 1000, "open", 1000)
    stack.query(fill, 2 * 10**6, 3, "open", 20000)
    pool = make_pool(stack.postgres.url(stack.database), "t", 2)
    await pool.open()
    try:
        claim = uuid.uuid4()
        updates = Updates(pool)
        began = time.monotonic()
        rows = await updates.claim(1, claim, "t", 20, 200)
        more = await updates.claim(1, claim, "t", 20, 200)
        assert time.monotonic() - began < 2
    finally:
        await pool.close()
    assert [len(rows), len(more)] == [200, 200]
    chats = [row["chat_id"] for row in rows + more]
    assert max(map(chats.count, chats)) <= 10
    assert {row["id"] for row in rows}.isdisjoint(row["id"] for row in more)
