"""The state machine: every rule on who may poll, without sockets and with a clock from outside.

Nothing here waits. A request is answered at once or becomes a `Held` that `tick` answers when its
time has come; whoever drives the machine calls `tick` at `next_due`.
"""

from __future__ import annotations

import heapq
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random, SystemRandom

from .arguments import Arguments, Upload
from .bot import Bot, Held, ParkedPoll, Session
from .calls import Call
from .clock import MILLISECOND, SECOND, Clock
from .conversation import QUERY_KINDS, Conversation
from .deliveries import BY_ANSWER, Deliveries, WebhookReply
from .envelope import (
    LOST,
    Answer,
    JsonObject,
    Refusal,
    bad_request,
    failure,
    success,
    too_many_requests,
)
from .faults import DOWNLOAD, Fault
from .files import (
    DEFAULT_LIMIT,
    MAX_DOWNLOAD,
    MAX_UPLOAD,
    MAX_UPLOAD_LOCAL,
    FileStore,
    StoredFile,
)
from .local_files import FilesFolder
from .methods import METHODS, media_object, perform
from .outbox import Delivery
from .queue import Update, UpdateQueue
from .stats import Client, Stats
from .updates import DEFAULT_ALLOWED, LIFETIMES, MESSAGE_KINDS, complete_message, parse_allowed
from .webhook import Webhook, check_webhook, wanted_webhook, webhook_address

log = logging.getLogger(__name__)

CONFLICT_TEXTS = {
    "C1": "terminated by other getUpdates request; make sure that only one bot instance is running",
    "C2": (
        "can't use getUpdates method while webhook is active; "
        "use deleteWebhook to delete the webhook first"
    ),
    "C3": "terminated by setWebhook request",
    "C4": "terminated by other setWebhook",
}
CONFLICT_DELAY = 3 * SECOND
MAX_TIMEOUT = 50
BUSY_LOOP_SECONDS = 3
WAKE_AFTER = 1 * MILLISECOND
WAKE_LIMIT = 2 * MILLISECOND
MAX_ANSWER_BYTES = 1 << 22
UPDATE_OVERHEAD_BYTES = 50
WEBHOOK_PAUSE = 1 * SECOND
CLOSE_PAUSE = 600 * SECOND
LOGGED_OUT_FOR = 1800 * SECOND
SHUTDOWN_RETRY = 5
OWN_METHODS = (
    "getUpdates",
    "setWebhook",
    "deleteWebhook",
    "getWebhookInfo",
    "close",
    "logOut",
    "getFile",
)
KNOWN_METHODS = frozenset(name.lower() for name in OWN_METHODS) | frozenset(METHODS)

MAX_TOKEN_LENGTH = 80
MAX_BOT_ID = 1 << 54
_TOKEN = re.compile(r"([1-9][0-9]*):[A-Za-z0-9_-]+", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True)
class Request:
    token: str
    method: str
    arguments: Arguments
    files: dict[str, Upload]
    client: Client


@dataclass
class Modes:
    """Behaviour that the open-source server does not show by itself; 0 is off.

    `local` is what its option --local allows.
    """

    ghost: int = 0
    webhook_delay: int = 0
    local: bool = False
    strict: bool = False


Action = Callable[[Held, int], None]


@dataclass(order=True)
class Timer:
    due: int
    number: int
    action: Callable[[int], None] = field(compare=False)


class Core:
    def __init__(
        self,
        clock: Clock,
        random: Random | None = None,
        files_limit: int = DEFAULT_LIMIT,
        files_folder: Path | None = None,
    ) -> None:
        self._clock = clock
        self._random = random or SystemRandom()
        self._started = clock.now()
        self._tokens: dict[str, Bot] = {}
        self._timers: list[Timer] = []
        self._numbers = count()
        self._unanswered: set[Held] = set()
        self._closing = False
        self.bots: dict[int, Bot] = {}
        self.files = FileStore(self._random, files_limit)
        self._folder = FilesFolder(files_folder)
        self.modes = Modes()
        self.on_timer: Callable[[], None] | None = None
        self.deliveries = Deliveries(
            self._random, may_go=self._may_go, answered=self._call_by_answer, at=self._at
        )

    # Time

    def now(self) -> int:
        return self._clock.now()

    def next_due(self) -> int | None:
        return self._timers[0].due if self._timers else None

    def tick(self) -> None:
        """Do what is due, in order and each at its own time."""
        now = self._clock.now()
        while self._timers and self._timers[0].due <= now:
            timer = heapq.heappop(self._timers)
            timer.action(timer.due)

    def advance(self, microseconds: int) -> None:
        self.tick()
        self._clock.advance(microseconds)
        self.tick()

    def _at(self, due: int, action: Callable[[int], None]) -> None:
        heapq.heappush(self._timers, Timer(due, next(self._numbers), action))
        if self.on_timer is not None:
            self.on_timer()

    # Bots

    def register(self, token: str, username: str = "", first_name: str = "") -> Bot:
        """Make a token good; it replaces the one that the bot had, as a revocation does."""
        self.tick()
        match = _TOKEN.fullmatch(token)
        if not match or len(token) > MAX_TOKEN_LENGTH or int(match.group(1)) >= MAX_BOT_ID:
            raise ValueError(
                "a token looks like <bot id>:<secret>: a number without leading zero, a colon, "
                f"then letters, digits, - or _; at most {MAX_TOKEN_LENGTH} characters in all"
            )
        bot_id = int(match.group(1))
        bot = self.bots.get(bot_id)
        if bot is None:
            bot = Bot(
                id=bot_id,
                token=token,
                username=username or f"emulated_{bot_id}_bot",
                first_name=first_name or f"Emulated bot {bot_id}",
                queue=UpdateQueue(self._random),
            )
            self.bots[bot_id] = bot
        elif bot.token != token:
            del self._tokens[bot.token]
            self._end_session(bot, self.now())
            self.deliveries.replace(bot, Webhook())
            bot.allowed = DEFAULT_ALLOWED
            bot.authorized = None
            bot.token = token
        bot.username = username or bot.username
        bot.first_name = first_name or bot.first_name
        self._tokens[token] = bot
        return bot

    def tokens(self) -> list[str]:
        return list(self._tokens)

    def reset(self, bot: Bot) -> None:
        """As just registered, but update ids go on and a living parked poll stays parked."""
        self.tick()
        now = self.now()
        bot.queue.keep_last(0)
        self.deliveries.replace(bot, Webhook())
        bot.allowed = DEFAULT_ALLOWED
        bot.vanished = None
        bot.stats = Stats()
        bot.faults.clear()
        bot.sent.clear()
        bot.commands.clear()
        bot.chats.clear()
        bot.messages.clear()
        bot.conversation = Conversation()
        self.files.forget(bot.id)
        parked = None
        if bot.session is not None:
            parked = bot.session.parked
            if bot.session.pending_webhook is not None:
                self._resolve(bot.session.pending_webhook, too_many_requests(1))
            bot.session = None
        if parked is not None and not parked.held.connected:
            self._resolve(parked.held, success([]))
        elif parked is not None:
            bot.session = Session(now, parked=parked)
            bot.stats.on_poll(parked.held.client, now)
            bot.stats.on_open(now)
            bot.stats.max_parked = 1

    def set_modes(self, modes: Modes) -> None:
        self.tick()
        self.modes = modes
        for bot in self.bots.values():
            self.deliveries.send_out(bot, self.now())

    def status(self, bot: Bot) -> JsonObject:
        self.tick()
        now = self.now()
        self._expire(bot, now)
        parked = bot.session is not None and bot.session.parked is not None
        return bot.stats.as_json(
            now=now,
            parked=int(parked),
            pending=len(bot.queue),
            webhook_open=len(bot.outbox.in_flight) if bot.outbox else 0,
        )

    # Updates from outside

    def push(self, bot: Bot, kind: str, body: JsonObject) -> Update | None:
        """Queue an update; None where the bot has said that it doesn't want this kind."""
        self.tick()
        now = self.now()
        if kind in MESSAGE_KINDS:
            body = complete_message(
                bot.familiar(body),
                message_id=bot.next_message_id(),
                date=now // SECOND,
                channel="channel" in kind,
            )
            bot.remember(body)
        elif kind in QUERY_KINDS:
            body = bot.conversation.ask(kind, body, now)
        if kind not in bot.allowed:
            return None
        self._expire(bot, now)
        update = bot.queue.push(kind, body, LIFETIMES[kind], now)
        parked = bot.session.parked if bot.session else None
        if parked is not None and not bot.webhook.url:
            if parked.wake_limit is None:
                parked.wake_limit = min(now + WAKE_LIMIT, parked.due)
            self._schedule_wake(bot, parked, min(now + WAKE_AFTER, parked.wake_limit))
        self.deliveries.send_out(bot, now)
        return update

    def push_media(
        self,
        bot: Bot,
        kind: str,
        upload: Upload,
        chat_id: int,
        *,
        duration: int,
        from_id: int | None = None,
        caption: str = "",
    ) -> Update | None:
        file = self.files.add(bot.id, kind, upload)
        described = media_object(file, Arguments([("duration", str(duration))]))
        content: JsonObject = {kind: described}
        if caption:
            content["caption"] = caption
        return self.push(bot, "message", bot.media_message(chat_id, from_id, self.now(), content))

    # Requests of bots

    def call(self, request: Request) -> Held:
        """Answer a request, now or (as long as `answer` is None) later."""
        return self._receive(request, lambda held, now: self._dispatch(request, held, now))

    def approach_file(self, token: str, client: Client) -> Held:
        """Let a download through, now or later: faults strike it as they strike a call."""
        request = Request(token, DOWNLOAD, Arguments(), {}, client)
        return self._receive(request, lambda held, _: held.resolve(success(True)))

    def _receive(self, request: Request, action: Action) -> Held:
        self.tick()
        now = self.now()
        held = Held(request.client)
        self._unanswered.add(held)

        def approach() -> None:
            bot = self._authorize(request.token)
            chat_id = request.arguments.text("chat_id")
            fault = bot.faults.strike(request.method, chat_id, now)
            if fault is None:
                action(held, now)
            else:
                self._struck(bot, fault, held, action, now)

        self._attempt(held, approach)
        return held

    def _attempt(self, held: Held, action: Callable[[], None]) -> None:
        try:
            if self._closing:
                raise Refusal(too_many_requests(SHUTDOWN_RETRY))
            action()
        except Refusal as refusal:
            held.resolve(refusal.answer)
        if held.answer is not None:
            self._unanswered.discard(held)

    def _struck(self, bot: Bot, fault: Fault, held: Held, action: Action, now: int) -> None:
        log.info("bot %d: fault %d strikes %s", bot.id, fault.id, fault.method)
        if fault.error_code:
            raise Refusal(fault.refusal(now))
        if fault.delay:
            due = now + fault.delay
            self._at(due, lambda at: self._attempt(held, lambda: action(held, at)))
        elif fault.lose == "request":
            held.resolve(LOST)
        elif fault.lose == "reply":
            held.loses_reply = True
            action(held, now)
        else:
            held.hangs = True

    def vanished(self, held: Held) -> None:
        """The client of a held request is gone. The request stays: the server does not notice."""
        self.tick()
        held.connected = False
        if held.hangs:
            self._unanswered.discard(held)
        now = self.now()
        for bot in self.bots.values():
            parked = bot.session.parked if bot.session else None
            if parked is not None and parked.held is held:
                bot.vanished = now
                bot.stats.on_close(now)

    @property
    def keep(self) -> int:
        """Of larger files only the size is kept: nobody may download them."""
        return self.files.limit if self.modes.local else MAX_DOWNLOAD

    @property
    def most(self) -> int:
        """Larger files are refused."""
        return MAX_UPLOAD_LOCAL if self.modes.local else MAX_UPLOAD

    def download(self, token: str, path: str) -> StoredFile:
        if self.modes.local:
            raise Refusal(failure(404, "Not Found"))
        bot = self._authorize(token)
        file = self.files.by_path(bot.id, path)
        if file is None or file.data is None:
            raise Refusal(failure(404, "Not Found"))
        return file

    def shutdown(self) -> None:
        self._closing = True
        for held in list(self._unanswered):
            self._resolve(held, too_many_requests(SHUTDOWN_RETRY))

    def _dispatch(self, request: Request, held: Held, now: int) -> None:
        bot = self._authorize(request.token)
        method = request.method.lower()
        session = bot.session
        if session is not None and session.logged_out_until is not None:
            if now < session.logged_out_until:
                raise Refusal(failure(400, "Logged out"))
            session = bot.session = None
        if session is None:
            if method == "close":
                raise bad_request("the bot has already been closed")
            session = bot.session = Session(now)
            bot.authorized = now if bot.authorized is None else bot.authorized
        self._expire(bot, now)

        if method == "getupdates":
            self._get_updates(bot, session, request.arguments, held, now)
        elif method in ("setwebhook", "deletewebhook"):
            self._set_webhook(bot, session, request, held, now)
        elif method == "getwebhookinfo":
            held.resolve(success(_webhook_info(bot)))
        elif method == "close":
            self._close(bot, session, held, now)
        elif method == "logout":
            self._log_out(bot, session, held, now)
        elif method == "getfile":
            held.resolve(success(self._get_file(bot, request.arguments)))
        elif method in METHODS:
            self._call_method(bot, method, request, held, now)
        else:
            raise Refusal(failure(404, "Not Found: method not found"))

    def _authorize(self, token: str) -> Bot:
        if token.startswith("0") or len(token.encode()) > MAX_TOKEN_LENGTH or ":" not in token:
            raise Refusal(failure(401, "Unauthorized: invalid token specified"))
        bot_id = token.partition(":")[0]
        if not _INTEGER.fullmatch(bot_id) or not -(1 << 63) <= int(bot_id) < 1 << 63:
            raise Refusal(failure(421, "Misdirected Request: unallowed token specified"))
        if not 0 < int(bot_id) < MAX_BOT_ID:
            raise Refusal(failure(401, "Unauthorized: invalid token specified"))
        bot = self._tokens.get(token)
        if bot is None:
            raise Refusal(failure(401, "Unauthorized"))
        return bot

    def _call_method(self, bot: Bot, method: str, request: Request, held: Held, now: int) -> None:
        call = Call(bot, self.files, request.arguments, request.files, now)
        held.resolve(perform(method, call, strict=self.modes.strict))

    # getUpdates

    def _get_updates(
        self, bot: Bot, session: Session, arguments: Arguments, held: Held, now: int
    ) -> None:
        bot.stats.on_poll(held.client, now)
        if bot.webhook.url or session.pending_webhook is not None:
            self._conflict(bot, session, "C2", held, now)
            return
        if bot.vanished is not None and now < bot.vanished + self.modes.ghost:
            self._conflict(bot, session, "C1", held, now)
            return

        offset = arguments.integer("offset", 0)
        limit = arguments.integer("limit", 100, 1, 100)
        timeout = arguments.integer("timeout", 0, 0, MAX_TIMEOUT)
        self._allow(bot, arguments)
        if session.previous_poll is not None and offset == session.previous_offset:
            since = now - session.previous_poll
            if timeout < BUSY_LOOP_SECONDS and since < BUSY_LOOP_SECONDS * SECOND:
                timeout = BUSY_LOOP_SECONDS
            if since < SECOND // 2:
                limit = 1
        session.previous_offset = offset
        session.previous_poll = now

        if held.connected:
            bot.stats.on_open(now)
        if offset < 0:
            bot.stats.dropped += len(bot.queue.keep_last(-offset))
        if offset <= 0:
            offset = bot.queue.head
        updates = self._take(bot, offset, limit)
        if updates or timeout == 0:
            self._deliver(bot, held, updates, now)
            return
        if session.parked is not None:
            older = session.parked
            session.parked = None
            if older.held.connected:
                bot.stats.on_close(now)
            self._conflict(bot, session, "C1", older.held, now)
        session.parked = ParkedPoll(held, offset, limit, now + timeout * SECOND)
        bot.stats.max_parked = 1
        self._schedule_wake(bot, session.parked, session.parked.due)

    def _take(self, bot: Bot, offset: int, limit: int) -> list[Update]:
        """What a poll gets; a valid offset confirms all before it, any other is ignored."""
        if bot.queue.holds(offset):
            bot.stats.on_confirmed(bot.queue.confirm(offset))
        room = MAX_ANSWER_BYTES
        taken = []
        for update in bot.queue.read(limit):
            room -= UPDATE_OVERHEAD_BYTES + update.size
            if room <= 0:
                break
            taken.append(update)
        return taken

    def _deliver(self, bot: Bot, held: Held, updates: list[Update], now: int) -> None:
        if held.heard:
            bot.stats.on_delivery(updates)
        if held.connected:
            bot.stats.on_close(now)
        self._resolve(held, success([update.as_json() for update in updates]))

    def _schedule_wake(self, bot: Bot, parked: ParkedPoll, due: int) -> None:
        parked.due = due
        self._at(due, lambda now: self._wake_if_due(bot, parked, now))

    def _wake_if_due(self, bot: Bot, parked: ParkedPoll, now: int) -> None:
        session = bot.session
        if session is not None and session.parked is parked and now >= parked.due:
            self._wake(bot, session, parked, now)

    def _wake(self, bot: Bot, session: Session, parked: ParkedPoll, now: int) -> None:
        session.parked = None
        self._expire(bot, now)
        updates = self._take(bot, parked.offset or bot.queue.head, parked.limit)
        self._deliver(bot, parked.held, updates, now)

    def _allow(self, bot: Bot, arguments: Arguments) -> None:
        text = arguments.text("allowed_updates")
        bot.allowed = (parse_allowed(text) if text else None) or bot.allowed

    def _expire(self, bot: Bot, now: int) -> None:
        bot.stats.expired += bot.queue.expire(now)

    # Conflicts

    def _conflict(self, bot: Bot, session: Session, kind: str, held: Held, now: int) -> None:
        bot.stats.on_conflict(kind, held.heard)
        log.warning(
            "bot %d: %s for %s (%s)%s",
            bot.id,
            kind,
            held.client.peer,
            held.client.user_agent,
            "" if held.heard else ", who is gone",
        )
        answer = failure(409, f"Conflict: {CONFLICT_TEXTS[kind]}")
        if now >= session.next_conflict:
            session.next_conflict = now + CONFLICT_DELAY
            self._resolve(held, answer)
        else:
            self._unanswered.add(held)
            self._at(now + CONFLICT_DELAY, lambda _: self._resolve(held, answer))

    def _resolve(self, held: Held, answer: Answer) -> None:
        self._unanswered.discard(held)
        held.resolve(answer)

    # Webhook

    def _set_webhook(
        self, bot: Bot, session: Session, request: Request, held: Held, now: int
    ) -> None:
        arguments = request.arguments
        url = arguments.text("url") if request.method.lower() == "setwebhook" else ""
        if url:
            if now < session.next_webhook:
                raise Refusal(too_many_requests(1))
            session.next_webhook = now + WEBHOOK_PAUSE
        local = self.modes.local
        wanted = wanted_webhook(url, arguments, request.files, local=local)
        drop = arguments.flag("drop_pending_updates")

        if session.pending_webhook is not None:
            pending = session.pending_webhook
            session.pending_webhook = None
            self._conflict(bot, session, "C4", pending, now)
        elif bot.webhook == wanted and not wanted.has_certificate and not drop:
            self._allow(bot, arguments)
            state = "set" if url else "deleted"
            held.resolve(success(True, f"Webhook is already {state}"))
            return

        if url and session.parked is not None:
            parked = session.parked
            session.parked = None
            if parked.held.connected:
                bot.stats.on_close(now)
            self._conflict(bot, session, "C3", parked.held, now)
        was_set = bool(bot.webhook.url)
        self.deliveries.replace(bot, Webhook())
        dropped = len(bot.queue.keep_last(0)) if drop else 0
        bot.stats.dropped += dropped
        if not url:
            state = "was deleted" if was_set or dropped else "is already deleted"
            held.resolve(success(True, f"Webhook {state}"))
            return
        check_webhook(wanted, local=local)
        self.deliveries.replace(bot, wanted)
        self._allow(bot, arguments)
        session.pending_webhook = held
        if self.modes.webhook_delay:
            due = now + self.modes.webhook_delay
            self._at(due, lambda at: self._webhook_verified(bot, session, held, "", at))
        elif local and not webhook_address(wanted):
            self.deliveries.look_up(bot, lambda wrong: self._looked_up(bot, session, held, wrong))
        else:
            self._webhook_verified(bot, session, held, "", now)

    def _looked_up(self, bot: Bot, session: Session, held: Held, wrong: str) -> None:
        self.tick()
        self._webhook_verified(bot, session, held, wrong, self.now())

    def _webhook_verified(
        self, bot: Bot, session: Session, held: Held, wrong: str, now: int
    ) -> None:
        if session.pending_webhook is not held:
            return
        session.pending_webhook = None
        if wrong:
            self.deliveries.replace(bot, Webhook())
            self._resolve(held, failure(400, f"Bad Request: bad webhook: {wrong}"))
            return
        self._resolve(held, success(True, "Webhook was set"))
        self.deliveries.send_out(bot, now)

    def _may_go(self, bot: Bot, now: int) -> bool:
        """Whether updates may go out to a bot's webhook; what is too old goes away first."""
        self._expire(bot, now)
        verified = bot.session is None or bot.session.pending_webhook is None
        return self.modes.local and verified

    def _call_by_answer(self, bot: Bot, reply: WebhookReply) -> None:
        """Perform the method that a webhook's answer asks for; nobody gets its result."""
        if reply.method:
            request = Request(bot.token, reply.method, reply.arguments, reply.files, BY_ANSWER)
            self.call(request)

    def webhook_answered(self, delivery: Delivery, reply: WebhookReply) -> None:
        self.tick()
        self.deliveries.answered(self.bots[delivery.outbox.bot_id], delivery, reply, self.now())

    def webhook_failed(self, delivery: Delivery, message: str) -> None:
        """No answer came."""
        self.tick()
        self.deliveries.failed(self.bots[delivery.outbox.bot_id], delivery, message, self.now())

    # Files, close, logOut

    def _get_file(self, bot: Bot, arguments: Arguments) -> JsonObject:
        file_id = arguments.text("file_id")
        if not file_id:
            raise bad_request("file_id not specified")
        file = self.files.by_id(bot.id, file_id)
        if file is None:
            raise bad_request("invalid file_id")
        if file.size > MAX_DOWNLOAD and not self.modes.local:
            raise bad_request("file is too big")
        if file.data is None:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        return {
            "file_id": file.file_id,
            "file_unique_id": file.unique_id,
            "file_size": file.size,
            "file_path": self._path_on_disk(file) if self.modes.local else file.path,
        }

    def _path_on_disk(self, file: StoredFile) -> str:
        try:
            return self._folder.put(file)
        except OSError as error:
            reason = f"can't write the file for the bot: {error.strerror}"
            raise Refusal(failure(500, f"Internal Server Error: {reason}")) from None

    def _close(self, bot: Bot, session: Session, held: Held, now: int) -> None:
        wait = CLOSE_PAUSE // SECOND - (now - session.started) // SECOND
        if wait > 0 and session.started > self._started + CLOSE_PAUSE:
            raise Refusal(too_many_requests(wait))
        held.resolve(success(True))
        self._end_session(bot, now)

    def _log_out(self, bot: Bot, session: Session, held: Held, now: int) -> None:
        held.resolve(success(True))
        self._end_session(bot, now)
        bot.stats.dropped += len(bot.queue.keep_last(0))
        old = bot.authorized is not None and bot.authorized < now - LOGGED_OUT_FOR
        session.logged_out_until = now + (SECOND if old else LOGGED_OUT_FOR)
        bot.session = session
        self.deliveries.replace(bot, Webhook())
        bot.allowed = DEFAULT_ALLOWED
        bot.authorized = None

    def _end_session(self, bot: Bot, now: int) -> None:
        """A parked poll gets what there is; a setWebhook under way is told to come again."""
        session = bot.session
        if session is None:
            return
        if session.pending_webhook is not None:
            self._resolve(session.pending_webhook, failure(500, "Internal Server Error: restart"))
            session.pending_webhook = None
        if session.parked is not None:
            self._wake(bot, session, session.parked, now)
        bot.session = None


def _webhook_info(bot: Bot) -> JsonObject:
    info: JsonObject = {
        "url": bot.webhook.url,
        "has_custom_certificate": bot.webhook.has_certificate,
        "pending_update_count": len(bot.queue),
    }
    if bot.outbox and bot.outbox.error_date:
        info["last_error_date"] = bot.outbox.error_date
        info["last_error_message"] = bot.outbox.error_message
    if bot.webhook.max_connections:
        info["max_connections"] = bot.webhook.max_connections
    if bot.outbox:
        info["ip_address"] = webhook_address(bot.webhook) or bot.outbox.ip_address or "<unknown>"
    if bot.allowed != DEFAULT_ALLOWED:
        info["allowed_updates"] = [kind for kind in LIFETIMES if kind in bot.allowed]
    return info
