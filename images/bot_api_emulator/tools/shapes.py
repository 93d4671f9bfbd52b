"""Writes bot_api_emulator/data/bot_api.json: the methods and types of the Bot API.

aiogram's classes are generated from Telegram's documentation; taken here are its facts, names and
types. Run it after an upgrade of aiogram (--check: only compare):

    python images/bot_api_emulator/tools/shapes.py
"""

from __future__ import annotations

import argparse
import datetime
import enum
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

import aiogram
import aiogram.methods
import aiogram.types
from aiogram.client.default import Default
from aiogram.methods.base import TelegramMethod
from aiogram.types.base import TelegramObject
from pydantic import BaseModel

TARGET = Path(__file__).resolve().parents[1] / "bot_api_emulator/data/bot_api.json"
PLAIN = {
    bool: "Boolean",
    int: "Integer",
    float: "Float",
    str: "String",
    datetime.datetime: "Integer",
    aiogram.types.InputFile: "InputFile",
}
# What aiogram takes beside the documented type, for the convenience of its users.
CONVENIENCES = {datetime.timedelta, Default}


def union_names() -> dict[frozenset[Any], str]:
    """`ChatMemberUnion` is what the documentation calls ChatMember."""
    names = {}
    for name in dir(aiogram.types):
        members = typing.get_args(getattr(aiogram.types, name))
        if name.endswith("Union") and members and all(is_object(member) for member in members):
            names[frozenset(members)] = name.removesuffix("Union")
    return names


def is_object(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, TelegramObject)


UNIONS = union_names()


def described(kind: Any) -> str:
    """A type as the documentation writes it: `Integer or String`, `Array of Message`, `"photo"`."""
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, str):  # a name written before its class
        return kind.removesuffix("Union")
    if hasattr(kind, "__value__"):
        return str(kind.__name__).removesuffix("Union")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return described(arguments[0])
    if origin is typing.Literal:
        (value,) = arguments
        value = value.value if isinstance(value, enum.Enum) else value
        return '"' + value + '"' if isinstance(value, str) else str(value)
    if origin is list:
        item = described(arguments[0])
        return f"Array of ({item})" if " or " in item else f"Array of {item}"
    if origin in (typing.Union, types.UnionType):
        members = [m for m in arguments if m is not type(None) and m not in CONVENIENCES]
        if frozenset(members) in UNIONS:
            return UNIONS[frozenset(members)]
        return " or ".join(dict.fromkeys(described(member) for member in members))
    if is_object(kind):
        return str(kind.__name__)
    raise TypeError(f"no name for the type {kind!r}")


def fields(model: type[BaseModel]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"required": {}, "optional": {}}
    for name, info in model.model_fields.items():
        kind = described(info.annotation)
        # What has a fixed value, as the type of a chat member, is required though it has a default.
        required = info.is_required() or kind.startswith('"')
        found["required" if required else "optional"][info.alias or name] = kind
    return {key: value for key, value in found.items() if value}


def unions() -> dict[str, list[str]]:
    found = {name: members for members, name in UNIONS.items()} | {
        # One that names itself, as rich text does.
        name.removesuffix("Union"): typing.get_args(alias.__value__)
        for name in dir(aiogram.types)
        if hasattr(alias := getattr(aiogram.types, name), "__value__")
    }
    return {name: sorted(described(m) for m in members) for name, members in found.items()}


def shapes() -> dict[str, Any]:
    methods = {}
    for name in aiogram.methods.__all__:
        method = getattr(aiogram.methods, name)
        if not issubclass(method, TelegramMethod) or method is TelegramMethod:
            continue
        methods[method.__api_method__] = {
            "returns": described(method.__returning__),
            **fields(method),
        }
    objects = {}
    for name in aiogram.types.__all__:
        kind = getattr(aiogram.types, name)
        # Some are aiogram's own, as the event of an error.
        if is_object(kind) and f"/bots/api#{kind.__name__.lower()}" in (kind.__doc__ or ""):
            objects[kind.__name__] = fields(kind)
    return {
        "bot_api": aiogram.__api_version__,
        "source": f"aiogram {aiogram.__version__}",
        "unions": dict(sorted(unions().items())),
        "methods": dict(sorted(methods.items())),
        "types": dict(sorted(objects.items())),
    }


def written(data: dict[str, Any]) -> str:
    """One line for each method and type, so that a change of the Bot API can be read as a diff."""
    parts = []
    for key, value in data.items():
        if isinstance(value, dict):
            lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            parts.append(f"{json.dumps(key)}: {{\n{lines}\n}}")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the shapes of the Bot API.")
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    text = written(shapes())
    if not check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(
        f"{TARGET} is not what aiogram {aiogram.__version__} gives: run {__file__}", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
