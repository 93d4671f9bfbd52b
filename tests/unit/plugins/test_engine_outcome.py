# ruff: noqa: E501  (the words of engines, as they are)
"""What the outcome of a container that does one thing means. The engine's words are real ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import tasks
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine.outcome import answer, problem

SUBJECT = "the image example.com/bot"
START = (
    '400 Client Error for http+docker://localhost/v1.41/containers/7a22/start: Bad Request ("%s")'
)
CREATE = "Error creating container: " + START.replace("400", "500").replace("start", "create")
RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
MOUNT = "error while mounting volume '/var/lib/docker/volumes/a-temp/_data': failed to mount local volume: "
VOLUMES = [
    {"source": "a-audio", "target": "/app/storage/audio"},
    {"source": "a-temp", "target": "/app/storage/temp"},
]
TRACEBACK = """\
starting
Traceback (most recent call last):
  File "/app/x.py", line 3, in <module>
    raise KeyError
KeyError: 'A'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/x.py", line 5, in <module>
    raise RuntimeError("no settings\\nat all")
RuntimeError: no settings
at all
"""


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (
            {"status": 1, "errors": "exec /usr/bin/python: exec format error\n"},
            "is made for amd64, and this host is arm64: name an image for arm64",
        ),
        (
            {"status": 1, "output": "standard_init_linux.go:228: exec user process caused: exec format error\n"},
            "is made for amd64, and this host is arm64: name an image for arm64",
        ),
        (
            {"error": START % (RUNC + "exec /usr/bin/python: exec format error: unknown")},
            "is made for amd64, and this host is arm64: name an image for arm64",
        ),
        (
            {
                "error": CREATE % "no matching manifest for linux/arm64/v8 in the manifest list entries",
                "image_architecture": "",
            },
            "is not made for this host's processor (arm64): name an image that is",
        ),
        (
            {"status": 1, "errors": "exec /x: exec format error", "image_architecture": "arm64"},
            "is not made for this host's processor (arm64): name an image that is",
        ),
        ({"status": 137, "oom_killed": True}, "was killed, for want of memory: its limit of 64m is not enough; raise bot_worker_memory"),
        ({"status": 137}, "was killed, for want of memory: its limit of 64m is not enough; raise bot_worker_memory"),
        ({"status": 1, "oom_killed": True}, "was killed, for want of memory: its limit of 64m is not enough; raise bot_worker_memory"),
        ({"status": 139}, "was ended by SIGSEGV, and said nothing"),
        ({"status": 199}, "was ended by signal 71, and said nothing"),
        ({"status": 1, "output": TRACEBACK}, "ended with status 1: RuntimeError: no settings"),
        ({"status": 1, "errors": TRACEBACK, "output": "x"}, "ended with status 1: RuntimeError: no settings"),
        ({"status": 2, "output": "usage: x\nno such option\n\n"}, "ended with status 2: no such option"),
        ({"status": 0, "output": '{"level": "info"}\n'}, 'ended before it had answered: {"level": "info"}'),
        ({"status": 0}, "ended before it had answered, and said nothing"),
        (
            {"error": START % (RUNC + 'exec: "python": executable file not found in $PATH: unknown')},
            "has no program python, which is asked of it",
        ),
        (
            {"error": START % (RUNC + 'exec: \\"python\\": executable file not found in $PATH: unknown')},
            "has no program python, which is asked of it",
        ),
        (
            {"error": START % (RUNC + 'exec: "/py": stat /py: no such file or directory: unknown')},
            "has no program /py, which is asked of it",
        ),
        (
            {"error": START % (RUNC + 'exec: "/py": permission denied: unknown')},
            "has /py, but its user may not run it",
        ),
        (
            {"error": CREATE % "Minimum memory limit allowed is 6MB"},
            "can't run (Minimum memory limit allowed is 6MB): repair it; the engine's log may say more",
        ),
        ({"error": "Read timed out."}, "can't run (Read timed out): repair it; the engine's log may say more"),
        ({}, "can't run (the engine gave no reason): repair it; the engine's log may say more"),
        (
            {"error": CREATE % "mkdir /var/lib/docker/overlay2/1-init: no space left on device"},
            "can't run (mkdir /var/lib/docker/overlay2/1-init: no space left on device): free space there;"
            " playbooks/cleanup.yml removes old images of this stack and no volume",
        ),
    ],
)  # fmt: skip
def test_it_is_one_sentence_about_the_image(outcome: dict[str, Any], sentence: str) -> None:
    found = {"status": None, "architecture": "aarch64", "image_architecture": "amd64"} | outcome
    said = problem(found, SUBJECT, VOLUMES, "64m", "bot_worker_memory")
    assert said == f"{SUBJECT} {sentence}"


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (MOUNT + "mount /x: no such file or directory", "repair it"),
        (MOUNT + "mount :/x, data: addr=10.0.0.1: connection timed out", "repair it"),
        ("failed to chmod on /var/lib/docker/volumes/a-temp/_data: read-only file system", "make it writable"),
        ("failed to mkdir /var/lib/docker/volumes/a-temp/_data/x: mkdir x: no space left on device", "free space there"),
        ("failed to mkdir /var/lib/docker/volumes/a-temp/_data/x: mkdir x: disk quota exceeded", "free space there"),
    ],
)  # fmt: skip
def test_it_is_one_sentence_about_the_volume(words: str, action: str) -> None:
    said = problem({"status": None, "error": START % words}, SUBJECT, VOLUMES)
    assert said.startswith(
        f"the volume a-temp (/app/storage/temp) can't be used ({words}): {action}"
    )
    other = problem({"status": None, "error": START % words}, SUBJECT)
    assert other.startswith(f"the volume a-temp can't be used ({words}): {action}")


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ('n1{"a": 1}\n', {"a": 1}),
        ('{"a": 2}\nno newline n1{"a": 1}\nlater\n{"a": 3}\n', {"a": 1}),
        ('{"a": 1}\n', None),
        ("n1 {\n", None),
        ("n1[1]\n", None),
        ('n1{"a"\n', None),
        ("", None),
    ],
)
def test_the_answer_is_what_is_behind_the_nonce(output: str, found: Any) -> None:
    outcome = {"status": 0, "output": output}
    assert answer(outcome, "n1") == found


def test_without_a_nonce_it_is_the_last_line_that_is_an_object() -> None:
    assert answer({"output": '{"a": 1}\n{"a": 2}\nx\n'}) == {"a": 2}
    assert answer({"output": None}) is None


MIGRATE = "the command migrate of the image example.com/bot"


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ({"status": 0, "output": '{"event": "the schema is up to date"}'}, ""),
        (
            {"status": 69, "output": '{"event": "waiting"}\n{"level": "critical", "event": "no database", "error": "refused"}\n'},
            f"{MIGRATE} ended with status 69: no database: refused",
        ),
        (
            {"status": 1, "output": json.dumps({"level": "critical", "event": "uncaught", "exception": TRACEBACK})},
            f"{MIGRATE} ended with status 1: uncaught: RuntimeError: no settings",
        ),
        (
            {"status": 1, "output": '{"level": "info", "event": "starting"}\n', "errors": TRACEBACK},
            f"{MIGRATE} ended with status 1: RuntimeError: no settings",
        ),
        ({"status": 2, "errors": "DATABASE_URL_FILE is not set.\n"}, f"{MIGRATE} ended with status 2: DATABASE_URL_FILE is not set."),
        ({"status": 137, "oom_killed": True}, f"{MIGRATE} was killed, for want of memory: its limit of 64m is not enough; raise bot_worker_memory"),
        ({"error": "it was not done after 600 s"}, f"{MIGRATE}: it was not done after 600 s"),
    ],
)  # fmt: skip
def test_a_failed_migration_is_one_sentence(outcome: dict[str, Any], sentence: str) -> None:
    found = {"status": None, "image": "example.com/bot", "output": "", "errors": ""} | outcome
    assert tasks.migration_problem(found, "64m", "bot_worker_memory") == sentence


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("INFO  [alembic.runtime.migration] Running upgrade  -> 0001, x\n", True),
        ('{"event": "the schema is up to date", "changed": true}\n', True),
        ('{"event": "the schema is up to date", "changed": false}\n', False),
        ("", False),
    ],
)
def test_a_migration_says_whether_it_changed_anything(said: str, changed: bool) -> None:
    for outcome in ({"output": said, "errors": ""}, {"output": "", "errors": said}):
        assert tasks.migration_changed(outcome) is changed


def test_what_is_wrong_with_a_token_is_said_once_and_with_an_image_for_each() -> None:
    said = 'n{"image": ["it is bad"], "token": ["the token is old"]}\n'
    ended = [
        {"image": "one", "status": 0, "output": said},
        {"image": "two", "status": 0, "output": said},
        {"image": "three", "status": 137, "output": ""},
        {"image": "four", "status": 0, "output": 'n{"image": [], "token": []}'},
    ]
    assert tasks.image_problems(ended, "n", "64m", "bot_worker_memory") == [
        "the image one: it is bad",
        "the token is old",
        "the image two: it is bad",
        "the image three was killed, for want of memory: its limit of 64m is not enough; raise bot_worker_memory",
    ]


def test_what_services_say_is_passed_on_and_silence_is_a_problem() -> None:
    silent = "PostgreSQL at db1 can't be reached"
    assert tasks.service_problems({"status": 0, "output": f'n{{"silent": ["{silent}"]}}'}, "n") == [
        silent
    ]
    assert tasks.service_problems({"status": 0, "output": 'n{"silent": []}'}, "n") == []
    (sentence,) = tasks.service_problems({"status": 3, "output": '{"silent": []}'}, "n")
    subject = "the check of database, Redis and object storage"
    assert sentence.startswith(f"{subject} ended with status 3")
