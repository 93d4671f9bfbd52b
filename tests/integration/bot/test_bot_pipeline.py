"""The way of a message through the real stack, undisturbed and with every part failing once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import obstore
from bot_harness import (
    BUCKET,
    PASSWORD,
    TOKEN_SECRET,
    Process,
    Stack,
    make_audio,
    program,
    stopped,
    until,
)

MEBIBYTE = 1024 * 1024


def start_both(stack: Stack, **extra: str) -> tuple[Process, Process]:
    both = stack.start("primary", **extra), stack.start("worker", **extra)
    stack.wait_healthy("primary")
    stack.wait_healthy("worker")
    return both


def slow_ffmpeg(stack: Stack, seconds: int) -> tuple[dict[str, str], Path]:
    """A PATH with an ffmpeg whose first run hangs: only so can a test catch a job in its middle."""
    folder = stack.folder / "bin"
    folder.mkdir()
    marker = folder / "began"
    script = folder / "ffmpeg"
    script.write_text(
        f"#!/bin/sh\n[ -e {marker} ] || {{ : > {marker}; exec sleep {seconds}; }}\n"
        f'exec {program("apt-get install ffmpeg", "ffmpeg")} "$@"\n'
    )
    script.chmod(0o755)
    return {"PATH": f"{folder}:{stack.env('worker', 'x')['PATH']}"}, marker


def texts_to(stack: Stack, *chats: int) -> dict[int, str]:
    answers = [a for a in stack.answers() if int(a["chat_id"]) in chats]
    assert len(answers) == len({int(a["chat_id"]) for a in answers}), "answered twice"
    return {int(a["chat_id"]): a["text"] for a in answers}


def test_voice_message_end_to_end(running: Stack, voice: bytes) -> None:
    stack = running
    update_id = stack.push_voice(voice, chat_id=11)
    row = stack.wait_closed(update_id)

    assert row["status"] == "done"
    assert 2900 <= row["duration_ms"] <= 3200
    assert row["object_key"] == f"voice/{stack.bot_id}/{update_id}.ogg"
    assert row["answered_at"] is not None
    text = texts_to(stack, 11)[11]
    assert text.startswith("Stored: 3.0 s, ")
    assert text == row["answer_text"]
    body = bytes(obstore.get(stack.objects.store(BUCKET), row["object_key"]).bytes())
    assert body[:4] == b"OggS"
    assert len(body) == row["object_size"]
    until("temp is empty", lambda: not list((stack.folder / "temp").iterdir()))
    stats = stack.stats()
    assert stats["conflicts"] == {"C1": 0, "C2": 0, "C3": 0, "C4": 0}
    assert len(stats["pollers"]) == 1
    text = stack.logs() + "".join(p.read_text() for p in (stack.folder / "logs").iterdir())
    assert "update recorded" in text
    assert TOKEN_SECRET not in text
    assert PASSWORD not in text
    keys = list(stack.redis.root.scan_iter(match="*"))
    assert keys
    assert all(key.startswith(b"aisha:") for key in keys)


def test_broken_audio_and_oversize_are_answered_politely(running: Stack, voice: bytes) -> None:
    stack = running
    broken = stack.push_voice(b"this is no audio at all" * 100, chat_id=21)
    playlist = stack.push_voice(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", chat_id=22)
    big = stack.push_voice(voice + b"\0" * (21 * MEBIBYTE), chat_id=23)
    nothing = stack.push_voice(b"", chat_id=24)
    rows = [stack.wait_closed(update_id) for update_id in (broken, playlist, big, nothing)]
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["object_key"] for row in rows} == {None}
    texts = texts_to(stack, 21, 22, 23, 24)
    assert len(texts) == 4
    assert "broken" in texts[21]
    assert "broken" in texts[22]
    assert "too big" in texts[23]
    assert "20 MB" in texts[23]
    until("nothing is left behind", lambda: not list((stack.folder / "temp").iterdir()))
    kept = {path.name for path in (stack.folder / "audio").iterdir()}
    assert not kept & {f"{stack.bot_id}-{row['update_id']}.ogg" for row in rows}


def test_audio_text_and_bad_shapes_in_one_batch(stack: Stack, tmp_path: Path) -> None:
    """Pushed before the start, so that they come as one batch."""
    music = make_audio(tmp_path / "music.mp3", 65, "-ac", "2", "-b:a", "64k")
    start = stack.push_message(chat_id=1, text="/start")
    bad_date = stack.push_message(chat_id=5, date="yesterday", text="/start")
    audio = stack.push_voice(music, kind="audio", chat_id=2)
    bad_sticker = stack.push_message(chat_id=3, sticker={"bad": "shape"}, text="hello")
    help_ = stack.push_message(chat_id=4, text="/help")
    start_both(stack)
    row = stack.wait_closed(audio)
    for update_id in (start, help_):
        assert stack.wait_closed(update_id)["status"] == "done"
    assert row["kind"] == "audio"
    assert row["answer_text"].startswith("Stored: 1:05 min, ")
    assert row["source_format"] == "mp3/mp3"
    assert stack.row(bad_date) is None
    assert stack.row(bad_sticker) is None
    assert stack.stats()["pending"] == 0
    texts = texts_to(stack, 1, 2, 3, 4, 5)
    assert texts.keys() == {1, 2, 4}
    assert texts[1].startswith("Hello! ")
    assert "20 MB" in texts[4]
    assert stack.logs().count("update failed: it can't be read") == 2


def test_what_workers_find_when_they_start(stack: Stack, voice: bytes, tmp_path: Path) -> None:
    """Ten copies of one job for two workers, an answer that is out already, a file that kills.

    The workers have a volume of their own, as on another host: what the primary downloaded is
    out of their reach.
    """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stack.start("primary")
    often, answered, deadly = (stack.push_voice(voice, chat_id=chat) for chat in (1, 2, 3))
    stream = f"{stack.prefix}jobs"
    jobs = until(
        "the jobs are queued",
        lambda: (found := stack.redis.root.xrange(stream)) and len(found) == 3 and found,
    )
    for _, job in jobs:
        for _ in range(10):
            stack.redis.root.xadd(stream, job)
    known = stack.row(answered)
    assert known is not None
    # It was sent at the first try, then PostgreSQL was away: Redis is the second witness.
    stack.query("UPDATE messages SET attempts = 1 WHERE update_id = %s", answered)
    stack.redis.root.set(f"{stack.prefix}answered:{known['job']}", 4711)
    stack.query(
        "UPDATE messages SET crashes = 2, lease_until = now(), due_at = now() WHERE update_id = %s",
        deadly,
    )
    for name in ("worker-1", "worker-2"):
        stack.start("worker", name, TEMP_DIR=str(elsewhere))
    rows = {update_id: stack.wait_closed(update_id) for update_id in (often, answered, deadly)}
    for _, job in jobs:
        stack.redis.root.xadd(stream, job)
    until("all jobs are acknowledged", lambda: stack.redis.root.xlen(stream) == 0)

    assert rows[often]["status"] == "done"
    for update_id, row in rows.items():
        again = stack.row(update_id)
        assert again is not None
        assert again["attempts"] == (2 if update_id == answered else 1)
        assert again["updated_at"] == row["updated_at"]
    assert rows[answered]["status"] == "done"
    assert rows[answered]["answer_message_id"] == 4711
    assert rows[deadly]["status"] == "failed"
    assert "3 tries ended badly" in rows[deadly]["error"]
    texts = texts_to(stack, 1, 2, 3)
    assert texts.keys() == {1, 3}
    assert "another format" in texts[3]
    objects = stack.objects.store(BUCKET).list(f"voice/{stack.bot_id}/").collect()
    assert {entry["path"] for entry in objects} == {
        rows[update_id]["object_key"] for update_id in (often, answered)
    }
    assert not list(elsewhere.iterdir())


def test_worker_killed_in_the_middle_of_a_job(stack: Stack, voice: bytes) -> None:
    extra, began = slow_ffmpeg(stack, 6)
    stack.start("primary")
    worker = stack.start("worker", **extra)
    update_id = stack.push_voice(voice)
    until("the job is in its middle", began.exists, 30)
    worker.send(signal.SIGKILL)
    worker.wait()
    stack.start("worker", "worker-2", **extra)
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    assert (row["attempts"], row["crashes"]) == (2, 1)
    assert row["closed_at"] is not None
    assert len(stack.answers()) == 1


def test_worker_stopped_in_the_middle_hands_its_job_over(stack: Stack, voice: bytes) -> None:
    extra, began = slow_ffmpeg(stack, 60)
    stack.start("primary")
    worker = stack.start("worker", STOP_SECONDS="1", LEASE_SECONDS="120", **extra)
    update_id = stack.push_voice(voice)
    until("the job is in its middle", began.exists, 30)
    stopping = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - stopping < 8
    stack.start("worker", "worker-2", **extra)
    row = stack.wait_closed(update_id)
    assert (row["status"], row["crashes"]) == ("done", 0)
    assert len(stack.answers()) == 1


def test_redis_lost_with_all_it_knew(stack: Stack, voice: bytes) -> None:
    primary, worker = start_both(stack)
    with stopped(stack.redis):
        update_id = stack.push_voice(voice)
        until("the row is there", lambda: stack.row(update_id))
        until("the worker is unhealthy", lambda: not stack.health("worker")[0], 20)
        _, text = stack.health("worker")
        assert "read of the job queue in Redis" in text
        assert "last error" in text
        assert stack.health("primary")[0]
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    assert len(stack.answers()) == 1
    stack.wait_healthy("worker")
    assert primary.alive
    assert worker.alive


def test_postgres_away_for_a_while(stack: Stack, voice: bytes) -> None:
    primary, worker = start_both(stack)
    with stopped(stack.postgres):
        update_id = stack.push_voice(voice)
        until("the primary waits", lambda: "update waits" in primary.text)
        time.sleep(2)
        assert stack.stats()["pending"] == 1, "an update was confirmed without a row"
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    assert len(stack.answers()) == 1
    until("the update is confirmed", lambda: stack.stats()["pending"] == 0)
    assert primary.alive
    assert worker.alive


def test_object_storage_away_for_a_while(stack: Stack, voice: bytes) -> None:
    _, worker = start_both(stack)
    with stopped(stack.objects):
        update_id = stack.push_voice(voice)
        until("the job is put off", lambda: "job will be tried again" in worker.text, 30)
        row = stack.row(update_id)
        assert row is not None
        assert row["status"] == "received"
        assert "object storage" in row["last_error"]
        assert stack.answers() == []
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    assert len(stack.answers()) == 1


def test_wrong_keys_for_the_object_storage_are_named(stack: Stack, voice: bytes) -> None:
    (stack.folder / "secrets/s3_secret_key").write_text("not the right key")
    worker = stack.start("worker")
    until("it is said", lambda: "S3_SECRET_KEY_FILE" in worker.text)
    assert "not the right key" not in worker.text
