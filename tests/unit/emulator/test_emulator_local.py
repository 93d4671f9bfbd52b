"""Local mode: files by their paths on disk, of any size, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import FormData
from bot_api_emulator.arguments import Arguments, Upload
from bot_api_emulator.bodies import TooLargeError
from bot_api_emulator.local_files import FilesFolder, attach_local_files
from emulator_harness import BOT_ID, TOKEN, Emulator

BIG = (20 << 20) + 1


async def pushed_voice(emulator: Emulator, data: bytes) -> str:
    form = FormData({"chat_id": "77"})
    form.add_field("voice", data, filename="note.ogg", content_type="audio/ogg")
    await emulator.control(f"/bots/{BOT_ID}/updates", data=form)
    file_id = (await emulator.poll(-1)).result[0]["message"]["voice"]["file_id"]
    assert isinstance(file_id, str)
    return file_id


@pytest.mark.asyncio
class TestGetFile:
    @pytest.mark.parametrize("size", [10, BIG])
    async def test_its_path_is_absolute_and_the_file_is_there(
        self, emulator: Emulator, size: int
    ) -> None:
        await emulator.control("/mode", {"local": True})
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        file = (await emulator.call("getFile", file_id=await pushed_voice(emulator, data))).result
        path = Path(file["file_path"])
        assert path.is_absolute()
        assert path.suffix == ".oga"
        assert (file["file_size"], path.read_bytes()) == (size, data)
        assert TOKEN.partition(":")[2] not in str(path)
        again = (await emulator.call("getFile", file_id=file["file_id"])).result
        assert again["file_path"] == file["file_path"]

    async def test_nothing_is_downloaded_by_http(self, emulator: Emulator) -> None:
        file_id = await pushed_voice(emulator, b"data")
        before = (await emulator.call("getFile", file_id=file_id)).result["file_path"]
        assert before == "voice/file_1.oga"
        await emulator.control("/mode", {"local": True})
        local = (await emulator.call("getFile", file_id=file_id)).result["file_path"]
        for path in (before, local):
            assert (await emulator.request("GET", f"/file/bot{TOKEN}/{path}")).status == 404

    async def test_a_folder_that_can_not_be_written(
        self, emulator: Emulator, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        emulator.core._folder = FilesFolder(tmp_path / "file")
        await emulator.control("/mode", {"local": True})
        reply = await emulator.call("getFile", file_id=await pushed_voice(emulator, b"data"))
        assert reply.status == 500
        assert "can't write the file for the bot: Not a directory" in reply.body["description"]

    async def test_without_local_a_big_one_is_refused(self, emulator: Emulator) -> None:
        file_id = await pushed_voice(emulator, bytes(BIG))
        reply = await emulator.call("getFile", file_id=file_id)
        assert reply.body["description"] == "Bad Request: file is too big"


@pytest.mark.asyncio
class TestSending:
    async def test_a_file_by_its_path(self, emulator: Emulator, tmp_path: Path) -> None:
        await emulator.control("/mode", {"local": True})
        (tmp_path / "my note.ogg").write_bytes(b"OggS")
        uri = f"file://{quote(str(tmp_path))}/my%20note.ogg"
        message = (await emulator.call("sendVoice", chat_id=77, voice=uri)).result
        assert (message["voice"]["file_size"], message["voice"]["mime_type"]) == (4, "audio/ogg")
        sent = (await emulator.sent())[0]["parameters"]["voice"]
        assert sent["file_name"] == "my note.ogg"

    async def test_a_file_that_is_not_there(self, emulator: Emulator, tmp_path: Path) -> None:
        await emulator.control("/mode", {"local": True})
        for path in (tmp_path / "nothing", tmp_path):
            reply = await emulator.call("sendVoice", chat_id=77, voice=f"file://{path}")
            assert (reply.status, reply.body["description"]) == (400, "Bad Request: file not found")

    async def test_a_text_is_a_text(self, emulator: Emulator) -> None:
        await emulator.control("/mode", {"local": True})
        reply = await emulator.call("sendMessage", chat_id=77, text="file:///etc/hostname")
        assert reply.result["text"] == "file:///etc/hostname"

    async def test_without_local_a_path_is_refused(
        self, emulator: Emulator, tmp_path: Path
    ) -> None:
        (tmp_path / "note.ogg").write_bytes(b"OggS")
        uri = f"file://{tmp_path}/note.ogg"
        assert (await emulator.call("sendVoice", chat_id=77, voice=uri)).status == 400
        assert await emulator.sent() == []


class TestAttaching:
    def attached(
        self, tmp_path: Path, pairs: dict[str, str], **limits: int
    ) -> tuple[dict[str, str], dict[str, Upload]]:
        files: dict[str, Upload] = {}
        arguments = Arguments(pairs.items())
        attach_local_files(arguments, files, **{"keep": 100, "most": 1000, **limits})
        return arguments.as_dict(), files

    def test_inside_of_objects(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            (tmp_path / name).write_bytes(name.encode())
        media = [
            {"type": "photo", "media": f"file://{tmp_path}/a.jpg", "caption": "file:///a.jpg"},
            {"type": "video", "media": "attach://x", "thumbnail": f"file://{tmp_path}/b.jpg"},
        ]
        texts, files = self.attached(
            tmp_path,
            {
                "media": json.dumps(media),
                "text": json.dumps(media),
                "caption": "file:///etc/hostname",
                "thumbnail": f"file:{tmp_path}/c.jpg",
            },
        )
        changed: list[dict[str, Any]] = json.loads(texts["media"])
        assert changed[0]["caption"] == "file:///a.jpg"
        assert changed[1]["media"] == "attach://x"
        read = [
            files[reference.removeprefix("attach://")].data
            for reference in (changed[0]["media"], changed[1]["thumbnail"], texts["thumbnail"])
        ]
        assert read == [b"a.jpg", b"b.jpg", b"c.jpg"]
        assert texts["text"] == json.dumps(media)
        assert texts["caption"] == "file:///etc/hostname"

    def test_of_a_large_one_the_size_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(bytes(101))
        _, files = self.attached(tmp_path, {"document": f"file://{tmp_path}/a"})
        (upload,) = files.values()
        assert (upload.size, upload.data) == (101, None)

    def test_a_larger_one_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(bytes(1001))
        with pytest.raises(TooLargeError):
            self.attached(tmp_path, {"document": f"file://{tmp_path}/a"})

    def test_what_is_no_json_is_left(self, tmp_path: Path) -> None:
        texts, files = self.attached(tmp_path, {"media": "[file:///x"})
        assert (texts, files) == ({"media": "[file:///x"}, {})
