"""scripts/find-python on a machine whose Pythons are all too old for Ansible."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OLD = Path("/usr/bin/python3")
PROGRAMS = ["sh", "cat", "dirname", "id", "mkdir", "rm", "tail"]


def minor(python: Path) -> tuple[int, ...]:
    if not python.exists():
        return ()
    code = "import sys, ensurepip; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return tuple(int(part) for part in done.stdout.split())


pytestmark = pytest.mark.skipif(
    not (3, 9) <= minor(OLD) < (3, 12) or bool(list(Path("/usr/local/bin").glob("python3*"))),
    reason="/usr/bin/python3 is no Python 3.9 to 3.11 with venv, so nothing is to be downloaded",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout's scripts, and a PATH with nothing but the old Python."""
    shutil.copytree(ROOT / "scripts", tmp_path / "checkout/scripts")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").symlink_to(OLD)
    (tmp_path / "home").mkdir()
    return tmp_path / "checkout"


def find_python(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    there = checkout.parent
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    environment = kept | {"PATH": str(there / "bin"), "HOME": str(there / "home")} | variables
    return subprocess.run(
        [checkout / "scripts/find-python"],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def nothing_outside(checkout: Path) -> None:
    left = [path for path in (checkout.parent / "home").rglob("*") if "pip" not in str(path)]
    assert left == [], "something is in the user's home"
    assert {path.name for path in (checkout.parent / "bin").iterdir()} == {*PROGRAMS, "python3"}


def test_a_refused_download_is_one_sentence(checkout: Path, tmp_path: Path) -> None:
    done = find_python(checkout, UV_PYTHON_INSTALL_MIRROR="file:///nowhere")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Ansible needs Python 3.12, 3.13 or 3.14 with the module venv" in done.stderr
    assert "this machine has Python 3." in done.stderr
    assert "PYTHON=/path/to/python3.13 make up" in done.stderr
    nothing_outside(checkout)


def small_python(folder: Path) -> Path:
    """An archive as uv downloads them, with of this test's own Python."""
    base = Path(sys.base_prefix)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    archive = folder / "python.tar.gz"
    left_out = ("/test/", "/site-packages/", "__pycache__", ".a/", "/idlelib/")
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in (f"bin/python{version}", f"lib/python{version}"):
            tar.add(
                base / name,
                f"python/{name}",
                filter=lambda member: (
                    None if any(part in member.name + "/" for part in left_out) else member
                ),
            )
        for shared in (base / "lib").glob("libpython*"):
            tar.add(shared, f"python/lib/{shared.name}")
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{version}"
        tar.addfile(link)
    return archive


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 13) or platform.machine() != "x86_64" or sys.base_prefix == "/usr",
    reason="no relocatable Python 3.13 to make an archive of",
)
def test_a_download_that_answers_gives_one_to_this_checkout_alone(
    checkout: Path, tmp_path: Path
) -> None:
    archive = small_python(tmp_path)
    version = platform.python_version()
    name = f"cpython-{version}-linux-x86_64-gnu"
    downloads = tmp_path / "downloads.json"
    entry = {
        "name": "cpython",
        "arch": {"family": "x86_64", "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": sys.version_info[0],
        "minor": sys.version_info[1],
        "patch": sys.version_info[2],
        "prerelease": "",
        "url": archive.as_uri(),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": None,
    }
    downloads.write_text(json.dumps({name: entry}))
    done = find_python(checkout, UV_PYTHON_DOWNLOADS_JSON_URL=str(downloads))
    assert done.returncode == 0, done.stderr + (checkout / ".cache/python/log").read_text()
    python = Path(done.stdout.strip())
    assert python.is_relative_to(checkout / ".cache")
    made = subprocess.run([python, "-m", "venv", tmp_path / "made"], check=False)
    assert made.returncode == 0
    nothing_outside(checkout)
    again = find_python(checkout, UV_PYTHON_DOWNLOADS_JSON_URL="file:///nowhere")
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")
