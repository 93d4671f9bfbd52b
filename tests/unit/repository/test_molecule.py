"""Molecule's scenarios run what operators run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from molecule.command import base


def scenarios(root: Path) -> list[Path]:
    found = sorted((root / "molecule").glob("*/molecule.yml"))
    assert len(found) >= 3
    return found


def linked(settings: Path, scenario: Path) -> None:
    """Each file is a link in the scenario: ansible-test refuses a link to a folder."""
    for path in settings.rglob("*.yml"):
        link = scenario / path.relative_to(settings)
        assert link.resolve() == path, f"{link} is no link to {path}"


def test_the_default_scenario_has_the_settings_of_the_local_inventory(root: Path) -> None:
    local = root / "inventory/local/group_vars"
    scenario = root / "molecule/default/inventory/group_vars"
    linked(local, scenario)
    expected = {path.relative_to(local) for path in local.rglob("*.yml")}
    assert expected
    assert {path.relative_to(scenario) for path in scenario.rglob("*.yml")} == expected


@pytest.mark.parametrize("name", ["hosts.yml", "group_vars/all/main.yml"])
def test_the_fleet_runs_the_example_inventory(root: Path, name: str) -> None:
    link = root / "molecule/fleet/inventory" / name
    assert link.resolve() == root / "inventory/example" / name


def test_the_fleet_replaces_only_what_an_operator_must_replace(root: Path) -> None:
    """Upstream's images, secrets, the way to log in, and what the emulator needs."""
    example = yaml.safe_load((root / "inventory/example/group_vars/all/main.yml").read_text())
    replaced = {"images_names", "stack_tls_dir"}
    folder = root / "molecule/fleet/inventory/group_vars/all"
    paths = [path for path in folder.glob("*.yml") if path.name != "main.yml"]
    assert paths
    for path in paths:
        own = yaml.safe_load(path.read_text())
        assert not set(own) & set(example) - replaced, path


def test_every_secret_of_the_example_is_in_its_vault(root: Path) -> None:
    folder = root / "inventory/example/group_vars/all"
    used = set((folder / "main.yml").read_text().replace("}", " ").split())
    vault = yaml.safe_load((folder / "vault.yml.example").read_text())
    assert {word for word in used if word.startswith("vault_")} == set(vault)
    assert set(vault.values()) == {"CHANGE_ME"}


def test_every_scenario_is_converged_twice_and_verified(root: Path) -> None:
    """By the sequence that all share, with the one suite."""
    shared = yaml.safe_load((root / ".config/molecule/config.yml").read_text())
    assert shared["verifier"]["directory"] == "../../tests/verify"
    assert {"converge", "idempotence", "verify"} < set(shared["scenario"]["test_sequence"])
    for path in scenarios(root):
        own = yaml.safe_load(path.read_text())
        assert "test_sequence" not in own["scenario"], path
        assert "verifier" not in own, path
        assert own["scenario"]["name"] == path.parent.name


def test_every_scenario_is_in_the_documentation(root: Path) -> None:
    page = (root / "docs/testing.md").read_text()
    for path in scenarios(root):
        assert f"| `{path.parent.name}` |" in page


def test_login_goes_to_the_container_of_a_host(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    (scenario,) = base.get_configs(
        {"base_config": [str(root / ".config/molecule/config.yml")]},
        {"subcommand": "login"},
        glob_str="molecule/fleet/molecule.yml",
    )
    hosts = yaml.safe_load((root / "molecule/fleet/inventory/outside.yml").read_text())["all"][
        "hosts"
    ]
    name, settings = next(iter(hosts.items()))
    command = scenario.driver.login_cmd_template.format(**scenario.driver.login_options(name))
    assert command == f"docker exec --interactive --tty {settings['ansible_host']} bash"


def values(path: Path) -> dict[str, object]:
    """What a file of settings sets, or the plays of a playbook set for their roles."""
    found = yaml.safe_load(path.read_text())
    if isinstance(found, dict):
        return found
    return {
        k: v for play in found for role in play.get("roles", []) for k, v in role["vars"].items()
    }


def test_the_alternative_scenario_leaves_no_name_path_port_or_limit_at_its_default(
    root: Path,
) -> None:
    """So what is written down somewhere instead of read from its setting is found."""
    scenario = root / "molecule/alternative"
    alternative: dict[str, object] = {}
    for path in [*scenario.glob("inventory/group_vars/**/*.yml"), scenario / "outside.yml"]:
        alternative = {**values(path), **alternative}
    defaults = {
        name: value
        for path in (root / "roles").glob("*/defaults/main.yml")
        for name, value in yaml.safe_load(path.read_text()).items()
        if "aisha" in str(value) or name.endswith(("_port", "_memory", "_gid", "_networks"))
    }
    assert len(defaults) > 50
    assert [name for name, value in defaults.items() if alternative.get(name, value) == value] == []
