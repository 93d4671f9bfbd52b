# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that the holder polls and that nobody else does, without a getUpdates of its own."""

from __future__ import annotations

import calendar
import json
import os
import time

from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import log as polling_log

POLL_SECONDS = 0.25
# A conflict is answered up to 3 s late (the Bot API's rule), also to a holder whose rival is gone.
LATE_SECONDS = 4
# Frameworks wait up to 63 s between two tries: after so long without a conflict, the rival is gone.
QUIET_SECONDS = 70
LOOK_BACK_SECONDS = 120
# Without a health check, a container that lives so long did not crash at its start.
ALIVE_SECONDS = 3
MAX_LOG_LINES = 2000
MAX_HEARTBEAT_BYTES = 64 * 1024
HEARTBEAT = "/tmp/aisha-heartbeat.json"  # noqa: S108 # nosec: a path in the container
CONFLICTS = ("conflict", "webhook_conflict")
LONGER = "; where it only needs longer, raise healthy_timeout (bot_wait_timeout)"


class ProofError(Exception):
    """The holder does not poll, or somebody else does; the message says what to do."""


def epoch(timestamp):
    """Seconds since 1970 of a time as the engine writes it, RFC 3339 in UTC; 0.0 for "never"."""
    seconds, _separator, fraction = timestamp.rstrip("Z").partition(".")
    if seconds.startswith("0001-"):
        return 0.0

    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) + float(
        "0." + (fraction or "0")
    )


def heartbeat(inspection):
    """The facts that a primary of this collection writes while it polls; {} for other containers.

    Keys, see images/bot/app/bot/poller.py: last_success and last_conflict in seconds since 1970,
    conflicts since its start.
    """
    pid = inspection["State"].get("Pid")
    path = HEARTBEAT
    for item in inspection["Config"].get("Env") or ():
        name, _separator, value = item.partition("=")
        if name == "HEARTBEAT_FILE" and value:
            path = value
    if not pid or ".." in path:
        return {}
    try:
        descriptor = os.open(
            "/proc/%d/root%s" % (pid, path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
        )
        with os.fdopen(descriptor, "rb") as file:
            return dict(json.loads(file.read(MAX_HEARTBEAT_BYTES))["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_events(client, container_id, token, since):
    """What the container's log says about polling since then, as polling_log.Event."""
    raw = client.logs(
        container_id, timestamps=True, since=int(since) or None, tail=MAX_LOG_LINES
    ).decode("utf-8", "replace")
    lines = polling_log.split_engine_log(raw)
    return [event for event in polling_log.events(lines) if event.at >= since]


def last_lines(client, container_id, token, lines=20):
    """The end of a container's log, without secrets."""
    return token.scrub(client.logs(container_id, tail=lines).decode("utf-8", "replace")).strip()


def evidence(client, inspection, token, since):
    """What a holder shows about its polling.

    Returns {"healthy", "polling_since", "conflicts", "last_conflict", "conflict_text", "problem"}:
    conflicts are those since `since`; polling_since is the first sign after its start, or None.
    """
    started = epoch(inspection["State"]["StartedAt"])
    # Asked for the log of a container that never ran, the engine makes it one.
    events = read_events(client, inspection["Id"], token, started) if started else []
    signs = [event.at for event in events if event.kind == "polling"]
    facts = heartbeat(inspection)
    if facts.get("last_success"):
        signs.append(facts["last_success"])
    conflicts = [event for event in events if event.kind in CONFLICTS and event.at >= since]
    refused = [event for event in events if event.kind == "unauthorized" and event.at >= since]
    return {
        "polling_since": min(signs) if signs else None,
        "last_success": facts.get("last_success"),
        "conflicts": len(conflicts),
        "last_conflict": conflicts[-1].at if conflicts else None,
        "conflict_text": token.scrub(conflicts[-1].text) if conflicts else "",
        "refused": token.scrub(refused[-1].text) if refused else "",
    }


class Proof:
    """Watches one holder.

    client: docker.APIClient. name: the holder. token: Token. host: for the messages. webhook: from
    nothing to (url, pending), or None where the Bot API is not to be asked.
    """

    def __init__(self, client, name, token, host, webhook):
        self._client = client
        self._name = name
        self._token = token
        self._host = host
        self._webhook = webhook

    def wait_until_it_polls(self, seconds, since):
        """Waits until the holder runs and is healthy; returns its inspection. ProofError where it is not.

        since: seconds since 1970; conflicts before it had a rival that is gone.
        """
        deadline = time.monotonic() + seconds
        first = self._client.inspect_container(self._name)
        while True:
            inspection = self._client.inspect_container(self._name)
            state = inspection["State"]
            crashed = state["Status"] in ("exited", "dead", "restarting") or (
                inspection["RestartCount"] > first["RestartCount"]
            )
            if crashed:
                raise ProofError(
                    "%s: the holder %s ends at its start (exit code %d%s). Its last log lines:\n%s"
                    % (
                        self._host,
                        self._name,
                        state["ExitCode"],
                        ", killed for want of memory" if state.get("OOMKilled") else "",
                        self._said(inspection),
                    )
                )
            health = (state.get("Health") or {}).get("Status")
            if state["Status"] == "running":
                alive = time.time() - epoch(state["StartedAt"])
                if health in (None, "none") and alive >= ALIVE_SECONDS:
                    return inspection
                if health == "healthy":
                    return inspection
            if time.monotonic() > deadline:
                found = evidence(
                    self._client, inspection, self._token, max(since, epoch(state["StartedAt"]))
                )
                if found["conflicts"]:
                    raise ProofError(self._outside(found))
                raise ProofError(
                    "%s: the holder %s is not healthy within %d s (%s)%s. Its last log lines:\n%s"
                    % (
                        self._host,
                        self._name,
                        seconds,
                        self._health(state),
                        LONGER if health == "starting" else "",
                        self._said(inspection),
                    )
                )
            time.sleep(POLL_SECONDS)

    def confirm(self, since, window, changed):
        """Watches until `window` seconds after `since`; ProofError on a conflict or where updates pile up.

        since: seconds since 1970; conflicts before it had a rival that is gone. changed: whether this
        run changed anything. If not, somebody else may have ended a rival a moment ago: what was
        before this call does not count, but it must be quiet for 70 s then.
        Returns evidence() with "pending_updates".
        """
        pending = []
        end = since + window
        begin = since if changed else time.time()
        while True:
            inspection = self._client.inspect_container(self._name)
            state = inspection["State"]
            if state["Status"] != "running":
                raise ProofError(
                    "%s: the holder %s does not run any more (%s). Its last log lines:\n%s"
                    % (self._host, self._name, state["Status"], self._said(inspection))
                )
            found = evidence(self._client, inspection, self._token, since)
            last = found["last_conflict"] or 0
            if last >= begin:
                raise ProofError(self._outside(found))
            end = max(end, last + QUIET_SECONDS)
            if found["refused"]:
                raise ProofError(
                    "%s: the Bot API refuses the token of the holder %s: %s. Give it the token that BotFather "
                    "shows now." % (self._host, self._name, found["refused"])
                )
            if self._webhook is not None:
                url, count = self._webhook()
                if url:
                    raise ProofError(
                        "A webhook was set while the holder started (%s): something else uses this token. Find it, "
                        "or let BotFather make a new token." % url
                    )
                pending.append(count)
            left = end - time.time()
            if left <= 0:
                break
            time.sleep(min(left, max(1.0, window / 8)))
        # One update may be on its way at any look; a queue that nobody empties grows again and again.
        rises = sum(pending[n] > pending[n - 1] for n in range(1, len(pending)))
        piled = rises >= 3 and pending == sorted(pending)
        if piled and not (found["last_success"] or 0) > since:
            raise ProofError(
                "%s: the holder %s runs, but updates pile up at the Bot API (%d, then %d), so it does not poll. "
                "Look at its log." % (self._host, self._name, pending[0], pending[-1])
            )
        return dict(found, pending_updates=pending[-1] if pending else None)

    def _outside(self, found):
        return (
            "%s: nothing else that this run looked at polls, and yet the holder %s gets conflicts (%d, the last: %s). "
            "The token is in use outside this fleet. Find who uses it (an old server, a laptop, a test), or let "
            "BotFather revoke it (/revoke), set the new one, and run this again."
            % (self._host, self._name, found["conflicts"], found["conflict_text"])
        )

    def _health(self, state):
        log = (state.get("Health") or {}).get("Log") or []
        said = self._token.scrub(log[-1]["Output"]).strip() if log else "no health check ran yet"
        return "%s; %s" % (state["Status"], said)

    def _said(self, inspection):
        return last_lines(self._client, inspection["Id"], self._token) or "(none)"
