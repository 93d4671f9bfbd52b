"""What the server knows of one bot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .clock import SECOND
from .conversation import Conversation
from .envelope import LOST, Answer, JsonObject
from .faults import Faults
from .outbox import Outbox
from .queue import UpdateQueue
from .stats import Client, Stats
from .updates import DEFAULT_ALLOWED, chat_object, user_object
from .webhook import Webhook

MAX_SENT = 50_000
MAX_MESSAGES = 10_000


class Held:
    """A request whose answer may come later."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.connected = True
        self.loses_reply = False
        self.hangs = False
        self.answer: Answer | None = None
        self.on_answer: Callable[[Answer], None] | None = None

    @property
    def heard(self) -> bool:
        """Whether an answer reaches the client."""
        return self.connected and not self.loses_reply

    def resolve(self, answer: Answer) -> None:
        if self.answer is None:
            self.answer = LOST if self.loses_reply else answer
            if self.on_answer is not None:
                self.on_answer(self.answer)


@dataclass
class ParkedPoll:
    held: Held
    offset: int
    limit: int
    due: int
    wake_limit: int | None = None


@dataclass
class Session:
    """A bot's time between its first request and its end by close or logOut."""

    started: int
    previous_offset: int = 0
    previous_poll: int | None = None
    next_conflict: int = 0
    next_webhook: int = 0
    parked: ParkedPoll | None = None
    pending_webhook: Held | None = None
    logged_out_until: int | None = None


@dataclass
class Bot:
    id: int
    token: str
    username: str
    first_name: str
    queue: UpdateQueue
    session: Session | None = None
    authorized: int | None = None
    webhook: Webhook = field(default_factory=Webhook)
    outbox: Outbox | None = None
    allowed: frozenset[str] = DEFAULT_ALLOWED
    vanished: int | None = None
    stats: Stats = field(default_factory=Stats)
    faults: Faults = field(default_factory=Faults)
    sent: deque[JsonObject] = field(default_factory=lambda: deque(maxlen=MAX_SENT))
    commands: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    chats: dict[int, JsonObject] = field(default_factory=dict)
    messages: dict[tuple[int, int], JsonObject] = field(default_factory=dict)
    last_message_id: int = 0
    conversation: Conversation = field(default_factory=Conversation)
    last_sent: int = 0
    on_sent: set[Callable[[], None]] = field(default_factory=set)

    def record(self, entry: JsonObject) -> None:
        """Note what the bot sent; numbers go on after a reset, so that they can be waited for."""
        self.last_sent += 1
        self.sent.append({"number": self.last_sent, **entry})
        for listener in list(self.on_sent):
            listener()

    def user(self) -> JsonObject:
        return {
            "id": self.id,
            "is_bot": True,
            "first_name": self.conversation.profile.get(("name", ""), self.first_name),
            "username": self.username,
        }

    def me(self) -> JsonObject:
        return self.user() | {
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
            "supports_guest_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": False,
            "allows_users_to_create_topics": False,
            "can_manage_bots": False,
        }

    def familiar(self, message: JsonObject) -> JsonObject:
        """A user's message with what is known of its chat and its sender."""
        known = {"chat": self.chats, "from": self.conversation.users}
        found = dict(message)
        for name, those in known.items():
            given = message.get(name)
            if isinstance(given, dict) and isinstance(given.get("id"), int):
                found[name] = {**those.get(given["id"], {}), **given}
        return found

    def next_message_id(self) -> int:
        return self.last_message_id + 1

    def remember(self, message: JsonObject) -> None:
        chat = message["chat"]
        message_id = int(message["message_id"])
        self.last_message_id = max(self.last_message_id, message_id)
        self.chats[chat["id"]] = chat
        sender = message.get("from")
        if (
            isinstance(sender, dict)
            and isinstance(sender.get("id"), int)
            and sender["id"] != self.id
        ):
            self.conversation.saw(chat, sender)
        self.messages[(chat["id"], message_id)] = message
        if len(self.messages) > MAX_MESSAGES:
            del self.messages[next(iter(self.messages))]

    def media_message(
        self, chat_id: int, from_id: int | None, now: int, content: JsonObject
    ) -> JsonObject:
        """A message as a user would send it."""
        sender = from_id or (chat_id if chat_id > 0 else 1_000_001)
        return {
            "message_id": self.next_message_id(),
            "from": user_object(sender),
            "chat": self.chats.get(chat_id) or chat_object(chat_id),
            "date": now // SECOND,
            **content,
        }
