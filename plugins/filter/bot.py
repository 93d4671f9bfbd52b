# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of the bot stack, as descriptions for the module containers."""

from __future__ import annotations

# Each role of the bot gets the secrets that it uses, and no other: from a secret to the variable that names its file.
FILES = {
    "bot_token": "BOT_TOKEN_FILE",
    "database_url": "DATABASE_URL_FILE",
    "redis_url": "REDIS_URL_FILE",
    "s3_secret_key": "S3_SECRET_KEY_FILE",
    "webhook_secrets": "WEBHOOK_SECRETS_FILE",
}
USES = {
    "primary": ("bot_token", "database_url", "redis_url"),
    "worker": ("bot_token", "database_url", "redis_url", "s3_secret_key"),
    "webhook": ("database_url", "redis_url", "webhook_secrets"),
    # What tries images and services, and what brings the tables up to date.
    "task": ("bot_token", "database_url", "redis_url", "s3_secret_key"),
}
FOLDER = "/run/secrets"
# What the role sets for the webhook API only; an operator's own variables go to all.
WEBHOOK_ONLY = ("WEBHOOK_HEALTH_PORT", "WEBHOOK_BODY_LIMIT")


def secret_folders(secrets, path, group, webhook=True):
    """The folders of secrets for the module containers, one for each role. secrets: from a secret's name to its text."""
    return [
        {
            "path": "%s/%s" % (path, role),
            "group": group,
            "files": [
                {"name": name, "content": secrets[name]}
                for name in names
                if webhook or role != "webhook"
            ],
        }
        for role, names in USES.items()
    ]


def environment_of(role, settings, instance):
    """The environment of one container: the operator's, ours, and the files of the secrets that it has."""
    files = {FILES[name]: "%s/%s" % (FOLDER, name) for name in USES[role]}
    own = {key: value for key, value in settings["env"].items() if _uses(role, key)}
    bot_role = "worker" if role == "task" else role
    return dict(own, BOT_ROLE=bot_role, INSTANCE_ID=instance, **files)


def _uses(role, variable):
    if variable in WEBHOOK_ONLY:
        return role == "webhook"
    return not variable.startswith("S3_") or "s3_secret_key" in USES[role]


def container(role, name, image, settings, memory):
    """The description of one container of the bot's own image."""
    return {
        "name": name,
        "role": role,
        "image": image,
        "user": settings["user"],
        "env": environment_of(role, settings, name),
        "mounts": settings["volumes"]
        + [
            {
                "type": "bind",
                "source": "%s/%s" % (settings["secrets_dir"], role),
                "target": FOLDER,
                "read_only": True,
            }
        ],
        "networks": settings["networks"],
        "memory": memory,
        "labels": settings["labels"],
        "stop_timeout": settings["stop_timeout"],
        "wait_timeout": settings["wait_timeout"],
    }


def replicas(settings):
    """All but the primary, in the order in which they are swapped: callers first, then who works.

    A webhook replica is swapped start first, so that one of them always answers. A worker is not: the new one takes up
    the jobs of the old one, which has its name.
    """

    def numbered(role, image, count):
        return [
            container(
                role,
                "%s-%s-%d" % (settings["name"], role, number),
                image,
                settings,
                settings["memory"][role],
            )
            for number in range(1, int(count) + 1)
        ]

    webhooks = numbered("webhook", settings["webhook_image"], settings["webhooks"])
    workers = numbered("worker", settings["image"], settings["workers"])
    for webhook in webhooks:
        webhook["swap"] = "start_first"
    return webhooks + ([settings["front"]] if webhooks else []) + workers


def primary(settings):
    """The primary, as a list of one."""
    name = settings["name"] + "-primary"
    return [container("primary", name, settings["image"], settings, settings["memory"]["primary"])]


def bot_task(settings, name, command, image="", entrypoint=None, volumes=True):
    """A container of the bot's image that does one thing and ends. Without its volumes, their folders are in memory."""
    wanted = container(
        "task", settings["name"] + "-" + name, image or settings["image"], settings, ""
    )
    wanted.update(command=command, memory=settings["memory"]["worker"])
    wanted["wait_timeout"] = 0
    if entrypoint:
        wanted["entrypoint"] = entrypoint
    if not volumes:
        uid, _colon, gid = settings["user"].partition(":")
        wanted["mounts"] = wanted["mounts"][len(settings["volumes"]) :]
        wanted["tmpfs"] = ["/tmp:size=64m,mode=1777", "/run:size=16m,mode=1777"] + [  # noqa: S108
            "%s:size=16m,mode=0755,uid=%s,gid=%s" % (mount["target"], uid, gid)
            for mount in settings["volumes"]
        ]
    return wanted


def image_check(image, settings, command):
    """The container that checks one image; their names tell them apart."""
    name = "preflight-webhook" if image == settings["webhook_image"] else "preflight"
    return bot_task(settings, name, command, image, ["python"], volumes=False)


class FilterModule:
    """The filters."""

    def filters(self):
        return {
            "bot_primary": primary,
            "bot_replicas": replicas,
            "bot_task": bot_task,
            "image_check": image_check,
            "secret_folders": secret_folders,
        }
