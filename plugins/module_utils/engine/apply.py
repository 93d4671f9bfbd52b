# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that creates, swaps, restarts, puts aside and removes containers.

Each verdict (plan.py) is carried out in turn; the first failure ends the list, and what follows was not touched.
"""

from __future__ import annotations

import contextlib
import time

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    connection,
    description,
    live,
    plan,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import outcome as outcomes
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine.host_facts import describe

LOOK_SECONDS = 0.25
# Without a health check, a container that runs so long without a restart did not crash at its start.
SETTLE_SECONDS = 5
# With one it may end a few times, because what it needs starts at the same time.
MOST_RESTARTS = 3
LOG_LINES = 20
LONGER = "; where it only needs longer, raise its wait_timeout (bot_wait_timeout and the like)"
REMOVAL_SECONDS = 60


class ApplyError(Exception):
    """A container could not be brought up or removed; the message says which, why, and what runs now."""


class NotWell(Exception):
    """A container that was started does not run as it should; the message says why."""


class Applier:
    """Changes the containers of one host.

    client: docker.APIClient. stack: value of the label aisha.bot_stack.name. host: its name, for messages.
    scrub: from a text to the same without secrets. see_to_volumes: called with the description of a container that was
    created and not started; it raises ApplyError where the container could not write its volumes.
    """

    def __init__(self, client, stack, host, scrub, see_to_volumes=None):
        self._see_to_volumes = see_to_volumes or (lambda wanted: None)
        self._client = client
        self._stack = stack
        self._host = host
        self._scrub = scrub
        version = client.api_version.split(".")
        self._api_version = tuple(int(part) for part in version)

    def provide_images(self, images, info):
        """Pulls what this host does not have; returns warnings. ApplyError where one can't be had."""
        warnings = []
        for image in sorted(set(images)):
            found = self.image(image)
            if found is None:
                self._pull(image)
                found = self.image(image)
            if found is None:
                raise ApplyError(
                    "%s has no image %s, and its registry gives none." % (self._host, image)
                )
            engine = outcomes.processor(info.get("Architecture"))
            made_for = outcomes.processor(found.get("Architecture"))
            if made_for and engine and made_for != engine:
                warnings.append(
                    "the image %s is for %s, and this host is %s"
                    % (image, found["Architecture"], engine)
                )
        return warnings

    def image(self, image):
        """The image as the engine inspects it, or None."""
        try:
            return self._client.inspect_image(image)
        except connection.NotFound:
            return None

    def _pull(self, image):
        if image.startswith("sha256:"):
            return
        try:
            self._client.pull(image)
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s can't pull %s: %s. Check that the registry answers, that it has the image and that this host may log "
                "in there." % (self._host, image, connection.reason(error))
            ) from error

    def carry_out(self, verdict, rows):
        """Brings one container to what it should be. ApplyError where that fails; what ran before runs again then."""
        for leftover in verdict.leftovers:
            self.remove(leftover, verdict.wanted["stop_timeout"])
        if verdict.put_back:
            rows = dict(rows, **{verdict.name: self._put_back(verdict, rows)})
        if verdict.action == "create":
            self._replace(verdict, rows.get(verdict.name), swap="create")
        elif verdict.action == "swap":
            self._replace(verdict, rows[verdict.name], swap=verdict.wanted["swap"])
        elif verdict.action == "mend":
            self._mend(verdict, rows[verdict.name])
        elif verdict.put_back:
            self._started(verdict.name, verdict)
        elif verdict.wanted["wait"] and plan.unsure(rows[verdict.name]):
            self._started(verdict.name, verdict, start=False)

    def create(self, wanted, spec, name):
        """Creates a container, not started, in all its networks; returns its ID."""
        created = None
        try:
            body = description.creation(
                wanted, self._stack, spec, self._api_version, self.image(wanted["image"])
            )
            created = self._client.create_container_from_config(body, name)
            for network in wanted["networks"][1:]:
                self._client.connect_container_to_network(
                    created["Id"], network, **_endpoint(wanted)
                )
        except connection.ENGINE_ERRORS as error:
            # Where it was not created, another one may have the name.
            if created is not None:
                self.remove(created["Id"], 0)
            raise ApplyError(
                "%s: the engine does not create container %s: %s"
                % (self._host, description.ASIDE.sub("", wanted["name"]), connection.reason(error))
            ) from error
        return created["Id"]

    def _replace(self, verdict, former, swap):
        wanted, name = verdict.wanted, verdict.name
        if swap == "create":
            if former is not None:
                self.remove(name, 0)
            self.create(wanted, verdict.spec, name)
            try:
                self._see_to_volumes(wanted)
                self._started(name, verdict)
            except ApplyError as error:
                self._quiet(name, wanted["stop_timeout"])
                raise ApplyError(
                    "%s\nIt is new here: it was stopped, and left for its log." % error
                ) from error
            return
        successor = name + description.NEXT
        if swap != "start_first" and _can_be_rehearsed(wanted):
            self._rehearse(verdict, successor)
        self.create(wanted, verdict.spec, successor)
        try:
            self._see_to_volumes(wanted)
            if swap == "start_first":
                # While it is aside, the engine must not start it again.
                live.restart_policy(self._client, successor, "no")
                self._started(successor, verdict)
        except (ApplyError, *connection.ENGINE_ERRORS) as error:
            self.remove(successor, wanted["stop_timeout"])
            raise ApplyError(
                "%s\nThe former one was not touched." % connection.reason(error)
            ) from error
        try:
            self._aside(name, wanted["stop_timeout"])
            self._client.rename(successor, name)
            if swap == "start_first":
                live.restart_policy(self._client, name, wanted["restart_policy"])
            else:
                self._started(name, verdict)
        except (ApplyError, *connection.ENGINE_ERRORS) as error:
            raise ApplyError(
                "%s\n%s" % (connection.reason(error), self._take_back(verdict, former, successor))
            ) from error
        self.remove(name + description.PREVIOUS, 0)

    def _rehearse(self, verdict, successor):
        """Starts the new one without its ports, while the old one has them, until it is well. ApplyError where it is not."""
        # Nobody is to find it by the name of the one that serves, and the engine must not start it again.
        wanted = dict(verdict.wanted, name=successor, publish=[], restart_policy="no")
        try:
            self.create(wanted, verdict.spec, successor)
            self._started(successor, verdict)
        except ApplyError as error:
            raise ApplyError("%s\nThe former one was not touched." % error) from error
        finally:
            self.remove(successor, wanted["stop_timeout"])

    def _aside(self, name, stop_timeout):
        """Stops the one that runs and gives it a name under which nothing starts it again."""
        try:
            self._stop(name, stop_timeout)
            self._client.rename(name, name + description.PREVIOUS)
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s: the engine does not stop container %s: %s"
                % (self._host, name, connection.reason(error))
            ) from error

    def _stop(self, name, stop_timeout):
        """By its own signal, which a paused one does not get; the engine does not start it again."""
        live.restart_policy(self._client, name, "no")
        if self._client.inspect_container(name)["State"].get("Paused"):
            live.unpause(self._client, name)
        self._client.stop(name, timeout=stop_timeout)

    def _quiet(self, name, stop_timeout):
        # The failure that led here is the one to tell.
        with contextlib.suppress(*connection.ENGINE_ERRORS):
            self._stop(name, stop_timeout)

    def _take_back(self, verdict, former, successor):
        """Puts the former one back after a failed swap; says how that went."""
        name = verdict.name
        try:
            self.remove(successor, verdict.wanted["stop_timeout"])
            if self._id(name) != former["id"]:
                self.remove(name, verdict.wanted["stop_timeout"])
                self._client.rename(former["id"], name)
            live.restart_policy(self._client, name, plan.policy(former))
            if not plan.ran(former):
                return "The former one (%s) was put back; it did not run before." % former["image"]
            self._client.start(name)
            self._wait(name, verdict.wanted, bool(former["health"]))
        except (ApplyError, NotWell, *connection.ENGINE_ERRORS) as error:
            return "The former one (%s) was put back, and is not well either: %s" % (
                former["image"],
                self._scrub(connection.reason(error)),
            )
        return "The former one (%s) was put back and is well." % former["image"]

    def _put_back(self, verdict, rows):
        former = rows[verdict.name + description.PREVIOUS]
        if verdict.name in rows:
            self.remove(verdict.name, verdict.wanted["stop_timeout"])
        try:
            self._client.rename(former["id"], verdict.name)
            live.restart_policy(self._client, verdict.name, former["declared_policy"])
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s: the engine does not put container %s back: %s"
                % (self._host, verdict.name, connection.reason(error))
            ) from error
        # It ran until that run stopped it.
        return dict(former, state="running", restart_policy=former["declared_policy"])

    def _id(self, name):
        """The ID of the container with this name, or nothing."""
        try:
            return self._client.inspect_container(name)["Id"]
        except connection.NotFound:
            return ""

    def _mend(self, verdict, current):
        wanted, name = verdict.wanted, verdict.name
        try:
            for mend in verdict.mends:
                if mend == "update":
                    live.update(
                        self._client,
                        name,
                        mem_limit=wanted["memory"],
                        memswap_limit=wanted["memory"],
                        cpu_shares=wanted["cpu_shares"],
                        restart_policy={"Name": wanted["restart_policy"]},
                    )
                elif mend == "networks":
                    for network in set(current["addresses"]) - set(wanted["networks"]):
                        self._client.disconnect_container_from_network(name, network)
                    for network in wanted["networks"]:
                        if network not in current["addresses"]:
                            self._client.connect_container_to_network(
                                name, network, **_endpoint(wanted)
                            )
                elif mend == "unpause":
                    live.unpause(self._client, name)
                elif mend == "start":
                    self._attach_anew(name, wanted)
                    self._see_to_volumes(wanted)
                elif mend == "restart":
                    self._client.restart(name, timeout=wanted["stop_timeout"])
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s: the engine does not %s container %s: %s"
                % (self._host, mend, name, connection.reason(error))
            ) from error
        self._started(name, verdict, start="start" in verdict.mends)

    def _attach_anew(self, name, wanted):
        """A stopped container does not start in a network that was removed and made again meanwhile."""
        joined = self._client.inspect_container(name)["NetworkSettings"]["Networks"]
        for network in wanted["networks"]:
            known = (joined.get(network) or {}).get("NetworkID")
            if known and known != self._client.inspect_network(network)["Id"]:
                self._client.disconnect_container_from_network(name, network)
                self._client.connect_container_to_network(name, network, **_endpoint(wanted))

    def restart(self, row, stop_timeout, wait_timeout):
        """Restarts one container and waits until it is well. ApplyError where it is not."""
        name = row["name"]
        try:
            if row["state"] == "paused":
                live.unpause(self._client, name)
            self._client.restart(name, timeout=stop_timeout)
            self._wait(name, {"wait_timeout": wait_timeout}, bool(row["health"]))
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s: the engine does not restart container %s: %s"
                % (self._host, name, connection.reason(error))
            ) from error
        except NotWell as error:
            raise ApplyError(self._sentence(name, error)) from error

    def remove(self, name, stop_timeout):
        """Removes a container, stopped by its own signal first; one that is gone is no error."""
        try:
            row = describe(self._client.inspect_container(name))
            problems = plan.foreign([row["name"]], {row["name"]: row}, self._stack)
            if problems:
                raise ApplyError("%s: %s." % (self._host, problems[0]))
            if row["state"] in plan.RUNS:
                self._stop(name, stop_timeout)
            self._remove(row["id"])
        except connection.NotFound:
            pass
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s: the engine does not remove container %s: %s"
                % (self._host, name, connection.reason(error))
            ) from error

    def _remove(self, container_id):
        """Until it is gone. Somebody else may be about to remove it; the engine calls that an error."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while True:
            try:
                # v: volumes that have no name of their own, and nobody else.
                self._client.remove_container(container_id, v=True, force=True)
                return
            except connection.ENGINE_ERRORS as error:
                under_way = "already in progress" in connection.reason(error)
                if not under_way or time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_SECONDS)

    def _started(self, name, verdict, start=True):
        """Starts it, and waits until it is well if that is wanted. ApplyError, with its log, where it is not."""
        try:
            if start:
                self._client.start(name)
            if verdict.wanted["wait"]:
                self._wait(name, verdict.wanted, None)
        except connection.ENGINE_ERRORS as error:
            raise ApplyError(
                "%s: the engine does not start container %s: %s"
                % (self._host, verdict.name, connection.reason(error))
            ) from error
        except NotWell as error:
            raise ApplyError(self._sentence(name, error)) from error

    def _wait(self, name, wanted, has_check):
        """Until it is healthy or, without a health check, has run for some seconds. NotWell where it is not."""
        deadline = time.monotonic() + wanted["wait_timeout"]
        before = self._client.inspect_container(name)
        first, since, ended, fell = before["RestartCount"], None, None, None
        while True:
            found = self._client.inspect_container(name)
            state, restarts = found["State"], found["RestartCount"] - first
            health = (state.get("Health") or {}).get("Status")
            checked = has_check or bool(state.get("Health"))
            now = time.monotonic()
            if state["Status"] in ("exited", "dead", "restarting"):
                # While it runs again, the engine says that it ended with 0.
                ended = state
            if restarts >= (MOST_RESTARTS if checked else 1):
                fell = fell or now
                if ended or now - fell >= SETTLE_SECONDS:
                    raise NotWell(_how_it_ended(ended))
            elif state["Status"] == "running":
                since = since or now
                if health == "healthy" or (not checked and now - since >= SETTLE_SECONDS):
                    return
            if state["Status"] in ("exited", "dead"):
                raise NotWell(_how_it_ended(ended))
            if now > deadline:
                raise NotWell(
                    "it is %s after %d s%s"
                    % (
                        health or state["Status"],
                        wanted["wait_timeout"],
                        LONGER if health == "starting" else "",
                    )
                )
            time.sleep(LOOK_SECONDS)

    def _sentence(self, name, error):
        said = []
        try:
            found = self._client.inspect_container(name)
            checks = (found["State"].get("Health") or {}).get("Log") or []
            if checks and checks[-1]["Output"].strip():
                # Half a secret would not be known as one.
                whole = self._scrub(checks[-1]["Output"].strip())
                said.append("Its health check says: %s" % whole[-500:])
            log = self._client.logs(name, tail=LOG_LINES).decode("utf-8", "replace").strip()
            said.append("Its last log lines:\n%s" % (log or "(none)"))
        except connection.ENGINE_ERRORS as failure:
            said.append("Its log can't be read: %s" % connection.reason(failure))
        return self._scrub(
            "Container %s on %s is not well: %s.\n%s"
            % (description.ASIDE.sub("", name), self._host, error, "\n".join(said))
        )


def observe(client, names, stack):
    """From a name to its row, of the stack's containers and of those that have one of the names or are aside for it."""
    near = {name + end for name in names for end in ("", description.NEXT, description.PREVIOUS)}
    rows = {}
    for found in client.containers(all=True):
        own = {name.lstrip("/") for name in found["Names"] or ()}
        ours = (found.get("Labels") or {}).get("aisha.bot_stack.name") == stack
        if ours or own & near:
            try:
                row = describe(client.inspect_container(found["Id"]))
            except connection.NotFound:
                continue
            rows[row["name"]] = row
    return rows


def _how_it_ended(state):
    """state: as the engine showed it before it started the container again, or None."""
    if state is None:
        return "it ends by itself, again and again"
    memory = ", killed for want of memory" if state.get("OOMKilled") else ""
    return "it ends by itself (exit code %d%s)" % (state["ExitCode"], memory)


def _can_be_rehearsed(wanted):
    """Whether two of it can run, but for the ports: what it costs to find out too late is that nobody serves."""
    owns = any(m["type"] == "volume" and not m.get("read_only") for m in wanted["mounts"])
    return bool(wanted["publish"]) and wanted["wait"] and not owns


def _endpoint(wanted):
    return {"aliases": description.endpoint(wanted)["Aliases"]}
