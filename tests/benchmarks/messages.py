"""How many messages the reference bot takes: voices beside ffmpeg alone, texts, before and after.

    python tests/benchmarks/messages.py --before REVISION

Real servers on loopback, real processes, as in tests/integration/bot. Each round measures, in
turn, the bot of REVISION, the bot of this folder, and ffmpeg alone with the bot's own command line,
on the same cores and with as many at a time; the figures are medians of the rounds. Prints a
Markdown table; docs/benchmarks.md says what it means. Takes some minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for part in (ROOT / "tests/integration/bot", ROOT / "images/bot"):
    sys.path.insert(0, str(part))

import bot_harness as harness  # noqa: E402  needs the paths above

CHATS = 100
AT_A_TIME = 2
# Long enough that nothing is swept up or counted as late while much waits.
CALM = {
    "POLL_TIMEOUT": "10",
    "LEASE_SECONDS": "60",
    "SWEEP_SECONDS": "5",
    "REQUEUE_SECONDS": "600",
    "SEND_PER_SECOND": "0",
    "SEND_PER_CHAT_SECOND": "0",
    "WORKER_CONCURRENCY": str(AT_A_TIME),
    "LOG_LEVEL": "INFO",
}
Servers = tuple[harness.Postgres, harness.Redis, harness.ObjectServer, harness.BotApiEmulator]


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass
class Rates:
    """Messages a second, one figure for each round."""

    voices: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)


def code_of(revision: str | None, folder: Path) -> Path:
    """The bot's package with its bytecode: of a revision, or as it is here."""
    if revision is None:
        return harness.compiled(folder)
    folder.mkdir()
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, "images/bot/app"],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["tar", "-x", "-C", str(folder), "--strip-components=2"], input=archive.stdout, check=True
    )
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)
    return folder


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        postgres = harness.Postgres(folder / "postgres")
        stack.callback(postgres.stop)
        redis = harness.Redis(folder / "redis")
        stack.callback(redis.stop)
        objects = harness.ObjectServer(folder / "objects")
        stack.callback(objects.stop)
        objects.make_bucket(harness.BUCKET)
        emulator = harness.BotApiEmulator(folder / "emulator")
        stack.callback(emulator.stop)
        yield postgres, redis, objects, emulator


@contextlib.contextmanager
def bot(folder: Path, running: Servers, code: Path) -> Iterator[harness.Stack]:
    with harness.Stack(folder, *running, code=code) as stack:
        done = stack.run("migrate", role="primary", name="migrate", **CALM)
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack


def rate(stack: harness.Stack, number: int, seconds: float) -> float:
    """By the database's clock, until the last row is closed."""

    def closed() -> bool:
        [row] = stack.query("SELECT count(*) AS n FROM messages WHERE closed_at IS NOT NULL")
        return bool(row["n"] >= number)

    harness.until(f"{number} messages are done", closed, seconds, 0.25)
    # From the first message that a handler has recorded: starting is not what is measured.
    [row] = stack.query(
        "SELECT extract(epoch FROM max(closed_at) - min(created_at))::float AS took,"
        " count(*) FILTER (WHERE status <> 'done') AS bad FROM messages"
    )
    assert row["bad"] == 0
    assert len(stack.answers()) == number
    return number / float(row["took"])


def texts(folder: Path, running: Servers, code: Path, number: int) -> float:
    """They wait for the primary, which takes them in as fast as it can."""
    with bot(folder, running, code) as stack:
        for index in range(number):
            stack.push_message(chat_id=1 + index % CHATS, text="/help")
        stack.start("primary", **CALM)
        return rate(stack, number, 120)


def voices(folder: Path, running: Servers, code: Path, number: int, voice: bytes) -> float:
    """The same, with one worker that is ready."""
    with bot(folder, running, code) as stack:
        stack.start("worker", **CALM)
        stack.wait_healthy("worker")
        for index in range(number):
            stack.push_voice(voice, chat_id=1 + index % CHATS)
        stack.start("primary", **CALM)
        return rate(stack, number, 300)


def alone(folder: Path, number: int, voice: bytes) -> float:
    """ffmpeg with the bot's own command line, as often, as many at a time."""
    from app.workers.audio import Limits, command_line

    folder.mkdir()
    source = folder / "in.ogg"
    source.write_bytes(voice)

    def convert(index: int) -> None:
        target = folder / f"{index}.ogg"
        command = command_line(source, target, Limits(120, 3600))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        target.unlink()

    began = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(convert, range(number)))
    return number / (time.monotonic() - began)


def table(rates: dict[str, Rates], seconds: float, options: argparse.Namespace) -> str:
    def middle(values: list[float]) -> float:
        return statistics.median(values)

    after = rates["after"]
    ffmpeg = middle(rates["ffmpeg"].voices)
    lines = [
        f"| messages a second, median of {options.rounds} (least … most) | before | after | "
        "after : before |",
        "|---|---:|---:|---:|",
    ]

    def cell(values: list[float]) -> str:
        if not values:
            return ""
        return f"{middle(values):.1f} ({min(values):.1f} … {max(values):.1f})"

    def ratio(new: list[float], old: list[float]) -> str:
        return f"**{middle(new) / middle(old):.2f}**" if old else ""

    before = rates.get("before", Rates())
    lines += [
        f"| texts, {options.texts} from {CHATS} chats | {cell(before.texts)} | "
        f"{cell(after.texts)} | {ratio(after.texts, before.texts)} |",
        f"| voices of {seconds:.0f} s, {options.voices} with one worker | {cell(before.voices)} | "
        f"{cell(after.voices)} | {ratio(after.voices, before.voices)} |",
        f"| of ffmpeg alone, {cell(rates['ffmpeg'].voices)} a second | "
        + (f"{middle(before.voices) / ffmpeg:.2f}" if before.voices else "")
        + f" | **{middle(after.voices) / ffmpeg:.2f}** | |",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", metavar="REVISION", help="the bot to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--voices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5, help="of each voice message")
    options = parser.parse_args()
    rates = {"after": Rates(), "ffmpeg": Rates()}
    with tempfile.TemporaryDirectory(prefix="aisha-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        codes = {"after": code_of(None, folder / "code-after")}
        if options.before:
            rates = {"before": Rates(), **rates}
            codes = {"before": code_of(options.before, folder / "code-before"), **codes}
        voice = harness.make_audio(
            folder / "voice.ogg", options.seconds, "-c:a", "libopus", "-b:a", "32k"
        )
        with servers(folder) as running:
            for number in range(options.rounds):
                for which, code in codes.items():
                    place = folder / f"{which}-{number}"
                    if options.texts:
                        found = texts(place / "texts", running, code, options.texts)
                        rates[which].texts.append(found)
                        say(f"round {number + 1}: {which}: {found:.1f} texts/s")
                    if options.voices:
                        found = voices(place / "voices", running, code, options.voices, voice)
                        rates[which].voices.append(found)
                        say(f"round {number + 1}: {which}: {found:.1f} voices/s")
                found = alone(folder / f"alone-{number}", options.voices or 100, voice)
                rates["ffmpeg"].voices.append(found)
                say(f"round {number + 1}: ffmpeg alone: {found:.1f} a second")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print(table(rates, options.seconds, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
