# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the outcomes of containers that do one thing mean."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import outcome as outcomes


def image_problems(ended, nonce, memory="", setting=""):
    """What the checks of images found, and why a check could not run: sentences."""
    sentences = []
    for outcome in ended:
        subject = "the image %s" % outcome["image"]
        said = outcomes.answer(outcome, nonce)
        if said is None:
            sentences.append(outcomes.problem(outcome, subject, (), memory, setting))
        else:
            sentences += ["%s: %s" % (subject, sentence) for sentence in said["image"]]
            sentences += said["token"]
    # The token is the same in all of them.
    return list(dict.fromkeys(sentences))


def service_problems(outcome, nonce):
    """What the check of database, Redis and object storage found, or why it could not run: sentences."""
    said = outcomes.answer(outcome, nonce)
    if said is None:
        return [outcomes.problem(outcome, "the check of database, Redis and object storage")]
    return said["silent"]


def migration_problem(outcome, memory="", setting=""):
    """Why the bot's command migrate has failed, as one sentence, or an empty string where it has not."""
    if outcome["status"] == 0:
        return ""
    subject = "the command migrate of the image %s" % outcome["image"]
    return outcomes.problem(outcome, subject, (), memory, setting)


def migration_changed(outcome):
    """Whether the bot's command migrate says that it changed the tables: in the words of Alembic, or of the reference bot."""
    printed = outcome["output"] + outcome["errors"]
    if "Running upgrade" in printed:
        return True
    records = (outcomes.record(line) for line in printed.splitlines())
    return any(found["changed"] is True for found in records if found and "changed" in found)


class FilterModule:
    """The filters."""

    def filters(self):
        return {
            "image_problems": image_problems,
            "migration_changed": migration_changed,
            "migration_problem": migration_problem,
            "service_problems": service_problems,
        }
