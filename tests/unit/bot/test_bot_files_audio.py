"""Files and ffmpeg, with the real ffmpeg."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from app.core.errors import Again, Refused
from app.core.paths import problem_with
from app.storage.files import FileStore
from app.workers import audio

MISSING = "ffmpeg is missing. Install it: apt-get install ffmpeg"


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("ffmpeg"):
        raise RuntimeError(MISSING)
    path = tmp_path_factory.mktemp("voice") / "voice.ogg"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=2"]
    command += ["-metadata", "title=where I live", "-c:a", "libopus", str(path)]
    subprocess.run(command, check=True)
    return path


async def chunks(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error is not None:
        raise error


async def test_file_is_whole_or_absent(tmp_path: Path) -> None:
    store = FileStore(tmp_path, tmp_path)
    target = store.source(1, 2)
    assert await store.save(chunks(b"ab", b"c"), target, 3) == 3
    assert target.read_bytes() == b"abc"
    target.unlink()
    with pytest.raises(Refused) as refused:
        await store.save(chunks(b"ab", b"cd"), target, 3)
    assert "too big" in refused.value.answer
    with pytest.raises(TimeoutError):
        await store.save(chunks(b"ab", error=TimeoutError()), target, 3)
    with pytest.raises(ConnectionResetError):
        await store.save(chunks(b"ab", error=ConnectionResetError()), target, 3)
    with pytest.raises(Again) as again:
        await store.save(chunks(b"ab"), tmp_path / "gone" / "x", 3)
    assert "gone" in str(again.value)
    assert list(tmp_path.iterdir()) == []


async def test_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full answers every write as a full disk does."""
    real = Path.open

    def full(self: Path, mode: str = "r", **options: object) -> object:
        return real(Path("/dev/full"), "wb") if mode == "xb" else real(self, mode)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(Again) as again:
        await FileStore(tmp_path, tmp_path).save(chunks(b"x" * 100_000), tmp_path / "f", 10**6)
    assert f"the disk under {tmp_path} is full" in str(again.value)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_prune_removes_only_what_is_old(tmp_path: Path) -> None:
    for name, age in (("old", 100), ("new", 10)):
        path = tmp_path / name
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    (tmp_path / "folder").mkdir()
    assert FileStore.prune(tmp_path, 50) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "new"]


def test_write_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem_with(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    assert "is not a directory" in (problem_with(file) or "")

    def refuse(code: int) -> str:
        def fail(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", fail)
            return problem_with(tmp_path) or ""

    assert "chown -R" in refuse(errno.EACCES)
    assert f"for uid {os.getuid()}" in refuse(errno.EACCES)
    assert "read-only" in refuse(errno.EROFS)
    assert "is full" in refuse(errno.ENOSPC)


async def test_probe_and_transcode(voice: Path, tmp_path: Path) -> None:
    found = await audio.probe(voice)
    assert (found.format, found.codec) == ("ogg", "opus")
    assert found.duration == pytest.approx(2, abs=0.1)
    target = tmp_path / "out.ogg"
    assert await audio.transcode(voice, target, 30) == pytest.approx(2, abs=0.1)
    assert (await audio.probe(target)).codec == "opus"
    assert b"where I live" in voice.read_bytes()
    assert b"where I live" not in target.read_bytes(), "metadata must not survive"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no audio" * 1000,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"OggS" + b"\0" * 2000,
    ],
)
async def test_broken_audio_is_refused(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(content)
    with pytest.raises(Refused):
        await audio.probe(source)
    with pytest.raises(Refused):
        await audio.transcode(source, tmp_path / "out.ogg", 30)
    assert list(tmp_path.iterdir()) == [source]


async def test_file_name_is_no_option(voice: Path, tmp_path: Path) -> None:
    """Names come from numbers, but nothing should depend on that."""
    odd = tmp_path / "-y $(touch oops);.ogg"
    shutil.copy(voice, odd)
    assert (await audio.probe(odd)).codec == "opus"
    assert [p.name for p in tmp_path.iterdir()] == [odd.name]


async def test_picture_without_sound_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=1:size=64x64"]
    subprocess.run([*command, str(source)], check=True)
    with pytest.raises(Refused) as refused:
        await audio.probe(source)
    assert refused.value.answer == audio.SILENT


async def test_truncated_recording_still_gives_what_is_there(voice: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.ogg"
    data = voice.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    assert await audio.transcode(source, tmp_path / "out.ogg", 30) > 0.3


async def test_full_disk_under_ffmpeg(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / "partial"
    partial.symlink_to("/dev/full")
    monkeypatch.setattr(FileStore, "partial", staticmethod(lambda _: partial))
    with pytest.raises(Again) as again:
        await audio.transcode(voice, tmp_path / "out.ogg", 30)
    assert "is full" in str(again.value)
    assert list(tmp_path.iterdir()) == []


async def test_time_limit_and_cancel_kill_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, voice: Path
) -> None:
    pid_file = tmp_path / "pid"
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nsleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def gone() -> bool:
        try:
            os.kill(int(pid_file.read_text()), 0)
        except ProcessLookupError:
            return True
        return False

    with pytest.raises(Refused) as refused:
        await audio.transcode(voice, tmp_path / "out.ogg", 0.5)
    assert refused.value.answer == audio.TOO_LONG
    assert gone()
    pid_file.unlink()
    task = asyncio.create_task(audio.transcode(voice, tmp_path / "out.ogg", 60))
    while not pid_file.exists() or not pid_file.read_text():
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone()


async def test_missing_ffmpeg_says_which_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Again, match="aisha/bot"):
        await audio.probe(tmp_path / "x")


@pytest.mark.parametrize(
    "output", [b"", b"[]", b"{}", b'{"streams": []}', b'{"streams": [{"codec_type": "video"}]}']
)
def test_nothing_in_ffprobes_answer_is_trusted(output: bytes) -> None:
    with pytest.raises(Refused):
        audio.parse_probe(output)
