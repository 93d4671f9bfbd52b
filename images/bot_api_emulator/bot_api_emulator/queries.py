"""Answers to what users asked: pressed buttons, inline queries, shipping and checkout."""

from __future__ import annotations

from .calls import Call, Handler, Outcome, json_argument
from .conversation import Query
from .envelope import bad_request
from .inline_results import check_button, parse_results
from .shapes import check

MAX_ANSWER = 200
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


def answer_inline_query(call: Call) -> Outcome:
    complaint = "can't parse inline query results button JSON object"
    check_button(json_argument(call, "button", complaint))
    results = json_argument(call, "results", "can't parse JSON encoded inline query results")
    parsed = parse_results(results)
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
