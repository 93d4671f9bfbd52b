# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of containers, as the inventory writes it: values of YAML become text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

# Set by the role itself, each with a variable of its own where there is one.
RESERVED = {
    "BOT_TOKEN": "bot_token",
    "BOT_API_URL": "bot_api_url",
    "DATABASE_URL": "bot_database_url",
    "REDIS_URL": "bot_redis_url",
    "S3_ENDPOINT_URL": "bot_s3_endpoint_url",
    "S3_BUCKET": "bot_s3_bucket",
    "S3_ACCESS_KEY": "bot_s3_access_key",
    "S3_SECRET_KEY": "bot_s3_secret_key",
    "WEBHOOK_SECRETS": "bot_webhook_secrets",
    "WEBHOOK_HEALTH_PORT": "bot_webhook_health_port",
    "WEBHOOK_BODY_LIMIT": "bot_webhook_body_limit",
    "LOG_LEVEL": "bot_log_level",
    "BOT_ROLE": None,
    "INSTANCE_ID": None,
}


def text_of(value):
    """A value as text: numbers as they are written, booleans as true and false; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, str)):
        return str(value)
    return None


def environment(variables):
    """The variables with every value as text."""
    if not isinstance(variables, Mapping):
        raise AnsibleFilterError("environment takes a dictionary of names and values.")
    return {str(name): text_of(value) or "" for name, value in variables.items()}


def environment_problems(variables, setting):
    """One sentence for each variable that can't be given to a container; no value is in any.

    setting: the name of the variable of the inventory.
    """
    if not isinstance(variables, Mapping):
        return ["%s is no dictionary. Write names and values, as in {THREADS: 4}." % setting]
    sentences = []
    for name, value in variables.items():
        text = text_of(value)
        if not isinstance(name, str) or not re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", name):
            sentences.append(
                "%s has %r, which can't be the name of a variable. Use letters, digits and underscore."
                % (setting, str(name))
            )
            continue
        own = re.sub(r"_FILE\Z", "", name)
        if own in RESERVED:
            way = "Set %s instead." % RESERVED[own] if RESERVED[own] else "Take it out."
            sentences.append("%s has %s, which the role sets itself. %s" % (setting, name, way))
        elif text is None:
            kind = "empty" if value is None else "no text, number or boolean"
            sentences.append(
                "%s has %s, whose value is %s. Write it as text in quotes, or take it out."
                % (setting, name, kind)
            )
        elif "\0" in text:
            sentences.append("%s has %s, whose value has a NUL character." % (setting, name))
    return sentences


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self):
        return {"environment": environment, "environment_problems": environment_problems}
