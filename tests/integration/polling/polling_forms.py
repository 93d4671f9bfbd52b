"""What is planted: each form in which a token may be on a host, and what must be left alone.

{token} {id} {old} and other names in braces stand for what the test makes at run time (see Bots).
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from docker_hosts import Files, Link, new_token
from polling_host import PYTHON

STACK = "aisha"
RELEASE, OLD_RELEASE = "release-2", "release-1"
TOKEN_FILE = "/run/secrets/bot_token"
UNLESS_STOPPED, ALWAYS = {"Name": "unless-stopped"}, {"Name": "always"}
ONCE = {"Name": "on-failure", "MaximumRetryCount": 1}
NEVER = {"Name": "no"}


class Bots:
    """The bot that is fought for, and others whose ids look like its own."""

    def __init__(self, stack: str = STACK) -> None:
        self.stack = stack
        self.id = 10**9 + secrets.randbelow(9 * 10**9)
        self.token = new_token(self.id)
        self.old = new_token(self.id)
        self.other = new_token(self.id + 1)
        self.longer = new_token(int(f"{self.id}7"))
        self.ending = new_token(int(f"7{self.id}"))

    @cached_property
    def values(self) -> dict[str, str]:
        names = ("token", "old", "other", "longer", "ending")
        quoted = quote(self.token)
        stacks = (self.stack, "other")
        assert "%3A" in quoted
        return {
            **{name: str(getattr(self, name)) for name in names},
            "id": str(self.id),
            "quoted": quoted,
            "quoted_low": quoted.replace("%3A", "%3a"),
            **{f"fingerprint of {stack}": self.fingerprint(stack) for stack in stacks},
        }

    def fingerprint(self, stack: str) -> str:
        """As the role bot writes it to a label."""
        digest = hashlib.sha256(f"{stack}{self.token}".encode()).hexdigest()
        return f"{self.id}:{digest[:16]}"

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            for name, text in self.values.items():
                value = value.replace(f"{{{name}}}", text)
            return value
        if isinstance(value, bytes):
            return value.replace(b"{token}", self.token.encode())
        if isinstance(value, dict):
            return {self.fill(key): self.fill(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.fill(each) for each in value]
        return value


@dataclass(frozen=True)
class Planted:
    """A container, and what the module should say of it."""

    name: str
    where: str = "environment"
    field: str = "BOT_TOKEN"
    command: tuple[str, ...] = ("ptb",)
    """Of bots.py, or a whole one where it starts with a path."""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    files: Files = dataclasses.field(default_factory=dict)
    """Files of the host, each mounted by itself."""
    folders: dict[str, Files] = dataclasses.field(default_factory=dict)
    """Folders of the host that are mounted."""
    volumes: dict[str, Files] = dataclasses.field(default_factory=dict)
    own: Files = dataclasses.field(default_factory=dict)
    """Files in the container's own file system."""
    layer: Files = dataclasses.field(default_factory=dict)
    """Files in a layer of its image."""
    odd: str = ""
    """A folder that is mounted and holds what is no file: pipes, devices, loops."""
    workdir: str | None = None
    policy: dict[str, Any] = dataclasses.field(default_factory=lambda: dict(UNLESS_STOPPED))
    state: str = "running"
    execute: dict[str, str] = dataclasses.field(default_factory=dict)
    """The environment of a bot that is started in it by `docker exec`."""
    healthcheck: bool = False
    also: tuple[tuple[str, str], ...] = ()
    """Further places. A bot that runs may show more, as its processes do."""
    role: str | None = "suspect"
    same_token: bool = True
    polls: bool = True


@dataclass(frozen=True)
class Process:
    """A process of the host outside Docker."""

    name: str
    where: str
    field: str
    argv: tuple[str, ...]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    files: Files = dataclasses.field(default_factory=dict)


ENV = {"BOT_TOKEN": "{token}"}
IDLE = ("/bin/sleep", "infinity")
WAITING = ("/bin/sh", "-c", "trap exit TERM; sleep infinity & wait")
YAML = 'telegram:\n  admins: [77]\n  token: "{token}"\n'
INI = "[bot]\nname = planted\ntoken = {token}\n"
JSON = '{"name": "planted", "bot": {"token": "{token}"}}\n'
PROGRAM = 'import bots\n\nTOKEN = "{token}"\nbots.run("telebot", TOKEN)\n'
SCRIPT = "#!/bin/sh\nexport BOT_TOKEN='{token}'\nexec python3 -m bots ptb\n"


def of_stack(role: str, release: str = RELEASE, stack: str = STACK) -> dict[str, str]:
    prefix = "aisha.bot_stack."
    return {
        f"{prefix}name": stack,
        f"{prefix}role": role,
        f"{prefix}release": release,
        f"{prefix}fingerprint": f"{{fingerprint of {stack}}}",
    }


IN_FILE = ("file", TOKEN_FILE)
BY_LABEL: dict[str, Any] = {
    "where": "label",
    "field": "aisha.bot_stack.fingerprint",
    "also": (IN_FILE,),
}


def part_of_stack(name: str, part: str, *command: str, **more: Any) -> Planted:
    """As the role bot runs them: the token is in a file."""
    return Planted(
        name,
        command=(*command, "--config-env", "BOT_TOKEN_FILE"),
        environment={"BOT_TOKEN_FILE": TOKEN_FILE, "INSTANCE_ID": name},
        folders={"/run/secrets": {"bot_token": "{token}\n"}},
        **({"labels": of_stack(part), "role": part} | BY_LABEL | more),
    )


HOLDER = part_of_stack(f"{STACK}-primary", "primary", "aiogram", role="holder", healthcheck=True)

FORMS = [
    # States
    Planted("in-environment", environment=ENV, command=("aiogram",)),
    Planted("paused", environment=ENV, state="paused"),
    Planted("restarting", environment=ENV, command=("crash",), policy=ALWAYS, state="restarting"),
    Planted("created", environment=ENV, command=("telebot",), state="created"),
    Planted("exited-comes-back", environment=ENV, policy=ALWAYS, state="exited"),
    Planted("exited-on-failure", environment=ENV, command=("crash",), policy=ONCE, state="exited"),
    # The container's description
    Planted("in-command", "command", "command", ("telebot", "--token", "{token}")),
    Planted(
        "in-entrypoint",
        "command",
        "entry point",
        (),
        entrypoint=("python3", "-m", "bots", "ptb", "--token", "{token}"),
    ),
    Planted(
        "in-label",
        "label",
        "com.example.token",
        IDLE,
        labels={"com.example.token": "{token}"},
        polls=False,
    ),
    Planted(
        "in-address",
        field="BOT_WEBHOOK_BASE",
        command=("ptb", "--env", "BOT_WEBHOOK_BASE"),
        environment={"BOT_WEBHOOK_BASE": "https://example.com/telegram/bot{quoted}/"},
    ),
    Planted(
        "older-token",
        field="TELEGRAM_TOKEN",
        command=("worker", "--env", "TELEGRAM_TOKEN"),
        environment={"TELEGRAM_TOKEN": "{old}"},
        same_token=False,
        polls=False,
    ),
    Planted(
        "shop_bot_1",
        command=("telebot",),
        environment=ENV,
        labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "bot"},
    ),
    # Files that are mounted
    Planted(
        "env-file",
        "file",
        "/app/.env",
        ("ptb", "--config", "/app/.env"),
        files={"/app/.env": "DEBUG=0\r\nBOT_TOKEN={token}\r\n"},
    ),
    Planted(
        "secret-file",
        "file",
        "/run/secrets/telegram",
        ("ptb", "--config", "/run/secrets/telegram"),
        files={"/run/secrets/telegram": "{token}"},
    ),
    Planted(
        "config-folder",
        "file",
        "/config/bot.yml",
        ("telebot", "--config", "/config/bot.yml"),
        folders={"/config": {"bot.yml": YAML, "a.yml": "a: 1\n", "texts/en.json": "{}\n"}},
    ),
    Planted(
        "config-volume",
        "file",
        "/data/settings/bot.json",
        ("ptb", "--config", "/data/settings/bot.json"),
        volumes={"/data": {"settings/bot.json": JSON, "notes.txt": "none here\n"}},
    ),
    Planted(
        "address-in-file",
        "file",
        "/etc/bot/webhook.ini",
        ("telebot", "--config", "/etc/bot/webhook.ini"),
        files={"/etc/bot/webhook.ini": "[web]\nurl = https://example.com/?bot={quoted_low}\n"},
    ),
    Planted(
        "beside-odd-files",
        "file",
        "/odd/token",
        ("ptb", "--config", "/odd/token"),
        odd="/odd",
        folders={"/odd": {"token": "{token}\n"}},
    ),
    # Files of its own
    Planted(
        "own-config",
        "file",
        "/app/config.yml",
        ("aiogram", "--config", "/app/config.yml"),
        own={"/app/config.yml": YAML},
    ),
    Planted(
        "own-config-relative",
        "file",
        "/srv/bot/conf/settings.ini",
        ("ptb", "--config", "conf/settings.ini"),
        own={"/srv/bot/conf/settings.ini": INI},
        workdir="/srv/bot",
    ),
    Planted(
        "own-config-of-image",
        "file",
        "/etc/bot/token.json",
        ("telebot", "--config-env", "CONFIG_FILE"),
        environment={"CONFIG_FILE": "/etc/bot/token.json"},
        layer={"/etc/bot/token.json": JSON},
    ),
    Planted(
        "own-config-by-link",
        "file",
        "/app/current.yml",
        ("ptb", "--config", "/app/current.yml"),
        own={"/app/releases/7/config.yml": YAML, "/app/current.yml": Link("releases/7/config.yml")},
    ),
    Planted(
        "own-script",
        "file",
        "/opt/bot/start.sh",
        (),
        entrypoint=("/opt/bot/start.sh",),
        own={"/opt/bot/start.sh": SCRIPT},
    ),
    Planted(
        "own-program",
        "file",
        "/app/bot.py",
        ("/usr/bin/env", "python3", "/app/bot.py"),
        own={"/app/bot.py": PROGRAM},
    ),
    # Processes
    Planted("executed", "process environment", command=IDLE, execute=ENV),
    # What is known: a copy, an older release, one that was put aside
    part_of_stack("copy-of-primary", "primary", "ptb", role="poller"),
    part_of_stack(
        f"{STACK}-primary-before",
        "primary",
        "ptb",
        role="poller",
        labels=of_stack("primary", OLD_RELEASE),
    ),
    part_of_stack(f"{STACK}-primary.2026-11-01", "primary", "telebot", role="poller"),
    # Its fingerprint has another salt, so that the file tells more.
    part_of_stack(
        "other-stack-primary",
        "primary",
        "ptb",
        role="suspect",
        labels=of_stack("primary", stack="other"),
        where=IN_FILE[0],
        field=IN_FILE[1],
        also=(("label", "aisha.bot_stack.fingerprint"),),
    ),
    Planted(
        "in-three-places",
        command=("ptb", "--token", "{token}"),
        environment=ENV,
        files={"/app/.env": "BOT_TOKEN={token}\n"},
        also=(("command", "command"), ("file", "/app/.env")),
    ),
]

BOTS_OF_HOST = {"PYTHONPATH": "/opt/venv/lib/bots", "BOT_API_URL": "http://127.0.0.1:8081"}
PROCESSES = [
    Process(
        "process-environment",
        "process environment",
        "BOT_TOKEN",
        (PYTHON, "-m", "bots", "aiogram"),
        environment=ENV,
    ),
    Process(
        "process-command",
        "process command",
        "command line",
        (PYTHON, "-m", "bots", "telebot", "--token", "{token}"),
    ),
    Process(
        "process-config",
        "file",
        "/root/bot/config.ini",
        (PYTHON, "-m", "bots", "ptb", "--config", "/root/bot/config.ini"),
        files={"/root/bot/config.ini": INI},
    ),
    Process(
        "process-program",
        "file",
        "/root/bot/bot.py",
        (PYTHON, "/root/bot/bot.py"),
        files={"/root/bot/bot.py": PROGRAM},
    ),
]

# No part of it is the token's: neither found, nor touched.
NOBODY: dict[str, Any] = {"role": None, "polls": False}
MANY = {f"{n // 100}/{n}.txt": f"note {n} of bot\n" for n in range(3000)}
LOG = "2026-11-01 INFO aiogram.dispatcher: Run polling for bot @planted id={id} - 'planted'\n"
DATABASE = b"\0" * 150_000 + b"{token}" + b"\0" * 100_000

INNOCENTS = [
    Planted("other-bot", environment={"BOT_TOKEN": "{other}"}, role=None),
    Planted("longer-id", environment={"BOT_TOKEN": "{longer}"}, role=None),
    Planted("ending-id", environment={"BOT_TOKEN": "{ending}"}, role=None),
    Planted("chat-id", command=WAITING, environment={"ADMIN_CHAT_ID": "{id}"}, **NOBODY),
    Planted("placeholder", command=WAITING, environment={"BOT_TOKEN": "{id}:CHANGE_ME"}, **NOBODY),
    Planted("many-files", command=WAITING, volumes={"/data": dict(MANY)}, **NOBODY),
    # A database may hold the token in a row; it polls nobody.
    Planted("database", command=WAITING, volumes={"/var/lib/db": {"16384": DATABASE}}, **NOBODY),
    Planted("log", command=WAITING, volumes={"/var/log/bot": {"bot.log": LOG * 50}}, **NOBODY),
    Planted(
        "odd-files",
        command=WAITING,
        odd="/odd",
        environment={"CONFIG_FILE": "/odd/pipe", "A": "/dev/zero", "B": "/proc/kmsg", "C": "/usr"},
        **NOBODY,
    ),
    # Those that hold it and are known not to poll, or are not alive.
    part_of_stack(f"{STACK}-worker-1", "worker", "worker", polls=False),
    part_of_stack(f"{STACK}-webhook-1", "webhook", "worker", polls=False),
    Planted("sender-of-news", command=("worker",), environment=ENV, role="allowed", polls=False),
    Planted("exited", environment=ENV, policy=NEVER, state="exited", polls=False),
]
ALLOWED = ["sender-*"]
