"""Faults that a tester asks for: which calls one strikes, and what it does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .clock import SECOND
from .envelope import Answer, JsonObject, failure, too_many_requests

ANY_METHOD = "*"
DOWNLOAD = "download"
MAX_FAULTS = 1_000
MAX_SECONDS = 10 * 365 * 86_400
MAX_COUNT = 1_000_000_000
LOSES = ("reply", "request", "hang")
EFFECTS = ("error_code", "delay_s", "lose", "hang")
FIELDS = ("method", "chat_id", "after", "times", "for_s", *EFFECTS, "description", "retry_after")
DESCRIPTIONS = {
    400: "Bad Request: refused by a fault of the emulator",
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    409: (
        "Conflict: terminated by other getUpdates request; "
        "make sure that only one bot instance is running"
    ),
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class FaultError(ValueError):
    """Why a fault can't be set, in a sentence for the tester."""


@dataclass
class Fault:
    method: str
    chat_id: str = ""
    after: int = 0
    times: int | None = None
    lasts: int | None = None
    error_code: int = 0
    description: str = ""
    retry_after: int = 0
    delay: int = 0
    lose: str = ""
    asked: JsonObject = field(default_factory=dict)
    id: int = 0
    let_through: int = 0
    struck: int = 0
    armed: int | None = None

    def arm(self, now: int) -> None:
        """`for_s` runs from the moment at which the next call would be struck."""
        if self.armed is None and self.let_through >= self.after:
            self.armed = now

    def over(self, now: int) -> bool:
        if self.times is not None and self.struck >= self.times:
            return True
        return self.ends is not None and now >= self.ends

    @property
    def ends(self) -> int | None:
        if self.lasts is None or self.armed is None:
            return None
        return self.armed + self.lasts

    def concerns(self, method: str, chat_id: str) -> bool:
        return self.method.lower() in (ANY_METHOD, method.lower()) and self.chat_id in ("", chat_id)

    def refusal(self, now: int) -> Answer:
        if self.error_code != 429:
            text = self.description or DESCRIPTIONS.get(self.error_code, "Refused")
            return failure(self.error_code, text)
        left = math.ceil((self.ends - now) / SECOND) if self.ends is not None else 1
        answer = too_many_requests(self.retry_after or max(1, left))
        if self.description:
            answer.body["description"] = self.description
        return answer

    def as_json(self, now: int) -> JsonObject:
        return {"id": self.id, **self.asked, "struck": self.struck, "over": self.over(now)}


class Faults:
    """The faults of one bot. The oldest that concerns a call strikes it, no other."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._last_id = 0

    def add(self, fault: Fault, now: int) -> Fault:
        if len(self._faults) >= MAX_FAULTS:
            raise FaultError(
                f"this bot has {MAX_FAULTS} faults; end some by DELETE /control/bots/<id>/faults"
            )
        self._last_id += 1
        fault.id = self._last_id
        fault.arm(now)
        self._faults[fault.id] = fault
        return fault

    def strike(self, method: str, chat_id: str, now: int) -> Fault | None:
        for fault in self._faults.values():
            if not fault.concerns(method, chat_id) or fault.over(now):
                continue
            if fault.let_through < fault.after:
                fault.let_through += 1
                fault.arm(now)
                continue
            fault.struck += 1
            return fault
        return None

    def end(self, fault_id: int) -> Fault | None:
        return self._faults.pop(fault_id, None)

    def clear(self) -> list[Fault]:
        ended = list(self._faults.values())
        self._faults.clear()
        return ended

    def as_json(self, now: int) -> list[JsonObject]:
        return [fault.as_json(now) for fault in self._faults.values()]


def parse_fault(body: JsonObject, known_methods: frozenset[str]) -> Fault:
    """Read a tester's request; FaultError says what is wrong with it."""
    unknown = sorted(body.keys() - set(FIELDS))
    if unknown:
        raise FaultError(
            f"no field of a fault: {', '.join(unknown)}; there are {', '.join(FIELDS)}"
        )
    effects = [name for name in EFFECTS if name in body]
    if len(effects) != 1:
        given = f"; given: {', '.join(effects)}" if effects else ""
        raise FaultError(f"a fault has exactly one of {', '.join(EFFECTS)}{given}")
    fault = Fault(
        method=_method(body, known_methods),
        chat_id=_chat_id(body),
        after=_whole(body, "after", 0, MAX_COUNT) or 0,
        times=_whole(body, "times", 1, MAX_COUNT),
        lasts=_seconds(body, "for_s"),
        error_code=_whole(body, "error_code", 400, 599) or 0,
        description=_description(body),
        retry_after=_whole(body, "retry_after", 1, MAX_SECONDS) or 0,
        delay=_seconds(body, "delay_s") or 0,
        lose=_lose(body),
        asked=dict(body),
    )
    if "description" in body and not fault.error_code:
        raise FaultError("description goes with error_code only")
    if fault.retry_after and fault.error_code != 429:
        raise FaultError("retry_after goes with error_code 429 only")
    return fault


def _method(body: JsonObject, known: frozenset[str]) -> str:
    method = body.get("method")
    if not isinstance(method, str) or not method:
        raise FaultError(
            'method must be the name of a Bot API method, "download" for a file, or "*" for all'
        )
    if method not in (ANY_METHOD, DOWNLOAD) and method.lower() not in known:
        raise FaultError(
            f'no method of the Bot API that the emulator knows: {method}; "*" means all of them'
        )
    return method


def _chat_id(body: JsonObject) -> str:
    if "chat_id" not in body:
        return ""
    chat_id = body["chat_id"]
    if isinstance(chat_id, bool) or not isinstance(chat_id, int | str) or not str(chat_id):
        raise FaultError('chat_id must be a number or a name such as "@channel"')
    return str(chat_id)


def _description(body: JsonObject) -> str:
    description = body.get("description", "")
    if not isinstance(description, str):
        raise FaultError("description must be a string")
    return description


def _lose(body: JsonObject) -> str:
    if "hang" in body:
        if body["hang"] is not True:
            raise FaultError("hang must be true; leave it out for a fault that does not hang")
        return "hang"
    lose = body.get("lose", "")
    if "lose" in body and lose not in LOSES:
        raise FaultError(f"lose must be one of {', '.join(LOSES)}")
    return str(lose)


def _whole(body: JsonObject, name: str, low: int, high: int) -> int | None:
    if name not in body:
        return None
    value: object = body[name]
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise FaultError(f"{name} must be a whole number from {low} to {high}")


def _seconds(body: JsonObject, name: str) -> int | None:
    if name not in body:
        return None
    value: object = body[name]
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_SECONDS:
        return max(1, round(value * SECOND))
    raise FaultError(f"{name} must be a number of seconds above 0")
