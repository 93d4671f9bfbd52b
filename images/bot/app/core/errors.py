"""The few outcomes that the code tells apart."""


class ConfigError(Exception):
    """Settings that can't work: one sentence per wrong variable. Exit code 2."""


class StorageError(Exception):
    """A path that must be writable is not. Exit code 78."""


class Refused(Exception):
    """Work that will never succeed: the user gets `answer`, the row becomes `failed`."""

    def __init__(self, answer: str, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer


class Again(Exception):
    """Work that should be tried again later: something it needs is missing for now."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class DiskFull(Again):
    """A disk of this host is full: room may be made by throwing away what can be had again."""


class FloodWait(Again):
    """The Bot API takes nothing of this kind for `delay` seconds (429), or it is our turn then."""


class BotApiFailed(Again):
    """The Bot API can't be reached, or answers with a failure of its own."""


class LoginRefused(Again):
    """A service that answers refuses this process's login. Somebody may repair it, so try again."""


class LeaseLost(Exception):
    """Another worker took the row over: stop without touching it."""
