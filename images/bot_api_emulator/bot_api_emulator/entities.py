"""Formatted text: HTML, MarkdownV2 and Markdown as the server reads them, with its error texts.

Offsets in errors count bytes of UTF-8, those of entities UTF-16 code units: parsers work on bytes.
"""

from __future__ import annotations

import json
import re
import string
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from .arguments import Arguments
from .envelope import JsonObject, bad_request

MAX_TEXT_BYTES = 1 << 15

TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "tg-emoji": "custom_emoji",
    "tg-time": "date_time",
    "a": "text_link",
    "pre": "pre",
    "code": "code",
    "blockquote": "blockquote",
}
# What each kind is called in the server's errors.
ERROR_NAMES = {
    "bold": "Bold",
    "italic": "Italic",
    "underline": "Underline",
    "strikethrough": "Strikethrough",
    "spoiler": "Spoiler",
    "code": "Code",
    "pre": "Pre",
    "pre_code": "PreCode",
    "text_link": "TextUrl",
    "custom_emoji": "CustomEmoji",
    "blockquote": "BlockQuote",
}
# Of entities with the same place, the one with the lower number comes first.
ORDER = {
    "blockquote": 0,
    "expandable_blockquote": 0,
    "pre": 10,
    "code": 20,
    "text_link": 49,
    "text_mention": 49,
    "bold": 90,
    "italic": 91,
    "underline": 92,
    "strikethrough": 93,
    "spoiler": 94,
    "custom_emoji": 99,
}
OTHER_ORDER = 50
_NAMED = {b"lt": "<", b"gt": ">", b"amp": "&", b"quot": '"'}
_REFERENCE = re.compile(rb"&(?:#x([0-9a-fA-F]*)|#([0-9]*)|([a-zA-Z]*))(;?)")
_SPACE = b" \t\r\n\0\x0b"
_NAME_TOKEN = (string.ascii_letters + string.digits + ".-").encode()
_RESERVED = b"_*[]()~`>#+-=|{}.!\n"
_MARKS = {"*": "bold", "~": "strikethrough", "`": "code", "[": "text_link"}
_POSITIVE = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_DATE_FORMAT = re.compile(r"r|[wdt]*", re.IGNORECASE)
_MENTION_LINK = re.compile(r"tg:(?://)?user/?\?(?:[^#]*&)?id=([0-9]{1,19})", re.IGNORECASE)
_AUTOMATIC = re.compile(
    r"(?P<url>(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?()\[\]'])"
    r"|(?P<email>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-zA-Z]{2,})"
    r"|(?P<mention>(?<![\w@])@[A-Za-z][A-Za-z0-9_]{2,31}(?!\w))"
    r"|(?P<hashtag>(?<![\w#])#(?=[\w]*[^\W\d])\w{1,256})"
    r"|(?P<bot_command>(?<![\w/<])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?![\w/]))"
)


class EntityError(Exception):
    """Why a text can't be parsed, in the server's words."""


@dataclass(frozen=True)
class FormattedText:
    text: str
    entities: list[JsonObject]

    def content(self, text: str = "text", entities: str = "entities") -> JsonObject:
        found: JsonObject = {text: self.text} if self.text else {}
        return found | {entities: self.entities} if self.entities else found


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def formatted(
    text: str, parse_mode: str, given: object = None, *, what: str = "MessageEntity"
) -> FormattedText:
    """Text as it is shown: parsed or with the entities given, trimmed, links and commands found."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise bad_request("text is too long")
    mode = parse_mode.lower()
    entities: list[JsonObject] = []
    if text and mode not in ("", "none"):
        parser = _PARSERS.get(mode)
        if parser is None:
            raise bad_request("unsupported parse_mode")
        try:
            text, entities = parser(text)
        except EntityError as error:
            raise bad_request(f"can't parse entities: {error}") from None
    elif isinstance(given, list):
        entities = [_checked(entity, text, what) for entity in given]
    text, entities = _trimmed(text, entities)
    return FormattedText(text, _merged(entities, find_entities(text)))


def from_arguments(arguments: Arguments, text: str, entities: str) -> FormattedText:
    given = None
    if arguments.text(entities):
        try:
            given = json.loads(arguments.text(entities))
        except ValueError:
            given = None
    return formatted(arguments.text(text), arguments.text("parse_mode"), given)


def find_entities(text: str) -> list[JsonObject]:
    """Links, addresses, mentions, hashtags and commands, which the server finds by itself."""
    return [
        {
            "type": match.lastgroup,
            "offset": utf16_length(text[: match.start()]),
            "length": utf16_length(match.group()),
        }
        for match in _AUTOMATIC.finditer(text)
    ]


def _checked(entity: object, text: str, what: str) -> JsonObject:
    if not isinstance(entity, dict):
        raise bad_request(f"can't parse {what}: expected an Object")
    for name in ("type", "offset", "length"):
        if name not in entity:
            raise bad_request(f"can't parse {what}: Can't find field \"{name}\"")
    offset, length = entity["offset"], entity["length"]
    if not isinstance(offset, int) or not isinstance(length, int):
        raise bad_request(f'can\'t parse {what}: Field "offset" must be of type Number')
    if not 0 <= offset <= 1_000_000:
        raise bad_request(f"receive an entity with incorrect offset {offset}")
    if not 0 <= length <= 1_000_000:
        raise bad_request(f"receive an entity with incorrect length {length}")
    if offset + length > utf16_length(text):
        raise bad_request(
            f"entity beginning at UTF-16 offset {offset} ends after the end of the text"
        )
    return dict(entity)


def _trimmed(text: str, entities: list[JsonObject]) -> tuple[str, list[JsonObject]]:
    entities = [dict(entity) for entity in entities]
    right = text.rstrip(" \t\r\n\x0b")
    end = utf16_length(right)
    left = right.lstrip(" \n")
    cut = len(right) - len(left)
    if entities:
        cut = min([cut, *(entity["offset"] for entity in entities)])
    kept = []
    for entity in entities:
        entity["length"] = min(entity["length"], end - entity["offset"])
        entity["offset"] -= cut
        if entity["length"] > 0:
            kept.append(entity)
    return right[cut:], kept


def _merged(entities: list[JsonObject], found: list[JsonObject]) -> list[JsonObject]:
    taken = [(entity["offset"], entity["offset"] + entity["length"]) for entity in entities]
    opaque = {"code", "pre", "text_link", "text_mention"}
    blocked = [
        span for span, entity in zip(taken, entities, strict=True) if entity["type"] in opaque
    ]
    for entity in found:
        start, end = entity["offset"], entity["offset"] + entity["length"]
        if not any(start < stop and begin < end for begin, stop in blocked):
            entities.append(entity)
    return _sorted(entities)


def _sorted(entities: list[JsonObject]) -> list[JsonObject]:
    def key(entity: JsonObject) -> tuple[int, int, int]:
        order = ORDER.get(entity["type"], OTHER_ORDER)
        return entity["offset"], -entity["length"], order

    return sorted(entities, key=key)


@dataclass
class _Output:
    """The text so far, and its length in UTF-16."""

    data: bytearray = field(default_factory=bytearray)
    length: int = 0

    def byte(self, byte: int) -> None:
        self.data.append(byte)
        if byte & 0xC0 != 0x80:
            self.length += 2 if byte >= 0xF0 else 1

    def character(self, code: int) -> None:
        self.data += chr(code).encode("utf-8", "surrogatepass")
        self.length += 2 if code > 0xFFFF else 1

    def text(self, start: int = 0) -> str:
        return self.data[start:].decode("utf-8", "replace")


@dataclass
class _Open:
    """An entity that has begun."""

    kind: str
    argument: str
    offset: int
    byte_offset: int
    begin: int
    date: int = 0


def _entity(opened: _Open, length: int, kind: str = "", **more: object) -> JsonObject:
    return {"type": kind or opened.kind, "offset": opened.offset, "length": length, **more}


def _linked(opened: _Open, length: int, url: str) -> JsonObject | None:
    """A link of a text: to a user, to a page, or none where the address is no address."""
    mention = _MENTION_LINK.match(url)
    if mention:
        user = {"id": int(mention[1]), "is_bot": False, "first_name": f"User {mention[1]}"}
        return _entity(opened, length, "text_mention", user=user)
    checked = checked_link(url)
    return _entity(opened, length, "text_link", url=checked) if checked else None


def checked_link(url: str) -> str:
    """The address as the server keeps it; empty where it is none."""
    if url.lower().startswith(("tg:", "ton:", "tonsite:")):
        return url
    if not re.match(r"https?://", url, re.IGNORECASE):
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url):
            return ""
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if ("." not in host and ":" not in host) or any(c.isspace() for c in url):
        return ""
    return url if parts.path or parts.query or parts.fragment else f"{url}/"


def _date(unix: int, form: str) -> JsonObject:
    if not _DATE_FORMAT.fullmatch(form):
        raise EntityError("Invalid date format used")
    found: JsonObject = {"unix_time": unix}
    return found | {"date_time_format": form} if form else found


# HTML


def _reference(text: bytes, position: int) -> tuple[int, int]:
    """The character of a reference such as `&lt;`, and where it ends; 0 where it is none."""
    match = _REFERENCE.match(text, position)
    if match is None:
        return 0, position
    hexadecimal, decimal, name, semicolon = match.groups()
    if name is not None:
        return (ord(_NAMED[name]), match.end()) if name in _NAMED else (0, position)
    if match.end() - len(semicolon) - position >= 10:
        return 0, position
    digits = hexadecimal if hexadecimal is not None else decimal
    code = int(digits or b"0", 16 if hexadecimal is not None else 10)
    return (code, match.end()) if 0 < code < 0x10FFFF else (0, position)


class _Html:
    def __init__(self, text: str) -> None:
        # A zero byte at the end, as in the server's strings: no look-ahead can leave the text.
        self._text = text.encode("utf-8", "surrogatepass") + b"\0\0\0"
        self._size = len(self._text) - 3
        self._out = _Output()
        self._open: list[_Open] = []
        self._found: list[JsonObject] = []
        self._surrogates = False

    def parse(self) -> tuple[str, list[JsonObject]]:
        position = 0
        while position < self._size:
            byte = self._text[position]
            if byte == ord("&"):
                code, end = _reference(self._text, position)
                if code:
                    self._surrogates |= 0xD800 <= code <= 0xDFFF
                    self._out.character(code)
                    position = end
                    continue
            if byte != ord("<"):
                self._out.byte(byte)
                position += 1
            elif self._text[position + 1] == ord("/"):
                position = self._end(position)
            else:
                position = self._start(position)
        if self._open:
            raise EntityError(
                f'Can\'t find end tag corresponding to start tag "{self._open[-1].kind}"'
            )
        if self._surrogates:
            try:
                self._out.data.decode("utf-8")
            except UnicodeDecodeError:
                raise EntityError(
                    "Text contains invalid Unicode characters after decoding HTML entities, "
                    "check for unmatched surrogate code units"
                ) from None
        found = [
            {k: v for k, v in e.items() if k != "language" or e["type"] == "pre"}
            for e in self._found
        ]
        return self._out.text(), _sorted(found)

    def _skip(self, position: int, stop: bytes) -> int:
        while self._text[position] not in stop:
            position += 1
        return position

    def _spaces(self, position: int) -> int:
        while self._text[position] and self._text[position] in _SPACE:
            position += 1
        return position

    def _start(self, begin: int) -> int:
        text = self._text
        at = self._skip(begin + 1, _SPACE + b">")
        if not text[at]:
            raise EntityError(f"Unclosed start tag at byte offset {begin}")
        tag = text[begin + 1 : at].decode("utf-8", "replace").lower()
        if tag not in TAGS:
            raise EntityError(f'Unsupported start tag "{tag}" at byte offset {begin}')
        argument, date = "", 0
        while text[at] != ord(">"):
            at = self._spaces(at)
            if text[at] == ord(">"):
                break
            start, at = at, self._skip(at, _SPACE + b"=>/\"'")
            name = text[start:at].decode("utf-8", "replace")
            if not name:
                raise EntityError(f'Empty attribute name in the tag "{tag}" at byte offset {begin}')
            at = self._spaces(at)
            if text[at] != ord("="):
                if not text[at]:
                    raise EntityError(f'Unclosed start tag "{tag}" at byte offset {begin}')
                if (tag, name) == ("blockquote", "expandable"):
                    argument = "1"
                continue
            at = self._spaces(at + 1)
            if not text[at]:
                raise EntityError(f'Unclosed start tag "{tag}" at byte offset {begin}')
            value, at = self._value(at)
            if not text[at]:
                raise EntityError(f"Unclosed start tag at byte offset {begin}")
            if (tag, name) in (("a", "href"), ("tg-emoji", "emoji-id"), ("tg-time", "format")):
                argument = value
            elif (tag, name) == ("code", "class") and value.startswith("language-"):
                argument = value.removeprefix("language-")
            elif (tag, name) == ("span", "class") and value.startswith("tg-"):
                argument = value.removeprefix("tg-")
            elif (tag, name) == ("blockquote", "expandable"):
                argument = "1"
            elif (tag, name) == ("tg-time", "unix"):
                date = int(value) if re.fullmatch(r"-?[0-9]{1,10}", value) else 0
        if tag == "span" and argument != "spoiler":
            raise EntityError(f'Tag "span" must have class "tg-spoiler" at byte offset {begin}')
        out = self._out
        self._open.append(_Open(tag, argument, out.length, begin, len(out.data), date))
        return at + 1

    def _value(self, at: int) -> tuple[str, int]:
        text = self._text
        if text[at] not in b"\"'":
            end = at
            while text[end] in _NAME_TOKEN:
                end += 1
            if text[end] not in _SPACE + b">":
                raise EntityError(f"Unexpected end of name token at byte offset {at}")
            return text[at:end].decode().lower(), end
        quote, at = text[at], at + 1
        value = _Output()
        while text[at] != quote and text[at]:
            if text[at] == ord("&"):
                code, end = _reference(text, at)
                if code:
                    value.character(code)
                    at = end
                    continue
            value.byte(text[at])
            at += 1
        return value.text(), at + 1 if text[at] == quote else at

    def _end(self, begin: int) -> int:
        text = self._text
        if not self._open:
            raise EntityError(f"Unexpected end tag at byte offset {begin}")
        at = self._skip(begin + 2, _SPACE + b">")
        tag = text[begin + 2 : at].decode("utf-8", "replace").lower()
        at = self._spaces(at)
        if text[at] != ord(">"):
            raise EntityError(f"Unclosed end tag at byte offset {begin}")
        opened = self._open.pop()
        if tag and tag != opened.kind:
            raise EntityError(
                f'Unmatched end tag at byte offset {begin}, expected "</{opened.kind}>", '
                f'found "</{tag}>"'
            )
        length = self._out.length - opened.offset
        if length > 0:
            self._close(opened, length)
        return at + 1

    def _close(self, opened: _Open, length: int) -> None:
        kind = TAGS[opened.kind]
        last = self._found[-1] if self._found else None
        same = last is not None and (last["offset"], last["length"]) == (opened.offset, length)
        if kind == "custom_emoji":
            if not re.fullmatch(r"-?[0-9]{1,19}", opened.argument) or int(opened.argument) == 0:
                raise EntityError("Invalid custom emoji identifier specified")
            entity: JsonObject | None = _entity(
                opened, length, kind, custom_emoji_id=opened.argument
            )
        elif kind == "date_time":
            entity = None
            if opened.date > 0:
                entity = _entity(opened, length, kind, **_date(opened.date, opened.argument))
        elif kind == "text_link":
            url = opened.argument or self._out.text(opened.begin)
            entity = _linked(opened, length, url)
        elif kind == "pre" and same and last and last["type"] == "code" and last.get("language"):
            last["type"] = "pre"
            return
        elif kind == "code" and same and last and last["type"] == "pre" and opened.argument:
            last["language"] = opened.argument
            return
        elif kind == "code":
            language = {"language": opened.argument} if opened.argument else {}
            entity = _entity(opened, length, kind, **language)
        elif kind == "blockquote" and opened.argument:
            entity = _entity(opened, length, "expandable_blockquote")
        else:
            entity = _entity(opened, length, kind)
        if entity is not None:
            self._found.append(entity)


def parse_html(text: str) -> tuple[str, list[JsonObject]]:
    return _Html(text).parse()


# MarkdownV2


def _reserved(character: int) -> EntityError:
    return EntityError(
        f"Character '{chr(character)}' is reserved and must be escaped with the preceding '\\'"
    )


class _MarkdownV2:
    def __init__(self, text: str) -> None:
        self._text = text.encode("utf-8", "surrogatepass") + b"\0\0\0\0"
        self._size = len(self._text) - 4
        self._out = _Output()
        self._open: list[_Open] = []
        self._found: list[JsonObject] = []
        self._in_quote = False
        self._may_quote = True

    def parse(self) -> tuple[str, list[JsonObject]]:
        text = self._text
        at = 0
        while at < self._size:
            byte = text[at]
            if byte == ord("\\") and 0 < text[at + 1] <= 126:
                at += 1
                self._out.byte(text[at])
                if text[at] != ord("\r"):
                    self._may_quote = text[at] == ord("\n")
                at += 1
                continue
            plain = bool(self._open) and self._open[-1].kind in ("code", "pre", "pre_code")
            if byte not in (b"`" if plain else _RESERVED):
                if byte != ord("\r") and byte & 0xC0 != 0x80:
                    self._may_quote = False
                self._out.byte(byte)
                at += 1
            elif self._ends(at):
                at = self._end(at) + 1
            else:
                at = self._begin(at) + 1
        self._finish()
        return self._out.text(), _sorted(self._found)

    def _ends(self, at: int) -> bool:
        if not self._open:
            return False
        text = self._text
        byte, following = chr(text[at]), text[at + 1 : at + 2].decode("latin-1")
        if self._in_quote and byte == "\n" and (at + 1 == self._size or following != ">"):
            return True
        kind = self._open[-1].kind
        return {
            "bold": byte == "*",
            "italic": byte == "_" and following != "_",
            "code": byte == "`",
            "pre": text[at : at + 3] == b"```",
            "pre_code": text[at : at + 3] == b"```",
            "text_link": byte == "]",
            "underline": byte == "_" and following == "_",
            "strikethrough": byte == "~",
            "spoiler": byte == "|" and following == "|",
            "custom_emoji": byte == "]",
            "blockquote": False,
        }[kind]

    def _begin(self, at: int) -> int:
        text, start = self._text, at
        byte, following = chr(text[at]), chr(text[at + 1])
        argument = ""
        if byte == "_":
            kind = "underline" if following == "_" else "italic"
            at += kind == "underline"
        elif byte == "|" and following == "|":
            kind, at = "spoiler", at + 1
        elif text[at : at + 3] == b"```":
            kind, argument, at = self._code_block(at + 3)
        elif byte in _MARKS:
            kind = _MARKS[byte]
        elif byte == "!" and following == "[":
            kind, at = "custom_emoji", at + 1
        elif byte == "\n":
            self._out.byte(text[at])
            self._may_quote = True
            return at
        elif byte == ">" and self._may_quote:
            if self._in_quote:
                return at
            kind, self._in_quote = "blockquote", True
        else:
            raise _reserved(text[at])
        out = self._out
        self._open.append(_Open(kind, argument, out.length, start, len(out.data)))
        return at

    def _code_block(self, at: int) -> tuple[str, str, int]:
        text, kind, language = self._text, "pre", ""
        end = at
        while text[end] not in _SPACE + b"`":
            end += 1
        if end != at and end < self._size and text[end] != ord("`"):
            kind, language, at = "pre_code", text[at:end].decode("utf-8", "replace"), end
        if text[at] in b"\r\n":
            at += 2 if text[at + 1] in b"\r\n" and text[at] != text[at + 1] else 1
        return kind, language, at - 1

    def _unfinished(self) -> EntityError:
        opened = self._open[-1]
        return EntityError(
            f"Can't find end of {ERROR_NAMES[opened.kind]} entity at byte offset "
            f"{opened.byte_offset}"
        )

    def _end(self, at: int) -> int:
        text = self._text
        expandable = False
        if text[at] == ord("\n") and self._open[-1].kind != "blockquote":
            opened = self._open[-1]
            empty = opened.byte_offset == at - 2 or (
                opened.byte_offset == at - 3 and self._out.data[-1:] == b"\r"
            )
            if opened.kind != "spoiler" or not empty:
                raise self._unfinished()
            self._open.pop()
            if self._open[-1].kind != "blockquote":
                raise self._unfinished()
            expandable = True
        opened = self._open.pop()
        kind = opened.kind
        length = self._out.length - opened.offset
        if kind == "blockquote":
            self._in_quote = False
            self._out.byte(text[at])
            self._may_quote = True
            name = "expandable_blockquote" if expandable else kind
            self._found.append(_entity(opened, length + 1, name))
            return at
        entity: JsonObject | None = None
        if kind == "text_link":
            url = self._out.text(opened.begin)
            if text[at + 1] == ord("("):
                url, at = self._url(at + 2)
            entity = _linked(opened, length, url)
        elif kind == "custom_emoji":
            if text[at + 1] != ord("("):
                raise EntityError("The entity must contain a tg://emoji or tg://time URL")
            url, at = self._url(at + 2)
            entity = self._custom(opened, length, url)
        elif kind in ("pre", "pre_code"):
            at += 2
            language = {"language": opened.argument} if opened.argument else {}
            entity = _entity(opened, length, "pre", **language)
        else:
            at += kind in ("underline", "spoiler")
            entity = _entity(opened, length)
        if length and entity is not None:
            self._found.append(entity)
        return at

    def _url(self, at: int) -> tuple[str, int]:
        text, begin, url = self._text, at, bytearray()
        while at < self._size and text[at] != ord(")"):
            if text[at] == ord("\\") and 0 < text[at + 1] <= 126:
                at += 1
            url.append(text[at])
            at += 1
        if text[at] != ord(")"):
            raise EntityError(f"Can't find end of a URL at byte offset {begin}")
        return url.decode("utf-8", "replace"), at

    def _custom(self, opened: _Open, length: int, url: str) -> JsonObject:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        host = parts.netloc.lower() if parts.scheme == "tg" and parts.path in ("", "/") else ""
        if host == "emoji" and _POSITIVE.fullmatch(query.get("id", "")):
            return _entity(opened, length, custom_emoji_id=query["id"])
        if host == "time" and _POSITIVE.fullmatch(query.get("unix", "")):
            date = _date(int(query["unix"]), query.get("format", ""))
            return _entity(opened, length, "date_time", **date)
        raise EntityError("Invalid tg://emoji or tg://time URL specified")

    def _finish(self) -> None:
        if self._in_quote:
            name = "blockquote"
            opened = self._open[-1]
            if opened.kind == "spoiler" and opened.byte_offset == self._size - 2:
                self._open.pop()
                name = "expandable_blockquote"
            if self._open[-1].kind == "blockquote":
                opened = self._open.pop()
                length = self._out.length - opened.offset
                if length:
                    self._found.append(_entity(opened, length, name))
        if self._open:
            raise self._unfinished()


def parse_markdown_v2(text: str) -> tuple[str, list[JsonObject]]:
    return _MarkdownV2(text).parse()


# Markdown, the old mode


def parse_markdown(text: str) -> tuple[str, list[JsonObject]]:
    data = text.encode("utf-8", "surrogatepass") + b"\0\0\0\0"
    size = len(data) - 4
    out = _Output()
    found: list[JsonObject] = []
    at = 0
    while at < size:
        byte = data[at]
        if byte == ord("\\") and data[at + 1] in b"_*`[":
            out.byte(data[at + 1])
            at += 2
            continue
        if byte not in b"_*`[":
            out.byte(byte)
            at += 1
            continue
        begin, end = at, b"]" if byte == ord("[") else bytes([byte])
        at += 1
        language = ""
        if data[begin : begin + 3] == b"```":
            end = b"```"
            stop = at = at + 2
            while data[stop] not in _SPACE + b"`":
                stop += 1
            if stop != at and stop < size and data[stop] != ord("`"):
                language, at = data[at:stop].decode("utf-8", "replace"), stop
            if data[at] in b"\r\n":
                at += 2 if data[at + 1] in b"\r\n" and data[at] != data[at + 1] else 1
        opened = _Open("", language, out.length, begin, len(out.data))
        while at < size and data[at : at + len(end)] != end:
            out.byte(data[at])
            at += 1
        if at >= size:
            raise EntityError(f"Can't find end of the entity starting at byte offset {begin}")
        inner, length = out.text(opened.begin), out.length - opened.offset
        at += len(end)
        entity: JsonObject | None
        if byte == ord("["):
            url = inner
            if data[at] == ord("("):
                stop = at + 1
                while stop < size and data[stop] != ord(")"):
                    stop += 1
                url, at = data[at + 1 : stop].decode("utf-8", "replace"), stop + 1
            entity = _linked(opened, length, url)
        elif end == b"```":
            entity = _entity(opened, length, "pre", **({"language": language} if language else {}))
        else:
            kind = {"_": "italic", "*": "bold", "`": "code"}[chr(byte)]
            entity = _entity(opened, length, kind)
        if length and entity is not None:
            found.append(entity)
    return out.text(), _sorted(found)


_PARSERS = {"html": parse_html, "markdownv2": parse_markdown_v2, "markdown": parse_markdown}
