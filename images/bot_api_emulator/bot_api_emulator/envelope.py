"""Answers in the Bot API's envelope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    body: JsonObject
    retry_after: int = 0


# No answer at all: the connection ends.
LOST = Answer(0, {})


class Refusal(Exception):
    """A request that ends in an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body["description"])
        self.answer = answer


def success(result: Any, description: str = "") -> Answer:
    body: JsonObject = {"ok": True, "result": result}
    if description:
        body["description"] = description
    return Answer(200, body)


def failure(code: int, description: str) -> Answer:
    return Answer(code, {"ok": False, "error_code": code, "description": description})


def too_many_requests(retry_after: int) -> Answer:
    body = {
        "ok": False,
        "error_code": 429,
        "description": f"Too Many Requests: retry after {retry_after}",
        "parameters": {"retry_after": retry_after},
    }
    return Answer(429, body, retry_after)


def bad_request(description: str) -> Refusal:
    return Refusal(failure(400, f"Bad Request: {description}"))
