"""What to do about volumes, after each answer; no engine runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import volumes

IMAGE = "example.com/volumes@sha256:" + "0" * 64
DESCRIPTION = {
    "name": "aisha-worker-1",
    "image": "example.com/bot",
    "user": "10001:10001",
    "cap_add": ["NET_BIND_SERVICE"],
    "mounts": [
        {"type": "volume", "source": "a-temp", "target": "/app/temp"},
        {"type": "volume", "source": "a-logs", "target": "/app/logs", "read_only": False},
        {"type": "volume", "source": "a-models", "target": "/models", "read_only": True},
        {"type": "volume", "target": "/anonymous"},
        {"type": "bind", "source": "/srv", "target": "/srv"},
        {"type": "bind", "source": "/etc/aisha", "target": "/run/secrets", "read_only": True},
    ],
}


def said(**answer: Any) -> dict[str, Any]:
    return {"status": 0, "output": json.dumps(answer) + "\n", "errors": ""}


GOOD = said(broken=[], unwritable=[])
LOGS = {"path": "/app/logs", "sentence": "logs is root's"}
CLOSED = said(broken=[], unwritable=[LOGS])
FULL = said(broken=["temp is full"], unwritable=[])
FULL_AND_CLOSED = said(broken=["temp is full"], unwritable=[LOGS])
GIVEN = said(given=["a-logs, 1 of whose"], failed=[])
FAILED = said(given=["a-logs, 1 of whose"], failed=["it can't be given"])
DEAD = {"status": None, "output": "", "errors": "", "error": "no such image"}


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ([], {"next": "probe"}),
        ([GOOD], {}),
        ([FULL], {"broken": ["temp is full"]}),
        ([FULL_AND_CLOSED], {"broken": ["temp is full", "logs is root's"]}),
        ([CLOSED], {"next": "give", "paths": ["/app/logs"], "unwritable": ["logs is root's"]}),
        ([CLOSED, GIVEN], {"next": "probe", "given": ["a-logs, 1 of whose"]}),
        ([CLOSED, FAILED], {"given": ["a-logs, 1 of whose"], "broken": ["it can't be given"]}),
        ([CLOSED, GIVEN, GOOD], {"given": ["a-logs, 1 of whose"]}),
        ([CLOSED, GIVEN, FULL], {"given": ["a-logs, 1 of whose"], "broken": ["temp is full"]}),
        (
            [CLOSED, GIVEN, CLOSED],
            {
                "given": ["a-logs, 1 of whose"],
                "broken": [
                    "logs is root's, though it was given to 10001:10001; look for access control"
                    " lists, SELinux or AppArmor on this host"
                ],
            },
        ),
        *(
            (
                [*before, DEAD],
                {
                    "broken": [
                        "the image that sees to the volumes of aisha-worker-1 can't run (no such"
                        " image): repair it; the engine's log may say more"
                    ]
                },
            )
            for before in ([], [CLOSED], [CLOSED, GIVEN])
        ),
    ],
)
def test_what_comes_next(ended: list[Any], expected: dict[str, Any]) -> None:
    nothing = {"next": "", "paths": [], "unwritable": [], "given": [], "broken": []}
    assert volumes.judge(DESCRIPTION, ended) == nothing | expected


def test_nothing_runs_without_a_volume_that_is_written() -> None:
    for mounts in (None, DESCRIPTION["mounts"][2:]):
        assert volumes.judge(DESCRIPTION | {"mounts": mounts}, [])["next"] == ""


@pytest.mark.parametrize(
    ("user", "number"),
    [
        ("10001:10002", "10001:10002"),
        ("10001", "10001:0"),
        (10001, "10001:0"),
        ("", "0:0"),
        (None, "0:0"),
        ("0:0", "0:0"),
        ("postgres", None),
        ("999:postgres", None),
    ],
)
def test_the_user_is_a_number_or_refused(user: Any, number: str | None) -> None:
    assert volumes.numeric(user) == number
    told = volumes.judge(DESCRIPTION | {"user": user}, [])
    assert told["next"] == ("probe" if number else "")
    if not number:
        (sentence,) = told["broken"]
        assert f"the user of aisha-worker-1 is {user}, a name" in sentence


def test_they_are_run_one_after_the_other_as_the_right_user() -> None:
    answers = iter([CLOSED, GIVEN, GOOD])
    ran: list[dict[str, Any]] = []

    def run(description: dict[str, Any]) -> dict[str, Any]:
        ran.append(description)
        return next(answers)

    found = volumes.see_to(DESCRIPTION, IMAGE, run)
    assert found == {"given": ["a-logs, 1 of whose"], "broken": []}
    assert (
        volumes.sentence(DESCRIPTION, found["given"]) == "given to 10001:10001: a-logs, 1 of whose."
    )
    probe, gift, again = ran
    assert probe == again
    assert probe["command"] == ["probe", "a-temp=/app/temp", "a-logs=/app/logs"]
    assert probe["user"] == "10001:10001"
    assert probe["cap_add"] == ["NET_BIND_SERVICE"], "not what the container itself may do"
    assert [mount["target"] for mount in probe["mounts"]] == [
        "/volumes/app/temp",
        "/volumes/app/logs",
    ]
    assert gift["command"] == ["give", "10001:10001", "a-logs=/app/logs"]
    assert (gift["user"], gift["cap_add"]) == ("0:0", ["CHOWN", "FOWNER", "DAC_OVERRIDE"])
    assert [mount["source"] for mount in gift["mounts"]] == ["a-logs"]
    assert {tuple(each["networks"]) for each in ran} == {("none",)}
    assert DESCRIPTION["mounts"][0]["target"] == "/app/temp", "the description was changed"  # type: ignore[index]
