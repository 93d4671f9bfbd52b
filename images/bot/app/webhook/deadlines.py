"""Deadlines for what uvicorn waits for without one: the head of a request, and the rest of a body
that was answered before it came."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 5.0
REST_SECONDS = 2.0

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Deadlines(H11Protocol):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits_for = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait("head", HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait("", 0)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        """Begin or end a deadline by where the connection stands; one that runs is not put off."""
        if self.transport.is_closing():
            self._wait("", 0)
        elif self.conn.their_state is h11.IDLE:
            if self.conn.trailing_data[0]:
                self._wait("head", HEAD_SECONDS)
            elif self._waits_for == "rest":
                # uvicorn's own timer ended when the rest began to come.
                self._wait("next", self.timeout_keep_alive)
        elif self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            self._wait("rest", REST_SECONDS)
        else:
            self._wait("", 0)

    def _wait(self, what: str, seconds: float) -> None:
        if what == self._waits_for:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._waits_for = what
        self._timer = self.loop.call_later(seconds, self._end) if what else None

    def _end(self) -> None:
        if not self.transport.is_closing():
            if self._waits_for == "head":
                self.transport.write(TOO_SLOW)
            self.transport.close()
