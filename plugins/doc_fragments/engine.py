# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that ask a Docker Engine."""

from __future__ import annotations


class ModuleDocFragment:
    """What module_utils/engine/connection.py takes."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description: >-
      Address of the engine.
      The environment variable E(DOCKER_HOST) is used where the option is not set.
      V(ssh://) needs O(use_ssh_client).
    type: str
    default: unix:///var/run/docker.sock
  api_version:
    description: Version of the engine's API, or V(auto) for what both sides know. Environment variable E(DOCKER_API_VERSION).
    type: str
    default: auto
    aliases: [docker_api_version]
  timeout:
    description: Seconds to wait for each answer of the engine. Environment variable E(DOCKER_TIMEOUT).
    type: int
    default: 15
  tls:
    description: Speak TLS without a check of the engine's certificate. Environment variable E(DOCKER_TLS).
    type: bool
    default: false
  validate_certs:
    description: Speak TLS and check the engine's certificate. Environment variable E(DOCKER_TLS_VERIFY).
    type: bool
    default: false
    aliases: [tls_verify]
  ca_path:
    description: File with the certificate authorities that the engine's certificate is checked against.
    type: path
    aliases: [ca_cert, tls_ca_cert, cacert_path]
  client_cert:
    description: File with the client's certificate.
    type: path
    aliases: [tls_client_cert, cert_path]
  client_key:
    description: File with the client's key.
    type: path
    aliases: [tls_client_key, key_path]
  use_ssh_client:
    description: Reach an engine at V(ssh://) by the program C(ssh) of the target.
    type: bool
    default: false
notes:
  - C(module_defaults) of the group C(aisha.bot_stack.engine) set these options for all modules that have them.
requirements:
  - docker >= 6.0 (Python SDK), on the target
"""
