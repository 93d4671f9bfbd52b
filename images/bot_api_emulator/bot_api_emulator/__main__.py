"""Command line: run the emulator until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from . import __version__
from .clock import LiveClock
from .core import Core
from .files import DEFAULT_LIMIT
from .logs import set_up
from .server import make_runner

log = logging.getLogger("bot_api_emulator")

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class StartError(Exception):
    """Why the emulator can't start, in a sentence for its user."""


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    env = os.environ
    parser = argparse.ArgumentParser(
        prog="bot_api_emulator", description="A Telegram Bot API for local runs and tests."
    )
    parser.add_argument(
        "--host",
        default=env.get("EMULATOR_HOST", "127.0.0.1"),
        help="address to listen on (EMULATOR_HOST; default 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        default=env.get("EMULATOR_PORT", "8081"),
        help="port to listen on (EMULATOR_PORT; default 8081)",
    )
    parser.add_argument(
        "--tokens-file",
        default=env.get("EMULATOR_TOKENS_FILE") or None,
        help="file with one bot token per line, registered at start (EMULATOR_TOKENS_FILE)",
    )
    parser.add_argument(
        "--files-mib",
        default=env.get("EMULATOR_FILES_MIB", str(DEFAULT_LIMIT >> 20)),
        help="memory for the bytes of files, in MiB (EMULATOR_FILES_MIB; default 128)",
    )
    parser.add_argument(
        "--local",
        action="store_true",
        default=env.get("EMULATOR_LOCAL", "").lower() in ("1", "true", "yes"),
        help="begin in local mode, as the real server's --local (EMULATOR_LOCAL=true)",
    )
    parser.add_argument(
        "--files-dir",
        default=env.get("EMULATOR_FILES_DIR") or None,
        help="folder for the files that bots read by path in local mode (EMULATOR_FILES_DIR; "
        "default a folder of its own below the system's temporary one)",
    )
    parser.add_argument(
        "--log-level",
        default=env.get("LOG_LEVEL", "INFO").upper(),
        choices=LEVELS,
        help="LOG_LEVEL; default INFO",
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(argv)


def _number(name: str, setting: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise StartError(
            f"{name} is {text!r} (set by {setting}); give a whole number from {low} to {high}"
        )
    return int(text)


def register_tokens(core: Core, path: str) -> None:
    setting = "set by --tokens-file or EMULATOR_TOKENS_FILE"
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StartError(
            f"can't read the tokens file {path} ({setting}): {reason}; "
            "give a readable file with one bot token per line"
        ) from None
    except UnicodeDecodeError:
        raise StartError(
            f"the tokens file {path} ({setting}) is no UTF-8 text; put one bot token on each line"
        ) from None
    for number, line in enumerate(lines, 1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        try:
            core.register(token)
        except ValueError as error:
            raise StartError(
                f"line {number} of the tokens file {path} ({setting}) holds no bot token: {error}"
            ) from None


async def serve(core: Core, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = make_runner(core)
    await runner.setup()
    try:
        address = await _listen(runner, host, port)
        log.info("listening on %s, %d bot(s) registered", address, len(core.bots))
        await stop.wait()
        log.info("stopping")
        core.shutdown()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        raise StartError(_why_not(error, host, port)) from None
    address = runner.addresses[0]
    return f"http://{address[0]}:{address[1]}"


def _why_not(error: Exception, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return (
            f"{host!r} (set by --host or EMULATOR_HOST) is no address of this machine; "
            "give an IP address, for example 127.0.0.1"
        )
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is already taken (set by --port or EMULATOR_PORT); "
            "give another port, or stop the program that listens there"
        )
    # asyncio gives no errno where none of a host's addresses can be bound.
    if code in (errno.EADDRNOTAVAIL, None):
        return (
            f"{host} (set by --host or EMULATOR_HOST) is no address of this machine; "
            "give one that is, for example 127.0.0.1"
        )
    if code == errno.EACCES:
        return (
            f"port {port} (set by --port or EMULATOR_PORT) is for root only; give a port above 1023"
        )
    return (
        f"can't listen on {host} port {port}: {error}; "
        "check --host and --port (EMULATOR_HOST, EMULATOR_PORT)"
    )


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        port = _number("the port", "--port or EMULATOR_PORT", arguments.port, 0, 65_535)
        mib = _number(
            "the memory for files",
            "--files-mib or EMULATOR_FILES_MIB",
            arguments.files_mib,
            1,
            65_536,
        )
        core = Core(
            LiveClock(),
            files_limit=mib << 20,
            files_folder=Path(arguments.files_dir) if arguments.files_dir else None,
        )
        core.modes.local = arguments.local
        set_up(arguments.log_level, core.tokens)
        if arguments.tokens_file:
            register_tokens(core, arguments.tokens_file)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(core, arguments.host, port))
    except StartError as error:
        print(f"bot_api_emulator: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
