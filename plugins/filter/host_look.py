# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides about a host from the first look at it: the Python environment of the modules, and its engine."""

from __future__ import annotations

import json

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import kinds

# The libraries of the modules that run on a host, for each Python: what its index still has for that one. The last
# are those of requirements.txt.
OLDEST = (3, 9)
NEWEST = (3, 14)
PACKAGES = {
    (3, 9): [
        "boto3==1.42.97",
        "docker==7.2.0",
        "minio==7.2.20",
        "psycopg[binary]==3.2.13",
        "requests==2.32.5",
    ],
    (3, 10): [
        "boto3==1.44.5",
        "docker==7.2.0",
        "minio==7.2.20",
        "psycopg[binary]==3.3.9",
        "requests==2.34.2",
    ],
}
# The SDK wants it for an engine at ssh://, also where it uses the program ssh.
SSH = "paramiko==5.1.0"


def packages_for(version, address=""):
    """What to install for a Python "3.11.2" and an engine at address; None for one that the stack can't use."""
    number = minor(version)
    if not number or not OLDEST <= number <= NEWEST:
        return None
    packages = PACKAGES[max(oldest for oldest in PACKAGES if oldest <= number)]
    return sorted([*packages, SSH]) if address.startswith("ssh:") else packages


def minor(version):
    """(3, 11) of "3.11.2"; () of what is no version."""
    parts = version.split(".")[:2]
    return (
        tuple(int(part) for part in parts)
        if len(parts) == 2 and all(map(str.isdigit, parts))
        else ()
    )


def python_plan(seen, path, folder):
    """What to do about the modules' environment.

    seen: what look.py printed, None where the host has no Python. path: of the host's own Python.
    Returns {"make", "packages", "manager", "install": [packages of the system], "problem"}.
    """
    plan = {"make": False, "packages": [], "manager": "", "install": [], "problem": ""}
    setting = "or set docker_host_system_python to the path of another one."
    wanted = "The modules need Python 3.9 to 3.14 there"
    if seen is None:
        plan["problem"] = (
            "there is no Python at %s. %s: install it (apt-get install python3, dnf install python3), %s"
            % (path, wanted, setting)
        )
        return plan
    packages = packages_for(seen["python"], seen.get("address", ""))
    if packages is None:
        plan["problem"] = (
            "%s is Python %s. %s: install one beside it, and set docker_host_system_python to its path."
            % (
                path,
                seen["python"],
                wanted,
            )
        )
        return plan
    plan["packages"] = packages
    # An upgrade of the system leaves an environment that does not run, or is of the Python before.
    plan["make"] = (
        minor(seen["environment"]) != minor(seen["python"]) or seen["packages"] != packages
    )
    if plan["make"] and not seen["venv"]:
        name = path.rpartition("/")[2]
        plan["manager"] = seen["manager"]
        if seen["manager"] == "apt":
            plan["install"] = [name + "-venv"]
        elif seen["manager"] == "dnf":
            plan["install"] = [name + "-libs"]
        else:
            plan["problem"] = (
                "Python %s at %s has no modules venv and ensurepip, with which %s is made. Install them, %s"
                % (seen["python"], path, folder, setting)
            )
    return plan


def parse(stdout):
    """What look.py printed; None where it did not run. A login may say something before it."""
    for line in reversed(stdout.splitlines()):
        if line.startswith('{"'):
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None


def host_look(result, path, folder, manage=True):
    """See host_look.yml beside this file."""
    stdout = result.get("stdout", "")
    seen = parse(stdout)
    python = python_plan(seen, path, folder)
    if seen is None and result.get("rc") not in (126, 127):
        said = (result.get("stderr") or stdout).strip().splitlines()
        python["problem"] = "%s could not be run: %s" % (
            path,
            said[-1] if said else "it said nothing.",
        )
    engine = None
    if seen and seen["engine"]:
        answer = seen["engine"]
        engine = kinds.judge(answer["info"], answer["version"], answer["address"], seen["host"])
    problems = [python["problem"]] if manage and python["problem"] else []
    return {
        "python": python,
        "engine": engine,
        "problems": problems + (engine["problems"] if engine else []),
    }


class FilterModule:
    """The filter."""

    def filters(self):
        return {"host_look": host_look}
