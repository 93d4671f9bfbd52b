# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A health check by HTTP that takes what an image has: curl, wget or bash."""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleFilterError

TIMEOUT = 2

# Only what needs no quoting in a shell.
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+):(?P<port>[0-9]+)(?P<path>/[A-Za-z0-9._/-]*)"
)

# A certificate of loopback says nothing, so nobody asks whose it is. busybox and GNU know these options of wget.
SCRIPT = """\
if command -v curl >/dev/null; then \
curl -fsSk -m {timeout} --noproxy '*' -o /dev/null {url} || exit 1; \
elif command -v wget >/dev/null; then \
wget -q -T {timeout} -t 1 -Y off --no-check-certificate -O /dev/null {url} || exit 1; \
{bash}\
else echo 'the image has {missing}, by one of which its health could be asked' >&2; exit 1; fi"""

# bash speaks no TLS.
BASH = """\
elif command -v bash >/dev/null; then \
bash -c 'exec 3<>/dev/tcp/{host}/{port} && printf "GET {path} HTTP/1.0\\r\\n\\r\\n" >&3 \
&& read -r -t {timeout} _ status _ <&3 && echo "{path} answers $status" && [[ $status == 200 ]]' || exit 1; """


def http_probe(url: str) -> list[str]:
    """The test of a container's health check that asks a URL for a status of success."""
    found = URL.fullmatch(str(url))
    if not found:
        raise AnsibleFilterError(
            f"http_probe: {url} is no URL that a health check can ask: write scheme://address:port/path, "
            "in letters, digits, dots, dashes and underscores"
        )
    parts = {**found.groupdict(), "url": found[0], "timeout": TIMEOUT}
    clear = parts["scheme"] == "http"
    missing = "neither curl nor wget nor bash" if clear else "neither curl nor wget"
    bash = BASH.format(**parts) if clear else ""
    return ["CMD-SHELL", SCRIPT.format(bash=bash, missing=missing, **parts)]


class FilterModule:
    """Ansible's way in."""

    def filters(self) -> dict[str, Any]:
        return {"http_probe": http_probe}
