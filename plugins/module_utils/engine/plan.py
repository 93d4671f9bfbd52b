# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what becomes of each described container: a pure function from what was observed to a verdict.

observe (host_facts.py) -> verdict (here) -> apply (apply.py).
"""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import description

# From what an operator may have changed by hand to the key of `docker info` that says whether this host can do it.
LIMITS = {"memory": "MemoryLimit", "cpu_shares": "CPUShares", "pids_limit": "PidsLimit"}
RUNS = ("running", "restarting", "paused")


def policy(row):
    """The restart policy that a container has by right; a run that was broken off while it stopped it has left "no"."""
    return row["declared_policy"] if row["restart_policy"] == "no" else row["restart_policy"]


def ran(row):
    """Whether a container ran before anybody of us stopped it."""
    return row["state"] in RUNS or row["restart_policy"] != policy(row)


def unsure(row):
    """Whether one that runs may not be well: it is still starting or, without a health check, has crashed before."""
    return row["health"] == "starting" or (not row["health"] and row["restarts"] > 0)


class Verdict:
    """What becomes of one container.

    name: its name. wanted: its description, normalised. spec: the description's hash.
    action: "keep"; "create", there is none; "swap", it is another one's turn; "mend", the one that is there is brought
    in order without being replaced. mends: for "mend", in their order, of "start", "unpause", "restart", "update" and
    "networks". why: what differs, in words. put_back: the one aside is the proven one, and comes back first.
    leftovers: names that a run which was broken off left behind.
    """

    def __init__(self, wanted, spec):
        self.name = wanted["name"]
        self.wanted = wanted
        self.spec = spec
        self.action = "keep"
        self.mends = []
        self.why = []
        self.put_back = False
        self.leftovers = []

    @property
    def changes(self):
        """Whether anything would be done."""
        return self.action != "keep" or bool(self.leftovers) or self.put_back


def foreign(names, rows, stack):
    """Sentences about containers that have one of our names and are not ours. rows: from a name to its row."""
    problems = []
    for name in names:
        row = rows.get(name)
        if row is not None and row["stack"] != stack:
            problems.append(
                "the name %s is taken by a container that is not of the stack %s (its image is %s, it is %s): rename or "
                "remove it, or set another name" % (name, stack, row["image"], row["state"])
            )
    return problems


def judge(wanted, spec, rows, info):
    """The verdict on one container.

    wanted, spec: from description.normalised() and fingerprint(). rows: from a name to its row, as
    host_facts.describe() gives it. info: `docker info`.
    """
    verdict = Verdict(wanted, spec)
    current = rows.get(wanted["name"])
    if wanted["name"] + description.NEXT in rows:
        verdict.leftovers.append(wanted["name"] + description.NEXT)
    former = wanted["name"] + description.PREVIOUS
    if former in rows:
        # A run was broken off between the two. The new one is proven only by its health.
        if current is not None and current["spec"] == spec and _is_proven(wanted, current):
            verdict.leftovers.append(former)
        else:
            verdict.put_back = True
            current = rows[former]
            verdict.why.append("a run was broken off, and the former one is aside")
    if current is None or current["state"] in ("dead", "removing"):
        verdict.action = "create"
        verdict.why.append("it does not exist" if current is None else "the engine calls it dead")
        return verdict
    if current["spec"] != spec:
        verdict.action = "swap"
        verdict.why.append("its description differs")
        return verdict
    if current["pids_limit"] != wanted["pids_limit"] and can_limit("pids_limit", info):
        # The one limit that the engine's client can't change.
        verdict.action = "swap"
        verdict.why.append(
            "pids_limit is %d instead of %d" % (current["pids_limit"], wanted["pids_limit"])
        )
        return verdict
    _mend(verdict, wanted, current, info)
    return verdict


def _mend(verdict, wanted, current, info):
    for key in ("memory", "cpu_shares", "restart_policy"):
        if current[key] != wanted[key] and can_limit(key, info):
            verdict.why.append("%s is %s instead of %s" % (key, current[key], wanted[key]))
            verdict.mends = ["update"]
    if sorted(current["addresses"]) != sorted(wanted["networks"] or ["none"]):
        verdict.why.append(
            "it is in the networks %s instead of %s"
            % (", ".join(sorted(current["addresses"])) or "(none)", ", ".join(wanted["networks"]))
        )
        verdict.mends.append("networks")
    if current["state"] == "paused":
        verdict.why.append("it is paused")
        verdict.mends.append("unpause")
    elif current["state"] not in RUNS:
        verdict.why.append("it is %s" % current["state"])
        verdict.mends.append("start")
    elif current["state"] == "restarting" or (wanted["wait"] and current["health"] == "unhealthy"):
        verdict.why.append("it is %s" % (current["health"] or current["state"]))
        verdict.mends.append("restart")
    if verdict.mends:
        verdict.action = "mend"


def _is_proven(wanted, current):
    # One that has no health check and crashes is running most of the time, too.
    return current["state"] == "running" and (not wanted["wait"] or current["health"] == "healthy")


def can_limit(key, info):
    """Whether this host's kernel can set the limit; what it can't is not compared, or it would differ in every run."""
    return key not in LIMITS or info.get(LIMITS[key]) is not False


def unlimited(info):
    """Sentences about the limits that this host's kernel can't set."""
    missing = sorted(key for key in LIMITS if not can_limit(key, info))
    if not missing:
        return []
    return [
        "the kernel of this host can't limit %s, so containers run without it"
        % ", ".join(key.replace("_", " ") for key in missing)
    ]


def surplus(rows, stack, roles, names):
    """Names of the stack's containers with one of the roles that nobody wants any more, those aside left alone."""
    return sorted(
        name
        for name, row in rows.items()
        if row["stack"] == stack
        and row["role"] in roles
        and name not in names
        and not description.ASIDE.search(name)
    )


def lines(rows, names):
    """The containers as Ansible shows a diff: one line each, without environment."""
    shown = []
    for name in sorted(names):
        row = rows.get(name)
        if row is not None:
            shown.append(
                "%s: %s, image %s, description %s, memory %d, cpu_shares %d, restart %s, networks %s\n"
                % (
                    name,
                    row["state"],
                    row["image"],
                    row["spec"][:12],
                    row["memory"],
                    row["cpu_shares"],
                    row["restart_policy"],
                    ",".join(sorted(row["addresses"])),
                )
            )
    return "".join(shown)


def after(verdict, rows):
    """The rows as they are when the verdict was carried out, as far as that can be known before."""
    changed = {name: row for name, row in rows.items() if name not in verdict.leftovers}
    changed.pop(verdict.name + description.PREVIOUS, None)
    if verdict.changes:
        wanted = verdict.wanted
        changed[verdict.name] = {
            "state": "running",
            "image": wanted["image"],
            "spec": verdict.spec,
            "memory": wanted["memory"],
            "cpu_shares": wanted["cpu_shares"],
            "restart_policy": wanted["restart_policy"],
            "addresses": dict.fromkeys(wanted["networks"] or ["none"], ""),
        }
    return changed
