"""Bots of three frameworks hold one token in every form and fight for it; one run ends that.

The tests are one story, in the order of this file: each looks at what its chapter did.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from docker_hosts import MODULES_PYTHON, until
from polling_field import Field
from polling_forms import ALLOWED, FORMS, HOLDER, INNOCENTS, PROCESSES, STACK, Planted, Process
from polling_host import API_OF_HOST, HERE, Run

STOPPED_FORMS = [form for form in FORMS if form.role in ("suspect", "poller")]
SUSPECTS = [form for form in FORMS if form.role == "suspect"]


def options(field: Field, **more: Any) -> dict[str, Any]:
    return {
        "name": STACK,
        "token": field.bots.token,
        "holder": HOLDER.name,
        "allowed": ALLOWED,
        "bot_api_url": API_OF_HOST,
    } | more


def enforcing(field: Field, **more: Any) -> dict[str, Any]:
    # What does not see to SIGTERM is killed after a second, one after the other.
    patience = {"stop_timeout": 1, "healthy_timeout": 60, "confirm_window": 3}
    return options(field, **({"suspects": "stop"} | patience | more))


def secret_parts(field: Field) -> list[str]:
    """Every run of 8 characters of the secret."""
    secret = field.bots.token.split(":")[1]
    return [secret[n : n + 8] for n in range(len(secret) - 7)]


def assert_no_secret(field: Field, text: str, where: str) -> None:
    found = [part for part in secret_parts(field) if part in text]
    if found:
        position = text.index(found[0])
        start, end = max(0, position - 300), position + 300
        pytest.fail(f"{where} shows the token's secret:\n{text[start:end]}")


# The chapters


Looked = tuple[dict[str, Any], list[Run], dict[str, Any]]


@pytest.fixture(scope="module")
def looked(field: Field) -> Looked:
    """What changes nothing: a run that is refused, one in check mode, and a look."""
    stats = field.emulator.stats(field.bots.token)
    assert stats["max_open"] == 2, "nobody fights"
    assert stats["conflicts"]["C1"] > 0, "nobody fights"
    before = field.snapshot()
    refused, predicted = enforcing(field, suspects="fail"), enforcing(field, check=True)
    runs = field.host.run_modules(refused, predicted, options(field, observe=True))
    return before, runs, field.snapshot()


@pytest.fixture(scope="module")
def refused(looked: Looked) -> Run:
    return looked[1][0]


@pytest.fixture(scope="module")
def predicted(looked: Looked) -> Run:
    return looked[1][1]


@pytest.fixture(scope="module")
def observed(looked: Looked) -> dict[str, Any]:
    return looked[1][2].ok()


@contextlib.contextmanager
def sampled(field: Field) -> Iterator[dict[str, list[str]]]:
    """What processes there were meanwhile, and which of them showed the secret."""
    host = field.host
    show = [field.container(p.name).id for p in [*FORMS, *INNOCENTS]]
    wanted = {"backwards": [part[::-1] for part in secret_parts(field)], "containers": show}
    host.write({"/opt/sampler.json": json.dumps(wanted)}, 0o600)
    script = {f"/opt/{n}.py": (HERE / f"on_host/{n}.py").read_text() for n in ("sampler", "leaks")}
    host.write(dict(script))
    pid = host.spawn(["/usr/bin/python3", "/opt/sampler.py"])
    until(lambda: "ready" in host.run(["ls", "/run"]), "the sampler is ready")
    samples: dict[str, list[str]] = {}
    yield samples
    host.run(["kill", str(pid)])
    text = until(lambda: host.run(["cat", "/run/sampler.out"], check=False), "the samples")
    samples |= json.loads(text)


Enforced = tuple[dict[str, Any], Run, dict[str, Any], dict[str, list[str]]]


@pytest.fixture(scope="module")
def enforced(field: Field, looked: Looked) -> Enforced:
    before = field.snapshot()
    with sampled(field) as samples:
        run = field.host.run_module(**enforcing(field))
    return before, run, field.snapshot(), samples


@pytest.fixture(scope="module")
def again(field: Field, enforced: Any) -> tuple[dict[str, Any], Run, dict[str, Any]]:
    before = field.snapshot()
    run = field.host.run_module(**enforcing(field))
    return before, run, field.snapshot()


@pytest.fixture(scope="module")
def engine_restarted(field: Field, again: Any) -> None:
    field.host.restart_engine()
    field.wait_until_healthy()


@pytest.fixture(scope="module")
def rebooted(field: Field, engine_restarted: None) -> None:
    """Without a warning, as in a power cut."""
    field.host.crash()
    bots = field.bots
    field.emulator.register(bots.token, bots.other, bots.longer, bots.ending)
    field.wait_until_healthy()


# Found


def finding(observed: dict[str, Any], planted: Planted | Process, field: Field) -> dict[str, Any]:
    if isinstance(planted, Process):
        pid = field.processes[planted.name]
        found = [f for f in observed["findings"] if f.get("pid") == pid]
    else:
        found = [f for f in observed["findings"] if f.get("name") == planted.name]
    assert len(found) == 1, f"{planted.name} is {len(found)} times in {observed['findings']}"
    return dict(found[0])


@pytest.mark.parametrize("form", [HOLDER, *FORMS], ids=lambda form: form.name)
def test_a_container_is_found(form: Planted, observed: dict[str, Any], field: Field) -> None:
    found = finding(observed, form, field)
    assert found["kind"] == "container"
    assert found["id"] == field.container(form.name).id
    assert found["role"] == form.role
    assert (found["where"], found["field"]) == (form.where, form.field)
    assert found["same_token"] is form.same_token
    assert found["restart_policy"] == form.policy["Name"]
    # It comes up for a moment now and then.
    assert found["state"] in {form.state, "running" if form.state == "restarting" else form.state}
    assert set(form.also) <= {(place["where"], place["field"]) for place in found["also"]}


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_process_is_found(process: Process, observed: dict[str, Any], field: Field) -> None:
    found = finding(observed, process, field)
    assert found["kind"] == "process"
    assert found["role"] == "suspect"
    assert (found["where"], found["field"]) == (process.where, process.field)
    assert found["same_token"] is True


@pytest.mark.parametrize("innocent", INNOCENTS, ids=lambda form: form.name)
def test_an_innocent_is_no_suspect(
    innocent: Planted, observed: dict[str, Any], field: Field
) -> None:
    names = [f.get("name") for f in observed["findings"]]
    if innocent.role is None:
        assert innocent.name not in names
        return
    found = finding(observed, innocent, field)
    assert (found["role"], found["state"]) == (innocent.role, innocent.state)
    assert found["restart_policy"] == innocent.policy["Name"]
    assert innocent.name not in [suspect["name"] for suspect in observed["suspects"]]


def test_nothing_else_is_found(observed: dict[str, Any], field: Field) -> None:
    expected = {p.name for p in [HOLDER, *FORMS, *INNOCENTS] if p.role}
    expected |= {str(pid) for pid in field.processes.values()}
    found = [f["name"] if f["kind"] == "container" else str(f["pid"]) for f in observed["findings"]]
    assert sorted(found) == sorted(expected)


# Refused


def test_a_run_that_may_stop_no_suspect_names_each(refused: Run, field: Field) -> None:
    run = refused
    assert run.failed
    for form in SUSPECTS:
        assert form.name in run.msg
    for pid in field.processes.values():
        assert str(pid) in run.msg
    for word in ("allowed", "suspects"):
        assert word in run.msg, f"it does not say what to do: {run.msg}"
    for innocent in INNOCENTS:
        assert f" {innocent.name} " not in run.msg
    assert not run.result.get("changed")


# Predicted


def test_neither_a_refused_run_nor_check_mode_changes_anything(
    looked: Looked, predicted: Run
) -> None:
    before, _, after = looked
    assert predicted.ok()["changed"]
    assert after == before


def test_check_mode_predicts_what_the_run_does(predicted: Run, enforced: Enforced) -> None:
    said, did = (
        [
            {key: entry.get(key) for key in ("kind", "id", "pid", "name", "new_name")}
            for entry in run
        ]
        for run in (predicted.ok()["stopped"], enforced[1].ok()["stopped"])
    )
    assert len(said) == len(STOPPED_FORMS) + len(PROCESSES)
    assert sorted(said, key=str) == sorted(did, key=str)


# Enforced


def test_one_polls(enforced: Enforced, field: Field) -> None:
    assert enforced[1].ok()["changed"]
    field.assert_only_one_polls()


@pytest.mark.parametrize("form", STOPPED_FORMS, ids=lambda form: form.name)
def test_what_polled_is_stopped_and_put_aside(
    form: Planted, enforced: Enforced, field: Field
) -> None:
    before, _, after, _ = enforced
    identity = before[form.name]["Id"]
    name = f"{form.name}.disabled-{identity[:12]}"
    assert form.name not in after
    assert after[name]["Id"] == identity
    assert after[name]["State"]["Status"] in ("exited", "created")
    assert after[name]["HostConfig"]["RestartPolicy"]["Name"] == "no"
    # Nothing else of it has changed: an operator can take it up again.
    assert after[name]["Config"] == before[form.name]["Config"]
    assert after[name]["Mounts"] == before[form.name]["Mounts"]


def test_processes_that_polled_have_ended(enforced: Enforced) -> None:
    before, _, after, _ = enforced
    assert len(before["processes"]) == len(PROCESSES)
    assert after["processes"] == []


@pytest.mark.parametrize("innocent", INNOCENTS, ids=lambda form: form.name)
def test_the_innocent_are_not_touched(innocent: Planted, enforced: Enforced) -> None:
    before, _, after, _ = enforced
    assert after[innocent.name] == before[innocent.name]


def test_the_holder_is_the_same_container(enforced: Enforced) -> None:
    """The fight may have made it unhealthy; then it was started anew, and no more."""
    before, _, after, _ = enforced
    for key in ("Id", "Config", "Mounts", "HostConfig"):
        assert after[HOLDER.name][key] == before[HOLDER.name][key]
    assert after[HOLDER.name]["State"]["Status"] == "running"


def test_other_bots_went_on(enforced: Enforced, field: Field) -> None:
    for name in ("other", "longer", "ending"):
        token = getattr(field.bots, name)
        stats = field.emulator.stats(token)
        assert not any(stats["conflicts"].values())
        assert len(stats["pollers"]) == 1
        polls = stats["polls"]
        until(lambda: field.emulator.stats(token)["polls"] > polls, f"{name} polls")  # noqa: B023


def test_a_second_run_changes_nothing(again: Any, field: Field) -> None:
    before, run, after = again
    assert run.ok()["changed"] is False
    assert run.ok()["stopped"] == []
    assert after == before


# For good


def still_one(field: Field) -> None:
    alive = {p.name for p in [HOLDER, *INNOCENTS] if p.state == "running"}
    assert field.running() == alive
    field.assert_only_one_polls()


def test_one_polls_after_a_restart_of_the_engine(engine_restarted: None, field: Field) -> None:
    still_one(field)


def test_one_polls_after_a_reboot(rebooted: None, field: Field) -> None:
    still_one(field)


# Not a byte of the secret


def test_no_run_shows_the_secret(rebooted: None, field: Field) -> None:
    assert len(field.host.runs) >= 5
    for number, run in enumerate(field.host.runs):
        assert_no_secret(field, run.output, f"the output of run {number}")
        assert_no_secret(field, json.dumps(run.result), f"the result of run {number}")
    # A scan of nothing would find nothing.
    assert any(HOLDER.name in run.output for run in field.host.runs)


def test_no_process_shows_the_secret(enforced: Enforced) -> None:
    samples = enforced[3]
    assert any(MODULES_PYTHON in text for text in samples["seen"]), "the module was not seen"
    assert samples["leaks"] == []


def test_no_log_and_no_file_shows_the_secret(rebooted: None, field: Field) -> None:
    host = field.host
    syslog = host.run(["cat", "/var/log/syslog"])
    assert "polling_singleton" in syslog, "nothing of the module is in the system's log"
    assert_no_secret(field, syslog, "the system's log")
    assert_no_secret(field, host.log(), "the engine's log")
    assert_no_secret(field, field.logs(HOLDER.name), "the holder's log")
    assert host.run(["/usr/bin/python3", "/opt/leaks.py"]).split() == []


def test_no_description_shows_the_secret(rebooted: None, field: Field) -> None:
    holder = field.container(HOLDER.name)
    assert_no_secret(field, json.dumps(holder.attrs), "docker inspect of the holder")
    assert_no_secret(field, json.dumps(field.names()), "a container's name")
