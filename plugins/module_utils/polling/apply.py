# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the steps of a plan (plan.py), and takes them back where the holder can't be brought up."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import live
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan

POLL_SECONDS = 0.1


class ApplyError(Exception):
    """A step failed; the message says which, and what to do."""


class Applier:
    """Takes steps on one host.

    client: docker.APIClient. engine_errors, not_found: what it raises. delete_webhook: called
    without arguments. stop_timeout: seconds between SIGTERM and SIGKILL. stopped: what was put out
    of the way, as entries that restore() takes.
    """

    def __init__(self, client, engine_errors, not_found, delete_webhook, stop_timeout):
        self._client = client
        self._engine_errors = engine_errors
        self._not_found = not_found
        self._delete_webhook = delete_webhook
        self._stop_timeout = stop_timeout
        self.stopped = []
        self.started = []
        self.last_stop_at = None

    def apply(self, steps):
        """All steps: first all that stops, side by side, the holder last; then all else in order."""
        stops = [step for step in steps if step["action"] in ("disable", "terminate")]
        self._stop([step for step in stops if step["role"] != "holder"])
        self._stop([step for step in stops if step["role"] == "holder"])
        for step in steps:
            if step not in stops:
                self._take(step)

    def _stop(self, steps):
        if not steps:
            return
        # All restart policies before the first signal: what is killed must not come back meanwhile.
        for step in steps:
            if step["action"] == "disable" and step["restart_policy"] != "no":
                self._do(
                    step, lambda step=step: live.restart_policy(self._client, step["id"], "no")
                )
        self.last_stop_at = time.time()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for result in [pool.submit(self._stop_one, step) for step in steps]:
                result.result()

    def _stop_one(self, step):
        entry = {
            key: step[key]
            for key in (
                "kind",
                "id",
                "pid",
                "name",
                "state",
                "restart_policy",
                "auto_remove",
                "new_name",
                "role",
                "unit",
            )
            if key in step
        }
        entry["stopped_at"] = time.time()
        self.stopped.append(entry)
        if step["action"] == "terminate":
            terminate(step["pid"], step["started"], self._stop_timeout)
        else:
            self._do(step, lambda: self._disable(step))

    def _disable(self, step):
        if step["state"] == "paused":
            # A signal that is not deadly would wait until it goes on; the engine lets it go on only to die.
            live.kill(self._client, step["id"])
        if step["state"] != "created":
            self._client.stop(step["id"], timeout=self._stop_timeout)
        try:
            if step["new_name"] != step["name"]:
                self._client.rename(step["id"], step["new_name"])
        except self._not_found:
            # Made with --rm, it is gone by now.
            pass

    def _take(self, step):
        action = step["action"]
        if action == "delete_webhook":
            self._delete_webhook()
            return
        if action == "rename":
            self._do(step, lambda: self._client.rename(step["id"], step["new_name"]))
            self.started.append(dict(step))
            return
        calls = {
            "start": lambda: self._client.start(step["id"]),
            "unpause": lambda: live.unpause(self._client, step["id"]),
            "restart": lambda: self._client.restart(step["id"], timeout=self._stop_timeout),
        }
        self.started.append(dict(step))
        if action == "restart":
            # From here on, nobody polls.
            self.last_stop_at = time.time()
        self._do(step, calls[action])

    def _do(self, step, call):
        try:
            return call()
        except self._not_found:
            if step["action"] == "disable":
                return None
            raise ApplyError(
                "Container %s is gone since it was looked at. Run this again." % step["name"]
            ) from None
        except self._engine_errors as error:
            raise ApplyError(
                "The engine refuses to %s container %s: %s" % (step["action"], step["name"], error)
            ) from error

    def take_back(self):
        """The opposite of apply(): what it started is stopped and gets its name back, then one poller runs again.

        Returns the restored entry, or None when there was none to restore.
        """
        best = polling_plan.best_to_restore(self.stopped)
        renamed = [step["id"] for step in self.started if step["action"] == "rename"]
        for step in reversed(self.started):
            # A holder that has nobody to make way for is left to its restart policy: it may recover.
            if best is not None or step["id"] in renamed:
                try:
                    self._take_one_back(step)
                except self._not_found:
                    continue
                except self._engine_errors as error:
                    raise ApplyError(
                        "The engine can't take back the step %s of container %s: %s"
                        % (step["action"], step["name"], error)
                    ) from error
        if best is not None:
            self.restore(best)
        return best

    def _take_one_back(self, step):
        if step["action"] == "rename":
            self._client.rename(step["id"], step["name"])
            return
        policy = self._client.inspect_container(step["id"])["HostConfig"]["RestartPolicy"]
        if policy.get("Name") == "always":
            # The one policy that starts again, with the engine, what was stopped.
            live.restart_policy(self._client, step["id"], "unless-stopped")
        self._client.stop(step["id"], timeout=self._stop_timeout)

    def restore(self, entry):
        """Puts one that was stopped back: its name, its restart policy, running."""
        step = dict(entry, action="start again")
        self._do(step, lambda: self._restore(entry))

    def _restore(self, entry):
        if self._client.inspect_container(entry["id"])["Name"].lstrip("/") != entry["name"]:
            self._client.rename(entry["id"], entry["name"])
        if entry["restart_policy"] != "no":
            live.restart_policy(self._client, entry["id"], entry["restart_policy"])
        self._client.start(entry["id"])


def terminate(pid, started, timeout):
    """SIGTERM, and after timeout seconds SIGKILL, for the process that began at `started` and no other with its pid."""

    def lives():
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            return False
        return fields[0] != "Z" and fields[19] == started

    for number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 5)):
        if not lives():
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while lives() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if lives():
        raise ApplyError("Process %d does not end, not even by SIGKILL. Look at it by hand." % pid)
