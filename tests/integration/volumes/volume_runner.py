"""Runs a description to its end, as the module `containers` does, with as little as that takes."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker
from ansible_collections.aisha.bot_stack.plugins.lookup.tree_hash import tree_hash

ROOT = Path(__file__).resolve().parents[3]
Outcome = dict[str, Any]


def base_image() -> str:
    """The base image as the role `images` makes it; made where this machine has none yet."""
    name = f"aisha/base:{tree_hash(ROOT / 'images/base')[:16]}"
    if not docker.from_env().api.images(name):
        role = "name=aisha.bot_stack.images tasks_from=base"
        command = ["ansible", "localhost", "-m", "ansible.builtin.include_role", "-a", role]
        subprocess.run(command, check=True, cwd=ROOT)
    return name


class Runner:
    """What it makes is named after the test and removed with it."""

    def __init__(self) -> None:
        self.client = docker.from_env()
        self.prefix = f"volumes-test-{token_hex(4)}"
        self.ran: list[dict[str, Any]] = []

    def run(self, description: dict[str, Any]) -> Outcome:
        self.ran.append(description)
        image = self.client.images.get(description["image"])
        outcome: Outcome = {
            "name": description["name"],
            "image": description["image"],
            "status": None,
            "output": "",
            "errors": "",
            "oom_killed": False,
            "error": "",
            "architecture": self.client.info()["Architecture"],
            "image_architecture": image.attrs["Architecture"],
        }
        container = None
        try:
            container = self.client.containers.create(
                description["image"],
                description["command"],
                entrypoint=description.get("entrypoint"),
                name=description["name"],
                user=description["user"],
                environment=description.get("env"),
                mounts=[
                    docker.types.Mount(
                        mount["target"],
                        mount["source"],
                        mount["type"],
                        mount.get("read_only", False),
                    )
                    for mount in description["mounts"]
                ],
                tmpfs=dict(each.split(":", 1) for each in description.get("tmpfs", [])),
                network_mode="none",
                cap_drop=["ALL"],
                cap_add=description.get("cap_add", []),
                security_opt=["no-new-privileges:true"],
                read_only=True,
                mem_limit=description["memory"],
                memswap_limit=description["memory"],
                healthcheck={"test": ["NONE"]},
            )
            container.start()
            outcome["status"] = container.wait(timeout=120)["StatusCode"]
            outcome["output"] = container.logs(stdout=True, stderr=False).decode()
            outcome["errors"] = container.logs(stdout=False, stderr=True).decode()
            container.reload()
            outcome["oom_killed"] = container.attrs["State"]["OOMKilled"]
        except docker.errors.APIError as error:
            outcome["error"] = str(error)
        finally:
            if container is not None:
                container.remove(force=True)
        return outcome

    def build(self, name: str, dockerfile: str, base: str) -> str:
        """A small image, by its ID."""
        text = f"FROM {base}\n{dockerfile}\n".encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            member = tarfile.TarInfo("Dockerfile")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        packed.seek(0)
        image, _log = self.client.images.build(
            fileobj=packed, custom_context=True, tag=f"{self.prefix}/{name}", rm=True
        )
        return str(image.id)

    def volume(self, name: str, **options: str) -> str:
        made = self.client.volumes.create(f"{self.prefix}-{name}", driver_opts=options)
        return str(made.name)

    def shell(self, image: str, script: str, *mounts: tuple[str, str]) -> str:
        """As root, in a container of the image with volumes at paths."""
        output: bytes = self.client.containers.run(
            image, ["sh", "-ec", script], user="0:0", remove=True, network_mode="none",
            name=f"{self.prefix}-shell", entrypoint="",
            volumes={source: {"bind": target} for source, target in mounts},
        )  # fmt: skip
        return output.decode()

    def clean(self) -> list[str]:
        """Remove all that has the prefix; returns the containers that should not be there."""
        left = self.client.containers.list(
            all=True, filters={"name": self.prefix}, ignore_removed=True
        )
        for container in left:
            container.remove(force=True)
        for volume in self.client.volumes.list(filters={"name": self.prefix}):
            volume.remove(force=True)
        images = self.client.api.images(filters={"reference": f"{self.prefix}/*"})
        for image in sorted(images, key=lambda image: image["Created"], reverse=True):
            for tag in image["RepoTags"] or []:
                if tag.startswith(self.prefix):
                    self.client.images.remove(tag, force=True)
        return [str(container.name) for container in left]
