"""Every role keeps the anatomy that docs/style and the other roles promise."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


@functools.cache
def options(role: Path) -> dict[str, dict[str, Any]]:
    specs: dict[str, Any] = load(role / "meta/argument_specs.yml")["argument_specs"]
    return dict(specs["main"]["options"])


def test_the_specs_and_the_defaults_agree(role: Path) -> None:
    defaults = load(role / "defaults/main.yml") or {}
    specs = options(role)
    assert set(defaults) <= set(specs), "in defaults/main.yml, but not in argument_specs.yml"
    for name, spec in specs.items():
        if "default" in spec:
            assert name in defaults, f"{name} has a default in argument_specs.yml only"
            assert defaults[name] == spec["default"], f"{name} has two different defaults"
        else:
            assert name not in defaults, f"{name} has a default in defaults/main.yml only"
            said = "required" in str(spec["description"]).lower()
            assert spec.get("required") or said, (
                f"{name} has no default: set required: true, or say in its description when it is"
                " required"
            )


def test_every_option_is_typed_and_described(role: Path) -> None:
    def walk(specs: dict[str, dict[str, Any]], where: str) -> None:
        for name, spec in specs.items():
            assert spec.get("type"), f"{where}{name} has no type"
            assert spec.get("description"), f"{where}{name} has no description"
            if spec["type"] == "list":
                assert spec.get("elements"), f"{where}{name} is a list without elements"
            walk(spec.get("options", {}), f"{where}{name}.")

    walk(options(role), "")


def test_public_variables_have_the_prefix_of_the_role(role: Path) -> None:
    assert not [name for name in options(role) if not name.startswith(f"{role.name}_")]
    internal = load(role / "vars/main.yml") or {}
    assert not [name for name in internal if not name.startswith(f"__{role.name}_")]


def test_every_option_is_read(role: Path) -> None:
    """By the role, or by a playbook in its name."""
    files = [path for path in role.rglob("*") if path.is_file() and path.parent.name != "meta"]
    files += (role.parents[1] / "playbooks").glob("*.yml")
    defaults = role / "defaults/main.yml"
    words = {
        word
        for path in files
        if path != defaults
        for word in re.findall(r"\w+", path.read_text(errors="replace"))
    }
    assert not set(options(role)) - words


def test_the_main_file_is_a_table_of_contents(role: Path) -> None:
    for task in load(role / "tasks/main.yml"):
        assert task.get("name"), f"a task without a name: {task}"
        kinds = {"ansible.builtin.include_tasks", "ansible.builtin.import_tasks"}
        assert kinds & set(task), f"{task['name']!r} is not an include of a file of tasks"


def test_the_role_has_a_readme_that_shows_how_to_use_it(role: Path) -> None:
    text = (role / "README.md").read_text()
    assert f"aisha.bot_stack.{role.name}" in text


def test_a_role_reads_no_variable_of_another_role(role: Path) -> None:
    """Wiring is the inventory's work."""
    foreign = {name for other in role.parent.iterdir() if other != role for name in options(other)}
    foreign -= set(options(role))
    found = []
    for path in sorted(role.rglob("*.yml")):
        if path.parent.name != "meta":
            read = {word for text in expressions(load(path)) for word in re.findall(r"\w+", text)}
            found += [f"{path.relative_to(role)}: {name}" for name in sorted(read & foreign)]
    for path in sorted(role.rglob("*.j2")):
        read = {word for text in templated(path.read_text()) for word in re.findall(r"\w+", text)}
        found += [f"{path.relative_to(role)}: {name}" for name in sorted(read & foreign)]
    assert not found


def test_a_backslash_in_a_template_is_one(role: Path) -> None:
    """Ansible escapes it itself; two of them, as in a folded scalar, match a backslash."""
    for path in sorted(role.rglob("*.yml")):
        doubled = [text for text in expressions(load(path)) if "\\\\" in text]
        assert not doubled, path.relative_to(role)


def templated(text: str) -> list[str]:
    return re.findall(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL)


def expressions(node: Any, key: str = "") -> Iterator[str]:
    """What Ansible evaluates: bare conditions, and the templated parts of all other values."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from expressions(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value, key)
    elif isinstance(node, str):
        bare = key in {"when", "that", "until", "changed_when", "failed_when"}
        yield from [node] if bare else templated(node)
