"""What one bot's users, chats, buttons and queries are to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .clock import SECOND
from .envelope import JsonObject
from .updates import LIFETIMES, user_object

QUERY_KINDS = frozenset(("callback_query", "inline_query", "shipping_query", "pre_checkout_query"))
MAX_QUERIES = 10_000
FIRST_QUERY_ID = 1_000_000_000_000_000_000
PRESENT = ("creator", "administrator", "member", "restricted")


@dataclass
class Query:
    kind: str
    body: JsonObject
    expires_at: int
    answered: bool = False
    results: list[JsonObject] = field(default_factory=list)


@dataclass
class Conversation:
    queries: dict[str, Query] = field(default_factory=dict)
    last_query: int = FIRST_QUERY_ID
    last_group: int = 13_000_000_000_000_000
    users: dict[int, JsonObject] = field(default_factory=dict)
    members: dict[int, dict[int, JsonObject]] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    pinned: dict[int, list[int]] = field(default_factory=dict)
    chat_texts: dict[int, JsonObject] = field(default_factory=dict)
    # The reply keyboard that a chat's users see instead of letters.
    keyboards: dict[int, list[list[str]]] = field(default_factory=dict)
    inline_messages: dict[str, JsonObject] = field(default_factory=dict)
    # What the bot says of itself: ("name", "en") and the like.
    profile: dict[tuple[str, str], str] = field(default_factory=dict)
    menu_buttons: dict[int, JsonObject] = field(default_factory=dict)
    default_rights: dict[bool, JsonObject] = field(default_factory=dict)

    # Queries

    def ask(self, kind: str, body: JsonObject, now: int) -> JsonObject:
        """Note a query, so that only what was asked can be answered; what it lacks is filled in."""
        sender = body.get("from")
        sender_id = sender.get("id") if isinstance(sender, dict) else None
        if "id" not in body:
            self.last_query += 1
            user = user_object(sender_id if isinstance(sender_id, int) else 1_000_001)
            filled: JsonObject = {"id": str(self.last_query)}
            if kind == "callback_query":
                filled["chat_instance"] = str(self.last_query)
            elif kind == "inline_query":
                filled |= {"query": "", "offset": ""}
            body = {**filled, **body, "from": {**user, **(sender or {})}}
            self.users[body["from"]["id"]] = body["from"]
        query_id = str(body["id"])
        self.queries[query_id] = Query(kind, body, now + LIFETIMES[kind] * SECOND)
        if len(self.queries) > MAX_QUERIES:
            del self.queries[next(iter(self.queries))]
        return body

    def query(self, query_id: str, kind: str, now: int) -> Query | None:
        query = self.queries.get(query_id)
        return query if query and query.kind == kind and now <= query.expires_at else None

    def next_group(self) -> str:
        self.last_group += 1
        return str(self.last_group)

    # Members

    def saw(self, chat: JsonObject, user: JsonObject) -> None:
        """Who writes in a group is a member of it."""
        self.users[user["id"]] = user
        if chat["id"] < 0:
            members = self.members.setdefault(chat["id"], {})
            known = members.get(user["id"])
            if known is None or known["status"] not in PRESENT:
                members[user["id"]] = {"status": "member", "user": user}
            else:
                known["user"] = user

    def set_member(self, chat_id: int, user: JsonObject, status: JsonObject) -> None:
        self.users.setdefault(user["id"], user)
        self.members.setdefault(chat_id, {})[user["id"]] = {**status, "user": user}

    def present(self, chat_id: int) -> list[JsonObject]:
        members = self.members.get(chat_id, {}).values()
        return [member for member in members if member["status"] in PRESENT]
