"""The published shape of every method and type of the Bot API, from `data/bot_api.json`.

A type is written much as Telegram's documentation writes it: `Integer or String`,
`Array of Message`, `Array of (A or B)`, `"photo"` for a fixed value, or the name of a type.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from .arguments import Arguments, Upload
from .envelope import JsonObject, bad_request

_DATA: JsonObject = json.loads((files(__package__) / "data/bot_api.json").read_text("utf-8"))
BOT_API_VERSION: str = _DATA["bot_api"]
_METHODS: dict[str, JsonObject] = _DATA["methods"]
_TYPES: dict[str, JsonObject] = _DATA["types"]
_UNIONS: dict[str, list[str]] = _DATA["unions"]

METHOD_NAMES = {name.lower(): name for name in _METHODS}

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_BOOLEANS = frozenset(("true", "false", "yes", "no", "1", "0"))
# Not the one between the parentheses of an array.
_OR = re.compile(r" or (?![^(]*\))")
_PLAIN = ("Integer", "String", "Boolean", "Float", "InputFile")
MAX_DEPTH = 8
_TEXTS = {
    "url": "https://t.me/emulated",
    "invite_link": "https://t.me/+emulated",
    "emoji": "\N{GAME DIE}",
    "type": "regular",
}


def returns(method: str) -> str:
    text: str = _METHODS[method]["returns"]
    return text


@cache
def parameters(method: str) -> dict[str, str]:
    return _fields(_METHODS[method])


def message_field(name: str) -> str:
    """The type of a message's field; empty where messages have no such field of an own type."""
    kind = _fields(_TYPES["Message"]).get(name, "")
    return kind if kind in _TYPES else ""


def unknown_parameters(method: str, arguments: Arguments) -> list[str]:
    """What the server passes over in silence: often a name that is misspelt."""
    return sorted(arguments.as_dict().keys() - parameters(method).keys() - {"method"})


def check(method: str, arguments: Arguments, uploads: dict[str, Upload]) -> JsonObject:
    """The parameters as values of their types; one that is missing or of another is refused."""
    given = arguments.as_dict()
    values: JsonObject = {}
    for name in _METHODS[method].get("required", {}):
        if not given.get(name) and name not in uploads:
            raise bad_request(f'parameter "{name}" is required')
    for name, kind in parameters(method).items():
        if given.get(name, "") in ("", "null"):
            continue
        try:
            values[name] = _from_text(kind, given[name])
        except ValueError as error:
            raise bad_request(f'can\'t parse parameter "{name}": {error}') from None
    return values


def _fields(shape: JsonObject) -> dict[str, str]:
    return {**shape.get("required", {}), **shape.get("optional", {})}


@cache
def _members(kind: str) -> tuple[str, ...]:
    """The types that a type may be, with the names of unions resolved."""
    members: list[str] = []
    for member in [kind] if kind.startswith('"') else _OR.split(kind):
        members += _UNIONS.get(member, [member])
    return tuple(members)


def _items(kind: str) -> str:
    """The type of what is in an array."""
    return kind.removeprefix("Array of ").removeprefix("(").removesuffix(")")


def _from_text(kind: str, text: str) -> Any:
    """A parameter as it comes in a form: plain values as they are, all else as JSON."""
    members = _members(kind)
    if "Integer" in members and _INTEGER.fullmatch(text.strip()):
        return int(text)
    if "String" in members or "InputFile" in members:
        return text
    if members == ("Boolean",):
        if text.strip().lower() not in _BOOLEANS:
            raise ValueError("expected true or false")
        return text.strip().lower() in ("true", "yes", "1")
    if members == ("Float",):
        try:
            return float(text)
        except ValueError:
            raise ValueError("expected a Float number") from None
    if members == ("Integer",):
        raise ValueError("expected an Integer")
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError("expected a JSON-serialized object") from None
    _check_value(kind, value, "", 0)
    return value


def _check_value(kind: str, value: Any, where: str, depth: int) -> None:
    members = _members(kind)
    problems = []
    for member in members:
        try:
            _check_member(member, value, where, depth)
        except ValueError as error:
            problems.append((member, str(error)))
        else:
            return
    # Of many types that it could be, the one that its "type" or "status" names tells most.
    telling = (
        [text for member, text in problems if _names(member, value)]
        or [text for member, text in problems if isinstance(value, dict) and member in _TYPES]
        or [text for _, text in problems]
    )
    if len(set(telling)) == 1 or len(members) == 1:
        raise ValueError(telling[0])
    raise ValueError(f"{_at(where)}expected {kind}")


def _names(kind: str, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    fixed = {n: k[1:-1] for n, k in _fields(_TYPES.get(kind, {})).items() if k.startswith('"')}
    return bool(fixed) and all(value.get(name) == text for name, text in fixed.items())


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def _check_member(kind: str, value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if kind.startswith("Array of "):
        if not isinstance(value, list):
            raise ValueError(f"{_at(where)}expected an Array")
        for index, item in enumerate(value):
            _check_value(_items(kind), item, f"{where}[{index}]", depth + 1)
    elif kind in _TYPES:
        _check_object(kind, value, where, depth)
    elif not _is_plain(kind, value):
        raise ValueError(f"{_at(where)}expected {kind}")


def _check_object(kind: str, value: Any, where: str, depth: int) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{_at(where)}expected an Object ({kind})")
    for name in _TYPES[kind].get("required", {}):
        if value.get(name) is None:
            raise ValueError(f'{_at(where)}field "{name}" of {kind} must be given')
    for name, field_kind in _fields(_TYPES[kind]).items():
        if value.get(name) is not None:
            _check_value(field_kind, value[name], f"{where}.{name}" if where else name, depth + 1)


def _is_plain(kind: str, value: Any) -> bool:
    """The server takes a number for a text, and a text of digits for a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("String", "InputFile"):
        return isinstance(value, str) or number
    if kind == "Integer":
        text = isinstance(value, str) and _INTEGER.fullmatch(value) is not None
        return (isinstance(value, int) and not isinstance(value, bool)) or text
    if kind == "Float":
        return number
    if kind == "Boolean":
        return isinstance(value, bool)
    return bool(json.dumps(value) == (kind if kind.startswith('"') else kind.lower()))


def plausible(kind: str, known: JsonObject, depth: int = 0) -> Any:
    """A value of this type, with what the caller named in its parameters, else the simplest."""
    member = _members(kind)[0]
    if member.startswith("Array of "):
        return []
    if member in _TYPES:
        if isinstance(known.get(member), dict):
            return known[member]
        result: JsonObject = {}
        for name, field_kind in _fields(_TYPES[member]).items():
            required = name in _TYPES[member].get("required", {})
            if name in known and _fits(field_kind, known[name]):
                result[name] = known[name]
            elif name in known and _is_list_of_objects(known[name]) and depth < MAX_DEPTH:
                items = _items(_members(field_kind)[0])
                result[name] = [plausible(items, item, depth + 1) for item in known[name]]
            elif required and depth < MAX_DEPTH:
                result[name] = _plausible_field(name, field_kind, known, depth)
        return result
    return _plausible_field("", member, known, depth)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _fits(kind: str, value: Any) -> bool:
    try:
        _check_value(kind, value, "", 0)
    except ValueError:
        return False
    return True


def _plausible_field(name: str, kind: str, known: JsonObject, depth: int) -> Any:
    members = _members(kind)
    member = members[0]
    if member.startswith('"'):
        return member[1:-1]
    if member == "True":
        return True
    if member.isdigit():
        return int(member)
    if member == "Boolean":
        return False
    if member in ("Integer", "Float"):
        # What is counted is in a list, and lists are empty.
        return known.get("date", 1) if "date" in name else int("count" not in name)
    if member in ("String", "InputFile"):
        return _TEXTS.get(name, "emulated")
    return plausible(kind, known, depth + 1)
