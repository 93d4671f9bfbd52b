# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says in words in what a container differs from its description: names only, so that no secret can be among them.

Pure functions. That it differs is decided by the hash of the description (description.fingerprint).
"""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import description

# What a hash that differs is due to where nothing else does.
EARLIER = "it was made by another version of this collection"
CONFIG = (
    ("Image", "image"),
    ("User", "user"),
    ("StopSignal", "stop signal"),
    ("StopTimeout", "stop timeout"),
)
HOST = (
    ("Tmpfs", "tmpfs"),
    ("PortBindings", "published ports"),
    ("ReadonlyRootfs", "read-only root"),
    ("SecurityOpt", "security options"),
    ("PidsLimit", "limit of processes"),
    ("ShmSize", "shared memory"),
    ("LogConfig", "log options"),
)
OWN_LABELS = tuple(description.LABEL + name for name in ("config", "spec", "restart_policy"))


def words(wanted, stack, found, image):
    """What differs, in words, sorted by their kind.

    wanted: from description.normalised(). found: the container, image: the image that it was made from, both as the engine
    inspects them; {} for an image that is gone.
    """
    body = description.creation(wanted, stack, "", None)
    config, host = found["Config"], found["HostConfig"]
    base = image.get("Config") or {}
    said = [word for key, word in CONFIG if key in body and body[key] != config.get(key)]
    said += _program(body, config, base)
    said += ["variable " + name for name in _variables(body, config, base, bool(image))]
    said += ["label " + name for name in _labels(body, config, base)]
    said += ["mount " + target for target in _mounts(body["HostConfig"], host)]
    own = body["HostConfig"]
    said += [
        word for key, word in HOST if key in own and (own[key] or None) != (host.get(key) or None)
    ]
    said += [
        word
        for key, word in (("CapAdd", "added capabilities"), ("CapDrop", "dropped capabilities"))
        if _capabilities(own.get(key)) != _capabilities(host.get(key))
    ]
    check = body.get("Healthcheck") or {}
    if any((config.get("Healthcheck") or {}).get(key) != value for key, value in check.items()):
        said.append("health check")
    joined = set((found.get("NetworkSettings") or {}).get("Networks") or {})
    if joined != set(wanted["networks"] or ["none"]):
        said.append("networks")
    return said or [EARLIER]


def _program(body, config, base):
    """Command and entry point; an image's command goes with its entry point only."""
    entrypoint = body.get("Entrypoint") or base.get("Entrypoint")
    command = body.get("Cmd") or (None if "Entrypoint" in body else base.get("Cmd"))
    said = ["command"] if (command or None) != (config.get("Cmd") or None) else []
    return said + (
        ["entry point"] if (entrypoint or None) != (config.get("Entrypoint") or None) else []
    )


def _pairs(variables):
    return dict(entry.partition("=")[::2] for entry in variables or ())


def _variables(body, config, base, whole):
    """Names of variables that differ. Without the image, one that is not wanted may be its."""
    wanted, there = dict(_pairs(base.get("Env")), **_pairs(body["Env"])), _pairs(config.get("Env"))
    names = set(wanted) | set(there) if whole else set(wanted)
    return sorted(name for name in names if wanted.get(name) != there.get(name))


def _labels(body, config, base):
    wanted = dict(base.get("Labels") or {}, **body["Labels"])
    there = config.get("Labels") or {}
    names = set(body["Labels"]) | {name for name in there if name.startswith(description.LABEL)}
    return sorted(
        name[len(description.LABEL) :] if name.startswith(description.LABEL) else name
        for name in names - set(OWN_LABELS)
        if wanted.get(name) != there.get(name)
    )


def _mounts(own, host):
    """Paths at which something else is mounted. A folder of secrets has another source for each version of them."""

    def by_target(mounts):
        return {
            mount["Target"]: (mount["Type"], mount["Source"], bool(mount.get("ReadOnly")))
            for mount in mounts or ()
        }

    wanted, there = by_target(own["Mounts"]), by_target(host.get("Mounts"))
    return sorted(
        target for target in set(wanted) | set(there) if wanted.get(target) != there.get(target)
    )


def _capabilities(names):
    return {name.upper().replace("CAP_", "") for name in names or ()}
