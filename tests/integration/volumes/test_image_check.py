# ruff: noqa: E501  (sentences as they are said)
"""The role's preflight.py in images that break the contract, each in its own way."""

from __future__ import annotations

import os
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter.tasks import image_problems
from volume_runner import ROOT, Runner, base_image

NONCE = token_hex(12)
TOKEN = f"7000000009:{token_hex(18)}"
WORKER = "app.workers.background_worker"
GOOD = "class BackgroundWorker: pass"


@pytest.fixture(scope="session")
def python_image(runner: Runner) -> str:
    """What a bot's image has at least: Python as `python`, and its standard library."""
    # The first line is that of images/bot, letter by letter: this layer is there already.
    return runner.build(
        "python",
        "RUN apt-get update && apt-get install -y --no-install-recommends python3"
        " && rm -rf /var/lib/apt/lists/*\n"
        "RUN ln -s python3 /usr/bin/python && mkdir -p /app/app/workers"
        f" && echo 'import os; exec(os.environ[\"CODE\"])' > /app/{WORKER.replace('.', '/')}.py\n"
        "WORKDIR /app",
        base_image(),
    )


@pytest.fixture(scope="session")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "bot_token"
    path.write_text(TOKEN)
    path.chmod(0o644)
    return path


def check(
    runner: Runner, image: str, token_file: Path, code: str, seconds: int = 20, **more: Any
) -> list[str]:
    """What is said of an image whose worker's module does this; there is no Bot API."""
    outcome = runner.run(
        {
            "name": f"{runner.prefix}-preflight",
            "image": image,
            "entrypoint": ["python"],
            "command": [
                "-c",
                (ROOT / "roles/bot/files/preflight.py").read_text(),
                NONCE,
                str(seconds),
            ],
            "user": "10001:10001",
            "env": {"BOT_TOKEN_FILE": "/run/bot_token", "BOT_API_URL": "http://127.0.0.1:1", "CODE": code},
            "mounts": [
                {"type": "bind", "source": str(token_file), "target": "/run/bot_token", "read_only": True}
            ],
            "tmpfs": ["/app/logs:size=1m,mode=0755,uid=10001,gid=10001"],
            "memory": "64m",
        }
        | more
    )  # fmt: skip
    said = image_problems([outcome], NONCE, "64m", "bot_worker_memory")
    assert TOKEN.split(":")[1] not in str(said)
    return [sentence.replace(image, "IT") for sentence in said]


NO_API = "the Bot API at http://127.0.0.1:1 (bot_api_url) can't be reached: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (GOOD, ""),
        # A log file at import, as many bots have it.
        (f"open('/app/logs/app.log', 'w')\n{GOOD}", ""),
        (f"print('{{\"image\": [\"fake\"], \"token\": []}}', end='')\n{GOOD}", ""),
        ("raise RuntimeError('no settings\\nat all')", f"{WORKER} can't be imported: RuntimeError: no settings"),
        ("open('/not/there')", f"{WORKER} can't be imported: FileNotFoundError: [Errno 2] No such file or directory: '/not/there'"),
        ("import missing", f"{WORKER} can't be imported: ModuleNotFoundError: No module named 'missing'"),
        ("import sys; sys.exit(3)", f"{WORKER} can't be imported: SystemExit: 3"),
        ("def f(:", f"{WORKER} can't be imported: SyntaxError: invalid syntax (<string>, line 1)"),
        ("import os; raise ValueError(open(os.environ['BOT_TOKEN_FILE']).read())", f"{WORKER} can't be imported: ValueError: ***"),
        ("print('{\"broken\": []}')", f"{WORKER} has no class BackgroundWorker"),
        ("import os; os._exit(0)", f"importing {WORKER} ends the process, with status 0"),
        ("import os; os._exit(7)", f"importing {WORKER} ends the process, with status 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", f"importing {WORKER} was ended by SIGSEGV"),
        ("x = bytearray(300 << 20)", f"importing {WORKER} was killed, for want of memory: bot_worker_memory is not enough for this image"),
    ],
)  # fmt: skip
def test_a_sentence_says_just_that(
    runner: Runner, python_image: str, token_file: Path, code: str, sentence: str
) -> None:
    said = check(runner, python_image, token_file, code)
    assert said == ([f"the image IT: {sentence}"] if sentence else []) + [NO_API]


def test_an_import_that_never_ends_is_ended(
    runner: Runner, python_image: str, token_file: Path
) -> None:
    begun = time.monotonic()
    said = check(runner, python_image, token_file, "import time; time.sleep(600)", seconds=2)
    assert said[0] == f"the image IT: {WORKER} is not imported after 2 seconds"
    assert time.monotonic() - begun < 60


def test_an_image_without_python_is_said(
    runner: Runner, python_image: str, token_file: Path
) -> None:
    said = check(runner, python_image, token_file, "", entrypoint=["python4"])
    assert said == ["the image IT has no program python4, which is asked of it"]


def test_an_image_for_another_processor_is_said(
    runner: Runner, python_image: str, token_file: Path
) -> None:
    """The head of a program of another kind of machine is enough for the kernel to refuse it."""
    machine = r"\267" if os.uname().machine == "x86_64" else r"\076"
    head = rf"\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000{machine}\000\001\000\000\000"
    foreign = runner.build(
        "foreign",
        f"RUN rm /usr/bin/python && (printf '{head}'; head -c 4096 /dev/zero) > /usr/bin/python"
        " && chmod 0755 /usr/bin/python",
        python_image,
    )
    (sentence,) = check(runner, foreign, token_file, "")
    assert sentence.startswith("the image IT is not made for this host's processor (")
