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
  - No proxy is used; the registry is on a network of one's own.
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

import base64
import http.client
import ssl
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json"
)


class Registry:
    """One connection to a registry, for all questions: each would cost a handshake otherwise."""

    def __init__(self, module):
        self.module = module
        self.url = module.params["url"].rstrip("/")
        login = "%s:%s" % (module.params["username"], module.params["password"])
        self.headers = {
            "Accept": MANIFESTS,
            "Authorization": "Basic " + base64.b64encode(login.encode("utf-8")).decode("ascii"),
        }

    def connect(self):
        """A connection to the registry's address. Raises OSError."""
        try:
            parts = urlsplit(self.url)
            right = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            right = False
        if not right:
            self.module.fail_json(
                msg="url is %s; write it as https://HOST:PORT or http://HOST:PORT." % self.url
            )
        timeout = self.module.params["timeout"]
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        try:
            trusted = ssl.create_default_context(cafile=self.module.params["ca_path"])
        except OSError as error:
            self.module.fail_json(
                msg="ca_path is %s, which is no file with certificates: %s"
                % (self.module.params["ca_path"], error)
            )
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout, context=trusted
        )

    def digests(self, images):
        """From a name to the digest of its repository:tag, for those that the registry has."""
        found = {}
        image = ""
        connection = self.connect()
        try:
            for name, image in images.items():
                found[name] = self.digest(connection, image)
        except (OSError, http.client.HTTPException) as error:
            self.refuse(image, str(error) or type(error).__name__)
        return {name: digest for name, digest in found.items() if digest}

    def digest(self, connection, image):
        """The digest of repository:tag, or None where the registry has no such tag."""
        repository, _colon, tag = image.rpartition(":")
        path = "%s/v2/%s/manifests/%s" % (urlsplit(self.url).path, repository, tag)
        connection.request("HEAD", path, headers=self.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 404:
            return None
        if answer.status == 401:
            self.module.fail_json(
                msg="The registry at %s refuses the login of %s: check registry_username and registry_password."
                % (self.module.params["url"], self.module.params["username"])
            )
        if answer.status != 200:
            self.refuse(image, "HTTP status %d %s" % (answer.status, answer.reason))
        return answer.headers["Docker-Content-Digest"]

    def refuse(self, image, why):
        """Ends the module."""
        self.module.fail_json(
            msg="The registry at %s does not answer about %s: %s"
            % (self.module.params["url"], image, why)
        )


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
    module.exit_json(changed=False, digests=Registry(module).digests(module.params["images"]))


if __name__ == "__main__":
    main()
