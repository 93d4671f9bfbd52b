"""Files of a Bot API server that runs with --local, in a container of the bot as the role makes it.

The server is the emulator in local mode, as a container of its own with the same folder.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types
import pytest
import requests

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NAME = os.environ.get("TEST_NAME", "test") + "-local-bot-api"
CLIENT = docker.from_env(timeout=120)
BOT_ID = 7000000004
BOT_USER = 10001
SERVER_USER = 10077
# Where the server has its folder by default.
SERVER_DIR = "/var/lib/telegram-bot-api"
# More than Telegram's own service gives.
FILE = secrets.token_bytes(1024) * 21 * 1024

DOWNLOAD = """
import asyncio, hashlib, pathlib
from app.core.config import load_settings
from app.storage.files import FileStore
from app.telegram.client import BotApi

async def main():
    settings = load_settings()
    files = FileStore(settings.temp_dir, settings.audio_dir)
    target = files.source(1, 2)
    api = BotApi(settings)
    try:
        await api.download({file_id!r}, files, target, {size}, 1)
        print("read", hashlib.sha256(target.read_bytes()).hexdigest(), target.is_symlink())
    except Exception as error:
        print("failed:", error)
    finally:
        await api.close()
    try:
        pathlib.Path(settings.bot_api_files_dir, "probe").touch()
    except OSError as error:
        print(error.strerror)

asyncio.run(main())
"""


class Server:
    """The emulator in a container, and a bot that was sent a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "bot-api"
        self.token = f"{BOT_ID}:{secrets.token_urlsafe(40)[:35]}"
        self.file_id = ""
        self.settings: dict[str, Any] = {
            "local_folder": str(folder),
            "bot_name": NAME,
            "bot_stack_name": NAME,
            "bot_config_dir": str(folder / "bot"),
            "bot_docker_config": str(folder / "docker"),
            "bot_token": self.token,
            "bot_api_url": f"http://{NAME}-server:8081",
            "bot_api_files_dir": str(self.files),
            "bot_database_url": "postgresql://a:b@none.example.com/a",
            "bot_redis_url": "redis://none.example.com",
            "bot_s3_endpoint_url": "http://none.example.com",
            "bot_s3_bucket": "audio",
            "bot_s3_access_key": "parrot",
            "bot_s3_secret_key": secrets.token_urlsafe(24),
            "bot_webhook_replicas": 0,
            "bot_networks": [NAME],
        }

    def start(self) -> None:
        CLIENT.networks.create(NAME, driver="bridge")
        self.playbook("local_bot_api.yml")
        images = json.loads((self.folder / "images.json").read_text())
        self.settings["bot_image"] = images["bot"]
        self.files.mkdir(mode=0o750)
        os.chown(self.files, SERVER_USER, SERVER_USER)
        container = CLIENT.containers.run(
            images["bot_api_emulator"],
            name=f"{NAME}-server",
            network=NAME,
            user=f"{SERVER_USER}:{SERVER_USER}",
            environment={"EMULATOR_LOCAL": "true", "EMULATOR_FILES_DIR": SERVER_DIR},
            volumes={str(self.files): {"bind": SERVER_DIR}},
            detach=True,
        )
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][NAME]["IPAddress"]
        self.url = f"http://{address}:8081"
        deadline = time.monotonic() + 60
        while not self.answers():
            assert time.monotonic() < deadline, container.logs()
            time.sleep(0.1)
        self.post("/control/bots", json={"token": self.token})
        message = {"chat_id": "7"}
        self.post(f"/control/bots/{BOT_ID}/updates", data=message, files={"audio": ("a.ogg", FILE)})
        [update] = self.post(f"/bot{self.token}/getUpdates")["result"]
        self.file_id = update["message"]["audio"]["file_id"]

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/control/health", timeout=5).ok
        except requests.RequestException:
            return False

    def post(self, path: str, **body: Any) -> Any:
        answer = requests.post(self.url + path, timeout=30, **body)
        assert answer.ok, answer.text
        return answer.json()

    def playbook(self, name: str, **settings: Any) -> None:
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory, variables = self.folder / "hosts.json", self.folder / "variables.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"here": here}}}))
        variables.touch(mode=0o600)
        variables.write_text(json.dumps({**self.settings, **settings}))
        program = Path(sys.executable).with_name("ansible-playbook")
        own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(
            [program, "-i", inventory, "-e", f"@{variables}", HERE / name],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
            env=os.environ | own,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr

    def run(self, program: str) -> str:
        """What a Python program says in a container of the bot, as its user with its mounts."""
        # Nothing of it is for Jinja.
        packed = base64.b64encode(program.encode()).decode()
        text = f"import base64; exec(base64.b64decode('{packed}'))"
        self.playbook("local_bot_api_task.yml", local_program=text)
        said = json.loads((self.folder / "said.json").read_text())
        assert self.token not in said["output"] + said["errors"]
        return str(said["output"] + said["errors"])

    def download(self) -> str:
        return self.run(DOWNLOAD.format(file_id=self.file_id, size=len(FILE)))

    def look(self) -> list[str]:
        """What the role's check says of the folder, before it swaps anything."""
        program = (ROOT / "roles/bot/files/services.py").read_text()
        said = self.run(program.replace("\nTRIES = 3\n", "\nTRIES = 1\n"))
        found = json.loads(said.strip().splitlines()[-1])["silent"]
        return [sentence for sentence in found if "bot_api_files_dir" in sentence]

    def remove(self) -> None:
        for container in CLIENT.containers.list(
            all=True, filters={"name": f"^/?{NAME}-"}, ignore_removed=True
        ):
            container.remove(force=True, v=True)
        for network in CLIENT.networks.list(names=[NAME]):
            network.remove()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="local-bot-api-") as folder:
        found = Server(Path(folder))
        found.remove()
        try:
            found.start()
            yield found
        finally:
            found.remove()


def test_a_folder_that_the_bot_may_not_read_is_told_and_then_read(server: Server) -> None:
    # As the server makes it: for its own user and group.
    [problem] = server.look()
    assert f"can't be read by uid {BOT_USER}: Permission denied" in problem
    assert f"setfacl -R -m u:{BOT_USER}:rX" in problem
    said = server.download()
    assert "failed: a file of the Bot API server can't be read below /app/bot-api" in said
    # A group of the bot's, that what the server makes there inherits.
    for path in (server.files, *server.files.rglob("*")):
        os.chown(path, SERVER_USER, BOT_USER)
    server.files.chmod(0o2750)
    assert server.look() == []
    said = server.download()
    assert f"read {hashlib.sha256(FILE).hexdigest()} True" in said
    assert "Read-only file system" in said, "the bot can't write there"
