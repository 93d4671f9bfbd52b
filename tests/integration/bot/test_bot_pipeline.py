"""The way of a message through the real stack, undisturbed and with every part failing once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import obstore
import pytest
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


def test_voice_message_end_to_end(stack: Stack, voice: bytes) -> None:
    start_both(stack)
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
    assert "message_id" in str(answer["reply_parameters"])
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


def test_audio_text_and_unknown_messages_in_one_batch(stack: Stack, tmp_path: Path) -> None:
    """Waiting before the start, so that they come as one batch; two have a bad shape."""
    music = make_audio(tmp_path / "music.mp3", 65, "-ac", "2", "-b:a", "64k")
    start = stack.push_message(chat_id=1, text="/start")
    broken_shape = stack.push_message(chat_id=5, date="yesterday", text="/start")
    audio = stack.push_voice(music, kind="audio", chat_id=2)
    other = stack.push_message(chat_id=3, sticker={"bad": "shape"}, text="hello")
    help_ = stack.push_message(chat_id=4, text="/help")
    start_both(stack)
    row = stack.wait_closed(audio)
    for update_id in (start, help_):
        assert stack.wait_closed(update_id)["status"] == "done"
    assert row["kind"] == "audio"
    assert row["answer_text"].startswith("Stored: 1:05 min, ")
    assert row["source_format"] == "mp3/mp3"
    assert stack.row(broken_shape) is None
    assert stack.row(other) is None
    assert stack.stats()["pending"] == 0
    texts = {int(answer["chat_id"]): answer["text"] for answer in stack.answers()}
    assert texts.keys() == {1, 2, 4}
    assert texts[1].startswith("Hello! ")
    assert "20 MB" in texts[4]
    assert stack.logs().count("update skipped") == 2


def test_primary_answers_text_without_any_worker(stack: Stack) -> None:
    stack.start("primary")
    update_id = stack.push_message(text="/help")
    assert stack.wait_closed(update_id)["status"] == "done"
    assert len(stack.answers()) == 1


def test_broken_audio_and_oversize_are_answered_politely(stack: Stack, voice: bytes) -> None:
    start_both(stack)
    broken = stack.push_voice(b"this is no audio at all" * 100, chat_id=1)
    playlist = stack.push_voice(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", chat_id=2)
    big = stack.push_voice(voice + b"\0" * (21 * MEBIBYTE), chat_id=3)
    silent = stack.push_voice(b"", chat_id=4)
    rows = {
        chat: stack.wait_closed(update_id)
        for chat, update_id in enumerate((broken, playlist, big, silent), start=1)
    }
    assert {row["status"] for row in rows.values()} == {"failed"}
    texts = {int(answer["chat_id"]): answer["text"] for answer in stack.answers()}
    assert "broken" in texts[1]
    assert "broken" in texts[2]
    assert "too big" in texts[3]
    assert "20 MB" in texts[3]
    assert len(stack.answers()) == 4
    assert str(21 * MEBIBYTE)[:2] in rows[3]["error"]
    assert all(row["object_key"] is None for row in rows.values())
    until("nothing is left behind", lambda: not list((stack.folder / "temp").iterdir()))
    assert not list((stack.folder / "audio").iterdir())


def test_job_delivered_often_is_done_once(stack: Stack, voice: bytes) -> None:
    """Ten copies of the job, two workers, at the same time and again after the end."""
    stack.start("primary")
    update_id = stack.push_voice(voice)
    row = until("the row is there", lambda: stack.row(update_id))
    stream = f"{stack.prefix}jobs"
    [(_, job)] = until("the job is queued", lambda: stack.redis.root.xrange(stream))
    for _ in range(10):
        stack.redis.root.xadd(stream, job)
    stack.start("worker", "worker-1")
    stack.start("worker", "worker-2")
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    for _ in range(5):
        stack.redis.root.xadd(stream, job)
    until("all jobs are acknowledged", lambda: stack.redis.root.xlen(stream) == 0)
    again = stack.row(update_id)
    assert again is not None
    assert again["attempts"] == 1
    assert again["updated_at"] == row["updated_at"]
    assert len(stack.answers()) == 1
    objects = stack.objects.store(BUCKET).list(f"voice/{stack.bot_id}/").collect()
    assert [entry["path"] for entry in objects] == [row["object_key"]]


def test_answer_that_redis_remembers_is_not_sent_again(stack: Stack, voice: bytes) -> None:
    """The answer went out, then PostgreSQL was away: Redis is the second witness."""
    stack.start("primary")
    update_id = stack.push_voice(voice)
    row = until("the row is there", lambda: stack.row(update_id))
    stack.redis.root.set(f"{stack.prefix}answered:{row['job']}", 4711)
    stack.start("worker")
    row = stack.wait_closed(update_id)
    assert row["status"] == "done"
    assert row["answer_message_id"] == 4711
    assert stack.answers() == []


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


def test_file_that_always_kills_its_worker_is_given_up(stack: Stack, voice: bytes) -> None:
    stack.start("primary")
    update_id = stack.push_voice(voice)
    until("the row is there", lambda: stack.row(update_id))
    stack.query(
        "UPDATE messages SET crashes = 2, lease_until = now(), due_at = now() WHERE update_id = %s",
        update_id,
    )
    stack.start("worker")
    row = stack.wait_closed(update_id)
    assert row["status"] == "failed"
    assert "vanished 3 times" in row["error"]
    [answer] = stack.answers()
    assert "another format" in answer["text"]


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


@pytest.mark.parametrize("lost", ["temp file", "nothing"])
def test_worker_on_another_host(stack: Stack, voice: bytes, lost: str, tmp_path: Path) -> None:
    """Named volumes are local to a host: what the primary downloaded may be out of reach."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stack.start("primary")
    stack.start("worker", **({"TEMP_DIR": str(elsewhere)} if lost == "temp file" else {}))
    assert stack.wait_closed(stack.push_voice(voice))["status"] == "done"
    assert not list(elsewhere.iterdir())
