"""Runs inside a bot image, as the container's real user and with its real mounts, before the swap.

Prints one JSON object: {"broken": [sentences], "unwritable": [paths]}. Standard library only, as
any image that keeps the contract may be under it. Never prints the token.
"""

import importlib
import json
import os
import urllib.error
import urllib.request

PATHS = ("/app/storage/temp", "/app/storage/audio", "/app/logs")


def unwritable_reason(path):
    """Why this user can't write, read back and delete a file in path; None where it can."""
    probe = os.path.join(path, f".preflight-{os.getpid()}")
    try:
        with open(probe, "w", encoding="ascii") as written:
            written.write("probe")
        with open(probe, encoding="ascii") as read:
            if read.read() != "probe":
                return "reads back something else than was written"
        os.remove(probe)
    except OSError as error:
        owner = os.stat(path) if os.path.exists(path) else None
        owned = (
            f", owned by {owner.st_uid}:{owner.st_gid}, mode {owner.st_mode & 0o7777:04o}"
            if owner
            else ""
        )
        return f"{error.strerror} as {os.getuid()}:{os.getgid()}{owned}"
    return None


def token_problem():
    """What the Bot API says against the token; None where getMe succeeds."""
    with open(os.environ["BOT_TOKEN_FILE"], encoding="ascii") as secret:
        token = secret.read().strip()
    url = os.environ["BOT_API_URL"].rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/bot{token}/getMe", timeout=10):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        if error.code in (401, 404, 421):
            return (
                f"the Bot API at {url} refuses bot_token (HTTP {error.code}):"
                " set it to the bot's present token, which BotFather shows"
            )
        return f"the Bot API at {url} answers getMe with HTTP {error.code}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        return f"the Bot API at {url} (bot_api_url) can't be reached: {reason}"


def import_problem():
    """Why the worker's class can't be imported; None where it can."""
    try:
        worker = importlib.import_module("app.workers.background_worker")
    except ImportError as error:
        return f"app.workers.background_worker can't be imported: {error}"
    if not hasattr(worker, "BackgroundWorker"):
        return "app.workers.background_worker has no class BackgroundWorker"
    return None


def main():
    problems = [import_problem(), token_problem()]
    unwritable = {path: unwritable_reason(path) for path in PATHS}
    problems += [
        f"{path} can't be written: {reason}" for path, reason in unwritable.items() if reason
    ]
    result = {
        "broken": [problem for problem in problems if problem],
        "unwritable": [path for path, reason in unwritable.items() if reason],
    }
    print(json.dumps(result))


main()
