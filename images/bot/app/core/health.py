"""The heartbeat file: what the role's own work last achieved, and how old that may get."""

import json
import os
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

WRITE_INTERVAL = 0.5
REMEMBERED_SECONDS = 300.0


class Streak:
    """What failed since something last worked. No I/O; takes the time as an argument.

    One failure is some user's; several different ones are ours. Only a process that has not
    succeeded yet is doubted at the first: so a bad release is known by its first message.
    """

    def __init__(self, *, unproven: int, proven: int) -> None:
        self._limit, self._proven = unproven, proven
        self._errors: dict[Hashable, tuple[float, str]] = {}

    def worked(self) -> None:
        self._errors.clear()
        self._limit = self._proven

    def failed(self, what: Hashable, error: str, now: float) -> None:
        self._errors.pop(what, None)
        self._errors[what] = (now, error)

    def verdict(self, now: float) -> str | None:
        """The last error, when too many different things failed lately."""
        oldest = now - REMEMBERED_SECONDS
        self._errors = {key: value for key, value in self._errors.items() if value[0] > oldest}
        if len(self._errors) < self._limit:
            return None
        return f"{len(self._errors)} in a row, the last: {list(self._errors.values())[-1][1]}"


class Heartbeat:
    """Written by the running role, judged by `healthcheck`, which runs in its own process.

    Times are CLOCK_MONOTONIC, which all processes of a machine share: a jump of the wall clock
    makes nobody healthy or ill.
    """

    def __init__(
        self,
        path: Path,
        *,
        role: str,
        instance: str,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._clock = clock
        self._redact = redact
        self._written = float("-inf")
        self._data: dict[str, Any] = {
            "role": role,
            "instance": instance,
            "pid": os.getpid(),
            "started": clock(),
            "checks": {},
            "refused": {},
            "failing": {},
            "facts": {},
        }

    def expect(self, name: str, max_age: float, what: str) -> None:
        """From now on `name` must be beaten at least every `max_age` seconds."""
        self._data["checks"][name] = {
            "what": what,
            "at": None,
            "max_age": max_age,
            "error": None,
        }
        self._write(force=True)

    def beat(self, name: str, **facts: Any) -> None:
        check = self._data["checks"][name]
        first = check["at"] is None or check["error"] is not None
        check["at"] = self._clock()
        check["error"] = None
        self._data["facts"].update(facts)
        self._write(force=first)

    def fail(self, name: str, error: str, **facts: Any) -> None:
        """Remember why `name` does not beat; its age alone decides about health."""
        self._data["checks"][name]["error"] = self._redact(error)[:300]
        self._data["facts"].update(facts)
        self._write(force=True)

    def refuse(self, name: str, error: str) -> None:
        """A login that is refused makes the role unhealthy at once, until `accept`."""
        self._data["refused"][name] = self._redact(error)[:300]
        self._write(force=True)

    def accept(self, name: str) -> None:
        self._data["refused"].pop(name, None)
        self._write(force=True)

    def failing(self, name: str, error: str | None, seconds: float = 0.0) -> None:
        """Work that fails makes the role unhealthy, until it works or nobody asked for so long."""
        known = self._data["failing"]
        if error is None:
            if known.pop(name, None) is not None:
                self._write(force=True)
            return
        known[name] = {"error": self._redact(error)[:300], "until": self._clock() + seconds}
        self._write(force=True)

    def _write(self, *, force: bool) -> None:
        now = self._clock()
        if not force and now - self._written < WRITE_INTERVAL:
            return
        self._written = now
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(self._data), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            # A tmpfs that is full: the old file ages, and that is what health must show.
            temporary.unlink(missing_ok=True)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
