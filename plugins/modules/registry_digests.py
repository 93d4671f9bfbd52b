#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a container registry for the digests of images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_digests
short_description: Asks a container registry for the digests of images
version_added: 0.1.0
description:
  - Asks a registry for the digest of each of several tags, in one call.
  - The protocol is that of the OCI Distribution Specification 1.1, section "Checking if content exists in the registry".
author: The aisha.bot_stack team (@aisha)
options:
  url:
    description: Address of the registry, C(https://host:port).
    type: str
    required: true
  images:
    description: From a name of your choice to C(repository:tag).
    type: dict
    required: true
  username:
    description: Login.
    type: str
    required: true
  password:
    description: Password.
    type: str
    required: true
  ca_path:
    description: File with the certificate of the registry's authority. Empty trusts what the host trusts.
    type: path
  timeout:
    description: Seconds to wait for each answer.
    type: int
    default: 15
extends_documentation_fragment:
  - aisha.bot_stack.attributes.read_only
"""

EXAMPLES = r"""
- name: Find what the registry has
  aisha.bot_stack.registry_digests:
    url: https://registry.example.com:5000
    username: aisha
    password: "{{ registry_password }}"
    images: {bot: "aisha/bot:1.0"}
  register: found
"""

RETURN = r"""
digests:
  description: From a name to the digest, C(sha256:…). A tag that the registry does not have is left out.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json"
)


def digest(module, image):
    """The digest of repository:tag, or None where the registry has no such tag."""
    repository, _colon, tag = image.rpartition(":")
    url = "%s/v2/%s/manifests/%s" % (module.params["url"].rstrip("/"), repository, tag)
    response, info = fetch_url(
        module,
        url,
        method="HEAD",
        headers={"Accept": MANIFESTS},
        timeout=module.params["timeout"],
        ca_path=module.params["ca_path"],
    )
    if info["status"] == 404:
        return None
    if info["status"] == 401:
        module.fail_json(
            msg="The registry at %s refuses the login of %s: check registry_username and registry_password."
            % (module.params["url"], module.params["username"])
        )
    if info["status"] != 200:
        module.fail_json(
            msg="The registry at %s does not answer about %s: %s"
            % (module.params["url"], image, info["msg"])
        )
    return response.headers["Docker-Content-Digest"]


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "images": {"type": "dict", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    # What fetch_url logs in with; without the header at once, every request would be made twice.
    module.params.update(
        url_username=module.params["username"],
        url_password=module.params["password"],
        force_basic_auth=True,
    )
    found = {name: digest(module, image) for name, image in module.params["images"].items()}
    module.exit_json(changed=False, digests={name: value for name, value in found.items() if value})


if __name__ == "__main__":
    main()
