# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the secrets out of a text before anybody reads it: the one way for logs, errors and outputs.

Without being told any secret it knows tokens of bots, passwords in URLs and logins in HTTP headers.
What only resembles one (the digest of an image, a time, host:port) stays as it is.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from urllib.parse import unquote

# A shorter one would be found in any text.
MIN_SECRET = 4
# Inside another base64, as user:password is, from this length on.
MIN_INSIDE_BASE64 = 8
# A line of a secret of several lines, as of a key.
MIN_LINE = 16

HIDDEN = "***"

# Colours may stand anywhere in a token that was logged, and a secret's end may look like a bot's number with a colon after it.
_COLOUR = r"(?:\x1b\[[0-9;]*m)*"
_COLON = r"(?::|%(?:25)*3[Aa])"
_CHARACTER = (
    r"(?:[A-Za-z0-9_-]|%(?:25)*(?:2[Dd]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9Aa]))"
)
# The digest of an image, sha256:…, is none.
ANY_TOKEN = re.compile(
    "(?<![0-9])(?!(?<=sha)(?:1|224|256|384|512){1})([0-9]{{3,}})(?:{0}{1}(?:{0}{2}){{30,}})+".format(
        _COLOUR, _COLON, _CHARACTER
    )
)

# A password may have been put into its URL as it is, with slashes, at signs and blanks. What follows
# the colon is a port where it is a number and nothing but a path, if any, comes after it; a path with
# an at sign in it is common over HTTP only. An image may have a digest behind an at sign.
_NEXT_URL = r"[\s\"'<>,;|][A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/"
_AT = r"(?=@(?!sha[0-9]+:)\S)"
_PORT = r"[0-9]{{1,5}}(?:[{0}\s\"'<>,;|)\]}}\\]|\Z)"
_PASSWORD = (
    r"(?P<password>(?=\S)(?:"
    r"(?:(?!" + _NEXT_URL + r")[^@\r\n]){1,1024}?" + _AT + r"(?:@(?:(?!" + _NEXT_URL + r")"
    r"[^@\s\"'<>]){0,1024}" + _AT + r")*))"
)
_URL = re.compile(
    r"(?i)(?<![A-Z0-9+.-])(?:(?P<http>(?:http|ws)s?)|(?!(?:http|ws)s?:)[A-Z][A-Z0-9+.-]{0,63}):\\?/\\?/[^\s/?#:@\"'<>\[\]\\]{0,256}:"
    r"(?(http)(?!" + _PORT.format("/?#") + r")|(?!" + _PORT.format("") + r"|[0-9]{1,5}[/?#][^@\s]*"
    r"(?:\s|\Z)))" + _PASSWORD
)
# A URL within another one.
_ENCODED_URL = re.compile(
    r"(?i)[A-Z][A-Z0-9+.-]{0,63}%(?:25)*3A(?:%(?:25)*2F){2}(?:(?!%(?:25)*(?:3A|2F|40))[^\s&:/@]){0,256}"
    r"%(?:25)*3A(?P<password>(?:(?!%(?:25)*40)[^\s&\"'<>]){1,1024}(?=%(?:25)*40)"
    r"(?:%(?:25)*40(?:(?!%(?:25)*40)[^\s&\"'<>]){0,1024}(?=%(?:25)*40))*)"
)
_HEADER = re.compile(
    r"(?i)authorization\b\\?[\"']?\s*[:=,]\s*(?:\\?b?[\"'])?"
    r"(?:(?:basic|bearer|negotiate)(?:\s|%20|\+)+)(?P<password>[^\s\"',\\\])}>]+)"
)
# Without its header: what is long and has a digit is a login, other words are a sentence.
_LOGIN = re.compile(
    r"(?i)\b(?:basic|bearer|x-registry-auth:)\s+(?P<password>(?=[^\s0-9]*[0-9])[A-Z0-9+/_.~-]{20,}=*)"
)


def _json(text, ascii_only):
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _escaped(text):
    """The text as languages and shells write it within quotes, or without."""
    yield text
    for ascii_only in (True, False):
        once = _json(text, ascii_only)
        yield once
        yield once.replace("/", "\\/")
        yield _json(once, ascii_only)
    yield repr(text)[1:-1]
    yield repr("'\"" + text)[4:-1] if "'" in text else repr(text)[1:-1]
    yield repr(text.encode("utf-8", "surrogateescape"))[2:-1]
    quoted = shlex.quote(text)
    yield quoted[1:-1] if quoted[:1] == "'" else quoted
    yield text.replace("'", "'\\''")
    yield text.replace("'", "''")
    yield text.replace('"', '""')
    yield re.sub(r'([\\"$`])', r"\\\1", text)
    yield re.sub(r"([^A-Za-z0-9_@%+:,./\n-])", r"\\\1", text)
    yield re.sub(r"([^A-Za-z0-9_./\n-])", r"\\\1", text)
    yield re.sub(r"([^A-Za-z0-9_])", r"\\\1", text)
    yield html.escape(text, quote=True)
    yield html.escape(text, quote=False)


def _percent_encoded(text):
    """Any of its characters may be encoded, once or more."""
    pattern = ""
    for character in text:
        code = "".join(
            "%%(?:25)*%s" % "".join("[%s%s]" % (digit, digit.upper()) for digit in "%02x" % byte)
            for byte in character.encode("utf-8", "surrogateescape")
        )
        blank = r"|\+" if character == " " else ""
        pattern += "(?:%s|%s%s)" % (re.escape(character), code, blank)
    return re.compile(pattern)


def _base64(text):
    """Whole, or with other text before and after it, as the user's name is."""
    data = text.encode("utf-8", "surrogateescape")
    found = {base64.b64encode(data).decode().rstrip("=")}
    if len(data) >= MIN_INSIDE_BASE64:
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + data).decode()
            # Characters that hold bits of a neighbour differ with it.
            last = len(encoded) - (0, 3, 2)[(before + len(data)) % 3]
            found.add(encoded[(0, 2, 3)[before] : last])
    for part in found:
        yield part, len(data) >= MIN_INSIDE_BASE64
        if "+" in part or "/" in part:
            yield part.replace("+", "-").replace("/", "_"), len(data) >= MIN_INSIDE_BASE64


def _parts(secret):
    """What is secret about it: of a token not the number, of a URL the password alone."""
    token = re.match(r"\s*[0-9]{3,}:([A-Za-z0-9_-]{16,})\s*\Z", secret)
    if token:
        return [token.group(1)]
    url = _URL.match(secret)
    if url:
        return [url.group("password"), unquote(url.group("password"))]
    return [secret, secret.strip()] + [
        line for line in secret.split("\n")[:-1] + secret.split("\n")[1:] if len(line) >= MIN_LINE
    ]


class Scrubber:
    """Takes secrets out of texts.

    secrets: texts that are secret beside what is known by its form. They are found plain, encoded
    for a URL, in base64 and escaped as in JSON, shells, Python and HTML. Shorter ones than MIN_SECRET
    are left out.
    """

    def __init__(self, secrets=()):
        parts = {
            part for secret in secrets for part in _parts(str(secret)) if len(part) >= MIN_SECRET
        }
        plain = {form for part in parts for form in _escaped(part)}
        self._plain = sorted(plain, key=len, reverse=True)
        self._encoded = [_percent_encoded(part) for part in sorted(parts)]
        self._base64 = {}
        for part in sorted(parts):
            for form, whole in _base64(part):
                around = r"[A-Za-z0-9+/_-]*%s[A-Za-z0-9+/_-]*={0,2}" if whole else r"%s={0,2}"
                self._base64[form] = re.compile(around % re.escape(form))

    def scrub(self, text):
        """The text with *** for each secret; a token keeps the bot's number. Twice is as once."""
        while True:
            scrubbed = self._once(text)
            # What is left beside a replaced secret may be another one, together with it.
            if scrubbed == text:
                return text
            text = scrubbed

    def _once(self, text):
        spans = sorted(self._spans(text))
        result, position, end = [], 0, -1
        for start, stop, hidden in spans:
            if start > end:
                result += [text[position:start], hidden]
                position = end = stop
            else:
                position = end = max(end, stop)
        return "".join(result) + text[position:]

    def _spans(self, text):
        """(start, end, what to put there) of all that is secret; they may overlap."""
        for match in ANY_TOKEN.finditer(text):
            yield match.end(1), match.end(), ":" + HIDDEN
        for pattern in self._patterns(text):
            for match in pattern.finditer(text):
                yield match.start("password"), match.end("password"), HIDDEN
        for form in self._plain:
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form), HIDDEN
                start = text.find(form, start + 1)
        if "%" in text or "+" in text:
            for pattern in self._encoded:
                for match in pattern.finditer(text):
                    yield match.start(), match.end(), HIDDEN
        for form, pattern in self._base64.items():
            if form in text:
                for match in pattern.finditer(text):
                    yield match.start(), match.end(), HIDDEN

    @staticmethod
    def _patterns(text):
        """What of the known forms can be in the text, told quickly."""
        lower = text.lower()
        if "@" in text:
            yield _URL
        if "%40" in text or "2540" in text:
            yield _ENCODED_URL
        if "authorization" in lower:
            yield _HEADER
        if "basic" in lower or "bearer" in lower or "x-registry-auth" in lower:
            yield _LOGIN


scrub = Scrubber().scrub
