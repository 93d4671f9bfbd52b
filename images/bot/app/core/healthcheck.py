"""HEALTHCHECK. Runs every few seconds in every container: standard library only, and little of it.

Started as a script (`python -I -S healthcheck.py`) or by `python -m app health`.
"""

import json
import os
import sys
import time

HEARTBEAT = "/tmp/aisha-heartbeat.json"  # noqa: S108 - a tmpfs of ours
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def judge(data: "dict[str, Any]", now: float) -> "tuple[bool, str]":
    """Pure: (healthy, one line)."""
    if not data.get("checks"):
        return False, "unhealthy: the process has not begun its work yet"
    bad = list(data.get("refused", {}).values())
    bad += [found["error"] for found in data.get("failing", {}).values() if now < found["until"]]
    good = []
    for check in data["checks"].values():
        limit = check["max_age"]
        if check["at"] is None:
            text = f"no {check['what']} yet ({now - data['started']:.0f} s after the start)"
            bad.append(text)
        elif now - check["at"] > limit:
            bad.append(
                f"the last {check['what']} was {now - check['at']:.0f} s ago (limit {limit:.0f} s)"
            )
        else:
            good.append(f"{check['what']} {now - check['at']:.0f} s ago")
            continue
        if check["error"]:
            bad[-1] += f", last error: {check['error']}"
    if bad:
        return False, "unhealthy: " + "; ".join(bad)
    return True, "healthy: " + "; ".join(good)


def _read(path: str) -> "dict[str, Any]":
    with open(path, encoding="utf-8") as file:
        data: dict[str, Any] = json.load(file)
    return data


def _heartbeat(path: str) -> "tuple[bool, str]":
    try:
        data = _read(path)
    except FileNotFoundError:
        return False, f"unhealthy: no heartbeat at {path} yet"
    except (OSError, ValueError) as error:
        return False, f"unhealthy: the heartbeat at {path} can't be read: {error}"
    try:
        os.kill(data["pid"], 0)
    except ProcessLookupError:
        return False, f"unhealthy: the process {data['pid']} that wrote {path} is gone"
    except PermissionError:
        pass
    return judge(data, time.monotonic())


def _webhook(port: int, path: str) -> "tuple[bool, str]":
    """Not ready, or ready on connections that can't be had again."""
    good, text = _readyz(port)
    try:
        refused = list(_read(path)["refused"].values())
    except (OSError, ValueError, KeyError):
        refused = []
    if not refused:
        return good, text
    return False, "unhealthy: " + "; ".join(refused + ([] if good else [text.partition(": ")[2]]))


def _readyz(port: int) -> "tuple[bool, str]":
    import socket

    request = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.5) as connection:
            connection.sendall(request)
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError as error:
        return False, f"unhealthy: /readyz on port {port} does not answer: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    text = body.decode("utf-8", "replace").strip()
    return status == [b"200"], f"{'healthy' if status == [b'200'] else 'unhealthy'}: {text}"


def main() -> int:
    path = os.environ.get("HEARTBEAT_FILE") or HEARTBEAT
    if os.environ.get("BOT_ROLE") == "webhook":
        good, text = _webhook(int(os.environ.get("WEBHOOK_HEALTH_PORT") or 8081), path)
    else:
        good, text = _heartbeat(path)
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
