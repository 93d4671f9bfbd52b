"""A Docker host with several engines, one at a time, and what roles and modules do there."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from docker_hosts import MODULES_PYTHON, ROOT, Machine, Scenario, new_token, until

HERE = Path(__file__).resolve().parent
# Of another name where a second checkout tests on the same machine.
NAME = f"aisha-{os.environ.get('TEST_NAME', 'test')}-engines"
SOCKET = "unix:///var/run/docker.sock"
TLS = "/etc/aisha-test-tls"
USER = "rootless"
UID = 1000
# It is built from its source, which takes minutes.
NEWEST = os.environ.get("NEWEST_ENGINE") == "yes"
PROGRAMS = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker-proxy")


class Host(Machine):
    """The host. What it runs is what is first in its path, with its own data."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NAME, folder)
        self.scenario = Scenario(NAME.removeprefix("aisha-"), folder, {"local": NAME})
        self.namespace = f"aisha-test/{self.scenario.name}"

    def make(self) -> None:
        scenario = self.scenario
        shutil.copytree(HERE / "image", self.folder / "host")
        content = b"".join(path.read_bytes() for path in sorted((HERE / "image").iterdir()))
        tag = hashlib.sha256(content).hexdigest()[:16]
        target = "newest" if NEWEST else "host"
        image = f"{self.namespace}:{target}-{tag}"
        scenario.destroy()
        scenario.playbook(
            HERE / "image.yml",
            ROOT / "molecule/resources/create.yml",
            host_image=image,
            host_target=target,
            scenario_image=image,
            test_namespace=self.namespace,
        )
        self.came_up()

    # Engines

    def use(self, name: str, programs: str = "", **daemon: Any) -> str:
        """Another engine in the place of the one that runs, as an upgrade does; its version."""
        for program in PROGRAMS:
            self.run(["rm", "-f", f"/usr/local/sbin/{program}"])
        if programs:
            found = self.run(
                ["find", "-L", f"/opt/engines/{programs}", "-type", "f", "-perm", "-100"]
            )
            paths = [path for path in found.split() if path.endswith(PROGRAMS)]
            self.run(["ln", "-sf", *paths, "/usr/local/sbin"])
        # A parent that its containers' other users may pass, which userns-remap wants.
        self.run(["chmod", "o+x", "/var/lib/docker"])
        settings = {"data-root": f"/var/lib/docker/{name}", **daemon}
        self.write({"/etc/docker/daemon.json": json.dumps(settings)})
        before = self.pid_of_engine()
        self.run(["pkill", "-TERM", "-x", "dockerd"])
        until(lambda: self.pid_of_engine() not in ("", before), "a new engine")
        self.connect()
        return str(self.engine.version()["Version"])

    def pid_of_engine(self) -> str:
        return self.run(["pgrep", "-x", "-o", "dockerd"], check=False).strip()

    def load_images(self) -> None:
        self.run(["docker", "load", "--quiet", "--input", "/mnt/shared/images.tar"])

    def make_certificates(self) -> None:
        """An authority of our own, and what it signed for the engine and for its client."""
        script = f"""set -eu
umask 077; mkdir -p {TLS}; cd {TLS}
new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'
openssl req -x509 $new -keyout authority.key -out ca.pem -subj /CN=authority \
    -addext keyUsage=critical,keyCertSign
for name in server client; do
    openssl req -x509 $new -keyout $name.key -out $name.pem -subj /CN=$name \
        -CA ca.pem -CAkey authority.key \
        -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1 \
        -addext extendedKeyUsage=${{name}}Auth
done
rm authority.key"""
        self.run(["sh", "-c", script])

    def run_ssh(self) -> None:
        """A server of OpenSSH, and a key of root for it."""
        script = """set -eu
ssh-keygen -A
mkdir -p /run/sshd ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys
/usr/sbin/sshd -o ListenAddress=127.0.0.1 -o Port=2222
until [ -s ~/.ssh/known_hosts ]; do
    ssh-keyscan -p 2222 127.0.0.1 > ~/.ssh/known_hosts 2> /dev/null || sleep 0.1
done"""
        self.run(["sh", "-c", script])

    def run_rootless(self) -> str:
        """An engine of a user without rights, and its address."""
        runtime = f"/run/user/{UID}"
        self.run(["install", "-d", "-o", USER, "-m", "0700", runtime])
        # As the kernel's module makes it on a host.
        self.run(
            [
                "sh",
                "-c",
                "mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod -m 0666 /dev/net/tun c 10 200",
            ]
        )
        self.container.exec_run(
            [
                "sh",
                "-c",
                "exec /bin/sh /usr/share/docker.io/contrib/dockerd-rootless.sh > ~/log 2>&1",
            ],
            user=USER,
            workdir="/",
            environment={
                "HOME": f"/home/{USER}",
                "XDG_RUNTIME_DIR": runtime,
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            },
            detach=True,
        )
        return self.answering(f"{runtime}/docker.sock")

    def run_podman(self) -> str:
        """Podman's service, and its address."""
        path = "/run/podman/podman.sock"
        self.run(["mkdir", "-p", "/run/podman"])
        service = ["system", "service"]
        self.container.exec_run(
            ["podman", "--storage-driver=vfs", *service, "--time=0", f"unix://{path}"],
            detach=True,
        )
        return self.answering(path)

    def answering(self, path: str) -> str:
        ask = ["docker", "-H", f"unix://{path}", "version"]
        until(lambda: "Server:" in self.run(ask, check=False), f"{path} answers")
        return f"unix://{path}"

    # Runs

    def use_roles_and_modules(self, engine: dict[str, Any], **variables: Any) -> dict[str, Any]:
        """What each said; the whole output of Ansible is "output"."""
        result = self.folder / f"result-{next(self._numbers)}.json"
        given = self.folder / f"{result.stem}-given.json"
        given.touch(mode=0o600)
        self.token = new_token(7_000_000_000 + secrets.randbelow(10**6))
        known = {
            "docker_host_engine": engine,
            "test_namespace": self.namespace,
            "password": secrets.token_urlsafe(20),
            "result_file": str(result),
            "token": self.token,
            "docker_host_manage_python": False,
            "modules_python": MODULES_PYTHON,
        }
        given.write_text(json.dumps(known | variables))
        done = self.scenario.ansible(str(HERE / "engine.yml"), "-e", f"@{given}")
        assert result.exists(), done.stdout[-6000:] + done.stderr[-2000:]
        assert self.token.split(":")[1] not in done.stdout
        said = json.loads(result.read_text())
        return dict(said, output=done.stdout)

    def deploy(self, engines: dict[str, str]) -> tuple[int, str]:
        """A run of site.yml on hosts that are this one, with an engine each."""
        settings = self.folder / "kinds.json"
        connection = json.loads(self.scenario.inventory.read_text())["all"]["hosts"]["local"]
        hosts = {
            name: connection | {"docker_host_engine": {"docker_host": address}}
            for name, address in engines.items()
        }
        # The first has all groups, by the inventory of this machine.
        others: dict[str, Any] = {name: {} for name in list(hosts)[1:]}
        settings.write_text(
            json.dumps({"all": {"hosts": hosts, "children": {"redis": {"hosts": others}}}})
        )
        inventories = ["-i", "inventory/local", "-i", str(settings)]
        done = self.scenario.ansible("site.yml", *inventories, "--check")
        return done.returncode, " ".join((done.stdout + done.stderr).split())
