# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a host, and what the next one must know of the last."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time

FOLDER = "/run/aisha"
# A run that died on the way gives the host free by then.
LEASE_SECONDS = 600


class LeaseError(Exception):
    """Another run is under way; the message says since when."""


class Lease:
    """The right of one run to change who polls on this host.

    name: the stack. run_id: calls with the same id belong to one run, also if another call comes
    between; "" holds the right during this call only.
    """

    def __init__(self, name, run_id, host, folder=FOLDER):
        self._path = os.path.join(folder, "polling-%s.json" % re.sub(r"[^A-Za-z0-9_.-]", "_", name))
        self._run_id = run_id
        self._host = host
        self._file = None
        self._taken = False
        self.stopped_at = 0.0

    def take(self):
        """Waits for nobody: LeaseError where another run has it."""
        os.makedirs(os.path.dirname(self._path), mode=0o755, exist_ok=True)
        self._file = os.fdopen(
            os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+"
        )
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            refusal = self._refusal("right now", self._read())
            self.release(keep=False)
            raise LeaseError(refusal) from None
        found = self._read()
        try:
            self._refuse_other(found)
        except LeaseError:
            self.release(keep=False)
            raise
        self.stopped_at = found.get("stopped_at", 0.0)
        self._taken = True
        self._write(time.time() + LEASE_SECONDS if self._run_id else 0)

    def look(self):
        """As take(), for check mode: reads, and keeps nothing."""
        try:
            with open(self._path, encoding="utf-8") as file:
                self._file = file
                found = self._read()
        except FileNotFoundError:
            return
        finally:
            self._file = None
        self.stopped_at = found.get("stopped_at", 0.0)
        self._refuse_other(found)

    def release(self, *, keep):
        """keep: the run has more to do on this host, or on another one. Harmless where it was refused."""
        if self._taken:
            self._write(time.time() + LEASE_SECONDS if keep and self._run_id else 0)
            self._taken = False
        if self._file is not None:
            self._file.close()
            self._file = None

    def _refuse_other(self, found):
        if found.get("until", 0) > time.time() and found.get("run_id") != self._run_id:
            since = time.strftime("%H:%M:%S UTC", time.gmtime(found.get("since", 0)))
            raise LeaseError(self._refusal("since %s" % since, found))

    def _refusal(self, when, found):
        left = max(0, int(found.get("until", 0) - time.time()))
        return (
            "%s: another run of polling_singleton is under way %s. Wait until it ends, and run this again. If it "
            "died, its right to this host ends in %d s, or remove %s."
            % (self._host, when, left, self._path)
        )

    def _read(self):
        self._file.seek(0)
        with contextlib.suppress(ValueError, AttributeError):
            found = json.loads(self._file.read() or "{}")
            numbers = ("since", "until", "stopped_at")
            if all(isinstance(found.get(key, 0), (int, float)) for key in numbers):
                return found
        return {}

    def _write(self, until):
        self._file.seek(0)
        self._file.truncate()
        json.dump(
            {
                "run_id": self._run_id,
                "since": time.time(),
                "until": until,
                "stopped_at": self.stopped_at,
            },
            self._file,
        )
        self._file.flush()
