"""Answers to what users asked: pressed buttons, inline queries, shipping and checkout."""

from __future__ import annotations

from typing import Any

from .calls import Call, Handler, Outcome, json_argument
from .conversation import Query
from .entities import formatted
from .envelope import JsonObject, bad_request
from .keyboards import parse_markup
from .shapes import check

MAX_ANSWER = 200
MAX_RESULTS = 50
MAX_RESULT_ID = 64
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


def _query(call: Call, parameter: str, kind: str) -> Query:
    query = call.bot.conversation.query(call.text(parameter), kind, call.now)
    if query is None:
        raise bad_request(TOO_OLD)
    return query


def answer_callback_query(call: Call) -> Outcome:
    query = _query(call, "callback_query_id", "callback_query")
    if len(call.text("text")) > MAX_ANSWER:
        raise bad_request("MESSAGE_TOO_LONG")
    query.answered = True
    return Outcome(True)


def _result(call: Call, given: Any, seen: set[str]) -> JsonObject:
    if not isinstance(given, dict):
        raise bad_request("can't parse inline query result: Inline query result must be an object")
    for name in ("type", "id"):
        if given.get(name) is None:
            raise bad_request(f"can't parse inline query result: Can't find field \"{name}\"")
    number = str(given["id"])
    if not 0 < len(number.encode()) <= MAX_RESULT_ID:
        raise bad_request("RESULT_ID_INVALID")
    if number in seen:
        raise bad_request("RESULT_ID_DUPLICATE")
    seen.add(number)
    parse_markup(given.get("reply_markup"), inline_only=True)
    content = given.get("input_message_content")
    for holder, text in ((content, "message_text"), (given, "caption")):
        if isinstance(holder, dict) and holder.get(text):
            formatted(str(holder[text]), str(holder.get("parse_mode") or ""))
    return given


def answer_inline_query(call: Call) -> Outcome:
    check("answerInlineQuery", call.arguments, {})
    results = json_argument(call, "results", "can't parse JSON encoded inline query results")
    if results is None:
        results = []
    if not isinstance(results, list):
        raise bad_request("expected an Array of inline query results")
    if len(results) > MAX_RESULTS:
        raise bad_request("too many inline query results specified")
    seen: set[str] = set()
    parsed = [_result(call, result, seen) for result in results]
    query = _query(call, "inline_query_id", "inline_query")
    query.answered = True
    query.results = parsed
    return Outcome(True)


def _paid(parameter: str, kind: str, method: str) -> Handler:
    def answer(call: Call) -> Outcome:
        values = check(method, call.arguments, {})
        if not values["ok"] and not call.text("error_message"):
            raise bad_request('parameter "error_message" is required')
        if values["ok"] and method == "answerShippingQuery" and not values.get("shipping_options"):
            raise bad_request("there must be at least one shipping option")
        _query(call, parameter, kind).answered = True
        return Outcome(True)

    return answer


HANDLERS: dict[str, Handler] = {
    "answerCallbackQuery": answer_callback_query,
    "answerInlineQuery": answer_inline_query,
    "answerShippingQuery": _paid("shipping_query_id", "shipping_query", "answerShippingQuery"),
    "answerPreCheckoutQuery": _paid(
        "pre_checkout_query_id", "pre_checkout_query", "answerPreCheckoutQuery"
    ),
}
