"""Formatted text: what the server makes of HTML, MarkdownV2 and Markdown, and how it complains."""

from __future__ import annotations

import contextlib
import string
from typing import Any

import pytest
from bot_api_emulator.entities import formatted, utf16_length
from bot_api_emulator.envelope import Refusal
from emulator_harness import Emulator
from hypothesis import given
from hypothesis import strategies as st

asyncio_test = pytest.mark.asyncio

HOUSE = "\N{HOUSE BUILDING}"


def entity(kind: str, offset: int, length: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "offset": offset, "length": length, **more}


def link(offset: int, length: int, url: str) -> dict[str, Any]:
    return entity("text_link", offset, length, url=url)


PARSED: list[tuple[str, str, str, list[dict[str, Any]]]] = [
    ("HTML", "<b>bo</b> <i>it</i>", "bo it", [entity("bold", 0, 2), entity("italic", 3, 2)]),
    ("HTML", "<strong>a</strong><em>b</em>", "ab", [entity("bold", 0, 1), entity("italic", 1, 1)]),
    ("HTML", "<u>a</u><ins>b</ins>", "ab", [entity("underline", 0, 1), entity("underline", 1, 1)]),
    (
        "HTML",
        "<s>a</s><strike>b</strike><del>c</del>",
        "abc",
        [entity("strikethrough", n, 1) for n in range(3)],
    ),
    (
        "HTML",
        '<tg-spoiler>a</tg-spoiler><span class="tg-spoiler">b</span>',
        "ab",
        [entity("spoiler", 0, 1), entity("spoiler", 1, 1)],
    ),
    ("html", "1 &lt; 2 &amp;&amp; 3 &gt; 2 &quot;", '1 < 2 && 3 > 2 "', []),
    ("HTML", "&#65;&#x42; &nbsp; &#0;", "AB &nbsp; &#0;", []),
    ("HTML", "<b>a<i>b</i></b>", "ab", [entity("bold", 0, 2), entity("italic", 1, 1)]),
    ("HTML", "<b></b>x", "x", []),
    ("HTML", "<B>x</B>", "x", [entity("bold", 0, 1)]),
    ("HTML", "<b>x</>", "x", [entity("bold", 0, 1)]),
    ("HTML", f"{HOUSE}<b>{HOUSE}</b>", f"{HOUSE}{HOUSE}", [entity("bold", 2, 2)]),
    ("HTML", '<a href="https://example.com/x?a=1&amp;b=2">here</a>', "here",
     [link(0, 4, "https://example.com/x?a=1&b=2")]),
    ("HTML", "<a href=example.com>here</a>", "here", [link(0, 4, "http://example.com/")]),
    ("HTML", '<a href="nowhere">here</a>', "here", []),
    ("HTML", "<a>example.com</a>", "example.com", [link(0, 11, "http://example.com/")]),
    (
        "HTML",
        '<a href="tg://user?id=77">you</a>',
        "you",
        [entity("text_mention", 0, 3, user={"id": 77, "is_bot": False, "first_name": "User 77"})],
    ),
    ("HTML", "<code>a</code> <pre>b</pre>", "a b", [entity("code", 0, 1), entity("pre", 2, 1)]),
    (
        "HTML",
        '<pre><code class="language-python">x = 1</code></pre>',
        "x = 1",
        [entity("pre", 0, 5, language="python")],
    ),
    ("HTML", '<code class="language-c">x</code>', "x", [entity("code", 0, 1)]),
    ("HTML", "<blockquote>a</blockquote>", "a", [entity("blockquote", 0, 1)]),
    (
        "HTML",
        "<blockquote expandable>a</blockquote>",
        "a",
        [entity("expandable_blockquote", 0, 1)],
    ),
    (
        "HTML",
        '<tg-emoji emoji-id="5368324170671202286">x</tg-emoji>',
        "x",
        [entity("custom_emoji", 0, 1, custom_emoji_id="5368324170671202286")],
    ),
    ("HTML", "<b>x </b> \n", "x", [entity("bold", 0, 1)]),
    ("HTML", " \n<b>x</b>", "x", [entity("bold", 0, 1)]),
    (
        "MarkdownV2",
        "*b* _i_ __u__ ~s~ ||p||",
        "b i u s p",
        [
            entity(kind, 2 * n, 1)
            for n, kind in enumerate(("bold", "italic", "underline", "strikethrough", "spoiler"))
        ],
    ),
    ("MarkdownV2", "*a _b_*", "a b", [entity("bold", 0, 3), entity("italic", 2, 1)]),
    ("MarkdownV2", r"1\. \(x\) \_ \\ ", "1. (x) _ \\", []),
    ("MarkdownV2", "`a.b!` ```c-d```", "a.b! c-d", [entity("code", 0, 4), entity("pre", 5, 3)]),
    ("MarkdownV2", "```python\nx = 1\n```", "x = 1", [entity("pre", 0, 5, language="python")]),
    ("MarkdownV2", "[here](https://example.com/a_b)", "here", [link(0, 4, "https://example.com/a_b")]),
    ("MarkdownV2", r"[x](https://example.com/a\)b)", "x", [link(0, 1, "https://example.com/a)b")]),
    (
        "MarkdownV2",
        "![x](tg://emoji?id=5368324170671202286)",
        "x",
        [entity("custom_emoji", 0, 1, custom_emoji_id="5368324170671202286")],
    ),
    ("MarkdownV2", ">a\n>b\nc", "a\nb\nc", [entity("blockquote", 0, 4)]),
    ("MarkdownV2", ">a||", "a", [entity("expandable_blockquote", 0, 1)]),
    ("MarkdownV2", f"{HOUSE}*{HOUSE}*", f"{HOUSE}{HOUSE}", [entity("bold", 2, 2)]),
    ("Markdown", "*b* _i_ `c` a-b.c!", "b i c a-b.c!",
     [entity("bold", 0, 1), entity("italic", 2, 1), entity("code", 4, 1)]),
    ("Markdown", "[x](https://example.com/)", "x", [link(0, 1, "https://example.com/")]),
    ("Markdown", "```\ncode```", "code", [entity("pre", 0, 4)]),
    ("Markdown", r"a\_b", "a_b", []),
    ("", "*b* <b>", "*b* <b>", []),
    ("None", "*b*", "*b*", []),
]  # fmt: skip

RESERVED = "Character '{}' is reserved and must be escaped with the preceding '\\'"
REFUSED = [
    ("HTML", "<b>x", "Can't find end tag corresponding to start tag \"b\""),
    ("HTML", "é<x>", 'Unsupported start tag "x" at byte offset 2'),
    ("HTML", "a <- b", 'Unsupported start tag "-" at byte offset 2'),
    ("HTML", "1 <2", "Unclosed start tag at byte offset 2"),
    ("HTML", "<br/>", 'Unsupported start tag "br/" at byte offset 0'),
    ("HTML", "<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
    ("HTML", "x</b>", "Unexpected end tag at byte offset 1"),
    ("HTML", "<b>x</b", "Unclosed end tag at byte offset 4"),
    ("HTML", "<b =1>x</b>", 'Empty attribute name in the tag "b" at byte offset 0'),
    ("HTML", "<a href", 'Unclosed start tag "a" at byte offset 0'),
    ("HTML", "<a href='x", "Unclosed start tag at byte offset 0"),
    ("HTML", "<a href=x_y>z</a>", "Unexpected end of name token at byte offset 8"),
    ("HTML", "<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ("HTML", "<tg-emoji emoji-id='x'>x</tg-emoji>", "Invalid custom emoji identifier specified"),
    (
        "HTML",
        "&#xD83C;",
        "Text contains invalid Unicode characters after decoding HTML entities, "
        "check for unmatched surrogate code units",
    ),
    ("MarkdownV2", "a_b", "Can't find end of Italic entity at byte offset 1"),
    ("MarkdownV2", "*a", "Can't find end of Bold entity at byte offset 0"),
    ("MarkdownV2", "é__a_", "Can't find end of Italic entity at byte offset 5"),
    ("MarkdownV2", "||a", "Can't find end of Spoiler entity at byte offset 0"),
    ("MarkdownV2", "`a", "Can't find end of Code entity at byte offset 0"),
    ("MarkdownV2", "```py\na", "Can't find end of PreCode entity at byte offset 0"),
    ("MarkdownV2", "[a](b", "Can't find end of a URL at byte offset 4"),
    ("MarkdownV2", "![a]", "The entity must contain a tg://emoji or tg://time URL"),
    ("MarkdownV2", "![a](b)", "Invalid tg://emoji or tg://time URL specified"),
    *(("MarkdownV2", f"a{c}b", RESERVED.format(c)) for c in "]()>#+-=|{}.!"),
    ("Markdown", "a *b", "Can't find end of the entity starting at byte offset 2"),
    ("Markdown", "[b", "Can't find end of the entity starting at byte offset 0"),
]  # fmt: skip


@asyncio_test
@pytest.mark.parametrize(("mode", "text", "shown", "entities"), PARSED)
async def test_what_is_made_of_a_text(
    emulator: Emulator, mode: str, text: str, shown: str, entities: list[dict[str, Any]]
) -> None:
    message = (await emulator.call("sendMessage", chat_id=77, text=text, parse_mode=mode)).result
    assert (message["text"], message.get("entities", [])) == (shown, entities)


@asyncio_test
@pytest.mark.parametrize(("mode", "text", "reason"), REFUSED)
async def test_what_cant_be_parsed(emulator: Emulator, mode: str, text: str, reason: str) -> None:
    reply = await emulator.call("sendMessage", chat_id=77, text=text, parse_mode=mode)
    description = f"Bad Request: can't parse entities: {reason}"
    assert reply.body == {"ok": False, "error_code": 400, "description": description}
    assert await emulator.sent() == []


@asyncio_test
async def test_a_caption_is_parsed_too(emulator: Emulator) -> None:
    arguments: dict[str, Any] = {
        "chat_id": 77,
        "photo": "https://example.com/a.jpg",
        "parse_mode": "HTML",
    }
    message = (await emulator.call("sendPhoto", **arguments, caption="<b>x</b>")).result
    assert (message["caption"], message["caption_entities"]) == ("x", [entity("bold", 0, 1)])
    reply = await emulator.call("sendPhoto", **arguments, caption="<b>x")
    assert reply.body["description"].startswith("Bad Request: can't parse entities: Can't find end")


@asyncio_test
async def test_another_mode(emulator: Emulator) -> None:
    reply = await emulator.call("sendMessage", chat_id=77, text="x", parse_mode="BBCode")
    assert reply.body["description"] == "Bad Request: unsupported parse_mode"


@asyncio_test
async def test_entities_that_are_given(emulator: Emulator) -> None:
    given = [entity("bold", 0, 2), entity("custom_emoji", 0, 2, custom_emoji_id="5")]
    message = (await emulator.call("sendMessage", chat_id=77, text=HOUSE, entities=given)).result
    assert message["entities"] == given
    for wrong, reason in (
        ({"offset": 0, "length": 1}, "can't parse MessageEntity: Can't find field \"type\""),
        (entity("bold", -1, 1), "receive an entity with incorrect offset -1"),
        (
            entity("bold", 0, 3),
            "entity beginning at UTF-16 offset 0 ends after the end of the text",
        ),
    ):
        reply = await emulator.call("sendMessage", chat_id=77, text=HOUSE, entities=[wrong])
        assert reply.body["description"].startswith(f"Bad Request: {reason}")


@asyncio_test
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("/start@some_bot", {"bot_command": "/start@some_bot"}),
        ("see https://example.com/a, now", {"url": "https://example.com/a"}),
        (
            "@somebody #tag me@example.com",
            {"mention": "@somebody", "hashtag": "#tag", "email": "me@example.com"},
        ),
        ("1/2 a@b #1 // x", {}),
    ],
)  # fmt: skip
async def test_what_is_found_without_being_marked(
    emulator: Emulator, text: str, kinds: dict[str, str]
) -> None:
    message = (await emulator.call("sendMessage", chat_id=77, text=text)).result
    found = {
        e["type"]: text[e["offset"] : e["offset"] + e["length"]]
        for e in message.get("entities", [])
    }
    assert found == kinds


MARKS = st.text(
    "<>/&;*_~|`[]()!\\\n\r =\"'b" + "pre" + HOUSE + string.ascii_letters[:3], max_size=60
)


@given(text=MARKS, mode=st.sampled_from(["HTML", "MarkdownV2", "Markdown"]))
def test_any_text_is_parsed_or_refused(text: str, mode: str) -> None:
    """No text breaks a parser, and every entity lies within what is shown."""
    found = None
    with contextlib.suppress(Refusal):
        found = formatted(text, mode)
    for one in found.entities if found else []:
        assert found is not None
        assert 0 <= one["offset"] < one["offset"] + one["length"] <= utf16_length(found.text)
