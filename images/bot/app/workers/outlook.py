"""Whether anything succeeds at all: one job in retry is its own trouble, all of them are ours."""

import time
from collections.abc import Callable, Hashable

# So many jobs for so long, without one that ended.
JOBS = 3
SECONDS = 30.0
# After this without a try nothing is in retry here any more.
FORGET_SECONDS = 300.0
PUT_OFF = ("retry", "error")
NO_END = ("lost", "repeated", "released")


class Outlook:
    """Hears of each try's result, and says what is wrong when none has ended well for a while."""

    def __init__(
        self, say: Callable[[str | None], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._jobs: set[Hashable] = set()
        self._tries = 0
        self._since = self._last = 0.0
        self._said = False

    def note(self, job: Hashable, result: str, error: str = "") -> None:
        if result in NO_END:
            return
        if result not in PUT_OFF:
            self._clear()
            return
        now = self._clock()
        if not self._jobs:
            self._since = now
        self._last = now
        self._tries += 1
        self._jobs.add(job)
        if len(self._jobs) >= JOBS and now - self._since >= SECONDS:
            self._said = True
            self._say(
                f"everything is put off: {self._tries} tries of {len(self._jobs)} jobs in "
                f"{now - self._since:.0f} s, none ended; last error: {error}"
            )

    def look(self) -> None:
        """Now and then: what is long ago counts no more."""
        if self._jobs and self._clock() - self._last > FORGET_SECONDS:
            self._clear()

    def _clear(self) -> None:
        self._jobs.clear()
        self._tries = 0
        if self._said:
            self._said = False
            self._say(None)
