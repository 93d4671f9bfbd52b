"""Molecule's scenarios run what operators run."""

from __future__ import annotations

from pathlib import Path


def test_the_default_scenario_has_the_settings_of_the_local_inventory(root: Path) -> None:
    """By a link for each file: ansible-test refuses a link to a folder."""
    local = root / "inventory/local/group_vars"
    scenario = root / "molecule/default/inventory/group_vars"
    expected = {path.relative_to(local) for path in local.rglob("*.yml")}
    assert {path.relative_to(scenario) for path in scenario.rglob("*.yml")} == expected
    for path in expected:
        assert (scenario / path).resolve() == local / path, f"{path} is no link to the local one"
