"""What callers of the webhook API get while others attack it.

`make bench-webhook`, or `python tests/benchmarks/webhook_attack.py --help`. Prints a Markdown
table, and writes all of it to a JSON file; docs/benchmarks.md says what the figures mean.

HAProxy with the role's configuration, replicas as processes of images/bot, PostgreSQL (which syncs
to disk) and Valkey or Redis, all on this machine, and on its cores the callers, too. Three rounds
in one run, on the same processes: good callers alone; with attackers at other addresses, as the
front is by default; with attackers at the callers' own address, as behind a load balancer that
tells nobody apart: there the limits of an address are off.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration/bot"))

import bot_harness as harness  # noqa: E402  needs the path above

REPLICAS = 2
OWN = "127.0.0.1"
OTHERS = [f"127.0.1.{number}" for number in range(1, 21)]


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Load:
    """Who calls, how, and how often."""

    name: str
    kind: str
    port: int
    seconds: float
    rate: float
    addresses: list[str]
    key: bytes = b""
    body_bytes: int = 256


@dataclass
class Result:
    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def request(load: Load, body: bytes, headers: dict[str, str], *, close: bool) -> bytes:
    lines = [
        "POST /callbacks/shop HTTP/1.1",
        "Host: bench.example.com",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def signed(key: bytes, body: bytes) -> dict[str, str]:
    delivery, stamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    content = f"{delivery}.{stamp}.".encode() + body
    digest = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {
        "Webhook-Id": delivery,
        "Webhook-Timestamp": stamp,
        "Webhook-Signature": f"v1,{digest}",
    }


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Caller:
    """Calls at a steady rate, whether earlier calls have been answered or not."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.result = Result()
        self.free: list[tuple[float, Pair]] = []

    def kept(self) -> Pair | None:
        """A connection that was used lately: the front ends one that is idle for 10 s."""
        while self.free:
            used, pair = self.free.pop()
            if time.monotonic() - used < 5 and not pair[0].at_eof():
                return pair
            pair[1].close()
        return None

    async def connect(self, number: int) -> Pair:
        address = self.load.addresses[number % len(self.load.addresses)]
        return await asyncio.open_connection(OWN, self.load.port, local_addr=(address, 0))

    async def exchange(self, pair: Pair, data: bytes) -> str:
        reader, writer = pair
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        await reader.readexactly(length)
        return head.split(b" ", 2)[1].decode()

    async def call(self, number: int, due: float) -> None:
        load = self.load
        # Half of the good callers keep their connection; attackers have no reason to.
        keeps = load.kind == "good" and number % 2 == 0
        body = json.dumps({"at": due, "number": number}).encode().ljust(load.body_bytes)
        headers = {} if load.kind == "unsigned" else signed(load.key, body)
        data = request(load, body, headers, close=not keeps)
        pair = None
        try:
            async with asyncio.timeout(30):
                pair = (self.kept() if keeps else None) or await self.connect(number)
                answer = await self.exchange(pair, data)
        except TimeoutError:
            answer = "timeout"
        except (OSError, EOFError):
            answer = "broken"
        if pair is not None:
            if keeps and answer.isdigit():
                self.free.append((time.monotonic(), pair))
            else:
                pair[1].close()
        self.result.answers[answer] += 1
        self.result.seconds.append(time.monotonic() - due)

    async def run(self) -> None:
        begun = time.monotonic()
        tasks = set()
        for number in range(int(self.load.rate * self.load.seconds)):
            due = begun + number / self.load.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.call(number, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


class Slow(Caller):
    """As many connections as `rate` says, all the time: each sends a byte a second of what never
    ends, half of them of the headers, half of a body that nobody signed."""

    async def stay(self, number: int, until: float) -> None:
        beginning = b"POST /callbacks/shop HTTP/1.1\r\nHost: bench.example.com\r\nX-Slow: "
        if number % 2:
            body = b"x" * 1000
            beginning = request(self.load, body, signed(b"forged", body), close=False)[:-999]
        while time.monotonic() < until:
            writer = None
            try:
                reader, writer = await self.connect(number)
                writer.write(beginning)
                while time.monotonic() < until and not reader.at_eof():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await reader.read(1000)
                    writer.write(b"x")
                self.result.answers["ended" if reader.at_eof() else "open"] += 1
            except OSError:
                self.result.answers["refused"] += 1
            if writer is not None:
                writer.close()
            # Slow, and no flood of connections: who is cut off comes again a second later.
            await asyncio.sleep(1)

    async def run(self) -> None:
        until = time.monotonic() + self.load.seconds
        await asyncio.gather(*(self.stay(n, until) for n in range(int(self.load.rate))))


def work(load: Load, results: Any) -> None:
    caller = Slow(load) if load.kind == "slow" else Caller(load)
    asyncio.run(caller.run())
    results.put((load.name, caller.result))


class Watch:
    """The containers' health check, as often as Docker asks, and what memory is held."""

    def __init__(self, replicas: list[harness.Replica], front: harness.Front) -> None:
        self.replicas, self.front = replicas, front
        self.verdicts: Counter[str] = Counter()
        self.resident = {"replica": 0, "front": 0}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._end.wait(2):
            for replica in self.replicas:
                self.verdicts["healthy" if replica.health[0] else "unhealthy"] += 1
                self.resident["replica"] = max(self.resident["replica"], replica.resident)
            self.resident["front"] = max(self.resident["front"], self.front.resident)
            with contextlib.suppress(OSError):
                front = harness.http("GET", self.front.health_url)[0] == 200
                self.verdicts["front healthy" if front else "front unhealthy"] += 1

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def attackers(options: argparse.Namespace, port: int, addresses: list[str]) -> list[Load]:
    seconds = options.seconds
    return [
        Load("slow connections", "slow", port, seconds, options.slow, addresses),
        Load("unsigned bodies", "unsigned", port, seconds, options.unsigned, addresses, b"", 16384),
        Load("forged signatures", "good", port, seconds, options.forged, addresses, b"x", 4096),
    ]


def round_of(
    options: argparse.Namespace,
    name: str,
    front: harness.Front,
    replicas: list[harness.Replica],
    addresses: list[str],
) -> dict[str, Any]:
    say(name)
    key = harness.WEBHOOK_KEYS["shop"][0]
    good = Load("good", "good", front.port, options.seconds, options.good, [OWN], key)
    loads = attackers(options, front.port, addresses) if addresses else []
    results: Any = multiprocessing.get_context("spawn").Queue()
    context = multiprocessing.get_context("spawn")
    with Watch(replicas, front) as watch:
        processes = [
            context.Process(target=work, args=(load, results))
            for load in [*loads, good]
            if load.rate
        ]
        for process in processes:
            process.start()
        found = dict(results.get(timeout=options.seconds + 90) for _ in processes)
        for process in processes:
            process.join()
    seconds = sorted(found["good"].seconds)
    return {
        "name": name,
        "calls": len(seconds),
        "p50_ms": statistics.median(seconds) * 1000,
        "p99_ms": seconds[int(len(seconds) * 0.99)] * 1000,
        "slowest_ms": seconds[-1] * 1000,
        "answers": {who: dict(result.answers) for who, result in found.items()},
        "health": dict(watch.verdicts),
        "resident_mib": {who: held / 2**20 for who, held in watch.resident.items()},
    }


def table(rounds: list[dict[str, Any]]) -> str:
    def counts(found: dict[str, int] | None) -> str:
        return ", ".join(f"{n} {what}" for what, n in sorted((found or {}).items())) or "none"

    shown: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("good calls", lambda r: str(r["calls"])),
        ("their answers", lambda r: counts(r["answers"]["good"])),
        ("ms until the answer, p50", lambda r: f"{r['p50_ms']:.0f}"),
        ("**p99**", lambda r: f"{r['p99_ms']:.0f}"),
        ("the slowest", lambda r: f"{r['slowest_ms']:.0f}"),
        ("slow connections", lambda r: counts(r["answers"].get("slow connections"))),
        ("unsigned bodies", lambda r: counts(r["answers"].get("unsigned bodies"))),
        ("forged signatures", lambda r: counts(r["answers"].get("forged signatures"))),
        ("looks at health", lambda r: counts(r["health"])),
        ("most memory of a replica, MiB", lambda r: f"{r['resident_mib']['replica']:.0f}"),
        ("most memory of the front, MiB", lambda r: f"{r['resident_mib']['front']:.0f}"),
    ]
    lines = ["| | " + " | ".join(r["name"] for r in rounds) + " |"]
    lines.append("|---|" + "---:|" * len(rounds))
    lines += [f"| {name} | " + " | ".join(show(r) for r in rounds) + " |" for name, show in shown]
    return "\n".join(lines)


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    rounds: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        code = harness.compiled(folder / "code")
        running = stack.enter_context(harness.servers(folder, fsync=True))
        bot = harness.Stack(folder / "stack", *running, code=code)
        stack.callback(bot.end)
        done = bot.run("migrate", role="primary", name="migrate")
        assert done.returncode == 0, done.stdout + done.stderr
        replicas = [bot.start_webhook(f"webhook-{n}") for n in range(1, REPLICAS + 1)]
        unlimited = dict.fromkeys(
            (
                "bot_front_address_connections",
                "bot_front_address_calls",
                "bot_front_address_refused",
            ),
            0,
        )
        plan: list[tuple[str, list[str], dict[str, Any]]] = [
            ("alone", [], {}),
            ("attackers elsewhere", OTHERS, {}),
            ("attackers at the same address, no limits", [OWN], unlimited),
        ]
        for name, addresses, settings in plan:
            with harness.Front(folder / f"front-{len(rounds)}", replicas, **settings) as front:
                rounds.append(round_of(options, name, front, replicas, addresses))
    return rounds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="where all of it is written")
    parser.add_argument("--seconds", type=float, default=60, help="of each round (60)")
    parser.add_argument("--good", type=float, default=200, help="good calls a second (200)")
    parser.add_argument("--slow", type=float, default=1000, help="slow connections (1000)")
    parser.add_argument("--unsigned", type=float, default=500, help="bodies a second (500)")
    parser.add_argument("--forged", type=float, default=0, help="the same with forged headers (0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aisha-bench-") as name:
        Path(name).chmod(0o711)
        rounds = measure(options, Path(name))
    haproxy = harness.program("apt-get install haproxy", "haproxy")
    version = subprocess.run([haproxy, "-v"], capture_output=True, text=True, check=True).stdout
    where = {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "linux": platform.release(),
        "python": platform.python_version(),
        "haproxy": version.split()[2],
    }
    settings = {k: v for k, v in vars(options).items() if k != "json"}
    options.json.write_text(json.dumps({"where": where, "options": settings, "rounds": rounds}))
    print(f"{where}\n\n{table(rounds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
