"""The control API: what a tester does and sees. It never gives a token back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from aiohttp import BodyPartReader, web

from . import __version__, talk
from .bot import Bot
from .clock import SECOND
from .core import KNOWN_METHODS, Core, Modes
from .envelope import JsonObject
from .faults import FaultError, parse_fault
from .forms import UNKNOWN_TYPE, read_upload
from .queue import QueueError, Update
from .updates import LIFETIMES

SWITCHES = ("local", "strict")
MAX_FIELD_BYTES = 1 << 16
MAX_ID_DIGITS = 20
MAX_ADVANCE_SECONDS = 10 * 365 * 86_400
DEFAULT_MIME_TYPES = {
    "voice": "audio/ogg",
    "audio": "audio/mpeg",
    "photo": "image/jpeg",
    "video": "video/mp4",
    "document": "application/octet-stream",
}


class ControlError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_routes(app: web.Application, core: Core) -> None:
    control = Control(core)
    routes = [
        ("GET", "/control/health", control.health),
        ("GET", "/control/bots", control.bots),
        ("POST", "/control/bots", control.register),
        ("POST", "/control/bots/{id}/updates", control.push),
        ("GET", "/control/bots/{id}/sent", control.sent),
        ("GET", "/control/bots/{id}/wait", control.wait),
        ("POST", "/control/bots/{id}/press", control.press),
        ("POST", "/control/bots/{id}/choose", control.choose),
        ("POST", "/control/bots/{id}/chats", control.describe_chat),
        ("GET", "/control/bots/{id}/stats", control.stats),
        ("POST", "/control/bots/{id}/reset", control.reset),
        ("GET", "/control/bots/{id}/faults", control.faults),
        ("POST", "/control/bots/{id}/faults", control.add_fault),
        ("DELETE", "/control/bots/{id}/faults", control.end_faults),
        ("DELETE", "/control/bots/{id}/faults/{fault}", control.end_fault),
        ("GET", "/control/mode", control.get_mode),
        ("POST", "/control/mode", control.set_mode),
        ("GET", "/control/clock", control.get_clock),
        ("POST", "/control/clock", control.advance),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, _guarded(handler))
    app.router.add_route("*", "/control", _guarded(control.unknown))
    app.router.add_route("*", "/control/{path:.*}", _guarded(control.unknown))


def _guarded(handler: Any) -> Any:
    async def guarded(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except ControlError as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except TimeoutError as error:
            return web.json_response({"error": str(error)}, status=408)
        except (ValueError, QueueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return guarded


class Control:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def health(self, _: web.Request) -> JsonObject:
        return {"status": "ok", "version": __version__, "bots": len(self._core.bots)}

    async def unknown(self, request: web.Request) -> JsonObject:
        raise ControlError(
            404, f"there is no {request.method} {request.path}; README.md lists the control API"
        )

    async def bots(self, _: web.Request) -> list[JsonObject]:
        return [_identity(bot) for bot in self._core.bots.values()]

    async def register(self, request: web.Request) -> JsonObject:
        body = await _json_object(request)
        token = body.get("token")
        if not isinstance(token, str):
            raise ControlError(400, 'the body must be {"token": "<bot id>:<secret>"}')
        names = {}
        for name in ("username", "first_name"):
            value = body.get(name, "")
            if not isinstance(value, str):
                raise ControlError(400, f"{name} must be a string")
            names[name] = value
        try:
            return _identity(self._core.register(token, **names))
        except ValueError as error:
            raise ControlError(400, str(error)) from None

    async def push(self, request: web.Request) -> JsonObject:
        bot = self._bot(request)
        if request.content_type == "multipart/form-data":
            return await self._push_media(bot, request)
        return self._push_json(bot, await _json_object(request))

    def _push_json(self, bot: Bot, body: JsonObject) -> JsonObject:
        if "update_id" in body:
            raise ControlError(400, "leave update_id out: the server gives it")
        if len(body) != 1:
            raise ControlError(400, 'an update has one field, for example {"message": {…}}')
        kind, content = next(iter(body.items()))
        if kind not in LIFETIMES:
            raise ControlError(400, f"no kind of update: {kind}; known: {', '.join(LIFETIMES)}")
        if not isinstance(content, dict):
            raise ControlError(400, f"{kind} must be an object")
        return _pushed(kind, self._core.push(bot, kind, content))

    async def _push_media(self, bot: Bot, request: web.Request) -> JsonObject:
        fields: dict[str, str] = {}
        uploads = {}
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise ControlError(400, "a part of the form has no name")
            if part.name in DEFAULT_MIME_TYPES:
                upload = await read_upload(part, keep=self._core.keep)
                if upload.mime_type == UNKNOWN_TYPE:
                    upload = type(upload)(
                        upload.name, DEFAULT_MIME_TYPES[part.name], upload.size, upload.data
                    )
                uploads[part.name] = upload
                continue
            value = await part.read(decode=False)
            if len(value) > MAX_FIELD_BYTES:
                raise ControlError(413, f"{part.name} is longer than {MAX_FIELD_BYTES} bytes")
            fields[part.name] = bytes(value).decode("utf-8", "replace")
        if len(uploads) != 1:
            raise ControlError(
                400, "the form must have one file, named " + " or ".join(DEFAULT_MIME_TYPES)
            )
        unknown = fields.keys() - {"chat_id", "from_id", "duration", "caption"}
        if unknown:
            raise ControlError(400, f"unknown field {', '.join(sorted(unknown))}")
        chat_id = _integer(fields, "chat_id")
        if not chat_id:
            raise ControlError(400, "the form must have chat_id, an integer that is not 0")
        kind, upload = next(iter(uploads.items()))
        update = self._core.push_media(
            bot,
            kind,
            upload,
            chat_id,
            duration=_integer(fields, "duration") or 0,
            from_id=_integer(fields, "from_id"),
            caption=fields.get("caption", ""),
        )
        return _pushed("message", update)

    async def sent(self, request: web.Request) -> list[JsonObject]:
        return talk.sent(self._bot(request), request.query)

    async def wait(self, request: web.Request) -> list[JsonObject]:
        return await talk.wait(self._bot(request), request.query)

    async def press(self, request: web.Request) -> JsonObject:
        bot = self._bot(request)
        kind, update, more = talk.press(self._core, bot, await _json_object(request))
        return _pushed(kind, update) | more

    async def choose(self, request: web.Request) -> JsonObject:
        bot = self._bot(request)
        kind, update, more = talk.choose(self._core, bot, await _json_object(request))
        return _pushed(kind, update) | more

    async def describe_chat(self, request: web.Request) -> JsonObject:
        return talk.describe_chat(self._bot(request), await _json_object(request))

    async def stats(self, request: web.Request) -> JsonObject:
        return self._core.status(self._bot(request))

    async def reset(self, request: web.Request) -> JsonObject:
        bot = self._bot(request)
        self._core.reset(bot)
        return _identity(bot)

    async def faults(self, request: web.Request) -> list[JsonObject]:
        self._core.tick()
        return self._bot(request).faults.as_json(self._core.now())

    async def add_fault(self, request: web.Request) -> JsonObject:
        bot = self._bot(request)
        body = await _json_object(request)
        try:
            fault = bot.faults.add(parse_fault(body, KNOWN_METHODS), self._core.now())
        except FaultError as error:
            raise ControlError(400, str(error)) from None
        return {"id": fault.id}

    async def end_faults(self, request: web.Request) -> list[JsonObject]:
        now = self._core.now()
        return [fault.as_json(now) for fault in self._bot(request).faults.clear()]

    async def end_fault(self, request: web.Request) -> JsonObject:
        bot = self._bot(request)
        fault = bot.faults.end(_id(request, "fault"))
        if fault is None:
            raise ControlError(
                404, "no such fault; GET /control/bots/<id>/faults lists those there are"
            )
        return fault.as_json(self._core.now())

    async def get_mode(self, _: web.Request) -> JsonObject:
        return {
            name: value if isinstance(value, bool) else value / SECOND
            for name, value in asdict(self._core.modes).items()
        }

    async def set_mode(self, request: web.Request) -> JsonObject:
        body = await _json_object(request)
        modes = asdict(self._core.modes)
        unknown = body.keys() - modes.keys()
        if unknown or not body:
            raise ControlError(
                400,
                f"give one or more of {', '.join(modes)} "
                f"({' and '.join(SWITCHES)}: true or false, else seconds)",
            )
        for name, value in body.items():
            modes[name] = _switch(name, value) if name in SWITCHES else _seconds(name, value)
        self._core.set_modes(Modes(**modes))
        return await self.get_mode(request)

    async def get_clock(self, _: web.Request) -> JsonObject:
        return {"now": self._core.now() / SECOND}

    async def advance(self, request: web.Request) -> JsonObject:
        body = await _json_object(request)
        if body.keys() != {"advance"}:
            raise ControlError(400, 'the body must be {"advance": <seconds>}')
        self._core.advance(_seconds("advance", body["advance"]))
        return await self.get_clock(request)

    def _bot(self, request: web.Request) -> Bot:
        bot = self._core.bots.get(_id(request, "id"))
        if bot is None:
            raise ControlError(
                404, "no such bot; register it first by POST /control/bots, then use its id"
            )
        return bot


def _id(request: web.Request, name: str) -> int:
    """The number in the path, 0 where there is none: no id is 0."""
    text = request.match_info[name]
    return int(text) if text.isascii() and text.isdigit() and len(text) < MAX_ID_DIGITS else 0


def _identity(bot: Bot) -> JsonObject:
    return {"id": bot.id, "username": bot.username}


def _pushed(kind: str, update: Update | None) -> JsonObject:
    if update is None:
        return {"update_id": None, "skipped": f"the bot's allowed_updates leaves {kind} out"}
    return {"update_id": update.id}


def _integer(fields: dict[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise ControlError(400, f"{name} must be an integer") from None


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ControlError(400, f"{name} must be true or false")
    return value


def _seconds(name: str, value: Any) -> int:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= MAX_ADVANCE_SECONDS:
        raise ControlError(400, f"{name} must be a number of seconds, 0 or more")
    microseconds: int = round(value * SECOND)
    return microseconds


async def _json_object(request: web.Request) -> JsonObject:
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise ControlError(400, "the body must be JSON") from None
    if not isinstance(body, dict):
        raise ControlError(400, "the body must be a JSON object")
    return body
