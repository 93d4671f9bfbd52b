"""Arguments of a Bot API call: text by name, read with the server's tolerance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_INT32_MAX = 2**31 - 1
_INT32_MIN = -(2**31)
_LEADING_INTEGER = re.compile(r"(-?)([0-9]*)", re.ASCII)


@dataclass(frozen=True)
class Upload:
    """A file of a multipart form; `data` is None where only the size was kept."""

    name: str
    mime_type: str
    size: int
    data: bytes | None


def to_int32(text: str) -> int:
    """Digits at the start of the text, 0 if there are none, wrapped like a 32-bit register."""
    match = _LEADING_INTEGER.match(text)
    sign, digits = match.groups() if match else ("", "")
    value = int(digits or "0") % 2**32 if len(digits) < 4_000 else 0
    negative = sign == "-"
    if value > _INT32_MAX:
        value = -value % 2**32
        negative = not negative
        if value > _INT32_MAX:
            return _INT32_MIN
    return -value if negative else value


class Arguments:
    """The first value given for a name counts; the query string comes before the body."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        self._values.setdefault(name, value)

    def replace(self, name: str, value: str) -> None:
        self._values[name] = value

    def add_json(self, name: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self.add(name, text)

    def text(self, name: str) -> str:
        return self._values.get(name, "")

    def integer(
        self, name: str, default: int, low: int = _INT32_MIN, high: int = _INT32_MAX
    ) -> int:
        text = self.text(name)
        return min(max(to_int32(text) if text else default, low), high)

    def flag(self, name: str) -> bool:
        return self.text(name).strip().lower() in ("true", "yes", "1")

    def as_dict(self) -> dict[str, str]:
        return dict(self._values)
