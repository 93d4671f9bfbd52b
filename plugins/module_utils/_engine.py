# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection of our modules to a Docker Engine (options: doc_fragments/engine.py)."""

from __future__ import annotations

from ansible.module_utils.basic import missing_required_lib

try:
    import docker
    import docker.errors
    import requests

    # What the SDK raises where an engine does not answer or refuses.
    ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException)
    NotFound = docker.errors.NotFound
except ImportError:
    docker = None
    ENGINE_ERRORS = NotFound = ()

ARGUMENTS = {
    "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
    "timeout": {"type": "int", "default": 15},
}


def connect(module):
    """A client of the engine that the module's options name. Raises ENGINE_ERRORS."""
    if docker is None:
        module.fail_json(msg=missing_required_lib("docker"))
    return docker.APIClient(
        base_url=module.params["docker_host"], version="auto", timeout=module.params["timeout"]
    )
