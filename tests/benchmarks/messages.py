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
import resource
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


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass
class Rates:
    """One figure for each round: messages a second, and ms of CPU for each.

    The CPU is that of the process which is measured, and of its ffmpegs: it says the same on a
    machine that others use as well.
    """

    voices: list[float] = field(default_factory=list)
    voices_cpu: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)
    texts_cpu: list[float] = field(default_factory=list)


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
def bot(folder: Path, running: harness.Servers, code: Path) -> Iterator[harness.Stack]:
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


def cpu_seconds(process: harness.Process) -> float:
    """Its own and that of the children which have ended."""
    text = Path(f"/proc/{process.popen.pid}/stat").read_text(encoding="ascii")
    return sum(map(int, text.rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")


def texts(folder: Path, running: harness.Servers, code: Path, number: int) -> tuple[float, float]:
    """They wait for the primary, which takes them in as fast as it can."""
    with bot(folder, running, code) as stack:
        for index in range(number):
            stack.push_message(chat_id=1 + index % CHATS, text="/help")
        primary = stack.start("primary", **CALM)
        first = "SELECT 1 FROM messages LIMIT 1"
        harness.until("it began", lambda: stack.query(first), 60, 0.02)
        began = cpu_seconds(primary)
        found = rate(stack, number, 120)
        return found, (cpu_seconds(primary) - began) * 1000 / number


def voices(
    folder: Path, running: harness.Servers, code: Path, number: int, voice: bytes
) -> tuple[float, float]:
    """The same, with one worker that is ready."""
    with bot(folder, running, code) as stack:
        worker = stack.start("worker", **CALM)
        stack.wait_healthy("worker")
        for index in range(number):
            stack.push_voice(voice, chat_id=1 + index % CHATS)
        stack.start("primary", **CALM)
        began = cpu_seconds(worker)
        found = rate(stack, number, 300)
        return found, (cpu_seconds(worker) - began) * 1000 / number


def alone(folder: Path, number: int, voice: bytes) -> tuple[float, float]:
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

    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(convert, range(number)))
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return number / took, cpu * 1000 / number


def table(rates: dict[str, Rates], seconds: float, options: argparse.Namespace) -> str:
    ffmpeg, after, before = rates["ffmpeg"], rates["after"], rates.get("before", Rates())

    def cell(values: list[float]) -> str:
        if not values:
            return ""
        middle = statistics.median(values)
        return f"{middle:.1f} ({min(values):.1f} … {max(values):.1f})"

    def ratio(new: list[float], old: list[float], *, bold: bool = True) -> str:
        if not new or not old:
            return ""
        text = f"{statistics.median(new) / statistics.median(old):.2f}"
        return f"**{text}**" if bold else text

    texts = f"texts, {options.texts} from {CHATS} chats"
    voices = f"voices of {seconds:.0f} s, {options.voices} with one worker"
    rows: list[tuple[str, str, str, str]] = [
        (
            f"median of {options.rounds} rounds (least … most)",
            "before",
            "after",
            "after : before",
        ),
        ("---", "---:", "---:", "---:"),
        (
            f"{texts}: a second",
            cell(before.texts),
            cell(after.texts),
            ratio(after.texts, before.texts),
        ),
        (
            "ms of the primary's CPU for each",
            cell(before.texts_cpu),
            cell(after.texts_cpu),
            ratio(after.texts_cpu, before.texts_cpu),
        ),
        (
            f"{voices}: a second",
            cell(before.voices),
            cell(after.voices),
            ratio(after.voices, before.voices),
        ),
        (
            f"beside ffmpeg alone, {cell(ffmpeg.voices)} a second",
            ratio(before.voices, ffmpeg.voices, bold=False),
            ratio(after.voices, ffmpeg.voices),
            "",
        ),
        (
            "ms of the worker's CPU for each, with its ffmpeg",
            cell(before.voices_cpu),
            cell(after.voices_cpu),
            ratio(after.voices_cpu, before.voices_cpu),
        ),
        (
            f"share of ffmpeg alone in it, {cell(ffmpeg.voices_cpu)} ms",
            ratio(ffmpeg.voices_cpu, before.voices_cpu, bold=False),
            ratio(ffmpeg.voices_cpu, after.voices_cpu),
            "",
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
        with harness.servers(folder) as running:
            for number in range(options.rounds):
                for which, code in codes.items():
                    place = folder / f"{which}-{number}"
                    if options.texts:
                        found, cpu = texts(place / "texts", running, code, options.texts)
                        rates[which].texts.append(found)
                        rates[which].texts_cpu.append(cpu)
                        say(f"round {number + 1}: {which}: {found:.1f} texts/s, {cpu:.2f} ms CPU")
                    if options.voices:
                        found, cpu = voices(place / "voices", running, code, options.voices, voice)
                        rates[which].voices.append(found)
                        rates[which].voices_cpu.append(cpu)
                        say(f"round {number + 1}: {which}: {found:.1f} voices/s, {cpu:.1f} ms CPU")
                found, cpu = alone(folder / f"alone-{number}", options.voices or 100, voice)
                rates["ffmpeg"].voices.append(found)
                rates["ffmpeg"].voices_cpu.append(cpu)
                say(f"round {number + 1}: ffmpeg alone: {found:.1f}/s, {cpu:.1f} ms CPU")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print(table(rates, options.seconds, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
