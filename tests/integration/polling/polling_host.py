"""The Docker host, with the Bot API emulator and a system log, and runs of the module on it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker_hosts import API_PORT, Emulator, Machine, Scenario, emulator_files, until

HERE = Path(__file__).resolve().parent
# Of another name where a second checkout tests on the same machine.
NAME = f"aisha-{os.environ.get('TEST_NAME', 'test')}-polling"
API_OF_HOST = f"http://127.0.0.1:{API_PORT}"
PYTHON = "/opt/venv/bin/python3"


@dataclass
class Run:
    """One run of the module."""

    result: dict[str, Any]
    output: str

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def msg(self) -> str:
        return str(self.result.get("msg", ""))

    def ok(self) -> dict[str, Any]:
        assert not self.failed, f"the module failed: {self.msg}\n{self.output[-6000:]}"
        return self.result


class Host(Machine):
    """The host."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NAME, folder)
        self.runs: list[Run] = []
        self.scenario = Scenario(NAME.removeprefix("aisha-"), folder, {"polling": NAME})
        self._lock = threading.Lock()

    # Life

    def make(self) -> None:
        self.scenario.make()
        self.image = self.scenario.bots
        self.came_up()

    def came_up(self) -> None:
        """Start the emulator in it as well, and what listens to its log."""
        super().came_up()
        self.write(emulator_files())
        self.write({"/opt/system_log.py": (HERE / "on_host/system_log.py").read_text()})
        listen = ["--host", "0.0.0.0", "--port", str(API_PORT)]
        # Outside the engine it sees each container's own address, and outlives the engine.
        self.spawn([PYTHON, "-m", "bot_api_emulator", *listen], workdir="/opt/emulator")
        self.spawn(["/usr/bin/python3", "/opt/system_log.py"])
        self.emulator = Emulator(f"http://{self.address}:{API_PORT}")
        until(self.emulator.answers, "the emulator answers")

    def restart_engine(self) -> None:
        """The engine alone, as `systemctl restart docker`: the host's process 1 starts it again."""
        before = self.pid_of_engine()
        self.run(["pkill", "-TERM", "-x", "dockerd"])
        until(lambda: self.pid_of_engine() not in ("", before), "a new engine")
        self.connect()

    def pid_of_engine(self) -> str:
        return self.run(["pgrep", "-x", "dockerd"], check=False).strip()

    def spawn(
        self, argv: list[str], *, environment: dict[str, str] | None = None, workdir: str = "/"
    ) -> int:
        """Start a process outside Docker; its process id on the host."""
        note = f"/run/spawned-{next(self._numbers)}"
        script = f'echo $$ > {note}.new; mv {note}.new {note}; exec "$@" > {note}.log 2>&1'
        self.container.exec_run(
            ["/bin/sh", "-c", script, "sh", *argv],
            environment=environment,
            workdir=workdir,
            detach=True,
        )

        def pid() -> str:
            text = self.run(["cat", note], check=False).strip()
            return text if text.isdigit() else ""

        return int(until(pid, f"{argv} runs"))

    # The module

    def run_module(self, **call: Any) -> Run:
        """Run polling_singleton or its _info, with -vvv --diff; the token is in a private file.

        call: the module's options. Besides: observe (its _info), check, run_as (a user).
        """
        return self.run_modules(call)[0]

    def run_modules(self, *calls: dict[str, Any]) -> list[Run]:
        """Several calls in a row, by one playbook; those of _info come last."""
        with self._lock:
            number = next(self._numbers)
        variables = self.folder / f"options-{number}.json"
        result = self.folder / f"result-{number}.json"
        variables.touch(mode=0o600)
        described = []
        for call in calls:
            how = {"observe": False, "check": False, "run_as": "root"}
            how |= {key: call[key] for key in how if key in call}
            options = {key: value for key, value in call.items() if key not in how}
            described.append({"options": options} | how)
        variables.write_text(json.dumps({"calls": described, "result_file": str(result)}))
        done = self.scenario.ansible(str(HERE / "run.yml"), "-vvv", "--diff", "-e", f"@{variables}")
        output = done.stdout + done.stderr
        assert result.exists(), f"the playbook broke off:\n{output[-6000:]}"
        results = [each for each in json.loads(result.read_text()) if not each.get("skipped")]
        assert len(results) == len(calls), output[-6000:]
        runs = [Run(each, output) for each in results]
        self.runs += runs
        return runs


@contextlib.contextmanager
def made_host(folder: Path) -> Iterator[Host]:
    host = Host(folder)
    try:
        host.make()
        yield host
    finally:
        host.scenario.destroy()
