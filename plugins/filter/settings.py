# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an inventory's settings can't be right, by the argument specs of the roles: their names, and of which kind they are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.aisha.bot_stack.plugins.plugin_utils import role_settings
from jinja2 import TemplateError

# bot_wokers is like bot_workers, and bot_channel like nothing: an inventory may have variables of its own.
LIKE = 0.85
KINDS = {
    "str": "text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list, as in [first, second]",
    "dict": "a dictionary, as in {name: value}",
}


def misspelt_settings(names):
    """One sentence for each name that begins as a role's settings do, is none, and is like one."""
    roles = sorted(role_settings.specs())
    settings = sorted({name for options in role_settings.specs().values() for name in options})
    known = set(settings)
    problems = []
    for name in sorted(set(names) - known):
        if name in roles or not name.startswith(tuple(role + "_" for role in roles)):
            continue
        near = difflib.get_close_matches(name, settings, 1, LIKE)
        if near:
            problems.append(
                "%s is no setting: is it %s? Correct its name where it is set, or give a variable of your own a name that"
                " is less like it." % (name, near[0])
            )
    return problems


def wrong_settings(hostvars, host, roles):
    """See wrong_settings.yml beside this file."""
    variables, problems = hostvars[host], []
    for role in roles:
        for name, spec in role_settings.specs()[role].items():
            if name not in variables:
                continue
            try:
                found = setting_problems(name, spec, _evaluated(variables[name]))
            # Nothing else is left to say of a variable that is not there, or a lookup that finds nothing.
            except (AnsibleError, TemplateError) as error:
                found = ["%s can't be evaluated: %s" % (name, str(error).rstrip("."))]
            where = _where(hostvars, host, name) if found else ""
            problems += ["%s. %s" % (problem, where) for problem in found]
    return problems


def _evaluated(value):
    """The value without templates, which Ansible evaluates only as they are reached."""
    if isinstance(value, Mapping):
        return {key: _evaluated(each) for key, each in value.items()}
    return [_evaluated(each) for each in value] if isinstance(value, (list, tuple)) else value


def setting_problems(name, spec, value):
    """What is wrong with the value of a setting: sentences without their end; no value is in any that may be a secret."""
    if value is None:
        return ["%s has no value: it must be %s" % (name, KINDS.get(spec["type"], "set"))]
    problems = list(_problems(name, spec, value))
    if not problems:
        # What Ansible would refuse besides; a sentence of its own is better than none.
        told = ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages
        problems = ["%s: %s" % (name, text.rstrip(".")) for text in told]
    return problems


def _problems(name, spec, value):
    kind = spec["type"]
    if not _is(kind, value):
        yield "%s must be %s, and is %s" % (name, KINDS[kind], _kind_of(value))
    elif spec.get("choices") and value not in spec["choices"]:
        yield "%s is %s: it must be %s" % (name, value, " or ".join(map(str, spec["choices"])))
    elif kind == "list" and spec.get("elements"):
        entry = {"type": spec["elements"], "options": spec.get("options")}
        for number, each in enumerate(value, 1):
            yield from _problems("Entry %d of %s" % (number, name), entry, each)
    elif kind == "dict" and spec.get("options"):
        yield from _keys(name, spec["options"], value)


def _keys(name, options, value):
    for key in value:
        if key not in options:
            near = difflib.get_close_matches(str(key), list(options), 1)
            yield "%s has %s, which is none of its keys (%s)%s" % (
                name,
                key,
                ", ".join(options),
                ": is it %s?" % near[0] if near else "",
            )
    for key, spec in options.items():
        if value.get(key) is not None:
            yield from _problems("%s: %s" % (name, key), spec, value[key])
        elif spec.get("required"):
            yield "%s has no %s" % (name, key)


def _is(kind, value):
    """Whether a role can use the value as it is. Ansible's own check takes a text for a list, and the role then its letters."""
    if kind == "raw":
        return True
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, Mapping)
    if isinstance(value, (list, tuple, Mapping)) or value is None:
        return False
    return not ArgumentSpecValidator({"it": {"type": kind}}).validate({"it": value}).error_messages


def _kind_of(value):
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return KINDS["bool"]
    for kinds, said in (
        ((int, float), "a number"),
        (str, "text" if value else "an empty text"),
        ((list, tuple), "a list"),
        (Mapping, "a dictionary"),
    ):
        if isinstance(value, kinds):
            return said
    return "something else"


def _where(hostvars, host, name):
    """Where a setting is set, in words; Ansible knows it of what it has read from a file or a command line."""
    try:
        from ansible._internal._datatag._tags import Origin

        origin = Origin.get_tag(hostvars.raw_get(host)[name])
    except (ImportError, AttributeError):
        origin = None
    return (
        "Correct it in %s." % str(origin).strip("<>") if origin else "Correct it where it is set."
    )


class FilterModule:
    """The filters."""

    def filters(self):
        return {"misspelt_settings": misspelt_settings, "wrong_settings": wrong_settings}
