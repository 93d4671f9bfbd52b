# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides who may poll: a pure function from what was observed and what is wanted to steps.

observe (containers.py, processes.py) -> plan (here) -> apply (apply.py).
"""

from __future__ import annotations

import fnmatch

# States from which a container polls, or may do so without anybody's hand on it.
LIVE = ("running", "paused", "restarting", "created")
CAN_COME_BACK = ("exited", "dead")
# Who may be started again when the holder can't be brought up, the best first. A suspect never polled by right.
RANK = {"holder": 0, "poller": 1}


class Desired:
    """What is wanted on this host.

    name: value of the label aisha.bot_stack.name. holder: name of the container that may poll here,
    or "". successor: name of a container that takes its name and place, or "". state: "present" or
    "absent". suspects: "fail", "stop" or "report". allowed: patterns of names. webhook: "fail",
    "delete" or "ignore". restart: whether a holder that runs is started anew.
    """

    def __init__(
        self,
        name,
        holder="",
        successor="",
        state="present",
        suspects="fail",
        allowed=(),
        webhook="fail",
        restart=False,
    ):
        self.restart = restart
        self.name = name
        self.holder = holder if state == "present" else ""
        # Where nobody may poll, the one that is named is a poller like others.
        self.retired = "" if state == "present" else holder
        self.successor = successor if state == "present" else ""
        self.state = state
        self.suspects = suspects
        self.allowed = tuple(allowed)
        self.webhook = webhook


class Plan:
    """Steps in their order, and what stands against them.

    steps: list of {"action", "kind", "id" or "pid", "name", …}, see the functions below.
    problems: sentences; with any of them, nothing may be done. warnings: sentences.
    containers: the rows that it is about, with holder and successor.
    """

    def __init__(self, findings, steps, problems, warnings, containers):
        self.findings = findings
        self.containers = containers
        self.steps = steps
        self.problems = problems
        self.warnings = warnings

    def by_role(self, *roles):
        """Live findings with one of the roles."""
        return [found for found in self.findings if found["role"] in roles and found["live"]]


def disabled_name(container):
    """The name under which a container is out of the way: its own, and what tells it from the next one."""
    mark = ".disabled-" + container["id"][:12]
    return container["name"] if container["name"].endswith(mark) else container["name"] + mark


def is_live(row):
    """Whether it polls or can come back without anybody's hand."""
    if "pid" in row and "id" not in row:
        return True
    if row["state"] == "created":
        # Made by us to be out of the way, it stays as it is.
        return row["name"] != disabled_name(row) or row["restart_policy"] != "no"
    if row["state"] in LIVE:
        return True
    return row["state"] in CAN_COME_BACK and row["restart_policy"] != "no"


def role_of(row, desired):
    """Which part a container plays: holder, poller, worker, webhook, suspect or allowed."""
    if desired.holder and row["name"] == desired.holder:
        return "holder"
    if desired.successor and row["name"] == desired.successor:
        # Not started before the holder has gone; plan() refuses one that runs.
        return "allowed"
    if desired.retired and row["name"] == desired.retired:
        return "poller"
    if any(fnmatch.fnmatchcase(row["name"], pattern) for pattern in desired.allowed):
        return "allowed"
    if row["stack_role"] and row["stack"] == desired.name and row["bot_role"] == "primary":
        return "poller"
    if row["stack_role"] in ("worker", "webhook"):
        return row["stack_role"]
    if row["stack_role"] == "primary":
        return "poller" if row["stack"] == desired.name else "suspect"
    return "allowed" if row["stack_role"] else "suspect"


def findings_of(containers, processes, desired, host):
    """Each row as a finding: whose it is, where the token is, never the token."""
    findings = []
    for row in containers:
        finding = {
            "kind": "container",
            "host": host,
            "name": row["name"],
            "id": row["id"],
            "state": row["state"],
            "role": role_of(row, desired),
            "restart_policy": row["restart_policy"],
            "auto_remove": row["auto_remove"],
            "live": is_live(row),
        }
        findings.append(_with_places(finding, row["places"]))
    for row in processes:
        allowed = any(fnmatch.fnmatchcase(row["name"], pattern) for pattern in desired.allowed)
        finding = {
            "kind": "process",
            "host": host,
            "name": row["name"],
            "pid": row["pid"],
            "started": row["started"],
            "unit": row["unit"],
            "state": row["state"],
            "role": "allowed" if allowed else "suspect",
            "restart_policy": "",
            "live": True,
        }
        findings.append(_with_places(finding, row["places"]))
    return sorted(findings, key=lambda found: (found["kind"], found["name"], found.get("pid", 0)))


def _with_places(finding, places):
    first = places[0] if places else {"where": "label", "field": "", "same_token": False}
    return dict(finding, also=places[1:], **first)


def describe(finding):
    """One finding in words."""
    what = "%s %s" % (finding["kind"], finding["name"])
    if finding["kind"] == "process":
        what += " (pid %d%s)" % (finding["pid"], ", " + finding["unit"] if finding["unit"] else "")
    else:
        what += " (%s, restart policy %s)" % (finding["state"], finding["restart_policy"])
    return "%s: %s in %s %s" % (
        what,
        "this token" if finding["same_token"] else "another token of this bot",
        finding["where"],
        finding["field"],
    )


def plan(containers, processes, holder, successor, webhook_url, desired, host):
    """The steps from what was observed to what is wanted.

    containers, processes: rows that hold the token. holder, successor: rows of these containers,
    whether they hold it or not, or None. webhook_url: scrubbed, "" for none, None where it was not
    asked for. Pure: the same arguments give the same plan, and the plan of a state that a plan has
    reached has no steps.
    """
    rows = [row for row in containers if row["state"] != "removing"]
    for known in (holder, successor):
        if known is not None and known["id"] not in [row["id"] for row in rows]:
            rows.append(dict(known, places=[]))
    findings = findings_of(rows, processes, desired, host)
    problems = []
    warnings = []
    steps = []

    suspects = [found for found in findings if found["role"] == "suspect" and found["live"]]
    unwanted = [found for found in findings if found["role"] == "poller" and found["live"]]
    if suspects:
        _judge_suspects(suspects, desired, host, problems, warnings)
        if desired.suspects == "stop":
            unwanted += suspects
    services = {row["id"]: row["service"] for row in rows if row["service"]}
    replaced = [holder] if desired.successor and successor and holder else []
    for found in unwanted + replaced:
        if services.get(found.get("id")):
            problems.append(
                "%s: container %s belongs to the Swarm service %s, which would start another one. "
                "Run docker service scale %s=0, then run this again."
                % (host, found["name"], services[found["id"]], services[found["id"]])
            )
    if desired.state == "present" and desired.holder:
        _judge_holder(holder, successor, webhook_url, desired, host, problems)

    for found in unwanted:
        steps += _out_of_the_way(found)
    if desired.holder and webhook_url and desired.webhook == "delete":
        steps.append({"action": "delete_webhook", "kind": "webhook", "name": webhook_url})
    if desired.holder and (holder or successor) and not problems:
        steps += _bring_up(holder, successor, desired)
    return Plan(findings, [] if problems else steps, problems, warnings, rows)


def _judge_suspects(suspects, desired, host, problems, warnings):
    listed = "; ".join(describe(found) for found in suspects)
    if desired.suspects == "fail":
        problems.append(
            "%s: %d unknown holder%s of the bot's token, which may poll with it: %s. Stop what must not "
            "poll, or say suspects: stop; name what may hold the token in allowed."
            % (host, len(suspects), "" if len(suspects) == 1 else "s", listed)
        )
    elif desired.suspects == "report":
        warnings.append(
            "%s: may poll with the bot's token, and was left alone: %s." % (host, listed)
        )


def _judge_holder(holder, successor, webhook_url, desired, host, problems):
    if desired.successor:
        if successor is None and holder is None:
            problems.append(
                "%s: neither the holder %s nor its successor %s exists. Create one of them, not started, "
                "before this runs." % (host, desired.holder, desired.successor)
            )
    elif holder is None:
        problems.append(
            "%s: the holder %s does not exist. Check the name in holder, or create the container, "
            "not started, before this runs." % (host, desired.holder)
        )
    for row in (holder, successor):
        if row is not None and row["state"] == "removing":
            problems.append(
                "%s: container %s is being removed. Run this again when it is gone."
                % (host, row["name"])
            )
    if successor is not None and successor["state"] not in ("created", "exited", "removing"):
        problems.append(
            "%s: the successor %s is %s; it must be created and not started. Remove it, and create it again."
            % (host, desired.successor, successor["state"])
        )
    if holder is not None and holder["state"] == "dead" and successor is None:
        problems.append(
            "%s: the engine could not remove the holder %s and calls it dead. Remove it with docker rm -f, "
            "and create it again." % (host, desired.holder)
        )
    if webhook_url and desired.webhook == "fail":
        problems.append(
            "A webhook is set (%s), and the Bot API answers no getUpdates while there is one. Say "
            "webhook: delete to remove it; pending updates stay." % webhook_url
        )


def _out_of_the_way(found):
    if found["kind"] == "process":
        return [
            {
                "action": "terminate",
                "kind": "process",
                "pid": found["pid"],
                "started": found["started"],
                "unit": found["unit"],
                "name": found["name"],
                "role": found["role"],
            }
        ]
    return [
        {
            "action": "disable",
            "kind": "container",
            "id": found["id"],
            "name": found["name"],
            "state": found["state"],
            "restart_policy": found["restart_policy"],
            "auto_remove": found["auto_remove"],
            "new_name": disabled_name(found),
            "role": found["role"],
        }
    ]


def _bring_up(holder, successor, desired):
    steps = []
    if successor is not None and desired.successor:
        if holder is not None:
            steps.append(
                {
                    "action": "disable",
                    "kind": "container",
                    "id": holder["id"],
                    "name": holder["name"],
                    "state": holder["state"],
                    "restart_policy": holder["restart_policy"],
                    "auto_remove": holder["auto_remove"],
                    "new_name": disabled_name(holder),
                    "role": "holder",
                }
            )
        steps.append(_step("rename", successor, new_name=desired.holder))
        steps.append(_step("start", dict(successor, name=desired.holder)))
        return steps
    if holder["state"] == "paused":
        steps.append(_step("unpause", holder))
    elif holder["state"] in ("created", "exited"):
        steps.append(_step("start", holder))
    elif holder["state"] == "running" and (desired.restart or holder["health"] == "unhealthy"):
        steps.append(_step("restart", holder))
    return steps


def _step(action, row, **more):
    return dict(
        {"action": action, "kind": "container", "id": row["id"], "name": row["name"]}, **more
    )


def after(step, containers, processes):
    """The rows as they are when the step is done: how properties of a plan are tested, and its diff is made."""
    if step["action"] == "terminate":
        return containers, [row for row in processes if row["pid"] != step["pid"]]
    changed = []
    for row in containers:
        if step["kind"] == "container" and row["id"] == step["id"]:
            row = _changed(step, row)
        if row is not None:
            changed.append(row)
    return changed, processes


def _changed(step, row):
    action = step["action"]
    if action == "disable":
        if row["auto_remove"] and row["state"] not in ("created", "exited", "dead"):
            return None
        stopped = "created" if row["state"] == "created" else "exited"
        return dict(row, state=stopped, health="", restart_policy="no", name=step["new_name"])
    if action == "rename":
        return dict(row, name=step["new_name"])
    return dict(row, state="running", health="healthy" if row["health"] else "")


def best_to_restore(stopped):
    """The one of the stopped that is started again when the holder can't be brought up, or None.

    stopped: entries of one host or of several. Only one, or there would be several pollers: by role first,
    then who stopped last. Never a suspect; never a process, which nobody here knows how to start; nor what
    was aside, did not run or, made with --rm, is gone.
    """
    candidates = [
        entry
        for entry in stopped
        if entry["kind"] == "container"
        and entry["role"] in RANK
        and entry["state"] in ("running", "restarting")
        and not entry.get("auto_remove")
        and entry.get("new_name") != entry["name"]
    ]
    return min(
        candidates,
        key=lambda entry: (RANK[entry["role"]], -entry.get("stopped_at", 0.0), entry["name"]),
        default=None,
    )


def diff(made, processes):
    """Before and after of the steps, as Ansible shows a diff."""
    containers = made.containers
    before = _lines(containers, processes)
    for step in made.steps:
        containers, processes = after(step, containers, processes)
    return {"before": before, "after": _lines(containers, processes)}


def _lines(containers, processes):
    lines = [
        "container %s %s: %s, restart policy %s"
        % (row["id"][:12], row["name"], row["state"], row["restart_policy"])
        for row in sorted(containers, key=lambda row: row["id"])
    ]
    lines += ["process %d %s: %s" % (row["pid"], row["name"], row["state"]) for row in processes]
    return "".join(line + "\n" for line in lines)
