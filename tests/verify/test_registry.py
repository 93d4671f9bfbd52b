"""The private registry, as the hosts use it."""

from __future__ import annotations

import pytest
from target import Target

pytestmark = pytest.mark.group("registry")


def test_an_image_is_pushed_pulled_by_digest_and_deleted(target: Target) -> None:
    target.used.update(target.names("registry"))
    assert target.variables["registries"], "docker_host_registries is empty"
    for address in target.variables["registries"]:
        (result,) = target.call(["push_and_pull", target.config_dir, address])
        assert "error" not in result, result
        assert result["same"], "what was pulled is not what was pushed"
        assert result["deleted"] == 202, "a manifest can't be deleted, so nothing can be cleaned up"


def test_nobody_gets_in_without_the_right_login(target: Target) -> None:
    target.used.update(target.names("registry"))
    assert target.variables["registries"], "docker_host_registries is empty"
    for address in target.variables["registries"]:
        without, wrong = target.call(
            ["refused", address, "", ""], ["refused", address, "aisha", "wrong-password-0000"]
        )
        assert (without, wrong) == (401, 401)
