"""The role `images`, told what the host has: what it builds itself is found all the same."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from secrets import token_hex

import docker  # type: ignore[import-untyped]  # it has no types

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = f"{os.environ.get('TEST_NAME', 'images')}-{token_hex(3)}"
PLAY = """
- hosts: here
  connection: local
  gather_facts: false
  vars:
    images_namespace: NAMESPACE
    images_names: [volumes]
    images_push: false
    images_local: "{{ before }}"
    before: {"example.com/neighbour:1": "sha256:1"}
  roles: [aisha.bot_stack.images]
  tasks:
    - ansible.builtin.debug:
        msg: "found {{ images_references.volumes }}"
"""


def test_an_image_that_is_built_beside_others_is_found(tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(PLAY.replace("NAMESPACE", NAMESPACE))
    engine = docker.from_env().api
    for image in engine.images("aisha/base"):
        for tag in image["RepoTags"] or []:
            # So that the base need not be made for this test.
            engine.tag(image["Id"], f"{NAMESPACE}/base", tag.rpartition(":")[2])
    try:
        done = subprocess.run(
            ["ansible-playbook", "-i", "here,", play],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_FORCE_COLOR": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"found sha256:[0-9a-f]{64}", done.stdout), done.stdout
    finally:
        for image in engine.images():
            for tag in image["RepoTags"] or []:
                if tag.startswith(f"{NAMESPACE}/"):
                    engine.remove_image(tag, force=True)
