"""The way of a message through the real stack."""

from __future__ import annotations

import obstore
from bot_harness import BUCKET, PASSWORD, TOKEN_SECRET, Stack, until


def test_voice_message_end_to_end(stack: Stack, voice: bytes) -> None:
    stack.start("primary")
    stack.start("worker")
    stack.wait_healthy("primary")
    stack.wait_healthy("worker")

    update_id = stack.push_voice(voice)
    row = stack.wait_closed(update_id)

    assert row["status"] == "done"
    assert 2900 <= row["duration_ms"] <= 3200
    assert row["object_key"] == f"voice/{stack.bot_id}/{update_id}.ogg"
    assert row["answered_at"] is not None
    [answer] = stack.answers()
    assert answer["text"].startswith("Stored: 3.0 s, ")
    assert answer["text"] == row["answer_text"]
    assert int(answer["chat_id"]) == 7
    stored = obstore.get(stack.objects.store(BUCKET), row["object_key"])
    body = bytes(stored.bytes())
    assert body[:4] == b"OggS"
    assert len(body) == row["object_size"]
    until("temp is empty", lambda: not list((stack.folder / "temp").iterdir()))
    stats = stack.stats()
    assert stats["conflicts"] == {"C1": 0, "C2": 0, "C3": 0, "C4": 0}
    assert len(stats["pollers"]) == 1
    text = stack.logs()
    assert TOKEN_SECRET not in text
    assert PASSWORD not in text
