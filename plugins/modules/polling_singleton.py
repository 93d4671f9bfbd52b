#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that exactly one process of a Docker host, or none, polls with a bot's token."""

from __future__ import annotations

DOCUMENTATION = r"""
module: polling_singleton
short_description: Lets one container poll with a bot's token, and nothing else
version_added: 0.1.0
description:
  - Finds everything on a Docker host that holds a bot's token, stops and disables what must not poll, and only then lets the holder start.
    Proves the result by the holder's log, heartbeat and health and by getWebhookInfo. It never calls getUpdates.
  - >-
    What must not poll gets the restart policy C(no), then SIGTERM and O(stop_timeout) seconds, then the name C(NAME.disabled-ID), so that neither a
    restart of the engine nor of the host brings it back. Nothing is removed.
  - Where the holder can't be brought up, one of those that were stopped is started again, the former holder first, then who stopped last. Never
    more than one, and never an unknown holder of the token.
  - For a fleet of hosts, see the role P(aisha.bot_stack.bot#role) and C(playbooks/poller.yml).
author: The aisha.bot_stack team (@aisha)
options:
  state:
    description:
      - V(present) lets the O(holder) poll, and nobody where there is none.
      - V(absent) lets nobody of this stack poll on this host, not even O(holder), and does not ask the Bot API.
    type: str
    choices: [present, absent]
    default: present
  successor:
    description:
      - Name of a container that was created and not started. It gets the name of O(holder) when the holder of that name is stopped, disabled and
        out of the way, and is started at once. Where it does not exist, the holder stays.
    type: str
    default: ""
  suspects:
    description: >-
      What to do about unknown holders of the token. V(fail) names each and changes nothing, V(stop) stops and disables them, V(report) warns.
    type: str
    choices: [fail, stop, report]
    default: fail
  webhook:
    description: >-
      What to do about a webhook, with which nobody can poll. V(fail) says so and changes nothing, V(delete) removes it and leaves pending
      updates, V(ignore) does not ask the Bot API at all.
    type: str
    choices: [fail, delete, ignore]
    default: fail
  restart:
    description: Start the O(holder) anew if it runs, and prove that it polls again.
    type: bool
    default: false
  stop_timeout:
    description: Seconds between SIGTERM and SIGKILL.
    type: int
    default: 30
  healthy_timeout:
    description: Seconds in which the holder must run and be healthy.
    type: int
    default: 120
  confirm_window:
    description:
      - Seconds after the last change in which the holder must see no conflict. A holder that was left alone for longer is not waited for, unless
        its log has a conflict of the last 70 seconds. Then it must be quiet for 70 seconds.
      - >-
        A rival elsewhere shows at once when it polls, but some frameworks wait up to 63 seconds between two tries when they have fought for long.
    type: int
    default: 15
  stopped_at:
    description: When the last rival on another host was stopped, in seconds since 1970, as P(ansible.builtin.max#filter) of what they returned.
    type: float
    default: 0
  run_id:
    description: >-
      Calls with the same value are one run. From the first to the one with O(last=true), calls of another run on this host fail; after 10 minutes
      at the latest it is free again. Without it, only two calls at the same moment shut each other out.
    type: str
    default: ""
  last:
    description: Whether this is the last call of the run on this host.
    type: bool
    default: true
  last_on_success:
    description: With O(last=false), whether it is the last one all the same, should it succeed.
    type: bool
    default: false
  settle:
    description: >-
      With an empty O(restore) and O(last=false), proves that the holder polls where nothing would have to be changed for it; then this call was the
      last one. For a fleet of one host.
    type: bool
    default: false
  restore:
    description:
      - One of the entries of RV(stopped) of an earlier call. It gets its name and restart policy back and is started, and nothing else is done. For
        a move to another host that failed there. An empty dictionary restores nothing, for the hosts where the run just begins (and then it looks, as
        M(aisha.bot_stack.polling_singleton_info) does) or, with O(last=true), ends.
    type: dict
extends_documentation_fragment:
  - aisha.bot_stack.engine
  - aisha.bot_stack.polling
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
    details: The same plan as without. The proof needs what was done, so it is left out.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: full
seealso:
  - module: aisha.bot_stack.polling_singleton_info
"""

EXAMPLES = r"""
- name: Let aisha-primary poll, and nothing else on this host
  aisha.bot_stack.polling_singleton:
    token_file: /etc/aisha/bot/secrets/bot_token
    holder: aisha-primary

- name: Let nothing poll on this host, as the holder is on another one
  aisha.bot_stack.polling_singleton:
    token: "{{ bot_token }}"
    suspects: stop
    allowed: [nightly-backup]
"""

RETURN = r"""
findings:
  description: All that holds the token, or another token of the same bot.
  returned: when the host was looked at
  type: list
  elements: dict
  contains:
    kind:
      description: V(container) or V(process).
      type: str
    host:
      description: Name of the host.
      type: str
    name:
      description: Name of the container, or of the program.
      type: str
    id:
      description: ID of the container.
      type: str
    pid:
      description: Number of the process.
      type: int
    state:
      description: State as the engine names it; V(running) for a process.
      type: str
    role:
      description: >-
        V(holder), V(poller) (another one of this stack, as an older release, a copy), V(worker) and V(webhook) (they hold the token and do not
        poll), V(suspect) or V(allowed).
      type: str
    live:
      description: Whether it polls, or can come back without a hand of anybody. What is not live is left alone.
      type: bool
    where:
      description: V(environment), V(command), V(label), V(file), V(process environment) or V(process command).
      type: str
    field:
      description: Variable, label, path or part of the command.
      type: str
    also:
      description: Further places, each with C(where), C(field) and C(same_token).
      type: list
    same_token:
      description: Whether it is this very token, or another one of the same bot.
      type: bool
    restart_policy:
      description: Restart policy of the container.
      type: str
    unit:
      description: The systemd unit of the process, or empty.
      type: str
holder:
  description: The holder as a finding, or V(none).
  returned: when the host was looked at
  type: dict
pollers:
  description: Findings that are live and have the role V(holder) or V(poller).
  returned: when the host was looked at
  type: list
  elements: dict
suspects:
  description: Findings that are live and have the role V(suspect).
  returned: when the host was looked at
  type: list
  elements: dict
webhook:
  description: URL of the webhook without tokens, empty for none. V(none) where the Bot API was not asked.
  returned: when the host was looked at
  type: str
pending_updates:
  description: Updates that wait at the Bot API. V(none) where it was not asked.
  returned: when the host was looked at
  type: int
conflicts:
  description: What the log of the holder says of conflicts.
  returned: when the host was looked at
  type: dict
  contains:
    count:
      description: How many in the last 120 s, since its start, or since the last rival was stopped, whichever is shortest.
      type: int
    last:
      description: Time of the last, in seconds since 1970, or V(none).
      type: float
    text:
      description: Its line.
      type: str
polling_since:
  description: First sign of a poll by the holder since its start, in seconds since 1970, or V(none) where it shows none.
  returned: when the host was looked at
  type: float
unread_files:
  description: How many files this user may not read.
  returned: when the host was looked at
  type: int
run_id:
  description: As O(run_id). It tells what one run returned from what an earlier one did.
  returned: always
  type: str
unseen_containers:
  description: >-
    Names of containers that could not be looked into, as they do not run and the engine does not say where their files are (as with
    containerd's image store). Their environment, command, labels and volumes were looked at.
  returned: when the host was looked at
  type: list
  elements: str
stopped:
  description: What was stopped and disabled, or would be in check mode.
  returned: when the host was looked at
  type: list
  elements: dict
settled:
  description: Whether O(settle) was wanted, and the holder polls with nothing to change.
  returned: with O(restore)
  type: bool
restorable:
  description: The entry of RV(stopped) that O(restore) would take, or V(none).
  returned: when the host was looked at
  type: dict
restored:
  description: What was started again because the holder could not be brought up, or V(none).
  returned: on failure
  type: dict
stopped_at:
  description: When the last of them was told to stop, in seconds since 1970, or V(none).
  returned: when the host was looked at
  type: float
gap_ms:
  description: >-
    Milliseconds from the moment in which the last poller was told to stop to the first sign of a poll by the holder. V(none) where the holder went
    on, or shows no sign. Between hosts it is as exact as their clocks.
  returned: when the host was looked at
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import apply as polling_apply
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import lease as polling_lease
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import proof as polling_proof
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import sight as polling_sight
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.bot_api import (
    BotApi,
    BotApiError,
)

KNOWN_ERRORS = (
    BotApiError,
    polling_apply.ApplyError,
    polling_lease.LeaseError,
    polling_proof.ProofError,
)


class Run:
    """One call of the module: observe, plan, apply, prove."""

    def __init__(self, module, token):
        options = module.params
        self.module = module
        self.token = token
        self.host = polling_sight.host_name()
        self.client = polling_sight.connect(module)
        self.desired = polling_plan.Desired(
            options["name"],
            holder=options["holder"],
            successor=options["successor"],
            state=options["state"],
            suspects=options["suspects"],
            allowed=options["allowed"],
            webhook=options["webhook"],
            restart=options["restart"],
        )
        self.asks = bool(self.desired.holder) and options["webhook"] != "ignore"
        self.bot_api = BotApi(options["bot_api_url"], token)
        self.applier = polling_apply.Applier(
            self.client,
            connection.ENGINE_ERRORS,
            connection.NotFound,
            self.bot_api.delete_webhook,
            options["stop_timeout"],
        )
        self.lease = polling_lease.Lease(options["name"], options["run_id"], self.host)
        self.result = {"changed": False, "run_id": options["run_id"]}

    def observe(self):
        """What there is, and the plan for it."""
        webhook, pending = self.bot_api.webhook() if self.asks else (None, None)
        sight = polling_sight.look(self.module, self.token)
        plan = polling_plan.plan(
            sight.containers,
            sight.processes,
            sight.container(self.desired.holder or self.desired.retired),
            sight.container(self.desired.successor),
            webhook,
            self.desired,
            self.host,
        )
        self.result.update(
            polling_sight.observed(
                self.client, self.token, sight, self.desired, webhook, pending, self.quiet_since()
            )
        )
        return sight, plan

    def quiet_since(self):
        """Since when the holder can have had no rival that is known."""
        known = [
            self.module.params["stopped_at"],
            self.lease.stopped_at,
            self.applier.last_stop_at or 0.0,
        ]
        return max(known) + polling_proof.LATE_SECONDS if any(known) else 0.0

    def run(self):
        """The whole call; raises KNOWN_ERRORS."""
        sight, plan = self.observe()
        for warning in plan.warnings + sight.warnings(self.host):
            self.module.warn(warning)
        self.result.update(
            changed=bool(plan.steps),
            stopped=[step for step in plan.steps if step["action"] in ("disable", "terminate")],
            restorable=None,
            stopped_at=None,
            gap_ms=None,
            diff=polling_plan.diff(plan, sight.processes),
        )
        if plan.problems:
            self.module.fail_json(msg=" ".join(plan.problems), **self.result)
        if self.module.check_mode:
            return
        if plan.steps:
            self.apply(plan)
        if self.desired.holder:
            self.prove(plan)
        if self.result["stopped"]:
            self.look_again()

    def restore(self, entry):
        """Starts again what an earlier call stopped; an empty entry only begins the run on this host, or ends it."""
        self.result.update(changed=bool(entry), settled=False)
        if not entry and not self.module.params["last"]:
            sight, plan = self.observe()
            if self.module.params["settle"] and not (plan.steps or plan.problems):
                if not self.module.check_mode:
                    self.result["gap_ms"] = None
                    self.prove(plan)
                for warning in plan.warnings + sight.warnings(self.host):
                    self.module.warn(warning)
                self.result["settled"] = True
        if entry and not self.module.check_mode:
            self.applier.restore(entry)

    def apply(self, plan):
        """Takes the steps, and waits for the holder; what was stopped runs again where that fails."""
        try:
            self.applier.apply(plan.steps)
            self.lease.stopped_at = self.applier.last_stop_at or self.lease.stopped_at
            if self.desired.holder:
                self.proof().wait_until_it_polls(
                    self.module.params["healthy_timeout"], self.quiet_since()
                )
        except (
            polling_apply.ApplyError,
            polling_proof.ProofError,
            *connection.ENGINE_ERRORS,
        ) as error:
            restored = self.applier.take_back()
            self.result.update(stopped=self.applier.stopped, restored=restored)
            self.result["changed"] = bool(self.applier.stopped) and restored is None
            after = (
                "Container %s, which was stopped for it, runs again." % restored["name"]
                if restored
                else "Nothing was stopped for it."
                if not self.applier.stopped
                else "Nothing that was stopped for it may be started again."
            )
            raise polling_apply.ApplyError(
                "%s\n%s" % (self.token.scrub(str(error)), after)
            ) from error
        self.result.update(
            stopped=self.applier.stopped,
            restorable=polling_plan.best_to_restore(self.applier.stopped),
            stopped_at=self.applier.last_stop_at,
        )

    def proof(self):
        """The holder's watcher."""
        return polling_proof.Proof(
            self.client,
            self.desired.holder,
            self.token,
            self.host,
            self.bot_api.webhook if self.asks else None,
        )

    def prove(self, plan):
        """The holder polls, and nobody takes its updates away."""
        proof = self.proof()
        inspection = proof.wait_until_it_polls(
            self.module.params["healthy_timeout"], self.quiet_since()
        )
        started = polling_proof.epoch(inspection["State"]["StartedAt"])
        since = max(started, self.quiet_since(), time.time() - polling_proof.LOOK_BACK_SECONDS)
        found = proof.confirm(since, self.module.params["confirm_window"], bool(plan.steps))
        self.result.update(polling_sight.as_result(found))
        if found["pending_updates"] is not None:
            self.result["pending_updates"] = found["pending_updates"]
        last_stop = max(self.applier.last_stop_at or 0.0, self.module.params["stopped_at"])
        begins = [step for step in plan.steps if step["action"] in ("start", "unpause", "restart")]
        if begins and last_stop and found["polling_since"]:
            self.result["gap_ms"] = max(0, round((found["polling_since"] - last_stop) * 1000))

    def look_again(self):
        """What was stopped may have somebody who starts it again: then this run has not done what it says."""
        sight = polling_sight.look(self.module, self.token)
        plan = polling_plan.plan(
            sight.containers,
            sight.processes,
            sight.container(self.desired.holder),
            None,
            "",
            self.desired,
            self.host,
        )
        back = plan.by_role("poller") + (
            plan.by_role("suspect") if self.desired.suspects == "stop" else []
        )
        if back:
            units = sorted({found["unit"] for found in back if found.get("unit")})
            raise polling_apply.ApplyError(
                "%s: stopped, and there again: %s. Something starts it: %s."
                % (
                    self.host,
                    "; ".join(polling_plan.describe(found) for found in back),
                    "the unit %s; systemctl disable --now %s ends it" % (units[0], units[0])
                    if units
                    else "look for a supervisor, a cron job or a compose command that runs on",
                )
            )
        self.result.update(
            findings=plan.findings,
            pollers=plan.by_role("holder", "poller"),
            suspects=plan.by_role("suspect"),
            holder=next((found for found in plan.findings if found["role"] == "holder"), None),
        )


def is_last(params, result, failure):
    """Whether the run ends with this call. failure: what went wrong, "" for nothing."""
    if params["settle"] and (failure or result.get("settled")):
        # Nothing was touched, so nothing is to be taken back.
        return True
    return params["last"] or (params["last_on_success"] and failure == "")


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(
            connection.ARGUMENTS,
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            successor={"type": "str", "default": ""},
            suspects={"type": "str", "choices": ["fail", "stop", "report"], "default": "fail"},
            webhook={"type": "str", "choices": ["fail", "delete", "ignore"], "default": "fail"},
            restart={"type": "bool", "default": False},
            stop_timeout={"type": "int", "default": 30},
            healthy_timeout={"type": "int", "default": 120},
            confirm_window={"type": "int", "default": 15},
            stopped_at={"type": "float", "default": 0},
            run_id={"type": "str", "default": ""},
            last={"type": "bool", "default": True},
            last_on_success={"type": "bool", "default": False},
            settle={"type": "bool", "default": False},
            restore={"type": "dict"},
            **polling_sight.ARGUMENTS,
        ),
        supports_check_mode=True,
        **polling_sight.ONE_TOKEN,
    )
    polling_sight.refuse_without_root(module)
    run = Run(module, polling_sight.read_token(module))
    failure = None
    try:
        if module.check_mode:
            run.lease.look()
        else:
            run.lease.take()
        if module.params["restore"] is not None:
            run.restore(module.params["restore"])
        else:
            run.run()
        failure = ""
    except KNOWN_ERRORS as error:
        failure = str(error)
    except connection.ENGINE_ERRORS as error:
        failure = "%s: the Docker Engine fails: %s" % (run.host, error)
    finally:
        run.lease.release(keep=not is_last(module.params, run.result, failure))
    if failure:
        module.fail_json(msg=run.token.scrub(failure), **run.result)
    module.exit_json(**run.result)


if __name__ == "__main__":
    main()
