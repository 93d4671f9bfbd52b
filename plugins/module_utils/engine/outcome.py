# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it means how a container that does one thing has ended. Pure: it asks no engine.

An outcome is a dictionary: status (its exit status, None where it never ran), output and errors
(what it printed), oom_killed, error (the engine's words where it could not be created or started),
architecture (the host's), image_architecture.
"""

from __future__ import annotations

import json
import re
import signal

# What `uname -m` says, in the words that images use.
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv8l": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "i386": "386",
}
NOT_FOUND = r'exec: \\*"([^"\\]+)\\*": (executable file not found|stat |.*no such file)'
NOT_ALLOWED = r'exec: \\*"([^"\\]+)\\*":.* permission denied'
OTHER_PROCESSOR = r"exec format error|no matching manifest for|does not match the (detected host|specified) platform"
VOLUME = r"/volumes/([^/\s]+)/_data|mounting volume '?\"?([A-Za-z0-9][\w.-]*)|volume \\*\"([A-Za-z0-9][\w.-]*)"
SIGKILL = 137
# How run() of tasks.py begins to say that one did not end.
TOO_SLOW = "it was not done after "
# What loggers that write JSON call the message and a severity that is an end.
MESSAGES = ("event", "message", "msg")
BAD = ("error", "critical", "fatal")


def answer(outcome, nonce=""):
    """The JSON object that the container has printed in one line behind nonce; None without one.

    What else it prints is not taken for it, whatever an image prints by itself.
    """
    for line in reversed((outcome.get("output") or "").splitlines()):
        _before, found, text = line.partition(nonce) if nonce else ("", True, line)
        if found and text.startswith("{"):
            try:
                said = json.loads(text)
            except ValueError:
                continue
            if isinstance(said, dict):
                return said
    return None


def exception(text):
    """The line that the last traceback ends with, such as `RuntimeError: no settings`; "" without one."""
    _before, found, after = text.rpartition("Traceback (most recent call last):")
    ends = [line.strip() for line in after.splitlines() if line and not line[0].isspace()]
    return ends[0] if found and ends else ""


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def record(line):
    """The object that a line of a log in JSON is; None for any other line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if isinstance(found, dict) and any(isinstance(found.get(key), str) for key in MESSAGES):
        return found
    return None


def words(found):
    """What a record of record() says, with the error that it carries."""
    message = next(found[key] for key in MESSAGES if isinstance(found.get(key), str))
    traceback = found.get("exception")
    error = (exception(traceback) if isinstance(traceback, str) else "") or found.get("error")
    return "%s: %s" % (message, error) if isinstance(error, str) and error else message


def last_words(errors, output):
    """The one line of all that a container wrote that says best why it ended."""
    told, printed = record(last_line(errors)), record(last_line(output))
    if told:
        return words(told)
    if printed and str(printed.get("level")).lower() in BAD:
        return words(printed)
    lines = (errors + "\n" + output).splitlines()
    # In a record, a traceback is one line.
    plain = "\n".join(line for line in lines if record(line) is None)
    if exception(plain):
        return exception(plain)
    return last_line(errors) or (words(printed) if printed else last_line(output))


def engine_reason(error):
    """The engine's own words, without what its client wraps around them."""
    reason = re.sub(r'^.*?\("(.*)"\)$', r"\1", last_line(error))
    return re.sub(r"[. ]+$", "", reason)


def processor(name):
    """The architecture without its variant, as images name it."""
    first = (name or "").split("/")[0].strip().lower()
    return ARCHITECTURES.get(first, first)


def other_processor(outcome, subject):
    host, image = (
        processor(outcome.get("architecture")),
        processor(outcome.get("image_architecture")),
    )
    if host and image and host != image:
        return "%s is made for %s, and this host is %s: name an image for %s" % (
            subject,
            image,
            host,
            host,
        )
    return "%s is not made for this host's processor%s: name an image that is" % (
        subject,
        " (%s)" % host if host else "",
    )


def volume_named(reason, volumes):
    """The one of [{source, target}] that the engine's words are about, or None."""
    named = [name for found in re.findall(VOLUME, reason) for name in found if name]
    known = [mount for mount in volumes if mount["source"] in named]
    if known:
        return known[0]
    return {"source": named[0], "target": ""} if named else None


def never_ran(outcome, subject, volumes):
    """The sentence for a container that the engine could not create or start."""
    error = outcome.get("error") or ""
    if re.search(OTHER_PROCESSOR, error):
        return other_processor(outcome, subject)
    missing = re.search(NOT_FOUND, error)
    if missing:
        return "%s has no program %s, which is asked of it" % (subject, missing.group(1))
    closed = re.search(NOT_ALLOWED, error)
    if closed:
        return "%s has %s, but its user may not run it" % (subject, closed.group(1))
    reason = engine_reason(error) or "the engine gave no reason"
    volume = volume_named(reason, volumes)
    if volume:
        path = " (%s)" % volume["target"] if volume["target"] else ""
        what = "the volume %s%s can't be used" % (volume["source"], path)
    else:
        what = "%s can't run" % subject
    inspect = "`docker volume inspect %s` says where it is" % volume["source"] if volume else ""
    if re.search(r"(?i)no space left|quota exceeded", reason):
        return (
            "%s (%s): free space there; playbooks/cleanup.yml removes old images of this stack and"
            " no volume" % (what, reason)
        )
    if volume and re.search(r"(?i)read-only", reason):
        return "%s (%s): make it writable; %s" % (what, reason, inspect)
    if volume:
        return "%s (%s): repair it; %s" % (what, reason, inspect)
    return "%s (%s): repair it; the engine's log may say more" % (what, reason)


def killed(subject, memory, setting):
    """The sentence for a container whose memory was not enough."""
    return "%s was killed, for want of memory: %s not enough%s" % (
        subject,
        "its limit of %s is" % memory if memory else "its limit is",
        "; raise %s" % setting if setting else "",
    )


def problem(outcome, subject, volumes=(), memory="", setting=""):
    """One sentence that says why subject (such as `the image X`) has given no answer.

    memory is the container's limit, setting the variable that it comes from.
    """
    if outcome.get("status") is None:
        error = outcome.get("error") or ""
        if error.startswith(TOO_SLOW):
            return "%s: %s" % (subject, error)
        return never_ran(outcome, subject, volumes)
    status = outcome["status"]
    printed = "\n".join(filter(None, [outcome.get("output"), outcome.get("errors")]))
    # Older runtimes start it, and it ends with these words.
    if "exec format error" in last_line(printed):
        return other_processor(outcome, subject)
    if outcome.get("oom_killed") or status == SIGKILL:
        return killed(subject, memory, setting)
    said = last_words(outcome.get("errors") or "", outcome.get("output") or "")
    if status == 0:
        what = "%s ended before it had answered" % subject
    elif status > 128:
        try:
            name = signal.Signals(status - 128).name
        except ValueError:
            name = "signal %d" % (status - 128)
        what = "%s was ended by %s" % (subject, name)
    else:
        what = "%s ended with status %d" % (subject, status)
    return "%s%s" % (what, ": %s" % said if said else ", and said nothing")
