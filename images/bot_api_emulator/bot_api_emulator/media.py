"""Photos, videos, documents and the like: files of a request as the content of a message."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from .arguments import Arguments, Upload
from .calls import (
    Call,
    Handler,
    Outcome,
    caption,
    check_caption,
    find_chat,
    json_argument,
    post,
)
from .entities import FormattedText, formatted
from .envelope import JsonObject, Refusal, bad_request
from .files import StoredFile

MAX_DURATION = 86_400
MAX_SIDE = 10_000
MAX_GROUP = 10
# What an upload without a size of its own is said to be.
PHOTO_SIZE = {"width": 640, "height": 480}
VIDEO_SIZE = {"width": 640, "height": 360}
# Files of these kinds may be sent as one another, all others as what they are.
_DOCUMENTS = frozenset(("animation", "audio", "document", "video"))
_TYPE_NAMES = {
    "animation": "Animation",
    "audio": "Audio",
    "document": "Document",
    "photo": "Photo",
    "sticker": "Sticker",
    "video": "Video",
    "video_note": "VideoNote",
    "voice": "VoiceNote",
}
_WITH_CAPTION = frozenset(_TYPE_NAMES) - {"sticker", "video_note"}
_GROUPED = ("photo", "live_photo", "video", "audio", "document")
# Parameters that show in the message under another name.
_FLAGS = {
    "has_spoiler": "has_media_spoiler",
    "show_caption_above_media": "show_caption_above_media",
}


def media_object(file: StoredFile, arguments: Arguments) -> Any:
    """A file as a message shows it; a photo is a list of its sizes."""
    basic: JsonObject = {
        "file_id": file.file_id,
        "file_unique_id": file.unique_id,
        "file_size": file.size,
    }
    kind = file.kind
    if kind == "photo":
        return [basic | PHOTO_SIZE]
    if kind == "sticker":
        mime_type = file.mime_type
        return basic | {
            "type": "regular",
            "width": 512,
            "height": 512,
            "is_animated": "tgsticker" in mime_type,
            "is_video": mime_type.startswith("video"),
        }
    media = basic | {"mime_type": file.mime_type}
    if kind in ("voice", "audio", "video", "animation", "video_note"):
        media["duration"] = arguments.integer("duration", 0, 0, MAX_DURATION)
    if kind in ("video", "animation"):
        for name, usual in VIDEO_SIZE.items():
            media[name] = arguments.integer(name, usual, 0, MAX_SIDE) or usual
    if kind == "video_note":
        del media["mime_type"]
        media["length"] = arguments.integer("length", 240, 0, MAX_SIDE) or 240
    elif kind != "voice" and file.name:
        media["file_name"] = file.name
    if kind == "audio":
        media |= {
            name: arguments.text(name) for name in ("title", "performer") if arguments.text(name)
        }
    return media


def _file_of(call: Call, kind: str, given: str, field: str) -> StoredFile | None:
    """The file that a parameter means: an upload, a file id, an address; None for none of these."""
    upload: Upload | None
    if given.startswith("attach://"):
        upload = call.files.get(given.removeprefix("attach://"))
        if upload is None:
            return None
    else:
        upload = None if given else call.files.get(field)
    if upload is not None:
        if upload.size == 0:
            raise bad_request("file must be non-empty")
        return call.store.add(call.bot.id, kind, upload)
    if not given:
        return None
    if given.lower().startswith(("http://", "https://")):
        return call.store.add(call.bot.id, kind, _from_address(kind, given))
    file = call.store.by_id(call.bot.id, given)
    if file is None:
        raise bad_request(
            "wrong remote file identifier specified: the emulator knows file ids that it "
            "gave to this bot"
        )
    if file.kind != kind and not {file.kind, kind} <= _DOCUMENTS:
        known, wanted = _TYPE_NAMES[file.kind], _TYPE_NAMES[kind]
        raise bad_request(f"can't use file of type {known} as {wanted}")
    return file


def _from_address(kind: str, url: str) -> Upload:
    """Telegram fetches it; here nothing leaves the machine, so that its bytes are not there."""
    types = {"photo": "image/jpeg", "video": "video/mp4", "animation": "video/mp4"}
    name = PurePosixPath(urlsplit(url).path).name
    return Upload(name, types.get(kind, "application/octet-stream"), 0, None)


def _shown(file: StoredFile) -> JsonObject:
    return {
        "file_id": file.file_id,
        "file_name": file.name,
        "mime_type": file.mime_type,
        "file_size": file.size,
    }


def _content(kind: str, file: StoredFile, arguments: Arguments, text: FormattedText) -> JsonObject:
    content: JsonObject = {kind: media_object(_as(kind, file), arguments)}
    if kind == "animation":
        # Clients that don't know animations show a document.
        content["document"] = media_object(_as("document", file), arguments)
    for parameter, name in _FLAGS.items():
        if arguments.flag(parameter):
            content[name] = True
    return content | text.content("caption", "caption_entities")


def _as(kind: str, file: StoredFile) -> StoredFile:
    if file.kind == kind:
        return file
    return StoredFile(**{**vars(file), "kind": kind})


def sender(kind: str) -> Handler:
    def send(call: Call) -> Outcome:
        file_given = call.text(kind) or kind in call.files
        if not file_given:
            raise bad_request(f"there is no {kind.replace('_', ' ')} in the request")
        text = caption(call) if kind in _WITH_CAPTION else FormattedText("", [])
        find_chat(call)
        file = _file_of(call, kind, call.text(kind), kind)
        if file is None:
            raise bad_request(f"there is no {kind.replace('_', ' ')} in the request")
        message = post(call, _content(kind, file, call.arguments, text))
        return Outcome(message, {kind: _shown(file)})

    return send


def _input_media(call: Call, given: Any, *, album: bool) -> tuple[str, JsonObject, StoredFile]:
    """One InputMedia: its kind, the content of its message, its file."""

    def wrong(reason: str) -> Refusal:
        return bad_request(f"can't parse InputMedia: {reason}")

    if not isinstance(given, dict):
        raise wrong("expected an Object")
    values = {name: value for name, value in given.items() if value is not None}
    text = formatted(
        str(values.get("caption", "")),
        str(values.get("parse_mode", "")),
        values.get("caption_entities"),
    )
    check_caption(text)
    if "type" not in values:
        raise wrong('Can\'t find field "type"')
    kind = values["type"]
    if not values.get("media"):
        raise wrong("media not found")
    if kind == "animation" and album:
        raise wrong(f'type "{kind}" can\'t be used in sendMediaGroup')
    if kind not in (*_GROUPED, "animation"):
        raise wrong(f'type "{kind}" is unsupported')
    stored = "video" if kind == "live_photo" else kind
    file = _file_of(call, stored, str(values["media"]), "")
    if file is None:
        raise wrong("media not found")
    arguments = Arguments()
    for name, value in values.items():
        arguments.add_json(name, value)
    return kind, _content(stored, file, arguments, text), file


def send_media_group(call: Call) -> Outcome:
    if not call.text("media"):
        raise bad_request('parameter "media" is required')
    items = json_argument(call, "media", "can't parse media JSON object")
    if not isinstance(items, list):
        raise bad_request("expected an Array of InputMedia")
    find_chat(call)
    parsed = [_input_media(call, item, album=True) for item in items]
    if len(parsed) > MAX_GROUP:
        raise bad_request("too many messages to send as an album")
    if not parsed:
        raise bad_request("there are no messages to send")
    kinds = {kind for kind, _, _ in parsed}
    for alone in ("audio", "document"):
        if alone in kinds and len(kinds) > 1:
            raise bad_request(f"{alone} can't be mixed with other media types")
    group = {"media_group_id": call.bot.conversation.next_group()} if len(parsed) > 1 else {}
    messages = [post(call, {**group, **content}, markup=False) for _, content, _ in parsed]
    return Outcome(messages, {"files": [_shown(file) for _, _, file in parsed]})


def edited_media(call: Call) -> tuple[JsonObject, JsonObject]:
    """The new content that editMessageMedia asks for, and the file as it is shown."""
    if not call.text("media"):
        raise bad_request('parameter "media" is required')
    given = json_argument(call, "media", "can't parse input media JSON object")
    _, content, file = _input_media(call, given, album=False)
    return content, {"files": [_shown(file)]}
