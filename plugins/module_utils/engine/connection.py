# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection of our modules to a Docker Engine (options: doc_fragments/engine.py)."""

from __future__ import annotations

from ansible.module_utils.basic import env_fallback, missing_required_lib

try:
    import docker
    import docker.errors
    import docker.tls
    import docker.transport
    import requests

    # What the SDK raises where an engine does not answer or refuses.
    ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException)
    NotFound = docker.errors.NotFound
    # Reading from a socket that says nothing for too long is one or the other.
    TimedOut = (requests.exceptions.Timeout, requests.exceptions.ConnectionError)
except ImportError:
    docker = None
    ENGINE_ERRORS = NotFound = TimedOut = ()


def reason(error):
    """What an engine says against a request, without what its client puts around it."""
    return getattr(error, "explanation", None) or str(error)


ARGUMENTS = {
    "docker_host": {
        "type": "str",
        "default": "unix:///var/run/docker.sock",
        "fallback": (env_fallback, ["DOCKER_HOST"]),
    },
    "api_version": {
        "type": "str",
        "default": "auto",
        "aliases": ["docker_api_version"],
        "fallback": (env_fallback, ["DOCKER_API_VERSION"]),
    },
    "timeout": {"type": "int", "default": 15, "fallback": (env_fallback, ["DOCKER_TIMEOUT"])},
    "tls": {"type": "bool", "default": False, "fallback": (env_fallback, ["DOCKER_TLS"])},
    "validate_certs": {
        "type": "bool",
        "default": False,
        "aliases": ["tls_verify"],
        "fallback": (env_fallback, ["DOCKER_TLS_VERIFY"]),
    },
    "ca_path": {"type": "path", "aliases": ["ca_cert", "tls_ca_cert", "cacert_path"]},
    "client_cert": {"type": "path", "aliases": ["tls_client_cert", "cert_path"]},
    "client_key": {"type": "path", "aliases": ["tls_client_key", "key_path"]},
    "use_ssh_client": {"type": "bool", "default": False},
}


def connect(module):
    """A client of the engine that the module's options name. Raises ENGINE_ERRORS."""
    if docker is None:
        module.fail_json(msg=missing_required_lib("docker"))
    options = module.params
    if options["docker_host"].startswith("ssh://") and not options["use_ssh_client"]:
        module.fail_json(
            msg="docker_host is %s, and this host's program ssh is to be used for it: set use_ssh_client: true"
            " beside it (in docker_host_engine of the inventory)." % options["docker_host"]
        )
    if options["docker_host"].startswith("ssh://") and not hasattr(
        docker.transport, "SSHHTTPAdapter"
    ):
        module.fail_json(
            msg="%s The SDK wants it for an engine at ssh://." % missing_required_lib("paramiko")
        )
    tls = None
    if options["tls"] or options["validate_certs"]:
        pair = (options["client_cert"], options["client_key"])
        tls = docker.tls.TLSConfig(
            client_cert=pair if all(pair) else None,
            ca_cert=options["ca_path"],
            verify=options["validate_certs"],
        )
    return docker.APIClient(
        base_url=options["docker_host"],
        version=options["api_version"],
        timeout=options["timeout"],
        tls=tls,
        use_ssh_client=options["use_ssh_client"],
    )
