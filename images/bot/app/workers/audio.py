"""ffmpeg and ffprobe as subprocesses: no shell, no network, no playlist, a time limit."""

import asyncio
import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import Again, Refused
from app.storage.files import FileStore, disk_problem

BROKEN = "I can't read this audio: the file seems to be broken. Please record it again."
SILENT = "There is no sound in this file."
TOO_LONG = "This recording is too long for me. Please send a shorter one."
TOO_HARD = "I could not convert this recording. Please send it in another format."
CONTENT_TYPE = "audio/ogg"
PROBE_SECONDS = 15
STDERR_BYTES = 4000
# Only real containers: formats like hls or concat would open other files that the input names.
FORMATS = "ogg,mp3,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,wav,flac,aac,amr,aiff,asf,caf,w64,opus"
INPUT = ("-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS)


@dataclass(frozen=True)
class Probe:
    format: str
    codec: str
    duration: float | None


async def _run(command: list[str], seconds: float) -> tuple[int, bytes, str]:
    """(exit code, stdout, end of stderr); kills the whole process group on time-out or cancel."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise Again(f"{command[0]} is missing: the worker needs the image aisha/bot") from error
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, out, err.decode("utf-8", "replace")[-STDERR_BYTES:].strip()


def _last_line(text: str) -> str:
    return text.splitlines()[-1].strip() if text else "no message"


def _check_disk(stderr: str, directory: Path) -> None:
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        raise Again(f"the disk under {directory} is full: free space on the host", delay=15)


def parse_probe(output: bytes) -> Probe:
    """What ffprobe says, or Refused: nothing in it can be trusted to be there."""
    try:
        data: Any = json.loads(output)
        streams = [s for s in data.get("streams", []) if s.get("codec_type") == "audio"]
        container = data.get("format", {})
    except (ValueError, AttributeError) as error:
        raise Refused(BROKEN, f"ffprobe gave no JSON: {error}") from error
    if not streams:
        raise Refused(SILENT if container else BROKEN, "no audio stream")
    duration = None
    for text in (streams[0].get("duration"), container.get("duration")):
        with contextlib.suppress(TypeError, ValueError):
            duration = float(text)
            break
    return Probe(
        format=str(container.get("format_name", "?")),
        codec=str(streams[0].get("codec_name", "?")),
        duration=duration,
    )


async def probe(path: Path) -> Probe:
    command = ["ffprobe", "-v", "error", *INPUT, "-of", "json", "-show_entries"]
    command += ["format=format_name,duration:stream=codec_type,codec_name,duration", str(path)]
    try:
        code, out, err = await _run(command, PROBE_SECONDS)
    except TimeoutError as error:
        raise Refused(BROKEN, f"ffprobe took more than {PROBE_SECONDS} s") from error
    if code < 0:
        raise Again(f"ffprobe was killed by signal {-code}")
    if code != 0:
        raise Refused(BROKEN, f"ffprobe: {_last_line(err)}")
    return parse_probe(out)


async def transcode(source: Path, target: Path, seconds: float) -> float:
    """Opus in Ogg, mono, 48 kbit/s: what Telegram plays as a voice message. Gives the duration.

    Metadata is dropped: recordings carry names and places that nobody meant to send.
    """
    partial = FileStore.partial(target)
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", *INPUT, "-i", str(source)]
    command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]
    command += ["-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", "48k", "-threads", "1"]
    command += ["-f", "ogg", "-y", str(partial)]
    try:
        try:
            code, _, err = await _run(command, seconds)
        except TimeoutError as error:
            raise Refused(TOO_LONG, f"ffmpeg took more than {seconds:.0f} s") from error
        _check_disk(err, target.parent)
        if code < 0:
            raise Again(f"ffmpeg was killed by signal {-code}")
        if code != 0:
            raise Refused(BROKEN, f"ffmpeg: {_last_line(err)}")
        try:
            result = await probe(partial)
        except Refused as error:
            raise Refused(BROKEN, f"ffmpeg made nothing that can be played: {error}") from error
        if not result.duration or result.duration < 0.01:
            raise Refused(SILENT, "the result has no duration")
        partial.replace(target)
    except OSError as error:
        raise disk_problem(error, target.parent) from error
    finally:
        partial.unlink(missing_ok=True)
    return result.duration
