"""One ffmpeg for each recording: no shell, no network, no playlist, limits of time and memory.

It says itself what it found in the file and writes what it made of it, so nothing is probed before
or after: three processes for each message, two of them probes, cost more than the conversion.
"""

import asyncio
import contextlib
import errno
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import Again, DiskFull, Refused
from app.storage.files import FileStore, disk_problem

BROKEN = "I can't read this audio: the file seems to be broken. Please record it again."
SILENT = "There is no sound in this file."
TOO_LONG = "This recording is too long for me. Please send a shorter one."
TOO_HARD = "I could not convert this recording. Please send it in another format."
CONTENT_TYPE = "audio/ogg"
# How it ends after a signal that it handles: SIGTERM, SIGXCPU.
ENDED_BY_SIGNAL = 255
# The loader's and env's, before ffmpeg has looked at any file.
NOT_STARTED = (126, 127)
STDERR_BYTES = 100_000
# Only real containers: formats like hls or concat would open other files that the input names.
FORMATS = "ogg,mp3,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,wav,flac,aac,amr,aiff,asf,caf,w64,opus"
INPUT = ("-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS)
# More than the longest page of Ogg.
TAIL_BYTES = 131_072
END_OF_STREAM = 4
# What ffmpeg says about its input. The file's own texts stand among it: nothing here is trusted,
# it is only noted, or refuses what the limits would refuse later.
FOUND = re.compile(r"^\[info\] Input #0, ([\w,]+), from ", re.MULTILINE)
LENGTH = re.compile(r"^\[info\]   Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),", re.MULTILINE)
SOUND = re.compile(r"^\[info\]   Stream #0:\d+.*?: Audio: (\w+)", re.MULTILINE)
ERRORS = re.compile(r"^(?:\[[^\]\n]+\] )*\[(?:error|fatal|panic)\] (.+)", re.MULTILINE)
# Newer ones end with the low byte of the error's number, all say it.
FULL = ((-errno.ENOSPC & 255, -errno.EDQUOT & 255), ("No space left on device", "quota exceeded"))
NO_MEMORY = ((-errno.ENOMEM & 255,), ("Cannot allocate memory",))


class Killed(Again):
    """ffmpeg died, or took too long: by the file's fault, or by what ran beside it.

    Only trying again tells, so `answer` is for the last try.
    """

    def __init__(self, answer: str, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer


@dataclass(frozen=True)
class Limits:
    seconds: float  # of ffmpeg
    audio_seconds: float  # of the recording


@dataclass(frozen=True)
class Report:
    """What ffmpeg says about a file."""

    format: str | None
    codec: str | None
    duration: float | None
    error: str


@dataclass(frozen=True)
class Converted:
    format: str
    codec: str
    duration: float


def parse_report(text: str) -> Report:
    found, sound, length = FOUND.search(text), SOUND.search(text), LENGTH.search(text)
    errors = [line for line in ERRORS.findall(text) if line != "Conversion failed!"]
    duration = None
    if length:
        hours, minutes, seconds = length.groups()
        duration = int(hours[:6]) * 3600 + int(minutes) * 60 + float(seconds)
    return Report(
        format=found.group(1)[:60] if found else None,
        codec=sound.group(1)[:30] if sound else None,
        duration=duration,
        error=errors[-1].strip()[:300] if errors else "",
    )


def opus_seconds(path: Path) -> float | None:
    """The length of a whole Ogg/Opus file: where its last page ends, without the lead-in."""
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read(TAIL_BYTES)
    start, last = head.find(b"OpusHead"), tail.rfind(b"OggS")
    page = tail[last:]
    if start < 0 or last < 0 or len(head) < start + 12 or len(page) < 27:
        return None
    segments = page[26]
    if not page[5] & END_OF_STREAM or len(page) < 27 + segments + sum(page[27 : 27 + segments]):
        return None
    lead_in = int.from_bytes(head[start + 10 : start + 12], "little")
    position = int.from_bytes(page[6:14], "little", signed=True)
    return max(0.0, (position - lead_in) / 48000)


def _means(code: int, report: Report, signs: tuple[tuple[int, ...], tuple[str, ...]]) -> bool:
    codes, words = signs
    return code in codes or report.error.endswith(words)


def verdict(code: int, report: Report, directory: Path) -> None:
    """Raise what the end of ffmpeg means; return when it did its work."""
    if code < 0:
        raise Killed(TOO_HARD, f"ffmpeg was killed by signal {-code}")
    if code == ENDED_BY_SIGNAL:
        raise Killed(TOO_HARD, "ffmpeg was ended by a signal")
    if code == 0:
        return
    # The last error only: the file's own texts come before it.
    if _means(code, report, FULL):
        raise DiskFull(f"the disk under {directory} is full: free space on the host", delay=15)
    if code in NOT_STARTED:
        raise Again(f"ffmpeg can't be started (status {code}): its libraries, or the memory")
    if _means(code, report, NO_MEMORY) or not report.error:
        raise Killed(TOO_HARD, f"ffmpeg ended with status {code}: {report.error or 'no message'}")
    if report.format and not report.codec:
        raise Refused(SILENT, "no audio stream")
    raise Refused(BROKEN, f"ffmpeg: {report.error}")


def command_line(source: Path, partial: Path, limits: Limits) -> list[str]:
    """Opus in Ogg, mono, 48 kbit/s: what Telegram plays as a voice message.

    Metadata is dropped: recordings carry names and places that nobody meant to send.
    """
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]
    command += [*INPUT, "-i", str(source)]
    command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]
    command += ["-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", "48k", "-threads", "1"]
    command += ["-t", f"{limits.audio_seconds + 1:.0f}", "-f", "ogg", "-y", str(partial)]
    return command


async def _listen(stream: asyncio.StreamReader, limits: Limits) -> Report:
    """Read to the end; Refused as soon as ffmpeg says that the recording is too long."""
    text, known = b"", False
    while chunk := await stream.read(65536):
        if len(text) > STDERR_BYTES:
            # The beginning says what the file is, the end why it failed.
            text = text[: STDERR_BYTES // 2] + b"\n" + text[-STDERR_BYTES // 4 :]
        text += chunk
        if not known:
            report = parse_report(text.decode("utf-8", "replace"))
            known = report.duration is not None or len(text) > STDERR_BYTES // 2
            if report.duration is not None and report.duration > limits.audio_seconds:
                raise Refused(TOO_LONG, f"{report.duration:.0f} s of audio")
    return parse_report(text.decode("utf-8", "replace"))


async def _run(command: list[str], limits: Limits) -> tuple[int, Report]:
    """The exit code and what it said; kills the whole process group on time-out or cancel."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise Again(f"{command[0]} is missing: the worker needs the image aisha/bot") from error
    # Where memory is short, the kernel is to end it and not the worker with all its jobs.
    with contextlib.suppress(OSError):
        Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        async with asyncio.timeout(limits.seconds):
            if process.stderr is None:
                raise RuntimeError("ffmpeg was started without a pipe")
            report = await _listen(process.stderr, limits)
            return await process.wait(), report
    except TimeoutError as error:
        raise Killed(TOO_LONG, f"ffmpeg took more than {limits.seconds:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def convert(source: Path, target: Path, limits: Limits) -> Converted:
    """Make `target`, whole or not at all; Refused, Killed or Again when there is none."""
    partial = FileStore.partial(target)
    try:
        code, report = await _run(command_line(source, partial, limits), limits)
        verdict(code, report, target.parent)
        duration = opus_seconds(partial)
        if duration is None:
            # It may end well after it could not write the end.
            verdict(1, report, target.parent)
        if not duration or duration < 0.01:
            raise Refused(SILENT, "the result has no duration")
        if duration > limits.audio_seconds:
            raise Refused(TOO_LONG, f"more than {limits.audio_seconds:.0f} s of audio")
        partial.replace(target)
    except OSError as error:
        raise disk_problem(error, target.parent) from error
    finally:
        partial.unlink(missing_ok=True)
    return Converted(report.format or "?", report.codec or "?", duration)
