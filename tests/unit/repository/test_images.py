"""Every image follows the rules that let any engine from 20.10 on build and harden it."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.aisha.bot_stack.plugins.filter.host_look import packages_for


def instructions(dockerfile: Path) -> list[str]:
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def final_image(dockerfile: Path) -> list[str]:
    """The instructions of the last stage, and of those that it starts from by name."""
    stages: dict[str, list[str]] = {}
    last: list[str] = []
    for line in instructions(dockerfile):
        start = re.match(r"FROM (\S+)(?: AS (\S+))?$", line, re.IGNORECASE)
        if start:
            last = [*stages.get(start[1], [])]
            stages[start[2] or ""] = last
        else:
            last.append(line)
    return last


# Not services: the base of all others, a machine for tests, and programs that end.
NO_SERVICE = {"base", "docker_host", "volumes"}


def test_it_starts_from_the_base_image_that_the_role_makes(dockerfile: Path) -> None:
    first, second = instructions(dockerfile)[:2]
    if dockerfile.parent.name == "base":
        assert first == "FROM scratch"
        return
    assert first == "ARG BASE_IMAGE=aisha/base:latest"
    assert second.startswith("FROM ${BASE_IMAGE}")


def test_the_classic_builder_can_build_it(dockerfile: Path) -> None:
    for line in instructions(dockerfile):
        assert not re.match(r"(RUN --|(COPY|ADD) .*--(chmod|link|parents|exclude)\b)", line), line
        assert not re.match(r"(RUN|COPY) .*<<-?['\"]?\w", line), f"a heredoc: {line}"
    assert not re.match(r"#\s*(syntax|check)\s*=", dockerfile.read_text())


def test_a_service_has_a_health_check_and_a_numeric_user(dockerfile: Path) -> None:
    if dockerfile.parent.name in NO_SERVICE:
        return
    final = final_image(dockerfile)
    users = [line.split()[1] for line in final if line.startswith("USER ")]
    assert users, "no USER"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), f"USER {users[-1]} is not numeric"
    assert any(line.startswith("HEALTHCHECK ") for line in final), "no HEALTHCHECK"


def test_the_build_hosts_authority_stays_in_the_build(dockerfile: Path) -> None:
    if dockerfile.parent.name not in NO_SERVICE:
        assert not [line for line in final_image(dockerfile) if "build-ca.crt" in line]


def test_python_packages_are_pinned(dockerfile: Path) -> None:
    requirements = dockerfile.parent / "requirements.txt"
    if requirements.exists():
        lines = [line.split("#")[0].strip() for line in requirements.read_text().splitlines()]
        names = [line for line in lines if line and not line.startswith("--")]
        assert names
        assert not [line for line in names if "==" not in line]


def test_the_test_hosts_have_the_modules_libraries_of_the_role(root: Path) -> None:
    ready = (root / "images/docker_host/requirements.txt").read_text().splitlines()
    assert ready == packages_for("3.13.5")


def test_the_newest_pythons_get_the_versions_that_are_tested(root: Path) -> None:
    pinned = (root / "requirements.txt").read_text().splitlines()
    for package in packages_for("3.14.0"):
        assert package.replace("[binary]", "") in pinned
