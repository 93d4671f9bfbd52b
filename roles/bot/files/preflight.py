"""Runs inside a bot image, as the container's real user with its real settings, before a swap.

Its arguments are a nonce, and the seconds that an import may take. Prints one line, the nonce and a
JSON object: {"image": [sentences], "token": [sentences]}, of what is wrong with either. Standard
library only, as any image that keeps the contract may be under it. Never prints the token.
"""

import contextlib
import http.client
import importlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

WORKER = "app.workers.background_worker"


def bot_token():
    with open(os.environ["BOT_TOKEN_FILE"], encoding="ascii") as secret:
        return secret.read().strip()


def token_problem():
    """What the Bot API says against the token; None where getMe succeeds."""
    url = os.environ["BOT_API_URL"].rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/bot{bot_token()}/getMe", timeout=10):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        if error.code in (401, 404, 421):
            return (
                f"the Bot API at {url} refuses bot_token (HTTP {error.code}):"
                " set it to the bot's present token, which BotFather shows"
            )
        return f"the Bot API at {url} answers getMe with HTTP {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error)).replace(bot_token(), "***")
        return f"the Bot API at {url} (bot_api_url) can't be reached: {reason}"


def imported():
    """Why the worker's class can't be imported; "" where it can. Runs what the image has."""
    try:
        worker = importlib.import_module(WORKER)
        if hasattr(worker, "BackgroundWorker"):
            return ""
        return f"{WORKER} has no class BackgroundWorker"
    except BaseException as error:
        # Of an error of many lines, as settings have them, the first says what kind it is.
        said = (str(error).strip().splitlines() or [""])[0][:500]
        named = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return f"{WORKER} can't be imported: {named}"


def ended(child, seconds):
    """The exit code of a process, negative for a signal; None where it had to be killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def import_problem(seconds):
    """Why the worker's class can't be imported, also where that ends the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, b"!" + imported().encode(errors="replace"))
        finally:
            os._exit(0)
    os.close(writing)
    code = ended(child, seconds)
    os.set_blocking(reading, False)
    said = b""
    with contextlib.suppress(BlockingIOError):
        said = os.read(reading, 4096)
    if code is None:
        return f"{WORKER} is not imported after {seconds} seconds"
    if code == -signal.SIGKILL:
        return (
            f"importing {WORKER} was killed, for want of memory: bot_worker_memory is not enough"
            " for this image"
        )
    if code < 0:
        return f"importing {WORKER} was ended by {signal.Signals(-code).name}"
    if not said:
        return f"importing {WORKER} ends the process, with status {code}"
    return said[1:].decode(errors="replace").replace(bot_token(), "***") or None


def main():
    nonce, seconds = sys.argv[1], int(sys.argv[2])
    image, token = import_problem(seconds), token_problem()
    told = {"image": [image] if image else [], "token": [token] if token else []}
    # What the image has printed may have ended without a new line.
    print(f"\n{nonce}{json.dumps(told)}", flush=True)


main()
