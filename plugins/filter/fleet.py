# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides over the hosts of a fleet who may poll: pure functions from what each step gave to what comes next.

The state is {"fleet", "reached", "off": names of hosts, "holder": its host, "primary": name of its container,
"suspects": "fail", "stop" or "report", "results": {host: {step: registered result}}}. The steps of
roles/bot/tasks/poller.yml are looked, created, stopped, polled, left, restored.
"""

from __future__ import annotations

import re

from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan

POLLS = ("running", "restarting", "paused")
ASIDE = re.compile(r"\.disabled-[0-9a-f]{12}$")


def of_hosts(hostvars, hosts, names):
    """{host: {key: value}} of the variables that a host has; names: {key: name of the variable}."""
    return {
        host: {key: hostvars[host][name] for key, name in names.items() if name in hostvars[host]}
        for host in hosts
        if host in hostvars
    }


def _step(state, host, step):
    """What the step gave on the host in this run; {} where it was not taken. A run before this one may have left its own."""
    results = state["results"].get(host, {})
    found = results.get(step) or {}
    if found.get("skipped"):
        return {}
    if step in ("looked", "left") or found.get("unreachable"):
        return found
    looked = results.get("looked") or {}
    return found if found.get("run_id") == looked.get("run_id") else {}


def _failed(result):
    return bool(result.get("failed") or result.get("unreachable"))


def _done(result):
    return bool(result) and not _failed(result)


def _lost(state):
    """Hosts that are out of this run and not off: those that were never seen, and those that were lost on the way."""
    known = set(state["reached"]) | set(state["off"])
    away = [host for host in state["fleet"] if host not in known]
    seen = [host for host in away if _done(_step(state, host, "looked"))]
    return [host for host in away if host not in seen], seen


def _on_reached(state, step):
    """(host, result) of the step on each host that is still in the run."""
    found = [(host, _step(state, host, step)) for host in state["fleet"]]
    return [(host, result) for host, result in found if result and host in state["reached"]]


def poller_problems(state):
    """Why it can't be decided who may poll, after the look at each host: sentences."""
    problems = [
        str(result.get("msg", "%s could not be looked at." % host))
        for host, result in _on_reached(state, "looked")
        if _failed(result) and host not in state["off"]
    ]
    unseen, _seen = _lost(state)
    if unseen:
        problems.append(
            "Not seen: %s (unreachable, failed, or hidden by --limit), so something may poll there. Bring it back "
            "and run this again without --limit, or, if it is off for certain, say so: -e bot_hosts_off=%s"
            % (", ".join(unseen), ",".join(unseen))
        )
    if state["holder"] in state["off"]:
        problems.append(
            "The holder's own host, %s, is in bot_hosts_off. Set bot_holder to a host that is on."
            % state["holder"]
        )
    suspects = [
        suspect
        for _host, result in _on_reached(state, "looked")
        for suspect in result.get("suspects", [])
    ]
    if suspects and state["suspects"] == "fail":
        problems.append(
            "Unknown holders of the bot's token, which may poll with it: %s. Stop what must not poll, or let this "
            "do it with -e bot_suspects=stop; put the names of what may hold the token into bot_allowed."
            % "; ".join(suspect_in_words(suspect) for suspect in suspects)
        )
    return problems


def suspect_in_words(found):
    """One suspect as its host found it."""
    return "%s: %s %s (%s), %s in %s %s" % (
        found["host"],
        found["kind"],
        found["name"],
        "pid %s" % found["pid"] if found["kind"] == "process" else found["state"],
        "this token" if found["same_token"] else "another token of this bot",
        found["where"],
        found["field"],
    )


def poller_errors(state):
    """What went wrong so far: sentences, each once. With any of them, nobody may be started."""
    errors = poller_problems(state)
    errors += [
        str(result.get("msg", "%s failed on %s." % (step, host)))
        for step in ("created", "stopped", "polled")
        for host, result in _on_reached(state, step)
        if _failed(result)
    ]
    _unseen, away = _lost(state)
    if away:
        errors.append("Lost on the way: %s." % ", ".join(away))
    return list(dict.fromkeys(errors))


def last_stop(state):
    """When the last rival on another host than the holder's was told to stop, in seconds since 1970; 0 for none."""
    times = [result.get("stopped_at") for _host, result in _on_reached(state, "stopped")]
    return max([each for each in times if each], default=0)


def _polled(result):
    return any(found["state"] in POLLS for found in result.get("pollers") or [])


def _may_poll(state):
    """Hosts of which nobody knows whether something polls there, now that the handover failed."""
    found = []
    for host in _lost(state)[1]:
        held = host == state["holder"] and _step(state, host, "polled")
        before = _polled(_step(state, host, "looked"))
        if held or (before and not _done(_step(state, host, "stopped"))):
            found.append(host)
    holder = state["holder"]
    if (
        holder in state["reached"]
        and _step(state, holder, "polled")
        and not _done(_step(state, holder, "left"))
    ):
        found.append(holder)
    return found


def _polls(state):
    """Reached hosts where something polls, or was not stopped for certain."""
    holder = state["holder"]
    found = [holder] if _polled(_step(state, holder, "left")) else []
    for host, result in _on_reached(state, "stopped"):
        if _failed(result) and (
            result.get("restored") or _polled(result) or _polled(_step(state, host, "looked"))
        ):
            found.append(host)
    return found


def restoration(state):
    """What is started again after a handover that failed: {"host", "entry"}, empty for nobody.

    Only one in the fleet: by role first, then who stopped last, never a suspect; nobody where something polls,
    or a lost host may poll.
    """
    nobody = {"host": "", "entry": {}}
    if _polls(state) or _may_poll(state):
        return nobody
    stopped = []
    for host, result in _on_reached(state, "stopped"):
        if _done(result):
            for entry in result.get("stopped") or []:
                # There is no holder on that host now; there, too, its name tells it from copies.
                named = entry["role"] == "poller" and entry["name"] == state["primary"]
                role = "holder" if named else entry["role"]
                stopped.append(dict(entry, role=role, host=host, own=entry))
    best = polling_plan.best_to_restore(stopped)
    return {"host": best["host"], "entry": best["own"]} if best else nobody


def poller_failure(state):
    """The run's last words when the holder does not poll: what went wrong, and who polls now."""
    said = poller_errors(state)
    if poller_problems(state):
        return " ".join([*said, "Nobody's right to poll was touched."])
    restored = _on_reached(state, "restored")
    again = [host for host, result in restored if _done(result) and result.get("changed")]
    again += [
        host
        for host, result in _on_reached(state, "stopped")
        if _failed(result) and result.get("restored")
    ]
    if again:
        said.append("The former poller runs again on %s." % ", ".join(again))
    said += [
        "The former poller could not be started again: %s" % result.get("msg", host)
        for host, result in restored
        if _failed(result)
    ]
    unsure = _may_poll(state)
    if unsure:
        said.append(
            "%s on %s may poll or not, so nothing was started elsewhere. Bring the host back and run this again; "
            "or, if it is off for certain, let another host poll: -e bot_hosts_off=%s -e bot_move_to=HOST"
            % (
                "The new holder" if unsure == [state["holder"]] else "What polled or was to poll",
                ", ".join(unsure),
                ",".join(unsure),
            )
        )
    return " ".join(said)


def poller_success(state):
    """One sentence on who polls, where this run changed it; "" where it did not."""
    polled = _step(state, state["holder"], "polled")
    changed = polled.get("changed") or any(
        result.get("changed") for _host, result in _on_reached(state, "stopped")
    )
    if not changed:
        return ""
    said = "%s on %s polls, and nothing else." % (state["primary"], state["holder"])
    gap = polled.get("gap_ms")
    return said if gap is None else "%s The gap was %d ms." % (said, gap)


def former_pollers(findings):
    """Names of the containers that were put aside as pollers, by this run or one that was broken off, and don't run."""
    return [
        found["name"]
        for found in findings or []
        if found["kind"] == "container"
        and found["role"] == "poller"
        and found["state"] not in POLLS
        and ASIDE.search(found["name"])
    ]


def running_release(containers):
    """{role: image} of what runs; where a role has several images, that of the container that was started last."""
    running = [row for row in containers if row["state"] == "running"]
    return {
        row["role"]: row["image"]
        for row in sorted(running, key=lambda row: (row["started_at"], row["name"]))
    }


class FilterModule:
    """The filters."""

    def filters(self):
        """By their names."""
        return {
            "former_pollers": former_pollers,
            "last_stop": last_stop,
            "of_hosts": of_hosts,
            "poller_errors": poller_errors,
            "poller_failure": poller_failure,
            "poller_problems": poller_problems,
            "poller_success": poller_success,
            "restoration": restoration,
            "running_release": running_release,
        }
