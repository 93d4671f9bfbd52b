#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies descriptions of containers to one Docker Engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: containers
short_description: Brings the containers of one host to what they are described to be
version_added: 0.1.0
description:
  - The one place where this collection creates, swaps, restarts, puts aside and removes containers, in one call for all of a role.
  - >-
    Every container gets no capabilities, C(no-new-privileges), a numeric user, a read-only root, limits of memory, processes and CPU,
    C(/tmp) and C(/run) in memory, and rotated logs.
  - The list is worked off in order, and the first failure ends it; what follows was not touched.
  - >-
    A changed container is created beside the old one. The old one is kept aside (C(NAME.previous), stopped, never restarted by the engine)
    until the new one is healthy or, without a health check, has run for 5 seconds without a restart. Else the old one comes back.
  - A container that is as described is left alone. It carries a hash of its description; state, limits, restart policy and networks are compared as well.
  - A container with one of the names that does not belong to the stack is refused before anything changes.
  - Two runs on one stack of a host go one after the other; when a run was broken off, the next one puts right what it left.
  - On engines of API 1.44 or newer (Docker Engine 25) a health check runs each second while a container starts, and then every 15 s.
author: The aisha.bot_stack team (@aisha)
options:
  stack_name:
    description: Name of the stack that the containers belong to, label C(aisha.bot_stack.name).
    type: str
    default: aisha
  state:
    description:
      - V(present), they run as described.
      - >-
        V(created), what differs is created under its name with O(suffix), not started, and what runs is left alone; for a swap by
        M(aisha.bot_stack.polling_singleton). State and health are not compared then.
      - V(restarted), those that are there are restarted, each only when the one before is healthy; only their names count.
      - V(absent), they are removed; only their names count.
      - >-
        V(tried), O(folders) are written, what differs is told, and their volumes are seen to: each volume is given to the user of the
        container that writes to it, by O(volumes_image). No container that runs is touched.
      - V(finished), each is run to its end and removed; what it wrote is returned, and its exit code is no failure.
    type: str
    choices: [present, created, tried, restarted, absent, finished]
    default: present
  containers:
    description: The containers, in their order.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the container. It is known under it in its networks, too.
        type: str
        required: true
      role:
        description: What it does in the stack, label C(aisha.bot_stack.role).
        type: str
        default: ""
      image:
        description: C(name@sha256:…), or the ID of an image of this host. Required unless only names count.
        type: str
        default: ""
      command:
        description: Command. Default is the image's.
        type: list
        elements: str
      entrypoint:
        description: Entry point. Default is the image's.
        type: list
        elements: str
      user:
        description: Numeric C(uid:gid). Required unless only names count.
        type: str
        default: ""
      env:
        description: Environment, never a secret. Numbers become text, and V(true) and V(false) in lower case.
        type: dict
        default: {}
      mounts:
        description: What is mounted.
        type: list
        elements: dict
        default: []
        suboptions:
          type:
            description: Kind.
            type: str
            choices: [volume, bind]
            required: true
          source:
            description: Name of the volume, or path on the host.
            type: str
            required: true
          target:
            description: Path in the container.
            type: str
            required: true
          read_only:
            description: Whether it can't be written.
            type: bool
            default: false
      networks:
        description: Names of its networks. None at all means no network.
        type: list
        elements: str
        default: []
      publish:
        description: "Published ports, each C(address:port:port); an IPv6 address stands in brackets."
        type: list
        elements: str
        default: []
      tmpfs:
        description: Temporary file systems with their size.
        type: list
        elements: str
        default: ["/tmp:size=64m,mode=1777", "/run:size=16m,mode=1777"]
      memory:
        description: Memory limit; there is no swap beyond it.
        type: str
        default: 256m
      pids_limit:
        description: Limit of processes and threads.
        type: int
        default: 256
      cpu_shares:
        description: Share of the CPU where containers compete for it.
        type: int
        default: 1024
      healthcheck:
        description: Health check. What is left out is the image's.
        type: dict
        suboptions:
          test:
            description: As Docker's API takes it, V([CMD, …]), V([CMD-SHELL, …]) or V([NONE]).
            type: list
            elements: str
          interval:
            description: Time between two checks, as in V(3s).
            type: str
          timeout:
            description: Time for one check.
            type: str
          start_period:
            description: Time in which failures don't count.
            type: str
          retries:
            description: Failures in a row that make it unhealthy.
            type: int
      shm_size:
        description: Size of C(/dev/shm). Default is the engine's.
        type: str
        default: ""
      stop_signal:
        description: Signal that stops it. Default is the image's.
        type: str
        default: ""
      stop_timeout:
        description: Seconds between that signal and SIGKILL.
        type: int
        default: 30
      labels:
        description: Labels beside those of the collection.
        type: dict
        default: {}
      restart_policy:
        description: >-
          Restart policy. With V(unless-stopped), an engine that was killed stops the container when it comes back, and does not start it again.
        type: str
        choices: [always, unless-stopped, on-failure, "no"]
        default: always
      read_only:
        description: Read-only root file system.
        type: bool
        default: true
      cap_add:
        description: Capabilities that it can't do without.
        type: list
        elements: str
        default: []
      config_hash:
        description: Changes when what is neither here nor in a folder of O(folders) changes; a change makes the container anew.
        type: str
        default: ""
      data:
        description: >-
          The server whose data a volume has. Before anything is changed, it is read on the host which version wrote the data, and the module
          fails where a server of the wanted image can't use it. PostgreSQL's is found in a sub-folder, too. What the host does not see (a remote
          engine, a network file system that is not mounted) is not judged; a warning says so.
        type: dict
        suboptions:
          service:
            description: What the data belongs to.
            type: str
            choices: [postgres, redis]
            required: true
          volume:
            description: The named volume.
            type: str
            required: true
          major:
            description: Wanted major version of PostgreSQL. Required for it.
            type: int
          superuser:
            description: Wanted name of PostgreSQL's superuser.
            type: str
            default: postgres
      log_options:
        description: Options of the log driver json-file; rotation is never off.
        type: dict
        default: {max-size: 10m, max-file: "3"}
      wait:
        description: Wait until it is well.
        type: bool
        default: true
      wait_timeout:
        description: >-
          Seconds to wait for it; V(0) is 120, or its start period and a minute where that is longer. With O(state=finished), seconds until it
          must have ended, and V(0) is 600.
        type: int
        default: 0
      swap:
        description: >-
          V(stop_first) for what owns a volume, a port or an address. V(start_first) starts the new one under C(NAME.next) and stops the
          old one when the new one is well, so that one always runs. Of what publishes ports and owns no volume, V(stop_first) first tries the
          new one without its ports, under C(NAME.next), and does not stop the old one where that fails.
        type: str
        choices: [stop_first, start_first]
        default: stop_first
  folders:
    description: >-
      Folders of configuration and secret files on the host, written before any container is changed. A file is replaced at once, never half
      written; files that are not named are removed.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The folder. Its parents are made with mode 0755.
        type: path
        required: true
      group:
        description: Numeric group that may read the files, that of the container's user. The owner is root.
        type: int
        required: true
      files:
        description: All its files.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the file, without a folder.
            type: str
            required: true
          content:
            description: Its content. Never logged and never in a diff.
            type: str
            required: true
      versions:
        description: >-
          Whether other files are another folder: they are written to C(PATH/VERSION), and a container that mounts the folder at O(folders[].path)
          gets this one. So what a running container has mounted stays as it is, and comes back with it. With O(state=present), versions that no
          container of the stack has mounted any more are removed at the end. Otherwise the files are replaced where they are.
        type: bool
        default: true
  suffix:
    description: With O(state=created), what is added to the names.
    type: str
    default: .next
  roles:
    description: >-
      With O(state=present), containers of the stack with one of these roles that O(containers) does not name are removed at the end. With
      O(state=restarted) and O(state=absent), those with one of these roles are taken beside O(containers).
    type: list
    elements: str
    default: []
  aside:
    description: With O(state=absent), also what is aside for one of them, or was left aside by a run that was broken off.
    type: bool
    default: true
  volumes_image:
    description: >-
      The collection's own small image that tries volumes as the user of their container, and gives them to it. With O(state=present), before a
      new or changed container starts. Empty looks at no volume.
    type: str
    default: ""
  docker_config:
    description: Folder with the client's C(config.json), which has the login to the private registry.
    type: path
    default: /etc/aisha/docker
  secrets:
    description: Texts that leave this module in no form. Tokens of bots and passwords in URLs never do.
    type: list
    elements: str
    default: []
  timeout:
    description: >-
      Seconds to wait for each answer of the engine, which takes its time to create or start a container under load. Environment variable
      E(DOCKER_TIMEOUT).
    type: int
    default: 120
  wait_timeout:
    description: With O(state=restarted), seconds to wait for each to be well.
    type: int
    default: 180
extends_documentation_fragment:
  - aisha.bot_stack.engine
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
    details: >-
      O(state=finished) runs nothing in check mode, and returns no results. Whether an image of Redis can read the data of a volume is not
      checked, as that takes a container.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: full
"""

EXAMPLES = r"""
- name: Run the front
  aisha.bot_stack.containers:
    containers:
      - name: aisha-front
        role: front
        image: registry.example.com:5000/aisha/front@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        user: "10004:10004"
        networks: [aisha-edge]
        publish: ["127.0.0.1:8080:8080"]

- name: Restart the workers
  aisha.bot_stack.containers:
    state: restarted
    roles: [worker]
"""

RETURN = r"""
containers:
  description: From a name to its row of M(aisha.bot_stack.host_info), of the stack's containers, after the run.
  returned: success, or a volume that is refused with O(state=tried)
  type: dict
outdated:
  description: Names of the containers that differed from their descriptions, or were restarted or removed.
  returned: always
  type: list
  elements: str
reasons:
  description: From a name in RV(outdated) to what differed, in words.
  returned: always
  type: dict
given:
  description: Which volumes were given to whom, in words.
  returned: always
  type: list
  elements: str
written:
  description: Paths of files that were written or removed, of versions that were removed, and of folders that only got their mode or owner back.
  returned: always
  type: list
  elements: str
made:
  description: Paths of versions of O(folders) that were not there before.
  returned: always
  type: list
  elements: str
removed:
  description: Names of the containers that nobody wanted any more.
  returned: success
  type: list
  elements: str
results:
  description: With O(state=finished), what each did, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    image:
      description: Image.
      type: str
    status:
      description: Exit code; V(none) where it did not run or end.
      type: int
    output:
      description: The end of what it wrote to its standard output.
      type: str
    errors:
      description: The end of what it wrote to its standard error.
      type: str
    oom_killed:
      description: Whether the kernel killed it for want of memory.
      type: bool
    error:
      description: Why it did not run or end, or empty.
      type: str
    architecture:
      description: The host's architecture, as images name it.
      type: str
    image_architecture:
      description: The image's architecture.
      type: str
"""

import errno
import hashlib
import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    apply,
    connection,
    description,
    files,
    plan,
    tasks,
    volumes,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import data, data_versions
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import Scrubber

# As long as a run of ours may take for its containers.
OTHERS_SECONDS = 1800

KNOWN_ERRORS = (apply.ApplyError, description.DescriptionError)


class Run:
    """One call of the module."""

    def __init__(self, module):
        self.module = module
        self.options = module.params
        self.stack = module.params["stack_name"]
        self.host = socket.gethostname()
        self.scrub = Scrubber(module.params["secrets"]).scrub
        self.client = connection.connect(module)
        config = os.path.join(module.params["docker_config"] or "", "config.json")
        if os.path.exists(config):
            self.client.reload_config(config)
        self.info = self.client.info()
        self.applier = apply.Applier(
            self.client, self.stack, self.host, self.scrub, self.see_to_volumes
        )
        self.result = {
            "changed": False,
            "outdated": [],
            "reasons": {},
            "removed": [],
            "results": [],
            "given": [],
            "written": [],
            "made": [],
        }

    def go(self):
        """Does what the options say; the result is in self.result."""
        if not self.module.check_mode:
            self.wait_for_others()
        if not self.stack:
            raise description.DescriptionError(
                "stack_name is empty, and every container that has no label would be one of the stack. Set it."
            )
        given = self.options["containers"]
        names = [each["name"] for each in given]
        if len(set(names)) != len(names):
            raise description.DescriptionError(
                "A name stands twice in containers: %s." % ", ".join(names)
            )
        rows = apply.observe(self.client, names, self.stack)
        problems = plan.foreign(
            [
                name + end
                for name in names
                for end in ("", self.options["suffix"], description.PREVIOUS)
            ],
            rows,
            self.stack,
        )
        if problems:
            raise apply.ApplyError(
                "%s: %s. Not touched: %s." % (self.host, "; ".join(problems), ", ".join(names))
            )
        self.check(given)
        self.see_to_data(given, rows)
        self.provide_folders(given)
        {
            "present": self.present,
            "created": self.created,
            "tried": self.tried,
            "restarted": self.restarted,
            "absent": self.absent,
            "finished": self.finished,
        }[self.options["state"]](given, names, rows)
        if self.options["state"] not in ("finished", "tried"):
            after = rows
            if self.result["changed"] and not self.module.check_mode:
                after = apply.observe(self.client, names, self.stack)
            if self.options["state"] == "present":
                self.discard_versions(after)
            self.tell(after)

    def tell(self, rows):
        """The rows of the stack's containers become part of the result."""
        self.result["containers"] = {
            name: row for name, row in rows.items() if row["stack"] == self.stack
        }

    def check(self, given):
        """Raises DescriptionError where something is no container or no folder, before anything is changed."""
        if self.options["state"] not in ("restarted", "absent"):
            for each in given:
                description.normalised(each)
        for folder in self.options["folders"]:
            bad = files.with_folder(folder["files"])
            if bad:
                raise description.DescriptionError(
                    "A file of the folder %s has a folder in its name: %s. Give plain names."
                    % (folder["path"], ", ".join(bad))
                )

    def see_to_data(self, given, rows):
        """What is in a volume fits the server that is to use it; where it lies becomes part of the server's environment."""
        if self.options["state"] not in ("present", "created", "tried"):
            return
        engine = data.Engine(
            self.client, self.applier, self.stack, self.info, self.scrub, self.module.check_mode
        )
        for each in given:
            if each.get("data"):
                needed, warnings = data.judge(engine, each, rows.get(each["name"]))
                each["env"] = dict(each["env"], **needed)
                for warning in warnings:
                    self.module.warn(warning)

    def provide_folders(self, given):
        """Writes the folders, and lets the containers mount the wanted version of each."""
        self.versions = {}
        if self.options["state"] == "absent":
            return
        for folder in self.options["folders"]:
            wanted = files.contents(folder["files"])
            base = path = os.path.normpath(folder["path"])
            if folder["versions"]:
                path = files.version(base, wanted, self.stack)
                self.versions[base] = path
                if not wanted:
                    continue
                if not os.path.isdir(path):
                    self.result["made"].append(path)
            differs, written, removed = files.provide(
                path, wanted, folder["group"], self.module.check_mode
            )
            self.result["changed"] = self.result["changed"] or differs
            names = written + removed or ([""] if differs else [])
            self.result["written"] += [os.path.join(path, name) for name in names]
        for each in given:
            for mount in each["mounts"]:
                source = os.path.normpath(mount["source"])
                if mount["type"] == "bind" and source in self.versions:
                    mount["source"] = self.versions[source]

    def discard_versions(self, rows):
        """Removes the versions that no container has mounted any more. rows: of all containers of the stack."""
        used = set(self.versions.values()).union(*(row["mounts"] for row in rows.values()))
        for base in self.versions:
            for path in files.unused(base, used):
                self.result["changed"] = True
                self.result["written"].append(path)
                if not self.module.check_mode:
                    files.discard(path)

    def wait_for_others(self):
        """Two runs on one stack would take each other's containers for what a broken-off run left."""
        key = "%s %s" % (self.options["docker_host"], self.stack)
        name = "\0aisha.bot_stack.containers." + hashlib.sha256(key.encode()).hexdigest()[:32]
        deadline = time.monotonic() + OTHERS_SECONDS
        # A name that needs no file, and is free as soon as its process ends, however that ends.
        self.turn = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.turn.bind(name)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            if time.monotonic() > deadline:
                raise apply.ApplyError(
                    "%s: another run changes containers of the stack %s, for more than %d s. This one changed none."
                    % (self.host, self.stack, OTHERS_SECONDS)
                )
            time.sleep(apply.LOOK_SECONDS)

    def note(self, name, why):
        """Counts a container as changed."""
        self.result["changed"] = True
        self.result["outdated"].append(name)
        self.result["reasons"][name] = "; ".join(why)

    def show(self, before, after, names):
        """Before and after, where a diff is asked for."""
        if self.module._diff:
            differs = "".join("%s differs\n" % path for path in self.result["written"])
            self.result["diff"] = {
                "before": plan.lines(before, names),
                "after": plan.lines(after, names) + differs,
            }

    def wanted(self, given):
        """(description, its hash) of each."""
        whole = [description.normalised(each) for each in given]
        return [(each, description.fingerprint(each, self.stack)) for each in whole]

    def present(self, given, names, rows):
        """They run as described; what nobody wants any more is removed last."""
        verdicts = [
            plan.judge(wanted, spec, rows, self.info) for wanted, spec in self.wanted(given)
        ]
        surplus = plan.surplus(rows, self.stack, self.options["roles"], names)
        predicted = {name: row for name, row in rows.items() if name not in surplus}
        for verdict in verdicts:
            if verdict.changes:
                self.note(verdict.name, verdict.why or ["a run was broken off"])
                predicted = plan.after(verdict, predicted)
        self.result["removed"] = surplus
        self.result["changed"] = bool(self.result["changed"] or surplus)
        self.show(rows, predicted, set(names) | set(rows))
        for warning in plan.unlimited(self.info):
            self.module.warn("%s: %s." % (self.host, warning))
        if self.module.check_mode:
            return
        if self.options["volumes_image"] and any(verdict.changes for verdict in verdicts):
            self.applier.provide_images([self.options["volumes_image"]], self.info)
        fresh = [
            verdict.wanted["image"] for verdict in verdicts if verdict.action in ("create", "swap")
        ]
        for warning in self.applier.provide_images(fresh, self.info):
            self.module.warn("%s: %s." % (self.host, warning))
        for number, verdict in enumerate(verdicts):
            try:
                self.applier.carry_out(verdict, rows)
            except apply.ApplyError as error:
                rest = [each.name for each in verdicts[number + 1 :] if each.changes]
                self.result["changed"] = bool(self.result["written"]) or any(
                    each.changes for each in verdicts[: number + 1]
                )
                raise apply.ApplyError(
                    "%s%s" % (error, "\nNot touched: %s." % ", ".join(rest) if rest else "")
                ) from error
        for name in surplus:
            self.applier.remove(name, rows[name]["stop_timeout"])
        for sentence in self.result["given"]:
            self.module.warn("%s: %s" % (self.host, sentence))

    def created(self, given, _names, rows):
        """What differs exists beside what runs, not started."""
        predicted = dict(rows)
        for wanted, spec in self.wanted(given):
            verdict = plan.judge(wanted, spec, rows, self.info)
            mends = set(verdict.mends) - {"start", "unpause", "restart"}
            if verdict.action == "keep" or (verdict.action == "mend" and not mends):
                continue
            name = wanted["name"] + self.options["suffix"]
            self.note(wanted["name"], verdict.why)
            successor = plan.after(verdict, {})[wanted["name"]]
            predicted[name] = dict(successor, state="created")
            self.show(rows, predicted, set(predicted))
            if not self.module.check_mode:
                for warning in self.applier.provide_images([wanted["image"]], self.info):
                    self.module.warn("%s: %s." % (self.host, warning))
                self.applier.remove(name, wanted["stop_timeout"])
                self.applier.create(wanted, spec, name)

    def see_to_volumes(self, wanted):
        """Gives the volumes of a container that was created to its user. ApplyError where it could not write them."""
        image = self.options["volumes_image"]
        if not image:
            return
        told = volumes.see_to(wanted, image, self.run_once)
        if told["given"]:
            self.result["changed"] = True
            self.result["given"].append(volumes.sentence(wanted, told["given"]))
        if told["broken"]:
            # What was given all the same is in the result, where the caller says it.
            given = self.result["given"] if self.options["state"] == "present" else []
            raise apply.ApplyError("%s: %s." % (self.host, "; ".join(given + told["broken"])))

    def run_once(self, given):
        """What a container did that does one thing and ends."""
        wanted = tasks.task(given)
        return tasks.run(self.client, self.applier, self.stack, wanted, self.info, self.scrub)

    def tried(self, given, names, rows):
        """What differs is told, and their volumes can be written, each tried once for each user."""
        whole = self.wanted(given)
        for wanted, spec in whole:
            verdict = plan.judge(wanted, spec, rows, self.info)
            if verdict.changes:
                self.result["outdated"].append(verdict.name)
                self.result["reasons"][verdict.name] = "; ".join(verdict.why)
        self.result["removed"] = plan.surplus(rows, self.stack, self.options["roles"], names)
        self.show(rows, rows, set(rows))
        for warning in plan.unlimited(self.info):
            self.module.warn("%s: %s." % (self.host, warning))
        # Also where a volume is refused.
        self.tell(rows)
        if self.module.check_mode or not self.options["volumes_image"]:
            return
        self.applier.provide_images([self.options["volumes_image"]], self.info)
        once = {}
        for wanted, spec in whole:
            mounts = volumes.writable(wanted)
            key = (wanted["user"], tuple(sorted((m["source"], m["target"]) for m in mounts)))
            if mounts:
                once.setdefault(key, (wanted, spec))
        for wanted, spec in once.values():
            if any(not self.there(mount["source"]) for mount in volumes.writable(wanted)):
                # As it is created, a volume gets what the image has at its path.
                self.applier.provide_images([wanted["image"]], self.info)
                # Should this be broken off, nothing takes what is left for the one that it stands for.
                alike = dict(wanted, role=description.TASK, restart_policy="no", publish=[])
                name = wanted["name"] + "-volumes"
                self.applier.remove(name, 0)
                try:
                    self.applier.create(alike, spec, name)
                except apply.ApplyError:
                    # What the engine has against a volume, it tells the probe as well; there it is judged.
                    pass
                finally:
                    self.applier.remove(name, 0)
            self.see_to_volumes(wanted)

    def there(self, volume):
        """Whether a volume exists."""
        try:
            self.client.inspect_volume(volume)
        except connection.NotFound:
            return False
        return True

    def chosen(self, names, rows):
        """Rows that the names and the roles name, nothing that is aside; in their order."""
        by_role = [
            name
            for role in self.options["roles"]
            for name, row in sorted(rows.items())
            if row["role"] == role and row["stack"] == self.stack
        ]
        return [
            rows[name]
            for name in dict.fromkeys(names + by_role)
            if name in rows and not description.ASIDE.search(name)
        ]

    def restarted(self, _given, names, rows):
        """Each is restarted when the one before is well."""
        for row in self.chosen(names, rows):
            self.note(row["name"], ["asked for"])
            if not self.module.check_mode:
                self.applier.restart(row, row["stop_timeout"], self.options["wait_timeout"])

    def absent(self, _given, names, rows):
        """They are gone, and what is aside for them."""
        chosen = self.chosen(names, rows) + [
            rows[name] for name in names if name in rows and description.ASIDE.search(name)
        ]
        if self.options["aside"]:
            stems = {row["name"] for row in chosen} | set(names)
            chosen += [
                row
                for name, row in sorted(rows.items())
                if description.ASIDE.search(name)
                and row["stack"] == self.stack
                and (_stem(name) in stems or row["role"] in self.options["roles"])
                and row not in chosen
            ]
        for row in chosen:
            self.note(row["name"], ["not wanted"])
        gone = {row["name"] for row in chosen}
        self.show(rows, {name: row for name, row in rows.items() if name not in gone}, set(rows))
        if not self.module.check_mode:
            for row in chosen:
                self.applier.remove(row["name"], row["stop_timeout"])

    def finished(self, given, _names, _rows):
        """Each is run to its end."""
        whole = [tasks.task(each) for each in given]
        if self.module.check_mode:
            return
        for warning in self.applier.provide_images([each["image"] for each in whole], self.info):
            self.module.warn("%s: %s." % (self.host, warning))
        self.result["results"] = [
            tasks.run(self.client, self.applier, self.stack, wanted, self.info, self.scrub)
            for wanted in whole
        ]


def _stem(name):
    """The name for which a container is aside; an aside may itself be put aside."""
    while description.ASIDE.search(name):
        name = description.ASIDE.sub("", name)
    return name


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(
            connection.ARGUMENTS,
            # Under load an engine takes its time to create or start a container.
            timeout=dict(connection.ARGUMENTS["timeout"], default=120),
            stack_name={"type": "str", "default": "aisha"},
            state={
                "type": "str",
                "choices": ["present", "created", "tried", "restarted", "absent", "finished"],
                "default": "present",
            },
            containers={
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": description.OPTIONS,
            },
            suffix={"type": "str", "default": ".next"},
            roles={"type": "list", "elements": "str", "default": []},
            folders={
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "group": {"type": "int", "required": True},
                    "files": {
                        "type": "list",
                        "elements": "dict",
                        "default": [],
                        "options": files.FILE_OPTIONS,
                    },
                    "versions": {"type": "bool", "default": True},
                },
            },
            aside={"type": "bool", "default": True},
            volumes_image={"type": "str", "default": ""},
            docker_config={"type": "path", "default": "/etc/aisha/docker"},
            secrets={"type": "list", "elements": "str", "default": [], "no_log": True},
            wait_timeout={"type": "int", "default": 180},
        ),
        supports_check_mode=True,
    )
    run = None
    try:
        run = Run(module)
        run.go()
    except KNOWN_ERRORS as error:
        result = run.result if run else {}
        module.fail_json(msg=Scrubber(module.params["secrets"]).scrub(str(error)), **result)
    except data_versions.DataError as error:
        names = ", ".join(each["name"] for each in module.params["containers"])
        module.fail_json(msg="%s Not touched: %s." % (error, names), **run.result)
    except connection.ENGINE_ERRORS as error:
        module.fail_json(
            msg=Scrubber(module.params["secrets"]).scrub(
                "%s: the Docker Engine does not do what it is asked: %s"
                % (socket.gethostname(), connection.reason(error))
            )
        )
    except OSError as error:
        module.fail_json(
            msg="%s: %s can't be read or written: %s. Let Ansible become root on this host."
            % (socket.gethostname(), error.filename or "a file", error.strerror)
        )
    module.exit_json(**run.result)


if __name__ == "__main__":
    main()
