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
from app.core.errors import Again, DiskFull, Refused
from app.core.paths import problem_with
from app.storage.files import FileStore
from app.workers import audio

LIMITS = audio.Limits(seconds=30, audio_seconds=3600)
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
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    os.utime(link, (time.time() - 100,) * 2, follow_symlinks=False)
    (tmp_path / "folder").mkdir()
    assert FileStore.prune(tmp_path, 50, 1) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "new"]
    assert FileStore.prune(tmp_path, 0, 20) == 0, "somebody may be making it"
    assert FileStore.prune(tmp_path, 0, 1) == 1


def test_a_link_to_a_file_of_somebody_else(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.write_bytes(b"x")
    store = FileStore(tmp_path, tmp_path)
    ours.symlink_to(tmp_path / "gone")
    store.link(theirs, ours)
    assert ours.read_bytes() == b"x"
    store.remove(ours)
    assert theirs.exists()
    with pytest.raises(Again):
        store.link(theirs, tmp_path / "gone" / "x")


def test_a_full_disk_is_seen_before_a_job_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FileStore.probe(tmp_path) is None
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda *_, **__: real(Path("/dev/full"), "wb"))
    assert f"the disk under {tmp_path} is full" in (FileStore.probe(tmp_path) or "")
    assert list(tmp_path.iterdir()) == []


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


async def test_one_process_converts_and_tells(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    for name in ("ffmpeg", "ffprobe"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} >> {started}\nexec {shutil.which(name)} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    target = tmp_path / "out.ogg"
    found = await audio.convert(voice, target, LIMITS)
    assert (found.format, found.codec) == ("ogg", "opus")
    assert found.duration == pytest.approx(2, abs=0.1)
    assert started.read_text().split() == ["ffmpeg"]
    # ffprobe counts the lead-in, which nobody hears.
    assert found.duration == pytest.approx(ffprobe_seconds(target) - 312 / 48000, abs=0.001)
    assert b"where I live" in voice.read_bytes()
    assert b"where I live" not in target.read_bytes(), "metadata must not survive"
    assert not list(tmp_path.glob(".*"))


def ffprobe_seconds(path: Path) -> float:
    command = ["ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries", "format=duration"]
    done = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True)
    return float(done.stdout)


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
    with pytest.raises(Refused) as refused:
        await audio.convert(source, tmp_path / "out.ogg", LIMITS)
    assert refused.value.answer == audio.BROKEN
    assert list(tmp_path.iterdir()) == [source]


async def test_file_name_is_no_option(voice: Path, tmp_path: Path) -> None:
    """Names come from numbers, but nothing should depend on that."""
    odd = tmp_path / "-y $(touch oops);.ogg"
    shutil.copy(voice, odd)
    assert (await audio.convert(odd, tmp_path / "out.ogg", LIMITS)).codec == "opus"
    assert sorted(p.name for p in tmp_path.iterdir()) == [odd.name, "out.ogg"]


async def test_picture_without_sound_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=1:size=64x64"]
    subprocess.run([*command, str(source)], check=True)
    with pytest.raises(Refused) as refused:
        await audio.convert(source, tmp_path / "out.ogg", LIMITS)
    assert refused.value.answer == audio.SILENT


async def test_truncated_recording_still_gives_what_is_there(voice: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.ogg"
    data = voice.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    assert (await audio.convert(source, tmp_path / "out.ogg", LIMITS)).duration > 0.3


async def test_recording_that_is_too_long_is_refused_before_it_is_converted(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in (voice, tmp_path / "unknown.webm"):
        if source != voice:
            # Live recordings have no length at their beginning: the limit holds all the same.
            command = ["ffmpeg", "-v", "error", "-i", str(voice), "-c", "copy", "-live", "1"]
            subprocess.run([*command, "-f", "webm", str(source)], check=True)
        with pytest.raises(Refused) as refused:
            await audio.convert(source, tmp_path / "out.ogg", audio.Limits(30, 0.4))
        assert refused.value.answer == audio.TOO_LONG
    assert not list(tmp_path.glob("*.ogg"))


async def test_full_disk_under_ffmpeg(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / "partial"
    partial.symlink_to("/dev/full")
    monkeypatch.setattr(FileStore, "partial", staticmethod(lambda _: partial))
    with pytest.raises(DiskFull) as full:
        await audio.convert(voice, tmp_path / "out.ogg", LIMITS)
    assert "is full" in str(full.value)
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

    with pytest.raises(audio.Killed) as killed:
        await audio.convert(voice, tmp_path / "out.ogg", audio.Limits(0.5, 3600))
    assert killed.value.answer == audio.TOO_LONG
    assert gone()
    pid_file.unlink()
    task = asyncio.create_task(audio.convert(voice, tmp_path / "out.ogg", LIMITS))
    while not pid_file.exists() or not pid_file.read_text():
        await asyncio.sleep(0.02)
    score = Path(f"/proc/{pid_file.read_text().strip()}/oom_score_adj")
    assert score.read_text().strip() == "1000", "memory that is short must not end the worker"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone()


@pytest.mark.parametrize("limit", ["-t 1"])
async def test_ffmpeg_that_dies_of_a_file_says_nothing_about_the_file(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one, killed by a limit of time or out of memory: only trying again tells."""
    ffmpeg = shutil.which("ffmpeg")
    source = tmp_path / "hour.flac"
    command = [str(ffmpeg), "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=8000", "-t", "3600"]
    subprocess.run([*command, str(source)], check=True)
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\nulimit {limit}\nexec {ffmpeg} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(audio.Killed) as killed:
        await audio.convert(source, tmp_path / "out.ogg", LIMITS)
    assert killed.value.answer == audio.TOO_HARD


async def test_missing_ffmpeg_says_which_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Again, match="aisha/bot"):
        await audio.convert(tmp_path / "x", tmp_path / "y", LIMITS)


NEW = """[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'x':
[info]   Metadata:
[info]     title           : [error] No space left on device
[info]   Duration: 01:02:03.50, start: 0.000000, bitrate: 40 kb/s
[info]   Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv444p
[info]   Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, mono, fltp
"""


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (NEW, ("mov,mp4,m4a,3gp,3g2,mj2", "aac", 3723.5, "")),
        ("[error] x: Invalid data\n", (None, None, None, "x: Invalid data")),
        (
            "[info] Input #0, webm, from 'x':\n[info]   Duration: N/A, start: 0\n"
            "[libopus @ 0x55] [error] one\n[fatal] two\n[error] Conversion failed!\n",
            ("webm", None, None, "two"),
        ),
        ("", (None, None, None, "")),
        ("\ufffd" * 1000, (None, None, None, "")),
    ],
)
def test_what_ffmpeg_says(text: str, report: tuple[object, ...]) -> None:
    found = audio.parse_report(text)
    assert (found.format, found.codec, found.duration, found.error) == report


@pytest.mark.parametrize(
    ("code", "error", "outcome"),
    [
        (0, "whatever", None),
        (-11, "x", audio.Killed),
        (255, "x", audio.Killed),
        (1, "Cannot allocate memory", audio.Killed),
        (244, "x", audio.Killed),
        (1, "", audio.Killed),
        (127, "", Again),
        (1, "Error closing file y: No space left on device", DiskFull),
        (228, "x", DiskFull),
        (1, "Invalid data", Refused),
        (183, "Invalid data", Refused),
    ],
)
def test_what_the_end_of_ffmpeg_means(
    code: int, error: str, outcome: type[Exception] | None
) -> None:
    report = audio.Report(None, None, None, error)
    if outcome is None:
        audio.verdict(code, report, Path("/x"))
        return
    with pytest.raises(outcome):
        audio.verdict(code, report, Path("/x"))
