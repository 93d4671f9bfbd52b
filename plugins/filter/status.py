# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says how the hosts of a stack are: one table, who polls, what is not well."""

from __future__ import annotations

import re
import time

STATUS_ROW = "%-9s %-18s %-14s %-34s %-10s %-10s %-20s %s"
POLLER_ROW = "%-9s %-16s %-34s %-11s %-15s %-11s %s"
# NAME.disabled-ID, NAME.next, NAME.previous: out of the way, and started by nobody but who put them there.
ASIDE = re.compile(r"\.(disabled-[0-9a-f]{12}|next|previous)$")


def _is_aside(row):
    return bool(ASIDE.search(row["name"])) and row["state"] not in ("running", "restarting")


def _short(image):
    image = re.sub(r"^.*/([^/@:]+)[^@]*@sha256:(.{12}).*$", r"\1@\2", image)
    return re.sub(r"^sha256:(.{12}).*$", r"\1", image)


def _row(layout, *columns):
    return (layout % columns).rstrip()


def status_table(hosts, results):
    """Every container of the stack on every host, as text. results: {host: {"found": result of host_info}}."""
    lines = [
        _row(
            STATUS_ROW,
            "SERVICE", "INSTANCE", "HOST", "IMAGE", "STATE", "HEALTH", "SINCE", "RESTARTS",
        )
    ]  # fmt: skip
    for host in hosts:
        found = results.get(host, {}).get("found") or {}
        engine = found.get("engine") or {}
        if not engine.get("reachable"):
            why = found.get("msg") or engine.get("error") or ""
            lines.append(_row(STATUS_ROW, "?", "?", host, "?", "unreachable", "", "", why))
            continue
        for each in found["containers"]:
            since = (each["started_at"] or "")[:19].replace("T", " ")
            state = (each["state"], each["health"], since, each["restarts"])
            lines.append(
                _row(STATUS_ROW, each["role"], each["name"], host, _short(each["image"]), *state)
            )
    return "\n".join(lines) + "\n"


def _counted(number, one, many):
    return "%d %s" % (number, one if number == 1 else many)


def poller_status(hosts, results):
    """Who polls, who may, and what the Bot API says. results: {host: {"found": result of polling_singleton_info}}."""
    seen = {host: results.get(host, {}).get("found") or {} for host in hosts}
    looked = [found for found in seen.values() if "findings" in found]
    polling = [
        each
        for found in looked
        for each in found["pollers"]
        if each["state"] in ("running", "restarting")
    ]
    suspects = [each for found in looked for each in found["suspects"]]
    lines = [
        "%s, %s of the token"
        % (
            _counted(len(polling), "of this stack polls", "of this stack poll"),
            _counted(len(suspects), "unknown holder", "unknown holders"),
        ),
        _row(POLLER_ROW, "PART", "HOST", "NAME", "STATE", "RESTARTS", "TOKEN", "FOUND IN"),
    ]
    for host, found in seen.items():
        if "findings" not in found:
            lines.append(
                _row(POLLER_ROW, "?", host, found.get("msg") or "unreachable", "", "", "", "")
            )
        lines += [_finding(host, each) for each in found.get("findings", []) if each["live"]]
    asked = [found for found in looked if found["webhook"] is not None]
    if asked:
        lines.append(
            "webhook: %s, %s pending updates"
            % (asked[0]["webhook"] or "none", asked[0]["pending_updates"])
        )
    lines += [
        _polls(found) for found in asked if found.get("holder") and found.get("polling_since")
    ]
    return "\n".join(lines) + "\n"


def _finding(host, each):
    name = each["name"] + (" (pid %s)" % each["pid"] if each["kind"] == "process" else "")
    return _row(
        POLLER_ROW,
        "poller" if each["role"] == "holder" else each["role"],
        host,
        name,
        each["state"],
        each["restart_policy"],
        "this" if each["same_token"] else "older",
        "%s %s" % (each["where"], each["field"]),
    )


def _polls(found):
    conflicts = found["conflicts"]
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(found["polling_since"]))
    return "%s on %s polls since %s UTC, %d conflicts in the last 2 minutes%s" % (
        found["holder"]["name"],
        found["holder"]["host"],
        since,
        conflicts["count"],
        ": " + conflicts["text"] if conflicts["count"] else "",
    )


def _is_well(row):
    # A container without a health check shows nothing but that it runs.
    return row["state"] == "running" and row["health"] in ("healthy", "")


def host_problems(found, host):
    """What is not well on one host, from host_info: sentences. What is aside is none of it."""
    if not found["engine"]["reachable"]:
        return ["%s: the Docker Engine does not answer: %s" % (host, found["engine"]["error"])]
    if not found["containers"]:
        return ["%s: no container of the stack runs here." % host]
    sick = [
        "%s (%s)" % (row["name"], ", ".join(each for each in (row["state"], row["health"]) if each))
        for row in found["containers"]
        if not _is_well(row) and not _is_aside(row)
    ]
    return ["%s: not healthy: %s." % (host, ", ".join(sick))] if sick else []


def primary_problems(results):
    """That the fleet has not exactly one primary: a sentence, or none. One engine may be several hosts."""
    primaries = {}
    for host, found in results.items():
        for row in (found.get("found") or {}).get("containers") or []:
            if row["role"] == "primary" and not _is_aside(row):
                primaries.setdefault(row["id"], "%s on %s" % (row["name"], host))
    if len(primaries) == 1:
        return []
    listed = ": " + ", ".join(primaries.values()) if primaries else ""
    return ["%d primaries instead of one%s." % (len(primaries), listed)]


class FilterModule:
    """The filters."""

    def filters(self):
        """By their names."""
        return {
            "host_problems": host_problems,
            "poller_status": poller_status,
            "primary_problems": primary_problems,
            "status_table": status_table,
        }
