# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bot's log says about polling: a reader that only gets lines and only gives events.

Bots of any framework log their trouble in words of their own, over many lines, in colours, or as
JSON. This finds the words of the Bot API in them (see docs of the emulator for the four conflicts)
and of aiogram 2 and 3, python-telegram-bot, pyTelegramBotAPI, grammY, Telegraf and our own bot.

Kinds of events:

- ``conflict``: another getUpdates ended this one, or a 409 whose description is not known;
- ``webhook_conflict``: a webhook is, or was being, set;
- ``unauthorized``: the Bot API, or the framework before it asks, refuses the token;
- ``unreachable``: no answer to a poll, or to what a bot asks before its first poll;
- ``polling``: the framework says that it polls, or polls again.

One incident is one event: all lines of a traceback, and what is logged about the same thing at the
same instant in other words (two handlers, a line and then its traceback). The same words once more
are the next incident, unless they are the same to the last character within 2 ms.

What a user wrote to the bot may be in its log as well, and a user may write anything. It is told
from the real thing

- by level: a line of level INFO or below is no evidence of trouble (no framework logs it so low);
- by field: text, caption, query and the like of a JSON line, of a key=value line or of the text
  form of an object, and updates as a whole, are what users wrote;
- in lines without a level, by what stands before: ``user 77 said: Conflict: …`` does not count.

What can't be told, and counts: a line without level that is the user's text alone or begins like
an error (``error: Conflict: terminated by …``), a user's text of several lines of which one looks
so, a user's text inside the error or traceback of a handler that failed, or logged at WARNING or
above in a field of another name. And what can't be seen: a framework that says nothing (grammY and
Telegraf retry on network errors silently, python-telegram-bot on timeouts), a 409 of unknown
words without any sign of Telegram in the line, an error that is logged at INFO. ``polling`` is the
framework's word only, and easy to forge: it proves nothing.
"""

from __future__ import annotations

import calendar
import json
import re
from collections import namedtuple

from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import scrub

Event = namedtuple("Event", ["at", "kind", "text"])

MAX_TEXT = 300
# Nothing of use is that far to the right; a line may be a megabyte of base64.
MAX_LINE = 1 << 16
# Words about one incident come within this time, the lines of one record with less than this
# between them.
SAME_INCIDENT = 0.5
SAME_RECORD = 1.0
SAME_INSTANT = 0.002

# Secrets

# The halves of a token in lines that were wrapped at the width of a terminal.
_BEFORE_WRAP = re.compile(r"(?<![0-9])([0-9]{5,}):[A-Za-z0-9_-]+\W*$")
_AFTER_WRAP = re.compile(r"^(\W*)[A-Za-z0-9_-]+(?=/(?:get|set|delete|send|log|close)[A-Za-z]*\b)")


# Lines

_ENGINE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?\d*(?:[Zz]|([+-])(\d\d):(\d\d))(?: |$)",
    re.ASCII,
)


def split_engine_log(raw):
    """The lines of a log that the Docker API gave with timestamps, as a list of (at, text).

    A line without a readable time takes that of the line before it.
    """
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "replace")
    rows = raw.split("\n")
    if rows and not rows[-1]:
        rows.pop()
    lines = []
    at = None
    untimed = 0
    for row in rows:
        found = _ENGINE_TIME.match(row)
        read = _seconds(found) if found else None
        if read is None:
            untimed += at is None
        else:
            at = read
            row = row[found.end() :]
        lines.append((at, row.rstrip("\r")))
    first = next((at for at, _text in lines if at is not None), 0.0)
    return [(first, text) for _at, text in lines[:untimed]] + lines[untimed:]


def _seconds(found):
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (year and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        return None
    try:
        whole = calendar.timegm((year, month, day, hour, minute, second))
    except ValueError:  # the 31st of February
        return None
    sign, hours, minutes = found.groups()[7:]
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        whole += offset if sign == "-" else -offset
    return whole + float(found.group(7) or 0)


# Colours as bytes, and as text where a log went through JSON or journald once more.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cDEHMNO])"
)
_ANSI_AS_TEXT = re.compile(r"(?:\\(?:u001[bB]|x1[bB]|033|e)|#033|\^\[)\[[0-9;]*m")
_ANSI_WORDS = ("\\u001b[", "\\u001B[", "\\x1b[", "\\x1B[", "\\033[", "\\e[", "#033[", "^[[")


def _clean(text):
    text = text[:MAX_LINE]
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "[" in text:
        for word in _ANSI_WORDS:
            if word in text:
                text = _ANSI_AS_TEXT.sub("", text)
                break
    return text.rstrip("\r\n")


# Words. A line without any of a kind's words, in small letters, says nothing of that kind; that
# goes for most lines, and only the others are searched.
_CONFLICT_WORDS = ("conflict", "terminated", "webhook is active", "cantgetupdates")
_UNAUTHORIZED_WORDS = ("unauthorized", "invalidtoken", "token is invalid", "token must", "401")
_UNAUTHORIZED_WORDS += ("tokenvalidation", "the token", "exceptions.validationerror")
_UNREACHABLE_WORDS = (
    "failed to fetch",
    "networkerror",
    "timedout",
    "timed out",
    "timeout",
    "network request for",
    "failed, reason",
    "no answer within",
    "no bot api answer",
    "connecterror",
    "connectionerror",
    "connectorerror",
    "connectionpool",
    "connection aborted",
    "connectionre",
    "disconnected",
    "bad gateway",
    "gaierror",
    "name resolution",
    "name or service",
    "requests.exceptions.",
    "httpx.",
    "clienterror",
    "oserror",
    "econnre",
    "enotfound",
    "eai_again",
    "etimedout",
    "ehostunreach",
    "enetunreach",
)
_POLLING_WORDS = ("polling", "application started", "connection established", "primary is ready")

_WEBHOOK_CONFLICT = re.compile(
    r"getUpdates\W{0,4}method while webhook is active"
    r"|terminated by (?:other )?setWebhook"
    r"|\bCantGetUpdates\b",
    re.I,
)
_CONFLICT = re.compile(
    r"terminated by (?:an)?other (?:getUpdates|long poll)|\bTerminatedByOtherGetUpdates\b", re.I
)
# A 409 of the Bot API whose description is not known, or not in this line.
_SOME_CONFLICT = re.compile(
    r"TelegramConflictError"
    r"|telegram\.error\.Conflict\b"
    r"|Telegram API was unsuccessful\. Error code: 409"
    r"|Call to '?getUpdates'? failed! \(409"
    r"|TelegramError: 409\b"
    r"|\b409 Conflict: somebody else polls with this token"
    r"|\bConflict: (?:terminated by|can.{1,6}t use getUpdates)"
    r"|(?:getUpdates|/bot\d+)\b.{0,120}\b409\b.{0,40}\bConflict\b"
    r"|\b409\b.{0,40}\bConflict\b.{0,120}/getUpdates\b"
    r"|[\"']error_code\\?[\"']\s{0,4}:\s{0,4}409\b.{0,60}\bConflict\b",
    re.I,
)
_UNAUTHORIZED = re.compile(
    r"TelegramUnauthorizedError"
    r"|telegram\.error\.(?:InvalidToken|Unauthorized)\b"
    r"|aiogram\.utils\.exceptions\.(?:Unauthorized|ValidationError: Token)"
    r"|\bTokenValidationError\b"
    r"|\bToken is invalid!"
    r"|Unauthorized: invalid token specified"
    r"|Telegram API was unsuccessful\. Error code: 401"
    r"|Call to '?\w{1,60}'? failed! \(401"
    r"|TelegramError: 401\b"
    r"|You must pass the token you received from https://t\.me/Botfather"
    r"|The token `[^`]{0,200}` was rejected by the server"
    r"|\bToken must (?:not )?contain\b"
    r"|\bUnauthorized \(401\): the token\b"
    r"|/bot\d+\b.{0,120}\b401\b.{0,40}\bUnauthorized\b"
    r"|\b401\b.{0,40}\bUnauthorized\b.{0,120}/bot\d+"
    r"|[\"']error_code\\?[\"']\s{0,4}:\s{0,4}401\b.{0,60}\bUnauthorized\b",
    re.I,
)
_FIRST_METHODS = "(?:getUpdates|getMe|deleteWebhook)"
# Network errors in words of the Bot API's clients ...
_UNREACHABLE = re.compile(
    r"Failed to fetch updates - (?:TelegramNetworkError|TelegramServerError|RestartingTelegram"
    r"|ClientDecodeError|\w{0,40}(?:Timeout|Connection|Connector|Disconnected|OS)\w{0,40}Error)"
    r"|TelegramNetworkError: HTTP Client says"
    r"|telegram\.error\.(?:NetworkError|TimedOut)\b"
    r"|Network request for '" + _FIRST_METHODS + r"' failed"
    r"|\brequest to \S{1,300}/" + _FIRST_METHODS + r" failed, reason:"
    r"|\b" + _FIRST_METHODS + r": (?:\w{1,60}Error: |no answer within\b)"
    r"|something that is no Bot API answer",
    re.I,
)
# ... and in words that could be anybody's: they count in a record that is about polling.
_NETWORK = re.compile(
    r"requests\.exceptions\.(?:\w{0,20}Timeout|\w{0,20}ConnectionError|ProxyError|SSLError|Chunked)"
    r"|HTTPS?ConnectionPool\(|\bConnection aborted\b|\bRead timed out\b|\bBad Gateway\b"
    r"|httpx\.(?:Connect|Read|Write|Pool|Remote)\w"
    r"|\b(?:Client\w{0,40}|ServerDisconnected|ConnectionRefused|ConnectionReset|ServerTimeout)Error\b"
    r"|\bgaierror\b|\bTemporary failure in name resolution|\bName or service not known"
    r"|\b(?:ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)\b",
    re.I,
)
_ABOUT_POLLING = ("getupdates", "get_updates", "getme", "get_me", "deletewebhook", "delete_webhook")
_ABOUT_POLLING += ("fetch updates", "while polling", "polling exception")
# Other calls of a bot: an error of the network there says nothing about its polling.
_ABOUT_OTHERS = ("while process update", "send_", "reply_", "edit_", "get_file", "sendmessage")
_POLLING = re.compile(
    r"\b(?:Start polling|Application started|Started polling\.?|Starting (?:simple )?long polling"
    r"|Bot started with long polling|polling works again|primary is ready)(?![^\s\"']| [a-z])"
    r"|\bRun polling for bot @\w+ id=\d+"
    r"|\bConnection established \(tryings = \d+"
)

_LOW = frozenset(
    ("trace", "debug", "verbose", "silly", "http", "info", "information", "notice", "success")
)
_LEVEL = re.compile(
    r"(?:^|(?<=[\s\[|:(<\"'=-]))"
    r"(TRACE|DEBUG|INFO|NOTICE|SUCCESS|WARN|WARNING|ERROR|CRITICAL|FATAL|SEVERE)"
    r"(?=[\s\]|:)>\"',-]|$)"
    r"|\[(trace|debug|info|notice|warn|warning|error|critical|fatal) {0,9}\]"
    r"|^(trace|debug|verbose|http|info|notice|warn|warning|error|critical|fatal):"
    r"|\b(?:level|levelname|severity|lvl)\\?[\"']? ?[=:] ?\\?[\"']?(\w{1,20})"
)
_LEVEL_REACH = 200
_LEVEL_KEYS = ("level", "levelname", "severity", "lvl", "log.level", "log_level", "loglevel")
# Fields of what users wrote, of whatever spelling, and of the update that brought it.
_USER_FIELDS = frozenset(
    (
        "text",
        "caption",
        "message_text",
        "msg_text",
        "user_text",
        "user_message",
        "query",
        "quote",
        "input",
        "first_name",
        "last_name",
        "full_name",
        "username",
        "title",
        "update",
        "updates",
        "reply_to_message",
    )
)
_UPDATE_FIELDS = frozenset(("update_id", "message_id", "chat", "inline_query"))
_USER_FIELD = re.compile(
    r"(?:\b|_)(?:text|caption|query|quote|user_message|first_name|last_name|full_name|username|title)"
    r"(?:\\?[\"'])?\s?[=:]\s?(\\?[\"'])"
)
# In a line without level: does somebody speak, or did something go wrong? What comes first decides.
_SPEAKER = re.compile(
    r"\b(?:(said|says|wrote|writes|asked|(?:message|text|reply) from|user \S{1,40}\s?[:>])"
    r"|\w{0,40}(?:error|exception|failed|failure|traceback|telegram|getUpdates|polling|poller)\b)",
    re.I,
)

# Records: a line and those that go on with it

_TRACEBACK = ("Traceback (most recent call last)", "Exception Group Traceback")
_CHAINED = (
    "During handling of the above exception",
    "The above exception was the direct cause",
)
_EXCEPTION_LINE = re.compile(
    r"(?!(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL):)[A-Za-z_][\w.]*(?::|$)"
)
_BOX = frozenset("\u2502\u256d\u2570\u250c\u2514\u251c\u2500\u2771|+")
_FRAME = " \t\u2502|"
# rich leaves the time out where it is that of the line before.
_RICH_HEAD = re.compile(r"\s{2,40}(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) {2,9}\S")
_RICH_PLACE = re.compile(r"\s{1,40}[\w.]{1,60}\.py:\d+\s*$")
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_BOT_IDS = re.compile(r"(?:/bot|bot id {0,2}= {0,2}|Run polling for bot @\w+ id=)(\d+)", re.I)
_CONFLICTS = ("conflict", "webhook_conflict")


def events(lines, bot_id=None):
    """Yield an Event for every incident in the lines, which are (at, text) in the log's order.

    bot_id: leave out what names another bot than this one. Most words name none, and stay.
    """
    reader = _Reader(None if bot_id is None else str(bot_id))
    for at, text in lines:
        yield from reader.read(at, text)
    yield from reader.rest()


class _Find:
    """What one line says. Vague: a 409, and no more is known yet."""

    __slots__ = ("kind", "start", "text", "vague")

    def __init__(self, kind, start, text, vague=False):
        self.kind = kind
        self.start = start
        self.text = text
        self.vague = vague


class _Incident:
    """What will be an event, when no more can come that belongs to it."""

    def __init__(self, at, find, signature, words):
        self.at = at
        self.find = find
        self.seen = {signature: words}

    def concerns(self, find):
        mine = self.find
        if mine.kind == find.kind:
            return True
        either = mine.vague or find.vague
        return either and mine.kind in _CONFLICTS and find.kind in _CONFLICTS

    def learn(self, find):
        if self.find.vague and not find.vague:
            self.find = find

    def event(self):
        text = scrub(self.find.text)
        start = self.find.start
        if len(text) > MAX_TEXT and start > MAX_TEXT // 2:
            text = text[min(start, len(text)) - MAX_TEXT // 2 :]
        text = _CONTROL.sub(" ", text).strip(_FRAME)[:MAX_TEXT]
        text = _AFTER_WRAP.sub(r"\1***", _BEFORE_WRAP.sub(r"\1:***", text))
        # A lone surrogate could not be printed.
        text = text.encode("utf-8", "replace").decode("utf-8")
        return Event(self.at, self.find.kind, text[:MAX_TEXT])


class _Record:
    """A record of the log, as far as it was read."""

    def __init__(self, at, head):
        self.at = at
        self.head = head[:MAX_TEXT]
        self.lines = 0
        self.level = None
        self.level_at = -1
        self.incident = None
        self.context = False
        self.others = False
        self.traced = False
        self.chained = False
        self.indented = False
        self.wrapped = ""

    def low(self):
        """Whether its level says that it is no trouble."""
        if self.level is None:
            found = _LEVEL.search(self.head, 0, _LEVEL_REACH)
            self.level = next(filter(None, found.groups())).lower() if found else ""
            self.level_at = found.start() if found else -1
        return self.level in _LOW

    def takes(self, at, text):
        """Whether this line goes on with this record."""
        if abs(at - self.at) > SAME_RECORD:
            return False
        if not text:
            return True
        first = text[0]
        if first == " " or first == "\t":
            return first == "\t" or text[1:2] != " " or _RICH_HEAD.match(text) is None
        if first in _BOX or text in ("{", "}", "},", "]", "],", "^"):
            return True
        if text.startswith(_CHAINED) or text.startswith("(background on this error"):
            return True
        if text.startswith(_TRACEBACK):
            # It tells more about the record's head, unless that was about something else.
            return self.chained or not (self.traced or self.low())
        return self.traced and self.indented and _EXCEPTION_LINE.match(text) is not None

    def add(self, at, text):
        self.at = at
        self.lines += 1
        if not text:
            return
        self.indented = text[0] in " \t" or text[0] in _BOX
        if text.startswith(_CHAINED):
            self.chained = True
        elif "Traceback " in text and text.lstrip(_FRAME + "+\u256d\u2500").startswith(_TRACEBACK):
            self.traced = True
            self.chained = False


class _Reader:
    def __init__(self, bot_id):
        self._bot_id = bot_id
        self._record = None
        self._open = []

    def read(self, at, text):
        """Take one line; what is complete by now."""
        done = []
        while self._open and abs(at - self._open[0].at) > SAME_INCIDENT:
            done.append(self._open.pop(0).event())
        text = _clean(text)
        small = text.lower()
        fields = None
        if text.startswith("{"):
            if '"log"' in text and '"stream"' in text:
                text = _unwrapped(text)
                small = text.lower()
            if text.startswith("{") and _kinds(small):
                fields = _parsed(text)
        record = self._record
        if fields is not None or record is None or not record.takes(at, text):
            record = self._record = _Record(at, text)
        record.add(at, text)
        if fields is None:
            self._plain(at, record, text, small)
        else:
            self._json(at, record, fields)
        return done

    def rest(self):
        return [incident.event() for incident in self._open]

    def _plain(self, at, record, text, small):
        if not record.context:
            record.context = _any_in(_ABOUT_POLLING, small)
        if not record.others:
            record.others = _any_in(_ABOUT_OTHERS, small)
        if record.lines == 1:
            record.wrapped = text if len(text) < MAX_TEXT else ""
        elif record.wrapped:
            # A long line that was broken at the width of a terminal, or else what follows is code.
            if record.traced or not record.indented or small.lstrip().startswith("at "):
                record.wrapped = ""
            else:
                before = _RICH_PLACE.sub("", record.wrapped).rstrip()
                text = record.wrapped = before + " " + text.strip(_FRAME)
                small = text.lower()
                record.context = record.context or _any_in(_ABOUT_POLLING, small)
                if len(text) > 2 * MAX_TEXT:
                    record.wrapped = ""
        if "sleep for" in small and self._others_sleep(at, small):
            return
        kinds = _kinds(small)
        if not kinds:
            return
        find = _find(text, kinds, record.context, record.others)
        if find is None:
            return
        low = record.low() and (record.lines > 1 or record.level_at < find.start)
        if low and find.kind != "polling":
            return
        if _by_user(text, find.start, record.lines == 1 and not record.level):
            return
        self._found(at, record, find)

    def _json(self, at, record, fields):
        record.level = _json_level(fields)
        strings, codes = _strings(fields)
        whole = "\n".join(strings).lower()
        context = _any_in(_ABOUT_POLLING, whole)
        others = _any_in(_ABOUT_OTHERS, whole)
        finds = []
        for string in strings:
            for line in string.split("\n"):
                line = _clean(line)
                kinds = _kinds(line.lower())
                find = _find(line, kinds, context, others) if kinds else None
                if find is not None and not (record.low() and find.kind != "polling"):
                    finds.append(find)
        for code, kind, word in ((409, "conflict", "conflict"), (401, "unauthorized", "unauth")):
            text = codes.get(code, "")
            if text.lower().startswith(word) and not record.low():
                finds.append(_Find(kind, 0, text, vague=code == 409))
        for find in finds:
            self._found(at, record, find)

    def _others_sleep(self, at, small):
        """aiogram says after an error which of its bots had it."""
        found = _BOT_IDS.search(small)
        if self._bot_id is None or found is None or found.group(1) == self._bot_id:
            return False
        if self._open and abs(at - self._open[-1].at) <= SAME_INCIDENT:
            self._open.pop()
        return True

    def _found(self, at, record, find):
        if self._bot_id is not None:
            named = _BOT_IDS.findall(find.text)
            if named and self._bot_id not in named:
                return
        if record.incident is not None:
            if record.incident.concerns(find):
                record.incident.learn(find)
            return
        words = record.head + "\n" + find.text
        signature = _NUMBER.sub("#", words)
        for incident in reversed(self._open):
            if not incident.concerns(find):
                continue
            before = incident.seen.get(signature)
            if before is None or (before == words and abs(at - incident.at) <= SAME_INSTANT):
                incident.seen[signature] = words
                incident.learn(find)
                record.incident = incident
                return
            break
        record.incident = _Incident(at, find, signature, words)
        self._open.append(record.incident)


def _any_in(words, text):
    for word in words:  # noqa: SIM110  any() takes three times as long
        if word in text:
            return True
    return False


def _kinds(small):
    """The kinds of which a line, in small letters, has a word."""
    kinds = ""
    if _any_in(_CONFLICT_WORDS, small):
        kinds += "c"
    if _any_in(_UNAUTHORIZED_WORDS, small):
        kinds += "a"
    if _any_in(_UNREACHABLE_WORDS, small):
        kinds += "n"
    if _any_in(_POLLING_WORDS, small):
        kinds += "p"
    return kinds


def _find(text, kinds, context, others):
    """What a line says, the plainest first; None when its words meant something else."""
    if "c" in kinds:
        found = _WEBHOOK_CONFLICT.search(text)
        if found:
            return _Find("webhook_conflict", found.start(), text)
        found = _CONFLICT.search(text)
        if found:
            return _Find("conflict", found.start(), text)
        found = _SOME_CONFLICT.search(text)
        if found:
            return _Find("conflict", found.start(), text, vague=True)
    if "a" in kinds:
        found = _UNAUTHORIZED.search(text)
        if found:
            return _Find("unauthorized", found.start(), text)
    if "n" in kinds:
        found = _UNREACHABLE.search(text) if context or not others else None
        found = found or (_NETWORK.search(text) if context else None)
        if found:
            return _Find("unreachable", found.start(), text)
    if "p" in kinds:
        found = _POLLING.search(text)
        if found:
            return _Find("polling", found.start(), text)
    return None


def _by_user(text, start, no_level):
    """Whether a user wrote what begins there, by the field or the words before it."""
    fields = list(_USER_FIELD.finditer(text, 0, start))
    if fields:
        field = fields[-1]
        quote = field.group(1)
        at = field.end()
        while True:
            at = text.find(quote, at, start)
            if at < 0:
                return True
            escaped = len(text[:at]) - len(text[:at].rstrip("\\"))
            if escaped % 2 == 0 or len(quote) > 1:
                break
            at += 1
    if no_level:
        speaker = _SPEAKER.search(text, 0, start)
        return speaker is not None and speaker.group(1) is not None
    return False


def _parsed(text):
    try:
        fields = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _unwrapped(text):
    """The line inside a line of the engine's json-file driver."""
    fields = _parsed(text)
    if fields and isinstance(fields.get("log"), str) and "stream" in fields:
        return _clean(fields["log"])
    return text


def _json_level(fields):
    for key in _LEVEL_KEYS:
        value = fields.get(key)
        if isinstance(value, str) and value:
            return value.lower()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # pino: info is 30, warn is 40.
            return "info" if value < 40 else "error"
    log = fields.get("log")
    return _json_level(log) if isinstance(log, dict) else ""


def _strings(fields):
    """All strings of a JSON line but those that users wrote; and descriptions by error code."""
    strings = []
    codes = {}
    waiting = [(fields, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            strings.append(value)
        elif depth > 8:
            continue
        elif isinstance(value, dict):
            if depth and not _UPDATE_FIELDS.isdisjoint(value):
                continue
            if isinstance(value.get("error_code"), int):
                codes[value["error_code"]] = str(value.get("description"))
            waiting += [
                (inner, depth + 1)
                for key, inner in reversed(list(value.items()))
                if key.lower() not in _USER_FIELDS
            ]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in reversed(value)]
    return strings, codes
