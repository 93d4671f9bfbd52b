"""Every role keeps the anatomy that docs/style and the other roles promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


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


def test_the_main_file_is_a_table_of_contents(role: Path) -> None:
    for task in load(role / "tasks/main.yml"):
        assert task.get("name"), f"a task without a name: {task}"
        kinds = {"ansible.builtin.include_tasks", "ansible.builtin.import_tasks"}
        assert kinds & set(task), f"{task['name']!r} is not an include of a file of tasks"


def test_the_role_has_a_readme_that_shows_how_to_use_it(role: Path) -> None:
    text = (role / "README.md").read_text()
    assert f"aisha.bot_stack.{role.name}" in text


def test_a_role_reads_no_variable_of_another_role(role: Path) -> None:
    """Wiring is the inventory's work; results that a role gives to its caller are `vars` of a call."""
    others = {
        name: other.name
        for other in role.parent.iterdir()
        if other.is_dir() and other != role
        for name in options(other)
    }
    # A role whose name starts with another role's name shares the prefix, not the variable.
    found = []
    for path in sorted(role.rglob("*.yml")) + sorted(role.rglob("*.j2")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("#", 1)[0]
            # `container_specs: …` below `vars:` of a call gives a variable, it reads none.
            given = code.split(":", 1)[0].strip() if path.suffix == ".yml" else ""
            words = set(_words(code)) - {given} - set(options(role))
            found += [
                f"{path.relative_to(role)}:{number}: {word} is of {others[word]}"
                for word in sorted(words & set(others))
            ]
    assert not found


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
