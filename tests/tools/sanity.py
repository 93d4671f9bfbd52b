"""Runs `ansible-test sanity` on this checkout: tests/tools/sanity.py [its options].

ansible-test wants the collection at ansible_collections/<namespace>/<name>, so it gets a copy of
what git tracks or would track. For each kind of test it builds a virtual environment below
~/.ansible/test, with the pip that a script from its own download site installs. Where only PyPI is
reached that fails, so such a script is written here, and installs the same pip from PyPI's wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from ansible_test._internal import python_requirements  # type: ignore[import-untyped]  # it has no types

ROOT = Path(__file__).resolve().parents[2]
CONTROLLER = "3.13"
# The oldest Python that the modules support on a managed host; checked where this machine has it.
OLDEST_TARGET = "3.9"
# Ansible loads neither the programs inside the images nor the tests, so its own style (no name `_`,
# four shebangs) is not theirs: ruff and mypy check them.
EXCLUDE = ["--exclude", "images/", "--exclude", "tests/"]

# ansible-test calls this with the arguments of get-pip.py. Two of them are that script's own.
GET_PIP = '''"""Installs pip from the wheel beside this file (by aisha.bot_stack's sanity.py)."""
import os
import runpy
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "{wheel}"))
arguments = [a for a in sys.argv[1:] if a not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--upgrade", "--force-reinstall"] + arguments
runpy.run_module("pip", run_name="__main__", alter_sys=True)
'''


class _Python:
    version = CONTROLLER


def seed_pip() -> None:
    """Put the script that installs pip where ansible-test looks before it downloads one."""
    version = python_requirements.get_venv_packages(_Python)["pip"]
    cache = Path("~/.ansible/test/cache").expanduser()
    script = cache / f"get_pip_{version.replace('.', '_')}.py"
    if script.exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(cache)]
    subprocess.run([*command, f"pip=={version}"], check=True)
    script.write_text(GET_PIP.format(wheel=f"pip-{version}-py3-none-any.whl"))


def copy_tree(target: Path) -> None:
    """Copy what git tracks, or would track, into the folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listing.split("\0")):
        source = ROOT / name
        if not source.exists() and not source.is_symlink():
            continue  # deleted, and not yet committed
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name, follow_symlinks=False)
    # ansible-test takes the list of files from git where there is a repository.
    subprocess.run(["git", "init", "--quiet", str(target)], check=True)
    subprocess.run(["git", "add", "--all"], cwd=target, check=True)


def main() -> int:
    seed_pip()
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    # pyenv keeps its Pythons outside PATH; ansible-test finds them by name only.
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{OLDEST_TARGET}.*/bin"))
    path = [str(Path(sys.executable).parent), os.environ["PATH"], *map(str, pyenv)]
    environment = {**os.environ, "PATH": os.pathsep.join(path), "PIP_QUIET": "1"}
    environment.pop("ANSIBLE_CONFIG", None)
    runs = [["--python", CONTROLLER, *EXCLUDE, *sys.argv[1:]]]
    if not sys.argv[1:] and shutil.which(f"python{OLDEST_TARGET}", path=environment["PATH"]):
        runs.append(["--python", OLDEST_TARGET, "--test", "compile", "--test", "import"])
    with tempfile.TemporaryDirectory(prefix="sanity-") as folder:
        collection = Path(folder, "ansible_collections", galaxy["namespace"], galaxy["name"])
        collection.mkdir(parents=True)
        copy_tree(collection)
        codes = []
        for options in runs:
            command = ["ansible-test", "sanity", "--color", "no", *options]
            print("sanity:", *command, flush=True)
            run = subprocess.run(command, cwd=collection, env=environment, check=False)
            codes.append(run.returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
