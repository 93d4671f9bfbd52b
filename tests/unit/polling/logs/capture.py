"""Captures the logs in this folder anew: real bots on the Bot API emulator, in real trouble.

    python tests/unit/polling/logs/capture.py [--keep FOLDER] [NAME …]

A NAME is the beginning of a capture's name (aiogram, ptb-c1); without one all are made, which
takes some minutes. Needs the environment of `make environment-dev`, node with npm, and (for the
captures "dns") root with `unshare`. What the bots want beside that is installed into a temporary
folder, or into FOLDER, which is then kept. Bots run as plain processes; each line is stamped when
it is read, as the Docker Engine does it.

A log is scrubbed, freed of this machine's paths and cut at its end before it is written.
expected.json says what the emulator counted: `conflicts` are its 409 answers by kind, `exact` is
true where all of them must show in the logs (nothing cut off, and no answer lost at the end).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import log as polling_log

HERE = Path(__file__).resolve().parent
BOTS = HERE / "bots"
ROOT = HERE.parents[3]


BOT_ID = 7_012_345_678
MAX_BYTES = 7_900
PATIENCE = 60.0
QUIET = 0.5
NODE = ["grammy@1.46.0", "telegraf@4.16.3", "pino@10.4.0"]
PYTHON = ["coloredlogs==15.0.1", "colorlog==6.12.0", "loguru==0.7.3", "python-json-logger==4.2.0"]
HOOK = "https://hook.example.com/bot"
CONVERSATION = (
    "/start",
    "hello",
    "Conflict: terminated by other getUpdates request; "
    "make sure that only one bot instance is running",
)


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(0.02)


def stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


class Emulator:
    """The Bot API emulator as a process of its own, so that it can be killed and frozen."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, token: str | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bot_api_emulator", "--port", str(self.port)],
            cwd=ROOT / "images/bot_api_emulator",
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(self._answers, "the emulator's start")
        if token is not None:
            self.control("/bots", {"token": token})

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.control("/health"))
        return False

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGKILL)

    def request(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  our own emulator
            self.base + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return json.load(answer)

    def control(self, path: str, body: Any = None) -> Any:
        return self.request("/control" + path, body)

    def stats(self) -> Any:
        return self.control(f"/bots/{BOT_ID}/stats")

    def conflicts(self) -> dict[str, int]:
        return {kind: n for kind, n in self.stats()["conflicts"].items() if n}


class Bot:
    """One poller as a process, and what it logs."""

    def __init__(
        self, command: list[str], environment: dict[str, str], folder: Path, *, tty: bool
    ) -> None:
        self.lines: list[str] = []
        self.last = time.monotonic()
        source, sink = pty.openpty() if tty else os.pipe()
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=sink, stderr=sink
        )
        os.close(sink)
        self._reader = threading.Thread(target=self._read, args=(source,), daemon=True)
        self._reader.start()

    def _read(self, source: int) -> None:
        # The end of a terminal is an error.
        with open(source, "rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                text = line.rstrip(b"\n").decode("utf-8", "replace")
                self.lines.append(f"{stamp(time.time_ns())} {text}")
                self.last = time.monotonic()

    def says(self, word: str, times: int = 1) -> None:
        until(lambda: sum(word in line for line in self.lines) >= times, f"{times} x {word!r}")

    def ended(self) -> bool:
        return self.process.poll() is not None

    def quiet(self) -> bool:
        return time.monotonic() - self.last > QUIET

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)


@dataclass
class Capture:
    """One run: a framework, what happens to it, and in which clothes it logs."""

    framework: str
    situation: str
    style: str = "none"
    extra: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    wait_for: str = ""
    # Conflicts after which there is enough in the logs.
    enough: int = 4
    # A container with `tty: true`.
    tty: bool = False

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.framework, self.variant, self.situation) if part)


COMMANDS = {
    "aiogram": "aiogram_bot.py",
    "ptb": "ptb_bot.py",
    "telebot": "telebot_bot.py",
    "plain": "plain_bot.py",
    "reference": "reference_bot.py",
    "grammy": "grammy_bot.mjs",
    "telegraf": "telegraf_bot.mjs",
}


class Workshop:
    """A folder with what the bots need, and the emulator of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"
        self.node = folder / "node"
        if not self.packages.is_dir():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target"]
            subprocess.run([*pip, str(self.packages), *PYTHON], check=True)
        if not (self.node / "node_modules").is_dir():
            self.node.mkdir(exist_ok=True)
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix"]
            subprocess.run([*npm, str(self.node), *NODE], check=True)
        # Node looks for packages beside the program.
        for program in BOTS.glob("*.mjs"):
            shutil.copy(program, self.node)

    def run(self, capture: Capture) -> dict[str, Any]:
        """Run one capture and write its logs."""
        self.emulator = Emulator()
        self.bots: list[Bot] = []
        self.capture = capture
        self.token = f"{BOT_ID}:{secrets.token_urlsafe(27)[:35]}"
        (self.folder / "token").write_text(self.token, encoding="ascii")
        self.exact = True
        self.seen: dict[str, int] = {}
        try:
            SITUATIONS[capture.situation.split("-")[0]](self)
        finally:
            for bot in self.bots:
                bot.kill()
            self.emulator.stop()
        logs = []
        for bot, suffix in zip(self.bots, ("", "-b"), strict=False):
            if bot.lines:
                logs.append(self._write(bot, capture.name + suffix))
        return {"logs": logs, "conflicts": self.seen, "exact": self.exact}

    def start_bot(self, **more: str) -> Bot:
        capture = self.capture
        program = COMMANDS[capture.framework]
        command = (
            ["node", program]
            if program.endswith(".mjs")
            else [sys.executable, "-u", str(BOTS / program)]
        )
        if capture.situation == "dns":
            # A network namespace without any network: real failures, and no name is sent out.
            command = ["unshare", "--net", *command]
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{self.packages}:{ROOT / 'images/bot'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BOT_API_URL": self.emulator.base,
            "BOT_TOKEN_FILE": str(self.folder / "token"),
            "BOT_STYLE": capture.style,
            **capture.extra,
            **more,
        }
        bot = Bot(command, environment, self.node, tty=capture.tty)
        self.bots.append(bot)
        return bot

    def polls(self, count: int = 1) -> None:
        until(lambda: self.emulator.stats()["polls"] >= count, f"{count} polls")

    def settle(self) -> None:
        """Let answers that are held back go out, and the bots log them; then end the run."""
        self.emulator.control("/clock", {"advance": 4})
        until(lambda: all(bot.quiet() or bot.ended() for bot in self.bots), "silence")
        for bot in self.bots:
            bot.kill()
        self.seen = self.emulator.conflicts()

    def _write(self, bot: Bot, name: str) -> str:
        text = polling_log.scrub("\n".join(bot.lines) + "\n")
        for path, shown in self._paths():
            text = text.replace(path, shown)
        text = re.sub(rf"\b{self.emulator.port}\b", "8081", text)
        host = re.escape(socket.gethostname())
        text = re.sub(rf'(?<="hostname":"){host}(?=")|(?<= ){host}(?= TeleBot)', "bot-host", text)
        lines = re.findall(r"[^\n]*\n", text)
        while len("".join(lines).encode()) > MAX_BYTES:
            lines.pop()
            self.exact = False
        text = "".join(lines)
        secret = self.token.partition(":")[2]
        leaks = [secret[i : i + 8] for i in range(len(secret) - 7) if secret[i : i + 8] in text]
        own = (str(ROOT), str(self.folder), sys.prefix, sys.base_prefix, str(Path.home()) + "/")
        leaks += [path for path in own if path in text]
        if leaks:
            raise ValueError(f"{name} shows what it must not: {leaks}")
        (HERE / f"{name}.log").write_text(text, encoding="utf-8", newline="")
        return f"{name}.log"

    def _paths(self) -> Iterator[tuple[str, str]]:
        """Paths of this machine and what stands for them, the longest first."""
        yield str(self.packages), "/usr/lib/python3/dist-packages"
        yield sysconfig.get_paths()["purelib"], "/usr/lib/python3/dist-packages"
        yield sysconfig.get_paths()["stdlib"], "/usr/lib/python3"
        for folder in (BOTS, self.node, ROOT / "images/bot"):
            yield str(folder), "/app"


# What happens


def c1(run: Workshop) -> None:
    """Two pollers with one token."""
    run.emulator.start(run.token)
    run.start_bot()
    run.polls()
    run.start_bot()
    # A framework that gives up at its first conflict leaves one poller.
    until(
        lambda: (
            run.emulator.conflicts().get("C1", 0) >= run.capture.enough
            or (run.bots[0].ended() and run.emulator.stats()["polls"] >= 2)
        ),
        "conflicts",
    )
    run.settle()


def webhook(run: Workshop) -> None:
    """A webhook is set while the bot polls: C3, then C2."""
    run.emulator.start(run.token)
    bot = run.start_bot()
    until(lambda: run.emulator.stats()["parked"] == 1, "a parked poll")
    run.emulator.request(f"/bot{run.token}/setWebhook", {"url": HOOK})
    until(lambda: bot.ended() or run.emulator.conflicts().get("C2", 0) >= 1, "conflicts")
    run.settle()


def c2(run: Workshop) -> None:
    """A webhook is there before the bot comes."""
    run.emulator.start(run.token)
    run.emulator.request(f"/bot{run.token}/setWebhook", {"url": HOOK})
    run.start_bot()
    until(lambda: run.emulator.conflicts().get("C2", 0) >= 3, "conflicts")
    run.settle()


def unauthorized(run: Workshop) -> None:
    """The token is not registered."""
    run.emulator.start(None)
    bot = run.start_bot()
    until(lambda: bot.ended() or sum("401" in line for line in bot.lines) >= 3, "the bot's end")


def revoked(run: Workshop) -> None:
    """The token is replaced while the bot polls."""
    run.emulator.start(run.token)
    bot = run.start_bot()
    run.polls()
    other = f"{BOT_ID}:{secrets.token_urlsafe(27)[:35]}"
    run.emulator.control("/bots", {"token": other})
    run.emulator.control("/clock", {"advance": 60})
    until(
        lambda: bot.ended() or sum("nauthorized" in line for line in bot.lines) >= 3,
        "a refusal in the log",
    )


def unreachable(run: Workshop) -> None:
    """The emulator is killed while the bot polls; a bot that lives on finds it again."""
    run.emulator.start(run.token)
    bot = run.start_bot()
    run.polls()
    until(lambda: run.emulator.stats()["parked"] == 1, "a parked poll")
    before = len(bot.lines)
    run.emulator.signal(signal.SIGKILL)
    if run.capture.wait_for:
        bot.says(run.capture.wait_for, 2)
    else:
        until(lambda: bot.ended() or len(bot.lines) > before, "words about it")
    until(lambda: bot.ended() or bot.quiet(), "silence")
    if bot.ended():
        return
    run.emulator.start(run.token)
    run.polls()
    until(bot.quiet, "silence")


def refused(run: Workshop) -> None:
    """The emulator is not there when the bot starts."""
    bot = run.start_bot()
    trouble(run, bot)


def dns(run: Workshop) -> None:
    """The name of the Bot API can't be resolved."""
    bot = run.start_bot(BOT_API_URL="http://bot-api.example.com:8081")
    trouble(run, bot)


def trouble(run: Workshop, bot: Bot) -> None:
    """Until the bot has ended, or said twice what it waits for."""
    word = run.capture.wait_for
    until(
        lambda: bot.ended() or (bool(word) and sum(word in line for line in bot.lines) >= 2),
        "words about it",
    )


def timeout(run: Workshop) -> None:
    """The emulator hangs while the bot polls."""
    run.emulator.start(run.token)
    bot = run.start_bot(BOT_POLL="1", BOT_PATIENCE="1")
    run.polls()
    run.emulator.signal(signal.SIGSTOP)
    trouble(run, bot)


def healthy(run: Workshop) -> None:
    """A conversation; the last message looks like an error."""
    run.emulator.start(run.token)
    bot = run.start_bot()
    run.polls()
    for text in CONVERSATION:
        run.emulator.control(
            f"/bots/{BOT_ID}/updates", {"message": {"chat": {"id": 77}, "text": text}}
        )
    until(lambda: run.emulator.stats()["confirmed"] == len(CONVERSATION), "the last message")
    until(bot.quiet, "silence")


SITUATIONS: dict[str, Callable[[Workshop], None]] = {
    "c1": c1,
    "webhook": webhook,
    "c2": c2,
    "unauthorized": unauthorized,
    "revoked": revoked,
    "unreachable": unreachable,
    "refused": refused,
    "dns": dns,
    "timeout": timeout,
    "healthy": healthy,
}

LOOP = {"BOT_LOOP": "loop"}
HANDLER = {"BOT_HANDLER": "1"}
DEBUG_GRAMMY = {"DEBUG": "grammy*"}
DEBUG_TELEGRAF = {"DEBUG": "telegraf*"}

CAPTURES = [
    *(Capture("aiogram", s, "basic") for s in ("c1", "webhook", "c2", "unauthorized", "revoked")),
    Capture("aiogram", "unreachable", "basic", wait_for="Failed to fetch"),
    Capture("aiogram", "refused", "basic"),
    Capture("aiogram", "dns", "basic"),
    Capture("aiogram", "timeout", "basic", wait_for="Failed to fetch"),
    Capture("aiogram", "healthy", "basic"),
    Capture("aiogram", "c1", "none", variant="none"),
    Capture("aiogram", "c1", "json", variant="json"),
    Capture("aiogram", "c1", "rich", variant="rich"),
    Capture("aiogram", "c2", "rich", variant="rich"),
    Capture("aiogram", "c1", "loguru", variant="loguru"),
    Capture("aiogram", "c1", "colorlog", variant="colorlog"),
    Capture("aiogram", "healthy", "structlog", variant="structlog"),
    Capture("ptb", "c1", "basic", enough=2),
    *(Capture("ptb", s, "basic") for s in ("webhook", "unauthorized", "revoked", "refused")),
    Capture("ptb", "unreachable", "basic", wait_for="telegram.error.NetworkError"),
    Capture("ptb", "dns", "none"),
    Capture("ptb", "healthy", "basic"),
    Capture("ptb", "c1", "none", variant="none", enough=2),
    Capture("ptb", "c1", "basic", HANDLER, variant="handler", enough=2),
    Capture("ptb", "webhook", "none", HANDLER, variant="handler"),
    Capture("ptb", "c1", "structlog", variant="structlog", enough=2),
    Capture("ptb", "webhook", "json", variant="json"),
    Capture("ptb", "c1", "console", variant="console", enough=2),
    Capture("ptb", "unreachable", "structlog", variant="structlog", wait_for="ConnectError"),
    Capture("telebot", "c1"),
    Capture("telebot", "webhook"),
    Capture("telebot", "c2"),
    Capture("telebot", "unauthorized"),
    Capture("telebot", "revoked"),
    Capture("telebot", "unreachable", wait_for="Infinity polling exception"),
    Capture("telebot", "refused", wait_for="exception"),
    Capture("telebot", "dns", wait_for="exception"),
    Capture("telebot", "timeout", wait_for="exception"),
    Capture("telebot", "healthy", "basic"),
    Capture("telebot", "c1", extra=LOOP, variant="loop"),
    Capture("telebot", "webhook", extra=LOOP, variant="loop"),
    Capture("telebot", "unauthorized", extra=LOOP, variant="loop"),
    Capture("telebot", "unreachable", extra=LOOP, variant="loop"),
    Capture("telebot", "c1", extra={"BOT_LOOP": "once"}, variant="once"),
    Capture("telebot", "c1", "own", variant="own", enough=2),
    Capture("telebot", "c1", "own", variant="own-tty", enough=2, tty=True),
    Capture("telebot", "c1", "basic", variant="twice"),
    Capture("telebot", "unreachable", "own", variant="own", wait_for="Infinity polling exception"),
    *(Capture("grammy", s) for s in ("c1", "webhook", "unauthorized", "healthy")),
    Capture("grammy", "c1", "pino", variant="pino"),
    Capture("grammy", "c1", extra=DEBUG_GRAMMY, variant="debug"),
    Capture("grammy", "healthy", "pino", variant="pino"),
    Capture("grammy", "unreachable", extra=DEBUG_GRAMMY, variant="debug", wait_for="retrying in"),
    Capture("grammy", "dns", extra=DEBUG_GRAMMY, variant="debug", wait_for="EAI_AGAIN"),
    *(Capture("telegraf", s) for s in ("c1", "webhook", "unauthorized", "refused", "healthy")),
    Capture("telegraf", "dns"),
    Capture("telegraf", "c1", "catch", variant="catch"),
    Capture("telegraf", "webhook", "pino", variant="pino"),
    Capture(
        "telegraf", "unreachable", extra=DEBUG_TELEGRAF, variant="debug", wait_for="Failed to fetch"
    ),
    *(Capture("reference", s) for s in ("c1", "webhook", "unauthorized", "healthy")),
    Capture("reference", "unreachable", wait_for="getUpdates failed"),
    Capture("reference", "dns", wait_for="getUpdates failed"),
    Capture("reference", "timeout", wait_for="getUpdates failed"),
    *(Capture("plain", s) for s in ("c1", "webhook", "unauthorized", "healthy")),
    Capture("plain", "unreachable", wait_for="getUpdates: HTTP"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    names = arguments.names or [""]
    chosen = [c for c in CAPTURES if any(c.name.startswith(name) for name in names)]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        chosen = [c for c in chosen if c.situation != "dns"]
        print("no captures of dns: they need root and unshare")
    expected_file = HERE / "expected.json"
    expected = json.loads(expected_file.read_text()) if expected_file.exists() else {}
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        workshop = Workshop(folder.resolve())
        for capture in chosen:
            begin = time.monotonic()
            try:
                expected[capture.name] = workshop.run(capture)
            except TimeoutError as error:
                failed.append(capture.name)
                print(f"{capture.name}: {error}; its log ends:")
                for bot in workshop.bots:
                    print("\n".join(bot.lines[-8:]), "\n--")
                continue
            print(f"{capture.name}: {expected[capture.name]} in {time.monotonic() - begin:.0f} s")
    known = {capture.name for capture in CAPTURES}
    expected = {name: value for name, value in sorted(expected.items()) if name in known}
    expected_file.write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
