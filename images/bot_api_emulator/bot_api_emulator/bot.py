"""What the server knows of one bot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .clock import SECOND
from .envelope import Answer, JsonObject
from .queue import UpdateQueue
from .stats import Client, Stats
from .updates import DEFAULT_ALLOWED, chat_object, user_object

MAX_SENT = 50_000
MAX_MESSAGES = 10_000


class Held:
    """A request whose answer may come later."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.connected = True
        self.answer: Answer | None = None
        self.on_answer: Callable[[Answer], None] | None = None

    def resolve(self, answer: Answer) -> None:
        if self.answer is None:
            self.answer = answer
            if self.on_answer is not None:
                self.on_answer(answer)


@dataclass
class ParkedPoll:
    held: Held
    offset: int
    limit: int
    due: int
    wake_limit: int | None = None


@dataclass(frozen=True)
class Webhook:
    url: str = ""
    max_connections: int = 0
    ip_address: str = ""
    secret_token: str = ""
    has_certificate: bool = False


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
    allowed: frozenset[str] = DEFAULT_ALLOWED
    vanished: int | None = None
    stats: Stats = field(default_factory=Stats)
    sent: deque[JsonObject] = field(default_factory=lambda: deque(maxlen=MAX_SENT))
    commands: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    chats: dict[int, JsonObject] = field(default_factory=dict)
    messages: dict[tuple[int, int], JsonObject] = field(default_factory=dict)
    last_message_id: int = 0

    def user(self) -> JsonObject:
        return {
            "id": self.id,
            "is_bot": True,
            "first_name": self.first_name,
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

    def next_message_id(self) -> int:
        return self.last_message_id + 1

    def remember(self, message: JsonObject) -> None:
        chat = message["chat"]
        message_id = int(message["message_id"])
        self.last_message_id = max(self.last_message_id, message_id)
        self.chats[chat["id"]] = chat
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
