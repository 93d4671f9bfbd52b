# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an address of the inventory, said without showing what is secret in it."""

from __future__ import annotations

import ipaddress
import re
from collections import namedtuple
from urllib.parse import unquote

from ansible.errors import AnsibleFilterError
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import scrub

# login: none, or may have one. several: hosts, with commas between. underscore: in the host's name.
Kind = namedtuple(
    "Kind", ["schemes", "example", "path", "login", "several", "underscore", "socket"]
)

API = Kind(("http", "https"), "https://api.telegram.org", True, False, False, True, False)
STORE = Kind(("http", "https"), "http://minio.example.com:9000", False, False, False, False, False)
DATABASE = Kind(
    ("postgresql", "postgres"),
    "postgresql://user:password@host:5432/database",
    True,
    True,
    True,
    True,
    True,
)
REDIS = Kind(
    ("redis", "rediss", "valkey", "valkeys"),
    "redis://user:password@host:6379/0",
    True,
    True,
    False,
    True,
    False,
)
URLS = {
    "bot_api_url": API,
    "bot_host_api_url": API,
    "bot_s3_endpoint_url": STORE,
    "bot_database_url": DATABASE,
    "bot_redis_url": REDIS,
}

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Containers' names, which Docker resolves, may have an underscore.
_LABEL_UNDERSCORE = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST = re.compile(r"%s(?:\.%s)*\.?\Z" % (_LABEL, _LABEL))
HOST_UNDERSCORE = re.compile(r"%s(?:\.%s)*\.?\Z" % (_LABEL_UNDERSCORE, _LABEL_UNDERSCORE))
# What may stand in a login as it is (RFC 3986, userinfo).
LOGIN = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*\Z")


def _is_ip(text, version=None):
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return version in (None, found.version) and "%" not in text


def _port_problem(text):
    if re.match(r"[0-9]{1,5}\Z", text) and 0 < int(text) < 65536:
        return None
    return "its port is no number from 1 to 65535"


def _host_problem(text, underscore):
    """What is wrong with host:port; None for nothing."""
    if text.count(":") > 1 and not text.startswith("["):
        return "an IPv6 address in it is written in brackets, as in [2001:db8::1]:5000"
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not _is_ip(host, 6) or (port and not port.startswith(":")):
            return "what stands in its brackets is no IPv6 address"
        return _port_problem(port[1:]) if port else None
    host, colon, port = text.partition(":")
    if not host:
        return "it has no host"
    if not underscore and "_" in host and HOST_UNDERSCORE.match(host):
        return (
            "the host's name has an underscore, which no name of a host may have and clients of S3 refuse; "
            "give it another name or use its IP address"
        )
    if not HOST_UNDERSCORE.match(host):
        return "its host is neither a name nor an IP address"
    if re.match(r"[0-9.]+\Z", host) and not _is_ip(host, 4):
        return "its host is neither a name nor an IP address"
    return _port_problem(port) if colon else None


def _login_problem(rest):
    """What is wrong with the login before the last at sign; None for nothing."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority:
        return "a / ? or # in its login ends the login too early" if "@" in rest else None
    login = authority.rpartition("@")[0]
    if not LOGIN.match(login):
        return "its login has a character that must be percent-encoded"
    try:
        text = unquote(login, errors="strict")
    except UnicodeDecodeError:
        return "what is percent-encoded in its login is not UTF-8"
    return "its login has a character that can't be typed" if "\0" in text else None


def _url_problem(text, kind):
    """What is wrong with a URL; None for nothing."""
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        return "it has a blank or a line break"
    scheme, separator, rest = text.partition("://")
    # SQLAlchemy names its driver after a plus.
    if not separator or scheme.lower().partition("+")[0] not in kind.schemes:
        return "it does not begin with %s" % " or ".join("%s://" % name for name in kind.schemes)
    problem = _login_problem(rest)
    if problem:
        if kind.login:
            return (
                problem
                + ": write / as %2F, @ as %40, : as %3A, # as %23, ? as %3F, % as %25, as the filter aisha.bot_stack.percent_encoded does"
            )
        return problem
    end = re.search(r"[/?#]|\Z", rest).start()
    authority, path = rest[:end], rest[end:]
    _login, at, hosts = authority.rpartition("@")
    if at and not kind.login:
        return "it may have no login"
    if not kind.path and path not in ("", "/"):
        return "it is more than scheme, host and port"
    if kind is API and re.search(r"[?#]|/bot(?:[0-9/]|\Z)", path):
        return "it must end before /bot, with no token in it"
    if not hosts and kind.socket and ("host=" in path or path.startswith("/")):
        return None
    for host in hosts.split(",") if kind.several else [hosts]:
        problem = _host_problem(host, kind.underscore)
        if problem:
            return problem
    return None


def _registry_problem(text):
    """What is wrong with the address of a registry, as image names begin with it; None for nothing."""
    if re.search(r"\s", text):
        return "it has a blank"
    if "://" in text:
        return "it has a scheme; it is host:port alone"
    if "@" in text:
        return "it may have no login"
    if "/" in text:
        return "it has a path; it is host:port alone"
    if text.startswith("[") or text.count(":") > 1:
        return "Docker takes no IPv6 address there; give the registry's host a name"
    problem = _host_problem(text, underscore=True)
    if problem:
        return problem
    if "_" in text:
        return "the host's name has an underscore, which Docker does not take in an image's name; give it another name"
    if "." not in text and ":" not in text and text != "localhost":
        return (
            "Docker takes a name without dot and port for a folder of Docker Hub; write host:port"
        )
    return None


def _publish_problem(text):
    """What is wrong with an address of this host to listen at; None for nothing."""
    if _is_ip(text):
        return None
    if text.startswith("[") and text.endswith("]"):
        return "it is written without brackets"
    return "it is no IPv4 or IPv6 address; a name or host:port can't be listened at"


def _problem(name, text):
    if name in URLS:
        return _url_problem(text, URLS[name]), URLS[name].example
    if name.endswith("_publish_address") or name == "docker_host_ports":
        return _publish_problem(text), "192.0.2.11"
    if name.endswith(("_registry_address", "stack_registry")) or name == "docker_host_registries":
        return _registry_problem(text), "registry.example.com:5000"
    raise AnsibleFilterError("address_problems knows no address that is called %s." % name)


def address_problems(settings):
    """One sentence for each address that can't work.

    settings: from the name of a variable to its value, or to several; an empty one is left out, as
    whether it may be is another question. No sentence has a part of a login, or a token.
    """
    if not hasattr(settings, "items"):
        raise AnsibleFilterError("address_problems takes a dictionary of names and addresses.")
    sentences = []
    each = [
        (name, value)
        for name, values in settings.items()
        for value in (values if isinstance(values, (list, tuple)) else [values])
    ]
    for name, value in each:
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            sentences.append("%s is no text. Write an address like %s." % (name, "…"))
            continue
        problem, example = _problem(name, value)
        if problem:
            # With an at sign a part of it may be a password; the other two may have one without it.
            hidden = "@" in value or "%" in value or name in ("bot_database_url", "bot_redis_url")
            shown = "" if hidden or len(value) > 200 else " (%s)" % scrub(value)
            sentences.append(
                "%s%s can't be used: %s. Write it like %s." % (name, shown, problem, example)
            )
    return sentences


def bracketed(address):
    """The address as it stands before a colon and a port: IPv6 in brackets, everything else as it is."""
    return "[%s]" % address if _is_ip(address, 6) else address


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self):
        return {"address_problems": address_problems, "bracketed": bracketed}
