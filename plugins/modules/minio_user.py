#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manages one user of a MinIO-compatible server, with one policy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_user
short_description: Manages a user of a MinIO-compatible server, and what it may do
version_added: 0.1.0
description:
  - Makes, changes or removes one user (an access key) through the admin API of MinIO, Silo or JuiceFS's S3 gateway.
  - Writes one policy for it and attaches exactly this policy.
  - The server never tells a secret key. Whether it has to be set is found out by a login with it.
author: The aisha.bot_stack team (@aisha)
options:
  endpoint_url:
    description: Address of the server, C(http://HOST:PORT) or C(https://HOST:PORT).
    type: str
    required: true
  admin_access_key:
    description: Access key of a user who may administer the server, as a rule the root user.
    type: str
    required: true
  admin_secret_key:
    description: Secret key of O(admin_access_key).
    type: str
    required: true
  name:
    description: Access key of the user that is managed.
    type: str
    required: true
  secret_key:
    description: Secret key of the user. Required with O(state=present).
    type: str
  rotate:
    description:
      - How a new secret key takes the place of another one. V(at_once) sets it.
      - V(begin) makes a second user with it, C(NAME.1) or C(NAME.2), and the same policy, so that both work. V(conclude) gives it to O(name), and
        removes those beside it that have another one.
    type: str
    choices: [at_once, begin, conclude]
    default: at_once
  policy_name:
    description: Name of the user's policy. Default is the value of O(name).
    type: str
  policy:
    description:
      - Policy document, written under O(policy_name) and attached to the user in place of all others.
      - Without it, policies stay as they are.
    type: dict
  state:
    description: Whether the user exists. V(absent) removes its policy O(policy_name) too.
    type: str
    choices: [present, absent]
    default: present
  region:
    description: Region of the server.
    type: str
    default: us-east-1
  ca_cert:
    description: File with the certificate authority of an C(https) server. Default is the system's.
    type: path
  validate_certs:
    description: Whether an C(https) server must have a valid certificate.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 10
extends_documentation_fragment:
  - aisha.bot_stack.attributes
requirements:
  - minio >= 7.2.16 (Python SDK), on the target
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode. Secret keys are never part of it.
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Let the bot use its bucket and nothing else
  aisha.bot_stack.minio_user:
    endpoint_url: http://minio.example.com:9000
    admin_access_key: aisha-root
    admin_secret_key: "{{ minio_root_password }}"
    name: aisha
    secret_key: "{{ bot_s3_secret_key }}"
    policy:
      Version: "2012-10-17"
      Statement:
        - Effect: Allow
          Action: ["s3:GetBucketLocation", "s3:ListBucket"]
          Resource: ["arn:aws:s3:::aisha-audio"]
        - Effect: Allow
          Action: ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          Resource: ["arn:aws:s3:::aisha-audio/*"]

- name: Remove a user and its policy
  aisha.bot_stack.minio_user:
    endpoint_url: http://minio.example.com:9000
    admin_access_key: aisha-root
    admin_secret_key: "{{ minio_root_password }}"
    name: former-bot
    state: absent
"""

RETURN = r"""
buckets:
  description:
    - Names of the buckets that the user sees when it logs in.
    - Empty with O(state=absent), and in check mode where the user can't log in yet.
  returned: success
  type: list
  elements: str
  sample: [aisha-audio]
login:
  description: Access key that works with the secret key, O(name) or with O(rotate) one beside it.
  returned: success
  type: str
  sample: aisha.1
name:
  description: Access key of the user.
  returned: success
  type: str
  sample: aisha
pending:
  description: Access keys, of O(name) and beside it, that work with another secret key until O(rotate=conclude).
  returned: success
  type: list
  elements: str
policy_name:
  description: Name of the user's policy.
  returned: success
  type: str
  sample: aisha
steps:
  description:
    - What was done, or would be done in check mode, in this order. Empty when nothing had to change.
    - One of V(write_policy), V(create_user), V(set_secret_key), V(attach_policy), V(remove_user), V(remove_policy).
  returned: success
  type: list
  elements: str
  sample: [write_policy, create_user, attach_policy]
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.aisha.bot_stack.plugins.module_utils.minio_admin import (
    HAS_MINIO,
    MINIO_IMPORT_ERROR,
    MinioError,
    Server,
    normal_policy,
    plan,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import logins


def describe(user, policy, secret_key):
    """One side of the diff. Of a secret key it says only whether it is the wanted one."""
    return {
        "exists": user is not None,
        "status": user["status"] if user else None,
        "policies": user["policies"] if user else [],
        "policy": normal_policy(policy),
        "secret_key": secret_key,
    }


def diff(observed, params, steps):
    user = observed["user"]
    before = describe(user, observed["policy"], None)
    if params["state"] == "absent":
        return {"before": before, "after": describe(None, None, None)}
    if user is not None:
        before["secret_key"] = "another one" if observed["buckets"] is None else "as wanted"
    policies = [params["policy_name"]] if params["policy"] is not None else before["policies"]
    policy = params["policy"] if "write_policy" in steps else observed["policy"]
    after = describe({"status": "enabled", "policies": policies}, policy, "as wanted")
    return {"before": before, "after": after}


def run(module):
    params = module.params
    params["policy_name"] = params["policy_name"] or params["name"]
    server = Server(
        params["endpoint_url"],
        params["admin_access_key"],
        params["admin_secret_key"],
        params["region"],
        params["ca_cert"],
        params["validate_certs"],
        params["timeout"],
    )
    login, pending, removed = params["name"], [], []
    if params["rotate"] != "at_once" and params["state"] == "present":
        accepts = server.accepts(params["name"], params["secret_key"])
        pending = logins.leftovers(params["name"], accepts)
        if params["rotate"] == "begin":
            login = logins.choose(params["name"], accepts)
        else:
            removed = [old for old in pending if old != params["name"]]
            pending = []
    observed = server.observe(login, params["secret_key"], params["policy_name"])
    steps = plan(observed, params)
    buckets = observed["buckets"]
    if steps and not module.check_mode:
        for step in steps:
            server.apply(step, login, params["secret_key"], params["policy_name"], params["policy"])
        if params["state"] == "present":
            buckets = server.login(login, params["secret_key"])
            if buckets is None:
                raise MinioError(
                    "User %s was written, but %s refuses its login all the same."
                    % (login, params["endpoint_url"])
                )
    for old in removed:
        if not module.check_mode:
            server.apply("remove_user", old, None, None, None)
    return {
        "changed": bool(steps or removed),
        "buckets": [] if params["state"] == "absent" else buckets or [],
        "login": login,
        "name": params["name"],
        "pending": pending,
        "policy_name": params["policy_name"],
        "steps": steps + ["remove_user"] * len(removed),
        "diff": diff(observed, params, steps),
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "endpoint_url": {"type": "str", "required": True},
            "admin_access_key": {"type": "str", "required": True, "no_log": False},
            "admin_secret_key": {"type": "str", "required": True, "no_log": True},
            "name": {"type": "str", "required": True},
            "secret_key": {"type": "str", "no_log": True},
            "rotate": {
                "type": "str",
                "choices": ["at_once", "begin", "conclude"],
                "default": "at_once",
            },
            "policy_name": {"type": "str"},
            "policy": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "region": {"type": "str", "default": "us-east-1"},
            "ca_cert": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 10},
        },
        required_if=[("state", "present", ["secret_key"])],
        supports_check_mode=True,
    )
    if not HAS_MINIO:
        module.fail_json(msg=missing_required_lib("minio"), exception=MINIO_IMPORT_ERROR)
    try:
        result = run(module)
    except MinioError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
